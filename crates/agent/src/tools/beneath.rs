//! Files of the workspace: opened beneath its root and never out of it, whatever links say.

use std::io::{self, Read, Write};
use std::path::Path;

use base::random;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt, Permissions};

/// The largest file that a tool reads or writes.
pub(super) const LARGEST: u64 = 4 * 1024 * 1024;

/// Reads a text file.
pub(super) fn read(root: &Dir, path: &Path) -> io::Result<String> {
    let about = root.metadata(path)?;
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "no ordinary file" };
        return Err(io::Error::other(format!("it is {what}")));
    }
    if about.len() > LARGEST {
        return Err(io::Error::other(format!(
            "it has {} bytes, more than the {LARGEST} allowed",
            about.len()
        )));
    }
    let mut text = String::new();
    root.open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces a file or makes it, with the folders on the way: whole or not at all. An existing file keeps its
/// mode; a new one is the owner's alone.
pub(crate) fn replace(root: &Dir, path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let folder = match path.parent().filter(|it| !it.as_os_str().is_empty()) {
        Some(parent) => {
            root.create_dir_all(parent)?;
            root.open_dir(parent)?
        }
        None => root.try_clone()?,
    };
    // A link would be replaced by the file, and what it points to left as it was.
    let before = folder.symlink_metadata(name).ok();
    if before.as_ref().is_some_and(|it| !it.is_file()) {
        return Err(io::Error::other("it is a link, a folder or no ordinary file"));
    }
    let draft = format!(".{}.{}.tmp", name.to_string_lossy(), random::hex::<6>());
    let written = write_draft(&folder, &draft, text, before.map(|it| it.permissions()))
        .and_then(|()| folder.rename(&draft, &folder, name));
    if written.is_err() {
        let _ = folder.remove_file(&draft);
    }
    written
}

fn write_draft(folder: &Dir, draft: &str, text: &str, mode: Option<Permissions>) -> io::Result<()> {
    let private = base::file::PRIVATE_FILE;
    let mut file = folder.open_with(draft, OpenOptions::new().write(true).create_new(true).mode(private))?;
    file.write_all(text.as_bytes())?;
    if let Some(mode) = mode {
        file.set_permissions(mode)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    #[test]
    fn no_path_and_no_link_leads_out() {
        let home = tempfile::tempdir().expect("a folder");
        let work = home.path().join("work");
        std::fs::create_dir(&work).expect("made");
        base::file::replace(&home.path().join("secret"), b"s").expect("written");
        std::os::unix::fs::symlink("../secret", work.join("link")).expect("linked");
        std::os::unix::fs::symlink("..", work.join("up")).expect("linked");
        let bench = bench(&work);
        for path in ["../secret", "link", "up/secret", "/etc/passwd", "a/../../secret"] {
            assert!(read(&bench.root, Path::new(path)).is_err(), "{path} was read");
        }
        for path in ["../new", "up/new", "/tmp/openclaw-must-not-be", "up"] {
            assert!(replace(&bench.root, Path::new(path), "x").is_err(), "{path} was written");
        }
        assert_eq!(std::fs::read(home.path().join("secret")).expect("there"), b"s");
    }

    #[test]
    fn makes_folders_keeps_modes_and_leaves_no_draft() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a folder");
        let bench = bench(home.path());
        replace(&bench.root, Path::new("a/b/run.sh"), "one").expect("made");
        let file = home.path().join("a/b/run.sh");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
        replace(&bench.root, Path::new("a/b/run.sh"), "two").expect("replaced");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read_dir(home.path().join("a/b")).expect("list").count(), 1);
        assert_eq!(read(&bench.root, Path::new("a/b/run.sh")).expect("reads"), "two");
    }
}
