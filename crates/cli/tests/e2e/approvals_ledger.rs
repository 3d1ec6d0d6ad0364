//! Approvals by their common methods: one answer counts, every later one is told which, and what has ended is listed.

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene};

fn asking() -> (Scene, Person) {
    let scene = Scene::with(|it| it["tools"] = json!({"exec": {"security": "allowlist", "ask": "on-miss"}}));
    let approver = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    (scene, approver)
}

/// Lets the model call `exec`; the id of the approval.
fn asked(scene: &Scene, approver: &mut Person, person: &mut Person, command: &str) -> (Value, String) {
    scene.model.on("please", Script::new().call("exec", json!({"command": command})));
    let run = person.say("main", "please");
    let event = approver.wire.next_event(|it| it["event"] == "exec.approval.requested");
    (event["payload"]["id"].clone(), run)
}

fn message(refused: Result<Value, Value>) -> String {
    refused.expect_err("refused")["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_first_answer_counts_and_later_ones_are_told_of_it() {
    let (scene, mut approver) = asking();
    let mut person = scene.person_with(|it| it["scopes"] = json!(["operator.read", "operator.write"]));
    let (id, run) = asked(&scene, &mut approver, &mut person, "echo once");
    let found =
        approver.wire.request("approval.get", json!({"id": id})).expect("it waits")["approval"].clone();
    assert_eq!((&found["status"], &found["id"]), (&json!("pending"), &id));
    let presentation = &found["presentation"];
    assert_eq!((&presentation["kind"], &presentation["commandText"]), (&json!("exec"), &json!("echo once")));
    assert_eq!(presentation["allowedDecisions"], json!(["allow-once", "allow-always", "deny"]));
    assert_eq!(found.get("resolvedAtMs"), None);
    assert!(presentation.get("cwd").is_none() && presentation.get("envKeys").is_none(), "{presentation}");
    let empty = approver.wire.request("approval.history", json!({})).expect("a list");
    assert_eq!(empty["items"], json!([]), "what waits is no history");
    // Who may not approve, another kind, a decision with an end, nobody's id: nothing is decided.
    let wish = |kind: &str| json!({"id": id, "kind": kind, "decision": "allow-once"});
    assert!(message(person.wire.request("approval.resolve", wish("exec"))).starts_with("missing scope"));
    assert_eq!(message(approver.wire.request("approval.resolve", wish("plugin"))), "approval not found");
    let mut ending = wish("exec");
    ending["grantExpiresInDays"] = json!(3);
    assert!(message(approver.wire.request("approval.resolve", ending)).contains("at /grantExpiresInDays"));
    let nobody = approver.wire.request("approval.get", json!({"id": "nobody"})).expect_err("none");
    assert_eq!(nobody["details"]["reason"], "APPROVAL_NOT_FOUND");
    let done = approver.wire.request("approval.resolve", wish("exec")).expect("decided");
    assert_eq!((&done["applied"], &done["approval"]["status"]), (&json!(true), &json!("allowed")));
    person.hear(&run);
    let late = json!({"id": id, "kind": "exec", "decision": "deny"});
    let late = approver.wire.request("approval.resolve", late).expect("told");
    assert_eq!((&late["applied"], &late["approval"]["decision"]), (&json!(false), &json!("allow-once")));
    assert_eq!(late["approval"]["source"]["sessionKey"], "agent:main:main");
    assert_eq!(late["approval"]["resolver"]["kind"], "runtime");
}

#[test]
fn what_has_ended_is_listed_page_by_page() {
    let (scene, mut approver) = asking();
    let mut person = scene.person_with(|it| it["scopes"] = json!(["operator.read", "operator.write"]));
    let mut ids = Vec::new();
    for at in 0..3 {
        let (id, run) = asked(&scene, &mut approver, &mut person, &format!("echo {at}"));
        let wish = json!({"id": id, "kind": "exec", "decision": "deny"});
        approver.wire.request("approval.resolve", wish).expect("decided");
        person.hear(&run);
        ids.insert(0, id);
    }
    let page = |approver: &mut Person, params: Value| {
        let page = approver.wire.request("approval.history", params).expect("a page");
        let ids: Vec<Value> =
            page["items"].as_array().expect("items").iter().map(|it| it["id"].clone()).collect();
        (ids, page["nextCursor"].clone())
    };
    let (first, cursor) = page(&mut approver, json!({"limit": 2}));
    let (second, end) = page(&mut approver, json!({"limit": 2, "cursor": cursor}));
    let mut all = [first, second].concat();
    assert_eq!((all.len(), end), (3, Value::Null));
    all.sort_by_key(ToString::to_string);
    ids.sort_by_key(ToString::to_string);
    assert_eq!(all, ids);
    assert_eq!(page(&mut approver, json!({"kind": "plugin"})).0, Vec::<Value>::new());
    for (params, text) in [
        (json!({"limit": 0}), "at /limit"),
        (json!({"cursor": "x"}), "invalid approval.history cursor"),
        (json!({"kind": "toast"}), "at /kind"),
    ] {
        let refused = message(approver.wire.request("approval.history", params));
        assert!(refused.contains(text), "{refused}");
    }
}
