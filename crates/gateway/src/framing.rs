//! How a WebSocket connection is read: its bounds, and the code that ends one that breaks the rules. Apart from who is
//! connected, so that conformance suites and fuzzers meet what clients meet.

use protocol::error::close;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError::{
    ReceivedAfterClosing, ResetWithoutClosingHandshake, SendAfterClosing,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::limits::POLICY;

/// The bounds of a connection.
pub fn limits() -> WebSocketConfig {
    // Ten thousand idle connections must not hold buffers that none of them fills.
    WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_message_size(Some(POLICY.max_payload))
        .max_frame_size(Some(POLICY.max_payload))
}

/// The code and the reason by which a connection is closed that sent what is no message; code 0 where it is gone
/// already.
pub fn close_of(error: &Error) -> (u16, &'static str) {
    match error {
        Error::Capacity(_) => (close::TOO_BIG, ""),
        Error::Utf8(_) => (1007, "a text must be UTF-8"),
        Error::Protocol(ResetWithoutClosingHandshake | ReceivedAfterClosing | SendAfterClosing) => (0, ""),
        Error::Protocol(_) => (1002, "this is no WebSocket frame"),
        _ => (0, ""),
    }
}
