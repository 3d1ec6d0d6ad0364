//! The config over the control plane, and commands that write through a running gateway.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::thread;

use profile::writing;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, TOKEN};

const HIDDEN: &str = "__OPENCLAW_REDACTED__";

fn config(scene: &Scene) -> String {
    fs::read_to_string(scene.state().join("openclaw.json")).expect("there")
}

fn hash(person: &mut crate::scene::Person) -> Value {
    person.wire.request("config.get", json!({})).expect("a config")["hash"].clone()
}

#[test]
fn what_was_read_is_written_back_with_its_secrets_by_either_hash() {
    let scene = Scene::new();
    let mut person = scene.person();
    let read = person.wire.request("config.get", json!({})).expect("a config");
    let mut wanted = read["config"].clone();
    wanted["tools"] = json!({"deny": ["exec"]});
    let params = json!({"raw": wanted.to_string(), "baseHash": read["hash"]});
    let reply = person.wire.request("config.set", params).expect("written");
    assert_eq!((&reply["ok"], &reply["changedPaths"]), (&json!(true), &json!(["tools.deny"])), "{reply}");
    assert_eq!((&reply["config"], &reply["restart"]), (&wanted, &Value::Null));
    let text = config(&scene);
    assert!(text.contains(TOKEN) && text.contains(KEY) && !text.contains(HIDDEN));
    assert_eq!(reply["hash"], hash(&mut person));

    let patch = json!({
        "raw": "{ tools: { deny: null }, gateway: { auth: { token: '__OPENCLAW_REDACTED__' } } }",
        "baseHash": writing::sum(&text), "note": "commands again", "sessionKey": "main", "restartDelayMs": 5,
    });
    let reply = person.wire.request("config.patch", patch).expect("written");
    assert_eq!(reply["changedPaths"], json!(["tools.deny"]));
    assert_eq!(
        (&reply["restart"]["delayMs"], &reply["restart"]["reason"]),
        (&json!(5), &json!("config.patch"))
    );
    let sentinel = &reply["sentinel"]["payload"];
    assert_eq!(
        (&sentinel["kind"], &sentinel["message"], &sentinel["sessionKey"]),
        (&json!("config-patch"), &json!("commands again"), &json!("main"))
    );
    assert!(config(&scene).contains(TOKEN) && !reply.to_string().contains(TOKEN));
}

#[test]
fn a_write_that_may_not_be_is_refused_and_changes_nothing() {
    let scene = Scene::new();
    let mut person = scene.person();
    let before = config(&scene);
    let base = hash(&mut person);
    let mut check = |method: &str, params: Value, message: &str| {
        let refusal = person.wire.request(method, params).expect_err("refused");
        assert_eq!(
            (&refusal["code"], &refusal["message"]),
            (&json!("INVALID_REQUEST"), &json!(message)),
            "{refusal}"
        );
        refusal
    };
    let required = "config base hash required; re-run config.get and retry";
    check("config.set", json!({"raw": "{}"}), required);
    let changed = "config changed since last load; re-run config.get and retry";
    check("config.apply", json!({"raw": "{}", "baseHash": "hmac-sha256:v1:x"}), changed);
    check("config.patch", json!({"raw": "[1]", "baseHash": base}), "config.patch raw must be an object");
    let raw = "{ gateway: {\n  mode: 'far', auth: { password: '***' } } }";
    let refusal = check("config.apply", json!({"raw": raw, "baseHash": base}), "invalid config");
    assert_eq!(refusal["details"]["issues"][0]["path"], "gateway.auth.password");
    let refusal =
        check("config.patch", json!({"raw": "{gateway: {mode: 'far'}}", "baseHash": base}), "invalid config");
    let issue = &refusal["details"]["issues"][0];
    assert_eq!(
        (&issue["path"], issue["line"].as_u64() > Some(0)),
        (&json!("gateway.mode"), true),
        "{refusal}"
    );
    let refusal =
        person.wire.request("config.set", json!({"raw": "{\n a: }", "baseHash": base})).expect_err("refused");
    assert!(refusal["message"].as_str().is_some_and(|it| it.contains("at line 2")), "{refusal}");
    assert_eq!(config(&scene), before);
}

#[test]
fn a_command_writes_through_the_gateway_and_the_history_is_the_same() {
    let mut scene = Scene::new();
    let run =
        |scene: &Scene, args: &[&str]| scene.sandbox.run(&[&["--profile", "main", "config"], args].concat());
    let said = run(&scene, &["set", "tools.deny", "['exec']", "--why", "first"]).success();
    assert!(said.stderr.contains("gateway: ") && !said.stderr.contains("not running"), "{said}");
    let through = config(&scene);
    assert_eq!(scene.gateway.stop(), 0);
    let said = run(&scene, &["unset", "tools", "--why", "second"]).success();
    assert!(said.stderr.contains("not running"), "{said}");
    let _ = run(&scene, &["set", "tools.deny", "['exec']", "--why", "third"]).success();
    assert_eq!(config(&scene), through);
    let history = run(&scene, &["history", "--json"]).success().json();
    let told = |it: &Value| (it["by"].clone(), it["why"].clone());
    let told: Vec<_> = history["generations"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(told[..3], ["third", "second", "first"].map(|why| (json!("cli"), json!(why))));
}

#[test]
fn commands_and_clients_that_meet_at_the_gateway_lose_nothing() {
    const WRITERS: usize = 24;
    let scene = Scene::new();
    let base = writing::sum(&config(&scene));
    // All know the same text, so one of them is first.
    let patch = |at: usize| {
        let params = json!({"raw": format!("{{zebra: {{w{at}: 1}}}}"), "baseHash": base});
        (at, scene.person().wire.request("config.patch", params))
    };
    let clients: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS).map(|at| scope.spawn(move || patch(at))).collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    let wrote: Vec<usize> = clients.iter().filter(|(_, it)| it.is_ok()).map(|(at, _)| *at).collect();
    let [winner] = wrote[..] else { panic!("{wrote:?} wrote on one base") };
    for refusal in clients.into_iter().filter_map(|(_, it)| it.err()) {
        assert!(refusal["message"].as_str().is_some_and(|it| it.contains("changed since")), "{refusal}");
        assert_eq!(refusal["details"]["changes"][0]["path"], format!("zebra.w{winner}"), "{refusal}");
    }
    let set = |at: usize| {
        let args = ["--profile", "main", "config", "set", &format!("horse.w{at}"), "1"];
        (at, scene.sandbox.run(&args).status)
    };
    let commands: Vec<(usize, i32)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS).map(|at| scope.spawn(move || set(at))).collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    let now: Value =
        serde_json::from_str(&scene.sandbox.run(&["--profile", "main", "config", "get"]).success().stdout)
            .expect("JSON");
    for (at, status) in commands {
        assert_eq!(status == 0, now["horse"][format!("w{at}")] == 1, "writer {at}: {status}: {now}");
        assert!(matches!(status, 0 | 75), "writer {at}: {status}");
    }
}
