//! What the disk says of the files that matter to an audit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use profile::{Ambient, Document, Instance};
use serde_json::Value;

use crate::service;

/// The most files of one kind that are looked at.
const MOST: usize = 500;
/// The most of a unit that is read, in bytes.
const UNIT: u64 = 64 * 1024;
/// Where gateways of the original keep logs of all instances together.
const COMMON_LOGS: &str = "/tmp/openclaw";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The state folder.
    StateFolder,
    /// The config.
    Config,
    /// A file that the config includes.
    Include,
    /// The folder that the config is in, where that is not the state folder.
    ConfigFolder,
    /// Logins of channels.
    Credentials,
    /// Keys of model vendors.
    AuthProfiles,
    /// Conversations.
    Sessions,
    /// A log.
    Log,
    /// Variables of the gateway.
    Environment,
    /// Configs that were accepted.
    Generation,
    /// A kept snapshot.
    Snapshot,
    /// The service's unit.
    Unit,
    /// Logs in a folder that all users share.
    CommonLogs,
}

/// One file as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub path: PathBuf,
    /// Its permission bits; of what a link leads to.
    pub mode: u32,
    /// Its owner's uid.
    pub owner: u32,
    /// Whether the path is a link.
    pub is_link: bool,
    /// Variables that hold a secret, by their names; only for a unit.
    pub secrets: Vec<String>,
}

/// Looks at all of them.
pub fn facts(instance: &Instance, document: Option<&Document>, ambient: &Ambient) -> Vec<Fact> {
    let state = &instance.state_dir;
    let mut found: Vec<Fact> = Vec::new();
    let mut add = |role, path: PathBuf| found.extend(fact(role, path));
    add(Role::StateFolder, state.clone());
    add(Role::Config, instance.config_path.clone());
    if let Some(folder) = instance.config_path.parent().filter(|it| it != state) {
        add(Role::ConfigFolder, folder.to_path_buf());
    }
    for it in document.map(included).unwrap_or_default() {
        add(Role::Include, it);
    }
    for (role, name) in [
        (Role::Credentials, "credentials"),
        (Role::Credentials, "identity"),
        (Role::Sessions, "gateway.sqlite"),
        (Role::Sessions, "gateway.sqlite-wal"),
        (Role::Log, "logs"),
        (Role::Environment, ".env"),
        (Role::Environment, "keys.env"),
        (Role::Generation, "generations"),
    ] {
        within(&state.join(name)).into_iter().for_each(|it| add(role, it));
    }
    for agent in list(&state.join("agents")) {
        add(Role::AuthProfiles, agent.join("agent/auth-profiles.json"));
        within(&agent.join("sessions")).into_iter().for_each(|it| add(Role::Sessions, it));
    }
    let is_own =
        |it: &PathBuf| it.file_name().is_some_and(|it| is_snapshot_of(&instance.name, &it.to_string_lossy()));
    list(&instance.host.snapshots()).into_iter().filter(is_own).for_each(|it| add(Role::Snapshot, it));
    list(Path::new(COMMON_LOGS)).into_iter().for_each(|it| add(Role::CommonLogs, it));
    if let Some(unit) = service::of(instance, ambient).unit() {
        let text =
            fs::metadata(unit).ok().filter(|it| it.len() <= UNIT).and_then(|_| fs::read_to_string(unit).ok());
        let secrets = secrets_in(&text.unwrap_or_default());
        found.extend(fact(Role::Unit, unit.to_path_buf()).map(|it| Fact { secrets, ..it }));
    }
    found
}

/// `NAME-DATE-TIME.tar.gz`, or with `doctor` behind the name: another instance's name may begin with this one's.
fn is_snapshot_of(name: &str, file: &str) -> bool {
    let rest = file.strip_prefix(name).and_then(|it| it.strip_prefix('-'));
    let date = rest.map(|it| it.strip_prefix("doctor-").unwrap_or(it)).and_then(|it| it.split('-').next());
    date.is_some_and(|it| it.len() == 8 && it.bytes().all(|it| it.is_ascii_digit()))
}

fn fact(role: Role, path: PathBuf) -> Option<Fact> {
    let about = fs::metadata(&path).ok()?;
    let is_link = path.symlink_metadata().is_ok_and(|it| it.is_symlink());
    Some(Fact { role, path, mode: about.mode() & 0o7777, owner: about.uid(), is_link, secrets: Vec::new() })
}

/// The path, and what is directly in it where it is a folder.
fn within(path: &Path) -> Vec<PathBuf> {
    std::iter::once(path.to_path_buf()).chain(list(path)).collect()
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|it| it.path()).take(MOST).collect();
    found.sort();
    found
}

/// The files that a config names in `$include`, wherever it stands.
fn included(document: &Document) -> Vec<PathBuf> {
    let folder = document.path().parent().unwrap_or(Path::new("/"));
    let mut found = Vec::new();
    collect(document.value(), &mut |it| found.push(folder.join(it)));
    found
}

fn collect(value: &Value, tell: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(object) => {
            for (key, it) in object {
                match (key.as_str(), it) {
                    ("$include", Value::String(path)) => tell(path),
                    ("$include", Value::Array(paths)) => {
                        paths.iter().filter_map(Value::as_str).for_each(&mut *tell)
                    }
                    _ => collect(it, tell),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| collect(it, tell)),
        _ => {}
    }
}

/// The names of the variables in a unit that hold a secret.
fn secrets_in(unit: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|it| it.trim().strip_prefix("Environment="));
    let pairs = lines.flat_map(crate::doctor::words);
    let named = pairs.filter_map(|it| {
        let (name, value) = it.split_once('=')?;
        let is_secret = profile::document::is_secret(name) && !value.trim().is_empty();
        is_secret.then(|| name.to_owned())
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_searched_for_secrets_by_their_names() {
        for (unit, expected) in [
            ("[Service]\nEnvironment=PATH=/bin OPENCLAW_GATEWAY_TOKEN=abc", "OPENCLAW_GATEWAY_TOKEN"),
            ("Environment=\"OPENAI_API_KEY=sk 1\"\nEnvironment=HOME=/x", "OPENAI_API_KEY"),
            ("Environment=OPENCLAW_GATEWAY_TOKEN=\nEnvironmentFile=/x/keys.env", ""),
        ] {
            assert_eq!(secrets_in(unit).join(" "), expected, "{unit}");
        }
    }

    #[test]
    fn a_snapshot_belongs_to_whose_whole_name_it_has() {
        for (file, expected) in [
            ("main-20261122-213000.tar.gz", true),
            ("main-doctor-20261122-213000-2.tar.gz", true),
            ("main-2-20261122-213000.tar.gz", false),
            ("work-20261122-213000.tar.gz", false),
        ] {
            assert_eq!(is_snapshot_of("main", file), expected, "{file}");
        }
    }

    #[test]
    fn includes_are_found_wherever_they_stand() {
        let text = "{$include: './a.json5', agents: {$include: ['b.json5', '/c.json5']}}";
        let document = Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5");
        let found = included(&document);
        assert_eq!(found, [PathBuf::from("/x/./a.json5"), "/x/b.json5".into(), "/c.json5".into()]);
    }
}
