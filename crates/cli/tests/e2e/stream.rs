//! A turn as it is told: acknowledgements, events in order, who hears them, what a repeated key gets.

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene, is_end, new_run, said, text};

#[test]
fn the_acknowledgement_comes_first_and_the_events_tell_the_whole_turn() {
    let scene = Scene::new();
    scene.model.on("count", Script::new().text("one two three four").pieces(4));
    let mut person = scene.person();
    let params = json!({"sessionKey": "main", "message": "count", "idempotencyKey": "k1"});
    let id = person.wire.send("chat.send", params);
    let ack = person.wire.frame();
    assert_eq!((&ack["type"], &ack["id"]), (&json!("res"), &json!(id)), "{ack}");
    assert_eq!(ack["payload"], json!({"runId": "k1", "status": "started"}));

    let events = person.watch("k1");
    check_counts(&events);
    assert!(events.iter().all(|it| it["payload"]["runId"] == "k1"), "{events:?}");
    assert!(events.iter().all(|it| it["payload"]["sessionKey"] == "agent:main:main"), "{events:?}");
    let steps: Vec<String> = of(&events, "agent").iter().map(|it| step(it)).collect();
    // How the pieces come together on the way is the network's business.
    let begin = ["preparing_workspace", "preparing_context", "start", "starting_model", "model"];
    assert_eq!(steps[..5], begin);
    assert_eq!(steps[steps.len() - 5..], ["one two three four", "", "finishing", "model", "end"]);
    let phases: Vec<&Value> = of(&events, "chat").iter().map(|it| &it["phase"]).collect();
    assert_eq!(phases[..3], [begin[0], begin[1], begin[3]], "a conversation shows how far it is");
    check_texts(&events, "one two three four");
    let end = &events.last().expect("an end")["payload"];
    assert_eq!(said(end), "final: one two three four");
    assert_eq!((&end["stopReason"], &end["message"]["role"]), (&json!("stop"), &json!("assistant")));

    // Whatever was said before this answer has arrived with it.
    person.wire.request("health", json!({})).expect("well");
    let late = person.wire.take_events();
    assert!(!late.iter().any(|it| is_end(it, "k1")), "a second end: {late:?}");
}

#[test]
fn a_turn_with_a_tool_begins_its_text_anew_and_says_so() {
    let scene = Scene::new();
    let round = |text: &str| Script::new().text(text).call("exec", json!({"command": "true"}));
    scene
        .model
        .on("look", round("I will look first.").then(round("Once more.")).then(Script::new().text("Done.")));
    let mut person = scene.person();
    let run = person.say("main", "look");
    let events = person.watch(&run);
    check_counts(&events);
    let deltas: Vec<_> = of(&events, "chat").into_iter().filter(|it| it["state"] == "delta").collect();
    let mut before = String::new();
    // A delta always comes before a tool is run, however fast the text was.
    assert!(deltas.len() >= 2, "{deltas:?}");
    for delta in deltas {
        let whole = text(&delta["message"]);
        let more = delta["deltaText"].as_str().expect("an addition");
        match delta["replace"].as_bool() {
            Some(true) => assert_eq!(whole, more, "{delta}"),
            _ => assert_eq!(whole, before + more, "earlier text is gone and nobody said so: {delta}"),
        }
        before = whole;
    }
    assert_eq!(said(&events.last().expect("an end")["payload"]), "final: Done.");
}

#[test]
fn every_reader_hears_it_and_nobody_else() {
    let scene = Scene::new();
    let mut asker = scene.person();
    let mut reader = scene.person_with(|it| it["scopes"] = json!(["operator.read"]));
    let mut deaf = scene.person_with(|it| it["scopes"] = json!(["operator.approvals", "operator.pairing"]));
    let run = asker.say("main", "hello");
    let (ours, theirs) = (asker.watch(&run), reader.watch(&run));
    let payloads = |events: &[Value]| events.iter().map(|it| it["payload"].clone()).collect::<Vec<_>>();
    assert_eq!(payloads(&ours), payloads(&theirs));
    check_counts(&theirs);
    deaf.wire.request("health", json!({})).expect("health needs no scope");
    assert_eq!(deaf.wire.take_events(), Vec::<Value>::new());
}

#[test]
fn agent_is_answered_twice_under_one_id() {
    let scene = Scene::new();
    scene.model.on("slowly", Script::new().wait("gate").text("here"));
    let mut person = scene.person();
    let params = json!({"message": "slowly", "sessionKey": "work", "idempotencyKey": "a1"});
    let id = person.wire.send("agent", params.clone());
    let accepted = person.wire.response(&id).expect("accepted");
    assert_eq!((&accepted["runId"], &accepted["status"]), (&json!("a1"), &json!("accepted")));
    assert_eq!((&accepted["sessionKey"], &accepted["agentId"]), (&json!("agent:main:work"), &json!("main")));
    assert!(accepted["acceptedAt"].is_u64(), "{accepted}");
    scene.model.open("gate");
    let end = person.wire.response(&id).expect("an answer");
    assert_eq!((&end["runId"], &end["status"]), (&json!("a1"), &json!("ok")));
    assert_eq!(end["result"]["payloads"][0]["text"], "here");
    assert_eq!(said(&person.hear("a1")), "final: here");
    // The same key again is the same run, with the same answer.
    assert_eq!(person.wire.request("agent", params), Ok(end));
    assert_eq!(scene.model.requests().len(), 1);
}

#[test]
fn a_failed_agent_run_carries_payload_and_error() {
    let scene = Scene::new();
    scene.model.on("boom", Script::new().status(400));
    let mut person = scene.person();
    let id = person.wire.send("agent", json!({"message": "boom", "idempotencyKey": "b1"}));
    person.wire.response(&id).expect("accepted");
    let end = person.wire.response_frame(&id);
    assert_eq!(end["ok"], false);
    assert_eq!((&end["payload"]["status"], &end["payload"]["runId"]), (&json!("error"), &json!("b1")));
    assert_eq!(end["error"]["code"], "UNAVAILABLE");
    assert_eq!(end["error"]["message"], end["payload"]["summary"]);
    let wrong =
        person.wire.request("agent", json!({"message": "x", "idempotencyKey": "b2", "agentId": "zzz"}));
    let wrong = wrong.expect_err("there is no such agent");
    assert_eq!(wrong["message"], "invalid agent params: unknown agent id \"zzz\"");
}

#[test]
fn agent_wait_tells_running_ended_and_unknown_apart() {
    let scene = Scene::new();
    scene.model.on("slowly", Script::new().wait("gate").text("here"));
    scene.model.on("boom", Script::new().status(400));
    let mut person = scene.person();
    let wait = |person: &mut Person, run: &str, ms: u64| {
        let reply = person.wire.request("agent.wait", json!({"runId": run, "timeoutMs": ms}));
        let reply = reply.expect("a reply");
        assert_eq!(reply["runId"], run);
        reply
    };
    let run = person.say("main", "slowly");
    let early = wait(&mut person, &run, 1);
    assert_eq!(early["status"], "timeout");
    assert!(early["endedAt"].is_null(), "{early}");
    let id = person.wire.send("agent.wait", json!({"runId": run}));
    // A second request is answered meanwhile: the wait holds up nobody.
    person.wire.request("health", json!({})).expect("well");
    scene.model.open("gate");
    let ended = person.wire.response(&id).expect("a reply");
    assert_eq!(ended["status"], "ok");
    assert!(ended["endedAt"].as_u64() >= ended["startedAt"].as_u64(), "{ended}");
    assert_eq!(wait(&mut person, &run, 60_000)["status"], "ok");
    assert_eq!(wait(&mut person, "nobody-knows", 1)["status"], "timeout");
    let run = person.say("main", "boom");
    let failed = wait(&mut person, &run, 60_000);
    assert_eq!(failed["status"], "error");
    assert!(failed["error"].as_str().is_some_and(|it| it.contains("scripted")), "{failed}");
}

#[test]
fn a_repeated_key_is_the_same_message() {
    let mut scene = Scene::new();
    scene.model.on("once", Script::new().wait("gate").text("only once"));
    let mut person = scene.person();
    let run = new_run();
    let params = json!({"sessionKey": "main", "message": "once", "idempotencyKey": run});
    let status = |person: &mut Person| {
        let reply = person.wire.request("chat.send", params.clone()).expect("a reply");
        assert_eq!(reply["runId"], run);
        reply["status"].as_str().expect("a word").to_owned()
    };
    assert_eq!(status(&mut person), "started");
    assert_eq!(status(&mut person), "in_flight");
    assert_eq!(status(&mut scene.person()), "in_flight");
    scene.model.open("gate");
    person.hear(&run);
    assert_eq!(status(&mut person), "ok");
    assert_eq!(person.history("main"), ["user: once", "assistant: only once"]);
    // Also in the next life of the gateway.
    assert_eq!(scene.gateway.stop(), 0);
    scene.restart();
    let mut person = scene.person();
    assert_eq!(status(&mut person), "ok");
    assert_eq!(person.history("main").len(), 2);
    assert_eq!(scene.model.requests().len(), 1);
}

#[test]
fn one_conversation_is_answered_in_order_and_two_at_the_same_time() {
    let scene = Scene::new();
    scene.model.on("first", Script::new().wait("first").text("1"));
    scene.model.on("second", Script::new().text("2"));
    scene.model.on("other", Script::new().text("3"));
    let mut person = scene.person();
    let first = person.say("main", "first");
    let second = person.say("main", "second");
    scene.model.reached("first");
    // Another conversation is answered while the first waits.
    assert_eq!(said(&person.ask("elsewhere", "other")), "final: 3");
    assert_eq!(scene.model.requests().len(), 2, "the second message was not held back");
    assert_eq!(person.history("main"), ["user: first"]);
    scene.model.open("first");
    assert_eq!(said(&person.hear(&second)), "final: 2");
    let before = person.wire.take_events();
    assert!(before.iter().any(|it| is_end(it, &first)), "the second was answered before the first");
    let history = person.history("main");
    assert_eq!(history, ["user: first", "assistant: 1", "user: second", "assistant: 2"]);
}

/// Every connection counts its events without a gap; every run its own, `agent` one by one.
#[track_caller]
fn check_counts(events: &[Value]) {
    let seqs: Vec<u64> = events.iter().map(|it| it["seq"].as_u64().expect("counted")).collect();
    let gapless = (seqs[0]..).zip(&seqs).all(|(wanted, seq)| wanted == *seq);
    assert!(gapless, "a gap in {seqs:?}");
    let steps: Vec<_> = of(events, "agent").iter().map(|it| it["seq"].as_u64().expect("counted")).collect();
    assert!(steps.iter().zip(1..).all(|(seq, wanted)| *seq == wanted), "{steps:?}");
    let all: Vec<_> = events.iter().map(|it| it["payload"]["seq"].as_u64().expect("counted")).collect();
    assert!(all.is_sorted(), "{all:?}");
}

/// The texts grow to `whole`, and each addition is what it says.
#[track_caller]
fn check_texts(events: &[Value], whole: &str) {
    let mut so_far = String::new();
    for data in of(events, "agent").iter().filter(|it| it["stream"] == "assistant").map(|it| &it["data"]) {
        so_far.push_str(data["delta"].as_str().expect("an addition"));
        assert_eq!(data["text"], so_far);
    }
    assert_eq!(so_far, whole);
    let mut so_far = String::new();
    for delta in of(events, "chat").iter().filter(|it| it["state"] == "delta") {
        so_far.push_str(delta["deltaText"].as_str().expect("an addition"));
        assert_eq!(text(&delta["message"]), so_far);
    }
    assert!(!so_far.is_empty() && whole.starts_with(&so_far), "{so_far:?}");
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|it| it["event"] == name).map(|it| &it["payload"]).collect()
}

/// A step in one word: the phase, or the text so far.
fn step(payload: &Value) -> String {
    let data = &payload["data"];
    data["phase"].as_str().or(data["text"].as_str()).unwrap_or_default().to_owned()
}
