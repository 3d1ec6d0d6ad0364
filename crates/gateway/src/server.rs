//! The listeners: one TCP port and the control socket, the same protocol on both.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::door::Place;
use crate::handshake::Peer;
use crate::http::{self, Answer};
use crate::limits::{HEADER_BYTES, HEADERS, LAST_ANSWER, UNAUTHENTICATED};
use crate::proxies::{self, Origin};
use crate::state::Gateway;
use crate::supervisor::Stage;
use crate::table::Table;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// What is said to a plain request where TLS is spoken.
const NO_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
                       Content-Length: 53\r\n\r\nthis port speaks TLS: connect with https:// or wss://";

/// What serves a connection.
pub(crate) struct Entry {
    /// The gateway.
    pub(crate) gateway: Arc<Gateway>,
    /// Its methods.
    pub(crate) table: Arc<Table>,
    /// Who is at the other end, or behind it where that is a proxy that is believed.
    pub(crate) peer: Peer,
    /// Held by every answer over HTTP that is under way.
    pub(crate) busy: Arc<()>,
    /// By whose word that is so.
    pub(crate) origin: Origin,
    /// The address that it came to, where that is not loopback.
    pub(crate) local: Option<IpAddr>,
    lobby: Arc<Lobby>,
    /// Kept as long as anybody serves it.
    _place: Option<Arc<Place>>,
}

/// Who is connected and not authenticated yet, by address.
#[derive(Debug, Default)]
pub(crate) struct Lobby(Mutex<HashMap<IpAddr, usize>>);

/// A place in the lobby, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    lobby: Arc<Lobby>,
    address: Option<IpAddr>,
}

impl Entry {
    /// For one request, whose headers may say for whom a proxy speaks.
    fn of_request(self: &Arc<Self>, request: &Request<Incoming>) -> Arc<Self> {
        let Peer::Address(address) = self.peer else { return self.clone() };
        let origin = proxies::origin(address, request.headers(), &self.gateway.force().config.gateway);
        let peer = match origin {
            Origin::Direct => return self.clone(),
            Origin::Unbelieved => {
                self.gateway.door.not_believed(address);
                self.peer
            }
            Origin::Behind(client) => Peer::Address(client),
        };
        Arc::new(Self {
            gateway: self.gateway.clone(),
            table: self.table.clone(),
            peer,
            busy: self.busy.clone(),
            origin,
            local: self.local,
            lobby: self.lobby.clone(),
            _place: self._place.clone(),
        })
    }

    /// A place among those who are not authenticated yet; `None` when their address has too many.
    pub(crate) fn gateway_pass(&self) -> Option<Pass> {
        let address = match self.peer {
            Peer::Owner => None,
            Peer::Address(it) => Some(it.to_canonical()),
        };
        if let Some(address) = address {
            let mut waiting = self.lobby.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = waiting.entry(address).or_default();
            if *count >= UNAUTHENTICATED {
                return None;
            }
            *count += 1;
        }
        Some(Pass { lobby: self.lobby.clone(), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut waiting = self.lobby.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&address);
            }
        }
    }
}

/// Serves a TCP listener until it is stopped.
pub(crate) async fn tcp(
    gateway: Arc<Gateway>,
    table: Arc<Table>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let lobby = Arc::new(Lobby::default());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, address)) => {
                // Without one it is closed at once: who is served already is served well.
                let Some(place) = gateway.door.place() else { continue };
                // Events are small and wanted at once.
                let _ = socket.set_nodelay(true);
                let local = || Some(socket.local_addr().ok()?.ip().to_canonical());
                let entry = Entry {
                    gateway: gateway.clone(),
                    table: table.clone(),
                    peer: Peer::Address(address.ip()),
                    busy: Arc::default(),
                    origin: Origin::Direct,
                    local: if gateway.door.bind.is_beyond_loopback() { local() } else { None },
                    lobby: lobby.clone(),
                    _place: Some(Arc::new(place)),
                };
                accepted_one(Arc::new(entry), socket);
            }
            Err(error) => refused(&error, &stop).await,
        }
    }
}

/// Serves the control socket until it is stopped. The kernel says who is at the other end.
pub(crate) async fn control(
    gateway: Arc<Gateway>,
    table: Arc<Table>,
    listener: UnixListener,
    stop: CancellationToken,
) {
    let lobby = Arc::new(Lobby::default());
    let me = rustix::process::geteuid().as_raw();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, _)) => match socket.peer_cred() {
                Ok(it) if it.uid() == me => {
                    let entry = Entry {
                        gateway: gateway.clone(),
                        table: table.clone(),
                        peer: Peer::Owner,
                        busy: Arc::default(),
                        origin: Origin::Direct,
                        local: None,
                        lobby: lobby.clone(),
                        _place: None,
                    };
                    gateway
                        .supervisor
                        .start(Stage::Clients, "request", |stop| converse(Arc::new(entry), socket, stop));
                }
                Ok(it) => warn!(uid = it.uid(), "another user was refused at the control socket"),
                Err(error) => warn!("the kernel does not say who is at the control socket: {error}"),
            },
            Err(error) => refused(&error, &stop).await,
        }
    }
}

/// Out of descriptors, most likely: the connection waits in the kernel until one is free. Without a pause this
/// would be asked again at once, for ever.
async fn refused(error: &std::io::Error, stop: &CancellationToken) {
    warn!("a connection cannot be accepted: {error}");
    let pause = std::time::Duration::from_millis(100);
    stop.run_until_cancelled(tokio::time::sleep(pause)).await;
}

fn accepted_one(entry: Arc<Entry>, socket: TcpStream) {
    let gateway = entry.gateway.clone();
    gateway.supervisor.start(Stage::Clients, "request", |stop| async move {
        // Whoever says nothing gets no buffers: what follows is made when there is something to read.
        let mut first = [0; 1];
        match stop.run_until_cancelled(timeout(HEADERS, socket.peek(&mut first))).await {
            Some(Ok(Ok(1))) if entry.gateway.door.tls.is_some() => {
                Box::pin(converse_by_tls(entry, socket, first[0], stop)).await;
            }
            Some(Ok(Ok(1))) => Box::pin(converse(entry, socket, stop)).await,
            _ => {}
        }
    });
}

async fn converse_by_tls(entry: Arc<Entry>, mut socket: TcpStream, first: u8, stop: CancellationToken) {
    let Some(tls) = &entry.gateway.door.tls else { return };
    if first != TLS_HANDSHAKE {
        let refuse = async {
            // Read before it is answered: what lies unread when a socket is closed takes the answer with it.
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(NO_TLS).await;
            let _ = socket.shutdown().await;
        };
        let _ = timeout(HEADERS, refuse).await;
        return;
    }
    let shaken = timeout(HEADERS, tls.served().acceptor().accept(socket));
    match stop.run_until_cancelled(shaken).await {
        Some(Ok(Ok(socket))) => converse(entry, socket, stop).await,
        Some(Ok(Err(error))) => debug!("a TLS connection did not come about: {error}"),
        Some(Err(_)) => debug!("a TLS connection did not come about in time"),
        None => {}
    }
}

async fn converse<S>(entry: Arc<Entry>, socket: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let busy = entry.busy.clone();
    let serve = service_fn(move |request: Request<Incoming>| answered(&entry, request));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
    let connection = protocol.serve_connection(TokioIo::new(socket), serve).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // An answer that is under way, the end of a turn most of all, still goes out. Nobody else is waited for.
        () = stop.cancelled() => if Arc::strong_count(&busy) <= 2 {
            Ok(())
        } else {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        },
    };
    if let Err(error) = ended {
        debug!("a connection ended: {error}");
    }
}

fn answered(
    entry: &Arc<Entry>,
    request: Request<Incoming>,
) -> BoxFuture<'static, Result<Answer, Infallible>> {
    let entry = entry.of_request(&request);
    // Its length may have been told in two ways, of which one is not shown here: nothing that follows is read.
    let is_last = request.headers().contains_key(TRANSFER_ENCODING);
    let answered = async move {
        let mut answer = http::serve(entry, request).await?;
        if is_last || answer.status() == StatusCode::BAD_REQUEST {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    };
    Box::pin(answered)
}
