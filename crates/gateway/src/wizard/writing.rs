//! The one moment at which a walk changes something on disk, and what is checked before it.

use std::path::PathBuf;

use base::clock;
use base::file::{self, FileError};
use fleet::snapshot::{self, Source};
use profile::document::{Change, Unreadable, Weight};
use profile::folder::{self, BadFolder};
use profile::ports::{BadBase, Overlap, Plan};
use profile::registry::Record;
use profile::writing::{self, Author};
use profile::{Ambient, Document, Finding, Instance, generations};

use super::draft::Whole;
use super::scene::{BadStart, Scene};
use crate::{VERSION, config};

/// What was done.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The instance.
    pub instance: Instance,
    /// Its ports.
    pub plan: Plan,
    /// The default agent's folder.
    pub workspace: PathBuf,
    /// Files that were made in it.
    pub files: Vec<&'static str>,
    /// Whether the config file is new.
    pub is_new: bool,
    /// What the config says differently, secrets masked; empty where it was left alone.
    pub changes: Vec<Change>,
    /// Where the instance as it was is kept, when it was begun anew.
    pub snapshot: Option<PathBuf>,
    /// `provider/model`, where one is named.
    pub model: Option<String>,
    /// `token` or `password`.
    pub access: &'static str,
    /// What stands close, where it is to be said.
    pub close: Option<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// Somebody wrote the config since the walk began.
    #[error("the config file {} was changed by somebody else meanwhile", .0.display())]
    Changed(PathBuf),
    /// The answers do not fit into the config.
    #[error("the answers do not make a config that a gateway can run with")]
    Findings(Vec<Finding>),
    /// The port leaves no room.
    #[error(transparent)]
    Port(#[from] BadBase),
    /// Another instance needs a port of the plan.
    #[error(transparent)]
    Overlap(#[from] Box<Overlap>),
    /// What was there could not be kept.
    #[error("a snapshot of the instance as it is could not be taken")]
    Snapshot(#[source] Box<snapshot::SnapshotError>),
    /// Something could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The config could not be written.
    #[error(transparent)]
    Config(#[from] writing::NotWritten),
}

/// The instance's config, where it has one that a gateway could run with once what is merely missing is there.
pub(super) fn existing(instance: &Instance, ambient: &Ambient) -> Result<Option<Document>, BadStart> {
    let document = match Document::load(&instance.config_path) {
        Ok(it) => it,
        Err(Unreadable::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let findings = findings(instance, &document, ambient);
    if findings.is_empty() {
        return Ok(Some(document));
    }
    Err(BadStart::Invalid { path: instance.config_path.clone(), findings })
}

/// All that would keep a gateway from running with this document.
pub(super) fn findings(instance: &Instance, document: &Document, ambient: &Ambient) -> Vec<Finding> {
    let mut found = config::findings(instance, ambient, document.text());
    found.retain(|it| it.weight == Weight::Error);
    found
}

/// Writes what was decided: the config in one step, and around it what an instance needs.
pub(super) fn write(scene: &Scene, whole: &Whole) -> Result<Outcome, NotWritten> {
    let instance = &scene.instance;
    let Whole { document, port, workspace } = whole;
    let wrong = findings(instance, document, &scene.ambient);
    if !wrong.is_empty() {
        return Err(NotWritten::Findings(wrong));
    }
    folder::look(&instance.state_dir)?;
    // Until the record below is written: two that are made at the same moment must not be given the same ports.
    let _choosing = instance.host.choosing()?;
    let plan = Plan::of(*port)?;
    let pinned = document.pinned_ports();
    instance.host.check_ports(&instance.state_dir, &plan, &pinned)?;
    let close = crate::setup::warning(instance, &plan);
    check_base(scene)?;
    let snapshot = if scene.starts_over() && scene.existing.is_some() { Some(keep(scene)?) } else { None };
    folder::prepare(&instance.state_dir)?;
    let is_new = scene.existing.is_none();
    if is_new || scene.existing.as_ref().is_some_and(|it| it.text() != document.text()) {
        let base = scene.existing.as_ref().map(|it| writing::sum(it.text()));
        let author = Author { by: "set-up".to_owned(), why: "answers of the person".to_owned() };
        writing::write(instance, base.as_deref(), document.text(), &author)?;
    }
    let skip = document.get("agents.defaults.skipBootstrap") == Some(&true.into());
    let files = agent::workspace::seed(workspace, skip)?;
    instance.host.write(&Record::of(instance, *port, pinned, VERSION))?;
    let mode = document.get("gateway.auth.mode").and_then(|it| it.as_str());
    let has_password = document.get("gateway.auth.password").is_some();
    let has_token = document.get("gateway.auth.token").is_some();
    let by_password = mode == Some("password") || (mode.is_none() && has_password && !has_token);
    Ok(Outcome {
        instance: instance.clone(),
        plan,
        workspace: workspace.clone(),
        files,
        is_new,
        changes: whole.changes(scene),
        snapshot,
        model: super::model::named(document).map(str::to_owned),
        access: if by_password { "password" } else { "token" },
        close,
    })
}

/// Nobody wrote it since it was read.
fn check_base(scene: &Scene) -> Result<(), NotWritten> {
    let path = &scene.instance.config_path;
    let now = match Document::load(path) {
        Ok(it) => Some(it.text().to_owned()),
        Err(Unreadable::Missing(_)) => None,
        Err(_) => return Err(NotWritten::Changed(path.clone())),
    };
    let is_same = now.as_deref() == scene.existing.as_ref().map(Document::text);
    if is_same { Ok(()) } else { Err(NotWritten::Changed(path.clone())) }
}

/// A snapshot in the host folder, without secrets, and the config itself among its generations.
fn keep(scene: &Scene) -> Result<PathBuf, NotWritten> {
    let instance = &scene.instance;
    if let Some(document) = &scene.existing {
        generations::accept(&instance.state_dir, document.text())?;
    }
    let folder = instance.host.snapshots();
    file::private_folder(&folder)?;
    let to = folder.join(format!("{}-{}.tar.gz", instance.name, clock::now_ms()));
    let source = Source { instance, ambient: &scene.ambient, version: VERSION };
    let taken = snapshot::take(&source, &to, None, &mut |_| {});
    taken.map_err(|error| NotWritten::Snapshot(Box::new(error)))?;
    Ok(to)
}
