//! A restart that the agent asks for itself: the turn ends first, the gateway begins again, and the conversation is told,
//! once.
#![allow(clippy::disallowed_methods, reason = "a test looks at what is kept between two starts")]

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene, said};
use crate::support::LIMIT;

const NOTICE: &str = "was restarted, as was asked for";

/// The boot of the gateway that answers now.
fn boot(scene: &Scene) -> Option<(String, Value)> {
    let reply = scene.sandbox.run(&["--profile", "main", "gateway", "call", "status"]);
    if reply.status != 0 {
        return None;
    }
    let instance = reply.json()["instance"].clone();
    Some((instance["since"].to_string(), instance))
}

/// How often the conversation says so, once there is nothing left to be told.
#[track_caller]
fn notices(scene: &Scene) -> usize {
    let sentinel = scene.state().join("restart-sentinel.json");
    let deadline = Instant::now() + LIMIT;
    while sentinel.exists() {
        assert!(Instant::now() < deadline, "the conversation was not told");
    }
    scene.person().history("main").iter().filter(|it| it.contains(NOTICE)).count()
}

fn hello(scene: &Scene) -> Person {
    let mut person = scene.person();
    person.check_goes_on("main");
    person
}

#[test]
fn an_agent_may_have_its_own_gateway_restarted_and_is_told_when_it_is() {
    for words in ["gateway restart", "fleet restart main"] {
        let scene = Scene::new();
        let mut person = hello(&scene);
        let (before, _) = boot(&scene).expect("it answers");
        let command = format!("{} --profile main {words}", env!("CARGO_BIN_EXE_openclaw"));
        scene.model.on("restart yourself", Script::new().call("exec", json!({"command": command})));
        scene.model.on_tool_result("restarts after this turn", Script::new().text("I asked for it"));
        let run = person.say("main", "restart yourself");
        // The turn is not cut off by what it asked for.
        assert_eq!(said(&person.hear(&run)), "final: I asked for it", "{words}");
        let deadline = Instant::now() + LIMIT;
        while boot(&scene).is_none_or(|(since, _)| since == before) {
            assert!(Instant::now() < deadline, "{words}: it did not begin again");
        }
        assert_eq!(notices(&scene), 1, "{words}");
        let mut person = scene.person();
        scene.model.on("are you back", Script::new().text("yes"));
        let run = person.say("main", "are you back");
        let _ = person.hear(&run);
        let asked = format!("{:?}", scene.model.requests().last().expect("a request"));
        assert!(asked.contains(NOTICE), "the model does not know of it: {asked}");
    }
}

#[test]
fn a_change_of_the_config_that_needs_a_restart_is_told_to_whom_it_was_made_for() {
    let scene = Scene::new();
    drop(hello(&scene));
    let (before, _) = boot(&scene).expect("it answers");
    let apply = |patch: &Value| {
        let mut person = scene.person();
        let hash = person.wire.request("config.get", json!({})).expect("readable")["hash"].clone();
        let params = json!({
            "raw": patch.to_string(), "baseHash": hash, "sessionKey": "main", "note": "on behalf of the conversation",
        });
        person.wire.request("config.patch", params).expect("written")
    };
    // What is taken over under way has nothing to tell afterwards.
    let sentinel = scene.state().join("restart-sentinel.json");
    let answer = apply(&json!({"logging": {"level": "debug"}}));
    assert_eq!((&answer["sentinel"]["persisted"], sentinel.exists()), (&json!(false), false), "{answer:#}");
    let answer = apply(&json!({"gateway": {"bind": "lan"}}));
    assert_eq!(answer["sentinel"]["persisted"], true, "{answer:#}");
    let deadline = Instant::now() + LIMIT;
    while boot(&scene).is_none_or(|(since, _)| since == before) {
        assert!(Instant::now() < deadline, "it did not begin again");
    }
    while sentinel.exists() {
        assert!(Instant::now() < deadline, "the conversation was not told");
    }
    let told = scene.person().history("main");
    let notice = "was restarted, for a change of its config";
    assert_eq!(
        told.iter().filter(|it| it.contains(notice) && it.contains("on behalf of")).count(),
        1,
        "{told:?}"
    );
}

#[test]
fn however_the_process_ends_in_between_it_is_told_once() {
    let mut scene = Scene::new();
    drop(hello(&scene));
    scene.gateway.stop();
    let sentinel = scene.state().join("restart-sentinel.json");
    let payload = json!({
        "kind": "restart", "status": "ok", "ts": 1, "sessionKey": "agent:main:main", "message": "mind the gap",
        "stats": {"mode": "gateway.restart", "reason": "a test", "id": "0011223344556677"},
    });
    let kept = json!({"version": 1, "payload": payload}).to_string();
    for _ in 0..2 {
        // As it is where the process was killed after it had told and before that was noted.
        fs::write(&sentinel, &kept).expect("written");
        scene.restart();
        assert_eq!(notices(&scene), 1);
        scene.gateway.stop();
    }
    for torn in ["", "{\"version\":1,", "[]"] {
        fs::write(&sentinel, torn).expect("written");
        scene.restart();
        assert_eq!(notices(&scene), 1);
        scene.gateway.stop();
    }
}

#[test]
fn nobody_else_restarts_it_by_that_and_it_needs_the_right() {
    let scene = Scene::new();
    let mut reader = scene.person_with(|it| it["scopes"] = json!(["operator.write"]));
    let refused = reader.wire.request("gateway.restart.request", json!({})).expect_err("no right");
    assert_eq!(refused["code"], "FORBIDDEN", "{refused}");
    let mut person = scene.person();
    let strange =
        person.wire.request("gateway.restart.request", json!({"sessionKey": 5})).expect_err("no key");
    assert!(strange["message"].as_str().is_some_and(|it| it.contains("at /sessionKey")), "{strange}");
}
