//! The workspace of an agent: the files that tell it who it is, made once and then the person's own.

pub mod browse;
pub mod persona;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base::file::{self, FileError};

/// The files that are made in a new workspace, with their first text. What stands there already is kept.
const STANDARD: [(&str, &str); 6] = [
    ("AGENTS.md", include_str!("workspace/AGENTS.md")),
    ("SOUL.md", include_str!("workspace/SOUL.md")),
    ("IDENTITY.md", include_str!("workspace/IDENTITY.md")),
    ("USER.md", include_str!("workspace/USER.md")),
    ("TOOLS.md", include_str!("workspace/TOOLS.md")),
    ("HEARTBEAT.md", include_str!("workspace/HEARTBEAT.md")),
];
/// What an agent does once, in a workspace in which nothing stood before, and then removes.
const FIRST: (&str, &str) = ("BOOTSTRAP.md", include_str!("workspace/BOOTSTRAP.md"));
/// What goes into the context, in this order. The memory is the agent's own: nobody makes it.
const READ: [&str; 8] = [
    "AGENTS.md",
    "SOUL.md",
    "IDENTITY.md",
    "USER.md",
    "TOOLS.md",
    "HEARTBEAT.md",
    "BOOTSTRAP.md",
    "MEMORY.md",
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

/// Makes the folder and, unless they are not wanted, the files that are missing. Returns the names of those that were
/// made.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn seed(workspace: &Path, skip_bootstrap: bool) -> Result<Vec<&'static str>, FileError> {
    file::private_folder(workspace)?;
    if skip_bootstrap {
        return Ok(Vec::new());
    }
    let is_there = |name: &str| workspace.join(name).symlink_metadata().is_ok();
    let is_new = !STANDARD.iter().any(|(name, _)| is_there(name));
    let mut made = Vec::new();
    // First of all: with any of the others there, the workspace would not be new any more.
    let first = is_new.then_some(FIRST);
    for (name, text) in first.into_iter().chain(STANDARD) {
        if file::create_if_missing(&workspace.join(name), text.as_bytes())? {
            made.push(name);
        }
    }
    Ok(made)
}

/// Reads the files that go into the context, each up to `most` characters. A missing one is left out, one that
/// cannot be read is named in its place.
pub fn pages(workspace: &Path, most: usize) -> Vec<Page> {
    READ.into_iter().filter_map(|name| page(workspace, name, most)).collect()
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
        let made = seed(&workspace, false).expect("made");
        assert_eq!((made.len(), made[0]), (STANDARD.len() + 1, "BOOTSTRAP.md"));
        // The agent removes it when it is done, and it does not come back.
        std::fs::remove_file(workspace.join("BOOTSTRAP.md")).expect("removed");
        file::replace(&workspace.join("SOUL.md"), "Grumpy.".as_bytes()).expect("edited");
        std::fs::remove_file(workspace.join("USER.md")).expect("removed");
        assert_eq!(seed(&workspace, false).expect("again"), ["USER.md"]);
        let soul = pages(&workspace, 4).into_iter().find(|it| it.name == "SOUL.md");
        assert_eq!(soul, Some(Page { name: "SOUL.md", text: "Grum".into(), cut: true }));
    }

    #[test]
    fn a_workspace_may_begin_empty_and_one_that_is_used_has_no_first_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bare, used) = (folder.path().join("bare"), folder.path().join("used"));
        assert!(seed(&bare, true).expect("made").is_empty());
        assert_eq!(std::fs::read_dir(&bare).expect("there").count(), 0);
        file::private_folder(&used).expect("made");
        file::replace(&used.join("SOUL.md"), b"Mine.").expect("written");
        let made = seed(&used, false).expect("made");
        assert!(made.len() == STANDARD.len() - 1 && !made.contains(&"BOOTSTRAP.md"), "{made:?}");
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
