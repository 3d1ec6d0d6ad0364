//! One WebSocket connection: the challenge, the hello, then requests in and responses and events out.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use base::clock;
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use protocol::error::close;
use protocol::event::{CHALLENGE, Name, WhenSlow};
use protocol::frame::{self, NotARequest, read_request};
use protocol::{Refusal, connect};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::audience::{Client, Ending, Outbox};
use crate::framing;
use crate::handshake::{self, Admitted, Refused};
use crate::limits::{BEFORE_AUTH_BYTES, GOODBYE, HANDSHAKE, PING, POLICY, REQUESTS, SLICE, UNREAD};
use crate::server::{Entry, Pass};
use crate::table::Caller;

type Socket = WebSocketStream<Gate>;

/// Bytes from which a text is too large for a buffer that is kept.
const LARGE: usize = 2048;
/// Every so many ticks a connection is told how the gateway is.
const HEALTH_TICKS: u32 = 2;

/// A connection that has said hello.
pub(crate) struct Begun {
    socket: Box<Socket>,
    id: String,
    admitted: Box<Admitted>,
}

/// Sees one connection in, or turns it away.
pub(crate) async fn begin(
    entry: &Entry,
    upgraded: Upgraded,
    pass: Pass,
    stop: &CancellationToken,
) -> Option<Begun> {
    let left = Arc::new(AtomicUsize::new(BEFORE_AUTH_BYTES));
    let gate = Gate { io: TokioIo::new(upgraded), left: left.clone(), waiting: Vec::new(), written: 0 };
    let socket = WebSocketStream::from_raw_socket(gate, Role::Server, Some(framing::limits())).await;
    let mut socket = Box::new(socket);
    let id = uuid::Uuid::new_v4().to_string();
    let greeting = timeout(HANDSHAKE, greet(entry, &mut socket, &id, &left));
    let why = match stop.run_until_cancelled(greeting).await {
        Some(Ok(Ok(admitted))) => {
            left.store(usize::MAX, Ordering::Relaxed);
            drop(pass);
            return Some(Begun { socket, id, admitted: Box::new(admitted) });
        }
        Some(Ok(Err(why))) => why,
        Some(Err(_)) => Gone::closing(close::NORMAL, ""),
        None => Gone::closing(close::RESTART, "service restart"),
    };
    turn_away(&mut socket, &why).await;
    None
}

/// Why a connection ends: what is said before, and the close frame.
struct Gone {
    response: Option<String>,
    code: u16,
    reason: String,
}

impl Gone {
    fn closing(code: u16, reason: &str) -> Self {
        Self { response: None, code, reason: reason.to_owned() }
    }
}

async fn turn_away(socket: &mut Socket, why: &Gone) {
    if let Some(text) = &why.response
        && socket.send(Message::text(text.as_str())).await.is_err()
    {
        return;
    }
    close_socket(socket, why.code, &why.reason).await;
}

async fn close_socket(socket: &mut Socket, code: u16, reason: &str) {
    Box::pin(close_in_words(socket, code, reason)).await;
}

async fn close_in_words(socket: &mut Socket, code: u16, reason: &str) {
    let reason = base::text::head(reason, close::REASON_BYTES).to_owned();
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) };
    // The peer may be gone or deaf; it is closed either way.
    let bye = async {
        let _ = socket.close(Some(frame)).await;
        // Waits for its close, so that what was said before is not lost in a reset.
        while let Some(Ok(_)) = socket.next().await {}
        // Whoever sends on without minding frames is read as well, and not looked at.
        let gate = socket.get_mut();
        gate.left.store(usize::MAX, Ordering::Relaxed);
        let mut rest = [0; 4096];
        while gate.read(&mut rest).await.is_ok_and(|it| it > 0) {}
    };
    let _ = timeout(GOODBYE, bye).await;
}

/// The challenge, the `connect`, the hello.
async fn greet(entry: &Entry, socket: &mut Socket, id: &str, left: &AtomicUsize) -> Result<Admitted, Gone> {
    let nonce = uuid::Uuid::new_v4().to_string();
    let challenge = to_raw_value(&json!({"nonce": nonce, "ts": clock::now_ms()})).expect("JSON");
    let lost = |_: tungstenite::Error| Gone::closing(close::NORMAL, "");
    socket.send(Message::text(frame::write_event(CHALLENGE, &challenge, None, None))).await.map_err(lost)?;
    let text = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) => return Err(Gone::closing(close::NORMAL, "")),
            Some(Ok(_)) => return Err(Gone::closing(close::POLICY, "invalid request frame")),
            Some(Err(tungstenite::Error::Capacity(_))) => return Err(too_much()),
            Some(Err(_)) if left.load(Ordering::Relaxed) == 0 => return Err(too_much()),
            Some(Err(error)) => {
                let (code, reason) = framing::close_of(&error);
                return Err(Gone::closing(if code == 0 { close::NORMAL } else { code }, reason));
            }
            None => return Err(Gone::closing(close::NORMAL, "")),
        }
    };
    let request = match read_request(&text) {
        Ok(it) => it,
        Err(NotARequest::NotJson) => return Err(Gone::closing(close::NORMAL, "")),
        Err(NotARequest::Shape(_)) => return Err(Gone::closing(close::POLICY, "invalid request frame")),
    };
    let admitted = if request.method == "connect" {
        handshake::admit(&entry.gateway, entry.peer, &nonce, request.params).await
    } else {
        Err(Refused::from(Refusal::invalid("invalid handshake: first request must be connect")))
    };
    let admitted = admitted.map_err(|refused| {
        let Refused { refusal, close, reason } = refused;
        debug!(peer = ?entry.peer, origin = ?entry.origin, "a connection was refused: {refusal}");
        let response = frame::write_response(&request.id, None, Some(&refusal));
        Gone { response: Some(response), code: close, reason: reason.unwrap_or(refusal.message) }
    })?;
    let hello: connect::HelloOk = handshake::hello(&entry.gateway, &admitted, id, entry.table.names());
    let body = to_raw_value(&hello).expect("a hello always writes");
    let text = frame::write_response(&request.id, Some(&body), None);
    feed(socket, text).await.map_err(lost)?;
    socket.flush().await.map_err(lost)?;
    Ok(admitted)
}

fn too_much() -> Gone {
    Gone::closing(close::TOO_BIG, "preauth payload too large")
}

/// Requests, responses and events, until either side has enough.
pub(crate) async fn talk(entry: &Entry, begun: Begun, stop: &CancellationToken) {
    let Begun { mut socket, id, admitted } = begun;
    let (client, mut outbox, gone, leash) = enter(&id, *admitted);
    entry.gateway.audience.join(client.clone());
    entry.gateway.came(&client);
    entry.gateway.node_came(&client);
    let ending = outbox.ending.clone();
    let (code, reason) = tokio::select! {
        biased;
        (code, reason) = ending.ended() => (code, Cow::Owned(reason)),
        (code, reason) = leash.ended() => (code, Cow::Owned(reason)),
        () = gone.cancelled() => (close::AUTH_CHANGED, Cow::Borrowed("gateway auth changed")),
        (code, reason) = exchange(entry, &mut socket, &client, &mut outbox) => (code, Cow::Borrowed(reason)),
        () = stop.cancelled() => (close::RESTART, Cow::Borrowed("service restart")),
    };
    entry.gateway.audience.leave(&id);
    entry.gateway.went(&client);
    entry.gateway.node_went(&client);
    if code == close::RESTART || client.is_keeping_up() {
        // What was said to it before, the end of its turn most of all, still goes out.
        let _ = timeout(std::time::Duration::from_secs(1), write_all(&mut socket, &mut outbox)).await;
    }
    if code != 0 {
        close_socket(&mut socket, code, &reason).await;
    }
}

/// Apart from the rest, so that what was found out about it is not kept twice.
fn enter(id: &str, admitted: Admitted) -> (Arc<Client>, Outbox, CancellationToken, Ending) {
    let (client, outbox) = Client::new(id, admitted.who);
    (client, outbox, admitted.gone, admitted.leash)
}

async fn write_all(socket: &mut Socket, outbox: &mut Outbox) {
    while let Some(text) = outbox.ready() {
        if feed(socket, text).await.is_err() {
            return;
        }
    }
    let _ = socket.flush().await;
}

/// Code 0 means that the other side is gone already.
async fn exchange(
    entry: &Entry,
    socket: &mut Socket,
    client: &Arc<Client>,
    outbox: &mut Outbox,
) -> (u16, &'static str) {
    let tick_every = std::time::Duration::from_millis(POLICY.tick_interval_ms);
    let mut tick = interval_at(Instant::now() + tick_every, tick_every);
    let mut ping = interval_at(Instant::now() + PING, PING);
    let (mut answered, mut ticks) = (true, 0_u32);
    let mut under_way = FuturesUnordered::new();
    let mut turn = Instant::now();
    loop {
        if turn.elapsed() > SLICE {
            // Whoever asks without end does not keep the others waiting.
            tokio::task::yield_now().await;
            turn = Instant::now();
        }
        tokio::select! {
            // Whoever leaves its answers unread is not asked for more.
            incoming = socket.next(), if client.waiting() < UNREAD => match incoming {
                Some(Ok(Message::Text(text))) => match take(client, &text) {
                    Some(asked) if under_way.len() < REQUESTS => under_way.push(answer(entry, client, asked)),
                    Some(asked) => busy(client, &asked),
                    None => {}
                },
                Some(Ok(Message::Pong(_))) => answered = true,
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => return (1003, "only text frames are understood"),
                Some(Ok(Message::Close(_))) => {
                    // The answer to it is written already, and goes out with this.
                    let _ = timeout(GOODBYE, socket.flush()).await;
                    return (0, "");
                }
                None => return (0, ""),
                Some(Err(error)) => return framing::close_of(&error),
            },
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            Some(text) = outbox.next() => {
                if write(socket, outbox, text).await.is_err() {
                    return (0, "");
                }
            }
            _ = tick.tick() => {
                let body = to_raw_value(&json!({"ts": clock::now_ms()})).expect("JSON");
                client.tell(Name::Tick, &body, WhenSlow::Skip, None);
                ticks += 1;
                if ticks % HEALTH_TICKS == 0 {
                    entry.gateway.tell_health(client);
                }
            }
            _ = ping.tick() => {
                // While it is not read from, its answer cannot be seen.
                answered |= client.waiting() >= UNREAD;
                if !answered || socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return (0, "");
                }
                answered = false;
            }
        }
    }
}

/// Writes what waits, as one.
async fn write(socket: &mut Socket, outbox: &mut Outbox, first: String) -> Result<(), tungstenite::Error> {
    const AT_ONCE: usize = 64;
    feed(socket, first).await?;
    for _ in 0..AT_ONCE {
        let Some(text) = outbox.ready() else { break };
        feed(socket, text).await?;
    }
    socket.flush().await
}

/// Writes a text. The buffer of the socket keeps the size of what was largest in it, for as long as the connection
/// lives: what is large does not pass through it.
async fn feed(socket: &mut Socket, text: String) -> Result<(), tungstenite::Error> {
    if text.len() < LARGE {
        return socket.feed(Message::text(text)).await;
    }
    socket.flush().await?;
    let frame = Frame::message(text, OpCode::Data(Data::Text), true);
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes)?;
    socket.get_mut().write_next(bytes);
    Ok(())
}

/// A request, out of its frame.
struct Asked {
    id: String,
    method: String,
    params: Option<Box<RawValue>>,
}

fn take(client: &Client, text: &str) -> Option<Asked> {
    match read_request(text) {
        Ok(it) => Some(Asked {
            id: it.id.into_owned(),
            method: it.method.into_owned(),
            params: it.params.map(RawValue::to_owned),
        }),
        Err(NotARequest::NotJson) => None,
        Err(NotARequest::Shape(id)) => {
            let id = id.map_or(Cow::Borrowed("invalid"), Cow::Owned);
            let refusal =
                Refusal::invalid("invalid request frame: expected {type: \"req\", id, method, params?}");
            client.respond(frame::write_response(&id, None, Some(&refusal)));
            None
        }
    }
}

fn busy(client: &Client, asked: &Asked) {
    let text = format!("The server is busy: {REQUESTS} requests of this connection are under way");
    let refusal = Refusal::unavailable(text).retryable();
    client.respond(frame::write_response(&asked.id, None, Some(&refusal)));
}

async fn answer(entry: &Entry, client: &Arc<Client>, asked: Asked) {
    let Asked { id, method, params } = asked;
    let caller = Caller { gateway: entry.gateway.clone(), client: client.clone(), request_id: id.clone() };
    let text = match entry.table.dispatch(&method, caller, params.as_deref()).await {
        Ok(body) => frame::write_response(&id, Some(&body), None),
        Err(refusal) => frame::write_response(&id, None, Some(&refusal)),
    };
    client.respond(text);
}

/// The socket, with a bound on what a peer may send before it is authenticated.
struct Gate {
    io: TokioIo<Upgraded>,
    left: Arc<AtomicUsize>,
    /// What goes out before anything else: a whole frame, however its writing is interrupted.
    waiting: Vec<u8>,
    written: usize,
}

impl Gate {
    /// Has a frame written with the next flush, or before what is written next. What waited is flushed before.
    fn write_next(&mut self, frame: Vec<u8>) {
        (self.waiting, self.written) = (frame, 0);
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let wrote = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting[self.written..]))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += wrote;
        }
        self.write_next(Vec::new());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::Error::other("too much was sent before authentication")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if left != usize::MAX {
            let read = buffer.filled().len() - before;
            self.left.store(left.saturating_sub(read), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
