//! Safe mode: the control socket answers whatever is broken, nothing of the config is looked at beyond the port and the
//! secret, and the way back is told.
#![allow(clippy::disallowed_methods, reason = "a test breaks files as a person or a disk would")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use testkit::{Output, Sandbox};

use crate::support::{offline, set_up, start, text};

fn config(sandbox: &Sandbox) -> PathBuf {
    sandbox.state(Some("main")).join("openclaw.json")
}

fn main(sandbox: &Sandbox, words: &[&str]) -> Output {
    sandbox.run(&[&["--profile", "main"], words].concat())
}

/// Starts it so, and gives its health.
#[track_caller]
fn safely(sandbox: &Sandbox) -> Value {
    let said = main(sandbox, &["gateway", "start", "--safe", "--json"]).success().json();
    assert_eq!(said["result"], "started in safe mode", "{said:#}");
    let health = main(sandbox, &["health", "--json"]).code(1).json();
    assert_eq!(health["instance"]["safeMode"], true, "{health:#}");
    let problems = health["problems"].to_string();
    assert!(problems.contains("safe mode") && problems.contains("fleet restart main"), "{health:#}");
    health
}

#[track_caller]
fn back(sandbox: &Sandbox) {
    let _ = sandbox.run(&["fleet", "restart", "main"]).success();
    let health = main(sandbox, &["health", "--json"]).success().json();
    assert_eq!(health["instance"].get("safeMode"), None, "{health:#}");
    let _ = sandbox.run(&["fleet", "stop", "main"]).success();
}

#[test]
fn a_broken_config_keeps_nobody_from_steering_and_is_put_right_beside_it() {
    let sandbox = offline();
    let base = set_up(&sandbox, "main");
    let sound = fs::read_to_string(config(&sandbox)).expect("a config");
    fs::write(config(&sandbox), "{ broken").expect("written");
    let _ = sandbox.run(&["fleet", "start", "main"]).code(78);
    safely(&sandbox);
    // What tells the port is the registry.
    let status = main(&sandbox, &["gateway", "call", "status"]).success().json();
    assert_eq!(status["instance"]["port"], base.port(), "{status:#}");
    let _ = main(&sandbox, &["gateway", "start", "--safe"]).code(69);
    let _ = sandbox.run(&["fleet", "restart", "main"]).code(78);
    safe_still(&sandbox);
    fs::write(config(&sandbox), sound).expect("written");
    back(&sandbox);
    assert_eq!(
        base.port(),
        status["gateway"]["port"].as_u64().map_or(base.port(), |it| u16::try_from(it).expect("a port"))
    );
}

/// What could not start was not stopped.
#[track_caller]
fn safe_still(sandbox: &Sandbox) {
    let health = main(sandbox, &["health", "--json"]).code(1).json();
    assert_eq!(health["instance"]["safeMode"], true, "{health:#}");
}

#[test]
fn no_secret_is_asked_for_and_nothing_optional_begins() {
    let sandbox = offline();
    let _ = set_up(&sandbox, "main");
    let asked = sandbox.path().join("asked");
    let program = sandbox.path().join("secrets.sh");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\nexit 1\n", text(&asked))).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("may be run");
    let sound = fs::read_to_string(config(&sandbox)).expect("a config");
    let more = format!(
        "{{\n  secrets: {{ providers: {{ vault: {{ source: \"exec\", command: \"{}\", allowInsecurePath: true }} }} }},\n  \
         models: {{ providers: {{ openai: {{ apiKey: {{ source: \"exec\", provider: \"vault\", id: \"key\" }} }} }} }},",
        text(&program)
    );
    fs::write(config(&sandbox), sound.replacen('{', &more, 1)).expect("written");
    let _ = sandbox.run(&["fleet", "start", "main"]).success();
    let _ = sandbox.run(&["fleet", "stop", "main"]).success();
    assert!(asked.exists(), "the config asks for no secret: this test shows nothing");
    fs::remove_file(&asked).expect("removed");
    safely(&sandbox);
    assert!(!asked.exists(), "a secret was asked for in safe mode");
    let _ = sandbox.run(&["fleet", "stop", "main"]).success();
}

#[test]
fn on_a_squatted_port_the_control_socket_answers_alone() {
    let sandbox = offline();
    let base = set_up(&sandbox, "main");
    let squatter = TcpListener::bind(("127.0.0.1", base.port())).expect("bound");
    let _ = sandbox.run(&["fleet", "start", "main"]).code(69);
    let health = safely(&sandbox);
    assert!(health["problems"].to_string().contains("only its control socket answers"), "{health:#}");
    drop(squatter);
    back(&sandbox);
}

#[test]
fn a_damaged_database_is_neither_opened_nor_changed_by_the_start() {
    let sandbox = offline();
    let (gateway, _base) = start(&sandbox, "main");
    let _ = main(&sandbox, &["gateway", "call", "sessions.list"]).success();
    drop(gateway);
    let database = sandbox.state(Some("main")).join("gateway.sqlite");
    fs::write(&database, vec![0x55; 8192]).expect("written");
    safely(&sandbox);
    let _ = main(&sandbox, &["gateway", "call", "sessions.list"]).code(1);
    safe_still(&sandbox);
    let _ = sandbox.run(&["fleet", "stop", "main"]).success();
    assert_eq!(fs::read(&database).expect("there"), vec![0x55; 8192]);
}

#[test]
fn an_instance_that_is_not_there_is_not_made() {
    let sandbox = offline();
    let said = main(&sandbox, &["gateway", "start", "--safe"]).code(78);
    assert!(said.stderr.contains("setup"), "{said}");
    assert!(!sandbox.state(Some("main")).exists());
}
