//! Read a database beside its owner, who may be writing to it, or hang, or be gone: a consistent copy, a count.
//!
//! While the log (`-wal`) is there, it is read through SQLite's own locks, which keep no writer waiting; closing
//! neither copies the log into the file nor removes it. Without a log nobody has the file open: then it is read as
//! one that cannot change, so that not even an index of a log is left in the folder, and afterwards is looked at
//! whether it did change.
//!
//! Not for the process that has the [`Store`](crate::Store) open: its locks on the file end when any of its handles
//! on the file is closed.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::file;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{of, of_io};
use crate::{FILE, StoreError, open};

/// What a writer leaves beside the file while it has it open, or was killed.
const LOGS: [&str; 2] = ["-wal", "-journal"];
/// How often a file without a log is read anew because a gateway came and changed it meanwhile.
const ATTEMPTS: usize = 5;
/// How many complaints about a damaged file are listed.
const COMPLAINTS: usize = 5;
/// Readers wait only for one who repairs the log after a crash.
const BUSY: Duration = Duration::from_secs(2);

/// Copies the database in `folder` to the new file `to` (mode 0600, on disk when this returns), as it was at one
/// moment. False when there is no database. Nothing in `folder` changes but the index of a log that is in use.
///
/// # Errors
/// Refuses what [`Store::open`](crate::Store::open) refuses, and a `to` that exists. On an error there is no `to`.
pub fn copy_to(folder: &Path, to: &Path) -> Result<bool, StoreError> {
    let what = "copy the database";
    let mut is_ours = false;
    let copied = read(folder, what, |source, path| {
        if is_ours {
            fs::remove_file(to).map_err(of_io(to))?;
        }
        file::new_file(to).map_err(|it| of_io(to)(it.source))?;
        is_ours = true;
        copy(source, to).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => of(what, to)(error),
            _ => of(what, path)(error),
        })
    });
    let synced = copied.and_then(|copied| match copied {
        Some(()) => File::open(to).and_then(|it| it.sync_all()).map(|()| true).map_err(of_io(to)),
        None => Ok(false),
    });
    if is_ours && !matches!(synced, Ok(true)) {
        // Half a copy is of no use; that it cannot be removed either changes nothing for the caller.
        let _ = fs::remove_file(to);
    }
    synced
}

/// How many sessions the database in `folder` has; `None` when there is no database.
///
/// # Errors
/// Refuses what [`Store::open`](crate::Store::open) refuses.
pub fn count_sessions(folder: &Path) -> Result<Option<u64>, StoreError> {
    let what = "count the sessions";
    read(folder, what, |connection, path| {
        let count = connection.query_row("SELECT count(*) FROM sessions", [], |row| row.get::<_, i64>(0));
        count.map(|it| u64::try_from(it).unwrap_or_default()).map_err(of(what, path))
    })
}

/// The schema of the database in `folder`, also one that this version does not know; `None` when there is no database.
///
/// # Errors
/// When it cannot be read, or is none of ours.
pub fn schema_of(folder: &Path) -> Result<Option<u32>, StoreError> {
    let path = folder.join(FILE);
    let Some(before) = stamp(&path)? else { return Ok(None) };
    let mut file = File::open(&path).map_err(of_io(&path))?;
    match open::refuse_strangers(&path, &mut file) {
        Err(StoreError::Newer { found, .. }) => return Ok(Some(found)),
        other => other?,
    }
    drop(file);
    let connection = connect(&path, before.has_log).map_err(of("open the database", &path))?;
    match open::version(&path, &connection) {
        Ok(found) | Err(StoreError::Newer { found, .. }) => Ok(Some(found)),
        Err(error) => Err(error),
    }
}

/// What SQLite finds wrong in the database in `folder`, at most a few lines of it; empty where it is sound, `None` when
/// there is no database. `thorough` compares every index with its table as well, which takes several times as long.
///
/// # Errors
/// Refuses what [`Store::open`](crate::Store::open) refuses; damage so bad that nothing can be read is an error too.
pub fn examine(folder: &Path, thorough: bool) -> Result<Option<Vec<String>>, StoreError> {
    let what = "examine the database";
    let question =
        format!("PRAGMA {}({COMPLAINTS})", if thorough { "integrity_check" } else { "quick_check" });
    read(folder, what, |connection, path| {
        let mut statement = connection.prepare(&question).map_err(of(what, path))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(of(what, path))?;
        let said = rows.collect::<Result<Vec<_>, _>>().map_err(of(what, path))?;
        Ok(said.into_iter().filter(|it| it != "ok").collect())
    })
}

/// What tells whether a file was written to.
#[derive(PartialEq, Eq)]
struct Stamp {
    has_log: bool,
    file: (u64, u64, u64),
    modified: (i64, i64),
}

fn read<T>(
    folder: &Path,
    what: &'static str,
    mut act: impl FnMut(&Connection, &Path) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let path = folder.join(FILE);
    for _ in 0..ATTEMPTS {
        let Some(before) = stamp(&path)? else { return Ok(None) };
        let mut file = File::open(&path).map_err(of_io(&path))?;
        open::refuse_strangers(&path, &mut file)?;
        drop(file);
        let found =
            connect(&path, before.has_log).map_err(of("open the database", &path)).and_then(|connection| {
                open::version(&path, &connection)?;
                act(&connection, &path)
            });
        if before.has_log || stamp(&path)?.is_some_and(|it| it == before) {
            return found.map(Some);
        }
    }
    Err(StoreError::Busy { what, path })
}

/// `None` for no file, and for an empty one, which a gateway has only just made.
fn stamp(path: &Path) -> Result<Option<Stamp>, StoreError> {
    let it = match fs::metadata(path) {
        Ok(it) if it.len() == 0 => return Ok(None),
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(of_io(path)(error)),
    };
    let has_log = LOGS.iter().any(|suffix| with(path, suffix).symlink_metadata().is_ok());
    Ok(Some(Stamp { has_log, file: (it.dev(), it.ino(), it.len()), modified: (it.mtime(), it.mtime_nsec()) }))
}

pub(crate) fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn connect(path: &Path, has_log: bool) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let address = format!("file:{}?{}", escaped(path), if has_log { "mode=ro" } else { "immutable=1" });
    let connection = Connection::open_with_flags(address, flags)?;
    connection.busy_timeout(BUSY)?;
    // A log that its owner left when it was killed is the owner's to take up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}

/// A path as part of a URI.
fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02x}")),
        }
        text
    })
}

/// All pages in one step, and so out of one transaction.
pub(crate) fn copy(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags)?;
    // Whoever fails throws the copy away, so it needs no journal; and it is synced once, at the end.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let done = Backup::new(source, &mut copy)?.step(-1)?;
    match done {
        StepResult::Done => copy.close().map_err(|(_, error)| error),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the database stayed locked".to_owned()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Store;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).expect("list").flatten();
        let named = |it: fs::DirEntry| {
            (it.file_name().to_string_lossy().into_owned(), fs::read(it.path()).expect("read"))
        };
        entries.map(named).collect()
    }

    fn add(store: &mut Store, count: usize, prefix: &str) {
        for it in 0..count {
            store.ensure_session(&format!("{prefix}{it}"), "main", None).expect("made");
        }
    }

    #[track_caller]
    fn sessions_of(copy: &Path) -> i64 {
        let copy = Connection::open(copy).expect("opens");
        let sound: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("asked");
        assert_eq!(sound, "ok");
        copy.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).expect("counted")
    }

    #[test]
    fn a_database_at_rest_is_copied_and_its_folder_stays_as_it_is() {
        let (folder, elsewhere) = (folder(), folder());
        // What an address would take for something else.
        let odd = folder.path().join("a %20?#b");
        fs::create_dir(&odd).expect("made");
        let to = elsewhere.path().join("copy");
        assert!(!copy_to(&odd, &to).expect("there is none"));
        assert_eq!(count_sessions(&odd).expect("there is none"), None);
        add(&mut Store::open(&odd).expect("a store"), 3, "s");
        let before = tree(&odd);
        assert!(copy_to(&odd, &to).expect("copied"));
        assert_eq!(count_sessions(&odd).expect("counted"), Some(3));
        assert_eq!(before, tree(&odd));
        assert_eq!(fs::metadata(&to).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(tree(elsewhere.path()).len(), 1, "a copy is one file");
        assert_eq!(sessions_of(&to), 3);
        assert!(copy_to(&odd, &to).is_err(), "what is there is not replaced");
        assert_eq!(sessions_of(&to), 3);
    }

    #[test]
    fn a_log_that_a_killed_gateway_left_is_read_and_stays() {
        let (running, killed, elsewhere) = (folder(), folder(), folder());
        let mut store = Store::open(running.path()).expect("a store");
        add(&mut store, 4, "s");
        for (name, bytes) in tree(running.path()) {
            file::replace(&killed.path().join(name), &bytes).expect("written");
        }
        let before = tree(killed.path());
        assert!(!before["gateway.sqlite-wal"].is_empty());
        let to = elsewhere.path().join("copy");
        assert!(copy_to(killed.path(), &to).expect("copied"));
        assert_eq!((count_sessions(killed.path()).expect("counted"), sessions_of(&to)), (Some(4), 4));
        let after = tree(killed.path());
        for name in [FILE, "gateway.sqlite-wal"] {
            assert_eq!(before[name], after[name], "{name}");
        }
        assert_eq!(Store::open(killed.path()).expect("reopened").count_sessions().expect("counted"), 4);
    }

    #[test]
    fn copies_beside_a_writer_are_each_of_one_moment() {
        let (running, elsewhere) = (folder(), folder());
        let mut store = Store::open(running.path()).expect("a store");
        add(&mut store, 1, "first");
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                add(&mut store, 600, "s");
                store
            });
            let mut counts = Vec::new();
            while !writer.is_finished() || counts.is_empty() {
                let to = elsewhere.path().join(counts.len().to_string());
                assert!(copy_to(running.path(), &to).expect("copied"));
                counts.push(sessions_of(&to));
            }
            assert!(counts.is_sorted() && counts[0] >= 1, "{counts:?}");
            assert_eq!(writer.join().expect("ends").count_sessions().expect("counted"), 601);
        });
    }

    #[test]
    fn the_files_of_strangers_are_refused_and_leave_no_copy() {
        let (folder, elsewhere) = (folder(), folder());
        let (path, to) = (folder.path().join(FILE), elsewhere.path().join("copy"));
        file::replace(&path, &[7; 4096]).expect("written");
        assert!(matches!(copy_to(folder.path(), &to), Err(StoreError::Corrupt { .. })));
        fs::remove_file(&path).expect("removed");
        Connection::open(&path).expect("made").execute_batch("CREATE TABLE a (b)").expect("made");
        assert!(matches!(copy_to(folder.path(), &to), Err(StoreError::Foreign { .. })));
        assert!(matches!(count_sessions(folder.path()), Err(StoreError::Foreign { .. })));
        assert_eq!((tree(folder.path()).len(), tree(elsewhere.path()).len()), (1, 0));
    }

    #[test]
    fn a_sound_file_has_nothing_wrong_and_a_damaged_one_is_found_and_left_as_it_is() {
        let home = folder();
        assert_eq!(examine(home.path(), true).expect("looked"), None);
        let mut store = Store::open(home.path()).expect("opens");
        add(&mut store, 300, "s");
        assert_eq!(examine(home.path(), false).expect("looked"), Some(Vec::new()), "beside its owner");
        drop(store);
        assert_eq!(examine(home.path(), true).expect("looked"), Some(Vec::new()));
        let path = home.path().join(FILE);
        let mut bytes = fs::read(&path).expect("read");
        let half = bytes.len() / 2;
        bytes[half..].fill(0x5a);
        file::replace(&path, &bytes).expect("written");
        let before = tree(home.path());
        let found = examine(home.path(), false);
        assert!(
            !matches!(found, Ok(None)) && found.as_ref().is_ok_and(|it| it != &Some(Vec::new()))
                || found.is_err()
        );
        assert_eq!(tree(home.path()), before);
    }
}
