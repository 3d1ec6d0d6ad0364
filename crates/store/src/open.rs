//! Open the database file: look at whose it is before it is touched, and set it up.

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use base::file;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{of, of_io};
use crate::migrate::{self, APPLICATION_ID, VERSION};
use crate::{StoreError, before};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The bytes in front of the first page that say whose the file is.
const HEADER: usize = 100;
/// Where the schema version stands in the header, big-endian.
const USER_VERSION_AT: usize = 60;
/// Where the application id stands in the header, big-endian.
const APPLICATION_ID_AT: usize = 68;

/// Only one gateway writes, so that waiting is for a reader such as a backup.
const BUSY: Duration = Duration::from_millis(500);
/// How many statements stay prepared; there are fewer.
const STATEMENTS: usize = 48;

/// Settings of every connection. FULL: a message that was acknowledged must survive a power cut. The cache is
/// small (KiB when negative), since an idle gateway keeps it; the log is cut back to 1 MiB after it has grown.
const SETTINGS: &str = "
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA cache_size = -512;
PRAGMA journal_size_limit = 1048576;
PRAGMA wal_autocheckpoint = 256;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
";

/// Opens or makes the file at `path`, in the newest schema.
pub(crate) fn on_disk(path: &Path) -> Result<Connection, StoreError> {
    let failed = of("open the database", path);
    // Made by us first, because SQLite would make it as the umask says; its log gets the mode of the file.
    let mut file = file::lockable(path).map_err(|it| of_io(path)(it.source))?;
    refuse_strangers(path, &mut file)?;
    file.set_permissions(Permissions::from_mode(file::PRIVATE_FILE)).map_err(of_io(path))?;
    // SQLite's locks on a file are lost when its process closes any other handle on it.
    drop(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    set_up(&connection).map_err(&failed)?;
    let version = version(path, &connection)?;
    if (1..VERSION).contains(&version) {
        before::keep(path, &connection)?;
    }
    // Before the log is switched on: the owner's name must be in the file itself, where it is looked for.
    let migrated = migrate::to_newest(&mut connection, version).map_err(of("migrate the database", path))?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(&failed)?;
    if mode != "wal" {
        let source = io::Error::other(format!("the file system allows no write-ahead log, only {mode}"));
        return Err(StoreError::Open { path: path.to_path_buf(), source });
    }
    if migrated {
        // An older program looks for the version in the file as well.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(&failed)?;
    }
    Ok(connection)
}

/// An empty database in memory.
pub(crate) fn in_memory(path: &Path) -> Result<Connection, StoreError> {
    let failed = of("open a database in memory", path);
    let mut connection = Connection::open_in_memory().map_err(&failed)?;
    set_up(&connection).map_err(&failed)?;
    migrate::to_newest(&mut connection, 0).map_err(&failed)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A damaged or hostile file must not run code of its own through views and triggers.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch(SETTINGS)
}

/// The schema version, once more and through the log, which may be newer than the file.
pub(crate) fn version(path: &Path, connection: &Connection) -> Result<u32, StoreError> {
    let ask = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let failed = of("read the database", path);
    let found = ask("user_version").map_err(&failed)?;
    if found <= VERSION {
        return Ok(found);
    }
    // Closing must not copy the log into the file either.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&failed)?;
    Err(StoreError::Newer { path: path.to_path_buf(), found, known: VERSION })
}

/// Refuses a file that is not ours, by its first bytes and without SQLite, which writes while it opens. An empty
/// file is a new one.
pub(crate) fn refuse_strangers(path: &Path, file: &mut File) -> Result<(), StoreError> {
    let mut header = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut header).map_err(of_io(path))?;
    let path = path.to_path_buf();
    if header.is_empty() {
        return Ok(());
    }
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        let found = "it does not begin like an SQLite database".to_owned();
        return Err(StoreError::Corrupt { path, found });
    }
    let found = number(&header, APPLICATION_ID_AT);
    if found != APPLICATION_ID {
        return Err(StoreError::Foreign { path, found });
    }
    let found = number(&header, USER_VERSION_AT);
    if found > VERSION {
        return Err(StoreError::Newer { path, found, known: VERSION });
    }
    Ok(())
}

fn number(header: &[u8], at: usize) -> u32 {
    header[at..at + 4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte))
}
