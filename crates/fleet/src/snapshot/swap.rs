//! The folder in which an instance is unpacked, and its change of place with the one that is there.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use base::file;
use profile::claims::{Claims, Refused};
use profile::{Instance, folder};

use super::error::failed;
use super::{STATE, SnapshotError};
use crate::places::{self, Purpose};

/// The folder in which an instance is unpacked. The state folder in it is locked like that of a gateway, so that
/// nobody starts there before it is whole.
pub(super) struct Staging {
    outer: places::Staging,
    /// Where it goes.
    real: PathBuf,
    lock: Claims,
}

impl Staging {
    /// A staging folder for the instance's state folder.
    pub(super) fn beside(real: &Path, instance: &Instance) -> Result<Self, SnapshotError> {
        let outer = places::Staging::beside(real, Purpose::Restoring)?;
        let state = outer.path().join(STATE);
        file::private_folder(&state)?;
        let lock = lock(instance, &state)?;
        Ok(Self { outer, real: real.to_path_buf(), lock })
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        self.outer.path()
    }

    /// The state folder in it.
    pub(super) fn state(&self) -> PathBuf {
        self.root().join(STATE)
    }

    /// Waits until the disk has it, and gives it its place. `old` is the lock of what is there now, which is
    /// removed. Returns a folder that could not be.
    pub(super) fn swap(self, old: Option<Claims>) -> Result<Option<PathBuf>, SnapshotError> {
        file::sync_disk(self.root())?;
        let Self { outer, real, lock } = self;
        if let Some(old) = old {
            file::exchange(&outer.path().join(STATE), &real)?;
            let root = outer.path().to_path_buf();
            drop(outer);
            // This removes the lock's file at the place, which is the staged one by now: still held, by us, so that
            // a gateway that waits for it begins anew with the new folder.
            drop(old);
            drop(lock);
            return Ok(root.exists().then_some(root));
        }
        file::move_new(&outer.path().join(STATE), &real)?;
        // Nobody else can have it: it is held until the lock is dropped.
        let _ = fs::remove_file(real.join("gateway.lock"));
        drop(lock);
        Ok(None)
    }
}

/// The state folder with its links followed, and whether it is there.
pub(super) fn real(instance: &Instance) -> Result<(PathBuf, bool), SnapshotError> {
    let path = &instance.state_dir;
    if path.symlink_metadata().is_ok() {
        return Ok((fs::canonicalize(path).map_err(failed("open the folder", path))?, true));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    file::private_folder(parent)?;
    let parent = fs::canonicalize(parent).map_err(failed("open the folder", parent))?;
    Ok((parent.join(path.file_name().unwrap_or_default()), false))
}

/// Refuses early where a gateway has the state folder, before anything is unpacked. What decides is the lock that
/// is taken later; this only looks.
pub(super) fn refuse_running(real: &Path) -> Result<(), SnapshotError> {
    let lock = File::open(real.join("gateway.lock")).map(|it| it.try_lock());
    if !matches!(lock, Ok(Err(TryLockError::WouldBlock))) {
        return Ok(());
    }
    let holder = profile::claims::holder_of(real).map(Box::new);
    Err(SnapshotError::Running { state_dir: real.to_path_buf(), holder })
}

/// Takes the lock of a state folder that exists and is one of a gateway.
pub(super) fn lock_existing(instance: &Instance, real: &Path) -> Result<Claims, SnapshotError> {
    folder::prepare(real).map_err(SnapshotError::Folder)?;
    lock(instance, real)
}

/// Whether something can be moved to `place` from `staging`, and may be by what a snapshot says: it is free, in a
/// folder of ours on the same disk, and nothing on its way is hidden, the way to the home left out. A program looks
/// for what it is to run or to trust in hidden places.
pub(super) fn may_go_to(place: &Path, staging: &Path, home: Option<&Path>) -> bool {
    let way = home.and_then(|home| place.strip_prefix(home).ok()).unwrap_or(place);
    let is_plain = |it: Component<'_>| match it {
        Component::RootDir => true,
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    let parent = place.parent().and_then(|it| fs::metadata(it).ok()).filter(fs::Metadata::is_dir);
    let disk = fs::metadata(staging).map(|it| it.dev()).ok();
    place.is_absolute()
        && way.components().all(is_plain)
        && place.symlink_metadata().is_err()
        && parent.is_some_and(|it| Some(it.dev()) == disk && it.uid() == rustix::process::geteuid().as_raw())
}

fn lock(instance: &Instance, state_dir: &Path) -> Result<Claims, SnapshotError> {
    let mut claims = Claims::new(&instance.host.claims(), &instance.name, state_dir);
    claims.take_folder().map_err(|error| match error {
        Refused::Held { holder, .. } => SnapshotError::Running { state_dir: state_dir.to_path_buf(), holder },
        error @ Refused::File { .. } => SnapshotError::Lock(error),
    })?;
    Ok(claims)
}
