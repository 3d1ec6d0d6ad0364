//! Documents that the product writes about itself: what it says of its commands and of its config, for readers.

mod bounds;
mod cli;
mod config;
mod protocol;

use std::path::Path;

use anyhow::Context as _;

pub(crate) use cli::{DEEPEST, commands, help};

use crate::suite::{cargo, succeed};

/// The command that is asked.
pub(crate) const PROGRAM: &str = "openclaw";

/// Every document that is written.
pub(crate) const DOCUMENTS: [Document; 4] = [
    Document { path: cli::PATH, text_of: cli::text },
    Document { path: config::PATH, text_of: config::text },
    Document { path: protocol::PATH, text_of: protocol::text },
    Document { path: protocol::SCHEMA, text_of: protocol::schema },
];

/// One document, and what writes it.
pub(crate) struct Document {
    /// Where it is, from the root.
    pub(crate) path: &'static str,
    text_of: fn(&Path) -> anyhow::Result<String>,
}

impl Document {
    /// The whole document as Markdown, as the program says it now.
    ///
    /// # Errors
    /// When the program cannot be asked.
    pub(crate) fn text(&self, program: &Path) -> anyhow::Result<String> {
        (self.text_of)(program)
    }
}

/// Builds the command and writes the documents.
///
/// # Errors
/// When the command does not build or cannot be asked, or a document cannot be written.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    succeed(cargo(root).args(["build", "--quiet", "--package", "openclaw-cli", "--bin", PROGRAM]))?;
    let program = crate::programs()?.join(PROGRAM);
    std::fs::create_dir_all(root.join("docs")).context("cannot make docs")?;
    for document in &DOCUMENTS {
        let path = root.join(document.path);
        let written = std::fs::write(&path, document.text(&program)?);
        written.with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} is current", document.path);
    }
    Ok(())
}
