//! What waits for a node: work for one that sleeps, and what a telephone could not do in the background. And the
//! approvals document of a node, which is the node's own.

use serde_json::{Value, json};
use testkit::Node;

use crate::scene::{Person, Scene, TOKEN, until};

/// A gateway, somebody who may do everything, and an approved node with these commands.
fn approved(commands: &[&str]) -> (Scene, Person, Node) {
    let scene = Scene::with(|it| it["gateway"]["nodes"] = json!({"allowCommands": ["camera.snap"]}));
    let mut admin = scene.person();
    let node = Node::connect(scene.gateway.port(), TOKEN, 1, commands).expect("it connects");
    let request = until("nothing waits", || {
        let list = admin.wire.request("node.pair.list", json!({})).expect("a list");
        Some(list["pending"][0]["requestId"].clone()).filter(|it| !it.is_null())
    });
    admin.wire.request("node.pair.approve", json!({"requestId": request})).expect("approved");
    (scene, admin, node)
}

fn message(refused: Result<Value, Value>) -> String {
    refused.expect_err("refused")["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn work_waits_for_a_node_and_is_taken_once() {
    let (scene, mut admin, mut node) = approved(&["camera.snap"]);
    let wish = json!({"nodeId": node.id, "type": "location.request", "priority": "high"});
    let first = admin.wire.request("node.pending.enqueue", wish.clone()).expect("it waits");
    assert_eq!((&first["revision"], &first["wakeTriggered"]), (&json!(1), &json!(false)));
    let again = admin.wire.request("node.pending.enqueue", wish).expect("it waits already");
    assert_eq!((&again["revision"], &again["queued"]), (&json!(1), &first["queued"]));
    let taken = node.wire.request("node.pending.drain", json!({})).expect("taken");
    let kinds: Vec<&Value> = taken["items"].as_array().expect("items").iter().map(|it| &it["type"]).collect();
    assert_eq!(kinds, ["location.request", "status.request"]);
    assert_eq!(taken["items"][0], first["queued"]);
    let rest = node.wire.request("node.pending.drain", json!({})).expect("taken");
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["hasMore"]), (Some(1), &json!(false)));
    for (params, text) in [
        (json!({"nodeId": "nobody", "type": "status.request"}), "unknown nodeId"),
        (json!({"nodeId": node.id, "type": "dance"}), "at /type"),
        (json!({"nodeId": node.id, "type": "status.request", "expiresInMs": 5}), "at /expiresInMs"),
        (json!({"nodeId": node.id, "type": "status.request", "priority": "default"}), "at /priority"),
    ] {
        let refused = message(admin.wire.request("node.pending.enqueue", params));
        assert!(refused.contains(text), "{refused}");
    }
    // Only nodes that were approved take anything, and operators nothing.
    let mut other = Node::connect(scene.gateway.port(), TOKEN, 2, &["camera.snap"]).expect("it connects");
    let early = other.wire.request("node.pending.drain", json!({})).expect_err("nobody has approved it");
    assert_eq!(early["details"]["code"], "PAIRING_CHANGED");
    assert_eq!(message(admin.wire.request("node.pending.pull", json!({}))), "unauthorized role: operator");
    let named = message(node.wire.request("node.skills.update", json!({"skills": []})));
    assert!(named.contains("not with those of nodes"), "{named}");
}

#[test]
fn pieces_of_a_result_are_checked() {
    let (_scene, _admin, mut node) = approved(&["camera.snap"]);
    let piece = |id: &str, chunk: String| json!({"invokeId": "i", "nodeId": id, "seq": 0, "chunk": chunk});
    let mine = node.id.clone();
    let told = node.wire.request("node.invoke.progress", piece(&mine, "x".into()));
    assert_eq!(told, Ok(json!({"ok": true, "ignored": true})));
    let long = node.wire.request("node.invoke.progress", piece(&mine, "x".repeat(16_385)));
    assert_eq!(message(long), "progress chunk too large");
    assert_eq!(message(node.wire.request("node.invoke.progress", piece("x", "x".into()))), "nodeId mismatch");
}

#[test]
fn the_approvals_document_of_a_node_is_asked_of_the_node() {
    let (_scene, mut admin, mut node) = approved(&["system.execApprovals.get", "system.execApprovals.set"]);
    let asked = admin.wire.send("exec.approvals.node.get", json!({"nodeId": node.id}));
    node.serve(|command, _| json!({"command": command, "file": {"version": 1}, "hash": "h"}));
    let got = admin.wire.response(&asked).expect("a document");
    assert_eq!((&got["command"], &got["hash"]), (&json!("system.execApprovals.get"), &json!("h")));
    let set = json!({"nodeId": node.id, "file": {"version": 1}, "baseHash": "h"});
    let asked = admin.wire.send("exec.approvals.node.set", set);
    node.serve(|_, params| params.clone());
    let done = admin.wire.response(&asked).expect("set");
    assert_eq!(done, json!({"file": {"version": 1}, "baseHash": "h"}));
    let neither = admin.wire.request("exec.approvals.node.set", json!({"nodeId": node.id}));
    assert!(message(neither).contains("needs file, or native with baseHash"));
    let asked = admin.wire.send("exec.approvals.node.get", json!({"nodeId": node.id}));
    node.serve(|_, _| json!("nonsense"));
    assert!(message(admin.wire.response(&asked)).contains("no approvals document"));
    node.wire.close();
    let gone = until("it is still there", || {
        admin.wire.request("exec.approvals.node.get", json!({"nodeId": node.id})).err()
    });
    assert_eq!(gone["message"], "node not connected");
}
