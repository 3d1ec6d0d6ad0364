//! Texts that were in the config file and that no gateway accepted: kept beside the generations, so that no write
//! takes the only copy of one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base::file::{self, FileError};

use super::{sum_of, swap};
use crate::generations;

/// How the names of these texts begin.
const REPLACED: &str = "replaced-";
/// How many are kept.
const KEPT: usize = 20;
/// From this age on, nobody is at work on a draft any more.
const OLD: Duration = Duration::from_secs(60);

/// Keeps a text that is about to be replaced, unless it is a generation's.
pub(super) fn keep(state_dir: &Path, text: &[u8]) -> Result<(), FileError> {
    let sum = sum_of(text);
    if text.is_empty() || text_of(state_dir, &sum).is_some() {
        return Ok(());
    }
    let folder = generations::made(state_dir)?;
    file::replace(&folder.join(format!("{REPLACED}{}.json5", &sum[..16])), text)?;
    let mut kept: Vec<(SystemTime, PathBuf)> = replaced(&folder);
    kept.sort();
    let many = kept.len().saturating_sub(KEPT);
    kept.iter().take(many).try_for_each(|(_, path)| file::remove(path))
}

/// The text that a sum is of, where it is still known.
pub(super) fn text_of(state_dir: &Path, sum: &str) -> Option<String> {
    let short = sum.get(..16)?;
    let folder = generations::folder(state_dir);
    let kept = std::iter::once(folder.join(format!("{REPLACED}{short}.json5")));
    let accepted = generations::all(state_dir).into_iter().rev().map(|it| it.path);
    let is_it = |path: &PathBuf| path.to_str().is_some_and(|it| it.ends_with(&format!("-{short}.json5")));
    let mut bytes = kept.chain(accepted).filter(is_it).filter_map(|it| fs::read(it).ok());
    bytes.find(|it| sum_of(it) == sum).map(|it| String::from_utf8_lossy(&it).into_owned())
}

/// Takes away what writers left beside the config that were killed. A draft may be the only copy of a text that was in
/// the file, so it is kept first.
pub(super) fn collect(state_dir: &Path, config: &Path) -> Result<(), FileError> {
    let (Some(folder), Some(name)) = (config.parent(), config.file_name().and_then(|it| it.to_str())) else {
        return Ok(());
    };
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_ours = |it: &fs::DirEntry| {
        let found = it.file_name();
        let found = found.to_str().filter(|it| file::is_draft(it));
        found.is_some_and(|it| it.starts_with(&format!(".{name}."))) && is_old(it)
    };
    for draft in entries.iter().filter(|it| is_ours(it)) {
        if let Some(text) = swap::read(&draft.path())? {
            keep(state_dir, &text)?;
        }
        file::remove(&draft.path())?;
    }
    Ok(())
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let written = entry.metadata().and_then(|it| it.modified()).ok();
    written.and_then(|it| SystemTime::now().duration_since(it).ok()).is_some_and(|it| it > OLD)
}

fn replaced(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_one = |it: &&fs::DirEntry| it.file_name().to_str().is_some_and(|it| it.starts_with(REPLACED));
    let dated = |it: &fs::DirEntry| Some((it.metadata().and_then(|it| it.modified()).ok()?, it.path()));
    entries.iter().filter(is_one).filter_map(dated).collect()
}
