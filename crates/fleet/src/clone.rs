//! A second instance from a first: config, workspaces and skills, and nothing by which the two could meet. The first
//! one is only read, and may run.

mod draft;
mod workspaces;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use profile::document::Unreadable;
use profile::listener;
use profile::ports::{self, BadBase, DEFAULT_BASE, Overlap, Plan};
use profile::registry::Record;
use profile::{Ambient, Document, Finding, Instance};
use serde_json::json;

pub use crate::places::tree::Tally;

use self::draft::Draft;
use crate::places::tree::Copy;
use crate::places::{self, Purpose, Staging};
use crate::rename;

/// The files with keys of models, of which a part is copied.
const KEY_FILES: [&str; 2] = [".env", "keys.env"];
/// Files that come and go, or are made anew.
const PASSING: [&str; 6] = [
    "gateway.lock",
    "control.sock",
    "ledger.json",
    "moving.json",
    "gateway.sqlite-shm",
    "gateway.sqlite-wal",
];

/// What the new instance is to have.
#[derive(Clone)]
pub struct CloneWishes {
    /// Its base port; the next good one where it is not named.
    pub port: Option<u16>,
    /// Its gateway token, which nobody has yet.
    pub token: String,
    /// Of this program, for the record.
    pub version: String,
}

/// A new instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloned {
    /// Its base port.
    pub port: u16,
    /// The workspace of its default agent.
    pub workspace: PathBuf,
    /// What was copied beside the config.
    pub copied: Tally,
    /// What was not, and why.
    pub left_behind: Vec<(String, String)>,
}

/// Why there is no new instance. Nothing was made then, unless the last step failed: its record.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// Something is where the new one would be.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// There is nothing to copy.
    #[error("there is no state folder {}", .0.display())]
    NoFolder(PathBuf),
    /// The new one's config would not be in its folder.
    #[error("the config file {} would be outside of the new state folder", .0.display())]
    ConfigElsewhere(PathBuf),
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
    /// Every base from the default on is taken.
    #[error("no base port is free between {DEFAULT_BASE} and the ports that the system hands out")]
    NoPort,
    /// The port that was asked for leaves no room.
    #[error(transparent)]
    Port(#[from] BadBase),
    /// Another instance needs a port of the plan.
    #[error(transparent)]
    Overlap(#[from] Box<Overlap>),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl CloneError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            CloneError::Exists(_) => "choose another name, or remove what is there first".to_owned(),
            CloneError::NoFolder(_) => "look at the name of the instance to copy".to_owned(),
            CloneError::ConfigElsewhere(_) => {
                "unset OPENCLAW_CONFIG_PATH and name the new instance by its profile".to_owned()
            }
            CloneError::Config(Unreadable::Missing(_)) => "set the instance up first".to_owned(),
            CloneError::Config(_) | CloneError::Finding { .. } => "correct it, then copy".to_owned(),
            CloneError::NoPort => "name one with --port".to_owned(),
            CloneError::Port(_) => "choose another with --port".to_owned(),
            CloneError::Overlap(overlap) => match overlap.better {
                Some(better) => format!("take --port {better}, or leave --port out"),
                None => "leave --port out".to_owned(),
            },
            CloneError::File(error) => match error.source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on the disk".to_owned()
                }
                _ => format!("look at who may write {}", error.path.display()),
            },
        }
    }
}

/// Makes `to`, which must not exist, from `from`, which may run. It appears in one step; whoever is killed before that
/// leaves a staging folder, which a repair removes.
///
/// # Errors
/// Says what is in the way.
pub fn clone(
    from: &Instance,
    to: &Instance,
    ambient: &Ambient,
    wishes: &CloneWishes,
) -> Result<Cloned, CloneError> {
    let config_name = check_places(from, to)?;
    if let Some(port) = wishes.port {
        to.host.check_ports(&to.state_dir, &Plan::of(port)?, &[])?;
    }
    finish_rename(from);
    let mut document = Document::load(&from.config_path)?;
    let failed = |finding| CloneError::Finding { path: from.config_path.clone(), finding: Box::new(finding) };
    workspaces::spell_out(&mut document, ambient).map_err(failed)?;
    let layout = workspaces::plan(&document, from, to, ambient);
    let draft = draft::of(document, &layout.moves, wishes).map_err(failed)?;
    let Draft { mut document, secrets, left_behind } = draft;

    let staging = Staging::beside(&to.state_dir, Purpose::Making)?;
    let mut copy = Copy { left_behind, ..Copy::default() };
    copy_folders(from, &layout, staging.path(), &mut copy)?;
    copy_keys(from, staging.path(), &secrets, &mut copy)?;
    tell_the_rest(from, &layout, &mut copy);

    // Held until the record is there: two that are made at the same moment must not be given the same ports.
    let _choosing = to.host.choosing()?;
    let port = choose(to, wishes.port, &document.pinned_ports())?;
    document.set("gateway.port", &json!(port)).map_err(failed)?;
    let pinned = document.pinned_ports();
    document.at(&staging.path().join(config_name)).save()?;
    let taken = |error: FileError| match error.source.kind() {
        io::ErrorKind::AlreadyExists => CloneError::Exists(to.state_dir.clone()),
        _ => CloneError::File(error),
    };
    staging.put_at(&to.state_dir).map_err(taken)?;
    to.host.write(&Record::of(to, port, pinned, &wishes.version))?;
    Ok(Cloned { port, workspace: layout.default, copied: copy.tally, left_behind: copy.left_behind })
}

/// The config's place within the new folder.
fn check_places(from: &Instance, to: &Instance) -> Result<PathBuf, CloneError> {
    if !from.state_dir.is_dir() {
        return Err(CloneError::NoFolder(from.state_dir.clone()));
    }
    let is_empty = || fs::read_dir(&to.state_dir).is_ok_and(|mut it| it.next().is_none());
    match to.state_dir.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(it) if it.is_dir() && is_empty() => {}
        _ => return Err(CloneError::Exists(to.state_dir.clone())),
    }
    let within = to.config_path.strip_prefix(&to.state_dir).ok();
    within.map(Path::to_path_buf).ok_or_else(|| CloneError::ConfigElsewhere(to.config_path.clone()))
}

/// One whose renaming was cut off has paths of its old place in its config.
fn finish_rename(from: &Instance) {
    if rename::is_unfinished(&from.state_dir)
        && let Ok(_claims) = places::lock(&from.host.claims(), &from.name, &from.state_dir)
    {
        // Where that fails, the config is copied with what is in it.
        let _ = rename::finish(&from.state_dir);
    }
}

fn choose(to: &Instance, wished: Option<u16>, pinned: &[u16]) -> Result<u16, CloneError> {
    if let Some(port) = wished {
        to.host.check_ports(&to.state_dir, &Plan::of(port)?, pinned)?;
        return Ok(port);
    }
    let others = to.host.confirmed_neighbours(&to.state_dir);
    let first = to.default_port.unwrap_or(DEFAULT_BASE);
    ports::free_bases(first, &others, listener::is_bound).next().ok_or(CloneError::NoPort)
}

fn copy_folders(
    from: &Instance,
    layout: &workspaces::Layout,
    staging: &Path,
    copy: &mut Copy,
) -> Result<(), CloneError> {
    for it in &layout.copies {
        let to = staging.join(&it.within);
        file::private_folder(&to)?;
        match it.refused {
            Some(why) => copy.leave(&it.from, why),
            // The folder that was named may be a link; what it leads to is what the instance has.
            None => copy.folder(&places::real(&it.from), &to)?,
        }
    }
    let skills = from.state_dir.join("skills");
    if skills.is_dir() {
        copy.folder(&places::real(&skills), &staging.join("skills"))?;
    }
    Ok(())
}

/// Copies what a model needs, line by line, and names the rest.
fn copy_keys(from: &Instance, staging: &Path, secrets: &[String], copy: &mut Copy) -> Result<(), CloneError> {
    for name in KEY_FILES {
        let path = from.state_dir.join(name);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut kept = String::new();
        for line in text.lines() {
            let Some(variable) = variable_of(line) else { continue };
            if draft::is_for_models(variable) && !secrets.iter().any(|it| line.contains(it.as_str())) {
                kept.push_str(line);
                kept.push('\n');
            } else {
                let what = format!("{variable} of {name}");
                copy.left_behind.push((what, "only keys and addresses of models are copied".to_owned()));
            }
        }
        if !kept.is_empty() {
            file::replace(&staging.join(name), kept.as_bytes())?;
            copy.tally.files += 1;
            copy.tally.bytes += u64::try_from(kept.len()).unwrap_or(u64::MAX);
        }
    }
    Ok(())
}

/// The name of a line `NAME=value`, also with `export` before it.
fn variable_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let (name, _) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim();
    (!name.is_empty() && !name.starts_with('#')).then_some(name)
}

/// Names what else is in the state folder and stays there.
fn tell_the_rest(from: &Instance, layout: &workspaces::Layout, copy: &mut Copy) {
    let entries = fs::read_dir(&from.state_dir).map(|it| it.flatten().collect::<Vec<_>>());
    let mut paths: Vec<PathBuf> = entries.unwrap_or_default().into_iter().map(|it| it.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        let is_copied = path == from.config_path
            || name == "skills"
            || KEY_FILES.contains(&name)
            || layout.copies.iter().any(|it| it.from == path);
        if is_copied || PASSING.contains(&name) || name.ends_with(".tmp") {
            continue;
        }
        copy.leave(&path, why_left(name));
    }
}

fn why_left(name: &str) -> &'static str {
    match name {
        "identity" | "devices" | "nodes" => "who it is and whom it trusts is its own",
        "credentials" => "a login serves one instance",
        "agents" | "gateway.sqlite" => "its conversations and their logins are its own",
        "generations" | "logs" => "its history is its own",
        "gateway" => "a certificate names one gateway",
        "browser" => "a browser's folder serves one instance",
        _ => "but for workspaces in it, it is no part of a copy",
    }
}

#[cfg(test)]
mod tests;
