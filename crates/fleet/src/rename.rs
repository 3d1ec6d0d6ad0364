//! Another name for an instance, and so another folder. One rename is the step that counts: who is cut off before it
//! has changed nothing, and who is cut off after it finds a note in the folder that says what is left to do.

mod note;

use std::io;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::instance::{self, Unresolved};
use profile::registry::Record;
use profile::{Ambient, Document, Finding, Instance, ledger};

use self::note::Note;
use crate::places::rewrite::Moves;
use crate::places::{self, workspaces};

/// An instance with its other name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Its state folder.
    pub folder: PathBuf,
    /// The workspace of its default agent.
    pub workspace: PathBuf,
    /// Its base port, which it keeps; `None` where nothing names one.
    pub port: Option<u16>,
    /// Its rescuers that run, and so still have the old name in their notes.
    pub kept_by: Vec<String>,
}

/// Why an instance was not renamed, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// It has no name that decides where it is.
    #[error("instance {name} is known by its folder {} alone, and has no name to change", folder.display())]
    ByFolder {
        /// What it is called.
        name: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// There is nothing to rename.
    #[error("there is no state folder {}", .0.display())]
    NoFolder(PathBuf),
    /// Something is where it would go.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// It runs, or something else is done to it.
    #[error(transparent)]
    Held(#[from] Refused),
    /// Its service would go on to start the old name.
    #[error("a service is installed for it: {}", .0.display())]
    UnitInstalled(PathBuf),
    /// Its config does not go with its folder.
    #[error("the config file {} is outside of the state folder", .0.display())]
    ConfigElsewhere(PathBuf),
    /// Its workspace could not be called after it.
    #[error("the workspace {} is there already", .0.display())]
    WorkspaceTaken(PathBuf),
    /// The config cannot be read, or does not parse.
    #[error(transparent)]
    Config(#[from] Unreadable),
    /// A part of the config has the wrong shape to be changed.
    #[error("the config file {} cannot be changed: {finding}", path.display())]
    Finding {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        finding: Box<Finding>,
    },
    /// There is no home to have it in.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// A file could not be written or moved.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RenameError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            RenameError::ByFolder { .. } => {
                "stop it, move the folder, and start it with OPENCLAW_STATE_DIR set to the \
                                             new place; or make a copy of it that has a name"
                    .to_owned()
            }
            RenameError::NoFolder(_) => "look at the name of the instance".to_owned(),
            RenameError::Exists(_) => "choose another name, or remove what is there first".to_owned(),
            RenameError::Held(_) => "stop it first".to_owned(),
            RenameError::UnitInstalled(_) => {
                "uninstall the service, rename the instance, and install it again".to_owned()
            }
            RenameError::ConfigElsewhere(path) => {
                format!("move {} to openclaw.json in the state folder first", path.display())
            }
            RenameError::WorkspaceTaken(_) => "choose another name, or move that folder away".to_owned(),
            RenameError::Config(_) | RenameError::Finding { .. } => "correct it, then try again".to_owned(),
            RenameError::Unresolved(error) => error.remedy().unwrap_or_else(|| "set HOME".to_owned()),
            RenameError::File(error) => format!("look at who may write {}", error.path.display()),
        }
    }
}

/// Gives `from` the name and the folder of `to`. `unit_file` is the unit of its service, where one is installed;
/// `version` is this program's, for the record.
///
/// # Errors
/// Says what is in the way. When the system failed after the folder had moved, a repair or the next start completes
/// it.
pub fn rename(
    from: &Instance,
    to: &Instance,
    ambient: &Ambient,
    unit_file: Option<&Path>,
    version: &str,
) -> Result<Renamed, RenameError> {
    check(from, to, ambient, unit_file)?;
    let mut claims = places::lock(&from.host.claims(), &from.name, &from.state_dir)?;
    finish(&from.state_dir)?;
    let work = prepare(from, to, ambient, version)?;
    for step in STEPS {
        step(&work)?;
        if to.state_dir.exists() {
            claims.follow(&to.state_dir);
        }
    }
    let is_kept = |it: &&Path| ledger::read(it).rescue_for.as_deref() == Some(from.name.as_str());
    let kept = work.note.rescuers.iter().map(PathBuf::as_path).filter(is_kept);
    Ok(Renamed {
        folder: to.state_dir.clone(),
        workspace: work.workspace.clone(),
        port: work.port,
        kept_by: kept.map(|it| Instance::of_folder(ambient, it).name).collect(),
    })
}

/// Completes a renaming that was cut off, or discards one that had not come to the step that counts. The caller holds
/// the folder's lock. True when something was completed.
///
/// # Errors
/// When the config does not parse, or the system refuses; it can be tried again.
pub fn finish(state_dir: &Path) -> Result<bool, RenameError> {
    let Some(note) = Note::read(state_dir) else {
        return Ok(file::remove(&note::path(state_dir)).map(|()| false)?);
    };
    let is_moved = instance::same(state_dir, &note.to);
    if is_moved {
        for part in note::PARTS {
            part(&note, state_dir)?;
        }
    }
    file::remove(&note::path(state_dir))?;
    Ok(is_moved)
}

/// Whether a renaming of the instance that is in this folder was cut off, or is under way.
pub fn is_unfinished(state_dir: &Path) -> bool {
    note::path(state_dir).symlink_metadata().is_ok()
}

/// One of them.
type Step = fn(&Work<'_>) -> Result<(), RenameError>;

/// All that the steps need.
struct Work<'a> {
    from: &'a Instance,
    to: &'a Instance,
    note: Note,
    port: Option<u16>,
    workspace: PathBuf,
    version: &'a str,
}

/// In this order; after each of them, the instance is whole or says what is left to do.
const STEPS: [Step; 8] = [
    |it| it.note.write(&it.from.state_dir),
    |it| file::move_new(&it.from.state_dir, &it.to.state_dir).map_err(|error| taken(error, &it.to.state_dir)),
    |it| note::PARTS[0](&it.note, &it.to.state_dir),
    |it| note::PARTS[1](&it.note, &it.to.state_dir),
    |it| note::PARTS[2](&it.note, &it.to.state_dir),
    |it| Ok(file::remove(&note::path(&it.to.state_dir))?),
    write_record,
    forget_record,
];

fn check(
    from: &Instance,
    to: &Instance,
    ambient: &Ambient,
    unit_file: Option<&Path>,
) -> Result<(), RenameError> {
    let own = Instance::of_profile(ambient, from.profile.clone())?;
    if !instance::same(&own.state_dir, &from.state_dir) {
        return Err(RenameError::ByFolder { name: from.name.clone(), folder: from.state_dir.clone() });
    }
    if !from.state_dir.is_dir() {
        return Err(RenameError::NoFolder(from.state_dir.clone()));
    }
    let new = Instance::of_profile(ambient, to.profile.clone())?;
    if !instance::same(&new.state_dir, &to.state_dir) {
        return Err(RenameError::ByFolder { name: to.name.clone(), folder: to.state_dir.clone() });
    }
    for (it, state_dir) in [(from, &from.state_dir), (to, &to.state_dir)] {
        if !it.config_path.starts_with(state_dir) {
            return Err(RenameError::ConfigElsewhere(it.config_path.clone()));
        }
    }
    if to.state_dir.symlink_metadata().is_ok() {
        return Err(RenameError::Exists(to.state_dir.clone()));
    }
    unit_file.map_or(Ok(()), |it| Err(RenameError::UnitInstalled(it.to_path_buf())))
}

/// Looks at everything that could fail later, and writes nothing.
fn prepare<'a>(
    from: &'a Instance,
    to: &'a Instance,
    ambient: &Ambient,
    version: &'a str,
) -> Result<Work<'a>, RenameError> {
    let document = match Document::load(&from.config_path) {
        Ok(it) => Some(it),
        Err(Unreadable::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let named = document.as_ref().map(|it| workspaces(it, ambient)).unwrap_or_default();
    let uses = |path: &Path| named.iter().any(|(_, it)| it.starts_with(path));
    let is_default = !named.iter().any(|(id, _)| id.is_none());
    let moves_workspace = is_default || uses(&from.workspace);
    let (old, new) = (file_name(&from.workspace), file_name(&to.workspace));
    let is_other = from.workspace.with_file_name(&new);
    if moves_workspace && old != new && is_other.symlink_metadata().is_ok() {
        return Err(RenameError::WorkspaceTaken(is_other));
    }
    let mut pairs = vec![(from.state_dir.clone(), to.state_dir.clone())];
    if moves_workspace {
        pairs.push((from.workspace.clone(), to.workspace.clone()));
    }
    let moves = Moves::of(ambient, &pairs);
    let workspace = named.iter().find(|(id, _)| id.is_none()).map(|(_, it)| it.clone());
    let workspace = workspace.map_or_else(|| to.workspace.clone(), |it| moves.path(&it).unwrap_or(it));
    let record = from.host.read(&from.state_dir);
    let configured = document.as_ref().and_then(Document::port);
    let port = configured.or(record.map(|it| it.port)).or(from.default_port);
    let note = Note {
        from: from.state_dir.clone(),
        to: to.state_dir.clone(),
        from_name: from.name.clone(),
        to_name: to.name.clone(),
        config: from.config_path.strip_prefix(&from.state_dir).unwrap_or(&from.config_path).to_path_buf(),
        moves,
        // The default of a name is no default of another.
        port: port.filter(|_| configured.is_none()),
        workspace: (moves_workspace && old != new).then_some((old, new)),
        rescuers: rescuers(from, ambient),
    };
    if let Some(document) = document {
        note.rewritten(document)?;
    }
    Ok(Work { from, to, note, port, workspace, version })
}

/// The folders of all instances that have this one in their notes.
fn rescuers(of: &Instance, ambient: &Ambient) -> Vec<PathBuf> {
    let recorded = of.host.all().into_iter().map(|it| it.state_dir);
    let at_home = Instance::folders_at_home(ambient).into_iter().map(|(_, it)| it);
    let mut folders: Vec<PathBuf> = recorded
        .chain(at_home)
        .filter(|it| !instance::same(it, &of.state_dir))
        .filter(|it| ledger::read(it).rescue_for.as_deref() == Some(of.name.as_str()))
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

fn write_record(work: &Work<'_>) -> Result<(), RenameError> {
    let Some(port) = work.port else { return Ok(()) };
    let pinned = Document::load(&work.to.config_path).map(|it| it.pinned_ports()).unwrap_or_default();
    Ok(work.to.host.write(&Record::of(work.to, port, pinned, work.version))?)
}

fn forget_record(work: &Work<'_>) -> Result<(), RenameError> {
    Ok(work.from.host.forget(&Record::of(work.from, 0, Vec::new(), work.version))?)
}

fn taken(error: FileError, to: &Path) -> RenameError {
    match error.source.kind() {
        io::ErrorKind::AlreadyExists => RenameError::Exists(to.to_path_buf()),
        _ => RenameError::File(error),
    }
}

fn file_name(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

#[cfg(test)]
mod tests;
