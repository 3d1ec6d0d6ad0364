//! `chat.*` and `agent`: pages of a conversation, messages without a model, queues, repeated keys.

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene};

#[track_caller]
fn done(person: &mut Person, method: &str, params: Value) -> Value {
    person.wire.request(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
}

#[track_caller]
fn refused(person: &mut Person, method: &str, params: Value) -> String {
    let error = person.wire.request(method, params).expect_err("it must be refused");
    error["message"].as_str().unwrap_or_default().to_owned()
}

fn places(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().expect("messages");
    messages.iter().map(|it| it["__openclaw"]["seq"].as_u64().expect("a place")).collect()
}

#[test]
fn a_conversation_is_read_to_its_beginning_whatever_the_page() {
    let scene = Scene::new();
    let mut person = scene.person();
    for at in 0..6 {
        person.ask("long", &format!("question {at} {}", "x".repeat(400)));
    }
    for (page, next) in [
        (json!({"limit": 5}), "nextCursor"),
        (json!({"limit": 5}), "nextOffset"),
        (json!({"maxBytes": 2048}), "nextCursor"),
        (json!({"maxBytes": 1024}), "nextOffset"),
        (json!({"limit": 3, "maxChars": 10}), "nextCursor"),
    ] {
        let mut seen: Vec<u64> = Vec::new();
        let mut params = page.clone();
        params["sessionKey"] = json!("long");
        loop {
            let reply = done(&mut person, "chat.history", params.clone());
            assert_eq!(reply["totalMessages"], 12);
            seen = [places(&reply), seen].concat();
            assert_eq!(reply["hasMore"], json!(!reply["nextOffset"].is_null()));
            if reply["hasMore"] == false {
                break;
            }
            params[if next == "nextCursor" { "cursor" } else { "offset" }] = reply[next].clone();
        }
        assert_eq!(seen, (1..=12).collect::<Vec<_>>(), "{page} {next}");
    }
    let reply = done(&mut person, "chat.startup", json!({"sessionKey": "long", "limit": 2, "maxChars": 10}));
    assert_eq!(reply["messages"][0]["content"][0]["text"], "question 5\n...(truncated)...");
    assert_eq!(reply["defaults"]["model"], "scripted-1");
    assert_eq!(reply["sessionInfo"]["key"], "agent:main:long");
    assert_eq!(reply["pendingInputs"], json!({"items": [], "total": 0}));
    let id = reply["messages"][0]["__openclaw"]["id"].clone();
    let upto = json!({"sessionKey": "long", "messageId": id, "limit": 3});
    assert_eq!(places(&done(&mut person, "chat.history", upto)), [9, 10, 11]);
    let full = done(&mut person, "chat.message.get", json!({"sessionKey": "long", "messageId": id}));
    assert_eq!(full["message"]["content"][0]["text"].as_str().map(str::len), Some(411));
    let none = done(&mut person, "chat.message.get", json!({"sessionKey": "long", "messageId": "x"}));
    assert_eq!(none, json!({"ok": false, "unavailableReason": "not_found"}));
    for (params, place) in [
        (json!({"sessionKey": "long", "maxBytes": 10}), "at /maxBytes: must be at least 1024"),
        (json!({"sessionKey": "long", "cursor": "x"}), "at /cursor: is none"),
        (json!({"sessionKey": "long", "messageId": "x"}), "at /messageId: there is no such"),
    ] {
        let text = refused(&mut person, "chat.history", params);
        assert!(text.starts_with(&format!("invalid chat.history params: {place}")), "{text}");
    }
}

#[test]
fn a_message_is_put_in_without_a_model() {
    let scene = Scene::new();
    let mut person = scene.person();
    let params = json!({"sessionKey": "s", "message": "From outside.", "label": "note"});
    assert_eq!(refused(&mut person, "chat.inject", params.clone()), "session not found");
    person.check_goes_on("s");
    let reply = done(&mut person, "chat.inject", params);
    assert_eq!(reply["ok"], true);
    let is_injected = |it: &Value| it["payload"]["stopReason"] == "injected";
    let event = person.wire.next_event(is_injected)["payload"].clone();
    assert!(event["runId"].as_str().is_some_and(|it| it.starts_with("inject-") && it.len() == 15), "{event}");
    assert_eq!((&event["seq"], &event["state"]), (&json!(0), &json!("final")));
    assert_eq!(event["message"]["content"][0]["text"], "[note]\n\nFrom outside.");
    let history = done(&mut person, "chat.history", json!({"sessionKey": "s"}));
    assert_eq!(history["messages"][2]["__openclaw"]["id"], reply["messageId"]);
    let long = json!({"sessionKey": "s", "message": "x", "label": "x".repeat(101)});
    assert!(refused(&mut person, "chat.inject", long).contains("at /label"));
}

#[test]
fn what_is_under_way_goes_on_or_gives_way_as_the_caller_says() {
    let scene = Scene::new();
    scene.model.on("slow", Script::new().text("one ").wait("g").text("two"));
    let mut person = scene.person();
    let slow = person.say("s", "slow");
    person.wait_said(&slow, "one");
    let waiting = person.say("s", "waits");
    let history = done(&mut person, "chat.history", json!({"sessionKey": "s"}));
    assert_eq!(
        (&history["inFlightRun"]["runId"], &history["inFlightRun"]["text"]),
        (&json!(slow), &json!("one "))
    );
    assert_eq!(history["pendingInputs"]["total"], 1);
    assert_eq!(history["pendingInputs"]["items"][0]["text"], "waits");
    let send = |mode: &str| json!({"sessionKey": "s", "message": "now", "idempotencyKey": format!("k-{mode}"), "queueMode": mode});
    assert_eq!(done(&mut person, "chat.send", send("interrupt"))["status"], "started");
    assert_eq!(person.hear(&slow)["state"], "aborted");
    assert_eq!(person.hear(&waiting)["state"], "aborted");
    assert_eq!(person.hear("k-interrupt")["state"], "final");
    let stale =
        json!({"sessionKey": "s", "message": "x", "idempotencyKey": "k2", "expectedLeafEntryId": "old"});
    assert!(refused(&mut person, "chat.send", stale).contains("changed meanwhile: the last message"));
}

#[test]
fn a_command_with_the_same_key_is_the_same_command() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.check_goes_on("s");
    let send = json!({"sessionKey": "s", "message": "/new", "idempotencyKey": "once"});
    assert_eq!(done(&mut person, "chat.send", send.clone())["status"], "started");
    person.hear("once");
    person.check_goes_on("s");
    assert_eq!(done(&mut person, "chat.send", send), json!({"runId": "once", "status": "ok"}));
    assert_eq!(person.history("s").len(), 2, "it was not begun anew a second time");
    let waited = done(&mut person, "agent.wait", json!({"runId": "once"}));
    assert_eq!(
        (&waited["status"], &waited["terminalReply"]["disposition"]),
        (&json!("ok"), &json!("visible"))
    );
    let metadata = done(&mut person, "chat.metadata", json!({}));
    let commands = metadata["commands"].as_array().expect("commands");
    assert!(commands.iter().any(|it| it["name"] == "new" && it["textAliases"] == json!(["/new", "/reset"])));
    assert_eq!(metadata["models"][0]["id"], "scripted-1");
    let mut writer = scene.person_with(|it| it["scopes"] = json!(["operator.write"]));
    let reset = json!({"message": "/reset", "idempotencyKey": "r", "sessionKey": "s"});
    assert_eq!(refused(&mut writer, "agent", reset), "missing scope: operator.admin");
}

#[test]
fn an_agent_run_that_names_nobody_has_a_conversation_of_its_own() {
    let scene = Scene::new();
    let mut person = scene.person();
    for (params, key) in [
        (json!({"idempotencyKey": "r1"}), "agent:main:explicit:r1"),
        (json!({"idempotencyKey": "r2", "agentId": "main"}), "agent:main:main"),
        (json!({"idempotencyKey": "r3", "to": "+4912345"}), "agent:main:main"),
        (json!({"idempotencyKey": "r4", "sessionId": "mine"}), "agent:main:explicit:mine"),
    ] {
        let mut params = params;
        params["message"] = json!("hi");
        let reply = done(&mut person, "agent", params);
        assert_eq!((&reply["status"], &reply["sessionKey"]), (&json!("accepted"), &json!(key)));
        let run = reply["runId"].as_str().expect("a run").to_owned();
        assert_eq!(person.hear(&run)["state"], "final");
    }
    let row = done(&mut person, "sessions.describe", json!({"key": "agent:main:explicit:r1"}));
    assert_eq!(row["session"]["sessionId"], "r1");
}

#[test]
fn what_answers_cost_is_added_up_by_day_model_and_conversation() {
    let scene = Scene::with(|it| {
        it["models"]["providers"]["scripted"]["models"] =
            json!([{"id": "scripted-1", "cost": {"input": 2, "output": 10}}]);
    });
    let mut person = scene.person();
    person.check_goes_on("a");
    person.check_goes_on("b");
    let cost = done(&mut person, "usage.cost", json!({"days": 7}));
    assert_eq!((&cost["days"], cost["daily"].as_array().map(Vec::len)), (&json!(7), Some(7)));
    let totals = &cost["totals"];
    let (input, output) = (totals["input"].as_f64().expect("in"), totals["output"].as_f64().expect("out"));
    assert!(input > 0.0 && output > 0.0, "{totals}");
    let dollars = totals["totalCost"].as_f64().expect("dollars");
    assert!((dollars - (input * 2.0 + output * 10.0) / 1e6).abs() < 1e-9, "{totals}");
    assert_eq!(totals["missingCostEntries"], 0);
    let usage = done(&mut person, "sessions.usage", json!({}));
    assert_eq!(usage["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(usage["totals"]["totalTokens"], totals["totalTokens"]);
    assert_eq!(usage["aggregates"]["byModel"][0]["count"], 2);
    let one = done(&mut person, "sessions.usage", json!({"key": "a"}));
    assert_eq!(one["sessions"][0]["key"], "agent:main:a");
    assert!(
        refused(&mut person, "usage.cost", json!({"startDate": "yesterday"})).starts_with("startDate: write")
    );
    assert_eq!(done(&mut person, "usage.status", json!({}))["providers"], json!([]));
}
