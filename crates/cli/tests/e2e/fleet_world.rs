//! A host with several instances, made and asked by `openclaw fleet`, and one scripted model behind all of them.
#![allow(clippy::disallowed_methods, reason = "a test reads and writes the files that a person would")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::gateway::token;
use testkit::trace::STRACE;
use testkit::{Base, Output, Sandbox, ScriptedModel, Wire, free_base, tree};

use crate::scene::{KEY, Person, configure};
use crate::support::{offline, sandbox, wait_gone};

/// What a line of the conversation begins with that tells of a gateway that ended in the middle of an answer.
pub(crate) const ENDED: &str = "assistant[error]: The gateway ended ";
/// Ports between the bases of two instances.
const SPACING: u16 = 20;
/// As many instances as the ports of one base are enough for.
const ROOM: u16 = 9;

/// The calls of the system by which a command changes something, or waits for the disk between two changes.
const CHANGES: [&str; 17] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "flock",
    "fsync",
    "syncfs",
    "write",
    "ftruncate",
];

/// Dropping it kills every gateway that holds a state folder below its home.
pub(crate) struct World {
    pub(crate) model: ScriptedModel,
    pub(crate) sandbox: Sandbox,
    base: Base,
}

impl World {
    #[track_caller]
    pub(crate) fn new() -> World {
        World { model: ScriptedModel::start().key(KEY), sandbox: offline(), base: free_base() }
    }

    /// Whoever has the key of OpenAI asks the scripted model.
    #[track_caller]
    pub(crate) fn of_vendor() -> World {
        let model = ScriptedModel::start().key(KEY);
        let sandbox = sandbox().env("OPENAI_BASE_URL", model.base_url());
        World { model, sandbox, base: free_base() }
    }

    /// The base port of the instance number `nth`, 20 apart from all others.
    #[track_caller]
    pub(crate) fn port(&self, nth: u16) -> u16 {
        assert!(nth < ROOM, "the ports of one base are not enough for {nth} instances");
        self.base.port() + nth * SPACING
    }

    /// `openclaw fleet <args>`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.sandbox.command(&[&["fleet"], args].concat())
    }

    /// Runs `openclaw fleet <args>`.
    #[track_caller]
    pub(crate) fn fleet(&self, args: &[&str]) -> Output {
        Output::of(self.command(args))
    }

    /// Makes an instance with the config that the program writes, its base port being the one number `nth`.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, nth: u16) {
        let _ = self.fleet(&["create", name, "--port", &self.port(nth).to_string()]).success();
    }

    /// As [`World::create`], and its agent asks the scripted model. Its token is the one of scenes.
    #[track_caller]
    pub(crate) fn make(&self, name: &str, nth: u16) {
        self.create(name, nth);
        let port = self.port(nth);
        configure(&self.sandbox, name, &self.model.base_url(), |it| it["gateway"]["port"] = json!(port));
    }

    /// Starts its gateway. Returns the process.
    #[track_caller]
    pub(crate) fn start(&self, name: &str) -> u32 {
        let said = self.fleet(&["start", name, "--json"]).success().json();
        number(&said["instances"][0]["result"]["pid"])
    }

    #[track_caller]
    pub(crate) fn stop(&self, name: &str) {
        let _ = self.fleet(&["stop", name]).success();
    }

    /// All rows of `fleet ls`, by name.
    #[track_caller]
    pub(crate) fn ls(&self) -> BTreeMap<String, Value> {
        let listed = self.fleet(&["ls", "--json"]).success().json();
        let rows = listed["instances"].as_array().expect("a list").iter();
        let rows: Vec<_> =
            rows.map(|it| (it["name"].as_str().expect("a name").to_owned(), it.clone())).collect();
        let by_name: BTreeMap<_, _> = rows.iter().cloned().collect();
        assert_eq!(by_name.len(), rows.len(), "two of one name: {listed}");
        by_name
    }

    /// The names in `fleet ls`.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        self.ls().into_keys().collect()
    }

    /// The row of an instance.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> Value {
        let mut rows = self.ls();
        rows.remove(name).unwrap_or_else(|| panic!("no {name} among {:?}", rows.keys()))
    }

    /// What a repair did.
    #[track_caller]
    pub(crate) fn repair(&self) -> Vec<String> {
        let said = self.fleet(&["repair", "--json"]).success().json();
        assert_eq!((&said["ok"], &said["dryRun"]), (&json!(true), &json!(false)), "{said}");
        let all = said["repairs"].as_array().expect("a list").iter();
        all.map(|it| it.as_str().expect("words").to_owned()).collect()
    }

    /// There is nothing that a repair would do.
    #[track_caller]
    pub(crate) fn check_repaired(&self) {
        let said = self.fleet(&["repair", "--dry-run"]).success();
        assert_eq!(said.stdout, "", "{said}");
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.sandbox.state((name != "default").then_some(name))
    }

    /// The files of the host's records.
    pub(crate) fn records(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.sandbox.host().join("instances"));
        let entries = entries.map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let paths = entries.into_iter().map(|it| it.path());
        let mut files: Vec<PathBuf> = paths.filter(|it| !is_draft(it)).collect();
        files.sort();
        files
    }

    /// The record of an instance.
    #[track_caller]
    pub(crate) fn record(&self, name: &str) -> PathBuf {
        let says = |it: &PathBuf| {
            let text = fs::read(it).unwrap_or_default();
            serde_json::from_slice::<Value>(&text).is_ok_and(|it| it["name"] == name)
        };
        self.records().into_iter().find(says).unwrap_or_else(|| panic!("no record of {name}"))
    }

    /// Somebody who talks to the gateway of an instance.
    #[track_caller]
    pub(crate) fn person(&self, name: &str) -> Person {
        let port = u16::try_from(number(&self.row(name)["port"])).expect("a port");
        Person { wire: Wire::connect(port, &token(&self.state(name))) }
    }

    /// One message and its echo, saved.
    #[track_caller]
    pub(crate) fn chat(&self, name: &str, message: &str) {
        let mut person = self.person(name);
        let end = person.ask("main", message);
        assert_eq!(crate::scene::said(&end), format!("final: echo: {message}"), "{end}");
        // The store answers in order: what the turn had to save is saved.
        person.history("main");
    }

    /// Starts the gateway of an instance, reads its conversation, and stops it.
    #[track_caller]
    pub(crate) fn history(&self, name: &str) -> Vec<String> {
        self.start(name);
        let history = self.person(name).history("main");
        self.stop(name);
        history
    }

    /// What is beside the state folders and does not belong there.
    #[track_caller]
    pub(crate) fn staging(&self) -> Vec<String> {
        let entries = fs::read_dir(self.sandbox.home()).expect("a home").flatten();
        let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
        names.filter(|it| it.rsplit_once('.').is_some_and(|(before, _)| !before.is_empty())).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let folders = fs::read_dir(self.sandbox.home()).map(|it| it.flatten().collect::<Vec<_>>());
        for folder in folders.unwrap_or_default() {
            if let Some(pid) = holder(&folder.path().join("gateway.lock"), &self.sandbox.home()) {
                kill(pid);
            }
        }
    }
}

/// Kills a process that need not be our child, and waits until it is gone.
#[track_caller]
pub(crate) fn kill(pid: u32) {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended by itself.
    let _ = kill_process(raw, Signal::KILL);
    wait_gone(pid);
}

/// The process that holds a lock, by its own word, if it is one of ours in this home.
fn holder(lock: &Path, home: &Path) -> Option<u32> {
    let said: Value = serde_json::from_slice(&fs::read(lock).ok()?).ok()?;
    let pid = said["pid"].as_u64().and_then(|it| u32::try_from(it).ok())?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let is_here = contains(&environment, &format!("HOME={}\0", home.display()));
    (is_here && program == Path::new(env!("CARGO_BIN_EXE_openclaw"))).then_some(pid)
}

/// A number that is an id of something.
#[track_caller]
pub(crate) fn number(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|it| u32::try_from(it).ok());
    number.unwrap_or_else(|| panic!("no number: {value}"))
}

/// Runs a command again and again, each time killed in front of another call by which it would change something, and
/// at last to its end. `check` is told where it was killed, and makes the world ready for the next run.
#[track_caller]
pub(crate) fn at_every_change(command: impl Fn() -> Command, mut check: impl FnMut(&str)) {
    let mut kills = 0;
    for call in CHANGES {
        for nth in 1.. {
            let is_killed = killed_at(&command(), call, nth);
            check(&format!(
                "{}{call} number {nth}",
                if is_killed { "killed at " } else { "whole, without " }
            ));
            if !is_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > CHANGES.len() / 2, "{kills} kills: the tracer sees nothing");
}

/// Runs a command that is killed as it makes a call of the system for the `nth` time. False when it ended before.
#[track_caller]
fn killed_at(command: &Command, call: &str, nth: usize) -> bool {
    let program = std::env::var_os(STRACE).unwrap_or_else(|| "strace".into());
    let mut below = Command::new(program);
    let inject = format!("inject=?{call}:signal=SIGKILL:when={nth}");
    below.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, "--"]);
    below.arg(command.get_program()).args(command.get_args()).env_clear();
    below.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    below.current_dir(command.get_current_dir().expect("a sandbox has a folder")).stdin(Stdio::null());
    let output = Output::of(below);
    assert!([0, 137].contains(&output.status), "{call} number {nth}: {output}");
    output.status == 137
}

/// What a person has in a state folder: all of it but logs, locks and notes of the last run.
#[track_caller]
pub(crate) fn belongings(state: &Path) -> BTreeMap<PathBuf, String> {
    let mut tree = tree::hash(state);
    let passing = ["logs", "gateway.lock", "control.sock", "ledger.json", "gateway.sqlite-shm"];
    tree.retain(|path, _| !passing.iter().any(|it| path.starts_with(it)) && !is_draft(path));
    tree
}

/// Whether a file is what somebody was writing who was killed.
fn is_draft(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The files below a folder in which a text stands.
#[track_caller]
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let paths = tree::hash(folder).into_keys().map(|it| folder.join(it));
    let has = |it: &PathBuf| {
        let is_file = it.symlink_metadata().is_ok_and(|it| it.is_file());
        is_file && contains(&fs::read(it).expect("readable"), text)
    };
    paths.filter(has).collect()
}

/// Whether a text stands among these bytes.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}
