//! Several instances on ports of their own, and what `fleet` says of them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use testkit::{Base, Gateway, Output, Sandbox, free_base};

use crate::scene::configure;
use crate::support::offline;

/// The program of a gateway.
const BINARY: &str = env!("CARGO_BIN_EXE_openclaw");
/// What is kept between two bases.
pub(crate) const SPACING: u16 = 20;
/// How many instances have room on what one base claims for a test.
const ROOM: u16 = 10;

/// A home with instances that can be started as they are. All that is left of them is killed in the end, also what
/// outlives the command that started it.
pub(crate) struct Fleet {
    pub(crate) sandbox: Sandbox,
    names: Vec<String>,
    bases: Vec<Base>,
}

/// What `fleet ls --json` said.
#[derive(Debug)]
pub(crate) struct Listing(pub(crate) Value);

impl Fleet {
    /// Writes a config for each of these profiles; nobody has run yet.
    #[track_caller]
    pub(crate) fn of(names: &[&str]) -> Fleet {
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let bases = (0..=names.len() / usize::from(ROOM)).map(|_| free_base()).collect();
        let fleet = Fleet { sandbox: offline(), names, bases };
        for name in &fleet.names {
            fleet.configure(name, |_| {});
        }
        fleet
    }

    /// Writes the config of an instance anew.
    #[track_caller]
    pub(crate) fn configure(&self, name: &str, change: impl FnOnce(&mut Value)) {
        configure(&self.sandbox, name, "http://127.0.0.1:1/v1", |it| {
            it["gateway"]["port"] = json!(self.port(name));
            change(it);
        });
    }

    /// The base port of an instance.
    #[track_caller]
    pub(crate) fn port(&self, name: &str) -> u16 {
        self.place(self.names.iter().position(|it| it == name).expect("one of this fleet"))
    }

    /// A base port that none of the instances has, and none is near.
    #[track_caller]
    pub(crate) fn spare(&self, at: usize) -> u16 {
        self.place(self.names.len() + at)
    }

    fn place(&self, at: usize) -> u16 {
        let room = usize::from(ROOM);
        let base = self.bases.get(at / room).expect("there is room for one more than asked for");
        base.port() + u16::try_from(at % room).expect("below ten") * SPACING
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.sandbox.state(Some(name))
    }

    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.state(name).join("openclaw.json")
    }

    /// `openclaw fleet <words>`.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.sandbox.run(&[&["fleet"], words].concat())
    }

    /// `openclaw --profile <name> <words>`.
    #[track_caller]
    pub(crate) fn ask(&self, name: &str, words: &[&str]) -> Output {
        self.sandbox.run(&[&["--profile", name], words].concat())
    }

    /// Starts a gateway as a child of this test.
    #[track_caller]
    pub(crate) fn start(&self, name: &str) -> Gateway {
        self.start_on(name, self.port(name))
    }

    /// As [`Fleet::start`], on another port than the config's.
    #[track_caller]
    pub(crate) fn start_on(&self, name: &str, port: u16) -> Gateway {
        self.sandbox.start(&["--profile", name], port)
    }

    /// Starts a gateway and stops it: it has run once.
    #[track_caller]
    pub(crate) fn run_once(&self, name: &str) {
        assert_eq!(self.start(name).stop(), 0);
    }

    #[track_caller]
    pub(crate) fn ls(&self) -> Listing {
        Listing(self.run(&["ls", "--json"]).success().json())
    }
}

impl Listing {
    /// The row of an instance, which must be the only one of this name.
    #[track_caller]
    pub(crate) fn of(&self, name: &str) -> &Value {
        let rows = self.0["instances"].as_array().expect("instances");
        let found: Vec<_> = rows.iter().filter(|it| it["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} in {:#}", self.0);
        found[0]
    }

    /// The row says this; what is not named may be anything.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, expected: &Value) {
        let row = self.of(name);
        for (key, value) in expected.as_object().expect("keys and values") {
            assert_eq!(&row[key], value, "{key} of {row:#}");
        }
    }

    /// The row is in this state, and one of its findings has all these words.
    #[track_caller]
    pub(crate) fn check_found(&self, name: &str, state: &str, words: &[&str]) {
        let row = self.of(name);
        assert_eq!(row["state"], state, "{row:#}");
        let findings = row["findings"].as_array().expect("findings");
        let told = |it: &Value| it.as_str().is_some_and(|it| words.iter().all(|word| it.contains(word)));
        assert!(findings.iter().any(told), "{words:?} in {row:#}");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let listed = Output::of(self.sandbox.command(&["fleet", "ls", "--json"]));
        let Ok(listed) = serde_json::from_str::<Value>(&listed.stdout) else { return };
        let rows = listed["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|it| it["pid"].as_i64()).for_each(|it| drop(Left(it)));
    }
}

/// A gateway that outlives the command that started it, killed with this value.
pub(crate) struct Left(pub(crate) i64);

impl Drop for Left {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let Some(Ok(process)) = pid.map(|it| pidfd_open(it, PidfdFlags::empty())) else { return };
        // Looked at after it was opened: it is a gateway, and not who has its number since, or this test.
        if fs::read_link(format!("/proc/{}/exe", self.0)).is_ok_and(|it| it == Path::new(BINARY)) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// Sends a signal to a process of ours.
#[track_caller]
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("small")).expect("not zero");
    kill_process(pid, signal).expect("it runs");
}
