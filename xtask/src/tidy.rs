//! The rules of this tree that no compiler knows. `cargo xtask tidy` runs them, and `cargo test` runs each as a test.
//!
//! A rule is a function over the tree in memory, with tests that show what it refuses. A number or a list of
//! exceptions in a rule is a ratchet: it may only shrink, and a rule fails also when its slack could be taken away.

mod bans;
mod coverage;
mod dependencies;
mod documents;
mod foreign;
mod layers;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::tree::Tree;

/// What a rule is about: the repository on disk, and its files in memory.
pub(crate) struct Repository {
    /// The folder of the workspace.
    pub(crate) root: PathBuf,
    /// Every file of it.
    pub(crate) tree: Tree,
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file; empty when it is about none.
    path: String,
    /// The line, counted from 1; 0 for the whole file.
    line: usize,
    /// What is wrong, and what to do.
    text: String,
}

type Rule = fn(&Repository) -> anyhow::Result<Vec<Finding>>;

/// Every rule, by the name that the output shows.
const RULES: &[(&str, Rule)] = &[
    ("layers", layers::check),
    ("sources", sources::check),
    ("bans", bans::check),
    ("cli-and-gateway", bans::check_gateway_in_cli),
    ("foreign-words", foreign::check),
    ("clippy-limits", sources::check_limits),
    ("dependencies", dependencies::check),
    ("architecture", documents::check_architecture),
    ("links", documents::check_links),
    ("generated", documents::check_generated),
    ("coverage", coverage::check),
];

/// Runs every rule and prints what each found.
///
/// # Errors
/// When the tree cannot be read, or a rule found something.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let repository = Repository::read(root)?;
    let mut faults = 0;
    for (name, rule) in RULES {
        let mut findings = rule(&repository)?;
        findings.sort();
        println!("{name}: {}", if findings.is_empty() { "ok" } else { "not tidy" });
        for finding in &findings {
            println!("  {finding}");
        }
        faults += findings.len();
    }
    anyhow::ensure!(faults == 0, "the tree is not tidy, see the {faults} findings above");
    Ok(())
}

impl Repository {
    fn read(root: &Path) -> anyhow::Result<Repository> {
        Ok(Repository { root: root.to_path_buf(), tree: Tree::read(root)? })
    }
}

impl Finding {
    fn in_file(path: &str, text: impl Into<String>) -> Finding {
        Finding::at(path, 0, text)
    }

    fn at(path: &str, line: usize, text: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, text: text.into() }
    }

    fn anywhere(text: impl Into<String>) -> Finding {
        Finding::at("", 0, text)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.line) {
            ("", _) => write!(out, "{}", self.text),
            (path, 0) => write!(out, "{path}: {}", self.text),
            (path, line) => write!(out, "{path}:{line}: {}", self.text),
        }
    }
}

/// Runs a rule over this repository, as `cargo test` does it.
#[cfg(test)]
#[track_caller]
fn assert_holds_here(rule: Rule) {
    let repository = Repository::read(&crate::root()).expect("the repository can be read");
    let mut findings = rule(&repository).expect("the rule can be checked");
    findings.sort();
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "not tidy:\n{}", lines.join("\n"));
}

/// The findings of a rule over made-up files, a line each.
#[cfg(test)]
fn lines_of(findings: Vec<Finding>) -> Vec<String> {
    let mut findings = findings;
    findings.sort();
    findings.iter().map(ToString::to_string).collect()
}
