//! Who listens on a TCP port of this machine, where the kernel tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::fs::{Dir, Mode, OFlags, readlinkat};
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// Absent where the process belongs to another user, whose files we may not look into.
    pub pid: Option<u32>,
    /// The program's path or name.
    pub program: Option<String>,
    /// The user's id.
    pub uid: u32,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.program, self.pid) {
            (Some(program), Some(pid)) => write!(f, "{program} (pid {pid}, user {})", self.uid),
            (None, Some(pid)) => write!(f, "pid {pid} (user {})", self.uid),
            _ => write!(f, "a process of user {}", self.uid),
        }
    }
}

/// Whether somebody listens on the port on loopback, by either of its addresses. Binds it for a moment to find out,
/// which is much faster than the kernel's table, and does not listen, so that a gateway that is just about to may do
/// so meanwhile.
pub fn is_bound(port: u16) -> bool {
    let bound = |family, address: SocketAddr| -> io::Result<()> {
        let socket = socket(family, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)
    };
    let v4 = bound(AddressFamily::INET, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    // Some machines have no IPv6.
    v4.is_err()
        || bound(AddressFamily::INET6, SocketAddr::from((Ipv6Addr::LOCALHOST, port))) == Err(Errno::ADDRINUSE)
}

/// Who listens on the port; `None` when nobody does, or where there is no `/proc`.
pub fn who(port: u16) -> Option<Listener> {
    let (uid, inode) = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .find_map(|table| listening(&fs::read_to_string(table).ok()?, port))?;
    Some(of_socket(port, uid, inode))
}

/// The ports on which each of these processes listens, lowest first; one that may not be looked at has none.
pub fn ports_of(pids: &[u32]) -> Vec<Vec<u16>> {
    if pids.is_empty() {
        return Vec::new();
    }
    let mut ports = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = fs::read_to_string(table).unwrap_or_default();
        ports.extend(table.lines().skip(1).filter_map(socket_of).map(|(port, _, inode)| (inode, port)));
    }
    let of = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let links = open.filter_map(|it| fs::read_link(it.path()).ok());
        let inodes =
            links.filter_map(|it| it.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        let found: BTreeSet<u16> = inodes.filter_map(|it: u64| ports.get(&it).copied()).collect();
        found.into_iter().collect()
    };
    pids.iter().map(of).collect()
}

fn of_socket(port: u16, uid: u32, inode: u64) -> Listener {
    let pid = owner(inode);
    let program = pid.and_then(|pid| {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).map(|it| it.display().to_string());
        // It runs on from a file that was replaced.
        let exe = exe.map(|it| it.trim_end_matches(" (deleted)").to_owned());
        exe.or_else(|_| fs::read_to_string(format!("/proc/{pid}/comm")).map(|it| it.trim().to_owned())).ok()
    });
    Listener { port, pid, program, uid }
}

/// The user and the inode of the socket that listens on `port`, out of a `/proc/net/tcp` table.
fn listening(table: &str, port: u16) -> Option<(u32, u64)> {
    let found = table.lines().skip(1).filter_map(socket_of).find(|(it, ..)| *it == port);
    found.map(|(_, uid, inode)| (uid, inode))
}

/// The port, the user and the inode of a line of such a table, where it is of a socket that listens.
fn socket_of(line: &str) -> Option<(u16, u32, u64)> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?.rsplit(':').next()?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some((u16::from_str_radix(local, 16).ok()?, uid, inode))
}

/// The process that has the socket open.
fn owner(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let names = fs::read_dir("/proc").ok()?.flatten();
    let mut pids: Vec<u32> = names.filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    // What was started last is the likeliest to be in the way, and each process that is not asked saves time.
    pids.sort_unstable_by(|a, b| b.cmp(a));
    pids.into_iter().find(|pid| has_open(*pid, wanted.as_bytes()))
}

/// Whether one of the process's descriptors is `wanted`. Links are read from the opened folder: by their whole
/// paths it takes several times as long.
fn has_open(pid: u32, wanted: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(format!("/proc/{pid}/fd"), flags, Mode::empty()) else { return false };
    let Ok(open) = Dir::read_from(&folder) else { return false };
    open.flatten().any(|it| {
        let link = readlinkat(&folder, it.file_name(), Vec::with_capacity(64));
        link.is_ok_and(|to| to.as_bytes() == wanted)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn tells_the_ports_of_a_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let found = ports_of(&[std::process::id(), u32::MAX]);
        assert!(found[0].contains(&port) && found[1].is_empty(), "{found:?}");
        drop(listener);
        assert!(!ports_of(&[std::process::id()])[0].contains(&port));
    }

    #[test]
    fn names_a_listener_of_ours() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let port = socket.local_addr().expect("bound").port();
        let found = who(port).expect("somebody listens");
        assert_eq!(found.pid, Some(std::process::id()));
        assert!(found.program.is_some_and(|it| it.contains("openclaw_profile")));
        assert!(is_bound(port));
        drop(socket);
        assert_eq!(who(port), None);
    }

    #[test]
    fn reads_only_listening_sockets_out_of_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                        0: 0100007F:4965 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000        0 11 1\n\
                        1: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 22 1\n";
        assert_eq!(listening(table, 18789), Some((1001, 22)));
        assert_eq!(listening(table, 18790), None);
    }
}
