//! Nodes: they are asked for what somebody has approved, they alone, and only while somebody waits.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use testkit::wire::connect_params;
use testkit::{Node, Script, Wire};

use crate::scene::{Person, Scene, TOKEN, text, until};

/// A gateway, somebody who may do everything, and a node that was approved.
fn approved(commands: &[&str]) -> (Scene, Person, Node) {
    let scene =
        Scene::with(|it| it["gateway"]["nodes"] = json!({"allowCommands": ["test.echo", "test.slow"]}));
    let mut admin = scene.person();
    let node = connect(&scene, 1, commands);
    let request = pending(&mut admin)["requestId"].clone();
    admin.wire.request("node.pair.approve", json!({"requestId": request})).expect("approved");
    (scene, admin, node)
}

fn connect(scene: &Scene, seed: u8, commands: &[&str]) -> Node {
    Node::connect(scene.gateway.port(), TOKEN, seed, commands).unwrap_or_else(|it| panic!("refused: {it:?}"))
}

/// What waits for approval; the node's arrival is told after its hello.
fn pending(admin: &mut Person) -> Value {
    until("nothing waits", || {
        let list = admin.wire.request("node.pair.list", json!({})).expect("a list");
        Some(list["pending"][0].clone()).filter(|it| !it.is_null())
    })
}

fn invoke(node: &Node, command: &str, timeout: u64) -> Value {
    json!({"nodeId": node.id, "command": command, "params": {"n": 7}, "timeoutMs": timeout, "idempotencyKey": "k"})
}

#[test]
fn a_node_is_asked_for_what_was_approved_and_for_nothing_else() {
    let scene = Scene::with(|it| it["gateway"]["nodes"] = json!({"allowCommands": ["test.echo"]}));
    let mut admin = scene.person();
    let mut node = connect(&scene, 1, &["test.echo", "test.other"]);
    let told = admin.wire.next_event(|it| it["event"] == "node.pair.requested")["payload"].clone();
    assert_eq!((&told["nodeId"], &told["displayName"]), (&json!(node.id), &json!("node 1")));
    assert_eq!(told["requiredApproveScopes"], json!(["operator.pairing", "operator.write"]));
    let listed = admin.wire.request("node.list", json!({})).expect("a list")["nodes"][0].clone();
    assert_eq!((&listed["commands"], &listed["approvalState"]), (&json!([]), &json!("pending-approval")));
    assert_eq!(listed["pendingDeclaredCommands"], json!(["test.echo", "test.other"]));
    let early = admin.wire.request("node.invoke", invoke(&node, "test.echo", 5000)).expect_err("not yet");
    assert_eq!(early["message"], "node command not allowed");
    let ok =
        admin.wire.request("node.pair.approve", json!({"requestId": told["requestId"]})).expect("approved");
    assert_eq!(ok["node"]["approvalState"], "approved");
    admin
        .wire
        .next_event(|it| it["event"] == "node.pair.resolved" && it["payload"]["decision"] == "approved");
    let twice = admin.wire.request("node.pair.approve", json!({"requestId": told["requestId"]}));
    assert_eq!(twice.expect_err("over")["message"], "unknown requestId");
    // It does what it is asked, and nobody else hears of it.
    let mut other = connect(&scene, 2, &[]);
    let asked = admin.wire.send("node.invoke", invoke(&node, "test.echo", 20_000));
    node.serve(|command, params| json!({"did": command, "with": params}));
    let done = admin.wire.response(&asked).expect("done");
    assert_eq!(done["payload"], json!({"did": "test.echo", "with": {"n": 7}}));
    assert_eq!((&done["ok"], &done["nodeId"]), (&json!(true), &json!(node.id)));
    for (command, reason) in
        [("test.none", "command not declared by node"), ("test.other", "command not allowlisted")]
    {
        let refused = admin.wire.request("node.invoke", invoke(&node, command, 5000)).expect_err(command);
        assert_eq!(refused["details"], json!({"reason": reason, "command": command}));
    }
    other.wire.request("node.event", json!({"event": "chat.subscribe"})).expect_err("nobody has approved it");
    assert!(!other.wire.take_events().iter().any(|it| it["event"] == "node.invoke.request"));
    // It may not do what operators may, nor operators what it may.
    assert_eq!(
        node.wire.request("node.list", json!({})).expect_err("no")["message"],
        "unauthorized role: node"
    );
    let result = json!({"id": "x", "nodeId": node.id, "ok": true});
    let refused = admin.wire.request("node.invoke.result", result).expect_err("no");
    assert_eq!(refused["message"], "unauthorized role: operator");
}

#[test]
fn what_takes_too_long_is_called_off_and_late_results_are_ignored() {
    let (scene, mut admin, mut node) = approved(&["test.slow"]);
    let late = admin.wire.request("node.invoke", invoke(&node, "test.slow", 100)).expect_err("too late");
    assert_eq!(late["message"], "TIMEOUT: node invoke timed out");
    assert_eq!(late["details"]["nodeError"]["code"], "TIMEOUT");
    let asked = node.wire.next_event(|it| it["event"] == "node.invoke.request")["payload"].clone();
    let cancel = node.wire.next_event(|it| it["event"] == "node.invoke.cancel")["payload"].clone();
    assert_eq!(cancel, json!({"invokeId": asked["id"], "nodeId": node.id}));
    let result = json!({"id": asked["id"], "nodeId": node.id, "ok": true, "payload": 1});
    assert_eq!(node.wire.request("node.invoke.result", result), Ok(json!({"ok": true, "ignored": true})));
    // A caller that goes.
    let mut gone = scene.person();
    gone.wire.send("node.invoke", invoke(&node, "test.slow", 20_000));
    let asked = node.wire.next_event(|it| it["event"] == "node.invoke.request")["payload"].clone();
    gone.wire.close();
    let cancel = node.wire.next_event(|it| it["event"] == "node.invoke.cancel")["payload"].clone();
    assert_eq!(cancel["invokeId"], asked["id"]);
    // A node that fails, one that answers for another, one that goes.
    let mut other = connect(&scene, 2, &[]);
    let id = admin.wire.send("node.invoke", invoke(&node, "test.slow", 20_000));
    let asked = node.wire.next_event(|it| it["event"] == "node.invoke.request")["payload"].clone();
    let forged = json!({"id": asked["id"], "nodeId": other.id, "ok": true, "payload": "forged"});
    assert_eq!(other.wire.request("node.invoke.result", forged), Ok(json!({"ok": true, "ignored": true})));
    let forged = json!({"id": asked["id"], "nodeId": node.id, "ok": true, "payload": "forged"});
    assert_eq!(
        other.wire.request("node.invoke.result", forged).expect_err("another")["message"],
        "nodeId mismatch"
    );
    let error = json!({"code": "BUSY", "message": "not now"});
    let result = json!({"id": asked["id"], "nodeId": node.id, "ok": false, "error": error});
    node.wire.request("node.invoke.result", result).expect("taken");
    assert_eq!(admin.wire.response(&id).expect_err("failed")["message"], "BUSY: not now");
    let id = admin.wire.send("node.invoke", invoke(&node, "test.slow", 20_000));
    node.wire.next_event(|it| it["event"] == "node.invoke.request");
    node.wire.close();
    let lost = admin.wire.response(&id).expect_err("gone");
    assert_eq!(
        (&lost["message"], &lost["details"]["code"]),
        (&json!("node not connected"), &json!("NOT_CONNECTED"))
    );
}

#[test]
fn the_newer_connection_of_a_node_counts_and_more_commands_wait_again() {
    let (mut scene, mut admin, mut older) = approved(&["test.echo"]);
    let mut newer = connect(&scene, 1, &["test.echo"]);
    assert!(older.wire.closed().reason.contains("replaced"));
    let id = admin.wire.send("node.invoke", invoke(&newer, "test.echo", 20_000));
    newer.serve(|_, _| json!("newer"));
    assert_eq!(admin.wire.response(&id).expect("done")["payload"], "newer");
    // What was approved is known after a new start, and nothing beyond it.
    scene.gateway.stop();
    let mode = std::fs::metadata(scene.state().join("nodes.json")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    scene.restart();
    let mut admin = scene.person();
    let mut node = connect(&scene, 1, &["test.echo", "system.run"]);
    let waits = pending(&mut admin);
    assert_eq!((&waits["isRepair"], &waits["nodeId"]), (&json!(true), &json!(node.id)));
    let id = admin.wire.send("node.invoke", invoke(&node, "test.echo", 20_000));
    node.serve(|_, _| json!("still"));
    assert_eq!(admin.wire.response(&id).expect("done")["payload"], "still");
    admin.wire.request("node.invoke", invoke(&node, "system.run", 5000)).expect_err("nobody has approved it");
    // What runs programs is approved by, and asked for by, those who may do everything.
    let mut some = scene.person_with(|it| it["scopes"] = json!(["operator.pairing", "operator.write"]));
    let approve = json!({"requestId": waits["requestId"]});
    let refused = some.wire.request("node.pair.approve", approve.clone()).expect_err("not he");
    assert_eq!(refused["message"], "missing scope: operator.admin");
    admin.wire.request("node.pair.approve", approve).expect("approved");
    let refused = some.wire.request("node.invoke", invoke(&node, "system.run", 5000)).expect_err("not he");
    assert_eq!(refused["message"], "missing scope: operator.admin");
    let id = admin.wire.send("node.invoke", invoke(&node, "system.run", 20_000));
    node.serve(|_, _| json!("ran"));
    admin.wire.response(&id).expect("done");
}

#[test]
fn a_node_must_prove_that_it_is_a_device_and_know_the_secret() {
    let scene = Scene::new();
    let mut params = connect_params(TOKEN);
    params["role"] = json!("node");
    let refused = Wire::try_connect(scene.gateway.port(), params).expect_err("no device");
    assert_eq!(refused.error["message"], "device identity required");
    let refused = Node::connect(scene.gateway.port(), "wrong", 1, &[]).expect_err("a wrong token");
    assert!(refused.error["message"].as_str().is_some_and(|it| it.contains("token mismatch")), "{refused:?}");
}

#[test]
fn a_node_talks_and_hears_of_the_conversation_that_it_names() {
    let (scene, _admin, mut node) = approved(&["test.echo"]);
    scene.model.on("from the phone", Script::new().text("hello phone"));
    node.wire
        .request("node.event", json!({"event": "chat.subscribe", "payload": {"sessionKey": "main"}}))
        .expect("ok");
    let ask = json!({"event": "agent.request", "payloadJSON": "{\"message\": \"from the phone\", \"sessionKey\": \"main\"}"});
    node.wire.request("node.event", ask).expect("ok");
    let end = node.wire.next_event(|it| it["event"] == "chat" && it["payload"]["state"] == "final");
    assert_eq!((text(&end["payload"]["message"]), end.get("seq")), ("hello phone".to_owned(), None));
    let mut person = scene.person();
    person.ask("other", "not for the node");
    node.wire
        .request("node.event", json!({"event": "chat.unsubscribe", "payload": {"sessionKey": "main"}}))
        .expect("ok");
    assert!(!node.wire.take_events().iter().any(|it| it["payload"]["sessionKey"] == "agent:main:other"));
    let unknown = node.wire.request("node.event", json!({"event": "made.up"})).expect_err("unknown");
    assert_eq!(unknown["message"], "this version takes no node event made.up");
}

#[test]
fn the_commands_list_approve_ask_rename_and_forget() {
    let scene = Scene::with(|it| it["gateway"]["nodes"] = json!({"allowCommands": ["test.echo"]}));
    let mut node = connect(&scene, 1, &["test.echo"]);
    pending(&mut scene.person());
    let run = |args: &[&str]| testkit::Output::of(scene.command(args));
    let waits = run(&["nodes", "pending", "--json"]).success().json();
    let request = waits["pending"][0]["requestId"].as_str().expect("an id").to_owned();
    let said = run(&["nodes", "status"]).success();
    assert!(said.stdout.contains("node 1") && said.stdout.contains("pending-approval"), "{said:?}");
    run(&["nodes", "approve", &request]).success();
    run(&["nodes", "approve", &request]).code(1);
    run(&["nodes", "rename", "--node", "node 1", "--name", "kitchen"]).success();
    let args = [
        "nodes",
        "invoke",
        "--node",
        "kitchen",
        "--command",
        "test.echo",
        "--params",
        "{\"a\": 1}",
        "--json",
    ];
    let asking = std::thread::scope(|scope| {
        let asking = scope.spawn(|| run(&args));
        node.serve(|_, params| params.clone());
        asking.join().expect("it ends")
    });
    assert_eq!(asking.success().json()["payload"], json!({"a": 1}));
    let described = run(&["nodes", "describe", "--node", &node.id[..12], "--json"]).success().json();
    assert_eq!((&described["displayName"], &described["connected"]), (&json!("kitchen"), &json!(true)));
    run(&["nodes", "invoke", "--node", "kitchen", "--command", "x", "--params", "{"]).code(64);
    run(&["nodes", "describe", "--node", "nobody"]).code(1);
    run(&["nodes", "remove", "--node", "kitchen"]).success();
    node.wire.closed();
    assert_eq!(run(&["nodes", "list", "--json"]).success().json()["paired"], json!([]));
}

#[test]
fn the_commands_for_approvals_show_and_change_the_list() {
    let scene = Scene::with(|it| it["tools"] = json!({"exec": {"security": "allowlist", "ask": "on-miss"}}));
    let run = |args: &[&str]| testkit::Output::of(scene.command(args));
    assert_eq!(run(&["approvals", "get", "--json"]).success().json()["exists"], false);
    run(&["approvals", "allowlist", "add", "echo"]).code(64);
    let added = run(&["approvals", "allowlist", "add", "/usr/bin/echo"]).success();
    assert!(added.stdout.contains("echo"), "{added:?}");
    let shown = run(&["approvals", "get"]).success();
    assert!(shown.stdout.contains("/echo") && shown.stdout.contains("allowlist"), "{shown:?}");
    let mut person = scene.person_with(|it| it["scopes"] = json!(["operator.read", "operator.write"]));
    scene.model.on("please", Script::new().call("exec", json!({"command": "echo hi"})));
    person.ask("main", "please");
    let messages = person.messages("main");
    assert_eq!(text(&messages[messages.len() - 2]), "hi");
    run(&["approvals", "allowlist", "remove", "/usr/bin/echo"]).success();
    run(&["approvals", "allowlist", "remove", "/usr/bin/echo"]).code(1);
    let set = scene
        .sandbox
        .run_with(&["--profile", "main", "approvals", "set", "--stdin", "--json"], r#"{"version": 1}"#);
    assert_eq!(set.success().json()["file"]["version"], 1);
    // One that waits is shown as a whole, and decided.
    let mut watcher = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    let tail = "x".repeat(500);
    scene.model.on("again", Script::new().call("exec", json!({"command": format!("echo {tail}; true")})));
    let turn = person.say("main", "again");
    let id = watcher.wire.next_event(|it| it["event"] == "exec.approval.requested")["payload"]["id"].clone();
    let waits = run(&["approvals", "pending"]).success();
    assert!(waits.stdout.replace(['\n', ' '], "").contains(&format!("{tail};true")), "{waits:?}");
    run(&["approvals", "resolve", id.as_str().expect("an id"), "deny"]).success();
    run(&["approvals", "resolve", id.as_str().expect("an id"), "deny"]).code(1);
    person.hear(&turn);
}
