//! Files that survive a crash, for the owner's eyes only. The only place that renames onto a path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of every file we write: the owner reads and writes, nobody else anything.
pub const PRIVATE_FILE: u32 = 0o600;
/// Mode of every folder we make.
pub const PRIVATE_FOLDER: u32 = 0o700;

/// A file operation that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct FileError {
    /// What was tried, as in "cannot `write` the file".
    pub what: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    fn of(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_path_buf();
        move |source| FileError { what, path, source }
    }
}

/// Puts `bytes` at `path` such that a reader, also one after a crash or a power cut, sees the old file or the
/// new one and never a part. The result has mode 0600, whatever the umask.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace_in(path, bytes, true)
}

/// Like [`replace`], without waiting for the disk: whole or old for every reader, but a power cut may lose it.
/// For records that are rebuilt anyway.
///
/// # Errors
/// As [`replace`].
pub fn replace_advisory(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace_in(path, bytes, false)
}

#[expect(clippy::disallowed_methods, reason = "the one place that renames onto a path")]
fn replace_in(path: &Path, bytes: &[u8], durable: bool) -> Result<(), FileError> {
    let draft = draft_of(path);
    let written = write_draft(&draft, bytes, durable)
        .and_then(|()| fs::rename(&draft, path).map_err(FileError::of("replace", path)));
    if written.is_err() {
        // The draft is ours alone; that it cannot be removed either changes nothing for the caller.
        let _ = fs::remove_file(&draft);
        return written;
    }
    if durable {
        let folder = folder_of(path);
        File::open(folder).and_then(|it| it.sync_all()).map_err(FileError::of("sync", folder))?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".{name}.{}.tmp", crate::random::hex::<6>()))
}

fn write_draft(draft: &Path, bytes: &[u8], durable: bool) -> Result<(), FileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(draft)?;
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE))?;
        file.write_all(bytes)?;
        if durable { file.sync_all() } else { Ok(()) }
    };
    write().map_err(FileError::of("write", draft))
}

/// Writes `bytes` at `path` unless something is there already. True when it was written.
///
/// # Errors
/// As [`replace`].
pub fn create_if_missing(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    replace(path, bytes).map(|()| true)
}

/// Writes `bytes` at `path` unless something is there already, also when several try at once: one of them wins, and
/// all see it whole. True when it was this one.
///
/// # Errors
/// As [`replace`].
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let draft = draft_of(path);
    let linked = write_draft(&draft, bytes, true).and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FileError::of("make", path)(error)),
    });
    let _ = fs::remove_file(&draft);
    linked
}

/// Removes a file. One that is not there is no error.
///
/// # Errors
/// When the folder is not writable.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::of("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Renames `path` to `path.1`, which goes: the way a log makes room.
///
/// # Errors
/// When the folder is not writable.
#[expect(clippy::disallowed_methods, reason = "the one file that renames onto a path")]
pub fn put_aside(path: &Path) -> Result<(), FileError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    fs::rename(path, aside).map_err(FileError::of("put aside", path))
}

/// Makes a folder and its missing parents, each 0700. What exists keeps its mode.
///
/// # Errors
/// When a parent is a file or not writable.
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(path)
        .map_err(FileError::of("make the folder", path))
}

/// Opens a file of ours for appending, mode 0600, making it when it is missing.
///
/// # Errors
/// When the folder is missing or not writable.
pub fn append(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(FileError::of("open for appending", path))
}

/// Opens a file of ours for locking: created 0600 when missing, never truncated.
///
/// # Errors
/// When the folder is missing or not writable.
pub fn lockable(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(FileError::of("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_private_and_leaves_no_draft() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("private");
        private_folder(&folder).expect("made");
        let path = folder.join("a.json");
        replace(&path, b"one").expect("first");
        replace(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::metadata(&path).expect("stat").permissions().mode() & 0o777, PRIVATE_FILE);
        assert_eq!(fs::read_dir(&folder).expect("list").count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_names_the_path() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("missing").join("a.json");
        let error = replace(&path, b"one").expect_err("the folder is missing");
        assert!(error.to_string().contains("missing"), "{error}");
        assert!(!create_if_missing(home.path(), b"x").expect("something is there"));
    }
}
