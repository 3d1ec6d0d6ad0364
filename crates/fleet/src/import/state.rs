//! What else is in the original's state folder. Every name there has a row, so that nothing is lost in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use profile::Document;
use serde_json::Value;

use super::database::Database;
use super::report::{Finding, Kind, count};
use super::{CHANNELS, Source, Target, config, copy};

/// The most bytes of a list that is read to be counted.
const LARGEST: u64 = 16 * 1024 * 1024;
/// What has rows elsewhere, and what is nothing by itself.
const SILENT: [&str; 13] = [
    "exec-approvals.sock",
    "openclaw.json",
    "agents",
    "credentials",
    "state",
    "tmp",
    "logs",
    "cache",
    "config-journal-fingerprint.key",
    "restart-sentinel.json",
    "update-check.json",
    "migration",
    "service-env",
];
/// What our own gateway keeps there.
const OURS: [&str; 7] = [
    "gateway.sqlite",
    "gateway.sqlite-wal",
    "gateway.sqlite-shm",
    "gateway.lock",
    "keys.env",
    "control.sock",
    "identity.json",
];
/// Files of `credentials` that are about a channel, by their ends.
const ABOUT_CHANNELS: [&str; 2] = ["-allowFrom.json", "-pairing.json"];

/// What stays, by its name in the state folder.
const PLACES: &[(&str, Kind, &str, &str)] = &[
    (
        "browser",
        Kind::Browser,
        "browser profile",
        "there is no browser here yet; its logins stay where they are",
    ),
    ("media", Kind::Media, "media file", "belongs to the channels that it came in by"),
    (
        "memory",
        Kind::Memory,
        "search index file",
        "it is made out of the notes, which come with the workspace",
    ),
    ("extensions", Kind::Plugins, "plugin", "plugins of the original do not run here"),
    ("plugins", Kind::Plugins, "plugin", "plugins of the original do not run here"),
    ("plugin-skills", Kind::Plugins, "plugin skill", "plugins of the original do not run here"),
    ("hooks", Kind::Plugins, "hook", "hooks of the original do not run here"),
    ("sandbox", Kind::Other, "sandbox record", "there are no sandboxes here yet"),
    ("sandboxes", Kind::Other, "sandbox", "there are no sandboxes here yet"),
    ("canvas", Kind::Other, "canvas file", "there is no canvas here yet"),
    ("exec-approvals.json", Kind::Other, "command approval list", "commands are allowed anew here"),
];

const NO_CRON: &str = "jobs by the clock are not run here yet";
const NO_DEVICES: &str = "a device is paired with one gateway: pair it again";
const NO_IDENTITY: &str = "a gateway presents itself with a key of its own";

/// The rows of everything but config, keys and conversations.
pub(super) fn rows(
    source: &Source<'_>,
    target: &Target<'_>,
    document: Option<&Document>,
    shared: Option<&Database>,
) -> Vec<Finding> {
    let folder = &source.instance.state_dir;
    let mut rows = workspace(source, target, document);
    channels(folder, document, shared, &mut rows);
    let mut stays = |kind, number: u64, one: &str, why: &str| {
        if number > 0 {
            rows.push(Finding::stays(kind, count(number, one), why));
        }
    };
    let in_database = |tables: &[&'static str]| {
        tables.iter().map(|it| shared.map_or(0, |database| database.count(it))).sum::<u64>()
    };
    let jobs = entries(&folder.join("cron/jobs.json"), Some("jobs")) + in_database(&["cron_jobs"]);
    stays(Kind::Cron, jobs, "job", NO_CRON);
    let paired =
        entries(&folder.join("devices/paired.json"), None) + entries(&folder.join("nodes/paired.json"), None);
    let paired = paired + in_database(&["device_pairing_paired"]);
    stays(Kind::Devices, paired, "paired device", NO_DEVICES);
    let identity = u64::from(folder.join("identity").is_dir()).max(in_database(&["device_identities"]));
    stays(Kind::Identity, identity, "device key", NO_IDENTITY);
    let secrets = in_database(&["secret_store_entries"]);
    stays(Kind::Keys, secrets, "secret store entry", "set what is needed in .env");
    let state = in_database(&["plugin_state_entries", "plugin_blob_entries"]);
    stays(Kind::Plugins, state, "plugin entry", "plugins of the original do not run here");
    let grants =
        u64::from(folder.join("credentials/oauth.json").is_file()) + in_database(&["mcp_oauth_stores"]);
    stays(Kind::Grant, grants, "OAuth grant", "a grant belongs to one program: log in again");
    places(source, target, &mut rows);
    rows
}

fn workspace(source: &Source<'_>, target: &Target<'_>, document: Option<&Document>) -> Vec<Finding> {
    let Some(path) = config::workspace(source, document).filter(|it| it.is_dir()) else { return Vec::new() };
    let amount = copy::measure(&path);
    let what = format!("{} in {}", count(amount.files, "file"), source.ambient.short(&path));
    let is_named = document.is_some_and(|it| it.get("agents.defaults.workspace").is_some());
    match target {
        Target::InPlace if is_named || path == source.instance.workspace => {
            vec![Finding::comes(Kind::Workspace, format!("{what}, read where they are"))]
        }
        Target::InPlace => {
            let why = format!(
                "looked for in {}: name the folder as agents.defaults.workspace in the config",
                source.ambient.short(&source.instance.workspace)
            );
            vec![Finding::stays(Kind::Workspace, what, why)]
        }
        Target::Other { .. } => {
            let mut rows = vec![Finding::comes(Kind::Workspace, what)];
            if amount.left > 0 {
                let why = "larger than 64 MiB, no plain file, or a link that leads out of the folder";
                rows.push(Finding::stays(Kind::Workspace, count(amount.left, "thing"), why));
            }
            rows
        }
    }
}

/// A row for each channel, by the config, the files of its logins, and the database.
fn channels(folder: &Path, document: Option<&Document>, shared: Option<&Database>, rows: &mut Vec<Finding>) {
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for id in document.map(config::channels).unwrap_or_default() {
        found.entry(id).or_default().insert("settings");
    }
    for (name, is_folder) in names(&folder.join("credentials")) {
        let about = ABOUT_CHANNELS.iter().find_map(|it| name.strip_suffix(it));
        match about {
            Some(id) => found.entry(id.to_owned()).or_default().insert("allowed people"),
            None if is_folder => found.entry(name).or_default().insert("logins"),
            None => continue,
        };
    }
    let paired = shared.map_or(0, |it| it.count("channel_pairing_allow_entries"));
    if paired > 0 {
        let what = count(paired, "channel permission");
        rows.push(Finding::stays(Kind::Channel, what, "there is no such channel here yet"));
    }
    for (id, parts) in found {
        let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!("{} ({parts})", base::text::line(&id, 60));
        rows.push(if CHANNELS.contains(&id.as_str()) {
            Finding::comes(Kind::Channel, what)
        } else {
            let why = "this version has no messaging channel but the built-in chat; settings and logins stay";
            Finding::stays(Kind::Channel, what, why)
        });
    }
}

/// A row for each other name in the state folder.
fn places(source: &Source<'_>, target: &Target<'_>, rows: &mut Vec<Finding>) {
    let folder = &source.instance.state_dir;
    let is_in_place = matches!(target, Target::InPlace);
    let mut others = Vec::new();
    for (name, is_folder) in names(folder) {
        let path = folder.join(&name);
        if let Some((_, kind, one, why)) = PLACES.iter().find(|(it, ..)| *it == name) {
            let number = match kind {
                Kind::Media => copy::measure(&path).files,
                _ if is_folder => names(&path).len() as u64,
                _ => 1,
            };
            if number > 0 {
                rows.push(Finding::stays(*kind, count(number, one), *why));
            }
            continue;
        }
        match name.as_str() {
            ".env" if is_in_place => {
                rows.push(Finding::comes(Kind::Keys, "variables of .env, read where they are"))
            }
            ".env" => {
                let why = "only keys of vendors are taken out of it; see their rows";
                rows.push(Finding::stays(Kind::Keys, "variables of .env", why));
            }
            "skills" if is_folder => rows.push(skills(&path, is_in_place)),
            it if is_known(it) => {}
            _ => others.push(base::text::line(&name, 60)),
        }
    }
    if !others.is_empty() {
        let what = format!("{}: {}", count(others.len() as u64, "other name"), others.join(", "));
        rows.push(Finding::stays(Kind::Other, what, "nothing here knows it; left where it is"));
    }
}

fn skills(path: &Path, is_in_place: bool) -> Finding {
    let what = count(names(path).len() as u64, "skill");
    let why =
        if is_in_place { "kept, and without effect here yet" } else { "copied, and without effect here yet" };
    Finding::stays(Kind::Skills, what, why)
}

fn is_known(name: &str) -> bool {
    let with_rows = ["cron", "devices", "nodes", "identity"];
    SILENT.contains(&name)
        || OURS.contains(&name)
        || with_rows.contains(&name)
        || name.starts_with("workspace")
        || name.starts_with("openclaw.json.")
}

/// The names in a folder, and whether each is a folder; sorted.
fn names(folder: &Path) -> Vec<(String, bool)> {
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut names: Vec<_> = entries
        .into_iter()
        .map(|it| (it.file_name().to_string_lossy().into_owned(), it.path().is_dir()))
        .collect();
    names.sort();
    names
}

/// How many entries a file's list or object has, at a key or at its top.
fn entries(path: &Path, key: Option<&str>) -> u64 {
    let is_small = fs::metadata(path).is_ok_and(|it| it.len() <= LARGEST);
    let text = if is_small { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let value: Value = serde_json::from_slice(&text).unwrap_or_default();
    let number = match key.map_or(&value, |it| &value[it]) {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    number as u64
}
