//! A model that fails in every way that a network has: the person is told, and the conversation goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Output, Script, ScriptedModel};

use crate::scene::{KEY, MODEL, Person, Scene, line, new_run, said};
use crate::support::sandbox;

/// A way to fail, in a conversation of its own.
struct Fault {
    name: &'static str,
    script: Script,
    /// What the person is told, among other things.
    told: &'static [&'static str],
    /// What was said before, and is kept.
    kept: &'static str,
    /// How often the model is asked.
    asked: usize,
}

#[test]
fn every_failure_is_told_with_what_was_said_and_the_conversation_goes_on() {
    let faults = [
        Fault {
            name: "cut",
            script: Script::new().text("half an answer").pieces(2).cut_after(1),
            told: &["broke off before the end of the answer", "ask again"],
            kept: "half an",
            asked: 1,
        },
        Fault {
            name: "reset",
            script: Script::new().text("so far ").reset(),
            told: &["broke off before the end of the answer"],
            kept: "so far ",
            asked: 1,
        },
        Fault {
            name: "garbage",
            script: Script::new().text("so far ").garbage(),
            told: &["sent an answer that cannot be read", "oops"],
            kept: "so far ",
            asked: 1,
        },
        Fault {
            name: "refused",
            script: Script::new().status(400).error("bad", "we do not like this"),
            told: &["refused the request (HTTP 400): we do not like this"],
            kept: "",
            asked: 1,
        },
        Fault {
            name: "later",
            script: Script::new().status(429).retry_after("3600"),
            told: &["wants fewer requests (HTTP 429)", "try again in 1h"],
            kept: "",
            asked: 1,
        },
        Fault {
            name: "broken",
            script: Script::new().status(500).error("oops", "the cook is ill"),
            told: &["failed on its own side (HTTP 500): the cook is ill"],
            kept: "",
            asked: 3,
        },
        Fault {
            name: "silence",
            script: Script::new().reset(),
            told: &["broke off before the end of the answer: Connection reset"],
            kept: "",
            asked: 3,
        },
    ];
    let scene = Scene::new();
    let mut person = scene.person();
    // All at once: those that are asked again wait at the same time.
    let runs: Vec<String> = faults
        .iter()
        .map(|it| {
            scene.model.on(&format!("fail by {}", it.name), it.script.clone());
            person.say(it.name, &format!("fail by {}", it.name))
        })
        .collect();
    for (fault, run) in faults.iter().zip(&runs) {
        check_told(fault, &person.hear(run));
        let needle = format!("fail by {}", fault.name);
        let asked = scene.model.requests().iter().filter(|it| it.last_user() == needle).count();
        assert_eq!(asked, fault.asked, "{}", fault.name);
        check_kept(fault, &mut person);
    }
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[track_caller]
fn check_told(fault: &Fault, end: &Value) {
    assert_eq!(said(end), format!("error: {}", fault.kept), "{}: {end}", fault.name);
    let words = end["errorMessage"].as_str().expect("words");
    for part in fault.told.iter().chain(&["instance main", MODEL]) {
        assert!(words.contains(part), "{}: {part:?} is missing in {words:?}", fault.name);
    }
    assert_eq!(end["errorDetail"]["provider"], "scripted", "{end}");
}

/// The failure is in the history, once, and the next message is answered with the failed turn in sight.
#[track_caller]
fn check_kept(fault: &Fault, person: &mut Person) {
    person.check_goes_on(fault.name);
    let messages = person.messages(fault.name);
    let space = if fault.kept.is_empty() { "" } else { " " };
    let lines: Vec<String> = messages.iter().map(line).collect();
    let expected = [
        format!("user: fail by {}", fault.name),
        format!("assistant[error]:{space}{}", fault.kept),
        "user: are you there?".to_owned(),
        "assistant: echo: are you there?".to_owned(),
    ];
    assert_eq!(lines, expected);
    let noted = messages[1]["errorMessage"].as_str().unwrap_or_default();
    assert!(noted.contains(fault.told[0]), "{}: {noted:?}", fault.name);
}

#[test]
fn what_passes_by_itself_is_not_seen() {
    let scene = Scene::new();
    let well = || Script::new().text("well");
    scene.model.on("limit", Script::new().status(429).retry_after("1").then(well()));
    scene.model.on("server", Script::new().status(500).then(well()));
    scene.model.on("noise", Script::new().garbage().then(well()));
    scene.model.on("slow", Script::new().text("w e l l").pieces(7).pace(Duration::from_millis(20)));
    let mut person = scene.person();
    let began = Instant::now();
    let names = ["limit", "server", "noise", "slow"];
    let runs = names.map(|it| person.say(it, it));
    for (name, run) in names.iter().zip(&runs) {
        let text = if *name == "slow" { "w e l l" } else { "well" };
        assert_eq!(said(&person.hear(run)), format!("final: {text}"), "{name}");
        assert_eq!(person.history(name), [format!("user: {name}"), format!("assistant: {text}")]);
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "the wish to wait a second was not heeded");
}

#[test]
fn a_key_that_is_refused_is_told_and_shown_nowhere() {
    let key = "sk-a-key-that-nobody-may-see";
    let model = ScriptedModel::start().key(KEY);
    let scene = Scene::of(sandbox(), model, |it| {
        it["models"]["providers"]["scripted"]["apiKey"] = json!(key);
    });
    let mut person = scene.person();
    let run = person.say("main", "hello");
    let events = person.watch(&run);
    let end = &events.last().expect("an end")["payload"];
    let words = end["errorMessage"].as_str().expect("words");
    for part in ["did not accept the key (HTTP 401)", "Incorrect API key provided", "instance main", MODEL] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
    let output = Output::of(scene.command(&["agent", "-m", "hello", "--json"])).code(1);
    assert!(output.stderr.contains("Incorrect API key provided"), "{output}");
    let log = std::fs::read_to_string(scene.state().join("logs/gateway.log")).expect("a log");
    assert!(log.contains("turn failed"), "{log}");
    let history = json!(person.messages("main")).to_string();
    let shown = [json!(events).to_string(), output.to_string(), scene.gateway.log(), log, history];
    assert!(shown.iter().all(|it| !it.contains(key)), "the key is shown: {shown:?}");
}

#[test]
fn a_model_that_does_not_exist_is_told_in_the_providers_words() {
    let scene = Scene::with(|it| it["agents"]["defaults"]["model"] = json!("scripted/nope"));
    let end = scene.person().ask("main", "hello");
    let words = end["errorMessage"].as_str().expect("words");
    for part in ["HTTP 404", "The model `nope` does not exist", "instance main", "scripted/nope"] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
    let wrong = Scene::with(|it| it["agents"]["defaults"]["model"] = json!("nobody/x"));
    let mut person = wrong.person();
    let end = person.ask("main", "hello");
    let words = end["errorMessage"].as_str().expect("words").to_owned();
    for part in ["there is no provider \"nobody\"", "models.providers.nobody.baseUrl", "openclaw.json"] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
    assert_eq!(person.history("main"), ["user: hello".to_owned(), format!("assistant[error]: {words}")]);
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let scene = Scene::with(|it| {
        it["models"]["providers"]["scripted"]["baseUrl"] = json!("http://127.0.0.1:1/v1");
    });
    let end = scene.person().ask("main", "hello");
    let words = end["errorMessage"].as_str().expect("words");
    for part in ["scripted cannot be reached", "127.0.0.1:1", "instance main", MODEL] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
}

#[test]
fn a_turn_that_is_stopped_keeps_what_was_said_and_lets_the_model_go() {
    let scene = Scene::new();
    scene.model.on("talk", Script::new().text("once upon a time").wait("never"));
    scene.model.on("hang", Script::new().hang());
    let mut person = scene.person();
    let run = person.say("main", "talk");
    person.wait_said(&run, "once upon a time");
    let abort = |person: &mut Person, params: Value| person.wire.request("chat.abort", params);
    let wrong = abort(&mut person, json!({"sessionKey": "work", "runId": run})).expect_err("not its session");
    assert_eq!(wrong["message"], "runId does not match sessionKey");
    let nobody = abort(&mut person, json!({"sessionKey": "main", "runId": "nobody"}));
    assert_eq!(nobody, Ok(json!({"ok": true, "aborted": false, "runIds": []})));
    abort(&mut person, json!({"sessionKey": "main"})).expect("stopped");
    let end = person.hear(&run);
    assert_eq!((said(&end).as_str(), &end["stopReason"]), ("aborted: once upon a time", &json!("rpc")));
    scene.model.wait_disconnect();
    assert_eq!(person.history("main"), ["user: talk", "assistant[aborted]: once upon a time"]);

    let run = person.say("main", "hang");
    scene.model.wait_requests(2);
    abort(&mut person, json!({"sessionKey": "main"})).expect("stopped");
    assert_eq!(said(&person.hear(&run)), "aborted: ");
    scene.model.wait_disconnect();
    person.check_goes_on("main");
    let requests = scene.model.requests();
    let shown = requests.last().expect("asked").messages();
    assert_eq!(shown[2]["content"], "once upon a time", "what was said is not shown: {shown:?}");
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn a_turn_has_its_time_and_no_more() {
    let scene = Scene::new();
    scene.model.on("talk", Script::new().text("well,").wait("never"));
    let mut person = scene.person();
    let run = new_run();
    let params = json!({"sessionKey": "main", "message": "talk", "idempotencyKey": run, "timeoutMs": 300});
    person.wire.request("chat.send", params).expect("started");
    let end = person.hear(&run);
    assert_eq!((said(&end).as_str(), &end["stopReason"]), ("aborted: well,", &json!("timeout")));
    scene.model.wait_disconnect();
    assert_eq!(person.history("main"), ["user: talk", "assistant[aborted]: well,"]);
    person.check_goes_on("main");
    let output = Output::of(scene.command(&["agent", "-m", "talk", "--timeout", "1"])).code(75);
    assert!(output.stderr.contains("the turn was stopped after its limit of 1 s"), "{output}");
}
