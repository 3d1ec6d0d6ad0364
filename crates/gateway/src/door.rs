//! What the listeners share: where they listen, TLS, how many are served at once, and what was not believed.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use protocol::health::Listening;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::bind::Bind;
use crate::limits::{FILES, FILES_KEPT};
use crate::tls::Tls;

/// The way in by TCP.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where.
    pub(crate) bind: Bind,
    /// With TLS, where the config asks for it.
    pub(crate) tls: Option<Tls>,
    /// Whether the control socket belongs to a supervisor.
    pub(crate) is_control_passed: bool,
    addresses: Vec<String>,
    is_passed: bool,
    /// Requests with forwarding headers from an address that is no trusted proxy.
    unbelieved: AtomicU64,
    room: Arc<Room>,
}

/// How many connections there may be, and how many there are.
#[derive(Debug)]
struct Room {
    most: usize,
    taken: AtomicUsize,
    is_full: AtomicBool,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Room>);

impl Door {
    /// Of the sockets that are to be served.
    pub(crate) fn new(
        bind: Bind,
        tls: Option<Tls>,
        sockets: &[TcpListener],
        (is_passed, is_control_passed): (bool, bool),
    ) -> Self {
        let addresses = sockets.iter().filter_map(|it| it.local_addr().ok());
        let room = Room {
            most: connections(getrlimit(Resource::Nofile).current),
            taken: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
        };
        Self {
            bind,
            tls,
            is_control_passed,
            addresses: addresses.map(|it| it.to_string()).collect(),
            is_passed,
            unbelieved: AtomicU64::new(0),
            room: Arc::new(room),
        }
    }

    /// A place for one more connection; `None` when the descriptors that are left are needed for the work itself.
    pub(crate) fn place(&self) -> Option<Place> {
        let place = Place(self.room.clone());
        let taken = self.room.taken.fetch_add(1, Ordering::Relaxed);
        if taken < self.room.most {
            return Some(place);
        }
        // Told once until there is room again, so that no flood fills the log.
        if !self.room.is_full.swap(true, Ordering::Relaxed) {
            warn!(connections = taken, "no more connections are served until some of them end");
        }
        None
    }

    /// Notes forwarding headers that nobody has to believe. Told once.
    pub(crate) fn not_believed(&self, peer: IpAddr) {
        if self.unbelieved.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(
                %peer,
                "forwarding headers are not believed: if this is your proxy, name its address in gateway.trustedProxies"
            );
        }
    }

    /// For people: where else than on loopback it can be reached.
    pub(crate) fn beyond(&self) -> impl Iterator<Item = &str> {
        let is_beyond = |it: &&String| {
            it.parse::<std::net::SocketAddr>().is_ok_and(|it| !it.ip().to_canonical().is_loopback())
        };
        self.addresses.iter().filter(is_beyond).map(String::as_str)
    }

    /// `ws` or `wss`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "wss" } else { "ws" }
    }

    /// As `status` tells it.
    pub(crate) fn listening(&self) -> Listening {
        Listening {
            bind: self.bind.mode.word().to_owned(),
            addresses: self.addresses.clone(),
            is_passed: self.is_passed,
            tls_fingerprint: self.tls.as_ref().map(|it| it.served().fingerprint.clone()),
            unbelieved_forwards: self.unbelieved.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::Relaxed) < self.0.most {
            self.0.is_full.store(false, Ordering::Relaxed);
        }
    }
}

/// Of so many descriptors, those that connections may have: a few are kept for the work, whoever knocks.
fn connections(files: Option<u64>) -> usize {
    let files = usize::try_from(files.unwrap_or(FILES)).unwrap_or(usize::MAX);
    files - FILES_KEPT.min(files / 2)
}

/// Raises how many files this process may open to what the system allows it, within reason: programs that it starts
/// inherit that, and some of them go through all that could be open.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES).min(FILES);
    if limit.current.is_some_and(|it| it < wanted) {
        // Where it is refused, fewer connections are served.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_the_work() {
        assert_eq!(connections(Some(1024)), 1024 - FILES_KEPT);
        assert_eq!(connections(Some(40)), 20);
        assert_eq!(connections(Some(0)), 0);
        assert_eq!(connections(None), usize::try_from(FILES).expect("small") - FILES_KEPT);
    }

    #[test]
    fn a_place_is_given_back() {
        let bind = Bind { mode: crate::bind::Mode::Loopback, address: std::net::Ipv4Addr::LOCALHOST.into() };
        let door = Door::new(bind, None, &[], (false, false));
        let first = door.place().expect("room");
        assert_eq!(door.room.taken.load(Ordering::Relaxed), 1);
        door.room.taken.store(door.room.most, Ordering::Relaxed);
        assert!(door.place().is_none());
        assert!(door.place().is_none(), "who found no room takes none");
        drop(first);
        assert!(door.place().is_some());
    }
}
