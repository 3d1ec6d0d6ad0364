//! What an instance notes about itself for the time when it does not run: how it ended last, how many conversations
//! there were, and whose rescue it is. Kept in its state folder, and moved, copied and removed with it.

use std::fs;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use serde::{Deserialize, Serialize};

/// The file's name within the state folder.
const FILE: &str = "ledger.json";

/// The notes of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ledger {
    /// The instance that this one watches over, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescue_for: Option<String>,
    /// The last end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// How often it was cut off since it was last stopped in order.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut_offs: u32,
    /// Conversations, as of the last stop in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that is asked for")]
fn is_zero(it: &u32) -> bool {
    *it == 0
}

/// How a gateway ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Unix milliseconds; of the notice where nobody saw the end.
    pub at: u64,
    /// In which way.
    pub how: How,
    /// In a person's words: the signal, or the error.
    pub detail: String,
    /// The process.
    pub pid: u32,
}

/// The ways in which a gateway ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// It was asked to, and did what was to be done.
    Stopped,
    /// It could not start; noted in the host folder.
    Refused,
    /// It was killed, or the power failed: it left its lock's file.
    CutOff,
}

/// Where the notes of a state folder are.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// The notes of a state folder. None are empty ones; so are those that cannot be read.
pub fn read(state_dir: &Path) -> Ledger {
    let text = fs::read(path(state_dir)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Changes the notes. The caller holds the instance's lock.
///
/// # Errors
/// When the state folder cannot be written.
pub fn note(state_dir: &Path, change: impl FnOnce(&mut Ledger)) -> Result<(), FileError> {
    let mut ledger = read(state_dir);
    change(&mut ledger);
    let text = serde_json::to_vec_pretty(&ledger).expect("texts and numbers always write");
    file::replace_advisory(&path(state_dir), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_and_a_torn_file_is_none() {
        let home = tempfile::tempdir().expect("a folder");
        assert_eq!(read(home.path()), Ledger::default());
        let ended = Ended { at: 1, how: How::CutOff, detail: "killed".into(), pid: 7 };
        note(home.path(), |it| it.rescue_for = Some("main".into())).expect("written");
        note(home.path(), |it| it.ended = Some(ended.clone())).expect("written");
        let found = read(home.path());
        assert_eq!((found.rescue_for.as_deref(), found.ended), (Some("main"), Some(ended)));
        file::replace(&path(home.path()), b"{\"rescueFor\": \"ma").expect("written");
        assert_eq!(read(home.path()), Ledger::default());
    }
}
