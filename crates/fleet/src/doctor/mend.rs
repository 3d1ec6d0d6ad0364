//! What is put right from outside, of this one instance.

use std::fs;
use std::path::{Path, PathBuf};

use base::clock;
use base::file::{self, FileError};
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::writing::{self, Author};
use profile::{Document, Instance, generations};

use super::{Change, files};
use crate::places;

/// Why something was not put right.
#[derive(Debug, thiserror::Error)]
pub enum CannotMend {
    /// Its gateway runs, or somebody else works on it.
    #[error(transparent)]
    Held(#[from] Refused),
    /// A disk, or a right that is missing.
    #[error(transparent)]
    File(#[from] FileError),
    /// No config was ever accepted.
    #[error(
        "no config of this instance was accepted yet: there is none to put in the place of the broken one"
    )]
    NoGeneration,
    /// Somebody else wrote it meanwhile, or a disk failed.
    #[error(transparent)]
    Config(#[from] writing::NotWritten),
    /// The kept one does not parse either.
    #[error("the last accepted config cannot be used")]
    BadGeneration(#[source] Box<Unreadable>),
}

/// A config that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Which one.
    pub generation: u64,
    /// Where the file is that stood there before; absent where there was none.
    pub kept: Option<PathBuf>,
}

/// Makes one change. What needs the gateway stopped takes the instance's lock for it.
///
/// # Errors
/// When the gateway runs and may not, or a disk fails.
pub fn mend(instance: &Instance, change: &Change) -> Result<(), CannotMend> {
    let _lock = match change.needs_stop() {
        true => Some(places::lock(&instance.host.claims(), &instance.name, &instance.state_dir)?),
        false => None,
    };
    match change {
        Change::Modes(entries) => {
            for (path, mode) in entries {
                let failed = |source| FileError { what: "change the mode of", path: path.clone(), source };
                match files::set_mode(path, *mode) {
                    // Somebody removed it meanwhile: nobody reads it then.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    other => other.map_err(failed)?,
                }
            }
            Ok(())
        }
        Change::Folder(path) => Ok(file::private_folder(path)?),
        Change::Socket(path) => Ok(file::remove(path)?),
    }
}

/// Puts the last accepted config in the place of the file, which is kept beside it. Only ever done where somebody asks
/// for it by name.
///
/// # Errors
/// When none was accepted, when that one does not parse either, or a disk fails; nothing was changed then.
pub fn restore_config(instance: &Instance) -> Result<Restored, CannotMend> {
    let last = generations::last(&instance.state_dir).ok_or(CannotMend::NoGeneration)?;
    let failed = |what, path: &Path| {
        let path = path.to_path_buf();
        move |source| FileError { what, path, source }
    };
    let text = last.text().map_err(failed("read", &last.path))?;
    Document::parse(&last.path, text.clone()).map_err(|error| CannotMend::BadGeneration(Box::new(error)))?;
    // A link to the file stays a link.
    let path = fs::canonicalize(&instance.config_path).unwrap_or_else(|_| instance.config_path.clone());
    let kept = match fs::read(&path) {
        Ok(bytes) => Some(keep(&path, &bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(failed("read", &path)(source).into()),
    };
    let author = Author { by: "doctor".to_owned(), why: format!("generation {} put back", last.number) };
    let base = writing::current(instance)?;
    writing::write(instance, base.text.as_ref().map(|_| base.sum.as_str()), &text, &author)?;
    Ok(Restored { generation: last.number, kept })
}

/// Writes what stood there beside it, under a name that nothing has.
fn keep(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let time: String = clock::rfc3339(clock::now_ms()).chars().filter(char::is_ascii_alphanumeric).collect();
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let names = std::iter::once(format!("{name}.broken-{time}"))
        .chain((2..).map(|it: u32| format!("{name}.broken-{time}-{it}")));
    for it in names {
        let place = path.with_file_name(it);
        if file::create_new(&place, bytes)? {
            return Ok(place);
        }
    }
    unreachable!("there are more numbers than files")
}
