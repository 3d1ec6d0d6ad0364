//! Any bytes from a peer after the upgrade: read as frames within the bounds, or ended by a code that is known; and
//! each text as a request, or told apart.

use std::io::{Cursor, Read, Write};

use gateway::framing;
use protocol::Refusal;
use protocol::frame::{
    FromServer, NotARequest, read_from_server, read_request, write_request, write_response,
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// What came, and nowhere to answer.
struct Peer<'a>(Cursor<&'a [u8]>);

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let mut socket =
        WebSocket::from_raw_socket(Peer(Cursor::new(data)), Role::Server, Some(framing::limits()));
    // No more messages than there are bytes.
    for _ in 0..=data.len() {
        match socket.read() {
            Ok(Message::Text(text)) => check_text(&text),
            Ok(_) => {}
            Err(error) => {
                let (code, reason) = framing::close_of(&error);
                assert!([0, 1002, 1007, 1009].contains(&code), "{code} for {error}");
                assert!(reason.len() <= 123, "{reason}");
                if matches!(error, Error::Utf8(_)) {
                    assert_eq!(code, 1007);
                }
                return;
            }
        }
    }
    panic!("more messages than bytes");
}

fn check_text(text: &str) {
    let (id, words) = match read_request(text) {
        Ok(it) => {
            assert!(!it.id.is_empty() && !it.method.is_empty());
            let again = write_request(&it.id, &it.method, &it.params).expect("it was JSON");
            let again = read_request(&again).expect("what is written is read").id.into_owned();
            assert_eq!(again, it.id);
            (it.id.into_owned(), it.method.into_owned())
        }
        Err(NotARequest::Shape(id)) => {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "no JSON: {text}");
            (id.unwrap_or_default(), text.to_owned())
        }
        Err(NotARequest::NotJson) => return,
    };
    let refusal = Refusal::invalid(words);
    let response = write_response(&id, None, Some(&refusal));
    match read_from_server(&response) {
        Some(FromServer::Response(it)) => {
            assert_eq!(it.id, id);
            assert_eq!(it.error.map(|it| it.message), Some(refusal.message));
        }
        other => panic!("an answer that is none: {other:?}"),
    }
}
