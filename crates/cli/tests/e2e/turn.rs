//! One turn from the command line: the answer, the transcript, what the model is shown.

use std::thread;

use serde_json::json;
use testkit::{Output, Script, ScriptedModel, Wire};

use crate::scene::{KEY, MODEL, Person, Scene, TOKEN, configure, start_all, write};
use crate::support::sandbox;

#[test]
fn a_question_on_the_command_line_is_answered_and_kept() {
    let scene = Scene::new();
    scene.model.on("capital", Script::new().text("Paris."));
    let output = Output::of(scene.command(&["agent", "--message", "What is the capital?"])).success();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("Paris.\n", ""));
    assert!(scene.state().join("gateway.sqlite").is_file());
    let history = scene.person().history("main");
    assert_eq!(history, ["user: What is the capital?", "assistant: Paris."]);
}

#[test]
fn json_carries_the_answer_and_what_it_cost() {
    let scene = Scene::new();
    let output =
        Output::of(scene.command(&["agent", "-m", "hi", "--session-id", "demo", "--json"])).success();
    let reply = output.json();
    assert_eq!((&reply["status"], &reply["summary"]), (&json!("ok"), &json!("completed")));
    assert!(reply["runId"].as_str().is_some_and(|it| !it.is_empty()), "{reply}");
    assert_eq!(reply["result"]["payloads"], json!([{"text": "echo: hi", "mediaUrl": null}]));
    let meta = &reply["result"]["meta"]["agentMeta"];
    assert_eq!(meta["provider"], "scripted");
    assert_eq!(meta["model"], "scripted-1");
    assert_eq!(meta["sessionId"], "demo");
    let usage = |name: &str| meta["usage"][name].as_u64().expect("a number");
    assert!(usage("input") > 0 && usage("output") > 0, "{meta}");
    assert_eq!(usage("total"), usage("input") + usage("output"));
    assert!(reply["result"]["meta"]["durationMs"].is_u64(), "{reply}");
}

#[test]
fn a_conversation_goes_on_by_its_id_and_no_other_is_in_it() {
    let scene = Scene::new();
    let ask = |session: &str, message: &str| {
        let _ = Output::of(scene.command(&["agent", "-m", message, "--session-id", session])).success();
        let requests = scene.model.requests();
        let shown = requests.last().expect("it was asked").messages();
        assert_eq!(shown[0]["role"], "system");
        let rest = shown[1..].iter().map(|it| it["content"].as_str().unwrap_or_default().to_owned());
        rest.collect::<Vec<_>>()
    };
    assert_eq!(ask("one", "I am Ada"), ["I am Ada"]);
    assert_eq!(ask("one", "who am I?"), ["I am Ada", "echo: I am Ada", "who am I?"]);
    assert_eq!(ask("two", "and now?"), ["and now?"]);
    assert_eq!(scene.model.refusals(), [""; 0]);
}

#[test]
fn the_model_is_told_the_instance_and_what_the_workspace_says() {
    let scene = Scene::new();
    let _ = Output::of(scene.command(&["agent", "-m", "one"])).success();
    write(&scene.workspace().join("SOUL.md"), "You are a pirate of 1720.");
    let _ = Output::of(scene.command(&["agent", "-m", "two"])).success();
    let requests = scene.model.requests();
    let system = |at: usize| requests[at].messages()[0]["content"].as_str().expect("a text").to_owned();
    assert!(system(0).contains("`main`") && !system(0).contains("pirate"), "{}", system(0));
    assert!(
        system(1).contains("<file name=\"SOUL.md\">\nYou are a pirate of 1720.\n</file>"),
        "{}",
        system(1)
    );
    assert!(system(1).contains("<file name=\"AGENTS.md\">"), "{}", system(1));
    assert!(system(1).contains(&scene.workspace().display().to_string()), "{}", system(1));
}

#[test]
fn a_failure_on_the_command_line_is_told_in_both_forms() {
    let scene = Scene::new();
    scene.model.on("boom", Script::new().status(400).error("bad", "no such luck"));
    let output = Output::of(scene.command(&["agent", "-m", "boom"])).code(1);
    assert_eq!(output.stdout, "");
    for part in ["instance main", MODEL, "no such luck"] {
        assert!(output.stderr.contains(part), "{part} is missing in {output}");
    }
    let output = Output::of(scene.command(&["agent", "-m", "boom", "--json"])).code(1);
    assert_eq!(output.json()["status"], "error");
    assert!(output.json()["summary"].as_str().is_some_and(|it| it.contains("no such luck")), "{output}");
}

#[test]
fn two_gateways_asked_at_once_keep_to_themselves() {
    let (sandbox, model) = (sandbox(), ScriptedModel::start().key(KEY));
    let names = ["main", "rescue"];
    for name in names {
        configure(&sandbox, name, &model.base_url(), |_| {});
        model.on(&format!("I am {name}"), Script::new().wait("both").text(format!("hello, {name}")));
    }
    let (_bases, gateways) = start_all(&sandbox, &names);
    thread::scope(|scope| {
        let asked = names.map(|name| {
            let message = format!("I am {name}");
            let command = sandbox.command(&["--profile", name, "agent", "-m", &message]);
            scope.spawn(move || Output::of(command).success())
        });
        model.reached("both");
        model.reached("both");
        model.open("both");
        for (name, output) in names.iter().zip(asked) {
            let output = output.join().expect("it was answered");
            assert_eq!(output.stdout, format!("hello, {name}\n"));
        }
    });
    for (name, gateway) in names.iter().zip(&gateways) {
        let mut person = Person { wire: Wire::connect(gateway.port(), TOKEN) };
        let expected = [format!("user: I am {name}"), format!("assistant: hello, {name}")];
        assert_eq!(person.history("main"), expected);
        let listed = person.wire.request("sessions.list", json!({})).expect("a list");
        assert_eq!(listed["totalCount"], 1, "{listed}");
    }
    let shown: Vec<String> = model.requests().iter().map(|it| it.body["messages"].to_string()).collect();
    assert!(shown.iter().all(|it| !(it.contains("I am main") && it.contains("I am rescue"))), "{shown:?}");
}
