//! What is wrong with one instance and around it, each with what to do about it; and the few things that may be put
//! right from outside.
//!
//! Looking changes nothing and needs neither a running gateway nor a config that parses. A check is one small function
//! in [`ALL`]. What only a gateway can tell of a config, or of a model, is given by the caller in [`Given`].

mod config;
mod files;
mod finding;
mod machine;
mod mend;
mod neighbours;
mod past;
mod places;
mod plan;
mod shared;
mod unit;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use profile::claims::{self, Holder};
use profile::document::Unreadable;
use profile::{Ambient, Document, Instance, Plan, control, instance};

use crate::look;

pub use finding::{Change, Finding, Remedy, Severity};
pub use mend::{CannotMend, Restored, mend, restore_config};
pub(crate) use shared::{Holdings, Marker, Shared, Thing, shared};
pub(crate) use unit::words;

/// How much a check may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// A few files of the instance itself.
    Glance,
    /// Its whole folder, its neighbours, the machine.
    Look,
    /// Others are asked, everything is read.
    Deep,
}

/// One check.
pub struct Check {
    /// What its findings are called by.
    pub id: &'static str,
    /// What is looked at, for people.
    pub about: &'static str,
    /// From which effort on it is made.
    pub effort: Effort,
    look: fn(&Scene<'_>) -> Vec<Finding>,
}

/// What a gateway would say of a config.
#[derive(Debug, Default)]
pub struct Judged {
    /// What keeps it from running.
    pub errors: Vec<profile::Finding>,
    /// What does not.
    pub warnings: Vec<profile::Finding>,
}

/// Whether a model answers.
#[derive(Debug, Clone)]
pub struct Reached {
    /// `provider/model`.
    pub model: String,
    /// Where that choice comes from.
    pub source: String,
    /// Milliseconds until it answered, or why it did not; absent where there is nobody to ask.
    pub answer: Option<Result<u64, String>>,
}

/// What this crate cannot find out by itself.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Reads a config as a gateway does.
    pub judge: &'a dyn Fn(&Document) -> Judged,
    /// Asks the model that the config leads to; only for [`Effort::Deep`].
    pub reach: &'a dyn Fn(&Document) -> Reached,
}

/// One instance as it stands now.
pub struct Scene<'a> {
    /// Which.
    pub instance: &'a Instance,
    /// What surrounds the command.
    pub ambient: &'a Ambient,
    /// How thoroughly it is looked at.
    pub effort: Effort,
    /// Its config, or why there is none.
    pub document: Result<Document, Unreadable>,
    /// Who runs it, by the kernel's word.
    pub holder: Option<Holder>,
    given: Given<'a>,
    others: OnceCell<Vec<Other>>,
    judged: OnceCell<Judged>,
}

/// Another instance of the host.
pub(crate) struct Other {
    pub(crate) instance: Instance,
    pub(crate) document: Option<Document>,
}

/// Every check there is, in the order in which a person would want to know.
pub const ALL: &[Check] = &[
    check("instance.there", "the state folder", Effort::Glance, files::folder_there),
    check("gateway.state", "whether a running gateway answers", Effort::Look, past::state),
    check("config.file", "the config file parses", Effort::Glance, config::file),
    check("config.findings", "what the config says is right", Effort::Glance, config::findings),
    check("config.generation", "the config on disk is the one in force", Effort::Glance, config::generation),
    check("config.stray", "a .env file in this folder", Effort::Look, config::stray),
    check("config.variables", "variables of the state folder's .env", Effort::Look, config::variables),
    check("ports.overlap", "no port is another instance's", Effort::Glance, plan::overlap),
    check("ports.stranger", "no stranger listens on a port", Effort::Glance, plan::stranger),
    check("ports.spacing", "distance to other base ports", Effort::Look, plan::spacing),
    check("neighbours.claims", "nothing needed is held by another", Effort::Look, neighbours::claims),
    check("neighbours.shared", "no folder, config or browser is another's", Effort::Look, neighbours::places),
    check("neighbours.logins", "no login is another instance's", Effort::Look, neighbours::logins),
    check("files.owner", "files belong to this user", Effort::Look, files::owner),
    check("files.modes", "nobody else may read files", Effort::Look, files::modes),
    check("files.socket", "no socket of a dead gateway", Effort::Look, files::socket),
    check("files.log", "the log's size", Effort::Look, files::log),
    check("workspace.there", "the workspaces and their files", Effort::Look, files::workspaces),
    check("database.sound", "the database is whole", Effort::Look, past::database),
    check("past.refused", "the last start was not refused", Effort::Look, past::refused),
    check("past.loop", "no crash loop", Effort::Look, past::crash_loop),
    check("past.rescue", "the instance that this one watches", Effort::Look, past::rescue),
    check("records.host", "the host's records and litter", Effort::Look, neighbours::records),
    check("unit.drift", "the service starts this instance", Effort::Look, unit::drift),
    check("unit.linger", "the service outlives the login", Effort::Look, unit::linger),
    check("machine.disk", "room on the disk", Effort::Look, machine::disk),
    check("machine.clock", "the clock", Effort::Look, machine::clock),
    check("machine.browser", "a browser where one is configured", Effort::Look, machine::browser),
    check("model.reachable", "the model answers", Effort::Deep, past::model),
];

const fn check(
    id: &'static str,
    about: &'static str,
    effort: Effort,
    look: fn(&Scene<'_>) -> Vec<Finding>,
) -> Check {
    Check { id, about, effort, look }
}

/// Makes every check that the scene's effort allows; the worst first.
pub fn examine(scene: &Scene<'_>) -> Vec<Finding> {
    let made = ALL.iter().filter(|it| it.effort <= scene.effort);
    let mut found: Vec<Finding> =
        made.flat_map(|check| (check.look)(scene).into_iter().map(|it| it.called(check.id))).collect();
    found.sort_by_key(|it| it.severity);
    found
}

impl<'a> Scene<'a> {
    /// Looks at the instance.
    pub fn look(instance: &'a Instance, ambient: &'a Ambient, effort: Effort, given: Given<'a>) -> Self {
        Self {
            instance,
            ambient,
            effort,
            document: Document::load(&instance.config_path),
            holder: claims::holder_now(&instance.state_dir),
            given,
            others: OnceCell::new(),
            judged: OnceCell::new(),
        }
    }

    /// What a gateway would say of the config; nothing where it does not parse.
    pub fn judged(&self) -> &Judged {
        self.judged.get_or_init(|| match &self.document {
            Ok(it) => (self.given.judge)(it),
            Err(_) => Judged::default(),
        })
    }

    /// The other instances of the host.
    pub(crate) fn others(&self) -> &[Other] {
        self.others.get_or_init(|| others(self.instance, self.ambient))
    }

    fn reached(&self) -> Option<Reached> {
        self.document.as_ref().ok().map(|it| (self.given.reach)(it))
    }

    /// The base port: the config's, else the recorded one.
    pub(crate) fn port(&self) -> Option<u16> {
        let configured = self.document.as_ref().ok().and_then(Document::port);
        let recorded = || self.instance.host.read(&self.instance.state_dir).map(|it| it.port);
        configured.or_else(recorded).or(self.instance.default_port)
    }

    pub(crate) fn plan(&self) -> Option<Plan> {
        Plan::of(self.port()?).ok()
    }

    /// Whether the instance has ever been made.
    pub(crate) fn is_there(&self) -> bool {
        self.instance.state_dir.is_dir()
    }

    /// A path as this person reads it.
    pub(crate) fn short(&self, path: &Path) -> String {
        self.ambient.short(path)
    }

    /// A command of ours about this instance.
    pub(crate) fn command(&self, rest: &str) -> String {
        format!("{} {rest}", self.instance.command())
    }

    /// The workspaces that its config leads to.
    pub(crate) fn workspaces(&self) -> Vec<PathBuf> {
        places::workspaces(self.instance, self.document.as_ref().ok(), self.ambient)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        control::path(&self.instance.state_dir)
    }
}

/// Every instance that the host knows of but this one.
pub(crate) fn others(own: &Instance, ambient: &Ambient) -> Vec<Other> {
    let known = look::known(&own.host, ambient).into_iter().map(|it| it.instance);
    let others = known.filter(|it| !instance::same(&it.state_dir, &own.state_dir) && it.state_dir.is_dir());
    others.map(|instance| Other { document: Document::load(&instance.config_path).ok(), instance }).collect()
}

#[cfg(test)]
mod tests;
