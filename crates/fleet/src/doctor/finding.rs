//! One thing that is wrong, and what to do about it.

use std::path::PathBuf;

use serde::Serialize;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The instance cannot do its work, or harms another.
    Error,
    /// It works, and something is not as it should be.
    Warn,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warn => "warn",
            Severity::Info => "info",
        }
    }
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Of the check that found it.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// Where: a path, a port, a key.
    #[serde(rename = "where")]
    pub place: String,
    /// Why that matters.
    pub why: String,
    /// What to do.
    pub remedy: Remedy,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Remedy {
    /// A command that a person runs.
    Command {
        /// The line.
        command: String,
    },
    /// What is changed when it is asked for.
    Change {
        /// What would be taken away (`- …`) and put in its place (`+ …`).
        diff: Vec<String>,
        /// The change itself.
        #[serde(skip)]
        change: Change,
    },
    /// Something that only a person can do.
    Advice {
        /// What.
        text: String,
    },
}

/// A change that is safe: it takes nothing from the instance that it could miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Takes from others what they should not have: the paths and their modes.
    Modes(Vec<(PathBuf, u32)>),
    /// Makes a folder that is missing.
    Folder(PathBuf),
    /// Removes the socket that a killed gateway left. Its lock is needed.
    Socket(PathBuf),
}

impl Finding {
    /// A finding without a remedy yet.
    pub(crate) fn new(
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
        why: &str,
    ) -> Self {
        let remedy = Remedy::Advice { text: String::new() };
        Self { id: "", severity, what: what.into(), place: place.into(), why: why.to_owned(), remedy }
    }

    /// To be put right by a command.
    pub(crate) fn run(mut self, command: impl Into<String>) -> Self {
        self.remedy = Remedy::Command { command: command.into() };
        self
    }

    /// To be put right by a person.
    pub(crate) fn advise(mut self, text: impl Into<String>) -> Self {
        self.remedy = Remedy::Advice { text: text.into() };
        self
    }

    /// To be put right by us, when asked.
    pub(crate) fn change(mut self, change: Change, diff: Vec<String>) -> Self {
        self.remedy = Remedy::Change { diff, change };
        self
    }

    pub(super) fn called(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    /// The change that would put it right, where there is one.
    pub fn mendable(&self) -> Option<&Change> {
        match &self.remedy {
            Remedy::Change { change, .. } => Some(change),
            Remedy::Command { .. } | Remedy::Advice { .. } => None,
        }
    }

    /// What to do, in one line.
    pub fn remedy_line(&self) -> String {
        match &self.remedy {
            Remedy::Command { command } => command.clone(),
            Remedy::Advice { text } => text.clone(),
            Remedy::Change { diff, .. } => match diff.len() {
                0..=2 => diff.join(", "),
                more => format!("{}, and {} more lines", diff[..2].join(", "), more - 2),
            },
        }
    }
}

impl Change {
    /// Whether no gateway may run meanwhile.
    pub fn needs_stop(&self) -> bool {
        matches!(self, Change::Socket(_))
    }
}
