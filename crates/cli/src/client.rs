//! A client of one instance's gateway, over its control socket. Blocking: a command asks and waits.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use profile::control;
use protocol::connect::{CAP_TOOL_EVENTS, Client as Program, Connect, ConnectParams, HelloOk};
use protocol::frame::{Event, FromServer, Response, read_from_server, write_request};
use protocol::{Method, Refusal, Scope, VERSIONS};
use serde::Serialize;
use serde_json::value::RawValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// Who answers when it is asked.
pub(crate) struct Client {
    socket: WebSocket<Line>,
    hello: Option<HelloOk>,
    asked: u64,
    events: VecDeque<Event>,
    patience: Duration,
}

/// Why a gateway cannot be asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nobody listens on the control socket, or it is not ours to use.
    #[error("no gateway is running")]
    NotRunning(#[source] io::Error),
    /// Somebody listens and says nothing.
    #[error("the gateway did not answer within {} s", .0.as_secs_f32())]
    Deaf(Duration),
    /// It went away before it answered.
    #[error("the gateway ended the connection: {0}")]
    Lost(String),
    /// What it says is none of the protocol.
    #[error("the gateway's answer makes no sense: {0}")]
    Broken(String),
    /// It says no.
    #[error("{0}")]
    Refused(Refusal),
}

/// The connection. A signal that comes while it is waited for is handled elsewhere, and does not end the wait.
struct Line(UnixStream);

impl Client {
    /// Connects to the gateway of a state folder, and makes sure that it is that one.
    pub(crate) fn connect(state_dir: &Path, patience: Duration) -> Result<Self, NoAnswer> {
        let stream = control::connect(state_dir).map_err(NoAnswer::NotRunning)?;
        let limits = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0);
        let deadline = Instant::now() + patience;
        bound(&stream, deadline).map_err(|_| NoAnswer::Deaf(patience))?;
        let socket = tungstenite::client::client_with_config("ws://localhost/", Line(stream), Some(limits));
        let (socket, _) = socket.map_err(|error| match error {
            tungstenite::HandshakeError::Interrupted(_) => NoAnswer::Deaf(patience),
            tungstenite::HandshakeError::Failure(error) => lost(&error, patience),
        })?;
        let mut client = Self { socket, hello: None, asked: 0, events: VecDeque::new(), patience };
        let hello = client.call::<Connect>(&introduction())?;
        check(&hello, state_dir)?;
        client.hello = Some(hello);
        Ok(client)
    }

    /// What it said when it let us in.
    pub(crate) fn hello(&self) -> &HelloOk {
        self.hello.as_ref().expect("a client is handed out after its hello only")
    }

    /// How long to wait for an answer from now on.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Asks and waits for the answer. Events that come meanwhile are kept.
    pub(crate) fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Reply, NoAnswer> {
        let id = self.send(M::NAME, params)?;
        let response = self.response(&id)?;
        match (response.error, response.payload) {
            (Some(refusal), _) => Err(NoAnswer::Refused(refusal)),
            (None, payload) => {
                let text = payload.as_deref().map_or("null", RawValue::get);
                serde_json::from_str(text).map_err(|error| NoAnswer::Broken(format!("{}: {error}", M::NAME)))
            }
        }
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, method: &str, params: &impl Serialize) -> Result<String, NoAnswer> {
        self.asked += 1;
        let id = self.asked.to_string();
        let text = write_request(&id, method, params).map_err(|error| NoAnswer::Broken(error.to_string()))?;
        let sent = self.socket.send(Message::text(text));
        sent.map_err(|error| lost(&error, self.patience))?;
        Ok(id)
    }

    /// Waits for a response to the request with this id.
    pub(crate) fn response(&mut self, id: &str) -> Result<Response, NoAnswer> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.read(deadline)? {
                FromServer::Response(it) if it.id == id => return Ok(it),
                FromServer::Response(_) => {}
                FromServer::Event(it) => self.events.push_back(it),
            }
        }
    }

    /// Waits for an event, or for a response to the request with this id, whichever comes first.
    pub(crate) fn next(&mut self, id: Option<&str>) -> Result<FromServer, NoAnswer> {
        if let Some(event) = self.events.pop_front() {
            return Ok(FromServer::Event(event));
        }
        let deadline = Instant::now() + self.patience;
        loop {
            match self.read(deadline)? {
                FromServer::Response(it) if Some(it.id.as_str()) != id => {}
                other => return Ok(other),
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<FromServer, NoAnswer> {
        loop {
            bound(&self.socket.get_ref().0, deadline).map_err(|_| NoAnswer::Deaf(self.patience))?;
            let message = self.socket.read().map_err(|error| lost(&error, self.patience))?;
            let Message::Text(text) = message else { continue };
            if let Some(frame) = read_from_server(&text) {
                return Ok(frame);
            }
        }
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        undisturbed(|| self.0.read(bytes))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        undisturbed(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        undisturbed(|| self.0.flush())
    }
}

/// A call on a socket with a time limit is not taken up again by the kernel after a signal.
fn undisturbed<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A socket can be moved and a folder copied: who answers says itself where it lives.
fn check(hello: &HelloOk, state_dir: &Path) -> Result<(), NoAnswer> {
    let real = |it: &Path| std::fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
    let theirs = hello.snapshot.state_dir.as_deref().map(|it| real(Path::new(it)));
    if theirs.as_deref() == Some(&real(state_dir)) {
        return Ok(());
    }
    let name = &hello.server.instance;
    Err(NoAnswer::Broken(format!("instance {name} answers in the place of {}", state_dir.display())))
}

/// Lets the next read end at the deadline.
fn bound(stream: &UnixStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))
}

fn lost(error: &tungstenite::Error, patience: Duration) -> NoAnswer {
    match error {
        tungstenite::Error::Io(it)
            if matches!(it.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            NoAnswer::Deaf(patience)
        }
        other => NoAnswer::Lost(other.to_string()),
    }
}

/// How a command introduces itself; without any credential.
pub(crate) fn introduction() -> ConnectParams {
    ConnectParams {
        min_protocol: VERSIONS.0,
        max_protocol: VERSIONS.1,
        client: Program {
            id: "cli".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: std::env::consts::OS.to_owned(),
            mode: "cli".to_owned(),
            display_name: None,
            device_family: None,
            model_identifier: None,
            instance_id: None,
        },
        role: None,
        scopes: Scope::ALL.iter().map(|it| it.name().to_owned()).collect(),
        caps: vec![CAP_TOOL_EVENTS.to_owned()],
        commands: Vec::new(),
        permissions: serde_json::Map::new(),
        auth: None,
        device: None,
    }
}
