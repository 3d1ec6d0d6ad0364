//! Gateways of the original that run on this host: found on the ports that instances plan with.

use std::collections::BTreeSet;
use std::path::PathBuf;

use profile::listener::{self, Listener};
use profile::ports::{DEFAULT_BASE, DEV_BASE};
use profile::registry::Host;
use profile::{Ambient, Instance};

use super::{Kind, Known, Seen, State, blank};
use crate::process;
use crate::service::Service;

/// Adds a row for each gateway of the original. One that runs in the folder of a row that is there takes that row.
pub(super) fn add_originals(seen: &mut Vec<Seen>, host: &Host, ambient: &Ambient) {
    // Who listens is found by looking through all processes: not for the ports that ours listen on by themselves.
    let running = |it: &Seen| it.pid.and(it.port);
    let own: BTreeSet<u16> = seen.iter().filter_map(running).collect();
    let ours: BTreeSet<u32> = seen.iter().filter_map(|it| it.pid).collect();
    let planned = seen.iter().filter_map(|it| it.port).chain([DEFAULT_BASE, DEV_BASE]);
    let planned: BTreeSet<u16> = planned.filter(|it| !own.contains(it)).collect();
    for port in planned.into_iter().filter(|it| listener::is_bound(*it)) {
        let Some(listener) = listener::who(port) else { continue };
        let Some(pid) = listener.pid.filter(|it| !ours.contains(it)) else { continue };
        if is_original(&process::command_line(pid), listener.program.as_deref()) {
            add(seen, port, &listener, host, ambient);
        }
    }
}

/// The original runs on Node and names itself after its work.
pub(super) fn is_original(command_line: &str, program: Option<&str>) -> bool {
    let named = command_line.starts_with("openclaw-gateway") || command_line.starts_with("openclaw ");
    let on_node = program.is_some_and(|it| it.rsplit('/').next().is_some_and(|it| it.starts_with("node")));
    named || (on_node && command_line.contains("openclaw"))
}

pub(super) fn add(seen: &mut Vec<Seen>, port: u16, listener: &Listener, host: &Host, ambient: &Ambient) {
    let pid = listener.pid.unwrap_or_default();
    let folder = folder_of(pid);
    let here = |it: &&mut Seen| folder.as_ref() == Some(&it.folder) && it.pid.is_none();
    let note = format!("run by the original: {listener}");
    let row = match seen.iter_mut().find(here) {
        Some(row) => row,
        None => {
            let folder = folder.unwrap_or_default();
            let config = folder.join("openclaw.json");
            let name = format!("original-{port}");
            let instance = Instance::at(host.clone(), name, None, folder, config);
            let mut row = blank(&Known { instance, record: None }, ambient);
            row.service = Service::None;
            seen.push(row);
            seen.last_mut().expect("just added")
        }
    };
    row.kind = Kind::Original;
    // That it listens is all that can be said without its token.
    row.state = State::Ready;
    row.port = Some(port);
    row.pid = Some(pid);
    row.pss_bytes = process::pss(pid);
    row.version = None;
    row.findings = vec![note];
}

/// The state folder of a process of the original, by the environment that it was given.
fn folder_of(pid: u32) -> Option<PathBuf> {
    if let Some(it) = process::variable(pid, "OPENCLAW_STATE_DIR") {
        return Some(it.into());
    }
    let home = PathBuf::from(process::variable(pid, "HOME")?);
    let profile = process::variable(pid, "OPENCLAW_PROFILE").filter(|it| !it.is_empty() && it != "default");
    Some(home.join(profile.map_or_else(|| ".openclaw".to_owned(), |it| format!(".openclaw-{it}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_is_told_from_other_programs() {
        let node = Some("/usr/bin/node");
        for (line, program, expected) in [
            ("openclaw-gateway", node, true),
            ("node /usr/lib/node_modules/openclaw/openclaw.mjs gateway", node, true),
            ("node server.js", node, false),
            ("/usr/bin/openclaw --profile a gateway run", Some("/usr/bin/openclaw"), false),
            ("python3 -m http.server", Some("/usr/bin/python3.11"), false),
        ] {
            assert_eq!(is_original(line, program), expected, "{line}");
        }
    }
}
