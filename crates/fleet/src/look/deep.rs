//! What a listing leaves out because it takes longer: gateways of the original on any port, and those that only a unit
//! tells of, also while they are stopped. Each row says how it was found.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use profile::listener::{self, Listener};
use profile::registry::Host;
use profile::{Ambient, Instance};

use super::strangers::{self, is_original};
use super::{Found, Kind, Known, Seen, blank};
use crate::doctor::words;
use crate::process;
use crate::service::systemd::{self, Scope};
use crate::service::{self, Service, text};

/// How units of gateways are named, by this program and by the original in its times.
const NAMES: [&str; 2] = ["openclaw-gateway", "clawdbot-gateway"];
/// Where packages put units of the machine.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

/// Every gateway of this host: all that a listing has, and what ports and units tell beside it.
pub fn deep(host: &Host, ambient: &Ambient) -> Vec<Seen> {
    let mut seen = super::all(host, ambient);
    add_listening(&mut seen, host, ambient);
    for it in &mut seen {
        it.found_by = known_by(it);
    }
    for unit in units(ambient) {
        add_unit(&mut seen, &unit, host, ambient);
    }
    seen
}

fn known_by(it: &Seen) -> Vec<Found> {
    let socket = it.kind == Kind::Original && it.pid.is_some();
    let lock = it.kind == Kind::Ours && it.pid.is_some();
    [
        (it.recorded, Found::Registry),
        (it.folder.is_dir(), Found::Folder),
        (lock, Found::Lock),
        (socket, Found::Socket),
    ]
    .into_iter()
    .filter_map(|(is_so, found)| is_so.then_some(found))
    .collect()
}

/// Processes of the original that listen, whichever the port.
fn add_listening(seen: &mut Vec<Seen>, host: &Host, ambient: &Ambient) {
    let known: Vec<u32> = seen.iter().filter_map(|it| it.pid).collect();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let theirs = pids.filter_map(|pid| {
        let line = process::command_line(pid);
        if known.contains(&pid) || !line.contains("openclaw") {
            return None;
        }
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok().map(|it| it.display().to_string());
        is_original(&line, program.as_deref()).then_some((pid, program))
    });
    let theirs: Vec<_> = theirs.collect();
    let ports = listener::ports_of(&theirs.iter().map(|it| it.0).collect::<Vec<_>>());
    for ((pid, program), ports) in theirs.into_iter().zip(ports) {
        let told = process::variable(pid, "OPENCLAW_GATEWAY_PORT").and_then(|it| it.parse().ok());
        let Some(port) = told.filter(|it| ports.contains(it)).or(ports.first().copied()) else { continue };
        let uid = fs::metadata(format!("/proc/{pid}")).map(|it| it.uid()).unwrap_or_default();
        strangers::add(seen, port, &Listener { port, pid: Some(pid), program, uid }, host, ambient);
    }
}

/// A unit's file, and what it says.
struct Unit {
    file: PathBuf,
    text: String,
}

/// The user's units of gateways, then the machine's, by name. One that the machine has in two places counts once.
fn units(ambient: &Ambient) -> Vec<Unit> {
    let own = [Scope::User, Scope::System].into_iter().filter_map(|it| systemd::folder(it, ambient));
    let mut found: Vec<Unit> = Vec::new();
    for folder in own.chain(PACKAGED.map(PathBuf::from)) {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let named = entries.filter_map(|it| it.file_name().into_string().ok());
        let mut names: Vec<_> = named.filter(|it| is_named(it)).collect();
        names.sort();
        for name in names {
            let file = folder.join(&name);
            let again = folder.starts_with("/lib") && found.iter().any(|it| it.file.ends_with(&name));
            if !again && let Ok(text) = fs::read_to_string(&file) {
                found.push(Unit { file, text });
            }
        }
    }
    found
}

fn is_named(file: &str) -> bool {
    let Some(stem) = file.strip_suffix(".service") else { return false };
    NAMES.iter().any(|it| stem.strip_prefix(it).is_some_and(|it| it.is_empty() || it.starts_with('-')))
}

fn add_unit(seen: &mut Vec<Seen>, unit: &Unit, host: &Host, ambient: &Ambient) {
    let command = unit.command();
    let program = command.first().map(String::as_str);
    let theirs = !text::is_ours(&unit.text) && is_original(&command.join(" "), program);
    if !theirs {
        if let Some(row) = seen.iter_mut().find(|it| it.service.unit() == Some(&unit.file)) {
            row.found_by.push(Found::Unit);
            return;
        }
        let file = unit.file.display();
        let row = unit.row(Kind::Ours, format!("its unit starts an instance that is not known here: {file}"));
        seen.push(row(host, ambient));
        return;
    }
    let folder = unit.folder(ambient);
    for row in seen.iter_mut().filter(|it| it.kind == Kind::Ours && it.service.unit() == Some(&unit.file)) {
        row.service = Service::None;
        row.findings.push(format!("a unit of the original has the name of its own: {}", unit.file.display()));
    }
    let at =
        seen.iter().position(|it| it.kind == Kind::Original && it.folder == folder).unwrap_or_else(|| {
            let row = unit.row(Kind::Original, "started by a unit of the original".to_owned());
            seen.push(row(host, ambient));
            seen.len() - 1
        });
    seen[at].service = unit.service();
    seen[at].found_by.push(Found::Unit);
}

impl Unit {
    fn command(&self) -> Vec<String> {
        let line = self.text.lines().find_map(|it| it.trim().strip_prefix("ExecStart="));
        line.map(words).unwrap_or_default()
    }

    fn variable(&self, name: &str) -> Option<String> {
        let lines = self.text.lines().filter_map(|it| it.trim().strip_prefix("Environment="));
        let mut all = lines.flat_map(words);
        all.find_map(|it| Some(it.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
            .filter(|it| !it.is_empty())
    }

    /// The state folder of the original that it starts.
    fn folder(&self, ambient: &Ambient) -> PathBuf {
        if let Some(it) = self.variable("OPENCLAW_STATE_DIR") {
            return it.into();
        }
        let home = self.variable("HOME").map(PathBuf::from).or_else(|| ambient.home()).unwrap_or_default();
        let profile = self.variable("OPENCLAW_PROFILE").filter(|it| it != "default");
        home.join(profile.map_or_else(|| ".openclaw".to_owned(), |it| format!(".openclaw-{it}")))
    }

    fn port(&self) -> Option<u16> {
        let command = self.command();
        let told = command.iter().position(|it| it == "--port").and_then(|at| command.get(at + 1).cloned());
        told.or_else(|| self.variable("OPENCLAW_GATEWAY_PORT"))?.parse().ok()
    }

    fn service(&self) -> Service {
        let enabled = self.file.parent().is_some_and(|folder| {
            let name = self.file.file_name().unwrap_or_default();
            service::is_enabled(folder, Path::new(name))
        });
        Service::Installed { unit: self.file.clone(), enabled }
    }

    /// A row for what nothing else tells of: it does not run.
    fn row(&self, kind: Kind, finding: String) -> impl FnOnce(&Host, &Ambient) -> Seen {
        move |host, ambient| {
            let folder = self.folder(ambient);
            let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
            let name = match (kind, self.port()) {
                (Kind::Original, Some(port)) => format!("original-{port}"),
                _ => stem.into_owned(),
            };
            let config = self
                .variable("OPENCLAW_CONFIG_PATH")
                .map_or_else(|| folder.join("openclaw.json"), PathBuf::from);
            let instance = Instance::at(host.clone(), name, None, folder, config);
            let mut row = blank(&Known { instance, record: None }, ambient);
            row.kind = kind;
            row.port = self.port();
            row.service = self.service();
            row.findings = vec![finding];
            if kind == Kind::Ours {
                row.found_by.push(Found::Unit);
            }
            row
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_tells_where_the_original_lives_and_on_which_port() {
        let ambient = Ambient::of(&[("HOME", "/home/ada")], Path::new("/"));
        for (lines, folder, port) in [
            (
                "ExecStart=node /x/openclaw/dist/index.js gateway --port 19789",
                "/home/ada/.openclaw",
                Some(19789),
            ),
            (
                "Environment=HOME=/h\nEnvironment=OPENCLAW_PROFILE=b OPENCLAW_GATEWAY_PORT=7",
                "/h/.openclaw-b",
                Some(7),
            ),
            ("Environment=\"OPENCLAW_STATE_DIR=/a b\"\nEnvironment=OPENCLAW_PROFILE=default", "/a b", None),
        ] {
            let unit = Unit { file: PathBuf::from("/x.service"), text: format!("[Service]\n{lines}\n") };
            assert_eq!((unit.folder(&ambient), unit.port()), (PathBuf::from(folder), port), "{lines}");
        }
    }

    #[test]
    fn a_unit_counts_by_its_name() {
        for (name, expected) in [
            ("openclaw-gateway.service", true),
            ("openclaw-gateway-a.service", true),
            ("clawdbot-gateway.service", true),
            ("openclaw-gatewayx.service", false),
            ("openclaw-gateway.service.bak", false),
            ("openclaw-node.service", false),
        ] {
            assert_eq!(is_named(name), expected, "{name}");
        }
    }
}
