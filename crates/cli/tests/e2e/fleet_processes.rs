//! `fleet start`, `stop`, `restart`: gateways that live on by themselves, several at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Output, tree};

use crate::fleet_scene::{Fleet, signal};
use crate::scene::write;
use crate::support::{text, wait_gone};

/// The row of an instance in what a command printed with `--json`.
#[track_caller]
fn row<'a>(said: &'a Value, name: &str) -> &'a Value {
    let rows = said["instances"].as_array().expect("instances");
    rows.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {said:#}"))
}

#[track_caller]
fn pid(row: &Value) -> u32 {
    row["result"]["pid"].as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or_else(|| panic!("{row:#}"))
}

/// The instance answers, as this process.
#[track_caller]
fn check_answers(fleet: &Fleet, name: &str, pid: u32) {
    let health = fleet.ask(name, &["health", "--json"]).success().json();
    assert_eq!((&health["instance"]["name"], &health["instance"]["pid"]), (&json!(name), &json!(pid)));
}

#[track_caller]
fn check_stopped(fleet: &Fleet, names: &[&str]) {
    let listing = fleet.ls();
    for name in names {
        listing.check(name, &json!({"state": "stopped", "pid": null}));
    }
}

#[test]
fn all_are_started_at_once_and_those_that_run_are_left_alone() {
    let fleet = Fleet::of(&["a", "b", "c", "broken"]);
    fleet.configure("broken", |it| it["gateway"]["port"] = json!("many"));
    let b = fleet.start("b");
    let output = fleet.run(&["start", "--all", "--json"]).code(78);
    let said = output.json();
    assert_eq!(said["ok"], false, "{said:#}");
    for name in ["a", "c"] {
        let it = row(&said, name);
        assert_eq!((&it["ok"], &it["result"]["was"]), (&json!(true), &json!("now")), "{it:#}");
        assert!(it["result"]["ms"].is_u64(), "{it:#}");
        check_answers(&fleet, name, pid(it));
    }
    let it = row(&said, "b");
    assert_eq!((&it["result"]["was"], pid(it)), (&json!("already"), b.pid()), "{it:#}");
    let it = row(&said, "broken");
    let says = |it: &Value, words: &str| assert!(it.as_str().is_some_and(|it| it.contains(words)), "{it}");
    says(&it["error"], "it did not start: the config file ");
    says(&it["details"][0], "gateway.port: ");
    says(&it["hints"][0], "openclaw --profile broken setup");
    // As one would have seen it who started it by hand.
    let stderr = &output.stderr;
    assert_eq!(stderr.matches("instance broken: ").count(), 1, "{output}");
    assert!(stderr.contains("gateway.port: ") && stderr.contains("\n  → correct it there"), "{output}");

    // Once more nothing happens, and a person is told so.
    let again = fleet.run(&["start", "a", "c"]).success().stdout;
    assert_eq!(again.matches(": runs already (pid ").count(), 2, "{again}");

    let output = fleet.run(&["stop", "--all", "--json"]).success();
    let said = output.json();
    let was = ["a", "b", "c", "broken"].map(|it| row(&said, it)["result"]["was"].as_str());
    assert_eq!(was, [Some("now"), Some("now"), Some("now"), Some("already")], "{output}");
    check_stopped(&fleet, &["a", "b", "c"]);
    let claims = tree::hash(&fleet.sandbox.host().join("claims"));
    assert!(claims.is_empty(), "claims are left: {claims:?}");
}

#[test]
fn one_that_does_not_run_is_stopped_without_a_word_of_complaint() {
    let fleet = Fleet::of(&["a", "b"]);
    fleet.run_once("a");
    let before = tree::hash(&fleet.sandbox.path().join("home"));
    let output = fleet.run(&["stop", "a", "b"]).success();
    assert_eq!(output.stdout, "a: does not run\nb: does not run\n", "{output}");
    assert_eq!(tree::hash(&fleet.sandbox.path().join("home")), before);
}

#[test]
fn a_restart_is_another_process_of_the_same_instance() {
    let fleet = Fleet::of(&["a", "b", "c"]);
    let started = fleet.run(&["start", "a", "b", "--json"]).success().json();
    let before = ["a", "b"].map(|it| pid(row(&started, it)));
    let again = fleet.run(&["restart", "--all", "--json"]).success().json();
    for (name, old) in ["a", "b"].iter().zip(before) {
        let new = pid(row(&again, name));
        assert_ne!(new, old, "{name}");
        wait_gone(old);
        check_answers(&fleet, name, new);
    }
    // Who did not run does so now.
    check_answers(&fleet, "c", pid(row(&again, "c")));
    let _ = fleet.run(&["stop", "--all"]).success();
    check_stopped(&fleet, &["a", "b", "c"]);
}

/// The end of one is its own: the others run through.
#[test]
fn a_restart_that_fails_says_why_and_the_rest_are_restarted() {
    let fleet = Fleet::of(&["a", "b", "c"]);
    let started = fleet.run(&["start", "--all", "--json"]).success().json();
    write(&fleet.config("b"), "{ gateway: ");
    let output = fleet.run(&["restart", "--all", "--json"]).code(78);
    let said = output.json();
    // What could not start again was not stopped.
    check_answers(&fleet, "b", pid(row(&started, "b")));
    assert!(output.stderr.contains("instance b: ") && output.stderr.contains("does not parse"), "{output}");
    for name in ["a", "c"] {
        let new = pid(row(&said, name));
        assert_ne!(new, pid(row(&started, name)));
        check_answers(&fleet, name, new);
    }
}

/// The number of the session that a process belongs to, and of its group.
fn session(pid: u32) -> (u32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(") ").expect("the name ends");
    let fields: Vec<u32> = rest.split(' ').skip(2).take(2).filter_map(|it| it.parse().ok()).collect();
    (fields[1], fields[0])
}

fn stream(pid: u32, number: u8) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("it is open")
}

#[test]
fn what_was_started_outlives_the_command_and_its_terminal() {
    let fleet = Fleet::of(&["a", "b"]);
    let ours = fleet.sandbox.command(&[]);
    let program = text(Path::new(ours.get_program())).to_owned();
    let mut command = Command::new("script");
    command.args(["-qec", &format!("'{program}' fleet start --all"), "/dev/null"]);
    command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(fleet.sandbox.path().join("cwd"));
    let output = Output::of_with(command, "").success();
    assert_eq!(output.stdout.matches(": ready (pid ").count(), 2, "{output}");
    // The terminal is gone, and whoever was on it was told so by the kernel.
    let listing = fleet.ls();
    for name in ["a", "b"] {
        let pid = listing.of(name)["pid"].as_u64().and_then(|it| u32::try_from(it).ok()).expect("it runs");
        assert_eq!(session(pid), (pid, pid), "{name} leads a session and a group of its own");
        for number in 0..=2 {
            assert_eq!(stream(pid, number), Path::new("/dev/null"), "stream {number} of {name}");
        }
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).expect("it runs");
        assert_eq!(folder, Path::new("/"), "no folder is kept busy");
        check_answers(&fleet, name, pid);
        let log = fs::read_to_string(fleet.state(name).join("logs/gateway.log")).expect("a log");
        assert!(log.contains("listening on ws://127.0.0.1:"), "{log}");
    }
}

/// A gateway that the kernel keeps from running cannot be asked to stop. That takes as long as a stop may take, so
/// here it is let go on in time: what is asked of it, it does.
#[test]
fn a_suspended_gateway_goes_on_to_its_end_when_it_is_stopped() {
    let fleet = Fleet::of(&["a"]);
    let started = fleet.run(&["start", "a", "--json"]).success().json();
    let pid = pid(row(&started, "a"));
    signal(pid, Signal::STOP);
    let output = fleet.run(&["stop", "a"]).success();
    assert!(output.stdout.contains(&format!("a: stopped (pid {pid}, ")), "{output}");
    check_stopped(&fleet, &["a"]);
}

#[test]
fn an_instance_with_a_unit_of_its_own_is_left_to_its_supervisor() {
    let fleet = Fleet::of(&["a", "b"]);
    let units = fleet.sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(&units).expect("the home is writable");
    let draft = fleet.ask("a", &["gateway", "install", "--dry-run", "--json"]).success().json();
    write(&units.join("openclaw-gateway-a.service"), draft["text"].as_str().expect("a text"));
    // One that has its name and starts something else does not stand in its way.
    write(&units.join("openclaw-gateway-b.service"), "[Service]\nExecStart=/bin/true\n");
    let output = fleet.run(&["start", "--all"]).code(64);
    assert!(output.stderr.contains("systemctl --user start openclaw-gateway-a.service"), "{output}");
    assert!(output.stdout.contains("b: ready (pid "), "{output}");
    check_stopped(&fleet, &["a"]);
}
