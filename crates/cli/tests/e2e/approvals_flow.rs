//! Approvals of commands: a person is asked, what was shown is what runs, and nothing else does.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene, line, text, write};

/// A gateway that asks a person, and one who may approve.
fn asking(exec: Value) -> (Scene, Person) {
    let scene = Scene::with(|it| it["tools"] = json!({"exec": exec}));
    let approver = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    (scene, approver)
}

fn on_miss() -> (Scene, Person) {
    asking(json!({"security": "allowlist", "ask": "on-miss"}))
}

/// Somebody who may talk and not approve.
fn talker(scene: &Scene) -> Person {
    scene.person_with(|it| it["scopes"] = json!(["operator.read", "operator.write"]))
}

/// Lets the model call `exec`; the run.
fn begin(scene: &Scene, person: &mut Person, command: &str) -> String {
    scene.model.on("please", Script::new().call("exec", json!({"command": command})));
    person.say("main", "please")
}

/// What a person is asked.
fn asked(approver: &mut Person) -> Value {
    approver.wire.next_event(|it| it["event"] == "exec.approval.requested")["payload"].clone()
}

fn decide(approver: &mut Person, asked: &Value, decision: &str) {
    let done =
        approver.wire.request("exec.approval.resolve", json!({"id": asked["id"], "decision": decision}));
    assert_eq!(done, Ok(json!({"ok": true})));
}

/// What came of the call.
fn result(person: &mut Person, run: &str) -> Value {
    person.hear(run);
    let messages = person.messages("main");
    messages[messages.len() - 2].clone()
}

/// Whether nobody was asked so far.
fn is_quiet(approver: &mut Person) -> bool {
    let open = approver.wire.request("exec.approval.list", json!({})).expect("a list");
    let told = approver.wire.take_events();
    open == json!([]) && !told.iter().any(|it| it["event"] == "exec.approval.requested")
}

#[test]
fn what_was_shown_runs_once_and_is_asked_for_again() {
    let (scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    for _ in 0..2 {
        let run = begin(&scene, &mut person, "touch 'a b'");
        let it = asked(&mut approver);
        let request = &it["request"];
        assert_eq!(
            (&request["command"], &request["commandArgv"]),
            (&json!("touch 'a b'"), &json!(["touch", "a b"]))
        );
        assert_eq!(request["cwd"], scene.workspace().display().to_string());
        assert_eq!(request["allowedDecisions"], json!(["allow-once", "allow-always", "deny"]));
        assert_eq!((&request["runId"], &request["host"]), (&json!(run), &json!("gateway")));
        assert!(request["resolvedPath"].as_str().is_some_and(|it| it.starts_with('/')), "{request}");
        let shown = approver.wire.request("exec.approval.get", json!({"id": it["id"]})).expect("shown");
        assert_eq!(shown["commandText"], "touch 'a b'");
        assert!(!scene.workspace().join("a b").exists(), "it ran before it was approved");
        // Other conversations go on meanwhile.
        person.check_goes_on("other");
        decide(&mut approver, &it, "allow-once");
        assert_eq!(line(&result(&mut person, &run)), "toolResult:");
        fs::remove_file(scene.workspace().join("a b")).expect("it ran");
        let resolved =
            approver.wire.next_event(|it| it["event"] == "exec.approval.resolved")["payload"].clone();
        assert_eq!((&resolved["id"], &resolved["decision"]), (&it["id"], &json!("allow-once")));
        let again =
            approver.wire.request("exec.approval.resolve", json!({"id": it["id"], "decision": "deny"}));
        assert_eq!(again.expect_err("over")["details"]["reason"], "APPROVAL_NOT_FOUND");
    }
}

#[test]
fn what_is_always_allowed_is_that_command_and_no_other() {
    let (mut scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    let run = begin(&scene, &mut person, "echo hi there");
    let it = asked(&mut approver);
    decide(&mut approver, &it, "allow-always");
    assert_eq!(line(&result(&mut person, &run)), "toolResult: hi there");
    scene.gateway.stop();
    scene.restart();
    let (mut person, mut approver) =
        (talker(&scene), scene.person_with(|it| it["scopes"] = json!(["operator.approvals"])));
    let run = begin(&scene, &mut person, "echo hi  there");
    assert_eq!(line(&result(&mut person, &run)), "toolResult: hi there");
    assert!(is_quiet(&mut approver));
    let run = begin(&scene, &mut person, "echo hi");
    let it = asked(&mut approver);
    decide(&mut approver, &it, "deny");
    let refused = result(&mut person, &run);
    assert!(line(&refused).starts_with("toolResult[failed]:") && text(&refused).contains("a person refused"));
}

#[test]
fn no_trick_of_a_shell_runs_unapproved() {
    let (scene, mut approver) = on_miss();
    let program = |it: &str| fs::canonicalize(format!("/usr/bin/{it}")).expect("there").display().to_string();
    let list = ["echo", "env", "sh", "touch"].map(|it| json!({"pattern": program(it)}));
    let mut admin = scene.person();
    let file = json!({"version": 1, "agents": {"main": {"allowlist": list}}});
    admin.wire.request("exec.approvals.set", json!({"file": file})).expect("set");
    let mut person = talker(&scene);
    let run = begin(&scene, &mut person, "echo listed");
    assert_eq!(line(&result(&mut person, &run)), "toolResult: listed");
    for trick in [
        "echo a; touch hacked",
        "echo $(touch hacked)",
        "echo `touch hacked`",
        "echo \"$(touch hacked)\"",
        "echo a\ntouch hacked",
        "X=1 touch hacked",
        "env X=1 touch hacked",
        "sh -c 'touch hacked'",
        "echo a && touch hacked",
        "echo a | tee hacked",
        "echo a > hacked",
        "echo a & touch hacked",
        "PATH=. echo a",
        "/usr/bin/env touch hacked",
        "./echo a",
    ] {
        write(&scene.workspace().join("echo"), "#!/bin/sh\ntouch hacked\n");
        let run = begin(&scene, &mut person, trick);
        let it = asked(&mut approver);
        assert_eq!(it["request"]["command"], trick);
        if it["request"]["commandArgv"].is_null() {
            let always = json!({"id": it["id"], "decision": "allow-always"});
            let refused = approver.wire.request("exec.approval.resolve", always).expect_err("not offered");
            assert!(
                refused["message"].as_str().is_some_and(|it| it.starts_with("invalid decision")),
                "{refused}"
            );
        }
        decide(&mut approver, &it, "deny");
        assert!(line(&result(&mut person, &run)).starts_with("toolResult[failed]:"), "{trick}");
        assert!(!scene.workspace().join("hacked").exists(), "{trick}");
    }
}

#[test]
fn a_program_that_was_changed_after_the_approval_does_not_run() {
    let (scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    person.check_goes_on("main");
    let tool = scene.workspace().join("tool");
    fs::copy("/usr/bin/true", &tool).expect("copied");
    let run = begin(&scene, &mut person, "./tool");
    let it = asked(&mut approver);
    fs::remove_file(&tool).expect("ours");
    fs::copy("/usr/bin/touch", &tool).expect("copied");
    decide(&mut approver, &it, "allow-once");
    let refused = result(&mut person, &run);
    assert!(text(&refused).contains("has changed since"), "{refused}");
}

#[test]
fn with_nobody_to_ask_it_is_refused_at_once_and_late_answers_are_none() {
    let (scene, approver) = on_miss();
    approver.wire.close();
    let mut person = talker(&scene);
    let began = Instant::now();
    let run = begin(&scene, &mut person, "touch x");
    let refused = result(&mut person, &run);
    assert!(text(&refused).contains("nobody who may approve is connected"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(20) && !scene.workspace().join("x").exists());
}

#[test]
fn a_turn_that_is_stopped_takes_its_question_along() {
    let (scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    let run = begin(&scene, &mut person, "touch x");
    let it = asked(&mut approver);
    person.wire.request("chat.abort", json!({"sessionKey": "main", "runId": run})).expect("stopped");
    assert_eq!(person.hear(&run)["state"], "aborted");
    let resolved = approver.wire.next_event(|it| it["event"] == "exec.approval.resolved")["payload"].clone();
    assert_eq!((&resolved["decision"], &resolved["terminalReason"]), (&Value::Null, &json!("aborted")));
    let late =
        approver.wire.request("exec.approval.resolve", json!({"id": it["id"], "decision": "allow-once"}));
    assert_eq!(late.expect_err("over")["message"], "unknown or expired approval id");
    assert!(is_quiet(&mut approver) && !scene.workspace().join("x").exists());
}

#[test]
fn an_approver_may_go_and_another_decide_and_the_turns_time_stands_still() {
    let (scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    scene.model.on("please", Script::new().call("exec", json!({"command": "echo done"})));
    let run = crate::scene::new_run();
    let params = json!({"sessionKey": "main", "message": "please", "idempotencyKey": run, "timeoutMs": 3000});
    person.wire.request("chat.send", params).expect("started");
    let it = asked(&mut approver);
    approver.wire.close();
    // The turn's time runs out here, if it runs.
    let ended =
        person.wire.request("agent.wait", json!({"runId": run, "timeoutMs": 4000})).expect("an answer");
    assert_eq!(ended["status"], "timeout", "{ended}");
    let mut other = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    let open = other.wire.request("exec.approval.list", json!({})).expect("a list");
    assert_eq!(open[0]["id"], it["id"]);
    decide(&mut other, &it, "allow-once");
    assert_eq!(line(&result(&mut person, &run)), "toolResult: done");
}

#[test]
fn a_gateway_that_is_killed_meanwhile_runs_nothing_and_says_so() {
    let (mut scene, mut approver) = on_miss();
    let mut person = talker(&scene);
    let run = begin(&scene, &mut person, "touch x");
    asked(&mut approver);
    scene.gateway.kill();
    scene.restart();
    let mut person = talker(&scene);
    let history = person.history("main");
    assert!(!scene.workspace().join("x").exists());
    assert!(history.iter().any(|it| it.contains("The gateway ended")), "{history:#?}");
    let ended =
        person.wire.request("agent.wait", json!({"runId": run, "timeoutMs": 1000})).expect("an answer");
    assert_ne!(ended["status"], "ok", "{ended}");
    let mut approver = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    assert!(is_quiet(&mut approver));
}

#[test]
fn the_policy_denies_or_asks_each_time_and_a_broken_document_allows_nothing() {
    let scene = Scene::with(|it| it["tools"] = json!({"exec": {"ask": "always"}}));
    let mut approver = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    let mut person = talker(&scene);
    let run = begin(&scene, &mut person, "echo a; echo b");
    let it = asked(&mut approver);
    assert_eq!(it["request"]["allowedDecisions"], json!(["allow-once", "deny"]));
    decide(&mut approver, &it, "allow-once");
    assert_eq!(line(&result(&mut person, &run)), "toolResult: a\nb");
    write(&scene.state().join("exec-approvals.json"), r#"{"version": 1, "defaults": {"security": "deny"}}"#);
    let run = begin(&scene, &mut person, "echo a");
    assert!(text(&result(&mut person, &run)).contains("switched off"));
    write(&scene.state().join("exec-approvals.json"), "{");
    let run = begin(&scene, &mut person, "echo a");
    assert!(text(&result(&mut person, &run)).contains("cannot be used"));
    assert!(is_quiet(&mut approver));
}

#[test]
fn a_program_asks_too_and_its_own_connection_does_not_count() {
    let (scene, mut one) = on_miss();
    let params = json!({"id": "q1", "command": "rm x", "timeoutMs": 20_000});
    let alone = one.wire.request("exec.approval.request", params.clone()).expect("an answer");
    assert_eq!((&alone["decision"], &alone["terminalReason"]), (&Value::Null, &json!("no-approval-route")));
    let mut two = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    let phased = json!({"id": "q2", "command": "rm x", "timeoutMs": 20_000, "twoPhase": true});
    let accepted = one.wire.request("exec.approval.request", phased).expect("accepted");
    assert_eq!((&accepted["status"], &accepted["id"]), (&json!("accepted"), &json!("q2")));
    let twice = one.wire.request("exec.approval.request", json!({"id": "q2", "command": "rm x"}));
    assert_eq!(twice.expect_err("twice")["message"], "approval id already pending");
    let it = asked(&mut two);
    let wrong = two.wire.request("exec.approval.resolve", json!({"id": "q2", "decision": "maybe"}));
    assert_eq!(wrong.expect_err("wrong")["message"], "invalid decision");
    decide(&mut two, &it, "deny");
    let decided = one.wire.request("exec.approval.waitDecision", json!({"id": "q2"})).expect("decided");
    assert_eq!((&decided["decision"], &decided["terminalReason"]), (&json!("deny"), &json!("user")));
    let brief = json!({"id": "q3", "command": "rm x", "timeoutMs": 50});
    let expired = one.wire.request("exec.approval.request", brief).expect("an answer");
    assert_eq!((&expired["decision"], &expired["terminalReason"]), (&Value::Null, &json!("expired")));
    let long = json!({"command": "x".repeat(100_000)});
    let refused = one.wire.request("exec.approval.request", long).expect_err("too long");
    assert!(refused["message"].as_str().is_some_and(|it| it.contains("too long to be shown")), "{refused}");
    // Who may talk may not approve.
    let mut person = talker(&scene);
    let refused = person.wire.request("exec.approval.resolve", json!({"id": "q3", "decision": "deny"}));
    assert_eq!(refused.expect_err("no right")["message"], "missing scope: operator.approvals");
}

#[test]
fn the_document_is_replaced_as_it_was_read_and_its_token_is_shown_to_nobody() {
    let scene = Scene::new();
    let mut admin = scene.person();
    let path = scene.state().join("exec-approvals.json");
    let none = admin.wire.request("exec.approvals.get", json!({})).expect("a document");
    assert_eq!((&none["exists"], &none["path"]), (&json!(false), &json!(path.display().to_string())));
    assert!(!path.exists(), "nothing is written by looking");
    write(
        &path,
        r#"{"version": 1, "socket": {"path": "/x", "token": "hush-hush"}, "agents": {"a": {"allowlist": []}}}"#,
    );
    let read = admin.wire.request("exec.approvals.get", json!({})).expect("a document");
    assert!(!read.to_string().contains("hush-hush") && read["file"]["socket"]["path"] == "/x", "{read}");
    let blind = admin.wire.request("exec.approvals.set", json!({"file": read["file"]}));
    assert!(
        blind.expect_err("no hash")["message"].as_str().is_some_and(|it| it.contains("base hash required"))
    );
    let stale =
        admin.wire.request("exec.approvals.set", json!({"file": read["file"], "baseHash": none["hash"]}));
    assert!(stale.expect_err("stale")["message"].as_str().is_some_and(|it| it.contains("changed")));
    let mut file = read["file"].clone();
    file["defaults"] = json!({"ask": "always"});
    let set = admin.wire.request("exec.approvals.set", json!({"file": file, "baseHash": read["hash"]}));
    assert_eq!(
        set.expect("set")["resolvedDefaults"],
        json!({"security": "full", "ask": "always", "askFallback": "deny"})
    );
    assert!(fs::read_to_string(&path).expect("there").contains("hush-hush"), "the token stays");
    let bad =
        admin.wire.request("exec.approvals.set", json!({"file": {"version": 1, "defaults": {"ask": "x"}}}));
    bad.expect_err("no such word");
}
