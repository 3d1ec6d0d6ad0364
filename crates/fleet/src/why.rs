//! Why an instance is as it is: how it ended, what its supervisor says, which config it has, what went wrong last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use profile::document::{self, Change, Document};
use profile::ledger::{self, Ended, How};
use profile::registry::Host;
use profile::{Ambient, Instance, claims, generations};
use serde::Serialize;

use crate::look::{self, Known, Seen, State};
use crate::service;

/// How much of the log's end is searched, in bytes.
const TAIL: u64 = 256 * 1024;
/// How many of the last lines that tell of trouble are shown.
const ERRORS: usize = 8;
/// What is asked of the supervisor.
const PROPERTIES: &str = "ActiveState,SubState,Result,ExecMainStatus,NRestarts,StateChangeTimestamp";

/// All that explains an instance's state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// How it is now.
    pub seen: Seen,
    /// How it ended last, of which it may have been started since.
    pub ended: Option<Ended>,
    /// How often it was cut off since it was last stopped in order.
    pub cut_offs: u32,
    /// Why its last refused start was refused.
    pub refused: Option<Ended>,
    /// What the supervisor says of its unit, `name=value` each; empty where it has none.
    pub supervisor: Vec<String>,
    /// Its config.
    pub config: Config,
    /// The last lines of its log that tell of trouble, oldest first.
    pub errors: Vec<String>,
    /// The log.
    pub log: PathBuf,
    /// What to do next, a command each.
    pub next: Vec<String>,
}

/// The config on disk beside the one that was accepted last.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What keeps it from being read; empty where it parses.
    pub problem: Option<String>,
    /// The last accepted generation.
    pub generation: Option<u64>,
    /// Unix milliseconds of its acceptance.
    pub accepted_at: Option<u64>,
    /// What the file says otherwise.
    pub changes: Vec<Change>,
}

/// Finds out.
pub fn why(host: &Host, ambient: &Ambient, known: &Known) -> Why {
    let instance = &known.instance;
    let seen = look::some(host, ambient, std::slice::from_ref(known)).remove(0);
    let supervisor = seen.service.unit().map(|_| supervisor(instance, ambient)).unwrap_or_default();
    let log = instance.state_dir.join("logs/gateway.log");
    let (ended, cut_offs) = last_end(instance);
    let mut why = Why {
        ended,
        cut_offs,
        refused: host.refusal(&instance.state_dir),
        supervisor,
        config: config(instance),
        errors: troubles(&log),
        seen,
        log,
        next: Vec::new(),
    };
    if is_no_database(&instance.state_dir.join(store::FILE)) {
        why.seen.findings.push(format!("{} is damaged or no database", store::FILE));
    }
    why.next = next(instance, &why);
    why
}

/// How it ended last, and how often it was cut off in a row. A cut off that nobody has noted yet has left its lock's
/// file.
fn last_end(instance: &Instance) -> (Option<Ended>, u32) {
    let noted = ledger::read(&instance.state_dir);
    let left =
        claims::holder_of(&instance.state_dir).filter(|_| claims::holder_now(&instance.state_dir).is_none());
    match left {
        None => (noted.ended, noted.cut_offs),
        Some(it) => {
            let detail = "it was killed, or the power failed".to_owned();
            let ended = Ended { at: it.since, how: How::CutOff, detail, pid: it.pid };
            (Some(ended), noted.cut_offs.saturating_add(1))
        }
    }
}

/// Whether there is a file that does not begin as a database does.
fn is_no_database(path: &Path) -> bool {
    let mut head = [0; 16];
    match File::open(path).and_then(|mut it| it.read_exact(&mut head)) {
        Ok(()) => head != *b"SQLite format 3\0",
        Err(error) => {
            error.kind() == std::io::ErrorKind::UnexpectedEof && path.metadata().is_ok_and(|it| it.len() > 0)
        }
    }
}

/// What to do about what was found, the likeliest first.
fn next(instance: &Instance, why: &Why) -> Vec<String> {
    let (command, name) = (instance.command(), &instance.name);
    let mut found = Vec::new();
    let findings = why.seen.findings.join("; ");
    let is_down = why.seen.pid.is_none();
    if findings.contains("safe mode") {
        found.push(format!("openclaw fleet restart {name}"));
    }
    if why.seen.state == State::Deaf {
        found.push(format!("openclaw fleet restart {name}"));
        found.push(format!("openclaw fleet stop {name} --force"));
    }
    if why.config.problem.is_some() || findings.contains("is not in force") {
        found.push(format!("{command} config validate"));
        if why.config.generation.is_some() {
            found.push(format!("{command} config rollback"));
        }
    }
    if findings.contains("database") {
        found.push(format!("{command} doctor --deep"));
        found.push("openclaw fleet restore SNAPSHOT".to_owned());
    }
    if is_down && why.refused.as_ref().is_some_and(|it| it.detail.contains("is taken by")) {
        found.push(format!("{command} config set gateway.port PORT"));
    }
    if why.cut_offs > 1 {
        found.push(format!("{command} logs"));
        found.push(format!("{command} gateway start --safe"));
    }
    if found.is_empty() && is_down {
        found.push(format!("openclaw fleet start {name}"));
    }
    found
}

fn config(instance: &Instance) -> Config {
    let last = generations::last(&instance.state_dir);
    let on_disk = Document::load(&instance.config_path);
    let accepted = last.as_ref().and_then(|it| Document::parse(&it.path, it.text().ok()?).ok());
    let changes = match (&accepted, &on_disk) {
        (Some(before), Ok(after)) => document::changes(before.value(), after.value()),
        _ => Vec::new(),
    };
    Config {
        path: instance.config_path.clone(),
        problem: on_disk.err().map(|it| base::text::chain(&it)),
        generation: last.as_ref().map(|it| it.number),
        accepted_at: last.map(|it| it.at),
        changes,
    }
}

/// What systemd says of the unit; a line that says why it says nothing.
fn supervisor(instance: &Instance, ambient: &Ambient) -> Vec<String> {
    let mut command = Command::new("systemctl");
    let unit = service::of(instance, ambient);
    if unit.unit().is_none_or(|it| service::scope(it) == service::systemd::Scope::User) {
        command.arg("--user");
    }
    command.args(["show", &instance.unit(), "--property", PROPERTIES]);
    command.env_clear().envs(ambient.supervisor()).stdin(Stdio::null());
    match command.output() {
        Ok(it) if it.status.success() => {
            String::from_utf8_lossy(&it.stdout).lines().map(str::to_owned).collect()
        }
        Ok(it) => vec![base::text::line(&String::from_utf8_lossy(&it.stderr), 200)],
        Err(error) => vec![format!("systemctl cannot be asked: {error}")],
    }
}

fn troubles(log: &Path) -> Vec<String> {
    let text = tail(log, TAIL).unwrap_or_default();
    let told = |it: &&str| it.contains("] error: ") || it.contains("] warning: ");
    let mut found: Vec<String> =
        text.lines().rev().filter(told).take(ERRORS).map(|it| base::text::line(it, 400)).collect();
    found.reverse();
    found
}

/// The end of a file, from a line's begin on.
pub(crate) fn tail(path: &Path, most: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let cut = size > most;
    Ok(if cut { text.split_once('\n').map_or_else(String::new, |it| it.1.to_owned()) } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::file;

    #[test]
    fn the_end_of_a_log_is_searched_for_trouble() {
        let home = tempfile::tempdir().expect("a folder");
        let log = home.path().join("gateway.log");
        assert!(troubles(&log).is_empty());
        let lines: Vec<String> = (0..20)
            .flat_map(|it| {
                [
                    format!("t{it} [gateway] warning: w{it}"),
                    format!("t{it} [gateway] turn answered error: no"),
                ]
            })
            .collect();
        file::replace(&log, (lines.join("\n") + "\n").as_bytes()).expect("written");
        let found = troubles(&log);
        assert_eq!((found.len(), found[0].as_str()), (ERRORS, "t12 [gateway] warning: w12"));
        assert_eq!(tail(&log, 30).expect("read").lines().count(), 0, "a part of a line is none");
    }

    #[test]
    fn a_config_that_was_changed_since_it_was_accepted_is_told_key_by_key() {
        let home = tempfile::tempdir().expect("a folder");
        let text = home.path().display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home.path());
        let instance = Instance::of_profile(&ambient, None).expect("resolves");
        file::private_folder(&instance.state_dir).expect("made");
        generations::accept(&instance.state_dir, "{gateway: {port: 1, auth: {token: 'a'}}}").expect("kept");
        let now = b"{gateway: {port: 2, auth: {token: 'b'}}, tools: {deny: ['exec']}}";
        file::replace(&instance.config_path, now).expect("written");
        let found = config(&instance);
        let told: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["gateway.auth.token: *** → ***", "gateway.port: 1 → 2", "tools.deny: not set → [\"exec\"]"]
        );
        file::replace(&instance.config_path, b"{gateway: ").expect("written");
        assert!(config(&instance).problem.is_some_and(|it| it.contains("does not parse")));
    }
}
