//! What can go wrong with a snapshot, told apart by what a person has to do about it.

use std::io;
use std::path::{Path, PathBuf};

use base::file::FileError;
use profile::claims::{Holder, Refused};
use profile::document::{Finding, Unreadable};
use profile::folder::BadFolder;
use store::StoreError;

/// Why a snapshot was not taken, read or restored. Nothing of the instance was changed then.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is a file already.
    #[error("cannot take a snapshot to {}: it exists already", .0.display())]
    Exists(PathBuf),
    /// The snapshot would be part of what it holds, or go with what it replaces.
    #[error("the snapshot {} is inside {}, which belongs to the instance itself", file.display(), folder.display())]
    Inside {
        /// The snapshot.
        file: PathBuf,
        /// The state folder or a workspace.
        folder: PathBuf,
    },
    /// There is no state folder.
    #[error("there is no instance {name}: the state folder {} does not exist", state_dir.display())]
    NoInstance {
        /// Its name.
        name: String,
        /// Where it would be.
        state_dir: PathBuf,
    },
    /// A gateway has the state folder.
    #[error(
        "cannot restore over {}: it is held by {}",
        state_dir.display(),
        holder.as_ref().map_or_else(|| "another gateway".to_owned(), ToString::to_string)
    )]
    Running {
        /// The state folder.
        state_dir: PathBuf,
        /// Who has it, where it says so.
        holder: Option<Box<Holder>>,
    },
    /// The config would not be part of the state folder.
    #[error("cannot restore a config to {}: it is outside the state folder {}", config.display(), state_dir.display())]
    ConfigElsewhere {
        /// The config file.
        config: PathBuf,
        /// The state folder.
        state_dir: PathBuf,
    },
    /// The config cannot be read.
    #[error("cannot read the config of the instance")]
    Config(#[source] Unreadable),
    /// The config cannot be changed.
    #[error("cannot adapt the config of the instance: {0}")]
    Unadaptable(Finding),
    /// The database cannot be copied.
    #[error("cannot copy the database of the instance")]
    Database(#[source] StoreError),
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(BadFolder),
    /// The state folder's lock cannot be used.
    #[error("cannot lock the state folder")]
    Lock(#[source] Refused),
    /// The file is something else.
    #[error("{} is no snapshot of an instance ({what})", file.display())]
    NotASnapshot {
        /// The file.
        file: PathBuf,
        /// What gives it away.
        what: String,
    },
    /// A newer version took the snapshot.
    #[error("the snapshot {} has format {found}, this version reads up to {known}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The format in it.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// The snapshot is not what it was when it was taken.
    #[error("the snapshot {} is damaged at {entry}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The entry at fault.
        entry: String,
        /// What is wrong with it.
        what: String,
    },
    /// The snapshot holds what none of ours does, and what could do harm.
    #[error("the snapshot {} is not safe to unpack: {entry}: {what}", file.display())]
    Unsafe {
        /// The file.
        file: PathBuf,
        /// The entry at fault.
        entry: String,
        /// What is wrong with it.
        what: String,
    },
    /// The passphrase does not open the secrets.
    #[error("the passphrase does not open the secrets in {}", .0.display())]
    Passphrase(PathBuf),
    /// A file could not be read, written or moved.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SnapshotError {
    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Exists(_) => "name another file, or move that one away",
            Self::Inside { .. } => "put it into another folder",
            Self::NoInstance { .. } => "look at the name, or make the instance first",
            Self::Running { .. } => "stop that gateway first, or restore under another name",
            Self::ConfigElsewhere { .. } => "unset OPENCLAW_CONFIG_PATH, or restore under a profile",
            Self::Config(_) => "look at who owns the config file and what it may",
            Self::Unadaptable(_) => "restore under the name that the snapshot was taken of",
            Self::Database(StoreError::Busy { .. }) => "try again when the gateway is up, or has stopped",
            Self::Database(_) => "start the gateway, which says what is wrong with it",
            Self::Folder(it) => return Some(it.remedy()),
            Self::Lock(_) => "look at who owns the state folder and what it may",
            Self::NotASnapshot { .. } => "name a file that a snapshot was taken to",
            Self::Newer { .. } => "update this program",
            Self::Damaged { .. } => "fetch the file anew, or use another snapshot",
            Self::Unsafe { .. } => "do not use it: it was made or changed by somebody else",
            Self::Passphrase(_) => {
                "give the one that it was taken with, or restore without: --without-secrets"
            }
            Self::File(it) => return of_file(it),
        };
        Some(text.to_owned())
    }
}

fn of_file(error: &FileError) -> Option<String> {
    let text = match error.source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space and try again",
        io::ErrorKind::PermissionDenied => "look at who owns it and what they may",
        io::ErrorKind::CrossesDevices | io::ErrorKind::ResourceBusy => {
            "a state folder that is a mount of its own cannot be replaced: restore under another name"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// An error of the file system, with what was tried on which path.
pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_path_buf();
    move |source| SnapshotError::File(FileError { what, path, source })
}
