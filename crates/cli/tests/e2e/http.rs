//! HTTP as a client without a library speaks it: what is sent is what is written, and the answer is taken apart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::scene::TOKEN;

/// How long one read may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
#[derive(Clone)]
pub(crate) struct Ask {
    port: u16,
    method: String,
    path: String,
    host: String,
    headers: String,
    body: Vec<u8>,
    is_chunked: bool,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// An answer that is read as it comes.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
    pub(crate) status: u16,
}

impl Ask {
    pub(crate) fn get(port: u16, path: &str) -> Ask {
        Ask::of(port, "GET", path)
    }

    pub(crate) fn post(port: u16, path: &str, body: &Value) -> Ask {
        Ask::of(port, "POST", path).header("Content-Type: application/json").body(body.to_string().as_bytes())
    }

    pub(crate) fn of(port: u16, method: &str, path: &str) -> Ask {
        Ask {
            port,
            method: method.to_owned(),
            path: path.to_owned(),
            host: format!("127.0.0.1:{port}"),
            headers: String::new(),
            body: Vec::new(),
            is_chunked: false,
        }
    }

    pub(crate) fn host(mut self, host: &str) -> Ask {
        host.clone_into(&mut self.host);
        self
    }

    pub(crate) fn header(mut self, line: &str) -> Ask {
        self.headers = format!("{}{line}\r\n", self.headers);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Ask {
        self.header(&format!("Authorization: Bearer {token}"))
    }

    /// With the secret of the scene.
    pub(crate) fn known(self) -> Ask {
        self.bearer(TOKEN)
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Ask {
        self.body = body.to_vec();
        self
    }

    /// The length is not announced.
    pub(crate) fn chunked(mut self) -> Ask {
        self.is_chunked = true;
        self
    }

    /// Sends it, and leaves the answer where it is.
    #[track_caller]
    pub(crate) fn open(&self) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let Ask { method, path, host, headers, body, .. } = self;
        let length = match (self.is_chunked, body.len()) {
            (true, _) => "Transfer-Encoding: chunked\r\n".to_owned(),
            (false, 0) if method != "POST" => String::new(),
            (false, length) => format!("Content-Length: {length}\r\n"),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        // Who is refused for its size may be hung up on while it still sends.
        let _ = if self.is_chunked { write_chunks(&mut stream, body) } else { stream.write_all(body) };
        stream
    }

    #[track_caller]
    pub(crate) fn send(&self) -> Answer {
        let mut bytes = Vec::new();
        // A connection that is reset after its answer has answered.
        let _ = self.open().read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if is_chunked { unchunked(body) } else { body.to_owned() };
        Answer { status, head: head.to_owned(), body }
    }

    /// Sends it, and reads the head of the answer.
    #[track_caller]
    pub(crate) fn stream(&self) -> Stream {
        let mut reader = BufReader::new(self.open());
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        Stream { reader, status }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// Checks the status and returns the body.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|it| it.split_once(": "));
        lines.into_iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What stands behind each `data: ` of a stream.
    pub(crate) fn data(&self) -> Vec<&str> {
        self.body.lines().filter_map(|it| it.strip_prefix("data: ")).collect()
    }
}

impl Stream {
    /// Reads until a line holds `needle`.
    #[track_caller]
    pub(crate) fn wait(&mut self, needle: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line).expect("more");
            assert!(read > 0, "the stream ended before {needle:?}");
            if line.contains(needle) {
                return line;
            }
        }
    }

    /// Reads to the end.
    pub(crate) fn rest(mut self) -> String {
        let mut text = String::new();
        let _ = self.reader.read_to_string(&mut text);
        text
    }
}

fn write_chunks(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    for chunk in body.chunks(64 * 1024) {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn unchunked(body: &str) -> String {
    let mut text = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or_default();
        if size == 0 || after.len() < size {
            break;
        }
        text.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    text
}
