//! `wizard.*`: the walk of `onboard`, from afar.
#![allow(clippy::disallowed_methods, reason = "a test puts a file back as it was")]

use std::fs;

use serde_json::{Value, json};
use testkit::{Output, Sandbox, ScriptedModel, tree};

use crate::support::{offline, sandbox, set_up, start};

fn call(sandbox: &Sandbox, method: &str, params: &Value) -> Output {
    sandbox.run(&["--profile", "a", "gateway", "call", method, "--params", &params.to_string(), "--json"])
}

#[track_caller]
fn ask(sandbox: &Sandbox, method: &str, params: &Value) -> Value {
    call(sandbox, method, params).success().json()
}

#[track_caller]
fn next(sandbox: &Sandbox, id: &Value, step: &str, value: &Value) -> Value {
    ask(sandbox, "wizard.next", &json!({"sessionId": id, "answer": {"stepId": step, "value": value}}))
}

#[test]
fn a_walk_from_afar_ends_with_what_flags_would_have_made() {
    let model = ScriptedModel::start().key("sk-right");
    let sandbox = sandbox().env("OPENAI_BASE_URL", model.base_url());
    let base = set_up(&sandbox, "a");
    let path = sandbox.state(Some("a")).join("openclaw.json");
    let before = fs::read_to_string(&path).expect("a config");
    let mut gateway = sandbox.start(&["--profile", "a"], base.port());
    let begun = ask(&sandbox, "wizard.start", &json!({"mode": "local", "flow": "advanced"}));
    assert_eq!((&begun["done"], &begun["status"]), (&json!(false), &json!("running")), "{begun}");
    let id = begun["sessionId"].clone();
    let mut step = begun["step"].clone();
    let mut ids = Vec::new();
    for _ in 0..40 {
        let name = step["id"].as_str().expect("an id").to_owned();
        let value = match name.as_str() {
            "risk" => json!(true),
            "model.provider" => json!("openai"),
            "model.key" if ids.last().map(String::as_str) == Some("model.key.check") => json!("sk-right"),
            "model.key" => json!("sk-wrong"),
            "model.key.check" => json!("back"),
            _ => Value::Null,
        };
        if name == "model.key" {
            assert_eq!((&step["sensitive"], &step["type"]), (&json!(true), &json!("text")), "{step}");
            assert!(step.get("initialValue").is_none(), "{step}");
        }
        let answered = next(&sandbox, &id, &name, &value);
        ids.push(name);
        assert!(!answered.to_string().contains("sk-"), "{answered}");
        if answered["done"] == true {
            assert_eq!(answered["status"], "done", "{answered}");
            break;
        }
        assert_eq!(fs::read_to_string(&path).expect("there"), before, "nothing is written before the end");
        step = answered["step"].clone();
    }
    assert_eq!(ids.last().map(String::as_str), Some("summary"), "{ids:?}");
    assert!(
        ids.contains(&"model.key.check".to_owned()) && ids.contains(&"access.token".to_owned()),
        "{ids:?}"
    );
    assert_eq!(ask(&sandbox, "wizard.status", &json!({"sessionId": id}))["status"], "done");
    assert_eq!(gateway.stop(), 0);
    let log = fs::read_to_string(sandbox.state(Some("a")).join("logs/gateway.log")).expect("a log");
    assert!(!log.contains("sk-wrong") && !log.contains("sk-right"), "{log}");

    let from_afar = fs::read_to_string(&path).expect("there");
    fs::write(&path, &before).expect("writable");
    let args = ["--profile", "a", "onboard", "--non-interactive", "--accept-risk", "--flow", "advanced"];
    let _ = sandbox.run(&[&args[..], &["--openai-api-key", "sk-right"]].concat()).success();
    assert_eq!(from_afar, fs::read_to_string(&path).expect("there"));
}

#[test]
fn one_walk_at_a_time_and_a_cancelled_one_has_written_nothing() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "a");
    let config = sandbox.state(Some("a")).join("openclaw.json");
    let before =
        (fs::read(&config).expect("there"), tree::hash(&sandbox.state(Some("a")).join("workspace-a")));
    let id = ask(&sandbox, "wizard.start", &json!({}))["sessionId"].clone();
    let second = call(&sandbox, "wizard.start", &json!({})).code(1);
    assert!(second.stderr.contains("wizard already running"), "{second}");
    let unknown = call(&sandbox, "wizard.next", &json!({"sessionId": "nope"})).code(1);
    assert!(unknown.stderr.contains("wizard not found"), "{unknown}");
    // A step that is not asked, an answer that is none, and a step back.
    let answered = next(&sandbox, &id, "summary", &json!(true));
    assert!(answered["error"].as_str().is_some_and(|it| it.contains("found")), "{answered}");
    assert_eq!(next(&sandbox, &id, "found", &Value::Null)["step"]["id"], "risk");
    let answered = next(&sandbox, &id, "risk", &json!("perhaps"));
    assert_eq!((&answered["step"]["id"], &answered["error"]), (&json!("risk"), &json!("answer yes or no")));
    let back = json!({"sessionId": id, "answer": {"stepId": "risk", "back": true}});
    assert_eq!(ask(&sandbox, "wizard.next", &back)["step"]["id"], "found");
    assert_eq!(ask(&sandbox, "wizard.status", &json!({"sessionId": id}))["status"], "running");
    assert_eq!(ask(&sandbox, "wizard.cancel", &json!({"sessionId": id}))["status"], "cancelled");
    assert_eq!(next(&sandbox, &id, "found", &Value::Null)["status"], "cancelled");
    let after =
        (fs::read(&config).expect("there"), tree::hash(&sandbox.state(Some("a")).join("workspace-a")));
    assert_eq!(after, before);
    // The next one may begin.
    let _ = ask(&sandbox, "wizard.start", &json!({"workspace": "~/notes"}));
    let remote = call(&sandbox, "wizard.start", &json!({"mode": "remote"})).code(1);
    assert!(remote.stderr.contains("local"), "{remote}");
    assert_eq!(gateway.stop(), 0);
}
