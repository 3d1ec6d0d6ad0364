//! What a gateway says that it has: true of what is there, and of what is not.

use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

#[test]
fn tools_and_commands_are_those_that_there_are() {
    let scene = Scene::with(|it| it["tools"] = json!({"deny": ["exec"]}));
    let mut person = scene.person();
    let mut ask = |method: &str| person.wire.request(method, json!({})).expect("a list");
    let names = |it: &Value| -> Vec<String> {
        let groups = it["groups"].as_array().expect("groups").iter();
        let tools = groups.flat_map(|it| it["tools"].as_array().expect("tools"));
        tools
            .map(|it| format!("{} {}", it["id"].as_str().unwrap_or(""), it["risk"].as_str().unwrap_or("")))
            .collect()
    };
    assert_eq!(names(&ask("tools.catalog")), ["read low", "write medium", "edit medium", "exec high"]);
    assert_eq!(names(&ask("tools.effective")), ["read low", "write medium", "edit medium"]);
    let commands = ask("commands.list");
    let model = commands["commands"].as_array().expect("a list").iter().find(|it| it["name"] == "model");
    let model = model.expect("/model");
    assert_eq!((&model["acceptsArgs"], &model["textAliases"]), (&json!(true), &json!(["/model", "/models"])));
}

#[test]
fn what_is_not_there_is_told_as_such() {
    let scene = Scene::new();
    let mut person = scene.person();
    for (method, key, expected) in [
        ("cron.list", "jobs", json!([])),
        ("cron.status", "enabled", json!(false)),
        ("cron.runs", "entries", json!([])),
        ("skills.status", "skills", json!([])),
        ("channels.status", "channelOrder", json!([])),
        ("voicewake.get", "triggers", json!([])),
        ("tts.status", "enabled", json!(false)),
        ("tts.providers", "providers", json!([])),
        ("talk.config", "config", json!({})),
        ("question.list", "questions", json!([])),
        ("taskSuggestions.list", "suggestions", json!([])),
        ("tasks.list", "tasks", json!([])),
        ("update.status", "updateAvailable", Value::Null),
        ("system.info", "instance", json!("main")),
    ] {
        let reply =
            person.wire.request(method, json!({"more": 1})).unwrap_or_else(|it| panic!("{method}: {it}"));
        assert_eq!(reply.get(key), Some(&expected), "{method}: {reply}");
    }
    assert_eq!(person.wire.request("last-heartbeat", json!({})), Ok(Value::Null));
    assert_eq!(person.wire.request("plugin.approval.list", json!({})), Ok(json!([])));
}

#[test]
fn models_and_their_keys_are_listed_without_a_key() {
    let scene = Scene::with(|it| {
        it["models"]["providers"]["second"] = json!({"api": "ollama", "models": [{"id": "m", "name": "M"}]});
    });
    let mut person = scene.person();
    let list = person.wire.request("models.list", json!({"view": "configured"})).expect("a list");
    let rows: Vec<_> = list["models"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|it| (it["id"].clone(), it["available"].clone()))
        .collect();
    assert_eq!(rows, [(json!("scripted-1"), json!(true)), (json!("m"), json!(false))]);
    assert!(
        list["models"][1]["unavailableReason"].as_str().is_some_and(|it| it.contains("ollama")),
        "{list}"
    );
    let auth = person.wire.request("models.authStatus", json!({})).expect("answered");
    assert_eq!(
        (&auth["providers"][0]["provider"], &auth["providers"][0]["status"]),
        (&json!("scripted"), &json!("static"))
    );
    assert!(!auth.to_string().contains(KEY), "{auth}");
}

#[test]
fn a_key_of_the_config_is_looked_up() {
    let scene = Scene::new();
    let mut person = scene.person();
    let found = person.wire.request("config.schema.lookup", json!({"path": "gateway.auth"})).expect("found");
    let keys: Vec<_> =
        found["children"].as_array().expect("a list").iter().map(|it| it["key"].clone()).collect();
    assert!(keys.contains(&json!("token")), "{found}");
    let refusal =
        person.wire.request("config.schema.lookup", json!({"path": "gateway.nope"})).expect_err("refused");
    assert_eq!(refusal["message"], "config schema path not found: gateway.nope");
}

#[test]
fn a_method_that_is_not_served_is_refused_by_name_and_says_why() {
    let scene = Scene::new();
    let mut person = scene.person();
    let refusal = person.wire.request("update.run", json!({})).expect_err("refused");
    let text = refusal["message"].as_str().expect("a text");
    assert!(text.starts_with("unknown method: update.run ("), "{text}");
    assert_eq!(refusal["details"]["code"], "METHOD_NOT_SERVED");
    assert!(text.contains(refusal["details"]["reason"].as_str().expect("a reason")));
    let refusal = person.wire.request("no.such.method", json!({})).expect_err("refused");
    assert_eq!(
        (&refusal["message"], refusal.get("details")),
        (&json!("unknown method: no.such.method"), None)
    );
    // Who may not do everything is not told what there is.
    let mut reader = scene.person_with(|it| it["scopes"] = json!(["operator.read"]));
    let refusal = reader.wire.request("update.run", json!({})).expect_err("refused");
    assert_eq!(refusal["message"], "missing scope: operator.admin");
}

#[test]
fn an_instance_has_a_key_of_its_own_from_the_first_question_on() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::new();
    let file = scene.state().join("identity/gateway.key");
    assert!(!file.exists(), "nobody has asked");
    let first = scene.person().wire.request("gateway.identity.get", json!({})).expect("a key");
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(first["deviceId"].as_str().map(str::len), Some(64), "{first}");
    assert_eq!(scene.gateway.stop(), 0);
    scene.restart();
    assert_eq!(scene.person().wire.request("gateway.identity.get", json!({})), Ok(first));
}
