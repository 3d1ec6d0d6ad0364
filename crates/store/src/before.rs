//! The database as it was before a migration: kept beside it, so that the version before can be gone back to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{file, random};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::beside::{copy, with};
use crate::error::{of, of_io};
use crate::migrate::VERSION;
use crate::{FILE, StoreError};

/// How many copies are kept, each from before another schema.
const KEPT: usize = 2;
/// Stands between the database's name and the schema that it was migrated to.
const MARK: &str = ".before-v";
/// Whoever puts a copy back has the gateway's lock; a reader may be there for a moment.
const BUSY: Duration = Duration::from_secs(2);

/// Copies the database to `NAME.before-vN`, N being the schema that it is about to be given. When this returns the
/// disk has the copy whole. One of the same name was made by who was killed before the migration, and is replaced.
pub(crate) fn keep(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let what = "keep a copy of the database before its migration";
    let to = with(path, &format!("{MARK}{VERSION}"));
    let draft = path.with_file_name(format!(".{FILE}.{}.tmp", random::hex::<6>()));
    file::new_file(&draft).map_err(|it| of_io(&draft)(it.source))?;
    let copied = copy(connection, &draft).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => of(what, &draft)(error),
        _ => of(what, path)(error),
    });
    let kept = copied
        .and_then(|()| File::open(&draft).and_then(|it| it.sync_all()).map_err(of_io(&draft)))
        .and_then(|()| file::put_over(&draft, &to).map_err(|it| of_io(&to)(it.source)))
        .and_then(|()| file::sync_folder_of(&to).map_err(|it| of_io(&to)(it.source)));
    if kept.is_err() {
        let _ = fs::remove_file(&draft);
        return kept;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    for (_, old) in copies(folder).into_iter().rev().skip(KEPT) {
        // One too many takes room, and nothing else.
        let _ = file::remove(&old);
    }
    Ok(())
}

/// The copies in `folder`, the oldest first, each with the schema that came after it.
pub fn copies(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|it| {
            let name = it.file_name().into_string().ok()?;
            let number = name.strip_prefix(FILE)?.strip_prefix(MARK)?.parse().ok()?;
            Some((number, it.path()))
        })
        .collect();
    found.sort();
    found
}

/// Makes the database in `folder` what the copy `from` is, in one transaction: whoever is killed in it leaves the
/// database as it was. It may be of a schema that this version does not know. The caller holds the gateway's lock.
///
/// # Errors
/// When the copy cannot be read or the database not written.
pub fn put_back(folder: &Path, from: &Path) -> Result<(), StoreError> {
    let path = folder.join(FILE);
    let what = "put the copy of the database back";
    let failed = of(what, &path);
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, read).map_err(of(what, from))?;
    let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut to = Connection::open_with_flags(&path, write).map_err(&failed)?;
    to.busy_timeout(BUSY).map_err(&failed)?;
    to.execute_batch("PRAGMA synchronous = FULL").map_err(&failed)?;
    match Backup::new(&source, &mut to).and_then(|it| it.step(-1)).map_err(&failed)? {
        StepResult::Done => {}
        _ => return Err(StoreError::Busy { what, path }),
    }
    // An older program looks for the version in the file itself.
    to.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(&failed)?;
    to.close().map_err(|(_, error)| failed(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::tests::{first, half};
    use crate::{SCHEMA, Store, schema_of};

    /// A database of the first schema, with so many conversations, as a gateway leaves it.
    fn old(folder: &Path, count: i64) -> Connection {
        let connection = Connection::open(folder.join(FILE)).expect("made");
        connection.execute_batch("PRAGMA journal_mode = WAL").expect("set");
        first(&connection);
        for at in 0..count {
            let add = "INSERT INTO transcripts VALUES (?1, 't' || ?1, 's' || ?1, 1)";
            connection.execute(add, [at]).expect("added");
            let add = "INSERT INTO sessions (key, transcript, agent_id, created_at, updated_at)
                       VALUES ('s' || ?1, ?1, 'main', 1, 1)";
            connection.execute(add, [at]).expect("added");
        }
        connection
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("list").flatten();
        let mut names: Vec<_> = entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_migration_leaves_a_copy_from_before_that_can_be_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(old(folder.path(), 40));
        let store = Store::open(folder.path()).expect("migrated");
        assert_eq!(store.count_sessions().expect("counted"), 40);
        drop(store);
        let copy = folder.path().join(format!("{FILE}.before-v{SCHEMA}"));
        assert_eq!(copies(folder.path()), [(SCHEMA, copy.clone())]);
        assert_eq!(names(folder.path()).len(), 2, "no draft is left: {:?}", names(folder.path()));
        let mut store = Store::open(folder.path()).expect("opened again");
        store.ensure_session("after", "main", None).expect("made");
        drop(store);
        let kept = fs::read(&copy).expect("read");
        assert_eq!(schema_of(folder.path()).expect("read"), Some(SCHEMA));
        put_back(folder.path(), &copy).expect("put back");
        assert_eq!(schema_of(folder.path()).expect("read"), Some(1));
        assert_eq!(fs::read(&copy).expect("read"), kept);
        assert_eq!(Store::open(folder.path()).expect("migrated").count_sessions().expect("counted"), 40);
    }

    #[test]
    fn who_is_killed_in_a_migration_leaves_a_database_that_is_migrated_later() {
        let (folder, killed) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
        let connection = old(folder.path(), 400);
        // So that pages of what is not committed are on the disk.
        connection.execute_batch("PRAGMA cache_size = 2; PRAGMA cache_spill = 1").expect("set");
        keep(&folder.path().join(FILE), &connection).expect("kept");
        half(&connection);
        for name in names(folder.path()) {
            let bytes = fs::read(folder.path().join(&name)).expect("read");
            file::replace(&killed.path().join(name), &bytes).expect("written");
        }
        drop(connection);
        assert_eq!(schema_of(killed.path()).expect("read"), Some(1));
        let store = Store::open(killed.path()).expect("migrated");
        assert_eq!(store.count_sessions().expect("counted"), 400);
        assert_eq!(schema_of(killed.path()).expect("read"), Some(SCHEMA));
        assert_eq!(copies(killed.path()).len(), 1);
    }

    #[test]
    fn few_copies_are_kept_and_none_where_nothing_is_migrated() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Store::open(folder.path()).expect("a new one"));
        drop(Store::open(folder.path()).expect("the same"));
        assert!(copies(folder.path()).is_empty());
        for number in [0, 1] {
            let path = folder.path().join(format!("{FILE}.before-v{number}"));
            file::replace(&path, b"older").expect("written");
        }
        let connection = Connection::open(folder.path().join(FILE)).expect("opens");
        keep(&folder.path().join(FILE), &connection).expect("kept");
        let numbers: Vec<u32> = copies(folder.path()).into_iter().map(|it| it.0).collect();
        assert_eq!(numbers, [1, SCHEMA]);
    }
}
