//! Files that survive a crash, for the owner's eyes only. The only place that renames onto a path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

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
        sync(folder_of(path))?;
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

/// Whether a file or folder is called like one in which something is written before it is given its name. One that is
/// old was left by a process that was killed.
pub fn is_draft(name: &str) -> bool {
    let random =
        name.strip_prefix('.').and_then(|it| it.strip_suffix(".tmp")).and_then(|it| it.rsplit_once('.'));
    random.is_some_and(|(of, it)| {
        !of.is_empty() && it.len() == 12 && it.bytes().all(|it| it.is_ascii_hexdigit())
    })
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

/// Renames `path` to `path.1`, what had that name to `path.2`, and so on; what is at `path.<kept>` goes. The way a log
/// makes room. After a crash in the midst of it a number is missing, and nothing else.
///
/// # Errors
/// When the folder is not writable; `path` is then where it was.
#[expect(clippy::disallowed_methods, reason = "the one file that renames onto a path")]
pub fn put_aside(path: &Path, kept: usize) -> Result<(), FileError> {
    for number in (1..kept).rev() {
        match fs::rename(aside(path, number), aside(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::of("put aside", &aside(path, number))(error));
            }
            _ => {}
        }
    }
    fs::rename(path, aside(path, 1)).map_err(FileError::of("put aside", path))
}

/// What [`put_aside`] calls the file that it put aside so many times ago.
pub fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Makes a new file of mode 0600 for writing; what is there already, a link included, is an error.
///
/// # Errors
/// When something is there, or the folder is missing or not writable.
pub fn new_file(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(FileError::of("make", path))
}

/// Gives a draft that is complete its name, where nothing may be yet: after a crash it is there whole or not at
/// all. Both are on one file system.
///
/// # Errors
/// When something is at `path`, or the disk fails; the draft is then where it was.
pub fn move_into_place(draft: &Path, path: &Path) -> Result<(), FileError> {
    File::open(draft).and_then(|it| it.sync_all()).map_err(FileError::of("sync", draft))?;
    move_new(draft, path)
}

/// Moves a file or a folder to a place where nothing is, in one step: a reader, also one after a crash, finds it here
/// or there, whole.
///
/// # Errors
/// `AlreadyExists` when something is at `to`; `from` is then untouched. Also when the two are on different disks.
pub fn move_new(from: &Path, to: &Path) -> Result<(), FileError> {
    let moved = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems know no such flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => move_folder(from, to),
        other => other.map_err(Into::into),
    };
    moved.map_err(FileError::of("move to", to))?;
    sync(folder_of(from))?;
    sync(folder_of(to))
}

/// A folder replaces at most an empty one, whatever comes between the look and the move.
#[expect(clippy::disallowed_methods, reason = "the one file that renames onto a path")]
fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if !from.symlink_metadata()?.is_dir() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::rename(from, to)
}

/// Lets two files or folders change places in one step.
///
/// # Errors
/// When one of them is missing, or the file system cannot; both are then where they were.
pub fn exchange(a: &Path, b: &Path) -> Result<(), FileError> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
        .map_err(|it| FileError::of("exchange with another", a)(it.into()))?;
    sync(folder_of(a))?;
    sync(folder_of(b))
}

/// Writes `bytes` into a draft beside `path`, mode 0600 whatever the umask, and waits until the disk has it. It is to
/// be put in place with [`swap`] or [`put_over`], or removed.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full; no draft is left then.
pub fn draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let draft = draft_of(path);
    match write_draft(&draft, bytes, true) {
        Ok(()) => Ok(draft),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

/// As [`exchange`], without waiting for the disk. False where the file system cannot do it; nothing was changed then.
///
/// # Errors
/// When one of them is missing, or the folder is not writable; both are then where they were.
pub fn swap(a: &Path, b: &Path) -> Result<bool, FileError> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(FileError::of("replace", b)(error.into())),
    }
}

/// Gives a draft the name of what it replaces.
///
/// # Errors
/// When the folder is not writable; both are then where they were.
#[expect(clippy::disallowed_methods, reason = "the one file that renames onto a path")]
pub fn put_over(draft: &Path, path: &Path) -> Result<(), FileError> {
    fs::rename(draft, path).map_err(FileError::of("replace", path))
}

/// Waits until the disk has the names in the folder of `path`.
///
/// # Errors
/// When the folder is missing, or the disk failed.
pub fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    sync(folder_of(path))
}

/// Waits until the disk has all that was written to the file system of `folder`: for many files at once, where each
/// by itself would take long.
///
/// # Errors
/// When the folder is missing, or the disk failed.
pub fn sync_disk(folder: &Path) -> Result<(), FileError> {
    let synced = File::open(folder).and_then(|it| Ok(rustix::fs::syncfs(it)?));
    synced.map_err(FileError::of("sync", folder))
}

fn sync(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(FileError::of("sync", folder))
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

    #[test]
    fn moves_to_where_nothing_is_and_lets_two_change_places() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |it: &str| home.path().join(it);
        for (name, text) in [("a", "one"), ("b", "two")] {
            private_folder(&at(name)).expect("made");
            replace(&at(name).join("x"), text.as_bytes()).expect("written");
        }
        private_folder(&at("empty")).expect("made");
        for taken in ["b", "empty"] {
            let refused = move_new(&at("a"), &at(taken)).expect_err("something is there");
            assert_eq!(refused.source.kind(), io::ErrorKind::AlreadyExists, "{refused}");
            let refused = move_folder(&at("a"), &at(taken)).expect_err("something is there");
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        }
        move_new(&at("a"), &at("c")).expect("moved");
        exchange(&at("b"), &at("c")).expect("exchanged");
        sync_disk(home.path()).expect("synced");
        let text = |it: &str| fs::read_to_string(at(it).join("x")).expect("read");
        assert_eq!((text("b").as_str(), text("c").as_str(), at("a").exists()), ("one", "two", false));
        assert!(exchange(&at("a"), &at("b")).is_err() && text("b") == "one");
    }

    #[test]
    fn what_is_put_aside_moves_on_and_the_oldest_goes() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.log");
        for text in ["1", "2", "3", "4"] {
            replace(&path, text.as_bytes()).expect("written");
            put_aside(&path, 2).expect("put aside");
        }
        let text = |number| fs::read_to_string(aside(&path, number)).ok();
        assert_eq!(
            [text(1).as_deref(), text(2).as_deref(), text(3).as_deref()],
            [Some("4"), Some("3"), None]
        );
        assert!(put_aside(&path, 2).is_err(), "nothing is there");
    }

    #[test]
    fn a_draft_takes_no_name_that_is_taken_and_two_folders_swap() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for name in ["draft", "taken"] {
            new_file(&at(name)).and_then(|_| replace(&at(name), name.as_bytes())).expect("written");
        }
        assert!(new_file(&at("taken")).is_err());
        let refused = move_into_place(&at("draft"), &at("taken")).expect_err("taken");
        assert!(refused.to_string().ends_with("taken"), "{refused}");
        move_into_place(&at("draft"), &at("free")).expect("moved");
        let names = |of: &str| fs::read(at(of)).expect("read");
        assert_eq!((names("free"), names("taken")), (b"draft".to_vec(), b"taken".to_vec()));

        for name in ["a", "b"] {
            private_folder(&at(name)).expect("made");
            replace(&at(name).join("name"), name.as_bytes()).expect("written");
        }
        exchange(&at("a"), &at("b")).expect("swapped");
        assert_eq!((names("a/name"), names("b/name")), (b"b".to_vec(), b"a".to_vec()));
        assert!(exchange(&at("a"), &at("missing")).is_err() && move_new(&at("a"), &at("b")).is_err());
        assert_eq!(names("a/name"), b"b");
    }
}
