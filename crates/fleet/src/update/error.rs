//! What is in the way of an update.

use std::io;
use std::path::PathBuf;

use base::file;

/// Why nothing was done, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The file is not taken.
    #[error("{} is not installed: {why}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It could not read what is there.
    #[error("version {version} reads databases up to schema {schema}, and {whose} has schema {found}")]
    Older {
        /// The version that was to be installed.
        version: String,
        /// What it reads.
        schema: u32,
        /// Whose database it is.
        whose: String,
        /// What that has.
        found: u32,
    },
    /// It would not accept a config that this version accepts.
    #[error("version {version} does not accept the config of instance {name}, which runs with it: {why}")]
    Config {
        /// The version that was to be installed.
        version: String,
        /// The instance.
        name: String,
        /// How it said so.
        why: String,
    },
    /// Nobody of this name runs.
    #[error("no running instance is called {name}; running: {}", running.join(", "))]
    NoCanary {
        /// The name that was given.
        name: String,
        /// Those that run.
        running: Vec<String>,
    },
    /// Somebody else is at it.
    #[error("another update is under way")]
    Held,
    /// An update was cut off.
    #[error("an update from {from} to {to} was cut off")]
    CutOff {
        /// The version before.
        from: String,
        /// The version after.
        to: String,
    },
    /// The program's folder is not ours to change.
    #[error("{} cannot be replaced: its folder may not be written", .0.display())]
    ReadOnly(PathBuf),
    /// It would be stopped with what it stops.
    #[error("this was started by a gateway, which an update restarts")]
    Inside,
    /// There is nothing to go back to.
    #[error("no version before this one is kept for {}", .0.display())]
    NoFormer(PathBuf),
    /// The program's own place is not known, or another's update is noted.
    #[error("{} is not the program that is updated here: that is {}", own.display(), target.display())]
    OtherTarget {
        /// This program.
        own: PathBuf,
        /// The one that is noted.
        target: PathBuf,
    },
    /// This program's file is not known.
    #[error("the file of this program is not known")]
    NoProgram(#[source] io::Error),
    /// What is kept is not what was kept.
    #[error("{} was changed since it was kept", .0.display())]
    Changed(PathBuf),
    /// The notes cannot be read.
    #[error("cannot read {}", path.display())]
    Notes {
        /// Their file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database cannot be looked at.
    #[error("the database of instance {name} cannot be looked at")]
    Database {
        /// The instance.
        name: String,
        /// What is wrong.
        source: Box<store::StoreError>,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] file::FileError),
}
