//! Several agents in one gateway: who answers, who is made, changed and taken out.

use std::fs;

use serde_json::{Value, json};

use crate::scene::{Scene, said};

/// The system prompt and the tools of the last question to the model.
fn last_question(scene: &Scene) -> (String, Vec<String>) {
    let requests = scene.model.requests();
    let last = requests.iter().rev().find(|it| it.method == "POST").expect("it was asked");
    let system = last.messages()[0]["content"].as_str().expect("a prompt").to_owned();
    let tools = last.body["tools"].as_array().into_iter().flatten();
    (system, tools.map(|it| it["function"]["name"].as_str().expect("a name").to_owned()).collect())
}

fn ids(reply: &Value) -> Vec<String> {
    let agents = reply["agents"].as_array().expect("a list");
    agents.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn each_agent_works_in_its_folder_with_its_tools() {
    let scene = Scene::with(|it| {
        it["agents"]["list"] = json!([
            {"id": "main", "default": true},
            {"id": "Reader", "tools": {"allow": ["read"]}, "identity": {"name": "Ada", "emoji": "*"}},
        ]);
    });
    let mut person = scene.person();
    assert_eq!(said(&person.ask("agent:reader:main", "hello")), "final: echo: hello");
    let (system, tools) = last_question(&scene);
    let folder = scene.state().join("workspace-reader");
    assert!(system.contains(&folder.display().to_string()), "{system}");
    assert_eq!(tools, ["read"]);
    assert!(folder.join("AGENTS.md").is_file(), "the folder was not made");
    person.ask("main", "hello");
    let (system, tools) = last_question(&scene);
    assert!(
        system.contains(&scene.workspace().display().to_string()) && tools.len() == 4,
        "{tools:?} {system}"
    );
    let who = person.wire.request("agent.identity.get", json!({"agentId": "reader"}));
    assert_eq!(who, Ok(json!({"agentId": "reader", "name": "Ada", "avatar": "*", "nameSource": "config"})));
    let who = person.wire.request("agent.identity.get", json!({}));
    assert_eq!(
        who,
        Ok(json!({"agentId": "main", "name": "Assistant", "avatar": "A", "nameSource": "default"}))
    );
    let params = json!({"message": "x", "idempotencyKey": "k", "agentId": "zzz"});
    let refusal = person.wire.request("agent", params).expect_err("refused");
    assert_eq!(refusal["message"], "invalid agent params: unknown agent id \"zzz\"");
    let params = json!({"sessionKey": "agent:zzz:main", "message": "x", "idempotencyKey": "k2"});
    let refusal = person.wire.request("chat.send", params).expect_err("refused");
    assert_eq!(refusal["message"], "agent \"zzz\" not found");
}

#[test]
fn who_is_not_named_among_several_is_refused() {
    let scene = Scene::with(|it| it["agents"]["list"] = json!([{"id": "a"}, {"id": "b"}]));
    let mut person = scene.person();
    let list = person.wire.request("agents.list", json!({})).expect("a list");
    assert_eq!((&list["selectionRequired"], &list["defaultId"]), (&json!(true), &json!("a")));
    for (method, params) in [
        ("agent", json!({"message": "x", "idempotencyKey": "k"})),
        ("chat.send", json!({"sessionKey": "main", "message": "x", "idempotencyKey": "k"})),
        ("tools.catalog", json!({})),
    ] {
        let refusal = person.wire.request(method, params).expect_err("unclear");
        let text = refusal["message"].as_str().expect("a text");
        let start = "Multiple agents are configured, but this operation has no explicit owner. ";
        assert!(text.starts_with(start) && text.ends_with("there are a, b"), "{method}: {text}");
    }
    assert_eq!(said(&person.ask("agent:b:main", "hello")), "final: echo: hello");
}

#[test]
fn agents_are_made_changed_and_taken_out_while_the_gateway_runs() {
    let scene = Scene::new();
    let mut person = scene.person();
    let mut refused = |method: &str, params: Value| {
        person.wire.request(method, params).expect_err("refused")["message"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert_eq!(refused("agents.create", json!({"name": "Main"})), "agent \"main\" already exists");
    assert_eq!(refused("agents.create", json!({"name": "Global"})), "\"global\" is reserved");
    assert!(refused("agents.create", json!({"name": "../.."})).contains("at /name"));
    assert!(refused("agents.create", json!({"name": "x", "model": "nobody/x"})).contains("no provider"));
    assert!(refused("agents.create", json!({"name": "x", "baseHash": "old"})).contains("changed since"));
    assert!(refused("agents.delete", json!({"agentId": "main"})).contains("only one"));
    assert_eq!(refused("agents.update", json!({"agentId": "zzz"})), "agent \"zzz\" not found");
    let made =
        person.wire.request("agents.create", json!({"name": "Research Desk", "emoji": "*"})).expect("made");
    let folder = scene.state().join("workspace-research-desk");
    assert_eq!((&made["agentId"], &made["effect"]), (&json!("research-desk"), &json!("in force")), "{made}");
    assert_eq!(made["workspace"], folder.display().to_string());
    let list = person.wire.request("agents.list", json!({})).expect("a list");
    assert_eq!(
        (ids(&list), &list["defaultId"]),
        (vec!["main".into(), "research-desk".into()], &json!("main"))
    );
    assert_eq!(said(&person.ask("agent:research-desk:main", "hello")), "final: echo: hello");
    let params = json!({"agentId": "research-desk", "model": "scripted/other", "name": "Desk"});
    person.wire.request("agents.update", params).expect("changed");
    let list = person.wire.request("agents.list", json!({})).expect("a list");
    assert_eq!(list["agents"][1]["model"]["primary"], "scripted/other", "{list}");
    person
        .wire
        .request("agents.update", json!({"agentId": "research-desk", "model": null}))
        .expect("changed");
    let list = person.wire.request("agents.list", json!({})).expect("a list");
    assert!(list["agents"][1].get("model").is_none() && list["agents"][1]["name"] == "Desk", "{list}");
    let params = json!({"agentId": "research-desk", "deleteFiles": true});
    let gone = person.wire.request("agents.delete", params).expect("gone");
    assert_eq!((&gone["removed"][0]["method"], &gone["failed"]), (&json!("trash"), &json!([])), "{gone}");
    assert!(!folder.exists());
    let trash: Vec<_> = fs::read_dir(scene.state().join("trash")).expect("a folder").collect();
    assert_eq!(trash.len(), 1);
    let list = person.wire.request("agents.list", json!({})).expect("a list");
    assert_eq!(ids(&list), ["main"]);
}

#[test]
fn the_commands_do_the_same() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.sandbox.run(&[&["--profile", "main", "agents"], args].concat());
    let made = run(&["add", "Ops", "--json"]).success().json();
    assert_eq!(made["agentId"], "ops");
    let _ = run(&["set-identity", "--agent", "ops", "--name", "Grace"]).success();
    let listed = run(&["list"]).success();
    assert!(listed.stdout.contains("Grace") && listed.stdout.contains("workspace-ops"), "{listed}");
    assert_eq!(run(&["add", "ops"]).status, 64);
    assert_eq!(run(&["delete", "ops"]).status, 64, "it was not confirmed");
    let _ = run(&["delete", "ops", "--force"]).success();
    assert_eq!(ids(&run(&["--json"]).success().json()), ["main"]);
}
