//! How an instance is, on one screen: with its gateway, without, with a config that is broken, and while it hangs.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Output, Sandbox};

use crate::scene::{MODEL, Scene};
use crate::support::{offline, set_up, start};

#[track_caller]
fn status(sandbox: &Sandbox, more: &[&str]) -> Output {
    sandbox.run(&[&["--profile", "main", "status"], more].concat()).success()
}

#[test]
fn an_instance_that_does_not_run_is_told_from_its_files() {
    let sandbox = offline();
    let base = set_up(&sandbox, "main");
    let answer = status(&sandbox, &["--json"]).json();
    assert_eq!(answer["instance"]["state"], "stopped");
    assert_eq!(answer["instance"]["port"], base.port());
    assert_eq!((&answer["config"]["valid"], &answer["findings"]), (&json!(true), &json!([])));
    assert_eq!(answer["service"]["state"], "none");
    assert_eq!(answer["listeners"], json!([]));
    let said = status(&sandbox, &[]).stdout;
    for word in ["stopped", "not installed", &base.port().to_string()] {
        assert!(said.contains(word), "nothing about {word}: {said}");
    }
}

#[test]
fn a_running_one_tells_its_model_channels_sessions_and_generation() {
    let scene = Scene::new();
    let sandbox = &scene.sandbox;
    let before = status(sandbox, &["--json"]).json();
    assert_eq!(before["channels"][0]["id"], "webchat");
    assert_eq!(before["channels"][0]["lastReceivedAt"], Value::Null);
    let _ = sandbox.run(&["--profile", "main", "agent", "--message", "hi"]).success();
    let answer = status(sandbox, &["--deep", "--json"]).json();
    assert!(answer["channels"][0]["lastReceivedAt"].is_u64(), "{answer:#}");
    assert_eq!(answer["model"]["primary"], MODEL);
    assert_eq!(answer["model"]["reach"]["ok"], true, "{answer:#}");
    assert_eq!(answer["sessions"]["count"], 1);
    assert_eq!(answer["listeners"][0]["pid"], scene.gateway.pid());
    assert_eq!(answer["config"]["generation"]["inForce"], 1);
    assert_eq!(answer["config"]["generation"]["fileChanged"], false);
    assert!(answer["securityAudit"]["summary"]["critical"].is_u64(), "{answer:#}");
    assert_eq!(answer["problems"], json!([]));
    let said = status(sandbox, &["--deep"]).stdout;
    for word in ["answers in", "last received", "generation 1 in force"] {
        assert!(said.contains(word), "nothing about {word}: {said}");
    }
    assert!(said.lines().count() <= 24, "more than a screen: {said}");
}

#[test]
fn a_config_that_is_broken_keeps_nothing_from_being_told() {
    let sandbox = offline();
    let (gateway, _base) = start(&sandbox, "main");
    let config = sandbox.state(Some("main")).join("openclaw.json");
    let good = fs::read_to_string(&config).expect("read");
    fs::write(&config, good.replace("port:", "port:,")).expect("written");
    let answer = status(&sandbox, &["--json"]).json();
    assert_eq!(answer["instance"]["pid"], gateway.pid());
    assert_eq!(
        (&answer["config"]["valid"], &answer["gateway"]["misconfigured"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(answer["findings"][0]["id"], "config.file", "{answer:#}");
    assert_eq!(answer["config"]["generation"]["fileChanged"], true);
    let said = status(&sandbox, &[]).stdout;
    assert!(said.contains("ready") && said.contains("→ openclaw --profile main config rollback"), "{said}");
    fs::write(&config, good.replace("mode: \"local\"", "mode: \"far\"")).expect("written");
    let answer = status(&sandbox, &["--json"]).json();
    assert_eq!(answer["config"]["valid"], false);
    assert!(answer["config"]["issues"][0].to_string().contains("gateway.mode"), "{answer:#}");
}

#[test]
fn a_gateway_that_hangs_costs_no_more_than_the_patience() {
    let sandbox = offline();
    let (gateway, _base) = start(&sandbox, "main");
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::STOP).expect("ours");
    for more in [&["--timeout", "300", "--json"][..], &["--timeout", "300", "--all", "--deep", "--json"]] {
        let began = Instant::now();
        let answer = status(&sandbox, more).json();
        let took = began.elapsed();
        assert_eq!(answer["instance"]["state"], "deaf", "{answer:#}");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(6), "{more:?}: {took:?}");
    }
}

#[test]
fn everything_for_a_bug_report_holds_no_secret() {
    let sandbox = offline().env("OPENAI_API_KEY", "sk-hunter2hunter2");
    let (_gateway, _base) = start(&sandbox, "main");
    let state = sandbox.state(Some("main"));
    let token = testkit::gateway::token(&state);
    let log = state.join("logs/gateway.log");
    let lines = fs::read_to_string(&log).expect("read");
    let trouble = format!("{lines}2026-11-22T10:00:00Z [gateway] warning: refused Bearer {token}\n");
    fs::write(&log, trouble).expect("written");
    for more in [&["--all"][..], &["--all", "--json"]] {
        let said = status(&sandbox, more).stdout;
        assert!(!said.contains(&token) && !said.contains("hunter2"), "a secret is shown: {said}");
        for word in ["refused Bearer ***", "OPENAI_API_KEY", "\"token\": \"***\"", "workspace-main"] {
            assert!(said.contains(word), "nothing about {word}: {said}");
        }
    }
}
