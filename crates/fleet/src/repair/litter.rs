//! What lies about: folders in which somebody was cut off, and files that were never given their names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base::file::{self, FileError};
use profile::Ambient;
use profile::registry::Host;

use super::found::Found;
use super::{Action, Repair, Task};
use crate::places;
use crate::places::tree;

/// From this age on, nobody is at work on a draft any more.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The staging folders in the home and beside every state folder.
pub(super) fn stagings(found: &Found<'_>, host: &Host, ambient: &Ambient) -> Vec<Task> {
    let recorded = host.all().into_iter().map(|it| it.state_dir);
    let known = found.instances().into_iter().map(|it| it.state_dir);
    let beside = recorded.chain(known).flat_map(|it| {
        let real = places::real(&it);
        [it.parent().map(Path::to_path_buf), real.parent().map(Path::to_path_buf)]
    });
    let folders: BTreeSet<PathBuf> =
        beside.flatten().chain(ambient.home()).map(|it| places::real(&it)).collect();
    let left = folders.iter().flat_map(|it| places::stagings_in(it)).filter(|it| !places::is_used(it));
    let task = |folder: PathBuf| Task {
        repair: Repair::Staging { folder: folder.clone() },
        action: Action::Clear(folder),
    };
    left.map(task).collect()
}

/// The drafts among the host's files and those of every instance; a config's has its secrets in it, and a snapshot's
/// a whole database.
pub(super) fn drafts(found: &Found<'_>, host: &Host) -> Option<Task> {
    let instances = found.instances().into_iter().map(|it| it.state_dir);
    let folders = instances.flat_map(|it| [it.join("generations"), it]).chain(host.folders());
    let paths: Vec<PathBuf> = folders.flat_map(|it| drafts_in(&it)).collect();
    if paths.is_empty() {
        return None;
    }
    let repair = Repair::Drafts { count: paths.len() };
    Some(Task { repair, action: Action::RemoveDrafts(paths) })
}

/// Removes a draft, which may be a folder.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    if path.symlink_metadata().is_ok_and(|it| it.is_dir()) { tree::remove(path) } else { file::remove(path) }
}

fn drafts_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_old = |it: &fs::DirEntry| {
        let written = it.metadata().and_then(|it| it.modified()).ok();
        let age = written.and_then(|it| SystemTime::now().duration_since(it).ok());
        age.is_some_and(|it| it > OLD)
    };
    let is_draft = |it: &fs::DirEntry| it.file_name().to_str().is_some_and(file::is_draft);
    entries.iter().filter(|it| is_draft(it) && is_old(it)).map(fs::DirEntry::path).collect()
}
