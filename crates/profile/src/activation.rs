//! Sockets that a supervisor has opened for this process: systemd's socket activation.
//!
//! Which socket is which is asked of the kernel, not of its name: who writes a unit need not know how ours are named.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::ambient::Ambient;

/// More sockets than this are meant for somebody else.
const MOST: u32 = 16;

/// What was passed. It stays open as long as this value lives, also over a restart within the process.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    tcp: Arc<Vec<(TcpListener, SocketAddr)>>,
    control: Option<Arc<(UnixListener, PathBuf)>>,
}

/// Why what was passed is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The variables are not what the protocol says.
    #[error("the supervisor passed sockets by LISTEN_FDS={0}, which is not a number from 0 to {MOST}")]
    Count(String),
    /// A descriptor that is no listening stream socket.
    #[error(
        "descriptor {descriptor} that the supervisor passed is {is}, not a socket that listens for streams"
    )]
    Kind {
        /// Its number.
        descriptor: u32,
        /// What it is instead.
        is: String,
    },
    /// A TCP socket of another port.
    #[error("the supervisor passed a socket that listens on {address}, but this gateway's port is {port}")]
    Port {
        /// Where it listens.
        address: SocketAddr,
        /// The gateway's port.
        port: u16,
    },
    /// A TCP socket that more can reach than the config allows.
    #[error(
        "the supervisor passed a socket that listens on {address}, beyond what gateway.bind \"{bind}\" allows"
    )]
    Beyond {
        /// Where it listens.
        address: SocketAddr,
        /// The mode.
        bind: &'static str,
    },
    /// A Unix socket that is not the control socket.
    #[error("the supervisor passed a Unix socket at {}, but the control socket is {}", found.display(), wanted.display())]
    Control {
        /// Where it is.
        found: PathBuf,
        /// Where it should be.
        wanted: PathBuf,
    },
}

/// The sockets that were passed to this very process; empty where none were. To be asked once, before anything else
/// opens a file.
///
/// # Errors
/// When something else than listening sockets was passed.
pub fn passed(ambient: &Ambient) -> Result<Passed, Unusable> {
    let is_ours = ambient.var("LISTEN_PID").is_some_and(|it| it.trim() == std::process::id().to_string());
    let Some(count) = ambient.var("LISTEN_FDS").filter(|_| is_ours) else { return Ok(Passed::default()) };
    if !count.trim().parse::<u32>().is_ok_and(|it| it <= MOST) {
        return Err(Unusable::Count(count.to_owned()));
    }
    let descriptors = sd_listen_fds::get().map_err(|_| Unusable::Count(count.to_owned()))?;
    let mut passed = Passed::default();
    let mut tcp = Vec::new();
    for ((_, descriptor), number) in descriptors.into_iter().zip(3..) {
        let wrong = |is: String| Unusable::Kind { descriptor: number, is };
        match listener(descriptor.into_std()).map_err(wrong)? {
            Listener::Tcp(socket, address) => tcp.push((socket, address)),
            Listener::Unix(socket, path) => passed.control = Some(Arc::new((socket, path))),
        }
    }
    passed.tcp = Arc::new(tcp);
    Ok(passed)
}

impl Passed {
    /// Whether there is a socket to serve TCP on.
    pub fn has_tcp(&self) -> bool {
        !self.tcp.is_empty()
    }

    /// Where the TCP sockets listen.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.tcp.iter().map(|(_, address)| *address)
    }

    /// The TCP sockets, for one run of the gateway.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn tcp(&self) -> io::Result<Vec<TcpListener>> {
        self.tcp.iter().map(|(socket, _)| socket.try_clone()).collect()
    }

    /// The control socket of this state folder, where one was passed.
    ///
    /// # Errors
    /// When it is another one, or no descriptor is left.
    pub fn control(&self, state_dir: &Path) -> Result<Option<UnixListener>, Unusable> {
        let Some(passed) = &self.control else { return Ok(None) };
        let (socket, found) = passed.as_ref();
        let wanted = crate::control::path(state_dir);
        let real = |it: &Path| std::fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
        if real(found) != real(&wanted) {
            return Err(Unusable::Control { found: found.clone(), wanted });
        }
        let clone = socket.try_clone();
        clone.map(Some).map_err(|error| Unusable::Kind { descriptor: 3, is: error.to_string() })
    }

    /// Whether the control socket belongs to the supervisor, who will want it again.
    pub fn has_control(&self) -> bool {
        self.control.is_some()
    }
}

enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

/// What a descriptor is, or what it is instead.
fn listener(descriptor: OwnedFd) -> Result<Listener, String> {
    let said = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOTSOCK => "no socket".to_owned(),
        rustix::io::Errno::BADF => "not open".to_owned(),
        other => format!("of no use ({other})"),
    };
    if let Err(error) = rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        // What is not open is nobody's to close.
        std::mem::forget(descriptor);
        return Err(said(error));
    }
    if sockopt::socket_type(&descriptor).map_err(said)? != SocketType::STREAM {
        return Err("a socket of another type".to_owned());
    }
    if !sockopt::socket_acceptconn(&descriptor).map_err(said)? {
        return Err("a socket that does not listen".to_owned());
    }
    match sockopt::socket_domain(&descriptor).map_err(said)? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let socket = TcpListener::from(descriptor);
            let address = socket.local_addr().map_err(|error| error.to_string())?;
            Ok(Listener::Tcp(socket, address))
        }
        AddressFamily::UNIX => {
            let socket = UnixListener::from(descriptor);
            let address = socket.local_addr().map_err(|error| error.to_string())?;
            let path = address.as_pathname().ok_or("a Unix socket without a path")?;
            Ok(Listener::Unix(socket, path.to_path_buf()))
        }
        _ => Err("a socket of another family".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_for_another_process_is_not_looked_at() {
        for pid in ["", "1", "x"] {
            let ambient = Ambient::of(&[("LISTEN_PID", pid), ("LISTEN_FDS", "1")], Path::new("/"));
            assert!(!passed(&ambient).expect("nothing").has_tcp(), "{pid}");
        }
        let own = std::process::id().to_string();
        for count in ["-1", "x", "17", "4294967295"] {
            let ambient = Ambient::of(&[("LISTEN_PID", &own), ("LISTEN_FDS", count)], Path::new("/"));
            assert_eq!(passed(&ambient).expect_err(count), Unusable::Count(count.to_owned()));
        }
    }

    #[test]
    fn the_kernel_says_what_a_descriptor_is() {
        let file = std::fs::File::open("/dev/null").expect("there");
        assert_eq!(listener(file.into()).err().as_deref(), Some("no socket"));
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        assert_eq!(listener(datagram.into()).err().as_deref(), Some("a socket of another type"));
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        let own = tcp.local_addr().expect("bound");
        let connected = std::net::TcpStream::connect(own).expect("it listens");
        assert_eq!(listener(connected.into()).err().as_deref(), Some("a socket that does not listen"));
        assert!(matches!(listener(tcp.into()), Ok(Listener::Tcp(_, address)) if address == own));
    }
}
