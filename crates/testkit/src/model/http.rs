//! As much of HTTP/1.1 as a model server needs, written by hand so that the tests can break it on purpose.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;

/// More than any client of the tests sends.
const LONGEST_BODY: usize = 64 << 20;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Reads the next request. `None` when the client is done.
pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let first = line(from)?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (Some(method), Some(path), Some("HTTP/1.1" | "HTTP/1.0")) =
        (words.next(), words.next(), words.next())
    else {
        return Err(bad(&format!("no request line: {first:?}")));
    };
    let mut headers = Vec::new();
    loop {
        let header = line(from)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| bad(&format!("no header: {header:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() };
    request.body = body(from, &request)?;
    Ok(Some(request))
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }
}

/// Sends a whole response with a JSON body.
pub(super) fn respond(to: &TcpStream, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let head = head(status, &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    send(to, &format!("{head}{headers}\r\n{body}"))
}

/// Sends the head of a response whose body is a stream of events.
pub(super) fn begin_stream(to: &TcpStream) -> io::Result<()> {
    let head = head(200, "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n");
    send(to, &format!("{head}cache-control: no-cache\r\n\r\n"))
}

/// Sends one event of a stream.
pub(super) fn event(to: &TcpStream, data: &str) -> io::Result<()> {
    let event = format!("data: {data}\n\n");
    send(to, &format!("{:x}\r\n{event}\r\n", event.len()))
}

/// Sends the end of a stream.
pub(super) fn end_stream(to: &TcpStream) -> io::Result<()> {
    send(to, "0\r\n\r\n")
}

/// Status line and the headers that every response has, each with its line's end.
pub(super) fn head(status: u16, headers: &str) -> String {
    format!(
        "HTTP/1.1 {status} {}\r\nserver: scripted\r\nx-request-id: req_scripted\r\n{headers}",
        reason(status)
    )
}

pub(super) fn send(mut to: &TcpStream, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())
}

/// One line without its end. Empty also at the end of the connection.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(64 << 10).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn body(from: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(from)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_| bad(&format!("no chunk: {size:?}")))?;
            add(from, size, &mut body)?;
            line(from)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = request.header("content-length").unwrap_or("0");
    let length = length.parse().map_err(|_| bad(&format!("no length: {length:?}")))?;
    add(from, length, &mut body)?;
    Ok(body)
}

fn add(from: &mut impl BufRead, size: usize, body: &mut Vec<u8>) -> io::Result<()> {
    if body.len().saturating_add(size) > LONGEST_BODY {
        return Err(bad("the body is too long"));
    }
    let start = body.len();
    body.resize(start + size, 0);
    from.read_exact(&mut body[start..])
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Payload Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        529 => "Overloaded",
        _ => "Status",
    }
}
