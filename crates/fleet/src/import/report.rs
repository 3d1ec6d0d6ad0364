//! What an import would do or did, as rows for a table or JSON. Nothing in here holds a secret.

use std::path::PathBuf;

use serde::Serialize;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// `openclaw.json`.
    Config,
    /// The agents' folders of instructions and notes.
    Workspace,
    /// Conversations.
    Sessions,
    /// Keys of model vendors.
    Keys,
    /// A login that was granted to the original: OAuth, or a token of a subscription.
    Grant,
    /// A messaging channel with its logins and allow-lists.
    Channel,
    /// Skills.
    Skills,
    /// The index for searching notes and conversations.
    Memory,
    /// Jobs by the clock.
    Cron,
    /// Paired devices and nodes.
    Devices,
    /// The key that the original presents itself with.
    Identity,
    /// Plugins and what they keep.
    Plugins,
    /// Files that came in by a channel.
    Media,
    /// Browser profiles and their logins.
    Browser,
    /// Anything else in the state folder.
    Other,
}

/// What becomes of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
pub enum Verdict {
    /// It is in effect here after the import.
    Comes,
    /// It stays with the original.
    Stays {
        /// Why, for people.
        why: String,
    },
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The thing, with a count where there are several, for people.
    pub what: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A running original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Original {
    /// Its process.
    pub pid: u32,
    /// By what it was recognised, for people.
    pub what: String,
}

/// What there is to import, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// The state folder that it comes from.
    pub source: PathBuf,
    /// The state folder that it comes to.
    pub target: PathBuf,
    /// The original, where it runs; an import is refused then.
    pub running: Option<Original>,
    /// By kind.
    pub rows: Vec<Finding>,
}

/// What became of the conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCounts {
    /// Here for the first time.
    pub new: u64,
    /// Here before, and brought to where they are there.
    pub updated: u64,
    /// Here before, as they are there.
    pub same: u64,
    /// Left as they are, because they went on here.
    pub continued: Vec<String>,
    /// Not taken over: the key, and why.
    pub failed: Vec<String>,
    /// Messages that were added.
    pub messages: u64,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// What there was, and what was to become of it.
    pub findings: Findings,
    /// The conversations.
    pub sessions: SessionCounts,
    /// The variables that were added to `keys.env`.
    pub keys: Vec<String>,
    /// The files that were copied to another instance; 0 in place.
    pub files: u64,
}

impl Finding {
    pub(super) fn comes(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), verdict: Verdict::Comes }
    }

    pub(super) fn stays(kind: Kind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, what: what.into(), verdict: Verdict::Stays { why: why.into() } }
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => match one.strip_suffix('y') {
            Some(stem) if !one.ends_with("ey") => format!("{number} {stem}ies"),
            _ => format!("{number} {one}s"),
        },
    }
}
