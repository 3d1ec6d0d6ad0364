//! The control socket: the owner's way to an instance, in its state folder.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use base::file;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::Pid;

/// The socket's name within the state folder.
const NAME: &str = "control.sock";
/// The longest path that a socket address holds, its closing zero left out.
const LONGEST_PATH: usize = 107;

/// Where the control socket of a state folder is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// Listens on the control socket, mode 0600. The caller holds the instance's lock, so whatever stands there is
/// left over from a process that is gone.
///
/// # Errors
/// When the state folder cannot be written.
pub fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let path = path(state_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = with_short_path(state_dir, |it| UnixListener::bind(it))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(file::PRIVATE_FILE))?;
    Ok(listener)
}

/// Connects to the control socket of an instance, and checks that a process of this user answers.
///
/// # Errors
/// `NotFound` and `ConnectionRefused` mean that no gateway runs; `PermissionDenied` that somebody else's does.
pub fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    own(with_short_path(state_dir, |it| UnixStream::connect(it))?)
}

/// The connection, where a process of this user is at its other end.
fn own(stream: UnixStream) -> io::Result<UnixStream> {
    let me = rustix::process::geteuid().as_raw();
    match peer_uid(&stream)? {
        uid if uid == me => Ok(stream),
        uid => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the control socket is answered by user {uid}, not by you (user {me})"),
        )),
    }
}

/// As [`connect`], without waiting: neither now, where too many wait to be let in already, nor at any later use of
/// the connection.
///
/// # Errors
/// As [`connect`]; `WouldBlock` where a gateway lets nobody in.
pub fn connect_at_once(state_dir: &Path) -> io::Result<UnixStream> {
    let stream = with_short_path(state_dir, |it| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(it)?)?;
        Ok(UnixStream::from(socket))
    })?;
    own(stream)
}

/// The process at the other end of a Unix socket, as the kernel knows it.
///
/// # Errors
/// When the kernel does not tell.
pub fn peer_pid(stream: &UnixStream) -> io::Result<Pid> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.pid)
}

/// The user at the other end of a Unix socket, as the kernel knows it.
///
/// # Errors
/// When the kernel does not tell.
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// A socket address holds 107 bytes of path; a state folder may be longer. Then the folder is opened, and the
/// socket is named below its descriptor.
fn with_short_path<T>(state_dir: &Path, act: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = path(state_dir);
    if path.as_os_str().len() <= LONGEST_PATH {
        return act(&path);
    }
    let folder: OwnedFd = rustix::fs::open(state_dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_and_answers_also_below_a_very_long_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let long = home.path().join("a".repeat(100)).join("b".repeat(100));
        for folder in [home.path(), &long] {
            file::private_folder(folder).expect("made");
            assert_eq!(connect(folder).expect_err("nobody").kind(), io::ErrorKind::NotFound);
            let listener = listen(folder).expect("listens");
            let met = connect(folder).expect("answers");
            let own = i32::try_from(std::process::id()).ok().and_then(Pid::from_raw);
            assert_eq!(peer_pid(&met).ok(), own);
            connect_at_once(folder).expect("answers");
            drop(listener);
            assert_eq!(connect(folder).expect_err("gone").kind(), io::ErrorKind::ConnectionRefused);
            listen(folder).expect("what a dead process left is no hindrance");
        }
    }
}
