//! What a restore leaves that was killed: a folder with a half-unpacked instance, or with the old one.

use std::fs;
use std::path::{Path, PathBuf};

use profile::Claims;

use super::error::failed;
use super::swap::{MARK, remove_tree};
use super::{STATE, SnapshotError};

/// The folders in `parent` that restores made for themselves; one of a restore that is under way is among them.
pub fn leftovers(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut found: Vec<PathBuf> = entries
        .into_iter()
        .filter(|it| it.file_type().is_ok_and(|it| it.is_dir()))
        .filter(|it| it.file_name().to_str().is_some_and(is_leftover))
        .map(|it| it.path())
        .collect();
    found.sort();
    found
}

/// Removes the [`leftovers`] in `parent` that no restore is using, and returns them.
///
/// # Errors
/// When one cannot be removed; those before it are gone then.
pub fn clean(parent: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut removed = Vec::new();
    for folder in leftovers(parent) {
        let mut lock = Claims::new(&folder, "leftover", &folder.join(STATE));
        if lock.take_folder().is_ok() {
            remove_tree(&folder).map_err(failed("remove the folder", &folder))?;
            removed.push(folder);
        }
    }
    Ok(removed)
}

fn is_leftover(name: &str) -> bool {
    let random = name.split_once(MARK).filter(|(state, _)| !state.is_empty()).map(|(_, it)| it);
    random.is_some_and(|it| it.len() == 12 && it.bytes().all(|it| it.is_ascii_hexdigit()))
}
