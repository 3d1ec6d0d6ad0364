//! Who is there, how things stand, and how often one may ask for what one has no right to.

use serde_json::{Value, json};
use testkit::Wire;

use crate::scene::{Person, Scene, TOKEN};

/// A page that calls itself so.
#[track_caller]
fn page(scene: &Scene, name: &str, scopes: &[&str]) -> Person {
    scene.person_with(|params| {
        params["client"] = json!({
            "id": "webchat", "version": "1.2", "platform": "linux", "mode": "webchat",
            "displayName": name, "instanceId": format!("tab-{name}"),
        });
        params["scopes"] = json!(scopes);
    })
}

fn names(present: &Value) -> Vec<String> {
    let all = present.as_array().cloned().unwrap_or_default();
    all.iter().skip(1).map(|it| it["host"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn who_comes_and_goes_is_seen_by_those_who_may_see_it() {
    let scene = Scene::new();
    let mut ada = page(&scene, "Ada", &["operator.read"]);
    let mut blind = page(&scene, "Blind", &[]);
    let heard =
        ada.wire.next_event(|it| it["event"] == "presence" && names(&it["payload"]["presence"]).len() == 2);
    assert_eq!(names(&heard["payload"]["presence"]), ["Ada", "Blind"]);
    assert_eq!(heard["payload"]["presence"][0]["mode"], "gateway", "{heard}");
    let version = |it: &Value| it["stateVersion"]["presence"].as_u64().unwrap_or_default();
    let is_bob_there = |it: &Value| names(&it["payload"]["presence"]).contains(&"Bob".to_owned());
    drop(page(&scene, "Bob", &["operator.read"]));
    let came = ada.wire.next_event(is_bob_there);
    let went = ada.wire.next_event(|it| version(it) > version(&came) && !is_bob_there(it));
    assert!(version(&heard) < version(&came) && version(&came) < version(&went), "{heard} {came} {went}");
    let present = ada.wire.request("system-presence", json!({})).expect("may see");
    assert_eq!(names(&present), ["Ada", "Blind"]);
    assert_eq!((&present[1]["instanceId"], &present[1]["ip"]), (&json!("tab-Ada"), &json!("127.0.0.1")));
    let refused = blind.wire.request("system-presence", json!({})).expect_err("no scope");
    assert_eq!(refused["code"], "FORBIDDEN");
    let heard = blind.wire.take_events();
    assert!(heard.iter().all(|it| it["event"] != "presence"), "who may not see heard of it: {heard:?}");
}

#[test]
fn a_command_that_comes_and_goes_is_nobody_s_news() {
    let scene = Scene::new();
    let mut ada = page(&scene, "Ada", &["operator.read"]);
    let present = ada.wire.request("system-presence", json!({})).expect("may see");
    drop(Wire::connect(scene.gateway.port(), TOKEN));
    assert_eq!(names(&present), names(&ada.wire.request("system-presence", json!({})).expect("may see")));
}

#[test]
fn one_of_two_tabs_that_closes_leaves_the_other() {
    let scene = Scene::new();
    let mut watcher = page(&scene, "Watcher", &["operator.read"]);
    let (one, two) = (page(&scene, "Tab", &["operator.read"]), page(&scene, "Tab", &["operator.read"]));
    drop(one);
    let there =
        |watcher: &mut Person| names(&watcher.wire.request("system-presence", json!({})).expect("may"));
    crate::scene::until("one connection is gone", || {
        (scene.person().wire.request("status", json!({})).expect("may")["connections"] == 3).then_some(())
    });
    assert_eq!(there(&mut watcher), ["Watcher", "Tab"]);
    drop(two);
    crate::scene::until("the other one is gone", || (there(&mut watcher) == ["Watcher"]).then_some(()));
}

#[test]
fn who_goes_on_asking_for_what_is_not_theirs_is_closed_after_the_answer() {
    let scene = Scene::new();
    let mut reader = page(&scene, "Reader", &["operator.read"]);
    for at in 1..=11 {
        let refused = reader.wire.request("chat.abort", json!({"sessionKey": "main"})).expect_err("no scope");
        assert_eq!(refused["details"]["missingScope"], "operator.write", "call {at}");
    }
    let close = reader.wire.closed();
    assert_eq!((close.code, close.reason.as_str()), (1008, "repeated unauthorized calls"));
    scene.person().check_goes_on("main");
}

#[test]
fn thirty_changes_of_the_config_within_a_minute_are_enough_for_one_connection() {
    let scene = Scene::new();
    let mut person = scene.person();
    let patch = |person: &mut Person| person.wire.request("config.patch", json!({"raw": "{"}));
    for at in 0..30 {
        assert_eq!(patch(&mut person).expect_err("no text")["code"], "INVALID_REQUEST", "call {at}");
    }
    let refused = patch(&mut person).expect_err("too many");
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("UNAVAILABLE"), &json!(true)), "{refused}");
    assert!(refused["retryAfterMs"].as_u64().is_some_and(|it| it <= 60_000), "{refused}");
    assert_eq!(
        patch(&mut scene.person()).expect_err("no text")["code"],
        "INVALID_REQUEST",
        "another one may"
    );
}
