//! What is noted of updates in the folder of versions: what was there before, and how far one is that is under way.
//! Each step is on disk before it is taken, so that whoever comes after a kill knows where to go on.

use std::fmt;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use profile::{Instance, registry::Host};
use serde::{Deserialize, Serialize};

/// The name of the file.
const NAME: &str = "update.json";

/// All that is noted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notes {
    /// The file that is replaced by an update.
    pub target: Option<PathBuf>,
    /// What ran before the present one.
    pub former: Option<Build>,
    /// An update that is under way, or was cut off.
    pub under_way: Option<UnderWay>,
    /// How the last one ended.
    pub last: Option<Ended>,
}

/// A program's file, kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// The newest schema of a database that it reads.
    pub schema: u32,
    /// The copy that is kept of it.
    pub file: PathBuf,
}

/// How an update ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Unix milliseconds.
    pub at: u64,
    /// Whether it was done; otherwise everything is as before.
    pub ok: bool,
    /// The version that was there.
    pub from: String,
    /// The version that was to be there.
    pub to: String,
    /// What failed.
    pub why: Option<String>,
}

/// An update between its first step and its last.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnderWay {
    /// Unix milliseconds.
    pub since: u64,
    /// What stood there.
    pub from: Build,
    /// What is to stand there.
    pub to: Build,
    /// Why everything goes back, once it does.
    pub returning: Option<String>,
    /// Those that ran when it began, in the order in which they are restarted.
    pub rows: Vec<Row>,
}

/// One instance of an update.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where it keeps everything.
    pub state_dir: PathBuf,
    /// Its config document.
    pub config_path: PathBuf,
    /// How far it is.
    pub step: Step,
    /// Whether all was well with it before.
    pub was_well: bool,
    /// The schema of its database before its restart.
    #[serde(default)]
    pub schema: Option<u32>,
    /// The copy of its database from before its restart.
    pub copy: Option<PathBuf>,
    /// What went wrong with it.
    pub error: Option<String>,
}

/// How far one instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// It was not touched.
    Waiting,
    /// It is being restarted.
    Restarting,
    /// It runs what is to run.
    Updated,
    /// It runs what ran before.
    Returned,
    /// It does not run.
    Down,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, base::text::head(&self.sha256, 12))
    }
}

impl Notes {
    /// Reads them; none where there are none.
    ///
    /// # Errors
    /// When they cannot be read: then nobody knows whether an update is under way.
    pub fn read(folder: &Path) -> Result<Self, super::UpdateError> {
        let path = folder.join(NAME);
        let unreadable = |source| super::UpdateError::Notes { path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|it| unreadable(it.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Writes them, and waits until the disk has them.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(self).expect("names, paths and numbers always write");
        file::replace(&folder.join(NAME), &text)
    }
}

impl Row {
    /// The row of an instance that was not touched yet.
    pub(super) fn of(instance: &Instance, was_well: bool) -> Self {
        Self {
            name: instance.name.clone(),
            state_dir: instance.state_dir.clone(),
            config_path: instance.config_path.clone(),
            step: Step::Waiting,
            was_well,
            schema: None,
            copy: None,
            error: None,
        }
    }

    /// The instance among those that are known of.
    pub(super) fn instance(&self, known: &[crate::look::Known], host: &Host) -> Instance {
        let found = known.iter().find(|it| it.instance.state_dir == self.state_dir);
        found.map_or_else(
            || {
                let (state_dir, config) = (self.state_dir.clone(), self.config_path.clone());
                Instance::at(host.clone(), self.name.clone(), None, state_dir, config)
            },
            |it| it.instance.clone(),
        )
    }
}
