//! What clients look at: conversations, models, the config, the gateway's state.

use serde_json::{Value, json};

use crate::scene::{KEY, MODEL, Scene, TOKEN};

#[test]
fn a_history_is_paged_and_every_message_has_its_place() {
    let scene = Scene::new();
    let mut person = scene.person();
    let run = person.say("main", "one");
    person.hear(&run);
    let whole = person.wire.request("chat.history", json!({"sessionKey": "main"})).expect("a history");
    assert_eq!((&whole["hasMore"], &whole["totalMessages"]), (&json!(false), &json!(2)));
    assert_eq!(whole["sessionKey"], "agent:main:main");
    assert!(whole["sessionId"].as_str().is_some_and(|it| !it.is_empty()), "{whole}");
    assert!(whole["inFlightRun"].is_null(), "{whole}");
    let messages = whole["messages"].as_array().expect("messages");
    for (message, seq) in messages.iter().zip(1..) {
        assert_eq!(message["__openclaw"]["seq"], seq, "{message}");
        assert_eq!(message["__openclaw"]["runId"], run, "{message}");
        assert!(message["__openclaw"]["id"].is_string() && message["timestamp"].is_u64(), "{message}");
    }
    let answer = &messages[1];
    assert_eq!((&answer["provider"], &answer["model"]), (&json!("scripted"), &json!("scripted-1")));
    assert_eq!((&answer["stopReason"], &answer["api"]), (&json!("stop"), &json!("openai-completions")));
    assert!(answer["usage"]["totalTokens"].as_u64() > Some(0), "{answer}");

    let last = person.wire.request("chat.history", json!({"sessionKey": "main", "limit": 1}));
    let last = last.expect("a history");
    assert_eq!((&last["hasMore"], &last["totalMessages"]), (&json!(true), &json!(2)));
    assert_eq!(last["messages"], json!([answer]));
    let none = person.wire.request("chat.history", json!({"sessionKey": "nobody"})).expect("no error");
    assert_eq!((&none["messages"], &none["totalMessages"]), (&json!([]), &json!(0)));
    assert!(none.get("sessionId").is_none(), "{none}");
}

#[test]
fn a_run_under_way_shows_in_the_history_and_in_the_list() {
    let scene = Scene::new();
    scene.model.on("slowly", testkit::Script::new().text("so far").wait("gate").text(" so good"));
    let mut person = scene.person();
    let run = person.say("main", "slowly");
    person.wait_said(&run, "so far");
    let history = person.wire.request("chat.history", json!({"sessionKey": "main"})).expect("a history");
    assert_eq!(
        (&history["inFlightRun"]["runId"], &history["inFlightRun"]["text"]),
        (&json!(run), &json!("so far"))
    );
    let row = |list: &Value| list["sessions"][0].clone();
    let list = person.wire.request("sessions.list", json!({})).expect("a list");
    assert_eq!(row(&list)["status"], "running");
    let status = person.wire.request("status", json!({})).expect("a status");
    assert_eq!(status["activeRuns"], 1);
    scene.model.open("gate");
    person.hear(&run);
    let list = person.wire.request("sessions.list", json!({"includeLastMessage": true})).expect("a list");
    let row = row(&list);
    assert_eq!((&row["status"], &row["lastMessagePreview"]), (&json!("done"), &json!("so far so good")));
}

#[test]
fn conversations_are_listed_newest_first_and_by_the_page() {
    let scene = Scene::new();
    let mut person = scene.person();
    for session in ["main", "work", "agent:main:play"] {
        person.ask(session, &format!("hello from {session}"));
    }
    let mut list = |params: Value| person.wire.request("sessions.list", params).expect("a list");
    let keys = |list: &Value| {
        let rows = list["sessions"].as_array().expect("rows").iter();
        rows.map(|it| it["key"].as_str().expect("a key").to_owned()).collect::<Vec<_>>().join(" ")
    };
    let all = list(json!({}));
    assert_eq!(keys(&all), "agent:main:play agent:main:work agent:main:main");
    assert_eq!((&all["count"], &all["totalCount"], &all["hasMore"]), (&json!(3), &json!(3), &json!(false)));
    assert_eq!(all["defaults"]["modelProvider"], "scripted");
    assert_eq!(all["defaults"]["model"], "scripted-1");
    let main = &all["sessions"][2];
    assert_eq!(
        (&main["isMain"], &main["kind"], &main["agentId"]),
        (&json!(true), &json!("direct"), &json!("main"))
    );
    assert!(main["updatedAt"].as_u64() >= main["createdAt"].as_u64(), "{main}");
    assert!(main["totalTokens"].as_u64() > Some(0), "{main}");
    assert_eq!(main["modelProvider"], "scripted");

    let page = list(json!({"limit": 2}));
    assert_eq!((&page["hasMore"], &page["nextOffset"]), (&json!(true), &json!(2)));
    let rest = list(json!({"limit": 2, "offset": 2}));
    assert_eq!((keys(&rest).as_str(), &rest["hasMore"]), ("agent:main:main", &json!(false)));
    assert_eq!(keys(&list(json!({"search": "work"}))), "agent:main:work");
}

#[test]
fn models_list_begins_with_the_one_that_answers() {
    let scene = Scene::of(
        crate::support::sandbox(),
        testkit::ScriptedModel::start().key(KEY).model("scripted-2"),
        |_| {},
    );
    let mut person = scene.person();
    let list = person.wire.request("models.list", json!({})).expect("a list");
    let first = &list["models"][0];
    assert_eq!((&first["id"], &first["provider"]), (&json!("scripted-1"), &json!("scripted")));
    assert_eq!((&first["contextWindow"], &first["available"]), (&json!(32_000), &json!(true)));
    assert_eq!(list["models"][1]["id"], "scripted-2");
    assert_eq!(list["models"].as_array().map(Vec::len), Some(2), "{list}");
}

#[test]
fn config_get_shows_everything_but_secrets() {
    let scene = Scene::new();
    let mut person = scene.person();
    let reply = person.wire.request("config.get", json!({})).expect("a config");
    let text = reply.to_string();
    assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
    let hidden = json!("__OPENCLAW_REDACTED__");
    let config = &reply["config"];
    assert_eq!(config["gateway"]["auth"]["token"], hidden);
    assert_eq!(config["models"]["providers"]["scripted"]["apiKey"], hidden);
    assert_eq!(config["models"]["providers"]["scripted"]["baseUrl"], scene.model.base_url());
    assert_eq!(config["agents"]["defaults"]["model"], MODEL);
    assert_eq!(
        (&reply["exists"], &reply["valid"], &reply["issues"]),
        (&json!(true), &json!(true), &json!([]))
    );
    assert_eq!(reply["path"], scene.state().join("openclaw.json").display().to_string());
    assert!(reply["hash"].as_str().is_some_and(|it| it.starts_with("hmac-sha256:v1:")), "{reply}");
}

#[test]
fn health_and_status_say_who_answers_and_how_it_is() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("main", "hello");
    let health = person.wire.request("health", json!({"probe": true})).expect("a health");
    assert_eq!((&health["ok"], &health["problems"]), (&json!(true), &json!([])));
    let instance = &health["instance"];
    assert_eq!((&instance["name"], &instance["port"]), (&json!("main"), &json!(scene.gateway.port())));
    assert_eq!(instance["pid"], scene.gateway.pid());
    assert_eq!((&health["defaultAgentId"], &health["channels"]), (&json!("main"), &json!({})));
    assert_eq!(health["sessions"]["count"], 1);
    assert_eq!(health["sessions"]["recent"][0]["key"], "agent:main:main");

    let status = person.wire.request("status", json!({})).expect("a status");
    assert_eq!(&status["instance"], instance);
    assert_eq!(status["model"]["primary"], MODEL);
    assert_eq!((&status["connections"], &status["activeRuns"]), (&json!(1), &json!(0)));
    assert_eq!(status["sessions"]["count"], 1);
    assert_eq!(status["sessions"]["recent"][0]["key"], "agent:main:main");
    assert!(status["runtimeVersion"].is_string() && status["uptimeMs"].is_u64(), "{status}");
}
