//! `fleet ls`: each instance of the host is shown as it is, whatever the others do.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Gateway, Output, Sandbox, ScriptedModel, Squatter};

use crate::fleet_scene::{Fleet, Listing, signal};
use crate::scene::{KEY, write};
use crate::support::text;

/// How long a listing may take that has somebody in it who will never answer.
const PROMPT: Duration = Duration::from_secs(5);

/// The record of an instance, which says where its folder is.
#[track_caller]
fn record(sandbox: &Sandbox, state: &Path) -> std::path::PathBuf {
    let records = fs::read_dir(sandbox.host().join("instances")).expect("there are records");
    let wanted = json!(state).to_string();
    let mut paths = records.map(|it| it.expect("readable").path());
    let found = paths.find(|it| fs::read_to_string(it).expect("readable").contains(&wanted));
    found.unwrap_or_else(|| panic!("no record of {}", state.display()))
}

/// Holds the lock of a state folder, as a gateway does before it listens.
fn hold_lock(fleet: &Fleet, name: &str) -> File {
    let state = fleet.state(name);
    let holder = json!({"instance": name, "pid": std::process::id(), "since": 1, "stateDir": state});
    write(&state.join("gateway.lock"), &holder.to_string());
    let lock = File::open(state.join("gateway.lock")).expect("it was just written");
    lock.try_lock().expect("nobody has it");
    lock
}

/// What only a process that runs has.
#[track_caller]
fn check_runs(listing: &Listing, name: &str, gateway: &Gateway) {
    let row = listing.of(name);
    assert_eq!(row["pid"], gateway.pid(), "{row:#}");
    assert!(row["pssBytes"].as_u64().is_some_and(|it| it > 1_000_000), "{row:#}");
    assert!(row["uptimeMs"].is_u64(), "{row:#}");
}

#[track_caller]
fn check_stopped(listing: &Listing, name: &str) {
    let nothing = json!({"pid": null, "pssBytes": null, "uptimeMs": null, "recorded": true, "kind": "ours"});
    listing.check(name, &nothing);
    assert_eq!(listing.of(name)["state"], "stopped");
}

#[test]
fn whatever_one_does_all_the_others_are_shown_as_they_are() {
    let fleet =
        Fleet::of(&["ready", "stopped", "changed", "deaf", "starting", "squatted", "lost", "torn", "new"]);
    let model = ScriptedModel::start().key(KEY);
    for name in ["stopped", "changed", "lost", "torn"] {
        fleet
            .configure(name, |it| it["models"]["providers"]["scripted"]["baseUrl"] = json!(model.base_url()));
        let mut gateway = fleet.start(name);
        let _ = fleet.ask(name, &["agent", "--message", "hello"]).success();
        assert_eq!(gateway.stop(), 0);
    }
    fleet.configure("changed", |it| it["logging"] = json!({"level": "debug"}));
    fs::remove_file(record(&fleet.sandbox, &fleet.state("lost"))).expect("ours");
    write(&record(&fleet.sandbox, &fleet.state("torn")), "{\"name\": \"to");
    write(&fleet.sandbox.host().join("instances/nobody.json"), "");
    let (ready, deaf) = (fleet.start("ready"), fleet.start("deaf"));
    signal(deaf.pid(), Signal::STOP);
    let _lock = hold_lock(&fleet, "starting");
    let squatter = Squatter::on(fleet.port("squatted"));
    let place = fleet.sandbox.path().join("elsewhere");
    let mut command = fleet.sandbox.command(&["gateway", "run"]);
    command.env("OPENCLAW_STATE_DIR", &place).env("OPENCLAW_CONFIG_PATH", place.join("own.json"));
    command.env("OPENCLAW_GATEWAY_PORT", fleet.spare(0).to_string());
    let elsewhere = Gateway::start(command, fleet.spare(0));

    let began = Instant::now();
    let listing = fleet.ls();
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    assert_eq!(listing.0["instances"].as_array().map(Vec::len), Some(10), "{:#}", listing.0);

    for (name, gateway) in [("ready", &ready), ("elsewhere", &elsewhere)] {
        check_runs(&listing, name, gateway);
        let well = json!({"state": "ready", "port": gateway.port(), "sessions": 0, "generation": 1,
            "configChanged": false, "findings": [], "kind": "ours", "recorded": true});
        listing.check(name, &well);
    }
    listing.check("ready", &json!({"folder": fleet.state("ready"), "profile": "ready"}));
    let own = json!({"folder": place, "configPath": place.join("own.json"), "profile": null});
    listing.check("elsewhere", &own);
    check_runs(&listing, "deaf", &deaf);
    listing.check_found("deaf", "deaf", &["SIGSTOP"]);
    listing.check("deaf", &json!({"port": fleet.port("deaf")}));
    listing.check("starting", &json!({"state": "starting", "pid": std::process::id(), "findings": []}));
    let port = fleet.port("squatted").to_string();
    listing.check_found(
        "squatted",
        "conflict",
        &[&port, "is taken by", &format!("(pid {}, ", squatter.pid())],
    );
    for (name, is_changed) in [("stopped", false), ("changed", true)] {
        check_stopped(&listing, name);
        let left = json!({"port": fleet.port(name), "sessions": 1, "generation": 1, "findings": [],
            "configChanged": is_changed, "folder": fleet.state(name)});
        listing.check(name, &left);
    }
    for name in ["lost", "torn"] {
        let seen = json!({"state": "stopped", "port": fleet.port(name), "recorded": false, "sessions": 1});
        listing.check(name, &seen);
    }
    let unborn = json!({"state": "stopped", "port": fleet.port("new"), "sessions": null, "generation": null});
    listing.check("new", &unborn);
    signal(deaf.pid(), Signal::CONT);
}

#[test]
fn a_gateway_whose_database_fails_is_degraded_and_says_why() {
    let fleet = Fleet::of(&["bad", "good"]);
    write(&fleet.state("bad").join("gateway.sqlite"), "this is no database, and too long to be an empty one");
    let (bad, _good) = (fleet.start("bad"), fleet.start("good"));
    let listing = fleet.ls();
    check_runs(&listing, "bad", &bad);
    listing.check_found("bad", "degraded", &["gateway.sqlite"]);
    listing.check("good", &json!({"state": "ready", "findings": []}));
    let said = fleet.run(&["ls"]).success().stdout;
    let is_told = |it: &str| it.starts_with("bad: ") && it.contains("gateway.sqlite");
    assert!(said.lines().any(is_told), "{said}");
}

#[test]
fn two_that_plan_with_the_same_ports_are_in_conflict_before_either_runs() {
    let fleet = Fleet::of(&["a", "b", "far"]);
    let port = fleet.port("a");
    fleet.configure("b", |it| it["gateway"]["port"] = json!(port + 2));
    let listing = fleet.ls();
    let shared = (port + 2).to_string();
    listing.check_found("a", "conflict", &["overlaps instance b", &shared]);
    listing.check_found("b", "conflict", &["overlaps instance a", &shared]);
    listing.check("far", &json!({"state": "stopped", "findings": []}));
}

/// Neither its record nor its folder's name tells of it: what it holds does.
#[test]
fn one_that_runs_in_a_folder_of_its_own_is_found_without_its_record() {
    let fleet = Fleet::of(&["a"]);
    let place = fleet.sandbox.path().join("elsewhere");
    let mut command = fleet.sandbox.command(&["gateway", "run"]);
    command.env("OPENCLAW_STATE_DIR", &place).env("OPENCLAW_CONFIG_PATH", place.join("own.json"));
    command.env("OPENCLAW_GATEWAY_PORT", fleet.spare(0).to_string());
    let mut elsewhere = Gateway::start(command, fleet.spare(0));
    fs::remove_file(record(&fleet.sandbox, &place)).expect("it was recorded");
    let listing = fleet.ls();
    check_runs(&listing, "elsewhere", &elsewhere);
    let own = json!({"folder": place, "configPath": place.join("own.json"), "recorded": false});
    listing.check("elsewhere", &own);
    assert_eq!(elsewhere.stop(), 0);
}

#[test]
fn a_stopped_one_whose_config_another_gateway_uses_is_in_conflict() {
    let fleet = Fleet::of(&["a"]);
    let config = fleet.config("a");
    let mut second = fleet.sandbox.command(&["setup"]);
    let place = fleet.sandbox.path().join("second");
    second.env("OPENCLAW_STATE_DIR", &place).env("OPENCLAW_CONFIG_PATH", &config);
    let _ = Output::of(second).success();
    let gateway = fleet.start_on("a", fleet.spare(0));
    let listing = fleet.ls();
    listing.check("a", &json!({"state": "ready", "port": fleet.spare(0)}));
    let holder = format!("is held by instance a (pid {}, since 20", gateway.pid());
    listing.check_found("second", "conflict", &["config file", text(&config), &holder]);
}

#[test]
fn of_two_with_one_messaging_login_the_second_runs_without_it() {
    const LOGIN: &str = "123456:the-secret-of-a-bot";
    let fleet = Fleet::of(&["a", "b"]);
    for name in ["a", "b"] {
        fleet.configure(name, |it| it["channels"] = json!({"telegram": {"botToken": LOGIN}}));
    }
    let mut a = fleet.start("a");
    let mut b = fleet.start("b");
    let listing = fleet.ls();
    listing.check("a", &json!({"state": "ready", "findings": []}));
    let holder = format!("is held by instance a (pid {}, since 20", a.pid());
    listing.check_found("b", "conflict", &["telegram login of account default", &holder]);
    check_runs(&listing, "b", &b);
    assert_eq!((a.stop(), b.stop()), (0, 0));
    let b = fleet.start("b");
    let listing = fleet.ls();
    listing.check("b", &json!({"state": "ready", "findings": [], "pid": b.pid()}));
    let said = [fleet.run(&["ls"]), fleet.run(&["claims"]), fleet.run(&["why", "b"])];
    for output in said {
        assert!(!output.success().stdout.contains("the-secret"), "a login is shown");
    }
    for entry in fs::read_dir(fleet.sandbox.host().join("claims")).expect("claims") {
        let entry = entry.expect("readable");
        let text = fs::read_to_string(entry.path()).expect("readable");
        assert!(!text.contains("the-secret"), "{text} in {}", entry.path().display());
    }
}

/// A program that is called as the original's gateway is, and listens.
pub(crate) struct Original(pub(crate) Child);

impl Original {
    #[track_caller]
    pub(crate) fn on(port: u16, environment: &[(&str, &str)]) -> Original {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let mut command = Command::new("sleep");
        command.arg0("openclaw-gateway").arg("600").env_clear().envs(environment.iter().copied());
        // It listens by what it inherits; this process lets go of the socket.
        Original(command.stdin(OwnedFd::from(socket)).spawn().expect("it starts"))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gateway_of_the_original_is_shown_as_such() {
    let fleet = Fleet::of(&["moved", "squatted"]);
    let home = fleet.sandbox.home();
    // One runs in a folder that we know, the other in one that we have never seen.
    let known = Original::on(fleet.port("moved"), &[("HOME", text(&home)), ("OPENCLAW_PROFILE", "moved")]);
    let strange = Original::on(fleet.port("squatted"), &[("OPENCLAW_STATE_DIR", "/srv/original")]);
    let listing = fleet.ls();
    let running = |it: &Original, port: u16| json!({"kind": "original", "state": "ready", "pid": it.0.id(), "port": port, "version": null});
    listing.check("moved", &running(&known, fleet.port("moved")));
    let port = fleet.port("squatted");
    let name = format!("original-{port}");
    listing.check(&name, &running(&strange, port));
    listing.check(&name, &json!({"folder": "/srv/original"}));
    listing.check_found("squatted", "conflict", &[&format!("(pid {}, ", strange.0.id())]);
    let said = fleet.run(&["ls"]).success().stdout;
    assert_eq!(said.matches(" original ").count(), 2, "{said}");
}

/// What a terminal of this width is shown.
#[track_caller]
fn on_a_terminal(fleet: &Fleet, columns: usize) -> Vec<String> {
    let ours = fleet.sandbox.command(&[]);
    let program = text(Path::new(ours.get_program())).to_owned();
    let mut command = Command::new("script");
    command.args(["-qec", &format!("stty cols {columns}; '{program}' fleet ls"), "/dev/null"]);
    command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(fleet.sandbox.path());
    let output = Output::of_with(command, "").success();
    output.stdout.lines().map(|it| it.trim_end().to_owned()).collect()
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    let fleet = Fleet::of(&["alpha", "beta", "broken"]);
    let (_alpha, _beta) = (fleet.start("alpha"), fleet.start("beta"));
    write(&fleet.config("broken"), "{ gateway: ");
    for (columns, is_whole) in [(80, false), (200, true)] {
        let lines = on_a_terminal(&fleet, columns);
        let said = lines.join("\n");
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in ["alpha", "beta", "broken", "does not parse"] {
            assert!(words.contains(name), "{name} is missing on {columns} columns:\n{said}");
        }
        assert_eq!(words.contains("left out on this narrow terminal"), !is_whole, "{said}");
        for line in &lines {
            assert!(line.chars().count() <= columns, "more than {columns} columns: {line:?}\n{said}");
        }
    }
}

#[test]
fn an_empty_host_has_no_instances() {
    let fleet = Fleet::of(&[]);
    assert_eq!(fleet.ls().0, json!({"instances": Value::Array(Vec::new())}));
    let output = fleet.run(&["ls"]).success();
    assert!(output.stdout.is_empty() && output.stderr.contains("fleet create"), "{output}");
}
