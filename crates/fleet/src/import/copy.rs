//! Copies a folder of plain files to another instance, as far as it is not there yet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use base::file;

use super::ImportError;

/// The most bytes that a file may have to be copied.
const LARGEST: u64 = 64 * 1024 * 1024;
/// How deep folders may be in each other.
const DEEPEST: usize = 64;

/// What a folder holds, or what was copied of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    /// Files that may be copied, or were.
    pub(super) files: u64,
    /// What stays: large files, sockets, and links that lead out of the folder.
    pub(super) left: u64,
}

/// Counts what may be copied.
pub(super) fn measure(from: &Path) -> Amount {
    let mut amount = Amount::default();
    for it in walk(from) {
        match it.what {
            What::File(_) | What::Link(_) => amount.files += 1,
            What::Left => amount.left += 1,
            What::Folder => {}
        }
    }
    amount
}

/// Copies what is missing at `to`. What is there stays as it is. The number of files copied.
///
/// # Errors
/// When something cannot be read or written; what was copied until then stays, and is not copied again.
pub(super) fn tree(from: &Path, to: &Path) -> Result<u64, ImportError> {
    if !from.is_dir() {
        return Ok(0);
    }
    file::private_folder(to)?;
    let mut copied = 0;
    for it in walk(from) {
        let target = to.join(&it.path);
        if target.symlink_metadata().is_ok() {
            continue;
        }
        match it.what {
            What::Folder => file::private_folder(&target)?,
            What::File(mode) => {
                let path = from.join(&it.path);
                let bytes = fs::read(&path).map_err(|source| ImportError::Read { path, source })?;
                file::replace(&target, &bytes)?;
                // The owner's rights are kept, above all that of running it.
                let mode = fs::Permissions::from_mode(mode & 0o700 | file::PRIVATE_FILE);
                fs::set_permissions(&target, mode)
                    .map_err(|source| ImportError::Read { path: target, source })?;
                copied += 1;
            }
            What::Link(goal) => {
                std::os::unix::fs::symlink(goal, &target)
                    .map_err(|source| ImportError::Read { path: target, source })?;
                copied += 1;
            }
            What::Left => {}
        }
    }
    Ok(copied)
}

struct Thing {
    /// Within the folder.
    path: PathBuf,
    what: What,
}

enum What {
    Folder,
    File(u32),
    Link(PathBuf),
    Left,
}

/// Everything below a folder, a folder before what is in it.
fn walk(from: &Path) -> Vec<Thing> {
    let mut found = Vec::new();
    below(from, Path::new(""), &mut found);
    found
}

fn below(from: &Path, folder: &Path, found: &mut Vec<Thing>) {
    let entries = fs::read_dir(from.join(folder)).map(|it| it.flatten().collect::<Vec<_>>());
    let mut entries = entries.unwrap_or_default();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        let what = what(&entry, &path);
        let is_folder = matches!(what, What::Folder);
        found.push(Thing { path: path.clone(), what });
        if is_folder && path.components().count() < DEEPEST {
            below(from, &path, found);
        }
    }
}

fn what(entry: &fs::DirEntry, path: &Path) -> What {
    let Ok(found) = entry.metadata() else { return What::Left };
    if found.is_dir() {
        return What::Folder;
    }
    if found.is_symlink() {
        let goal = fs::read_link(entry.path()).ok().filter(|it| stays_inside(path, it));
        return goal.map_or(What::Left, What::Link);
    }
    if found.is_file() && found.len() <= LARGEST {
        return What::File(found.permissions().mode());
    }
    What::Left
}

/// Whether a link at `path` leads to something within the folder.
fn stays_inside(path: &Path, goal: &Path) -> bool {
    let mut depth = path.components().count() - 1;
    for part in goal.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_is_there_and_follows_no_link_out() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        for folder in [from.join("memory"), to.join("memory")] {
            file::private_folder(&folder).expect("made");
        }
        for (path, text) in
            [("from/memory/a.md", "theirs"), ("to/memory/a.md", "ours"), ("from/run.sh", "#!")]
        {
            file::replace(&home.path().join(path), text.as_bytes()).expect("written");
        }
        fs::set_permissions(from.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("made runnable");
        for (goal, name) in [("run.sh", "inside"), ("/etc/passwd", "outside"), ("../../x", "above")] {
            std::os::unix::fs::symlink(goal, from.join(name)).expect("linked");
        }
        assert_eq!(measure(&from), Amount { files: 3, left: 2 });
        assert_eq!(tree(&from, &to).expect("copied"), 2);
        assert_eq!(tree(&from, &to).expect("copied"), 0);
        assert_eq!(fs::read(to.join("memory/a.md")).expect("read"), b"ours");
        let mode = fs::metadata(to.join("inside")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(to.join("outside").symlink_metadata().is_err());
    }
}
