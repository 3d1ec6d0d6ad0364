//! Which folders are copied to where, and so which paths of a config follow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use profile::{Ambient, Document, Finding, Instance};
use serde_json::json;

use crate::places::rewrite::{Moves, Texts, clean};
use crate::places::{real, workspaces};

/// Folders of a state folder of which nothing is copied, whoever works in them.
const NEVER: [&str; 9] =
    ["identity", "devices", "nodes", "credentials", "agents", "gateway", "generations", "logs", "browser"];

/// What goes where.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) copies: Vec<Folder>,
    pub(super) moves: Moves,
    /// The new default agent's workspace.
    pub(super) default: PathBuf,
}

/// One workspace.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) from: PathBuf,
    /// Its place in the new state folder.
    pub(super) within: PathBuf,
    /// Why the new one is empty.
    pub(super) refused: Option<&'static str>,
}

/// Writes workspaces that are named from the working directory on as whole paths: only such can follow.
///
/// # Errors
/// When the document cannot be changed, which one that was parsed can.
pub(super) fn spell_out(document: &mut Document, ambient: &Ambient) -> Result<(), Finding> {
    let is_workspace = |keys: &[String]| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        matches!(keys.as_slice(), ["agents", "defaults", "workspace"] | ["agents", "list", _, "workspace"])
    };
    for (keys, text) in document.texts().into_iter().filter(|(keys, _)| is_workspace(keys)) {
        if !text.trim().is_empty() && !text.contains("${") && Texts::of(ambient).path(&text).is_none() {
            document.set_at(&keys, &json!(clean(&ambient.path(&text))))?;
        }
    }
    Ok(())
}

/// Plans for the workspaces that the config names and for those that are in the state folder. What is in the state
/// folder keeps its place in it, and what is outside is given one.
pub(super) fn plan(document: &Document, from: &Instance, to: &Instance, ambient: &Ambient) -> Layout {
    let mut planner = Planner { from, to, copies: Vec::new(), taken: BTreeSet::new() };
    let mut named = workspaces(document, ambient);
    if named.first().is_none_or(|(id, _)| id.is_some()) {
        named.insert(0, (None, from.workspace.clone()));
    }
    for (id, path) in &named {
        planner.add(path, id.as_deref());
    }
    for path in unnamed(&from.state_dir) {
        planner.add(&path, None);
    }
    let (alone, copied): (Vec<_>, Vec<_>) = planner.copies.iter().partition(|it| it.refused.is_some());
    let places = |of: Vec<&Folder>| -> Vec<(PathBuf, PathBuf)> {
        of.into_iter().map(|it| (it.from.clone(), to.state_dir.join(&it.within))).collect()
    };
    let mut pairs = places(copied);
    pairs.push((from.state_dir.clone(), to.state_dir.clone()));
    let moves = Moves::of(ambient, &pairs).and_alone(places(alone));
    let default = moves.path(&named[0].1).unwrap_or_else(|| to.workspace.clone());
    Layout { copies: planner.copies, moves, default }
}

struct Planner<'a> {
    from: &'a Instance,
    to: &'a Instance,
    copies: Vec<Folder>,
    taken: BTreeSet<PathBuf>,
}

impl Planner<'_> {
    fn add(&mut self, path: &Path, id: Option<&str>) {
        let path = clean(path);
        // Below one that is copied already, it goes with it.
        if self.copies.iter().any(|it| path.starts_with(&it.from) && it.refused.is_none()) {
            return;
        }
        let default_name = self.to.workspace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inside = path.strip_prefix(&self.from.state_dir).ok().filter(|it| !it.as_os_str().is_empty());
        let wished = match (inside, id) {
            _ if path == self.from.workspace => PathBuf::from(default_name),
            (Some(within), _) => within.to_path_buf(),
            (None, None) => PathBuf::from(default_name),
            (None, Some(id)) => PathBuf::from(format!("{default_name}-{}", plain(id))),
        };
        let within = self.free(wished);
        let refused = self.refused(&path, inside);
        self.taken.insert(within.clone());
        self.copies.push(Folder { from: path, within, refused });
    }

    fn free(&self, wished: PathBuf) -> PathBuf {
        let is_free = |it: &PathBuf| !self.taken.contains(it);
        if is_free(&wished) {
            return wished;
        }
        let numbered = |number: u32| PathBuf::from(format!("{}-{number}", wished.display()));
        (2..).map(numbered).find(is_free).expect("there are more numbers than workspaces")
    }

    fn refused(&self, path: &Path, inside: Option<&Path>) -> Option<&'static str> {
        let real_path = real(path);
        let holds = |it: &Path| real(it).starts_with(&real_path);
        let beside = self.to.state_dir.parent().unwrap_or(Path::new("/"));
        if holds(&self.from.state_dir) || holds(beside) || holds(self.from.host.folder()) {
            return Some("it holds state folders, and with them logins");
        }
        inside.is_some_and(is_never).then_some("it is in a folder that is never copied")
    }
}

/// Whether a place in a state folder is among what is never copied. An agent's own folder may have a workspace in it.
fn is_never(within: &Path) -> bool {
    let parts: Vec<_> = within
        .components()
        .filter_map(|it| match it {
            Component::Normal(it) => it.to_str(),
            _ => None,
        })
        .collect();
    let is_of_agent = matches!(parts.as_slice(), ["agents", _, own, ..] if own.starts_with("workspace"));
    parts.first().is_some_and(|it| NEVER.contains(it)) && !is_of_agent
}

/// The workspaces that are in the state folder by their names.
fn unnamed(state_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_dir).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_workspace = |it: &str| it == "workspace" || it.starts_with("workspace-");
    let named = entries.into_iter().filter(|it| it.file_name().to_str().is_some_and(is_workspace));
    let mut paths: Vec<PathBuf> = named.map(|it| it.path()).filter(|it| it.is_dir()).collect();
    paths.sort();
    paths
}

/// An agent's id as a part of a folder's name.
fn plain(id: &str) -> String {
    id.chars().map(|it| if it.is_ascii_alphanumeric() || it == '_' { it } else { '-' }).take(64).collect()
}
