//! A workspace for people who look at it from afar: beneath its root, whatever links say.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};

/// A file or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Of a file: bytes; of a folder: nothing.
    pub size: Option<u64>,
    /// Unix milliseconds; 0 where the system does not say.
    pub modified_ms: u64,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It has more bytes than were allowed: so many.
    TooLarge(u64),
    /// All of it, and when it was changed, in Unix milliseconds.
    Whole(Vec<u8>, u64),
}

/// A path as people write it, as one that stays beneath its root. `None` for one that is absolute or goes up.
pub fn beneath(path: &str) -> Option<PathBuf> {
    let path = path.replace('\\', "/");
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    let mut clean = PathBuf::new();
    for part in Path::new(&path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!has_drive && !path.contains('\0')).then_some(clean)
}

/// The files and folders of a folder, folders first, by name. Links are left out, and what is neither. `None` where
/// there is no such folder, or it leads out of the workspace.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(workspace: &Path, folder: &Path) -> io::Result<Option<Vec<Found>>> {
    let Some(folder) = open(workspace, folder)? else { return Ok(None) };
    let mut all = Vec::new();
    for entry in folder.entries()? {
        let entry = entry?;
        let (Ok(name), Ok(about)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
        if about.is_file() || about.is_dir() {
            let size = about.is_file().then(|| about.len());
            all.push(Found { name, size, modified_ms: modified(&about) });
        }
    }
    all.sort_by(|a, b| (a.size.is_some(), &a.name).cmp(&(b.size.is_some(), &b.name)));
    Ok(Some(all))
}

/// What is in a file of at most `most` bytes. `None` where there is no such file, or it leads out of the workspace, or
/// is a link.
///
/// # Errors
/// When the file cannot be read.
pub fn read(workspace: &Path, file: &Path, most: u64) -> io::Result<Option<Content>> {
    let (Some(name), Some(parent)) = (file.file_name(), file.parent()) else { return Ok(None) };
    let Some(folder) = open(workspace, parent)? else { return Ok(None) };
    let Some(about) = present(folder.symlink_metadata(name))?.filter(Metadata::is_file) else {
        return Ok(None);
    };
    if about.len() > most {
        return Ok(Some(Content::TooLarge(about.len())));
    }
    let mut bytes = Vec::new();
    folder.open(name)?.take(most + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    Ok(Some(if size > most { Content::TooLarge(size) } else { Content::Whole(bytes, modified(&about)) }))
}

fn open(workspace: &Path, folder: &Path) -> io::Result<Option<Dir>> {
    let Some(root) = present(Dir::open_ambient_dir(workspace, ambient_authority()))? else { return Ok(None) };
    if folder.as_os_str().is_empty() { Ok(Some(root)) } else { present(root.open_dir(folder)) }
}

/// What is not there, is no folder or leads out is all the same to who asks.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match found {
        Ok(it) => Ok(Some(it)),
        Err(error) if matches!(error.kind(), NotADirectory | NotFound | PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

fn modified(about: &Metadata) -> u64 {
    let since = about.modified().ok().and_then(|it| it.into_std().duration_since(UNIX_EPOCH).ok());
    since.and_then(|it| u64::try_from(it.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_beneath() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("", Some("")),
            ("a\\b", Some("a/b")),
            ("../a", None),
            ("a/../../b", None),
            ("/etc", None),
            ("\\etc", None),
            ("C:\\x", None),
            ("a\0", None),
        ] {
            assert_eq!(beneath(path).as_deref(), expected.map(Path::new), "{path:?}");
        }
    }

    #[test]
    fn links_are_neither_shown_nor_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let work = home.path().join("w");
        assert_eq!(list(&work, Path::new("")).expect("none"), None);
        std::fs::create_dir_all(work.join("notes")).expect("made");
        base::file::replace(&home.path().join("secret"), b"s").expect("written");
        base::file::replace(&work.join("b.txt"), b"bb").expect("written");
        base::file::replace(&work.join("notes/a"), b"a").expect("written");
        std::os::unix::fs::symlink("../secret", work.join("link")).expect("linked");
        std::os::unix::fs::symlink("..", work.join("up")).expect("linked");
        let names = |folder: &str| {
            let all = list(&work, Path::new(folder)).expect("read");
            all.map(|it| it.into_iter().map(|it| it.name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("").as_deref(), Some("notes b.txt"));
        assert_eq!(names("notes").as_deref(), Some("a"));
        for other in ["up", "b.txt", "nothing"] {
            assert_eq!(names(other), None, "{other}");
        }
        let content = |file: &str, most| read(&work, Path::new(file), most).expect("read");
        assert!(matches!(content("notes/a", 1), Some(Content::Whole(bytes, _)) if bytes == b"a"));
        assert_eq!(content("b.txt", 1), Some(Content::TooLarge(2)));
        for other in ["link", "up/secret", "notes", "nothing", ""] {
            assert_eq!(content(other, 10), None, "{other}");
        }
    }
}
