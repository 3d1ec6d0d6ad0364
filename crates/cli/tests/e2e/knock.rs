//! A gateway's port below HTTP and below WebSocket: bytes, from an address of choice.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::{Value, json};
use testkit::wire::connect_params;

use crate::scene::TOKEN;

/// How long one read may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent to be upgraded, without the headers `Host` and what a test adds.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A connection to 127.0.0.1 from one of the many addresses of loopback.
///
/// # Errors
/// When this process has no descriptor left, or nobody listens.
pub(crate) fn dial_from(from: Ipv4Addr, port: u16) -> rustix::io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    Ok(stream)
}

/// A connection to one address.
#[track_caller]
pub(crate) fn dial(address: IpAddr, port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from((address, port))).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// Sends bytes and reads all that comes until the gateway hangs up.
#[track_caller]
pub(crate) fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> String {
    // It may have enough before the end.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let is_over = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(is_over, "{error} after {}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 where there is none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Status of a plain request by this `Host`.
#[track_caller]
pub(crate) fn get(stream: impl Read + Write, host: &str, more: &str) -> u16 {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    status(&exchange(stream, request.as_bytes()))
}

/// Upgrades, and reads no further than the head of the answer.
#[track_caller]
pub(crate) fn upgrade(stream: &mut TcpStream, host: &str, more: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}{more}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("it answers") == 1 {
        head.push(byte[0]);
    }
    status(&String::from_utf8_lossy(&head))
}

/// A frame as a client sends it. `first` has the flags and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64, 0x80);
    bytes.extend([1, 2, 3, 4]);
    bytes.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(it, mask)| it ^ mask));
    bytes
}

/// The flags, the opcode and the length of a frame; `mask` is 0x80 where a mask follows.
pub(crate) fn header(first: u8, length: u64, mask: u8) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(mask | length as u8),
        126..0x1_0000 => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// The next frame of the gateway: its first byte and its payload; `None` when it has hung up.
pub(crate) fn read_frame(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let length = match head[1] {
        126 => {
            let mut it = [0; 2];
            stream.read_exact(&mut it).ok()?;
            u64::from(u16::from_be_bytes(it))
        }
        127 => {
            let mut it = [0; 8];
            stream.read_exact(&mut it).ok()?;
            u64::from_be_bytes(it)
        }
        it => u64::from(it),
    };
    let mut payload = vec![0; usize::try_from(length).expect("a short frame")];
    stream.read_exact(&mut payload).ok()?;
    Some((head[0], payload))
}

/// Reads until the gateway closes: the code of its close frame, 0 where it hung up without one.
pub(crate) fn closed(stream: &mut impl Read) -> u16 {
    while let Some((first, payload)) = read_frame(stream) {
        if first & 0x0f == 8 {
            return payload.get(..2).map_or(1005, |it| u16::from_be_bytes([it[0], it[1]]));
        }
    }
    0
}

/// A bare connection that has said hello.
#[track_caller]
pub(crate) fn hello(port: u16) -> TcpStream {
    let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
    assert_eq!(upgrade(&mut stream, &format!("127.0.0.1:{port}"), ""), 101);
    let request = json!({"type": "req", "id": "c", "method": "connect", "params": connect_params(TOKEN)});
    stream.write_all(&frame(0x81, request.to_string().as_bytes())).expect("it reads");
    assert_eq!(response(&mut stream, "c")["ok"], true);
    stream
}

/// Waits for the response with this id.
#[track_caller]
pub(crate) fn response(stream: &mut impl Read, id: &str) -> Value {
    loop {
        let (_, payload) = read_frame(stream).expect("it answers");
        match serde_json::from_slice::<Value>(&payload) {
            Ok(frame) if frame["id"] == id => return frame,
            _ => continue,
        }
    }
}

/// The memory of a process that is its own, in bytes.
#[track_caller]
pub(crate) fn memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find(|it| it.starts_with("RssAnon:")).expect("the kernel tells");
    let kilobytes: u64 =
        line.split_ascii_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number");
    kilobytes * 1024
}
