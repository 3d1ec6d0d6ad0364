//! A client that speaks raw JSON over a WebSocket, and shares nothing with the product that it tests.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Error, Message, WebSocket};

/// How long an answer or an event may take, unless [`Wire::patience`] says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How much of a frame is shown in the message of a failure, in characters.
const SHOWN: usize = 400;

/// One connection. Each wait has a time limit and fails with all frames seen so far.
pub struct Wire {
    socket: WebSocket<TcpStream>,
    challenge: Value,
    hello: Value,
    /// Frames that came while something else was waited for, in the order in which they came.
    events: VecDeque<Value>,
    responses: VecDeque<Value>,
    seen: Vec<String>,
    n_sent: u64,
    limit: Duration,
    closed: Option<Close>,
}

/// How the other side ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code of the close frame; 1005 when it carried none, 1006 when the connection ended without a frame.
    pub code: u16,
    /// The reason of the close frame; for 1006 what the system said.
    pub reason: String,
}

/// A connection that was refused in the handshake.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The error object of the response to `connect`; null when the socket was closed without one.
    pub error: Value,
    /// The close that followed.
    pub close: Close,
}

/// A connection that was answered with plain HTTP instead of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUpgraded {
    /// The status of the HTTP response.
    pub status: u16,
    /// Its body, as far as it came with the head.
    pub body: String,
}

/// The parameters with which [`Wire::connect`] connects: client `cli` in mode `cli`, protocol 3 to 4, an operator
/// with the scopes admin, read and write, and the capability `tool-events`.
pub fn connect_params(token: &str) -> Value {
    json!({
        "minProtocol": 3,
        "maxProtocol": 4,
        "client": {"id": "cli", "version": "0.1.0", "platform": "linux", "mode": "cli"},
        "role": "operator",
        "scopes": ["operator.admin", "operator.read", "operator.write"],
        "caps": ["tool-events"],
        "auth": {"token": token},
    })
}

/// Why no frame came.
enum Stop {
    Late,
    Closed(Close),
}

impl Wire {
    /// Opens a socket and reads the challenge, which must be the first frame.
    #[track_caller]
    pub fn open(port: u16) -> Wire {
        Wire::open_with(port, &[])
    }

    /// As [`Wire::open`], with further HTTP headers. `Host` and `Origin` replace what would be sent.
    #[track_caller]
    pub fn open_with(port: u16, headers: &[(&str, &str)]) -> Wire {
        Wire::try_open(port, headers)
            .unwrap_or_else(|it| panic!("no WebSocket on port {port}: HTTP {}: {}", it.status, it.body))
    }

    /// As [`Wire::open_with`], for servers that may refuse the upgrade.
    ///
    /// # Errors
    /// When the server answers with plain HTTP. All else that goes wrong is a panic.
    #[track_caller]
    pub fn try_open(port: u16, headers: &[(&str, &str)]) -> Result<Wire, NotUpgraded> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("nobody listens on port {port}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
        stream.set_nodelay(true).expect("the socket is open");
        let address = format!("ws://127.0.0.1:{port}/");
        let mut request = address.into_client_request().expect("the address is well-formed");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let socket = match tungstenite::client(request, stream) {
            Ok((socket, _)) => socket,
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body =
                    String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
                return Err(NotUpgraded { status: response.status().as_u16(), body });
            }
            Err(HandshakeError::Failure(error)) => panic!("no WebSocket on port {port}: {error}"),
            Err(HandshakeError::Interrupted(_)) => panic!("no HTTP response on port {port} in {PATIENCE:?}"),
        };
        let mut wire = Wire {
            socket,
            challenge: Value::Null,
            hello: Value::Null,
            events: VecDeque::new(),
            responses: VecDeque::new(),
            seen: Vec::new(),
            n_sent: 0,
            limit: PATIENCE,
            closed: None,
        };
        wire.challenge = wire.frame();
        let is_challenge =
            wire.challenge["type"] == "event" && wire.challenge["event"] == "connect.challenge";
        assert!(is_challenge, "the first frame is no connect.challenge: {}", wire.challenge);
        Ok(wire)
    }

    /// Opens a socket and connects as [`connect_params`] says.
    #[track_caller]
    pub fn connect(port: u16, token: &str) -> Wire {
        Wire::try_connect(port, connect_params(token)).unwrap_or_else(|it| panic!("refused: {it:?}"))
    }

    /// Opens a socket and connects with parameters of the test's own.
    ///
    /// # Errors
    /// When the gateway refuses the connection, or closes it without an answer.
    #[track_caller]
    pub fn try_connect(port: u16, params: Value) -> Result<Wire, Refusal> {
        Wire::open(port).handshake(params)
    }

    /// Sends `connect` on an open socket and waits for the answer.
    ///
    /// # Errors
    /// As [`Wire::try_connect`].
    #[track_caller]
    pub fn handshake(mut self, params: Value) -> Result<Wire, Refusal> {
        let id = self.send("connect", params);
        let deadline = Instant::now() + self.limit;
        let response = loop {
            match self.read(deadline) {
                Ok(frame) if frame["type"] == "res" && frame["id"] == *id => break frame,
                Ok(frame) => self.keep(frame),
                Err(Stop::Closed(close)) => return Err(Refusal { error: Value::Null, close }),
                Err(Stop::Late) => self.fail("no answer to connect"),
            }
        };
        if response["ok"] != true {
            return Err(Refusal { error: response["error"].clone(), close: self.closed() });
        }
        self.hello = response["payload"].clone();
        assert!(self.hello["type"] == "hello-ok", "connect was answered with {response}");
        Ok(self)
    }

    /// Sets how long each wait may take from now on, for slow models.
    pub fn patience(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The first frame of this connection.
    pub fn challenge(&self) -> &Value {
        &self.challenge
    }

    /// The payload of the answer to `connect`; null before that.
    pub fn hello(&self) -> &Value {
        &self.hello
    }

    /// Sends a request and waits for its first response: the payload, or the error object. Events that come
    /// meanwhile are kept.
    ///
    /// # Errors
    /// The `error` of a response that is not ok.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        self.response(&id)
    }

    /// Sends a request and returns its id, for [`Wire::response`].
    #[track_caller]
    pub fn send(&mut self, method: &str, params: Value) -> String {
        self.n_sent += 1;
        let id = format!("t{}", self.n_sent);
        self.send_raw(&json!({"type": "req", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// Sends a text frame as it is.
    #[track_caller]
    pub fn send_raw(&mut self, text: &str) {
        if let Err(error) = self.socket.send(Message::text(text)) {
            self.fail(&format!("cannot send {text}: {error}"));
        }
    }

    /// Waits for the next response with this id; a second call waits for a second response.
    ///
    /// # Errors
    /// The `error` of a response that is not ok.
    #[track_caller]
    pub fn response(&mut self, id: &str) -> Result<Value, Value> {
        let frame = self.response_frame(id);
        if frame["ok"] == true { Ok(frame["payload"].clone()) } else { Err(frame["error"].clone()) }
    }

    /// As [`Wire::response`], the whole frame.
    #[track_caller]
    pub fn response_frame(&mut self, id: &str) -> Value {
        let deadline = Instant::now() + self.limit;
        loop {
            if let Some(at) = self.responses.iter().position(|it| it["id"] == id) {
                return self.responses.remove(at).expect("the position was just found");
            }
            match self.read(deadline) {
                Ok(frame) => self.keep(frame),
                Err(stop) => self.fail_by(stop, &format!("no response to {id}")),
            }
        }
    }

    /// The oldest event frame that `wanted` accepts and no earlier call returned, waiting for it if need be. Those
    /// passed over are kept for later calls.
    #[track_caller]
    pub fn next_event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + self.limit;
        let mut checked = 0;
        loop {
            if let Some(at) = self.events.iter().skip(checked).position(&wanted) {
                return self.events.remove(checked + at).expect("the position was just found");
            }
            checked = self.events.len();
            match self.read(deadline) {
                Ok(frame) => self.keep(frame),
                Err(stop) => self.fail_by(stop, "the event that is waited for did not come"),
            }
        }
    }

    /// Takes all events that came so far and were not returned, without waiting. After a request was answered these
    /// are all that the gateway sent before the answer.
    pub fn take_events(&mut self) -> Vec<Value> {
        self.events.drain(..).collect()
    }

    /// The next frame of the socket, whatever it is, past all that is kept.
    #[track_caller]
    pub fn frame(&mut self) -> Value {
        match self.read(Instant::now() + self.limit) {
            Ok(frame) => frame,
            Err(stop) => self.fail_by(stop, "no frame came"),
        }
    }

    /// Waits until the gateway closes the connection. Frames that come before it are kept.
    #[track_caller]
    pub fn closed(&mut self) -> Close {
        let deadline = Instant::now() + self.limit;
        loop {
            match self.read(deadline) {
                Ok(frame) => self.keep(frame),
                Err(Stop::Closed(close)) => return close,
                Err(Stop::Late) => self.fail("the connection was not closed"),
            }
        }
    }

    /// Closes the connection from this side, in order, and waits until the gateway has answered the close.
    #[track_caller]
    pub fn close(mut self) {
        // A gateway that closed first is what the test wanted, too.
        let _ = self.socket.close(None);
        self.closed();
    }

    fn read(&mut self, deadline: Instant) -> Result<Value, Stop> {
        if let Some(close) = &self.closed {
            return Err(Stop::Closed(close.clone()));
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::Late);
            }
            let limited = self.socket.get_ref().set_read_timeout(Some(left.max(Duration::from_millis(1))));
            limited.expect("the limit is not zero");
            let close = match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.seen.push(shorten(&text));
                    let frame = serde_json::from_str(&text);
                    return Ok(frame.unwrap_or_else(|error| self.fail(&format!("no JSON: {error}"))));
                }
                Ok(Message::Close(frame)) => {
                    // Our half of the close; the other side may have gone without waiting for it.
                    let _ = self.socket.flush();
                    frame.map_or(Close { code: 1005, reason: String::new() }, |it| Close {
                        code: it.code.into(),
                        reason: it.reason.to_string(),
                    })
                }
                Ok(Message::Binary(bytes)) => self.fail(&format!("a binary frame of {} bytes", bytes.len())),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(Error::Io(error)) if is_pause(error.kind()) => continue,
                Err(error) => Close { code: 1006, reason: error.to_string() },
            };
            self.seen.push(format!("close {} {}", close.code, close.reason));
            self.closed = Some(close.clone());
            return Err(Stop::Closed(close));
        }
    }

    #[track_caller]
    fn keep(&mut self, frame: Value) {
        match frame["type"].as_str() {
            Some("event") => self.events.push_back(frame),
            Some("res") => self.responses.push_back(frame),
            _ => self.fail("a frame that is neither an event nor a response"),
        }
    }

    #[track_caller]
    fn fail_by(&self, stop: Stop, what: &str) -> ! {
        match stop {
            Stop::Late => self.fail(&format!("{what} in {:?}", self.limit)),
            Stop::Closed(close) => {
                self.fail(&format!("{what}: the connection was closed: {} {}", close.code, close.reason))
            }
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{what}; {} frames came:\n{}", self.seen.len(), self.seen.join("\n"))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Wire").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn shorten(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() { format!("{shown}… ({} bytes)", text.len()) } else { shown }
}

#[cfg(test)]
mod tests;
