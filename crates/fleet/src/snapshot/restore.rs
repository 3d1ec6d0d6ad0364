//! Restore a snapshot: unpack and check beside the state folder, adapt, then swap at once.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use base::{Secret, file};

use super::adapt::{Adapted, Arrival, config_name};
use super::archive::{self, Data};
use super::config::Kept;
use super::error::failed;
use super::piece::{Piece, Seen};
use super::swap::{self, Staging};
use super::unpack::Unpacker;
use super::{About, Progress, Restored, SEALED, SnapshotError, Target, secrets};

/// Restores a snapshot as the target instance, and replaces the one that is there. Without a passphrase, or where
/// no secrets are in the snapshot, those of the replaced instance stay; what is nowhere is told as missing. Whoever
/// looks, also after a kill at any moment, finds the old instance or the new one; a staging folder that may be beside it
/// then is taken away by a repair.
///
/// # Errors
/// When the snapshot is not good, the passphrase is wrong, a gateway has the state folder, or a disk fails. The
/// target is untouched then.
pub fn restore(
    file: &Path,
    target: &Target,
    passphrase: Option<&Secret>,
    said: &mut dyn FnMut(Progress<'_>),
) -> Result<Restored, SnapshotError> {
    config_name(target)?;
    archive::inspect(file)?;
    let (real, exists) = swap::real(&target.instance)?;
    if exists {
        refuse_inside(file, &real)?;
        swap::refuse_running(&real)?;
    }
    let staging = Staging::beside(&real, &target.instance)?;
    let mut unpacker = Unpacker::new(staging.root());
    let (about, opened) = unpack(file, staging.root(), &mut unpacker, passphrase, said)?;
    unpacker.link()?;

    let old = exists.then(|| swap::lock_existing(&target.instance, &real)).transpose()?;
    let arrival = Arrival {
        about: &about,
        target,
        staging: staging.root(),
        state: &staging.state(),
        old: exists.then_some(real.as_path()),
        opened: opened.as_deref(),
    };
    let adapted = arrival.adapt()?;
    unpacker.close()?;
    let placed = go_back(&adapted.going_back)?;
    let leftover = match staging.swap(old) {
        Ok(it) => it,
        Err(error) => {
            placed.undo();
            return Err(error);
        }
    };
    let Adapted { workspaces, kept, missing, has_fresh_token, unadapted, .. } = adapted;
    let is_replacement = exists;
    Ok(Restored { about, is_replacement, workspaces, kept, missing, has_fresh_token, unadapted, leftover })
}

/// Unpacks everything, with every sum compared, and opens the secrets where they are there and asked for.
fn unpack(
    file: &Path,
    root: &Path,
    unpacker: &mut Unpacker,
    passphrase: Option<&Secret>,
    said: &mut dyn FnMut(Progress<'_>),
) -> Result<(About, Option<Vec<Kept>>), SnapshotError> {
    let mut seen = Seen::default();
    let mut put = |piece: &Piece, data: &mut Data<'_>, (read, size): (&Cell<u64>, u64)| {
        let mut told = || said(Progress { done: read.get(), total: Some(size), path: &piece.path });
        told();
        unpacker.put(piece, data, &mut told)
    };
    let (about, _) = archive::read_through(file, &mut seen, &mut put)?;
    let sealed = root.join(SEALED);
    let opened = match passphrase.filter(|_| sealed.is_file()) {
        Some(passphrase) => Some(secrets::open(&sealed, file, passphrase, &mut seen, unpacker)?),
        None => None,
    };
    Ok((about, opened))
}

/// The old folder goes with everything in it.
fn refuse_inside(file: &Path, real: &Path) -> Result<(), SnapshotError> {
    let found = fs::canonicalize(file).map_err(failed("open", file))?;
    if found.starts_with(real) {
        let (file, folder) = (file.to_path_buf(), real.to_path_buf());
        return Err(SnapshotError::Inside { file, folder });
    }
    Ok(())
}

/// Workspaces at their old places, each with where it came from.
struct PutBack(Vec<(PathBuf, PathBuf)>);

impl PutBack {
    fn undo(self) {
        for (from, to) in self.0 {
            // It goes with the staging folder; where even that fails, a workspace too many does no harm.
            let _ = file::move_new(&to, &from);
        }
    }
}

fn go_back(all: &[(PathBuf, PathBuf)]) -> Result<PutBack, SnapshotError> {
    let mut done = PutBack(Vec::new());
    for (from, to) in all {
        if let Err(error) = file::move_new(from, to) {
            done.undo();
            return Err(error.into());
        }
        done.0.push((from.clone(), to.clone()));
    }
    Ok(done)
}
