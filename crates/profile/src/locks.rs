//! Which files are locked now and by which process: the kernel's own table, read without taking any lock.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The kernel's table of whole-file locks at one moment.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    by_inode: HashMap<u64, Vec<Lock>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    device: (u32, u32),
    /// 0 where the process is in another world, such as outside of our container.
    pid: u32,
}

/// Whether a file is locked, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// By nobody.
    No,
    /// By this process, where the kernel tells.
    By(Option<u32>),
}

impl Locked {
    /// Whether anybody has it.
    pub fn is_held(self) -> bool {
        self != Locked::No
    }
}

impl Locks {
    /// Reads the table. Empty where the kernel has none to show.
    pub fn read() -> Self {
        Self::of(&fs::read_to_string("/proc/locks").unwrap_or_default())
    }

    fn of(table: &str) -> Self {
        let mut by_inode: HashMap<u64, Vec<Lock>> = HashMap::new();
        for (inode, lock) in table.lines().filter_map(entry) {
            by_inode.entry(inode).or_default().push(lock);
        }
        Self { by_inode }
    }

    /// Whether the file at `path` is locked. `by` is the process that says so in the file itself: some file systems
    /// have another device number in the table than in a file's own description, and then the process decides.
    ///
    /// The kernel shows its table in pieces, and a lock that ends between two of them moves the rest: one that is held
    /// may be missing. Where the table has none, that process is looked at.
    pub fn on(&self, path: &Path, by: Option<u32>) -> Locked {
        let Ok(file) = fs::metadata(path) else { return Locked::No };
        let device = (major(file.dev()), minor(file.dev()));
        let locks = self.by_inode.get(&file.ino()).map(Vec::as_slice).unwrap_or_default();
        let here = locks.iter().find(|it| it.device == device || (it.pid != 0 && Some(it.pid) == by));
        match here {
            Some(it) => Locked::By((it.pid != 0).then_some(it.pid)),
            None if by.is_some_and(|it| has_locked(it, file.ino())) => Locked::By(by),
            None => Locked::No,
        }
    }
}

/// Whether the process has the file open and locked, by the kernel's list of what it has open.
fn has_locked(pid: u32, inode: u64) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fdinfo"));
    open.into_iter().flatten().flatten().any(|it| {
        let about = fs::read_to_string(it.path()).unwrap_or_default();
        let mut locks = about.lines().filter_map(|it| entry(it.strip_prefix("lock:")?));
        locks.any(|(found, _)| found == inode)
    })
}

/// `1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF`; those that only wait have an arrow in front.
fn entry(line: &str) -> Option<(u64, Lock)> {
    let mut fields = line.split_whitespace().skip(1);
    let kind = fields.next()?;
    let pid = fields.nth(2)?;
    let mut place = fields.next()?.split(':');
    let hex = |it: &str| u32::from_str_radix(it, 16).ok();
    let device = (hex(place.next()?)?, hex(place.next()?)?);
    let inode = place.next()?.parse().ok()?;
    (kind == "FLOCK").then_some((inode, Lock { device, pid: pid.parse().unwrap_or(0) }))
}

#[cfg(test)]
mod tests {
    use base::file;

    use super::*;

    #[test]
    fn sees_a_lock_of_ours_and_its_end() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("lock");
        let held = file::lockable(&path).expect("made");
        assert_eq!(Locks::read().on(&path, None), Locked::No);
        held.try_lock().expect("free");
        assert_eq!(Locks::read().on(&path, None), Locked::By(Some(std::process::id())));
        drop(held);
        assert_eq!(Locks::read().on(&path, None), Locked::No);
        assert_eq!(Locks::read().on(&home.path().join("none"), None), Locked::No);
    }

    #[test]
    fn a_lock_that_the_table_missed_is_found_at_its_holder() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("lock");
        let held = file::lockable(&path).expect("made");
        let (missed, me) = (Locks::default(), std::process::id());
        assert_eq!(missed.on(&path, Some(me)), Locked::No);
        held.try_lock().expect("free");
        assert_eq!(missed.on(&path, Some(me)), Locked::By(Some(me)));
        assert_eq!(missed.on(&path, Some(1)), Locked::No);
    }

    #[test]
    fn reads_only_whole_file_locks_that_are_held() {
        let table = "1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 813 fe:00:1234 0 EOF\n\
                     2: POSIX  ADVISORY  READ 814 fe:00:99 128 128\n\
                     3: OFDLCK ADVISORY  WRITE -1 fe:00:98 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 00:1a:77 0 EOF\n";
        let locks = Locks::of(table);
        assert_eq!(locks.by_inode.len(), 2);
        assert_eq!(locks.by_inode[&1234], [Lock { device: (0xfe, 0), pid: 812 }]);
        assert_eq!(locks.by_inode[&77], [Lock { device: (0, 0x1a), pid: 0 }]);
    }
}
