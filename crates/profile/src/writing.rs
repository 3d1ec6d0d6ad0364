//! The one way to write a config file: a compare-and-swap. Whoever writes says what its text was based on, and where
//! the file says something else by then, nothing is written and the difference is told.
//!
//! Commands exclude each other by a kernel lock; an editor knows nothing of it, so the file is exchanged with the new
//! text in one step, and what came out is compared once more. A process that is killed anywhere in between leaves the
//! old file or the new one, and no text that was in the file is ever the only copy that is removed.

mod history;
mod lock;
mod swap;

use std::io;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use base::random;
use ring::digest;
use serde_json::Value;

use crate::ambient::Ambient;
use crate::document::{self, Change, Document, LARGEST};
use crate::folder::{self, BadFolder};
use crate::generations;
use crate::instance::Instance;

/// Who writes, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The program or client.
    pub by: String,
    /// What for, in a few words.
    pub why: String,
}

/// The config file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its text; `None` where there is no file. What is no UTF-8 is replaced in it, and not in the sum.
    pub text: Option<String>,
    /// The sum of its bytes: the base of a write. That of an empty text where there is no file.
    pub sum: String,
}

/// A text that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The sum of the new text: the base of the next write.
    pub sum: String,
    /// What the new text says differently, secrets masked.
    pub changes: Vec<Change>,
    /// False where the file had this text already; it was not touched then.
    pub is_new: bool,
}

/// Why a text was not written. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// Somebody else wrote since.
    #[error("the config was changed by somebody else since it was read")]
    Changed {
        /// The sum of the text that is there.
        now: String,
        /// What the other writer changed, secrets masked; empty where the text of the base is not known here.
        changes: Vec<Change>,
    },
    /// Another command has had the lock for too long.
    #[error("another command is writing this config{}", .pid.map(|it| format!(" (pid {it})")).unwrap_or_default())]
    Busy {
        /// The process, where it is known.
        pid: Option<u32>,
    },
    /// The state folder is not ours to use.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// The disk, or the folder of the config.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// Hex SHA-256 of a text.
pub fn sum(text: &str) -> String {
    sum_of(text.as_bytes())
}

/// The variable that says that the config belongs to a deployment system, and that no command of ours writes it.
pub fn is_read_only(ambient: &Ambient) -> Option<&'static str> {
    ["OPENCLAW_CONFIG_READONLY", "OPENCLAW_NIX_MODE"].into_iter().find(|it| ambient.var(it) == Some("1"))
}

/// Reads the config file as the base of a write; one that does not parse is read as well.
///
/// # Errors
/// When it is there and cannot be read.
pub fn current(instance: &Instance) -> Result<Current, FileError> {
    let bytes = swap::read(&real(&instance.config_path)?)?;
    let sum = sum_of(bytes.as_deref().unwrap_or_default());
    Ok(Current { text: bytes.map(|it| String::from_utf8_lossy(&it).into_owned()), sum })
}

/// What one text says differently from another, secrets masked. A text that does not parse says nothing.
pub fn difference(before: &str, after: &str) -> Vec<Change> {
    document::changes(&value_of(before), &value_of(after))
}

/// Writes `text` where the config file still is what `base` is the [`sum`] of; `None` where there must be no file. A
/// file that is a link stays one. Who wrote it is noted for whoever accepts the text.
///
/// # Errors
/// As [`NotWritten`] says; the file is then as it was.
pub fn write(
    instance: &Instance,
    base: Option<&str>,
    text: &str,
    author: &Author,
) -> Result<Written, NotWritten> {
    let path = real(&instance.config_path)?;
    check_size(&path, text)?;
    // Who is too late already need not wait for its turn.
    expect(instance, base, swap::read(&path)?.as_deref())?;
    folder::prepare(&instance.state_dir)?;
    if let Some(folder) = path.parent() {
        file::private_folder(folder)?;
    }
    let _lock = lock::take(&instance.state_dir)?;
    let before = swap::read(&path)?;
    expect(instance, base, before.as_deref())?;
    let sum = sum(text);
    let old = before.as_deref().unwrap_or_default();
    let changes = difference(&String::from_utf8_lossy(old), text);
    if before.as_deref() == Some(text.as_bytes()) {
        return Ok(Written { sum, changes, is_new: false });
    }
    generations::note(&instance.state_dir, text, author)?;
    history::collect(&instance.state_dir, &path)?;
    if let Some(old) = &before {
        history::keep(&instance.state_dir, old)?;
    }
    match swap::put(&path, before.as_deref(), text.as_bytes(), || {})? {
        None => Ok(Written { sum, changes, is_new: true }),
        Some(other) => Err(changed(instance, base, &other)),
    }
}

fn expect(instance: &Instance, base: Option<&str>, now: Option<&[u8]>) -> Result<(), NotWritten> {
    let is_base = match (base, now) {
        (None, None) => true,
        (Some(base), now) => base == sum_of(now.unwrap_or_default()),
        (None, Some(_)) => false,
    };
    if is_base { Ok(()) } else { Err(changed(instance, base, now.unwrap_or_default())) }
}

fn changed(instance: &Instance, base: Option<&str>, now: &[u8]) -> NotWritten {
    let before = match base {
        None => Some(String::new()),
        Some(it) => history::text_of(&instance.state_dir, it),
    };
    let changes = before.map(|it| difference(&it, &String::from_utf8_lossy(now))).unwrap_or_default();
    NotWritten::Changed { now: sum_of(now), changes }
}

fn check_size(path: &Path, text: &str) -> Result<(), FileError> {
    if text.len() as u64 <= LARGEST {
        return Ok(());
    }
    let words = format!("{} bytes are more than the {LARGEST} that a config may have", text.len());
    Err(FileError { what: "write", path: path.to_path_buf(), source: io::Error::other(words) })
}

fn value_of(text: &str) -> Value {
    let parsed = Document::parse(Path::new(""), text.to_owned());
    parsed.map_or_else(|_| Value::Object(serde_json::Map::new()), |it| it.value().clone())
}

fn sum_of(bytes: &[u8]) -> String {
    random::hex_of(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// What a path leads to in the end, whether or not that is there.
fn real(path: &Path) -> Result<PathBuf, FileError> {
    let mut real = path.to_path_buf();
    for _ in 0..40 {
        match std::fs::read_link(&real) {
            Ok(to) => real = real.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => return Ok(real),
        }
    }
    let source = io::Error::other("its links lead nowhere");
    Err(FileError { what: "follow", path: path.to_path_buf(), source })
}

#[cfg(test)]
#[path = "writing/tests.rs"]
mod tests;
