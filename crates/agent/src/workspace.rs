//! The workspace of an agent: the files that tell it who it is, made once and then the person's own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base::file::{self, FileError};

/// The files that are made in a new workspace, with their first text. What stands there already is kept.
const BOOTSTRAP: [(&str, &str); 6] = [
    (
        "AGENTS.md",
        "# How to work here\n\nThis folder is your workspace. Answer briefly. Use the tools when facts are in \
         files or commands; say so when something failed. Ask before you delete or send anything.\n",
    ),
    ("SOUL.md", "# Character\n\nHelpful, plain, honest about what you do not know.\n"),
    ("IDENTITY.md", "# Identity\n\n- Name: Assistant\n"),
    ("USER.md", "# The person you work for\n\nUnknown so far.\n"),
    ("TOOLS.md", "# Notes on tools\n\nNone yet.\n"),
    ("MEMORY.md", "# Memory\n\nNothing yet.\n"),
];

/// One file of the workspace that goes into the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: &'static str,
    /// Its text, cut to the bound.
    pub text: String,
    /// Whether it was longer.
    pub cut: bool,
}

/// Makes the folder and the files that are missing. Returns the names of those that were made.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn seed(workspace: &Path) -> Result<Vec<&'static str>, FileError> {
    file::private_folder(workspace)?;
    let mut made = Vec::new();
    for (name, text) in BOOTSTRAP {
        if file::create_if_missing(&workspace.join(name), text.as_bytes())? {
            made.push(name);
        }
    }
    Ok(made)
}

/// Reads the files that go into the context, each up to `most` characters. A missing one is left out, one that
/// cannot be read is named in its place.
pub fn pages(workspace: &Path, most: usize) -> Vec<Page> {
    BOOTSTRAP.into_iter().filter_map(|(name, _)| page(workspace, name, most)).collect()
}

fn page(workspace: &Path, name: &'static str, most: usize) -> Option<Page> {
    match read_bounded(&workspace.join(name), most) {
        Ok((text, cut)) => Some(Page { name, text, cut }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Page { name, text: format!("(this file cannot be read: {error})"), cut: false }),
    }
}

fn read_bounded(path: &Path, most: usize) -> io::Result<(String, bool)> {
    // A pipe in the file's place would block the gateway for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    // A character has at most four bytes.
    let bound = most as u64 * 4 + 1;
    let mut bytes = Vec::new();
    File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let kept: String = text.chars().take(most).collect();
    let cut = kept.len() < text.len();
    Ok((kept, cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_seeded_once_and_then_the_persons_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = folder.path().join("w");
        assert_eq!(seed(&workspace).expect("made").len(), BOOTSTRAP.len());
        file::replace(&workspace.join("SOUL.md"), "Grumpy.".as_bytes()).expect("edited");
        std::fs::remove_file(workspace.join("USER.md")).expect("removed");
        assert_eq!(seed(&workspace).expect("again"), ["USER.md"]);
        let soul = pages(&workspace, 4).into_iter().find(|it| it.name == "SOUL.md");
        assert_eq!(soul, Some(Page { name: "SOUL.md", text: "Grum".into(), cut: true }));
    }

    #[test]
    fn what_is_no_file_is_named_and_blocks_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("SOUL.md")).expect("made");
        let pages = pages(folder.path(), 100);
        assert_eq!(pages.len(), 1);
        assert!(pages[0].text.contains("cannot be read"), "{pages:?}");
    }
}
