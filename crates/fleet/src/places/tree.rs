//! Whole folders: copied as they are, and removed. No link is followed on the way.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use base::file::{self, FileError};
use rustix::fs::OFlags;
use serde::Serialize;

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A copy under way: what it copied, and what it left behind and why.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    pub(crate) tally: Tally,
    pub(crate) left_behind: Vec<(String, String)>,
}

impl Copy {
    /// Copies the folder `from` with all that is in it to `to`. What is there already stays. A file that vanishes
    /// meanwhile is none: its gateway may run.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub(crate) fn folder(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        let mut folders = vec![PathBuf::new()];
        let mut modes = Vec::new();
        while let Some(within) = folders.pop() {
            let (here, there) = (from.join(&within), to.join(&within));
            let entries = match fs::read_dir(&here) {
                Ok(it) => it,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.leave(&here, &format!("it cannot be read: {error}"));
                    continue;
                }
            };
            new_folder(&there)?;
            modes.push((there, mode_of(&here)));
            for entry in entries.flatten() {
                let within = within.join(entry.file_name());
                match entry.file_type() {
                    Ok(it) if it.is_dir() => folders.push(within),
                    Ok(it) if it.is_symlink() => self.link(from, to, &within)?,
                    Ok(it) if it.is_file() => self.file(&from.join(&within), &to.join(&within))?,
                    Ok(it) if it.is_socket() => self.leave(&entry.path(), "it is a socket"),
                    Ok(it) if it.is_fifo() => self.leave(&entry.path(), "it is a pipe"),
                    Ok(_) => self.leave(&entry.path(), "it is a device"),
                    Err(error) => self.leave(&entry.path(), &format!("it cannot be read: {error}")),
                }
            }
        }
        // Last, and from the inside: nothing can be put into a folder that is not to be written.
        for (folder, mode) in modes.into_iter().rev() {
            set_mode(&folder, mode)?;
        }
        Ok(())
    }

    /// Notes something that is not copied.
    pub(crate) fn leave(&mut self, what: &Path, why: &str) {
        self.left_behind.push((what.display().to_string(), why.to_owned()));
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        // Whatever it has become since it was listed, no link is followed and no pipe waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).expect("the flags of the system are small");
        let source = match OpenOptions::new().read(true).custom_flags(flags).open(from) {
            Ok(it) => it,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                self.leave(from, &format!("it cannot be read: {error}"));
                return Ok(());
            }
        };
        match copy_file(source, to) {
            Ok(bytes) => {
                self.tally.files += 1;
                self.tally.bytes += bytes;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(FileError { what: "copy to", path: to.to_path_buf(), source }),
        }
    }

    fn link(&mut self, from: &Path, to: &Path, within: &Path) -> Result<(), FileError> {
        let Ok(target) = fs::read_link(from.join(within)) else { return Ok(()) };
        let depth = within.components().count() - 1;
        if !stays_inside(&target, depth) {
            self.leave(&from.join(within), &format!("it is a link that leads out, to {}", target.display()));
            return Ok(());
        }
        match std::os::unix::fs::symlink(&target, to.join(within)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(FileError { what: "make the link", path: to.join(within), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Removes a folder with all that is in it. One that is not there is no error.
///
/// # Errors
/// When something in it is another user's, or the disk failed.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let removed = match gone(fs::remove_dir_all(path)) {
        // Caches of packages are full of folders that their owner may not write.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            gone(fs::remove_dir_all(path))
        }
        other => other,
    };
    removed.map_err(|source| FileError { what: "remove", path: path.to_path_buf(), source })
}

/// Whether a link's target, `depth` folders below the top, is within the tree. After its first name it must not turn
/// back: that name may itself be a link.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut parts = target.components().filter(|it| *it != Component::CurDir).peekable();
    let mut up = 0;
    while parts.next_if_eq(&Component::ParentDir).is_some() {
        up += 1;
    }
    up <= depth && parts.all(|it| matches!(it, Component::Normal(_)))
}

fn copy_file(mut source: File, to: &Path) -> io::Result<u64> {
    let found = source.metadata()?;
    if !found.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(file::PRIVATE_FILE).open(to)?;
    let bytes = io::copy(&mut source, &mut copy)?;
    copy.set_permissions(Permissions::from_mode(found.permissions().mode() & 0o777))?;
    if let Ok(modified) = found.modified() {
        copy.set_modified(modified)?;
    }
    Ok(bytes)
}

fn new_folder(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(file::PRIVATE_FOLDER).create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => file::private_folder(path),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError { what: "make the folder", path: path.to_path_buf(), source: error })
        }
        _ => Ok(()),
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).map_or(file::PRIVATE_FOLDER, |it| it.permissions().mode() & 0o777)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.map_err(|source| FileError { what: "set the mode of", path: path.to_path_buf(), source })
}

/// Lets the owner into every folder below.
fn open_up(path: &Path) {
    let mut folders = vec![path.to_path_buf()];
    let mut seen = HashSet::new();
    while let Some(folder) = folders.pop() {
        // What cannot be opened is told by the removal that follows.
        let _ = fs::set_permissions(&folder, Permissions::from_mode(file::PRIVATE_FOLDER));
        let entries = fs::read_dir(&folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let below = entries.into_iter().filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        folders.extend(below.map(|it| it.path()).filter(|it| seen.insert(it.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_link_is_followed_by_none_and_copied_where_it_stays() {
        for (target, depth, expected) in [
            ("a", 0, true),
            ("./a/b", 0, true),
            ("..", 0, false),
            ("../a", 1, true),
            ("../../a", 1, false),
            ("a/../b", 1, false),
            ("/etc", 3, false),
        ] {
            assert_eq!(stays_inside(Path::new(target), depth), expected, "{target} at {depth}");
        }
    }

    #[test]
    fn copies_what_is_there_and_says_what_it_leaves() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, to) = (home.path().join("from"), home.path().join("made/to"));
        file::private_folder(&from.join("memory/deep")).expect("made");
        let large = vec![7_u8; 3 << 20];
        file::replace(&from.join("memory/deep/large"), &large).expect("written");
        file::replace(&from.join("run.sh"), b"#!/bin/sh\n").expect("written");
        fs::set_permissions(from.join("run.sh"), Permissions::from_mode(0o755)).expect("set");
        for (target, at) in [("../run.sh", "memory/up"), ("/etc/passwd", "out"), ("../..", "memory/deep/far")]
        {
            symlink(target, from.join(at)).expect("linked");
        }
        let _socket = UnixListener::bind(from.join("s.sock")).expect("bound");
        fs::set_permissions(from.join("memory"), Permissions::from_mode(0o555)).expect("set");

        let mut copy = Copy::default();
        copy.folder(&from, &to).expect("copied");
        assert_eq!(copy.tally, Tally { files: 2, bytes: (3 << 20) + 10 });
        let mut left: Vec<_> =
            copy.left_behind.iter().map(|it| it.0.rsplit('/').next().unwrap_or("")).collect();
        left.sort_unstable();
        assert_eq!(left, ["out", "s.sock"], "{:?}", copy.left_behind);
        assert_eq!(fs::read(to.join("memory/deep/large")).expect("read"), large);
        assert_eq!(mode_of(&to.join("run.sh")), 0o755);
        assert_eq!(mode_of(&to.join("memory")), 0o555);
        assert_eq!(fs::read_link(to.join("memory/up")).expect("a link"), Path::new("../run.sh"));

        copy.folder(&from, &to).expect("what is there stays");
        assert_eq!(copy.tally.files, 2);
        for it in [&from, &to] {
            remove(it).expect("removed");
            assert!(!it.exists());
        }
        remove(&to).expect("a second time");
    }

    #[test]
    fn a_removal_stops_at_links() {
        let home = tempfile::tempdir().expect("a folder");
        let (kept, gone) = (home.path().join("kept"), home.path().join("gone"));
        for it in [&kept, &gone] {
            file::private_folder(it).expect("made");
        }
        file::replace(&kept.join("x"), b"x").expect("written");
        symlink(&kept, gone.join("link")).expect("linked");
        remove(&gone).expect("removed");
        assert!(kept.join("x").exists() && !gone.exists());
    }
}
