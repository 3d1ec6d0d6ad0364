//! What devices tell a gateway: who is there, and what the agent hears of with its next turn.

use serde_json::json;

use crate::scene::{Scene, said};

/// The system prompt of the last question to the model.
fn prompt(scene: &Scene) -> String {
    let requests = scene.model.requests();
    let last = requests.iter().rev().find(|it| it.method == "POST").expect("it was asked");
    last.messages()[0]["content"].as_str().expect("a prompt").to_owned()
}

#[test]
fn an_event_is_told_to_the_next_turn_once() {
    let scene = Scene::new();
    let (mut person, mut other) = (scene.person(), scene.person());
    let beacon = json!({"text": "Node: Kitchen · the door is open", "host": "kitchen", "instanceId": "k-1", "mode": "node"});
    assert_eq!(person.wire.request("system-event", beacon), Ok(json!({"ok": true})));
    let told = other.wire.next_event(|it| it["event"] == "presence" && it.to_string().contains("k-1"));
    assert!(told["payload"]["presence"].to_string().contains("kitchen"), "{told}");
    let status = person.wire.request("status", json!({})).expect("a status");
    assert_eq!(status["queuedSystemEvents"], json!(["Node: Kitchen · the door is open"]), "{status}");
    assert_eq!(said(&person.ask("main", "what is new?")), "final: echo: what is new?");
    assert!(prompt(&scene).contains("the door is open"), "{}", prompt(&scene));
    person.ask("main", "and now?");
    assert!(!prompt(&scene).contains("the door is open"), "it was told twice");
    let refusal = person.wire.request("system-event", json!({"text": " "})).expect_err("refused");
    assert_eq!(refusal["message"], "text required");
    let mut reader = scene.person_with(|it| it["scopes"] = json!(["operator.write"]));
    let refusal = reader.wire.request("system-event", json!({"text": "x"})).expect_err("refused");
    assert_eq!(refusal["message"], "missing scope: operator.admin");
}

#[test]
fn a_wake_waits_for_the_next_turn_or_begins_one() {
    let scene = Scene::new();
    let mut person = scene.person();
    let later = json!({"mode": "next-heartbeat", "text": "the backup is done"});
    assert_eq!(person.wire.request("wake", later), Ok(json!({"ok": true})));
    assert_eq!(person.history("main"), [""; 0], "no turn has begun");
    assert_eq!(person.wire.request("wake", json!({"mode": "now", "text": "look!"})), Ok(json!({"ok": true})));
    let end = person.wire.next_event(|it| it["event"] == "chat" && it["payload"]["state"] == "final");
    assert_eq!(said(&end["payload"]), "final: echo: System: look!");
    assert!(prompt(&scene).contains("the backup is done"));
    let refusal = person.wire.request("wake", json!({"mode": "later", "text": "x"})).expect_err("refused");
    assert!(
        refusal["message"].as_str().is_some_and(|it| it.starts_with("invalid wake params: at /mode")),
        "{refusal}"
    );
    let refusal = person.wire.request("wake", json!({"mode": "now", "text": "x", "agentId": "zzz"}));
    assert_eq!(refusal.expect_err("refused")["message"], "agent \"zzz\" not found");
}

#[test]
fn the_commands_do_the_same() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.sandbox.run(&[&["--profile", "main", "system"], args].concat());
    let told = run(&["event", "--text", "it rains"]).success();
    assert!(told.stdout.contains("instance main"), "{told}");
    scene.person().ask("main", "hello");
    assert!(prompt(&scene).contains("it rains"));
    let present = run(&["presence", "--json"]).success().json();
    assert_eq!(present[0]["reason"], "self", "{present}");
    assert_eq!(run(&["heartbeat", "last"]).success().stdout.trim(), "none");
    assert_eq!(run(&["event"]).status, 64);
}
