//! The state folder: made private, and refused when it is not ours to use.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::file;
use rustix::fs::Access;

/// What only a gateway leaves in a folder.
const MARKS: [&str; 4] = [
    "openclaw.json",
    "gateway.sqlite",
    "gateway.lock",
    // All that is left of a stopped one whose config and workspace are elsewhere and that nobody talked to.
    "logs/gateway.log",
];

/// What a gateway, the original included, may leave as well, and others too.
const TRACES: [&str; 6] = ["agents", "credentials", "identity", "state", "devices", ".env"];

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFolder {
    /// There is a file, or a link to nothing.
    #[error("the state folder {} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// It belongs to another user.
    #[error("the state folder {} belongs to user {owner}, not to you (user {me})", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner's uid.
        owner: u32,
        /// Our uid.
        me: u32,
    },
    /// It holds things that no gateway put there.
    #[error("{} holds other files and is no state folder of a gateway", .0.display())]
    Foreign(PathBuf),
    /// We may not write there.
    #[error("the state folder {} cannot be written", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BadFolder {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            BadFolder::NotAFolder(path) => format!("move {} away, or name another folder", path.display()),
            BadFolder::NotOurs { .. } => "start the gateway as that user, or name another folder with \
                                          --profile or OPENCLAW_STATE_DIR"
                .to_owned(),
            BadFolder::Foreign(_) => "name an empty folder or one that does not exist yet".to_owned(),
            BadFolder::ReadOnly { path, .. } => {
                format!("make it writable (chmod u+rwx {}), or name another folder", path.display())
            }
        }
    }
}

/// Whether [`prepare`] would take the folder, as far as that can be seen without changing anything.
///
/// # Errors
/// As [`prepare`].
pub fn look(path: &Path) -> Result<(), BadFolder> {
    match fs::metadata(path) {
        Ok(it) if !it.is_dir() => return Err(BadFolder::NotAFolder(path.to_path_buf())),
        Ok(it) => check(path, &it)?,
        Err(_) if path.symlink_metadata().is_ok() => return Err(BadFolder::NotAFolder(path.to_path_buf())),
        Err(_) => {}
    }
    let there = path.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
    let writable = if there.is_dir() {
        rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)
    } else {
        Err(rustix::io::Errno::NOTDIR)
    };
    writable.map_err(|source| BadFolder::ReadOnly {
        path: path.to_path_buf(),
        source: std::io::Error::from(source).into(),
    })
}

/// Makes the folder where it is missing, checks that it is ours, and takes from group and others what they
/// should not have.
///
/// # Errors
/// Says what is wrong with it; nothing was changed then.
pub fn prepare(path: &Path) -> Result<(), BadFolder> {
    let read_only = |source: Box<dyn std::error::Error + Send + Sync>| BadFolder::ReadOnly {
        path: path.to_path_buf(),
        source,
    };
    match fs::metadata(path) {
        Ok(it) if !it.is_dir() => return Err(BadFolder::NotAFolder(path.to_path_buf())),
        Ok(it) => check(path, &it)?,
        Err(_) if path.symlink_metadata().is_ok() => return Err(BadFolder::NotAFolder(path.to_path_buf())),
        Err(_) => file::private_folder(path).map_err(|it| read_only(it.into()))?,
    }
    // Root may write anywhere by its mode; a read-only file system refuses root as well.
    let probe = path.join("gateway.lock");
    file::lockable(&probe).map_err(|it| read_only(it.into()))?;
    let mode = fs::metadata(path).map(|it| it.permissions().mode()).unwrap_or(file::PRIVATE_FOLDER);
    if mode & 0o077 != 0 {
        let private = fs::Permissions::from_mode(file::PRIVATE_FOLDER);
        fs::set_permissions(path, private).map_err(|it| read_only(it.into()))?;
    }
    Ok(())
}

/// Whether it is a folder of this user with something in it that only a gateway, ours or the original, leaves.
pub fn is_state_folder(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == me) && is_marked(path)
}

fn is_marked(path: &Path) -> bool {
    MARKS.iter().any(|it| path.join(it).symlink_metadata().is_ok())
}

fn check(path: &Path, found: &fs::Metadata) -> Result<(), BadFolder> {
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        return Err(BadFolder::NotOurs { path: path.to_path_buf(), owner: found.uid(), me });
    }
    let names: Vec<_> =
        fs::read_dir(path).map(|it| it.flatten().map(|it| it.file_name()).collect()).unwrap_or_default();
    let is_trace = |it: &std::ffi::OsString| {
        it.to_str().is_some_and(|it| TRACES.contains(&it) || it.starts_with("workspace"))
    };
    if is_marked(path) || names.iter().all(is_trace) {
        return Ok(());
    }
    Err(BadFolder::Foreign(path.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_private_folder_and_refuses_what_is_not_ours() {
        let home = tempfile::tempdir().expect("a folder");
        let fresh = home.path().join("a/b");
        prepare(&fresh).expect("made");
        assert_eq!(fs::metadata(&fresh).expect("there").permissions().mode() & 0o777, 0o700);
        prepare(&fresh).expect("a second time");

        let foreign = home.path().join("photos");
        fs::create_dir(&foreign).expect("made");
        file::replace(&foreign.join("cat.jpg"), b"meow").expect("written");
        assert!(matches!(prepare(&foreign), Err(BadFolder::Foreign(_))));
        fs::create_dir(foreign.join("agents")).expect("made");
        assert!(matches!(prepare(&foreign), Err(BadFolder::Foreign(_))), "others have agents too");
        fs::remove_dir(foreign.join("agents")).expect("removed");
        assert_eq!(fs::read_dir(&foreign).expect("list").count(), 1, "nothing was added");
        assert!(matches!(prepare(&foreign.join("cat.jpg")), Err(BadFolder::NotAFolder(_))));

        fs::create_dir(foreign.join("logs")).expect("made");
        assert!(matches!(prepare(&foreign), Err(BadFolder::Foreign(_))), "anybody has logs");
        file::replace(&foreign.join("logs/gateway.log"), b"").expect("written");
        prepare(&foreign).expect("a gateway ran here");
    }

    #[test]
    fn takes_from_others_what_they_should_not_have() {
        let home = tempfile::tempdir().expect("a folder");
        let open = home.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("opened");
        prepare(&open).expect("ours");
        assert_eq!(fs::metadata(&open).expect("there").permissions().mode() & 0o777, 0o700);
    }
}
