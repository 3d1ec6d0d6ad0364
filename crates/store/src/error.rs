//! What can go wrong with the database, told apart by what a person has to do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use crate::RunStatus;

/// Why the store did not do what was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room.
    #[error("cannot {what}: no room is left on the disk of {}; free some and try again", path.display())]
    Full {
        /// What was tried.
        what: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// The file belongs to another program.
    #[error(
        "{} is no database of this program (application id {found:#010x}); it was left as it is, move it away",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The application id in it; 0 when it names none.
        found: u32,
    },
    /// The file was written by a newer version.
    #[error(
        "{} was written by a newer version (schema {found}, this version knows up to {known}); it was left as it \
         is, update this program to use it, or put back the copy from before, {}.before-v{found} where there is one",
        path.display(), path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version in it.
        found: u32,
        /// The newest that this version knows.
        known: u32,
    },
    /// The file is damaged, or no database at all.
    #[error("{} is damaged or no database ({found}); move it away, or put a backup in its place", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The file, its folder or its file system must not be written.
    #[error("cannot {what}: {} is read-only; check who owns it and how the disk is mounted", path.display())]
    ReadOnly {
        /// What was tried.
        what: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("cannot {what}: the disk failed to read or write {}; look at the system's log", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Somebody else writes to the file.
    #[error("cannot {what}: another program is using {}; only one gateway may", path.display())]
    Busy {
        /// What was tried.
        what: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No session has this key.
    #[error("there is no session {key}")]
    NoSuchSession {
        /// The key.
        key: String,
    },
    /// The session id that was asked for belongs to another conversation.
    #[error("the session id {session_id} is taken; choose another")]
    SessionIdTaken {
        /// The id.
        session_id: String,
    },
    /// Another conversation has this label.
    #[error("label already in use: {label} (by {key})")]
    LabelTaken {
        /// The label.
        label: String,
        /// The conversation that has it.
        key: String,
    },
    /// The conversation is not as the caller expected it.
    #[error("session {key} changed meanwhile: {what} is {}", found.as_deref().unwrap_or("another"))]
    Moved {
        /// The key.
        key: String,
        /// What is another.
        what: &'static str,
        /// What it is.
        found: Option<String>,
    },
    /// A turn of the conversation is under way.
    #[error("a turn of session {key} is under way; stop it, or try again")]
    InUse {
        /// The key.
        key: String,
    },
    /// A person has forbidden that anything is said in the conversation.
    #[error("send blocked by session policy (session {key}); sessions.patch with sendPolicy allows it again")]
    Silenced {
        /// The key.
        key: String,
    },
    /// A conversation was to be taken over, and could not be read to its end where it is.
    #[error("the conversation {key} could not be read where it comes from")]
    Source {
        /// Its key.
        key: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No run has this id.
    #[error("there is no run {run_id}")]
    NoSuchRun {
        /// The id.
        run_id: String,
    },
    /// The run was started before.
    #[error("the run {run_id} cannot start, it is {status} already")]
    NotQueued {
        /// The id.
        run_id: String,
        /// Where it is.
        status: RunStatus,
    },
    /// A run was to be ended with a status that is no end.
    #[error("the run {run_id} cannot end as {status}")]
    NotAnEnd {
        /// The id.
        run_id: String,
        /// The status.
        status: RunStatus,
    },
    /// Anything else that SQLite says.
    #[error("cannot {what} in the database")]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Whether something is wrong with the database or its disk, and not with what was asked.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::NoSuchSession { .. }
            | Self::SessionIdTaken { .. }
            | Self::LabelTaken { .. }
            | Self::Moved { .. }
            | Self::InUse { .. }
            | Self::Silenced { .. }
            | Self::Source { .. }
            | Self::NoSuchRun { .. }
            | Self::NotQueued { .. }
            | Self::NotAnEnd { .. } => false,
            Self::Full { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::ReadOnly { .. }
            | Self::Disk { .. }
            | Self::Busy { .. }
            | Self::Open { .. }
            | Self::Sqlite { .. } => true,
        }
    }
}

/// Gives an SQLite error its meaning.
pub(crate) fn of(what: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |source| {
        let path = path.clone();
        // The columns have strict types: only damage makes one unreadable.
        if let rusqlite::Error::FromSqlConversionFailure(_, _, found) = &source {
            return StoreError::Corrupt { path, found: found.to_string() };
        }
        let extended = source.sqlite_error().map(|it| it.extended_code);
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { what, path },
            // The index of the log could not grow, which has no other cause in practice.
            Some(ErrorCode::SystemIoFailure) if extended == Some(SQLITE_IOERR_SHMSIZE) => {
                StoreError::Full { what, path }
            }
            Some(ErrorCode::SystemIoFailure) => StoreError::Disk { what, path, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { path, found: source.to_string() }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly { what, path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { what, path },
            _ => StoreError::Sqlite { what, source },
        }
    }
}

/// Gives an error of the file system its meaning, before SQLite comes in.
pub(crate) fn of_io(path: &Path) -> impl Fn(std::io::Error) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |source| {
        let path = path.clone();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::Full { what: "open the database", path }
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly { what: "open the database", path }
            }
            _ => StoreError::Open { path, source },
        }
    }
}
