//! Whether a file is locked by the process that says so: asked of the kernel, without taking any lock. And a lock that
//! is waited for, a bounded time.
//!
//! `/proc/locks` would list all locks of the machine, and is not read: it makes every other lock wait for it, takes ten
//! milliseconds, and leaves locks out while others end.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use base::file::{self, FileError};

/// Between two tries for a lock.
const PAUSE: Duration = Duration::from_millis(3);

/// Whether process `pid` has the file at `path` open and locked. `descriptor` is the number by which it has it open,
/// where it is known; else all that the process has open is looked through.
pub fn is_held(path: &Path, pid: u32, descriptor: Option<i32>) -> bool {
    let Ok(inode) = fs::metadata(path).map(|it| it.ino()) else { return false };
    let folder = format!("/proc/{pid}/fdinfo");
    let locks = |about: String| {
        about.lines().filter_map(|it| whole_file(it.strip_prefix("lock:")?)).any(|it| it == inode)
    };
    if let Some(number) = descriptor {
        return fs::read_to_string(format!("{folder}/{number}")).is_ok_and(locks);
    }
    let open = fs::read_dir(folder).into_iter().flatten().flatten();
    open.filter_map(|it| fs::read_to_string(it.path()).ok()).any(locks)
}

/// Locks the file at `path`, which is made where it is missing and stays; `None` when somebody else has it for all of
/// `patience`.
///
/// # Errors
/// When the file cannot be opened, or the file system has no locks.
#[expect(clippy::disallowed_methods, reason = "the kernel offers no wait for a lock that ends by itself")]
pub fn wait(path: &Path, patience: Duration) -> Result<Option<File>, FileError> {
    let failed = |source: io::Error| FileError { what: "lock", path: path.to_path_buf(), source };
    let lock = file::lockable(path)?;
    let deadline = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// The inode of a lock on a whole file: `1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF`.
fn whole_file(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let kind = fields.next()?;
    let place = fields.nth(3)?;
    (kind == "FLOCK").then(|| place.rsplit(':').next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn sees_a_lock_of_ours_and_its_end() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("lock");
        let (me, held) = (std::process::id(), file::lockable(&path).expect("made"));
        let number = Some(held.as_raw_fd());
        assert!(!is_held(&path, me, number) && !is_held(&path, me, None));
        held.try_lock().expect("free");
        assert!(is_held(&path, me, number) && is_held(&path, me, None));
        assert!(!is_held(&path, me, Some(0)), "another file of the same process");
        assert!(!is_held(&path, 1, number), "another process");
        assert!(!is_held(&home.path().join("none"), me, number));
        drop(held);
        assert!(!is_held(&path, me, number) && !is_held(&path, me, None));
    }

    #[test]
    fn reads_only_locks_on_whole_files() {
        for (line, expected) in [
            ("\t1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF", Some(1234)),
            ("\t1: POSIX  ADVISORY  READ 814 fe:00:99 128 128", None),
            ("\t1: OFDLCK ADVISORY  WRITE -1 fe:00:98 0 EOF", None),
            ("", None),
        ] {
            assert_eq!(whole_file(line), expected, "{line}");
        }
    }
}
