//! Many connections on one thread, as cheap as they can be made: what is measured is the other side.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use serde_json::{Value, json};

use crate::client::Client;

/// How long nothing may come.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
/// The head of a frame from the server that is an answer.
const RESPONSE: &[u8] = b"{\"type\":\"res\"";

/// Connections that have said hello.
pub(crate) struct Crowd {
    poll: OwnedFd,
    members: Vec<Member>,
}

struct Member {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Still to come of a frame whose beginning was looked at.
    skip: usize,
    asked: Instant,
}

impl Crowd {
    /// Connects so many, one after the other.
    pub(crate) fn connect(port: u16, token: &str, n: usize) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut members = Vec::with_capacity(n);
        for at in 0..n {
            let client = Client::connect_when_ready(port, token, Duration::from_secs(60))
                .with_context(|| format!("connection {at} of {n}"))?;
            let stream = client.into_stream()?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(at as u64);
            epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
            members.push(Member { stream, unread: Vec::new(), skip: 0, asked: Instant::now() });
        }
        Ok(Self { poll, members })
    }

    /// Each asks, and again as soon as it is answered, until there are `total` answers: how long each took, and all.
    pub(crate) fn ask(&mut self, method: &str, total: usize) -> Result<(Vec<Duration>, Duration)> {
        let frame = request(method, &json!({}));
        let began = Instant::now();
        for member in &mut self.members {
            member.send(&frame)?;
        }
        let mut took = Vec::with_capacity(total + self.members.len());
        let mut under_way = self.members.len();
        while under_way > 0 {
            for at in self.readable()? {
                let member = &mut self.members[at];
                for _ in 0..member.read(RESPONSE)? {
                    took.push(member.asked.elapsed());
                    if took.len() + under_way > total {
                        under_way -= 1;
                    } else {
                        member.send(&frame)?;
                    }
                }
            }
        }
        Ok((took, began.elapsed()))
    }

    /// Waits until each has had a frame that begins with `head`; how long that took since `began`.
    pub(crate) fn hear(&mut self, head: &[u8], began: Instant) -> Result<Duration> {
        let mut deaf: Vec<bool> = vec![true; self.members.len()];
        let mut left = deaf.len();
        while left > 0 {
            for at in self.readable()? {
                if self.members[at].read(head)? > 0 && std::mem::take(&mut deaf[at]) {
                    left -= 1;
                }
            }
        }
        Ok(began.elapsed())
    }

    fn readable(&self) -> Result<Vec<usize>> {
        let mut events = Vec::with_capacity(256);
        epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&PATIENCE))?;
        ensure!(!events.is_empty(), "nothing came for a minute");
        events.iter().map(|it| Ok(usize::try_from(it.data.u64())?)).collect()
    }
}

/// Asks without ever reading the answers, until no more is taken.
pub(crate) fn overfeed(client: Client, method: &str) -> Result<TcpStream> {
    let mut stream = client.into_stream()?;
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    let frame = request(method, &json!({}));
    for _ in 0..200_000 {
        if stream.write_all(&frame).is_err() {
            break;
        }
    }
    Ok(stream)
}

impl Member {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.asked = Instant::now();
        // A request is smaller than any socket's buffer, and only one is under way.
        self.stream.write_all(frame).context("a request was not taken")
    }

    /// Reads what there is; how many frames of it begin with `head`.
    fn read(&mut self, head: &[u8]) -> Result<usize> {
        let mut buffer = [0; 65_536];
        let n = match self.stream.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the other side closed a connection"),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut fresh = &buffer[..n];
        let skipped = self.skip.min(n);
        self.skip -= skipped;
        fresh = &fresh[skipped..];
        self.unread.extend_from_slice(fresh);
        let mut found = 0;
        while let Some((header, length)) = frame_size(&self.unread) {
            let looked = head.len().min(length);
            if self.unread.len() < header + looked {
                break;
            }
            found += usize::from(self.unread[header..].starts_with(head));
            let whole = header + length;
            self.skip = whole.saturating_sub(self.unread.len());
            self.unread.drain(..whole.min(self.unread.len()));
        }
        Ok(found)
    }
}

/// Bytes of the header and of the payload of the frame that begins here.
fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(*bytes.get(1)? & 127);
    match short {
        126 => {
            let it = bytes.get(2..4)?;
            Some((4, usize::from(u16::from_be_bytes([it[0], it[1]]))))
        }
        127 => {
            let it: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(it)).ok()?))
        }
        it => Some((2, it)),
    }
}

/// A request as it goes over the wire, masked with nothing.
fn request(method: &str, params: &Value) -> Vec<u8> {
    let text = json!({"type": "req", "id": "q", "method": method, "params": params}).to_string();
    let length = u16::try_from(text.len()).expect("a short request");
    let mut frame = vec![0x81];
    if length < 126 {
        frame.push(0x80 | u8::try_from(length).expect("below 126"));
    } else {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}
