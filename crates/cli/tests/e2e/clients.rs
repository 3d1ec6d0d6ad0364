//! Clients that others have written work as they are: the original's command line and a library, from a home that is
//! not the gateway's, over TCP, by the gateway's token.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Clients, Script};

use crate::scene::{Scene, TOKEN, until};

fn address(scene: &Scene) -> String {
    format!("ws://127.0.0.1:{}", scene.gateway.port())
}

/// Runs the original's command line against the scene's gateway. What it prints as JSON.
#[track_caller]
fn original(scene: &Scene, args: &[&str]) -> Value {
    let url = address(scene);
    let words = [args, &["--url", &url, "--token", TOKEN, "--json"]].concat();
    Clients::new(&scene.sandbox).original(&words).success().json()
}

#[test]
fn the_original_s_command_line_probes_us() {
    let scene = Scene::new();
    let probe = original(&scene, &["gateway", "probe"]);
    let target = &probe["targets"][0];
    assert_eq!(
        (&probe["ok"], &probe["degraded"], &probe["warnings"]),
        (&json!(true), &json!(false), &json!([]))
    );
    assert_eq!(
        (&target["connect"]["ok"], &target["connect"]["rpcOk"]),
        (&json!(true), &json!(true)),
        "{target}"
    );
    assert_eq!(target["config"]["valid"], true, "{target}");
}

#[test]
fn the_original_s_command_line_asks_how_we_are() {
    let scene = Scene::new();
    let health = original(&scene, &["gateway", "health"]);
    assert_eq!((&health["ok"], &health["instance"]["name"]), (&json!(true), &json!("main")));
    let called = original(&scene, &["gateway", "call", "health"]);
    assert_eq!(called["instance"], health["instance"]);
    let status = original(&scene, &["gateway", "status"]);
    assert_eq!(status["rpc"]["ok"], true, "{status}");
    let present = original(&scene, &["system", "presence"]);
    assert_eq!(present[0]["mode"], "gateway", "{present}");
}

#[test]
fn the_original_s_command_line_talks_to_our_agent() {
    let scene = Scene::new();
    scene.model.on("hello from the original", Script::new().text("hello to the original"));
    let url = address(&scene);
    let remote = json!({"gateway": {"mode": "remote", "remote": {"url": url, "token": TOKEN}}});
    let clients = Clients::new(&scene.sandbox);
    clients.config(&remote);
    let words = ["agent", "--agent", "main", "-m", "hello from the original", "--json"];
    let answer = clients.original(&words).success().json();
    assert_eq!(answer["status"], "ok", "{answer}");
    assert_eq!(answer["result"]["payloads"][0]["text"], "hello to the original");
    let status = clients.original(&["status"]).success();
    assert!(status.stdout.contains("reachable"), "{}", status.stdout);
    let logs = clients.original(&["logs", "--limit", "5"]).success();
    assert!(logs.stdout.contains("turn answered"), "{}", logs.stdout);
    // The gateway remembers what was said, as it does for its own clients.
    let mut person = scene.person();
    let history = person.wire.request("chat.history", json!({"sessionKey": "main"})).expect("a history");
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(2), "{history}");
}

#[test]
fn the_original_s_command_line_lists_devices_and_agents() {
    let scene = Scene::new();
    let devices = original(&scene, &["devices", "list"]);
    assert_eq!((&devices["paired"], &devices["pending"]), (&json!([]), &json!([])), "{devices}");
    let agents = original(&scene, &["gateway", "call", "agents.list"]);
    assert_eq!(agents["agents"][0]["id"], "main", "{agents}");
}

#[test]
fn the_original_s_command_line_is_refused_with_a_wrong_token() {
    let scene = Scene::new();
    let url = address(&scene);
    let words = ["gateway", "call", "health", "--url", &url, "--token", "wrong", "--json"];
    let output = Clients::new(&scene.sandbox).original(&words);
    assert_ne!(output.status, 0);
    assert_eq!(output.json()["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH", "{output:?}");
}
#[test]
fn the_original_s_node_host_is_approved_and_does_what_it_is_asked() {
    let scene = Scene::new();
    let mut admin = scene.person();
    admin.wire.patience(Duration::from_secs(180));
    let host = Clients::new(&scene.sandbox).node_host(scene.gateway.port(), TOKEN);
    let told = admin.wire.next_event(|it| it["event"] == "node.pair.requested")["payload"].clone();
    assert_eq!(told["displayName"], "kitchen", "{told}");
    let approve = json!({"requestId": told["requestId"]});
    let node = admin.wire.request("node.pair.approve", approve).expect("approved")["node"].clone();
    let asked = json!({
        "nodeId": node["nodeId"], "command": "system.which", "params": {"bins": ["sh"]}, "idempotencyKey": "k",
    });
    let found = admin.wire.request("node.invoke", asked.clone()).expect("it does");
    assert!(found.to_string().contains("/sh"), "{found}");
    let strange = json!({
        "nodeId": node["nodeId"], "command": "system.nothing", "params": {}, "idempotencyKey": "l",
    });
    assert!(admin.wire.request("node.invoke", strange).is_err(), "it has declared no such thing");
    drop(host);
    until("the node is still there", || {
        let list = admin.wire.request("node.list", json!({})).expect("a list");
        (list["nodes"][0]["connected"] == false).then_some(())
    });
    assert!(admin.wire.request("node.invoke", asked).is_err(), "it is gone");
}

#[test]
fn a_program_written_with_a_library_works() {
    let scene = Scene::new();
    scene.model.on("hello from a library", Script::new().text("hello to the library"));
    scene.model.on("without end", Script::new().text("and so on").hang());
    let seen = Clients::new(&scene.sandbox).library(&address(&scene), TOKEN);
    let of = |what: &str| {
        let found = seen.iter().find(|it| it.0 == what);
        &found.unwrap_or_else(|| panic!("{what} was not seen: {seen:#?}")).1
    };
    assert_eq!(of("chat")["text"], "hello to the library");
    assert_eq!(of("chat")["kinds"]["done"], 1, "{seen:#?}");
    assert_eq!(of("abort")["aborted"], true, "{seen:#?}");
    assert_eq!(of("sessions"), &json!(["agent:main:library"]));
    assert_eq!((of("config"), of("health")), (&json!(true), &json!(true)));
    assert!(of("unknown").as_str().is_some_and(|it| it.contains("no.such.method") || it.contains("scope")));
}
