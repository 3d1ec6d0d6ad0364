//! The end of an instance. Its folder is moved aside in one step, and then it is gone for everybody; what takes long
//! comes after.

use std::fs;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use profile::claims::Refused;
use profile::folder;
use profile::instance;
use profile::registry::Record;
use profile::{Ambient, Document, Instance};

use crate::places::{self, Purpose, real, tree, workspaces};

/// An instance that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The folder that was removed.
    pub folder: PathBuf,
    /// What was its own and is elsewhere, and stays: workspaces, and a config outside of the folder.
    pub left: Vec<PathBuf>,
}

/// Why an instance was not removed, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is nothing to remove.
    #[error("there is no state folder {}", .0.display())]
    NoFolder(PathBuf),
    /// No gateway of this user left anything there.
    #[error("{} is no state folder of a gateway of yours, and is not removed", .0.display())]
    NotOurs(PathBuf),
    /// There is more in it than an instance.
    #[error("{} holds {what} as well, and is not removed", folder.display())]
    HoldsMore {
        /// The folder.
        folder: PathBuf,
        /// What else it holds.
        what: String,
    },
    /// It runs, or something else is done to it.
    #[error(transparent)]
    Held(#[from] Refused),
    /// A file could not be moved or removed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RemoveError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            RemoveError::NoFolder(_) => {
                "look at the name of the instance; a repair forgets what is gone".to_owned()
            }
            RemoveError::NotOurs(_) => "look at the name and at OPENCLAW_STATE_DIR".to_owned(),
            RemoveError::HoldsMore { .. } => "remove by hand what the instance has in it".to_owned(),
            RemoveError::Held(_) => "stop it first".to_owned(),
            RemoveError::File(error) => format!("look at who may write {}", error.path.display()),
        }
    }
}

/// Removes the instance's state folder and its record. The caller has stopped it, and kept what is to be kept. Who is
/// killed meanwhile leaves a staging folder, which a repair removes.
///
/// # Errors
/// Says what is in the way; nothing was changed then, unless the disk failed during the removal itself.
pub fn remove(instance: &Instance, ambient: &Ambient) -> Result<Removed, RemoveError> {
    let folder = real(&instance.state_dir);
    check(instance, &folder, ambient)?;
    let mut claims = places::lock(&instance.host.claims(), &instance.name, &instance.state_dir)?;
    let left = left(instance, ambient);
    let records: Vec<Record> = instance
        .host
        .all()
        .into_iter()
        .filter(|it| instance::same(&it.state_dir, &instance.state_dir))
        .chain([Record::of(instance, 0, Vec::new(), "")])
        .collect();
    let aside = places::staging_name(&folder, Purpose::Removing);
    file::move_new(&folder, &aside)?;
    claims.follow(&aside);
    if is_link(&instance.state_dir) {
        file::remove(&instance.state_dir)?;
    }
    for record in &records {
        instance.host.forget(record)?;
    }
    tree::remove(&aside)?;
    Ok(Removed { folder: instance.state_dir.clone(), left })
}

fn check(instance: &Instance, folder: &Path, ambient: &Ambient) -> Result<(), RemoveError> {
    if !instance.state_dir.is_dir() {
        return Err(RemoveError::NoFolder(instance.state_dir.clone()));
    }
    if !folder::is_state_folder(folder) || folder.parent().is_none() {
        return Err(RemoveError::NotOurs(instance.state_dir.clone()));
    }
    let homes = ["HOME", "OPENCLAW_HOME"].into_iter().filter_map(|it| ambient.var(it));
    let homes = homes.map(|it| ("your home", ambient.path(it)));
    let host = instance.host.folder().to_path_buf();
    let mut more = homes.chain([("the records of all instances", host)]);
    let holds = |it: &Path| real(it).starts_with(folder);
    let what = more.find(|(_, it)| holds(it)).map(|(what, _)| what.to_owned());
    let others = || {
        let recorded = instance.host.all().into_iter();
        let mut inside = recorded.filter(|it| it.state_dir.is_dir() && real(&it.state_dir) != folder);
        inside.find(|it| holds(&it.state_dir)).map(|it| format!("instance {}", it.name))
    };
    match what.or_else(others) {
        Some(what) => Err(RemoveError::HoldsMore { folder: folder.to_path_buf(), what }),
        None => Ok(()),
    }
}

/// What the config names outside of the folder, where the config can be read.
fn left(instance: &Instance, ambient: &Ambient) -> Vec<PathBuf> {
    let document = Document::load(&instance.config_path);
    let named = document.map(|it| workspaces(&it, ambient)).unwrap_or_default();
    let config = [instance.config_path.clone()];
    let mut left: Vec<PathBuf> = named.into_iter().map(|(_, it)| it).chain(config).collect();
    let folder = real(&instance.state_dir);
    left.retain(|it| it.exists() && !real(it).starts_with(&folder));
    // A workspace by a link in the folder is outside of it too.
    if is_link(&instance.workspace) && instance.workspace.is_dir() {
        left.push(real(&instance.workspace));
    }
    left.sort();
    left.dedup();
    left
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink())
}

#[cfg(test)]
mod tests;
