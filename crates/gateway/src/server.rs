//! The listeners: one TCP port and the control socket, the same protocol on both.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::handshake::Peer;
use crate::http;
use crate::limits::{HEADER_BYTES, HEADERS, LAST_ANSWER, UNAUTHENTICATED};
use crate::state::Gateway;
use crate::supervisor::Stage;
use crate::table::Table;

/// What serves a connection.
pub(crate) struct Entry {
    /// The gateway.
    pub(crate) gateway: Arc<Gateway>,
    /// Its methods.
    pub(crate) table: Arc<Table>,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// Held by every answer over HTTP that is under way.
    pub(crate) busy: Arc<()>,
    lobby: Arc<Lobby>,
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
    fn of(gateway: &Arc<Gateway>, table: &Arc<Table>, peer: Peer, lobby: &Arc<Lobby>) -> Arc<Self> {
        let (gateway, table, lobby) = (gateway.clone(), table.clone(), lobby.clone());
        Arc::new(Self { gateway, table, peer, busy: Arc::default(), lobby })
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
                // Events are small and wanted at once.
                let _ = socket.set_nodelay(true);
                let peer = Peer::Address(address.ip());
                converse(Entry::of(&gateway, &table, peer, &lobby), socket);
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
                    let peer = Peer::Owner;
                    converse(Entry::of(&gateway, &table, peer, &lobby), socket);
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

fn converse<S>(entry: Arc<Entry>, socket: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (gateway, busy) = (entry.gateway.clone(), entry.busy.clone());
    gateway.supervisor.start(Stage::Clients, "request", |stop| async move {
        let serve = service_fn(move |request| http::serve(entry.clone(), request));
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
        let connection = protocol.serve_connection(TokioIo::new(socket), serve).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = match stop.run_until_cancelled(connection.as_mut()).await {
            Some(ended) => ended,
            // An answer that is under way, the end of a turn most of all, still goes out. Nobody else is waited for.
            None if Arc::strong_count(&busy) <= 2 => Ok(()),
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!("a connection ended: {error}");
        }
    });
}
