//! Slash commands and stop words: what the gateway answers by itself, in a conversation.

use serde_json::json;
use testkit::{Script, ScriptedModel};

use crate::scene::{KEY, Person, Scene, is_end, new_run, said};
use crate::support::sandbox;

#[test]
fn a_command_is_acknowledged_and_answered_with_one_event() {
    let scene = Scene::new();
    let mut person = scene.person();
    for (command, part) in [
        ("/help", "/status"),
        ("/status", "Instance main"),
        ("/model", "scripted/scripted-1"),
        ("/fleet", "main"),
        ("/sessions", "0 conversations"),
        ("/tools", "exec"),
        ("/version", "OpenClaw"),
    ] {
        let run = new_run();
        let params = json!({"sessionKey": "main", "message": command, "idempotencyKey": run});
        let id = person.wire.send("chat.send", params);
        let ack = person.wire.frame();
        assert_eq!((&ack["id"], &ack["payload"]["status"]), (&json!(id), &json!("started")), "{ack}");
        let end = person.wire.frame();
        assert!(is_end(&end, &run), "{end}");
        assert_eq!((&end["payload"]["seq"], &end["payload"]["state"]), (&json!(1), &json!("final")));
        assert!(said(&end["payload"]).contains(part), "{command}: {part} is missing in {end}");
        person.wire.request("health", json!({})).expect("well");
        assert_eq!(person.wire.take_events(), [json!(null); 0], "{command}");
    }
    assert_eq!(scene.model.requests().iter().filter(|it| it.method == "POST").count(), 0);
    assert_eq!(person.history("main"), [""; 0]);
}

#[test]
fn a_command_for_an_agent_run_is_answered_too() {
    let scene = Scene::new();
    let mut person = scene.person();
    let id = person.wire.send("agent", json!({"message": "/version", "idempotencyKey": "v1"}));
    assert_eq!(person.wire.response(&id).expect("accepted")["status"], "accepted");
    let end = person.wire.response(&id).expect("an answer");
    assert!(
        end["result"]["payloads"][0]["text"].as_str().is_some_and(|it| it.contains("instance main")),
        "{end}"
    );
}

#[test]
fn a_model_is_chosen_for_one_conversation() {
    let scene = Scene::of(sandbox(), ScriptedModel::start().key(KEY).model("scripted-2"), |_| {});
    let mut person = scene.person();
    let asked = |person: &mut Person, session: &str| {
        person.ask(session, "which one?");
        let requests = scene.model.requests();
        let last = requests.iter().rev().find(|it| it.method == "POST").expect("it was asked");
        last.body["model"].as_str().expect("a name").to_owned()
    };
    let chosen = person.ask("main", "/model scripted/scripted-2");
    assert!(said(&chosen).contains("scripted/scripted-2"), "{chosen}");
    assert_eq!(asked(&mut person, "main"), "scripted-2");
    assert_eq!(asked(&mut person, "work"), "scripted-1");
    let bad = person.ask("main", "/model nobody/x");
    assert!(said(&bad).contains("there is no provider \"nobody\""), "{bad}");
    assert_eq!(asked(&mut person, "main"), "scripted-2");
    person.ask("main", "/model default");
    assert_eq!(asked(&mut person, "main"), "scripted-1");
}

#[test]
fn new_begins_an_empty_conversation() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("main", "my name is Ada");
    let end = person.ask("main", "/new");
    assert!(said(&end).starts_with("final: A new conversation has begun"), "{end}");
    assert_eq!(person.history("main"), [""; 0]);
    person.check_goes_on("main");
    let requests = scene.model.requests();
    assert!(!requests.last().expect("asked").body.to_string().contains("Ada"), "the old one is still shown");
    assert_eq!(person.history("main").len(), 2);
}

#[test]
fn new_in_the_middle_of_a_turn_ends_it_and_keeps_it_out() {
    let scene = Scene::new();
    let look =
        Script::new().text("Looking.").call("exec", json!({"command": "echo begun > begun; sleep 600"}));
    scene.model.on("look", look);
    let mut person = scene.person();
    let run = person.say("main", "look");
    person.wire.next_event(|it| it["payload"]["stream"] == "tool");
    let end = person.ask("main", "/new");
    assert!(said(&end).starts_with("final: A new conversation"), "{end}");
    assert_eq!(person.hear(&run)["state"], "aborted");
    assert_eq!(person.history("main"), [""; 0], "the old turn ended in the new conversation");
    person.check_goes_on("main");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_stop_word_ends_the_turn_under_way() {
    let scene = Scene::new();
    scene.model.on("talk", Script::new().text("once upon").hang());
    let mut person = scene.person();
    let stop = |person: &mut Person, word: &str| {
        let params = json!({"sessionKey": "main", "message": word, "idempotencyKey": new_run()});
        person.wire.request("chat.send", params).expect("a reply")
    };
    assert_eq!(stop(&mut person, "stop"), json!({"ok": true, "aborted": false, "runIds": []}));
    for word in ["stop", "/stop", " STOP "] {
        let run = person.say("main", "talk");
        person.wait_said(&run, "once upon");
        assert_eq!(stop(&mut person, word), json!({"ok": true, "aborted": true, "runIds": [run]}));
        assert_eq!(said(&person.hear(&run)), "aborted: once upon");
        scene.model.wait_disconnect();
    }
    person.check_goes_on("main");
}
