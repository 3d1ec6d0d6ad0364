//! Write the entries of an archive into a folder of ours, links last, so that nothing is written through one.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base::file;

use super::archive::Data;
use super::error::failed;
use super::piece::Piece;
use super::{Kind, STATE, SnapshotError};

/// A folder that is being filled.
pub(super) struct Unpacker {
    root: PathBuf,
    folders: Vec<(PathBuf, u32)>,
    links: Vec<(PathBuf, String)>,
}

impl Unpacker {
    /// Fills `root`, in which `state` is there already.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), folders: Vec::new(), links: Vec::new() }
    }

    /// One entry. Its path was admitted, so it is in a folder that was unpacked before.
    pub(super) fn put(
        &mut self,
        piece: &Piece,
        data: &mut Data<'_>,
        told: &mut dyn FnMut(),
    ) -> Result<(), SnapshotError> {
        let at = self.root.join(&piece.path);
        match piece.kind {
            // Nobody else looks into a state folder, whatever its mode was.
            Kind::Folder if piece.path == STATE => {}
            Kind::Folder => {
                fs::DirBuilder::new()
                    .mode(file::PRIVATE_FOLDER)
                    .create(&at)
                    .map_err(failed("make the folder", &at))?;
                self.folders.push((at, piece.mode));
            }
            Kind::Link => self.links.push((at, piece.place.clone())),
            Kind::File => {
                let mut file = file::new_file(&at)?;
                while let Some(bytes) = data.next()? {
                    file.write_all(bytes).map_err(failed("write", &at))?;
                    told();
                }
                let written = UNIX_EPOCH.checked_add(Duration::from_secs(piece.modified));
                // A time that the file system cannot keep is worth no failure.
                let _ = written.map(|it| file.set_modified(it));
                let mode = Permissions::from_mode(piece.mode);
                file.set_permissions(mode).map_err(failed("set the mode of", &at))?;
            }
        }
        Ok(())
    }

    /// Makes the links, when every file is written.
    pub(super) fn link(&mut self) -> Result<(), SnapshotError> {
        self.links.drain(..).try_for_each(|(at, place)| {
            std::os::unix::fs::symlink(place, &at).map_err(failed("make the link", &at))
        })
    }

    /// Gives the folders their modes, when nothing is written any more. The last first: one that may not be
    /// entered hides those in it.
    pub(super) fn close(&mut self) -> Result<(), SnapshotError> {
        self.folders.drain(..).rev().try_for_each(|(at, mode)| {
            // One that was moved since has its mode from there.
            match fs::set_permissions(&at, Permissions::from_mode(mode)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                set => set.map_err(failed("set the mode of", &at)),
            }
        })
    }
}
