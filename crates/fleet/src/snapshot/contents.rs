//! What of an instance goes into a snapshot, what is secret in it, and what stays out.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::failed;
use super::{CONFIG, LeftOut, SnapshotError, path};

/// Left out of every state folder: locks, sockets, logs, what browsers keep, and the database, which is copied by
/// other means.
const NEVER: [&str; 8] = [
    "gateway.lock",
    "control.sock",
    store::FILE,
    "gateway.sqlite-wal",
    "gateway.sqlite-shm",
    "gateway.sqlite-journal",
    "logs",
    "browser",
];
/// Secret as a whole, where they stand at the top of a state folder.
const SECRET: [&str; 6] = [".env", "keys.env", "credentials", "identity", "devices", "generations"];
/// Secret in the folder of an agent.
const SECRET_OF_AGENT: [&str; 2] = ["auth-profiles.json", "auth.json"];

/// Something that goes in.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Within its tree.
    pub(super) path: String,
    /// Where it is.
    pub(super) from: PathBuf,
    /// What it is.
    pub(super) what: What,
    /// The permission bits.
    pub(super) mode: u32,
    /// When it was last written, in seconds since 1970.
    pub(super) modified: u64,
    /// Whether it is sealed or left out.
    pub(super) is_secret: bool,
}

/// What goes in, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Folder,
    /// With its size in bytes.
    File(u64),
    /// With the place that it names.
    Link(String),
}

/// Everything of one tree, folders before what is in them.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) items: Vec<Item>,
    /// The secret files and folders, without those in secret folders.
    pub(super) secrets: Vec<String>,
    pub(super) left_out: Vec<LeftOut>,
}

/// Which tree is looked through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tree<'a> {
    /// A state folder. The config is not looked at here, wherever it is, and no workspace's drafts are ours.
    State {
        /// The config file.
        config: &'a Path,
        /// The workspaces in it.
        workspaces: &'a [PathBuf],
    },
    /// A workspace outside it.
    Workspace,
}

impl Contents {
    /// Bytes of all its files.
    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().map(|it| if let What::File(size) = it.what { size } else { 0 }).sum()
    }
}

impl Item {
    /// From what the system says, its path and its kind.
    pub(super) fn of(path: String, from: PathBuf, what: What, found: &Metadata) -> Self {
        let mode = found.permissions().mode() & 0o777;
        let modified = u64::try_from(found.mtime()).unwrap_or_default();
        Self { path, from, what, mode, modified, is_secret: false }
    }
}

/// Looks through a tree. What vanishes meanwhile is not there.
///
/// # Errors
/// When the tree itself cannot be listed, or the disk fails.
pub(super) fn look(root: &Path, tree: Tree<'_>) -> Result<Contents, SnapshotError> {
    let mut contents = Contents::default();
    let mut waiting = vec![(root.to_path_buf(), String::new(), false)];
    while let Some((folder, at, is_secret)) = waiting.pop() {
        let mut names = BTreeSet::new();
        match fs::read_dir(&folder) {
            Ok(found) => {
                for it in found {
                    names.insert(it.map_err(failed("list", &folder))?.file_name());
                }
            }
            Err(error) if at.is_empty() => return Err(failed("list", root)(error)),
            Err(error) => contents.skipped(&folder, &error)?,
        }
        // The last is looked at first, so that the archive is in the order of the names.
        for name in names.iter().rev() {
            let from = folder.join(name);
            let Some(name) = name.to_str() else {
                contents.leave(&from, "its name is no UTF-8");
                continue;
            };
            let path = if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") };
            if stays_out(&path, &from, tree) {
                continue;
            }
            let secret_here = !is_secret && matches!(tree, Tree::State { .. }) && is_secret_path(&path);
            let Some(mut item) = contents.item(path, from)? else { continue };
            item.is_secret = is_secret || secret_here;
            if secret_here {
                let slash = if item.what == What::Folder { "/" } else { "" };
                contents.secrets.push(format!("{}{slash}", item.path));
            }
            if item.what == What::Folder {
                waiting.push((item.from.clone(), item.path.clone(), item.is_secret));
            }
            contents.items.push(item);
        }
    }
    contents.items.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    contents.secrets.sort();
    Ok(contents)
}

impl Contents {
    fn leave(&mut self, from: &Path, reason: &str) {
        self.left_out.push(LeftOut { path: from.to_path_buf(), reason: reason.to_owned() });
    }

    /// Notes what cannot be read; a disk that fails is an error.
    pub(super) fn skipped(&mut self, from: &Path, error: &io::Error) -> Result<(), SnapshotError> {
        match error.kind() {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::PermissionDenied => self.leave(from, "it may not be read"),
            _ => return Err(failed("read", from)(io::Error::new(error.kind(), error.to_string()))),
        }
        Ok(())
    }

    fn item(&mut self, at: String, from: PathBuf) -> Result<Option<Item>, SnapshotError> {
        let found = match from.symlink_metadata() {
            Ok(it) => it,
            Err(error) => return self.skipped(&from, &error).map(|()| None),
        };
        if path::parse(format!("outside/0/{at}").as_bytes()).is_err() {
            self.leave(&from, "its path is too long");
            return Ok(None);
        }
        let kind = found.file_type();
        let what = if kind.is_dir() {
            What::Folder
        } else if kind.is_file() {
            What::File(found.len())
        } else if kind.is_symlink() {
            let place = fs::read_link(&from).map_err(failed("read", &from))?;
            match place.to_str().filter(|it| it.len() <= path::LONGEST) {
                Some(text) if path::stays(&at, &place) => What::Link(text.to_owned()),
                _ => {
                    self.leave(&from, &format!("it is a link to {}, elsewhere", place.display()));
                    return Ok(None);
                }
            }
        } else {
            let reason = match () {
                () if kind.is_socket() => "it is a socket",
                () if kind.is_fifo() => "it is a pipe",
                () => "it is a device",
            };
            self.leave(&from, reason);
            return Ok(None);
        };
        Ok(Some(Item::of(at, from, what, &found)))
    }
}

fn stays_out(path: &str, from: &Path, tree: Tree<'_>) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_draft = name.starts_with('.') && name.ends_with(".tmp");
    match tree {
        Tree::Workspace => is_draft,
        Tree::State { config, workspaces } => {
            let in_workspace =
                path.starts_with("workspace") || workspaces.iter().any(|it| from.starts_with(it));
            let is_copy_of_config = path.strip_prefix(CONFIG).is_some_and(|it| it.starts_with('.'));
            // One that is not the config in force is nobody's.
            is_draft
                || (!in_workspace && name.ends_with(".tmp"))
                || NEVER.contains(&path)
                || path.starts_with(&format!("{}.before-", store::FILE))
                || path == CONFIG
                || from == config
                || is_copy_of_config
        }
    }
}

/// Whether a file or folder of a state folder is secret as a whole.
fn is_secret_path(path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    match names.as_slice() {
        [name] => {
            let ends = [".pem", ".key"].iter().any(|it| name.to_ascii_lowercase().ends_with(it));
            ends || SECRET.contains(name) || name.starts_with(".env.")
        }
        // The key that the gateway's certificate was made with.
        ["gateway", "tls"] => true,
        ["agents", _, "agent", name] => SECRET_OF_AGENT.contains(name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::file;

    #[test]
    fn sorts_what_it_finds_into_contents_secrets_and_the_rest() {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().join("state");
        for at in [
            "a.txt",
            "skills/one/SKILL.md",
            "skills/one/x.tmp",
            "workspace-x/kept.tmp",
            "workspace-x/.note.tmp",
            "agents/main/agent/auth-profiles.json",
            "agents/main/agent/models.json",
            "credentials/deep/key",
            ".env",
            ".env.local",
            "tls.KEY",
            "skills/tls.key",
            "openclaw.json",
            "openclaw.json.bak.1",
            "gateway.sqlite",
            "gateway.sqlite-wal",
            "gateway.lock",
            "logs/gateway.log",
            "browser/x/user-data/c",
        ] {
            file::private_folder(root.join(at).parent().expect("has one")).expect("made");
            file::replace(&root.join(at), b"x").expect("written");
        }
        let link = |place: &str, at: &str| std::os::unix::fs::symlink(place, root.join(at)).expect("made");
        link("a.txt", "good");
        link("/etc/passwd", "absolute");
        link("../elsewhere", "skills/out");
        link("../../elsewhere", "skills/outer");
        drop(std::os::unix::net::UnixListener::bind(root.join("s")).expect("bound"));

        let tree = Tree::State { config: &root.join("openclaw.json"), workspaces: &[] };
        let found = look(&root, tree).expect("looked");
        let files = |secret| -> Vec<&str> {
            let files = found.items.iter().filter(|it| it.what != What::Folder && it.is_secret == secret);
            files.map(|it| it.path.as_str()).collect()
        };
        assert_eq!(
            files(false),
            [
                "a.txt",
                "agents/main/agent/models.json",
                "good",
                "skills/one/SKILL.md",
                "skills/out",
                "skills/tls.key",
                "workspace-x/kept.tmp",
            ]
        );
        let agent = "agents/main/agent/auth-profiles.json";
        assert_eq!(files(true), [".env", ".env.local", agent, "credentials/deep/key", "tls.KEY"]);
        assert_eq!(found.secrets, [".env", ".env.local", agent, "credentials/", "tls.KEY"]);
        let mut left: Vec<String> = found
            .left_out
            .iter()
            .map(|it| format!("{}: {}", it.path.file_name().expect("named").display(), it.reason))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "absolute: it is a link to /etc/passwd, elsewhere",
                "outer: it is a link to ../../elsewhere, elsewhere",
                "s: it is a socket",
            ]
        );
    }
}
