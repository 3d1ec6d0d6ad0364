//! Tells whoever started the gateway how it is, in systemd's protocol: a datagram to `NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use profile::Ambient;
use tracing::debug;

/// It answers now.
pub(crate) const READY: &str = "READY=1";
/// It begins again under a changed config, and says when it is ready.
pub(crate) const RELOADING: &str = "STATUS=restarting for a changed config";
/// It was asked to stop, and is about to.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Sends a state. Nobody listens where nobody asked for it.
pub(crate) fn tell(ambient: &Ambient, state: &str) {
    let Some(name) = ambient.var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    };
    let told = address.and_then(|it| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &it));
    if let Err(error) = told {
        debug!("the supervisor cannot be told {state}: {error}");
    }
}
