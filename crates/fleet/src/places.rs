//! What copying, moving, removing and repairing share: the lock of a folder that does not run, and staging folders,
//! in which something is made or taken apart beside the place that it belongs to.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod rewrite;
pub(crate) mod tree;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use base::{clock, random};
use profile::claims::Refused;
use profile::ledger::{self, Ended, How};
use profile::{Ambient, Claims, Document};

use crate::rename;

/// The lock of a staging folder, within it: it is held for as long as somebody works there.
const LOCK: &str = ".lock";
/// The lock of a state folder, within it; a folder that is being removed was one.
const FOLDER_LOCK: &str = "gateway.lock";
/// The beginning of every staging folder's name, as of every state folder's.
const PREFIX: &str = ".openclaw";
/// How often a name is tried before the disk is said to be at fault.
const TRIES: usize = 8;

/// What a staging folder is for; part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An instance is made there.
    Making,
    /// A snapshot is unpacked there.
    Restoring,
    /// An instance is taken apart there.
    Removing,
}

/// A folder beside the place of an instance, private and locked. Dropping it removes it, unless it was put in place.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    _lock: File,
    is_placed: bool,
}

impl Staging {
    /// Makes an empty one beside `place`.
    ///
    /// # Errors
    /// When the folder beside which it stands cannot be written.
    pub(crate) fn beside(place: &Path, purpose: Purpose) -> Result<Self, FileError> {
        if let Some(parent) = place.parent() {
            file::private_folder(parent)?;
        }
        let mut last = None;
        for _ in 0..TRIES {
            let path = staging_name(place, purpose);
            match make_locked(&path) {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock, is_placed: false }),
                // A repair saw it without its lock and took it away.
                Ok(None) => {}
                Err(source) => last = Some(source),
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into());
        Err(FileError { what: "make a folder beside", path: place.to_path_buf(), source })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place with all that is in it, in one step and as the disk has it. An empty folder gives way.
    ///
    /// # Errors
    /// `AlreadyExists` when something is there; nothing was changed then.
    pub(crate) fn put_at(mut self, place: &Path) -> Result<(), FileError> {
        file::sync_disk(&self.path)?;
        // Only an empty folder can be removed so; anything else is noticed by the move.
        let _ = fs::remove_dir(place);
        file::move_new(&self.path, place)?;
        self.is_placed = true;
        // A lock that is left there locks nothing.
        let _ = file::remove(&place.join(LOCK));
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_placed {
            // What stays is what a repair takes away.
            let _ = tree::remove(&self.path);
        }
    }
}

/// A name for a staging folder that nobody has.
pub(crate) fn staging_name(place: &Path, purpose: Purpose) -> PathBuf {
    let name = place.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let name =
        if name.starts_with(PREFIX) { name } else { format!("{PREFIX}-{}", name.trim_start_matches('.')) };
    let purpose = match purpose {
        Purpose::Making => "making",
        Purpose::Restoring => "restoring",
        Purpose::Removing => "removing",
    };
    place.with_file_name(format!("{name}.{purpose}-{}", random::hex::<6>()))
}

/// The staging folders that are directly in `folder`, whoever uses them.
pub(crate) fn stagings_in(folder: &Path) -> Vec<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let ours = entries.into_iter().filter(|it| it.file_name().to_str().is_some_and(is_staging_name));
    let mut found: Vec<PathBuf> = ours
        .filter(|it| it.metadata().is_ok_and(|it| it.is_dir() && it.uid() == me))
        .map(|it| it.path())
        .collect();
    found.sort();
    found
}

/// Whether somebody works in a staging folder. Who is just making it, and finds its lock taken by this look, takes
/// another.
pub(crate) fn is_used(staging: &Path) -> bool {
    let is_locked = |name: &&str| {
        let lock = File::open(staging.join(name));
        lock.is_ok_and(|it| matches!(it.try_lock(), Err(TryLockError::WouldBlock)))
    };
    [LOCK, FOLDER_LOCK].iter().any(is_locked)
}

/// Removes a staging folder that nobody uses. False when somebody does.
///
/// # Errors
/// When something in it cannot be removed.
pub(crate) fn remove_unused(staging: &Path) -> Result<bool, FileError> {
    let mut held = Vec::new();
    for name in [LOCK, FOLDER_LOCK] {
        let path = staging.join(name);
        if name == FOLDER_LOCK && path.symlink_metadata().is_err() {
            continue;
        }
        let lock = match file::lockable(&path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) => held.push(lock),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(source)) => return Err(FileError { what: "lock", path, source }),
        }
    }
    tree::remove(staging).map(|()| true)
}

/// Takes the lock of a state folder to change something in it. That its gateway was cut off is noted: with the lock
/// goes what says so.
///
/// # Errors
/// Names who holds it.
pub(crate) fn lock(claims_folder: &Path, name: &str, state_dir: &Path) -> Result<Claims, Refused> {
    let mut claims = Claims::new(claims_folder, name, state_dir);
    claims.take_folder()?;
    // In a folder that was being renamed, who was cut off is who renamed it.
    let before = claims.cut_off().filter(|it| it.pid != std::process::id());
    if let Some(before) = before.filter(|_| !rename::is_unfinished(state_dir)) {
        let detail = "it was killed, or the power failed".to_owned();
        let ended = Ended { at: clock::now_ms(), how: How::CutOff, detail, pid: before.pid };
        // A note; without it everything works.
        let _ = ledger::note(state_dir, |it| it.ended = Some(ended));
    }
    Ok(claims)
}

/// The path with its links followed, where it is there.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| rewrite::clean(path))
}

/// The workspaces that a config names: the default agent's first (`None`), then those of the listed agents by their
/// ids or places.
pub(crate) fn workspaces(document: &Document, ambient: &Ambient) -> Vec<(Option<String>, PathBuf)> {
    let named = |it: Option<&serde_json::Value>| {
        it.and_then(serde_json::Value::as_str).filter(|it| !it.trim().is_empty()).map(str::to_owned)
    };
    let texts = rewrite::Texts::of(ambient);
    // One that begins with another variable is whatever its gateway finds there.
    let place = |it: &str| texts.path(it).or_else(|| (!it.contains("${")).then(|| ambient.path(it)));
    let default = named(document.get("agents.defaults.workspace"));
    let list = document.get("agents.list").and_then(serde_json::Value::as_array);
    let listed = list.into_iter().flatten().enumerate().filter_map(|(at, it)| {
        let id = named(it.get("id")).unwrap_or_else(|| at.to_string());
        Some((Some(id), place(&named(it.get("workspace"))?)?))
    });
    default.and_then(|it| Some((None, place(&it)?))).into_iter().chain(listed).collect()
}

/// `None` when the folder was gone before it could be locked, or is somebody else's by now.
fn make_locked(path: &Path) -> io::Result<Option<File>> {
    DirBuilder::new().mode(file::PRIVATE_FOLDER).create(path)?;
    let lock_path = path.join(LOCK);
    let lock = match file::lockable(&lock_path) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|it| it.source)?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(source),
    }
    let is_there =
        fs::metadata(&lock_path).is_ok_and(|it| lock.metadata().is_ok_and(|ours| ours.ino() == it.ino()));
    Ok(is_there.then_some(lock))
}

/// `.openclaw-NAME.making-0123456789ab` and its like.
fn is_staging_name(name: &str) -> bool {
    let purposes = ["making-", "restoring-", "removing-"];
    name.starts_with(PREFIX)
        && name.rsplit_once('.').is_some_and(|(_, rest)| {
            let random = purposes.iter().find_map(|it| rest.strip_prefix(it));
            random.is_some_and(|it| it.len() >= 6 && it.bytes().all(|it| it.is_ascii_alphanumeric()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staging_folder_is_known_by_its_name_and_no_instance_is() {
        for place in ["/home/ada/.openclaw", "/home/ada/.openclaw-work", "/data/acme", "/data/.acme.d"] {
            for purpose in [Purpose::Making, Purpose::Restoring, Purpose::Removing] {
                let name = staging_name(Path::new(place), purpose);
                assert_eq!(name.parent(), Path::new(place).parent());
                let name = name.file_name().and_then(|it| it.to_str()).expect("text").to_owned();
                assert!(is_staging_name(&name), "{name}");
            }
        }
        for other in [
            ".openclaw",
            ".openclaw-making-0123456789ab",
            ".openclaw-a.making-",
            ".openclaw-a.b-0123456789ab",
        ] {
            assert!(!is_staging_name(other), "{other}");
        }
    }

    #[test]
    fn one_that_is_used_stays_and_one_that_was_left_goes() {
        let home = tempfile::tempdir().expect("a folder");
        let used = Staging::beside(&home.path().join(".openclaw-a"), Purpose::Making).expect("made");
        file::replace(&used.path().join("x"), b"x").expect("written");
        let left = staging_name(&home.path().join(".openclaw-b"), Purpose::Removing);
        file::private_folder(&left.join("deep")).expect("made");
        file::replace(&left.join("gateway.lock"), b"{}").expect("written");
        assert_eq!(stagings_in(home.path()).len(), 2);
        assert!(is_used(used.path()) && !is_used(&left));
        assert!(!remove_unused(used.path()).expect("looked") && used.path().join("x").exists());
        assert!(remove_unused(&left).expect("removed") && !left.exists());
        let path = used.path().to_path_buf();
        drop(used);
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_that_is_taken_over_is_noted_as_its_gateway_would() {
        let home = tempfile::tempdir().expect("a folder");
        let left = r#"{"instance": "a", "pid": 4194305, "since": 1, "stateDir": "/a"}"#;
        for (is_renamed, expected) in [(false, Some(4_194_305)), (true, None)] {
            let folder = home.path().join(format!("renamed-{is_renamed}"));
            file::private_folder(&folder).expect("made");
            file::replace(&folder.join(FOLDER_LOCK), left.as_bytes()).expect("written");
            if is_renamed {
                file::replace(&folder.join("moving.json"), b"{}").expect("written");
            }
            drop(lock(&home.path().join("claims"), "a", &folder).expect("nobody has it"));
            assert_eq!(ledger::read(&folder).ended.map(|it| it.pid), expected);
            assert!(!folder.join(FOLDER_LOCK).exists());
        }
    }

    #[test]
    fn is_put_in_place_only_where_nothing_is() {
        let home = tempfile::tempdir().expect("a folder");
        let place = home.path().join(".openclaw-a");
        file::private_folder(&place).expect("made");
        let make = || {
            let staging = Staging::beside(&place, Purpose::Making).expect("made");
            file::replace(&staging.path().join("x"), b"x").expect("written");
            staging
        };
        make().put_at(&place).expect("an empty folder gives way");
        assert_eq!(fs::read_dir(&place).expect("list").count(), 1);
        let refused = make().put_at(&place).expect_err("taken");
        assert_eq!(refused.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(home.path()).expect("list").count(), 1, "nothing is left");
    }
}
