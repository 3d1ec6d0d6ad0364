//! One file of a workspace by name, for people who edit it from afar: beneath the workspace, whatever links say.

use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::tools::beneath;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// All of it.
    pub text: String,
    /// Bytes.
    pub size: u64,
    /// Unix milliseconds.
    pub modified_ms: Option<u64>,
}

/// Reads a file of at most `most` bytes. `None` where there is none, or no workspace.
///
/// # Errors
/// When it is no ordinary file, is too large, is not text, or leads out of the workspace.
pub fn read(workspace: &Path, name: &str, most: u64) -> io::Result<Option<Persona>> {
    let absent = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
    };
    let root = match Dir::open_ambient_dir(workspace, ambient_authority()) {
        Ok(it) => it,
        Err(error) => return absent(error),
    };
    let about = match root.symlink_metadata(name) {
        Ok(it) => it,
        Err(error) => return absent(error),
    };
    if !about.is_file() {
        return Err(io::Error::other("it is a link, a folder or no ordinary file"));
    }
    if about.len() > most {
        return Err(io::Error::other(format!("it has {} bytes, more than the {most} allowed", about.len())));
    }
    let mut text = String::new();
    root.open(name)?.take(most).read_to_string(&mut text)?;
    let modified = about.modified().ok().and_then(|it| it.into_std().duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.and_then(|it| u64::try_from(it.as_millis()).ok());
    Ok(Some(Persona { size: text.len() as u64, text, modified_ms }))
}

/// Replaces a file, or makes it: whole or not at all.
///
/// # Errors
/// When it is no ordinary file, leads out of the workspace, or cannot be written.
pub fn write(workspace: &Path, name: &str, text: &str) -> io::Result<()> {
    let root = Dir::open_ambient_dir(workspace, ambient_authority())?;
    beneath::replace(&root, Path::new(name), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_is_followed_and_nothing_too_large_is_read() {
        let home = tempfile::tempdir().expect("a folder");
        let work = home.path().join("w");
        assert_eq!(read(&work, "SOUL.md", 10).expect("no workspace"), None);
        std::fs::create_dir(&work).expect("made");
        assert_eq!(read(&work, "SOUL.md", 10).expect("no file"), None);
        base::file::replace(&home.path().join("secret"), b"s").expect("written");
        std::os::unix::fs::symlink("../secret", work.join("USER.md")).expect("linked");
        std::os::unix::fs::symlink("SOUL.md", work.join("MEMORY.md")).expect("linked");
        write(&work, "SOUL.md", "0123456789").expect("written");
        assert_eq!(read(&work, "SOUL.md", 10).expect("reads").expect("there").text, "0123456789");
        assert!(read(&work, "SOUL.md", 9).is_err());
        for link in ["USER.md", "MEMORY.md", "../secret"] {
            assert!(read(&work, link, 10).is_err() && write(&work, link, "x").is_err(), "{link}");
        }
        assert_eq!(std::fs::read(home.path().join("secret")).expect("there"), b"s");
    }
}
