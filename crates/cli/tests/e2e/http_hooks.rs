//! Hooks: turns that other programs begin.

use serde_json::{Value, json};

use crate::http::Ask;
use crate::http_routes::{HOOK_TOKEN, open_scene};
use crate::scene::{Scene, until};

fn hook(scene: &Scene, path: &str, body: &Value) -> Ask {
    Ask::post(scene.gateway.port(), path, body).bearer(HOOK_TOKEN)
}

fn with_hooks(more: Value) -> Scene {
    Scene::with(|config| {
        config["hooks"] = json!({"enabled": true, "token": HOOK_TOKEN});
        config["hooks"]
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
    })
}

#[test]
fn a_wake_is_said_in_the_main_conversation_and_marked_as_from_outside() {
    let scene = open_scene();
    let reply = hook(&scene, "/hooks/wake", &json!({"text": "the build is red"})).send().ok();
    assert_eq!(
        (&reply["ok"], &reply["mode"], &reply["eventOutcome"]),
        (&json!(true), &json!("now"), &json!("queued"))
    );
    let asked = scene.model.wait_requests(1).remove(0);
    let said = asked.last_user();
    assert!(said.contains("the build is red") && said.contains("<<<from outside "), "{said}");
    let system = asked.messages()[0]["content"].as_str().unwrap_or_default();
    assert!(system.contains("came from another program by a hook"), "{system}");
    let mut person = scene.person();
    until("no answer", || (person.history("main").len() == 2).then_some(()));
    let by_header = Ask::post(scene.gateway.port(), "/hooks/wake", &json!({"text": "x"}));
    by_header.header(&format!("x-openclaw-token: {HOOK_TOKEN}")).send().ok();
}

#[test]
fn a_hook_is_a_turn_on_disk_and_a_repeated_key_the_same_one() {
    let mut scene = open_scene();
    let body = json!({"message": "look at it", "name": "GitHub", "waitForCompletion": true});
    let ask = |scene: &Scene, body: &Value| {
        hook(scene, "/hooks/agent", body).header("Idempotency-Key: k-1").send().ok()
    };
    let first = ask(&scene, &body);
    assert_eq!((&first["ok"], &first["completion"]["status"]), (&json!(true), &json!("ok")));
    assert_eq!(ask(&scene, &body)["runId"], first["runId"]);
    let other = json!({"message": "look at something else"});
    assert_ne!(ask(&scene, &other)["runId"], first["runId"], "another content is another turn");
    scene.model.wait_requests(2);
    assert_eq!(scene.gateway.stop(), 0);
    scene.restart();
    let again = ask(&scene, &body);
    assert_eq!((&again["runId"], &again["completion"]["status"]), (&first["runId"], &json!("ok")));
    assert_eq!(scene.model.requests().len(), 2, "it ran again in the next life");
    let mut person = scene.person();
    let key = format!("hook:{}", first["runId"].as_str().expect("an id"));
    assert_eq!(person.history(&key).len(), 2);
}

#[test]
fn what_a_hook_may_not_is_refused_with_a_reason() {
    let scene = open_scene();
    let check = |path: &str, body: Value, status: u16, words: &str| {
        let answer = hook(&scene, path, &body).send();
        assert!(answer.status == status && answer.body.contains(words), "{body}: {answer:?}");
    };
    check("/hooks/wake", json!({}), 400, "text required");
    check("/hooks/wake", json!({"text": " "}), 400, "text required");
    check("/hooks/wake", json!({"text": "x", "mode": "later"}), 400, "mode");
    check("/hooks/wake", json!({"text": "x", "mode": "next-heartbeat"}), 501, "no heartbeat");
    check("/hooks/wake", json!({"text": 5}), 400, "bad body");
    check("/hooks/wake", json!({"text": "x", "sessionKey": "main"}), 400, "allowRequestSessionKey");
    check("/hooks/agent", json!({}), 400, "message required");
    check("/hooks/agent", json!([1]), 400, "bad body");
    check("/hooks/agent", json!({"message": "x", "agentId": "nobody"}), 400, "not found");
    check("/hooks/agent", json!({"message": "x", "sessionKey": "main"}), 400, "allowRequestSessionKey");
    check("/hooks/agent", json!({"message": "x", "sessionMode": "persistent"}), 400, "needs a sessionKey");
    check("/hooks/agent", json!({"message": "x", "channel": "telegram", "to": "1"}), 400, "not connected");
    check("/hooks/agent", json!({"message": "x", "channel": "telegram"}), 400, "belong together");
    check("/hooks/agent", json!({"message": "x", "model": "nobody/x"}), 400, "no provider");
    check("/hooks/agent", json!({"message": "x", "idempotencyKey": "k".repeat(300)}), 400, "at most 256");
    check("/hooks/nowhere", json!({}), 404, "no mapping");
    assert_eq!(scene.model.requests().len(), 0);
}

#[test]
fn the_config_says_where_hooks_are_and_what_becomes_of_them() {
    let scene = with_hooks(json!({
        "path": "/in/coming", "allowRequestSessionKey": true, "allowedSessionKeyPrefixes": ["hook:"],
        "mappings": [
            {"match": {"path": "git"}, "messageTemplate": "push to {{repo.name}} by {{headers.x-who}}", "name": "Git",
             "sessionKey": "hook:git:{{repo.name}}", "sessionMode": "persistent"},
            {"match": {"source": "cron"}, "action": "wake", "textTemplate": "time for {{what}}"},
            {"match": {"path": "script"}, "transform": {"module": "x.js"}},
        ],
    }));
    assert_eq!(hook(&scene, "/hooks/wake", &json!({"text": "x"})).send().status, 404);
    let git = || {
        hook(&scene, "/in/coming/git", &json!({"repo": {"name": "claw"}})).header("X-Who: ann").send().ok()
    };
    git();
    let asked = scene.model.wait_requests(1).remove(0);
    assert!(asked.last_user().contains("push to claw by ann"), "{}", asked.last_user());
    git();
    let mut person = scene.person();
    until("no second turn", || (person.history("hook:git:claw").len() == 4).then_some(()));
    let woken = hook(&scene, "/in/coming/any", &json!({"source": "cron", "what": "tea"})).send().ok();
    assert_eq!(woken["mode"], "now");
    assert!(scene.model.wait_requests(3)[2].last_user().contains("time for tea"));
    assert_eq!(hook(&scene, "/in/coming/script", &json!({})).send().status, 501);
    scene.gateway.wait_log("hooks.mappings.2.transform: is not done here");
    for (key, status) in [("main", 400), ("agent:main:main", 400), ("hook:own", 200), ("HOOK:other", 200)] {
        let body = json!({"message": "x", "sessionKey": key});
        assert_eq!(hook(&scene, "/in/coming/agent", &body).send().status, status, "{key}");
    }
}

#[test]
fn agents_may_be_closed_to_hooks() {
    let scene = with_hooks(json!({"allowedAgentIds": []}));
    for path in ["/hooks/agent", "/hooks/wake"] {
        let answer = hook(&scene, path, &json!({"message": "x", "text": "x"})).send();
        assert!(answer.status == 400 && answer.body.contains("allowedAgentIds"), "{answer:?}");
    }
}
