//! One tool, without a turn.

use serde_json::{Value, json};

use crate::http::{Answer, Ask};
use crate::scene::Scene;

fn invoke(scene: &Scene, body: &Value) -> Answer {
    Ask::post(scene.gateway.port(), "/tools/invoke", body).known().send()
}

#[test]
fn a_tool_is_used_under_either_name_and_stays_in_the_workspace() {
    let scene = Scene::new();
    let written =
        invoke(&scene, &json!({"tool": "write", "args": {"path": "a.txt", "content": "hello"}})).ok();
    assert_eq!(written["ok"], true, "{written}");
    let read = invoke(&scene, &json!({"name": "read", "tool": "exec", "args": {"path": "a.txt"}})).ok();
    assert!(read["result"]["content"][0]["text"].as_str().is_some_and(|it| it.contains("hello")), "{read}");
    assert_eq!(std::fs::read_to_string(scene.workspace().join("a.txt")).expect("it is there"), "hello");
    let dry = json!({"tool": "write", "args": {"path": "b.txt", "content": "x"}, "dryRun": true});
    assert_eq!(invoke(&scene, &dry).ok()["dryRun"], true);
    assert!(!scene.workspace().join("b.txt").exists(), "it was only asked whether it may");
    for path in ["../openclaw.json", "/etc/passwd", "missing.txt"] {
        let answer = invoke(&scene, &json!({"tool": "read", "args": {"path": path}}));
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["ok"], &error["error"]["type"]),
            (400, &json!(false), &json!("tool_error"))
        );
    }
}

#[test]
fn what_runs_programs_is_not_to_be_had_unless_the_config_says_so() {
    let check = |scene: &Scene, tool: &str, status: u16| {
        let answer = invoke(
            scene,
            &json!({"tool": tool, "args": {"command": "echo ran", "path": "a", "content": ""}}),
        );
        assert_eq!(answer.status, status, "{tool}: {answer:?}");
        if status == 404 {
            let message = format!("Tool not available: {tool}");
            assert_eq!(
                answer.json(),
                json!({"ok": false, "error": {"type": "not_found", "message": message}})
            );
        }
    };
    let scene = Scene::new();
    for tool in ["exec", "EXEC", "gateway", "nope", "sessions_spawn"] {
        check(&scene, tool, 404);
    }
    let opened = Scene::with(|it| it["gateway"]["tools"] = json!({"allow": ["exec"], "deny": ["write"]}));
    check(&opened, "exec", 200);
    check(&opened, "write", 404);
    // What agents may not use, nobody gets.
    let narrow = Scene::with(|it| {
        it["gateway"]["tools"] = json!({"allow": ["exec"]});
        it["tools"] = json!({"deny": ["exec"], "allow": ["read", "exec"]});
    });
    check(&narrow, "exec", 404);
    check(&narrow, "write", 404);
}

#[test]
fn what_needs_a_person_is_asked_here_too() {
    let scene = Scene::with(|it| {
        it["gateway"]["tools"] = json!({"allow": ["exec"]});
        it["tools"] = json!({"exec": {"security": "allowlist", "ask": "on-miss"}});
    });
    let ran = scene.workspace().join("ran");
    let body = json!({"tool": "exec", "args": {"command": "touch ran"}});
    let answer = invoke(&scene, &body);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("nobody who may approve is connected"), "{answer:?}");
    let mut approver = scene.person_with(|it| it["scopes"] = json!(["operator.approvals"]));
    for (decision, status) in [("deny", 400), ("allow-once", 200)] {
        let (port, asked) = (scene.gateway.port(), body.clone());
        let waiting = std::thread::spawn(move || Ask::post(port, "/tools/invoke", &asked).known().send());
        let request = approver.wire.next_event(|it| it["event"] == "exec.approval.requested");
        assert!(!ran.exists(), "it ran before anybody said so");
        let params = json!({"id": request["payload"]["id"], "decision": decision});
        approver.wire.request("exec.approval.resolve", params).expect("decided");
        assert_eq!(waiting.join().expect("answered").status, status, "{decision}");
    }
    assert!(ran.exists());
}

#[test]
fn what_is_no_request_for_a_tool_is_refused() {
    let scene = Scene::new();
    for (body, words) in [
        (json!({}), "tools.invoke requires name"),
        (json!({"tool": ""}), "tools.invoke requires name"),
        (json!({"tool": 5}), "bad body"),
        (json!([null, "read", null, {}, null, null, false]), "expected a JSON object"),
        (json!({"tool": "read", "args": "x"}), "bad body"),
        (json!({"tool": "read", "agentId": "nobody"}), "not found"),
        (json!({"tool": "read", "sessionKey": "agent:nobody:main"}), "not found"),
        (json!({"tool": "read", "args": {}}), "bad arguments"),
    ] {
        let answer = invoke(&scene, &body);
        assert!(answer.status == 400 && answer.json()["ok"] == false, "{body}: {answer:?}");
        assert!(answer.body.contains(words), "{words}: {answer:?}");
    }
}
