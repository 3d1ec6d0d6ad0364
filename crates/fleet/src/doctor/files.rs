//! The state folder and what is in it: there, private, ours, of a sensible size.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::file;

use super::{Change, Finding, Scene, Severity};

/// A log that is larger is not cut by itself any more.
const LARGE_LOG: u64 = 64 * 1024 * 1024;
/// The most entries of a state folder that are looked at.
const ENTRIES: usize = 20_000;
/// How many of them are named.
const NAMED: usize = 6;
/// The file of a workspace that every agent reads first.
const FIRST_FILE: &str = "AGENTS.md";

/// Whether there is an instance at all.
pub(super) fn folder_there(scene: &Scene<'_>) -> Vec<Finding> {
    if scene.is_there() {
        return Vec::new();
    }
    let place = scene.short(&scene.instance.state_dir);
    let what = match scene.instance.state_dir.symlink_metadata() {
        Ok(_) => "the state folder is no folder",
        Err(_) => "there is no such instance yet",
    };
    let why = "a name that was mistyped looks like this too; openclaw fleet ls lists those that there are";
    vec![Finding::new(Severity::Error, place, what, why).run(scene.command("setup"))]
}

/// Whether everything belongs to this user.
pub(super) fn owner(scene: &Scene<'_>) -> Vec<Finding> {
    let me = rustix::process::geteuid().as_raw();
    let theirs: Vec<PathBuf> =
        private_entries(scene).into_iter().filter(|(_, it)| it.uid() != me).map(|(path, _)| path).collect();
    if theirs.is_empty() {
        return Vec::new();
    }
    let folder = &scene.instance.state_dir;
    let what = format!("{} of another user: {}", counted(theirs.len()), named(&theirs, folder));
    let why = "a gateway cannot write them; a command was run as another user, such as with sudo";
    let command = format!("sudo chown -R {me} {}", folder.display());
    vec![Finding::new(Severity::Error, scene.short(folder), what, why).run(command)]
}

/// Whether somebody else may read or write something.
pub(super) fn modes(scene: &Scene<'_>) -> Vec<Finding> {
    let me = rustix::process::geteuid().as_raw();
    let open: Vec<(PathBuf, u32)> = private_entries(scene)
        .into_iter()
        .filter(|(_, it)| it.uid() == me && it.mode() & 0o077 != 0)
        .map(|(path, it)| (path, it.mode() & 0o7777))
        .collect();
    if open.is_empty() {
        return Vec::new();
    }
    let folder = &scene.instance.state_dir;
    let paths: Vec<PathBuf> = open.iter().map(|(path, _)| path.clone()).collect();
    let what = format!("{} open to other users: {}", counted(open.len()), named(&paths, folder));
    let why = "tokens, keys and conversations are in this folder";
    let line = |(path, mode): &(PathBuf, u32)| {
        let name = scene.short(path);
        [format!("- {mode:04o} {name}"), format!("+ {:04o} {name}", mode & 0o700)]
    };
    let diff = open.iter().flat_map(line).collect();
    let change = Change::Modes(open.iter().map(|(path, mode)| (path.clone(), mode & 0o700)).collect());
    vec![Finding::new(Severity::Warn, scene.short(folder), what, why).change(change, diff)]
}

/// Whether a killed gateway left its socket.
pub(super) fn socket(scene: &Scene<'_>) -> Vec<Finding> {
    let path = scene.socket();
    let is_left = path.symlink_metadata().is_ok_and(|it| it.file_type().is_socket());
    if scene.holder.is_some() || !is_left {
        return Vec::new();
    }
    let place = scene.short(&path);
    let diff = vec![format!("- {place}")];
    let why = "the next start replaces it; until then it only looks as if a gateway ran";
    let found = Finding::new(Severity::Info, place, "a gateway that was killed left its socket", why);
    vec![found.change(Change::Socket(path), diff)]
}

/// Whether the log has grown beyond what anybody reads.
pub(super) fn log(scene: &Scene<'_>) -> Vec<Finding> {
    let path = scene.instance.state_dir.join("logs/gateway.log");
    let size = fs::metadata(&path).map(|it| it.len()).unwrap_or_default();
    if size <= LARGE_LOG {
        return Vec::new();
    }
    let what = format!("the log has {} MB", size / 1_000_000);
    let why = "it takes room from the conversations";
    let command = format!("truncate -s 0 {}", path.display());
    vec![Finding::new(Severity::Warn, scene.short(&path), what, why).run(command)]
}

/// Whether the workspaces and their first file are there.
pub(super) fn workspaces(scene: &Scene<'_>) -> Vec<Finding> {
    if !scene.is_there() || scene.document.is_err() {
        return Vec::new();
    }
    let look = |path: PathBuf| {
        let place = scene.short(&path);
        if !path.exists() {
            let why = "an agent has no place for its files; it is made at the next start";
            let found = Finding::new(Severity::Warn, &place, "the workspace is not there", why);
            return Some(found.change(Change::Folder(path), vec![format!("+ {place}/ (mode 0700)")]));
        }
        if !path.is_dir() {
            let why = "an agent has no place for its files";
            let found = Finding::new(Severity::Error, &place, "the workspace is no folder", why);
            return Some(found.advise("move it away, or name another in agents.defaults.workspace"));
        }
        if path.join(FIRST_FILE).exists() {
            return None;
        }
        let what = format!("the workspace has no {FIRST_FILE}");
        let found = Finding::new(Severity::Info, &place, what, "the agent works without instructions");
        Some(found.run(scene.command("setup")))
    };
    scene.workspaces().into_iter().filter_map(look).collect()
}

/// The state folder, the config, and all that is below the folder but workspaces, which are the person's own.
fn private_entries(scene: &Scene<'_>) -> Vec<(PathBuf, Metadata)> {
    let root = &scene.instance.state_dir;
    let Ok(about) = fs::metadata(root) else { return Vec::new() };
    let workspaces = scene.workspaces();
    let mut found = vec![(root.clone(), about)];
    let is_theirs = |it: &super::Other| scene.instance.config_path.starts_with(&it.instance.state_dir);
    if !scene.instance.config_path.starts_with(root)
        && !scene.others().iter().any(is_theirs)
        && let Ok(about) = fs::metadata(&scene.instance.config_path)
    {
        found.push((scene.instance.config_path.clone(), about));
    }
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop().filter(|_| found.len() < ENTRIES) {
        let mut entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // A link's own mode means nothing, and what it leads to is not ours to judge.
            let Ok(about) = path.symlink_metadata() else { continue };
            let is_default = folder == *root && entry.file_name().to_string_lossy().starts_with("workspace");
            if about.is_symlink() || is_default || workspaces.contains(&path) || is_socket(&about) {
                continue;
            }
            if about.is_dir() {
                folders.push(path.clone());
            }
            found.push((path, about));
        }
    }
    found
}

/// A socket in a private folder is as private as that, and its mode is the system's affair.
fn is_socket(about: &Metadata) -> bool {
    about.file_type().is_socket()
}

fn counted(count: usize) -> String {
    if count == 1 { "1 entry is".to_owned() } else { format!("{count} entries are") }
}

fn named(paths: &[PathBuf], root: &Path) -> String {
    let name = |it: &PathBuf| match it.strip_prefix(root) {
        Ok(within) if within.as_os_str().is_empty() => "the folder itself".to_owned(),
        Ok(within) => within.display().to_string(),
        Err(_) => it.display().to_string(),
    };
    let mut names: Vec<String> = paths.iter().take(NAMED).map(name).collect();
    if paths.len() > NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Takes from others what they should not have.
///
/// # Errors
/// When it is not ours to change, or is gone.
pub(super) fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    debug_assert!(mode & !file::PRIVATE_FOLDER == 0, "only ever less than it had");
    // Not through a link: what it leads to may be somebody else's.
    if path.symlink_metadata()?.is_symlink() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
