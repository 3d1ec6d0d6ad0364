//! Sessions, transcripts and runs on disk: one SQLite file in a folder that is given, with one writer.
//!
//! Everything here blocks until the disk has it; the gateway gives it a thread of its own. What a call has
//! returned survives a crash and a power cut, and a call that failed has changed nothing.

mod before;
mod beside;
mod change;
mod error;
mod import;
mod migrate;
mod open;
mod runs;
mod search;
mod sessions;
#[cfg(test)]
mod tests;
mod transcripts;
mod usage;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use before::{copies, put_back};
pub use beside::{copy_to, count_sessions, examine, schema_of};
pub use change::{Compacted, Cut, SessionPatch};
pub use error::StoreError;
pub use import::{ImportOutcome, NewRecord, NewSession};
pub use runs::{Accepted, Expected, NewRun, Run, RunEnd, RunStatus};
pub use search::{Hit, Wanted};
pub use sessions::{Session, SessionOrder, SessionPage, SessionQuery};
pub use transcripts::{Record, StoredRecord};
pub use usage::{Spent, UsageQuery};

/// Name of the database in its folder.
pub const FILE: &str = "gateway.sqlite";

/// The newest schema that this version reads, and the one that it writes.
pub const SCHEMA: u32 = migrate::VERSION;

/// The open database of one gateway.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the database in `folder`, making or migrating it as needed. The folder must exist.
    ///
    /// # Errors
    /// A file of another program or of a newer version is refused and left as it is; so is a damaged one. The
    /// caller must hold the gateway's lock: this does not look for other writers.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let path = folder.join(FILE);
        let connection = open::on_disk(&path)?;
        Ok(Store { connection, path })
    }

    /// An empty database that is gone with the value; for the tests of whoever uses this crate.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn open_in_memory() -> Result<Store, StoreError> {
        let path = PathBuf::from(":memory:");
        let connection = open::in_memory(&path)?;
        Ok(Store { connection, path })
    }

    /// Writes what changes nothing, and waits until the disk has it: whether the next write has room.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn check_writable(&mut self) -> Result<(), StoreError> {
        let written = self.connection.pragma_update(None, "user_version", migrate::VERSION);
        written.map_err(self.failed("write the database"))
    }

    /// Gives an SQLite error its meaning: `what` was tried, as in "cannot `list the sessions`".
    fn failed(&self, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        error::of(what, &self.path)
    }
}
