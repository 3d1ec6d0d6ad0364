//! The secrets of an instance: sealed into a snapshot, opened out of it, or taken from the instance it replaces.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use base::{Secret, file};

use super::archive::{self, Data};
use super::config::Kept;
use super::contents::{self, Contents, Item, Tree, What};
use super::error::failed;
use super::pack::{self, Meter, Packer};
use super::piece::{Piece, Seen};
use super::seal::{Opener, Sealer, Unopened};
use super::take::Found;
use super::unpack::Unpacker;
use super::{CONFIG, CONFIG_SECRETS, SEALED, STATE, SnapshotError};

/// Writes what is secret to the new file `to`, so that only the passphrase opens it.
pub(super) fn seal(
    to: &Path,
    passphrase: &Secret,
    found: &Found,
    notes: &mut Contents,
) -> Result<(), SnapshotError> {
    let sealer = Sealer::begin(file::new_file(to)?, passphrase).map_err(failed("write", to))?;
    let mut packer = Packer::new(sealer, to);
    let mut meter = Meter { done: 0, total: None, said: &mut |_| {} };
    let kept = serde_json::to_vec(&found.kept).expect("keys and values always write");
    packer.bytes(CONFIG_SECRETS, file::PRIVATE_FILE, &kept)?;
    let files = found.state.items.iter().filter(|it| it.is_secret);
    for item in found.whole_config.iter().chain(files) {
        packer.item(STATE, item, &mut meter, notes)?;
    }
    packer.finish()?.finish().map_err(failed("write", to))?;
    Ok(())
}

/// Opens what [`seal`] wrote and `unpacker` has put at `sealed`; the files go where they belong. `of` is the
/// snapshot, for messages.
pub(super) fn open(
    sealed: &Path,
    of: &Path,
    passphrase: &Secret,
    seen: &mut Seen,
    unpacker: &mut Unpacker,
) -> Result<Vec<Kept>, SnapshotError> {
    let damaged =
        |what: String| SnapshotError::Damaged { file: of.to_path_buf(), entry: SEALED.to_owned(), what };
    let file = File::open(sealed).map_err(failed("open", sealed))?;
    let opener = Opener::begin(BufReader::new(file), passphrase).map_err(|error| match error {
        Unopened::Passphrase => SnapshotError::Passphrase(of.to_path_buf()),
        Unopened::Broken(what) => damaged(what),
    })?;
    let mut kept = None;
    let mut visit = |piece: &Piece, data: &mut Data<'_>| {
        if piece.path != CONFIG_SECRETS {
            return unpacker.put(piece, data, &mut || {});
        }
        let read = serde_json::from_slice(&data.config_secrets()?);
        kept = Some(read.map_err(|it| damaged(format!("{CONFIG_SECRETS}: {it}")))?);
        Ok(())
    };
    let (_, mut rest) = archive::each(opener, of, seen, &mut visit)?;
    // The last chunk says that nothing was cut off.
    io::copy(&mut rest, &mut io::sink()).map_err(|it| damaged(it.to_string()))?;
    kept.ok_or_else(|| damaged(format!("{CONFIG_SECRETS} is missing")))
}

/// Takes the secret files of an instance into another state folder that does not have them. Returns their names.
pub(super) fn take_files(from: &Path, into: &Path) -> Result<Vec<String>, SnapshotError> {
    let found = contents::look(from, Tree::State { config: &from.join(CONFIG), workspaces: &[] })?;
    let is_there = |name: &str| into.join(name.trim_end_matches('/')).symlink_metadata().is_ok();
    let taken: Vec<String> = found.secrets.iter().filter(|it| !is_there(it)).cloned().collect();
    let secret: Vec<&Item> = found
        .items
        .iter()
        .filter(|it| it.is_secret && taken.iter().any(|name| is_of(&it.path, name)))
        .filter(|it| parent_is_folder(&into.join(&it.path)))
        .collect();
    for item in &secret {
        copy(item, &into.join(&item.path))?;
    }
    // The last first: one that may not be entered hides those in it.
    for item in secret.iter().rev().filter(|it| it.what == What::Folder) {
        let at = into.join(&item.path);
        fs::set_permissions(&at, Permissions::from_mode(item.mode))
            .map_err(failed("set the mode of", &at))?;
    }
    Ok(taken.into_iter().filter(|it| is_there(it)).collect())
}

/// Whether a path is the named one, or in it.
fn is_of(path: &str, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The folder of an agent may be in none of the two instances.
fn parent_is_folder(path: &Path) -> bool {
    let is_folder = |it: fs::Metadata| it.is_dir();
    let parent = path.parent().and_then(|it| it.symlink_metadata().ok());
    // In a secret folder, the parent is made on the way.
    parent.is_none_or(is_folder)
}

fn copy(item: &Item, to: &Path) -> Result<(), SnapshotError> {
    if to.parent().is_none_or(|it| !it.is_dir()) {
        return Ok(());
    }
    match &item.what {
        What::Folder => {
            fs::DirBuilder::new().mode(file::PRIVATE_FOLDER).create(to).map_err(failed("make the folder", to))
        }
        What::Link(place) => std::os::unix::fs::symlink(place, to).map_err(failed("make the link", to)),
        What::File(_) => {
            let (mut source, _) = pack::open(&item.from).map_err(failed("open", &item.from))?;
            let mut file = file::new_file(to)?;
            io::copy(&mut source, &mut file).map_err(failed("write", to))?;
            file.set_permissions(Permissions::from_mode(item.mode)).map_err(failed("set the mode of", to))
        }
    }
}
