//! Knocks at a running gateway's port as a stranger would: without a token, from a foreign page, by a foreign name. Each
//! must be refused. No secret is sent.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fleet::audit::{Exposure, Severity};
use protocol::Method;
use protocol::connect::Connect;
use protocol::frame::{FromServer, read_from_server, write_request};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::client::introduction;

/// A name that is nobody's.
const FOREIGN: &str = "stranger.example";
/// The most bytes of an answer that are read.
const LARGEST: u64 = 16 * 1024;
/// What is sent to be upgraded; the key is the one of the protocol's own example.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What came of it.
pub(super) struct Probed {
    url: Option<String>,
    knocks: Vec<Knock>,
    error: Option<String>,
}

struct Knock {
    id: &'static str,
    what: &'static str,
    /// What happened, where it was let in or could not be told.
    got: String,
    ok: bool,
}

/// Knocks.
pub(super) fn knock(port: u16, patience: Duration) -> Probed {
    let own = format!("127.0.0.1:{port}");
    let ask = |path: &str, host: &str, more: &str| {
        get(
            port,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"),
            patience,
        )
    };
    let upgrade =
        |more: &str| get(port, &format!("GET / HTTP/1.1\r\nHost: {own}\r\n{UPGRADE}{more}\r\n"), patience);
    let foreign = format!("Origin: https://{FOREIGN}\r\n");
    let elsewhere = format!("Origin: http://127.0.0.1:{}\r\n", port ^ 1);
    let knocks = vec![
        refused("host", "a foreign name", ask("/healthz", &format!("{FOREIGN}:{port}"), "")),
        refused("origin", "a foreign page", ask("/healthz", &own, &foreign)),
        refused("upgrade_origin", "a foreign page's WebSocket", upgrade(&foreign)),
        refused("upgrade_neighbour", "a page of another port", upgrade(&elsewhere)),
        silent("readiness", "what is wrong, told to strangers", ask("/readyz", &own, "")),
        credential(port, patience),
    ];
    Probed { url: Some(format!("ws://{own}")), knocks, error: None }
}

/// Anything but a refusal is a way in.
fn refused(id: &'static str, what: &'static str, answer: io::Result<(u16, String)>) -> Knock {
    match answer {
        Ok((status, _)) => {
            Knock { id, what, got: format!("HTTP {status}"), ok: (400..500).contains(&status) }
        }
        Err(error) => Knock { id, what, got: error.to_string(), ok: closed(&error) },
    }
}

/// An answer that names no folder and no instance.
fn silent(id: &'static str, what: &'static str, answer: io::Result<(u16, String)>) -> Knock {
    match answer {
        Ok((status, body)) => {
            let tells = ["stateDir", "problems", "instance"].iter().any(|it| body.contains(it));
            Knock { id, what, got: format!("HTTP {status}"), ok: !tells }
        }
        Err(error) => Knock { id, what, got: error.to_string(), ok: closed(&error) },
    }
}

/// To be hung up on is to be refused; not to be answered is not.
fn closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
    )
}

fn credential(port: u16, patience: Duration) -> Knock {
    let (id, what) = ("no_token", "a client without a token");
    let (got, ok) = match connect(port, patience) {
        Ok(None) => ("hello".to_owned(), false),
        Ok(Some(words)) => (words, true),
        Err(words) => (words, false),
    };
    Knock { id, what, got, ok }
}

/// `None` when it was let in, else in which words it was refused.
fn connect(port: u16, patience: Duration) -> Result<Option<String>, String> {
    let stream = dial(port, patience).map_err(|error| error.to_string())?;
    let (mut socket, _) =
        tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream).map_err(|error| error.to_string())?;
    let request = write_request("1", Connect::NAME, &introduction()).map_err(|error| error.to_string())?;
    socket.send(Message::text(request)).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match socket.read() {
            Ok(Message::Text(text)) => match read_from_server(&text) {
                Some(FromServer::Response(it)) => {
                    return Ok(it.error.map(|it| base::text::line(&it.message, 120)));
                }
                _ => continue,
            },
            Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => {
                return Ok(Some("closed".to_owned()));
            }
            Ok(_) => continue,
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("no answer".to_owned())
}

fn dial(port: u16, patience: Duration) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// The status and the rest of what is answered.
fn get(port: u16, request: &str, patience: Duration) -> io::Result<(u16, String)> {
    let mut stream = dial(port, patience)?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let read = stream.take(LARGEST).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|it| it.parse().ok());
    match (status, read) {
        (Some(status), _) => Ok((status, text)),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Probed {
    /// There is nobody to knock at.
    pub(super) fn not_attempted(why: &str) -> Self {
        Self { url: None, knocks: Vec::new(), error: Some(why.to_owned()) }
    }

    /// One for each way in.
    pub(super) fn exposures(&self) -> Vec<Exposure> {
        let mut found: Vec<Exposure> = self
            .knocks
            .iter()
            .filter(|it| !it.ok)
            .map(|it| {
                let detail = format!("{}: {}", it.what, it.got);
                let title = "The gateway did not refuse a stranger";
                Exposure::new("gateway.probe_failed", Severity::Critical, title, detail)
                    .remedy("stop the gateway, and restart it with a version that refuses")
            })
            .collect();
        if let Some(error) = &self.error {
            let title = "The gateway was not knocked at";
            let it = Exposure::new("gateway.not_probed", Severity::Info, title, error.clone());
            found.push(it.remedy("start it, and look again"));
        }
        found
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        let refused = self.knocks.iter().filter(|it| it.ok).count();
        match &self.error {
            Some(error) => format!("not knocked at: {error}"),
            None => {
                format!("knocked {} times without a credential: refused {refused} times", self.knocks.len())
            }
        }
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let failed = self.knocks.iter().find(|it| !it.ok);
        let error = self.error.clone().or_else(|| failed.map(|it| format!("{}: {}", it.what, it.got)));
        let probes: Vec<Value> = self
            .knocks
            .iter()
            .map(|it| json!({"id": it.id, "what": it.what, "got": it.got, "ok": it.ok}))
            .collect();
        json!({
            "gateway": {
                "attempted": self.url.is_some(), "url": self.url, "ok": self.url.is_some() && failed.is_none(),
                "error": error, "close": null,
            },
            "probes": probes,
        })
    }
}
