//! Who may reach an instance and what is in it: exposures by how bad they are.
//!
//! What is judged are values: the config, and what the disk says of files. Looking changes nothing. The ids are those
//! of the original where it has one for the same thing.

mod config;
mod facts;
mod files;
mod neighbours;

use std::path::PathBuf;

use base::clock;
use profile::{Ambient, Document, Instance, ports};
use serde::Serialize;

pub use facts::{Fact, Role, facts};

use crate::doctor;

/// How bad an exposure is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Somebody else can act as the owner, or read secrets.
    Critical,
    /// Less would be safer.
    Warn,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warn => "warn",
            Severity::Info => "info",
        }
    }
}

/// One exposure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// Names the kind.
    pub check_id: String,
    /// How bad it is.
    pub severity: Severity,
    /// In a few words.
    pub title: String,
    /// What and where; never a secret.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// The mode that a file would be given.
    #[serde(skip)]
    pub mode: Option<(PathBuf, u32)>,
}

/// How many there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// See [`Severity::Critical`].
    pub critical: usize,
    /// See [`Severity::Warn`].
    pub warn: usize,
    /// See [`Severity::Info`].
    pub info: usize,
}

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Unix milliseconds.
    pub ts: u64,
    /// The counts.
    pub summary: Summary,
    /// The exposures, the worst first.
    pub findings: Vec<Exposure>,
}

impl Report {
    /// Adds what was found in another way.
    pub fn add(&mut self, more: Vec<Exposure>) {
        self.findings.extend(more);
        *self = Self::of(std::mem::take(&mut self.findings));
    }

    fn of(mut findings: Vec<Exposure>) -> Self {
        findings.sort_by_key(|it| it.severity);
        let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let summary = Summary {
            critical: count(Severity::Critical),
            warn: count(Severity::Warn),
            info: count(Severity::Info),
        };
        Self { ts: clock::now_ms(), summary, findings }
    }
}

impl Exposure {
    /// One without a remedy.
    pub fn new(check_id: &str, severity: Severity, title: &str, detail: impl Into<String>) -> Self {
        let (check_id, title) = (check_id.to_owned(), title.to_owned());
        Self { check_id, severity, title, detail: detail.into(), remediation: None, mode: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(self, text: impl Into<String>) -> Self {
        Self { remediation: Some(text.into()), ..self }
    }
}

/// Looks at one instance.
pub fn audit(instance: &Instance, ambient: &Ambient) -> Report {
    let document = Document::load(&instance.config_path);
    let mut found = Vec::new();
    match &document {
        Ok(it) => found.extend(config::exposures(it.value())),
        Err(profile::document::Unreadable::Missing(_)) => {}
        Err(error) => {
            let words = base::text::chain(error);
            let title = "The config cannot be judged";
            let it = Exposure::new("config.unreadable", Severity::Warn, title, words);
            found.push(it.remedy(format!("{} doctor", instance.command())));
        }
    }
    let document = document.ok();
    let me = rustix::process::geteuid().as_raw();
    found.extend(files::exposures(&facts(instance, document.as_ref(), ambient), me));
    let others = doctor::others(instance, ambient);
    for it in &mut found {
        // A file of another instance, which this one includes, is told and left alone.
        it.mode.take_if(|(path, _)| others.iter().any(|it| path.starts_with(&it.instance.state_dir)));
    }
    found.extend(neighbours::exposures(&in_common(instance, document.as_ref(), &others, ambient)));
    found.extend(overlap(instance, document.as_ref()));
    Report::of(found)
}

fn in_common(
    instance: &Instance,
    document: Option<&Document>,
    others: &[doctor::Other],
    ambient: &Ambient,
) -> Vec<doctor::Shared> {
    let Some(marker) = doctor::Marker::new() else { return Vec::new() };
    let own = doctor::Holdings::of(instance, document, ambient, &marker);
    let others: Vec<doctor::Holdings> = others
        .iter()
        .map(|it| doctor::Holdings::of(&it.instance, it.document.as_ref(), ambient, &marker))
        .collect();
    doctor::shared(&own, &others)
}

fn overlap(instance: &Instance, document: Option<&Document>) -> Option<Exposure> {
    let recorded = || instance.host.read(&instance.state_dir).map(|it| it.port);
    let port = document.and_then(Document::port).or_else(recorded)?;
    let plan = ports::Plan::of(port).ok()?;
    let pinned = document.map(Document::pinned_ports).unwrap_or_default();
    let overlap = instance.host.check_ports(&instance.state_dir, &plan, &pinned).err()?;
    let title = "A port is planned by two instances";
    let it = Exposure::new("instances.ports_overlap", Severity::Warn, title, overlap.to_string());
    Some(it.remedy(overlap.remedy()))
}
