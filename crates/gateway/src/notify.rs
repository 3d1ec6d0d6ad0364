//! Tells whoever started the gateway how it is, in systemd's protocol: a datagram to `NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use std::time::Duration;

use profile::Ambient;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// It answers now.
pub(crate) const READY: &str = "READY=1\nSTATUS=ready\nWATCHDOG=1";
/// It was asked to stop, and is about to.
pub(crate) const STOPPING: &str = "STOPPING=1\nSTATUS=stopping";

/// It begins again under a changed config, and says when it is ready.
pub(crate) fn reloading() -> String {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
    format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=restarting for a changed config\nWATCHDOG=1")
}

/// How often whoever started us wants to hear that we are alive: half of what it waits for. `None` where it does not
/// watch, or watches another process.
pub(crate) fn rhythm(ambient: &Ambient) -> Option<Duration> {
    let limit: u64 = ambient.var("WATCHDOG_USEC")?.parse().ok()?;
    let watched = ambient.var("WATCHDOG_PID").is_none_or(|it| it.parse() == Ok(std::process::id()));
    (watched && limit > 0).then(|| Duration::from_micros(limit / 2))
}

/// Says that we are alive, out of the event loop itself, so that a loop which hangs is heard by its silence.
pub(crate) async fn watchdog(ambient: Ambient, rhythm: Duration, stop: CancellationToken) {
    while tokio::time::timeout(rhythm, stop.cancelled()).await.is_err() {
        tell(&ambient, "WATCHDOG=1");
    }
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_the_watched_process_speaks() {
        let own = std::process::id().to_string();
        for (variables, wanted) in [
            (vec![], None),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
            (vec![("WATCHDOG_USEC", "2000000")], Some(Duration::from_secs(1))),
            (vec![("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "1")], None),
            (vec![("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", &own)], Some(Duration::from_secs(1))),
        ] {
            assert_eq!(rhythm(&Ambient::of(&variables, Path::new("/"))), wanted, "{variables:?}");
        }
        let told = reloading();
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    }
}
