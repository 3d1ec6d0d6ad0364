//! `fleet exec`: one command for each instance, with an environment that leads there whatever the caller's says.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Gateway, Output};

use crate::fleet_scene::{Fleet, Left};
use crate::scene::TOKEN;
use crate::support::text;

/// `openclaw fleet exec <words>`, in an environment in which everything leads to instance `b`.
fn exec(fleet: &Fleet, words: &[&str]) -> Command {
    let mut command = fleet.sandbox.command(&[&["fleet", "exec"], words].concat());
    command
        .env("OPENCLAW_STATE_DIR", fleet.state("b"))
        .env("OPENCLAW_CONFIG_PATH", fleet.config("b"))
        .env("OPENCLAW_PROFILE", "b")
        .env("OPENCLAW_GATEWAY_PORT", fleet.port("b").to_string())
        .env("OPENCLAW_GATEWAY_TOKEN", TOKEN)
        .env("OPENCLAW_GATEWAY_PASSWORD", TOKEN)
        .env("OPENCLAW_GATEWAY_URL", format!("ws://127.0.0.1:{}", fleet.port("b")))
        .env("OPENCLAW_TOOL_OF", "b")
        .env("XDG_STATE_HOME", fleet.state("b"))
        .env("XDG_CONFIG_HOME", fleet.state("b"))
        .current_dir(fleet.state("b"));
    command
}

#[track_caller]
fn rows(said: &Value) -> &Vec<Value> {
    said["instances"].as_array().expect("instances")
}

#[test]
fn each_run_is_led_to_its_own_instance_whatever_the_caller_has() {
    let fleet = Fleet::of(&["a", "b", "c"]);
    let gateways: Vec<Gateway> = ["a", "b", "c"].iter().map(|it| fleet.start(it)).collect();
    let output =
        Output::of(exec(&fleet, &["--all", "--json", "--", "openclaw", "health", "--json"])).success();
    let said = output.json();
    assert_eq!((&said["ok"], rows(&said).len()), (&json!(true), 3), "{output}");
    for (row, (name, gateway)) in rows(&said).iter().zip(["a", "b", "c"].iter().zip(&gateways)) {
        let health: Value = serde_json::from_str(row["stdout"].as_str().expect("text")).expect("JSON");
        assert_eq!((&row["name"], &row["code"]), (&json!(name), &json!(0)), "{row:#}");
        let instance = &health["instance"];
        assert_eq!((&instance["name"], &instance["pid"]), (&json!(name), &json!(gateway.pid())));
    }
    // Nothing that selects an instance or opens its door is left of the caller's.
    let output = Output::of(exec(&fleet, &["--only", "a", "--", "env"])).success();
    let ours: Vec<&str> = output.stdout.lines().filter(|it| it.starts_with("OPENCLAW_")).collect();
    let state = format!("OPENCLAW_STATE_DIR={}", fleet.state("a").display());
    let config = format!("OPENCLAW_CONFIG_PATH={}", fleet.config("a").display());
    let host = format!("OPENCLAW_HOST_DIR={}", fleet.sandbox.host().display());
    assert_eq!(ours.len(), 3, "{output}");
    assert!([state, config, host].iter().all(|it| ours.contains(&it.as_str())), "{output}");
    assert!(!output.stdout.contains(TOKEN), "{output}");
}

#[test]
fn the_exit_code_is_that_of_the_first_who_failed_and_all_are_asked() {
    let fleet = Fleet::of(&["a", "b", "c"]);
    let script =
        "case $OPENCLAW_STATE_DIR in *-a) exit 0;; *-b) echo said; echo why >&2; exit 7;; esac; exit 9";
    let output = fleet.run(&["exec", "--all", "--json", "--", "sh", "-c", script]).code(7);
    let said = output.json();
    let codes: Vec<_> = rows(&said).iter().map(|it| it["code"].as_i64()).collect();
    assert_eq!((codes, &said["ok"]), (vec![Some(0), Some(7), Some(9)], &json!(false)), "{output}");
    let b = json!({"name": "b", "code": 7, "stdout": "said\n", "stderr": "why\n"});
    assert_eq!(rows(&said)[1], b);
    // For a person the streams are the command's own, below the name of each.
    let output = fleet.run(&["exec", "--only", "b", "--only", "a", "--", "sh", "-c", script]).code(7);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("said\n", "[b]\nwhy\n[a]\n"));
}

#[test]
fn a_command_that_cannot_be_run_and_one_that_is_killed_are_failures() {
    let fleet = Fleet::of(&["a"]);
    let output = fleet.run(&["exec", "--all", "--", "no-such-program"]).code(64);
    assert!(output.stderr.contains("instance a: no-such-program cannot be run"), "{output}");
    let _ = fleet.run(&["exec", "--all", "--", "sh", "-c", "kill -9 $$"]).code(137);
    let _ = fleet.run(&["exec", "--", "true"]).code(64);
}

/// Instances of another home: everything that a process is started for stays in that home.
#[test]
fn with_a_home_of_its_own_the_fleet_is_in_that_home() {
    let fleet = Fleet::of(&["a"]);
    let at_home = |words: &[&str]| {
        let mut command = fleet.sandbox.command(words);
        command.env_remove("OPENCLAW_HOST_DIR").env("HOME", fleet.sandbox.path().join("nobody"));
        command.env("OPENCLAW_HOME", "../home");
        command
    };
    let output = Output::of(at_home(&["fleet", "start", "a", "--json"])).success();
    let pid = output.json()["instances"][0]["result"]["pid"].clone();
    let _left = Left(pid.as_i64().expect("it was started"));
    let health = ["fleet", "exec", "--all", "--json", "--", "openclaw", "fleet", "ls", "--json"];
    let output = Output::of(at_home(&health)).success();
    let said = output.json();
    let inner: Value = serde_json::from_str(rows(&said)[0]["stdout"].as_str().expect("text")).expect("JSON");
    let row = &rows(&inner)[0];
    assert_eq!((&row["name"], &row["pid"], &row["state"]), (&json!("a"), &pid, &json!("ready")), "{inner:#}");
    assert_eq!(row["recorded"], true, "another host folder: {inner:#}");
    assert!(
        !fleet.sandbox.path().join("nobody").exists(),
        "something was made in {}",
        text(fleet.sandbox.path())
    );
    let _ = Output::of(at_home(&["fleet", "stop", "a"])).success();
}
