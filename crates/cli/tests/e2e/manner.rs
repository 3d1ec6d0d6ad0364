//! How turns go about their work: how much the model thinks, what it is told while it works, who sees its tools, and
//! the pictures that it is shown.

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene, said, until};

/// The smallest file that begins as a PNG does.
const PNG: &str = "iVBORw0KGgoAAAAA";

fn done(person: &mut Person, method: &str, params: Value) -> Value {
    person.wire.request(method, params.clone()).unwrap_or_else(|it| panic!("{method} {params}: {it}"))
}

fn refused(person: &mut Person, params: Value) -> String {
    let refusal = person.wire.request("chat.send", params).expect_err("refused");
    refusal["message"].as_str().unwrap_or_default().to_owned()
}

fn send(person: &mut Person, key: &str, message: &str, more: Value) {
    let mut params = json!({"sessionKey": "s", "message": message, "idempotencyKey": key});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    assert_eq!(done(person, "chat.send", params)["status"], "started");
}

/// The bodies of what the model was asked, without what is no question.
fn asked(scene: &Scene) -> Vec<Value> {
    scene.model.requests().into_iter().map(|it| it.body).filter(|it| it["messages"].is_array()).collect()
}

/// What the person says in the last question, after `first`.
fn said_after(scene: &Scene, first: &str) -> Vec<String> {
    let body = asked(scene).pop().expect("it was asked");
    let all = body["messages"].as_array().expect("messages").clone();
    let users = all.iter().filter(|it| it["role"] == "user");
    let texts = users.map(|it| it["content"].as_str().unwrap_or_default().to_owned());
    texts.skip_while(|it| it != first).collect()
}

/// Waits until as many messages wait in the conversation.
fn wait_pending(person: &mut Person, count: u64) {
    until("they do not wait", || {
        let history = done(person, "chat.history", json!({"sessionKey": "s"}));
        (history["pendingInputs"]["total"] == count).then_some(())
    });
}

#[test]
fn the_model_thinks_as_much_as_the_conversation_or_the_message_says() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("s", "plain");
    done(&mut person, "sessions.patch", json!({"key": "s", "thinkingLevel": "high"}));
    person.ask("s", "hard");
    for (key, level) in [("k1", "low"), ("k2", "off")] {
        send(&mut person, key, "once", json!({"thinking": level}));
        person.hear(key);
    }
    done(&mut person, "sessions.patch", json!({"key": "s", "thinkingLevel": null}));
    person.ask("s", "plain again");
    let efforts: Vec<Value> = asked(&scene).iter().map(|it| it["reasoning_effort"].clone()).collect();
    assert_eq!(efforts, [json!(null), json!("high"), json!("low"), json!(null), json!(null)]);
    let loud = json!({"sessionKey": "s", "message": "x", "idempotencyKey": "k3", "thinking": "loud"});
    assert!(refused(&mut person, loud).starts_with("invalid chat.send params: at /thinking: must be"));
}

#[test]
fn a_message_gets_into_the_turn_under_way() {
    let scene = Scene::new();
    scene
        .model
        .on("work", Script::new().text("looking ").wait("g").call("exec", json!({"command": "echo hi"})));
    let mut person = scene.person();
    send(&mut person, "first", "work", json!({}));
    person.wait_said("first", "looking");
    done(&mut person, "sessions.patch", json!({"key": "s", "queueMode": "steer"}));
    // By the message's own word, and by that of the conversation.
    send(&mut person, "alone", "later", json!({"queueMode": "followup"}));
    send(&mut person, "second", "rather so", json!({"queueMode": "steer"}));
    send(&mut person, "third", "and quickly", json!({}));
    send(&mut person, "fourth", "never mind", json!({}));
    wait_pending(&mut person, 4);
    let stopped = done(&mut person, "chat.abort", json!({"sessionKey": "s", "runId": "fourth"}));
    assert_eq!(stopped["runIds"], json!(["fourth"]));
    scene.model.open("g");
    assert_eq!(person.hear("first")["state"], "final");
    assert_eq!(person.hear("fourth")["state"], "aborted");
    let second = asked(&scene).into_iter().find(|it| it["messages"].to_string().contains("and quickly"));
    let second = second.expect("it was told")["messages"].to_string();
    assert!(
        second.contains("rather so") && !second.contains("later") && !second.contains("never mind"),
        "{second}"
    );
    // The answer to them is told once; who wanted a turn alone has it.
    for joined in ["second", "third"] {
        let end = person.hear(joined);
        assert_eq!((&end["state"], end.get("message")), (&json!("final"), None), "{end}");
    }
    assert_eq!(said(&person.hear("alone")), "final: echo: later");
    let history = person.history("s");
    let from = history.iter().position(|it| it == "toolResult: hi").expect("the tool ran");
    assert_eq!(history[from + 1..from + 3], ["user: rather so", "user: and quickly"]);
    assert!(history[from + 3].starts_with("assistant:"), "{history:?}");
    assert_eq!(history.iter().filter(|it| *it == "user: rather so").count(), 1);
}

#[test]
fn a_message_for_a_turn_that_asks_no_more_has_its_own() {
    let scene = Scene::new();
    scene.model.on("slow", Script::new().text("one ").wait("g").text("two"));
    let mut person = scene.person();
    send(&mut person, "first", "slow", json!({}));
    person.wait_said("first", "one");
    send(&mut person, "second", "too late", json!({"queueMode": "steer"}));
    wait_pending(&mut person, 1);
    scene.model.open("g");
    assert_eq!(said(&person.hear("first")), "final: one two");
    assert_eq!(said(&person.hear("second")), "final: echo: too late");
}

#[test]
fn what_has_joined_a_turn_is_there_once_after_a_crash() {
    let mut scene = Scene::new();
    scene.model.on("work", Script::new().text("a ").wait("g").call("exec", json!({"command": "echo hi"})));
    scene.model.on("rather so", Script::new().text("hm ").wait("never"));
    let mut person = scene.person();
    send(&mut person, "first", "work", json!({}));
    person.wait_said("first", "a");
    send(&mut person, "second", "rather so", json!({"queueMode": "steer"}));
    wait_pending(&mut person, 1);
    scene.model.open("g");
    scene.model.wait_requests(asked(&scene).len() + 1);
    until("it has not joined", || person.history("s").contains(&"user: rather so".to_owned()).then_some(()));
    scene.gateway.kill();
    scene.restart();
    let mut person = scene.person();
    let history = person.history("s");
    assert_eq!(history.iter().filter(|it| *it == "user: rather so").count(), 1, "{history:?}");
    assert_eq!(history.iter().filter(|it| *it == "user: work").count(), 1, "{history:?}");
    person.check_goes_on("s");
}

#[test]
fn messages_that_have_piled_up_are_answered_once() {
    let scene = Scene::new();
    scene.model.on("slow", Script::new().text("one ").wait("g").text("two"));
    let mut person = scene.person();
    send(&mut person, "first", "slow", json!({}));
    person.wait_said("first", "one");
    for (key, message) in [("a", "eggs"), ("b", "milk"), ("c", "bread")] {
        send(&mut person, key, message, json!({"queueMode": "collect"}));
    }
    wait_pending(&mut person, 3);
    let before = asked(&scene).len();
    scene.model.open("g");
    person.hear("first");
    assert_eq!(said(&person.hear("a")), "final: echo: bread");
    person.hear("b");
    person.hear("c");
    assert_eq!(asked(&scene).len(), before + 1, "one question for all of them");
    assert_eq!(said_after(&scene, "eggs"), ["eggs", "milk", "bread"]);
    // A message that wants nobody's company, and a turn that asks the model no more.
    let waits = done(&mut person, "agent.wait", json!({"runId": "b"}));
    assert_eq!(waits["status"], "ok");
}

#[test]
fn tools_are_told_of_to_everybody_where_the_conversation_says_so() {
    let scene = Scene::new();
    let mut plain = scene.person_with(|it| it["caps"] = json!([]));
    let mut told = |level: Value| {
        done(&mut plain, "sessions.patch", json!({"key": "s", "verboseLevel": level}));
        scene.model.on("please", Script::new().call("exec", json!({"command": "echo hi"})));
        let run = plain.say("s", "please");
        let tools: Vec<Value> = plain
            .watch(&run)
            .into_iter()
            .filter(|it| it["event"] == "agent" && it["payload"]["stream"] == "tool")
            .map(|it| it["payload"]["data"].clone())
            .collect();
        let phases: Vec<String> =
            tools.iter().map(|it| it["phase"].as_str().unwrap_or_default().to_owned()).collect();
        let has_result = tools.last().is_some_and(|it| it.get("result").is_some());
        (phases.join(" "), has_result)
    };
    assert_eq!(told(json!(null)), (String::new(), false));
    assert_eq!(told(json!("on")), ("start result".to_owned(), false));
    assert_eq!(told(json!("full")), ("start result".to_owned(), true));
    assert_eq!(told(json!("off")), (String::new(), false));
}

#[test]
fn pictures_are_shown_to_the_model_and_kept() {
    let scene = Scene::new();
    let mut person = scene.person();
    let picture =
        json!([{"type": "image", "mimeType": "text/html", "content": format!("data:x;base64,{PNG}")}]);
    send(&mut person, "k1", "what is it?", json!({"attachments": picture}));
    person.hear("k1");
    send(&mut person, "k2", "", json!({"attachments": [{"content": PNG}]}));
    person.hear("k2");
    person.ask("s", "and now?");
    let shown = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    let last = asked(&scene).pop().expect("asked");
    let users: Vec<&Value> = last["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter(|it| it["role"] == "user")
        .map(|it| &it["content"])
        .collect();
    let text = json!({"type": "text", "text": "what is it?"});
    assert_eq!(users, [&json!([text, shown]), &json!([shown]), &json!("and now?")]);
    let first = person.messages("s")[0]["content"].clone();
    assert_eq!(first[1], json!({"type": "image", "mimeType": "image/png", "omitted": true, "bytes": 12}));
    let wish = |attachments: Value| json!({"sessionKey": "s", "message": "x", "idempotencyKey": "k3", "attachments": attachments});
    for (attachments, why) in [
        (
            json!([{"fileName": "a.pdf", "content": "JVBERi0xLjc="}]),
            "at /attachments/0 (a.pdf): this version takes pictures alone",
        ),
        (json!([{"content": "?"}]), "at /attachments/0: the content is not in base64"),
        (json!([{"content": 5}]), "at /attachments/0/content"),
        (json!(vec![json!({"content": PNG}); 9]), "at /attachments: at most 8"),
    ] {
        let text = refused(&mut person, wish(attachments));
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(person.messages("s").len(), 6, "nothing of what was refused was kept");
}
