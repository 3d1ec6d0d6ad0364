//! The original's SQLite files, read without a trace.
//!
//! A file whose log is empty is opened as one that nobody changes: SQLite then makes neither a log nor an index
//! beside it. One that was left with a log is copied, with its log, to a folder of ours, where SQLite may write.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base::file;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use ruzstd::decoding::StreamingDecoder;

use super::running::is_alive;
use super::transcript::LONGEST_LINE;

/// What SQLite keeps beside a file that was not closed in order.
const BESIDE: [&str; 2] = ["-wal", "-journal"];

/// How the folder of a copy is called, before the number of its process.
const COPY: &str = "import-";

/// One of the original's databases.
pub(super) struct Database {
    pub(super) connection: Connection,
    /// Whether it may keep entries of transcripts compressed.
    pub(super) packs: bool,
    _scratch: Option<Scratch>,
}

/// Opens a file of the original; `None` where there is none. `scratch` is a folder of ours, made as needed.
pub(super) fn open(path: &Path, scratch: &Path) -> Result<Option<Database>, String> {
    if fs::metadata(path).is_err() {
        return Ok(None);
    }
    let left = BESIDE.iter().any(|it| fs::metadata(beside(path, it)).is_ok_and(|it| it.len() > 0));
    let opened = if left { copied(path, scratch) } else { immutable(path) };
    let mut database = opened.map_err(|error| error.to_string())?;
    database.packs = harden(&database.connection).map_err(|error| error.to_string())?;
    Ok(Some(database))
}

/// Makes a record that was kept compressed readable.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let decoder = StreamingDecoder::new(packed).map_err(|error| io::Error::other(error.to_string()))?;
    let mut text = Vec::new();
    decoder.take(LONGEST_LINE as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// A folder of ours that is gone with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

impl Database {
    /// Whether there is such a table.
    pub(super) fn has(&self, table: &str) -> bool {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        self.connection.prepare_cached(sql).and_then(|mut it| it.exists([table])).unwrap_or_default()
    }

    /// How many rows a table has; 0 where there is no such table. `table` is a name of our own.
    pub(super) fn count(&self, table: &'static str) -> u64 {
        if !self.has(table) {
            return 0;
        }
        let count = self
            .connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        count.ok().and_then(|it| u64::try_from(it).ok()).unwrap_or_default()
    }

    /// The text of one row and column, where there is one.
    pub(super) fn text(&self, sql: &'static str, value: &str) -> rusqlite::Result<Option<String>> {
        self.connection.prepare_cached(sql)?.query_row([value], |row| row.get(0)).optional()
    }
}

fn immutable(path: &Path) -> Result<Database, Box<dyn std::error::Error>> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let uri = format!("file:{}?immutable=1", escaped(path));
    Ok(Database { connection: Connection::open_with_flags(uri, flags)?, packs: false, _scratch: None })
}

fn copied(path: &Path, scratch: &Path) -> Result<Database, Box<dyn std::error::Error>> {
    sweep(scratch);
    let folder = scratch.join(format!("{COPY}{}-{}", std::process::id(), base::random::hex::<6>()));
    file::private_folder(&folder)?;
    let copy = Scratch(folder);
    let to = copy.0.join("copy.sqlite");
    duplicate(path, &to)?;
    for suffix in BESIDE {
        let from = beside(path, suffix);
        if fs::metadata(&from).is_ok() {
            duplicate(&from, &beside(&to, suffix))?;
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Database { connection: Connection::open_with_flags(&to, flags)?, packs: false, _scratch: Some(copy) })
}

/// Takes away the copies of processes that were killed.
fn sweep(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|it| it.strip_prefix(COPY)?.split('-').next()?.parse().ok());
        if pid.is_some_and(|it| !is_alive(it)) {
            // What cannot be removed is in the way of nobody.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn duplicate(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    io::copy(&mut File::open(from)?, &mut file::lockable(to)?)?;
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file is somebody else's: none of its views and triggers may run anything, and nothing is written. Whether it
/// has a column for compressed entries.
fn harden(connection: &Connection) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection
        .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cache_size = -2048;")?;
    let column = "SELECT 1 FROM pragma_table_info('transcript_events') WHERE name = 'event_zstd'";
    connection.prepare(column)?.exists([])
}

/// A path as a URI has it.
fn escaped(path: &Path) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'/' | b'-' | b'_' | b'.' | b'~');
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|it| if plain(*it) { char::from(*it).to_string() } else { format!("%{it:02X}") })
        .collect()
}
