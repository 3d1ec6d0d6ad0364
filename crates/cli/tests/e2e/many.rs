//! Many conversations at once: words in them, one change to several, their groups. And a workspace from afar, and what
//! a restart would wait for.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;

use serde_json::{Value, json};
use testkit::Script;

use crate::scene::{Person, Scene};

fn done(person: &mut Person, method: &str, params: Value) -> Value {
    person.wire.request(method, params.clone()).unwrap_or_else(|it| panic!("{method} {params}: {it}"))
}

fn refused(person: &mut Person, method: &str, params: Value) -> String {
    let refusal = person.wire.request(method, params).expect_err(method);
    refusal["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn words_are_found_in_what_was_said() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("one", "Where does the Blue whale live?");
    person.ask("two", "a blue shirt");
    person.ask("two", "and nothing else");
    let mut keys = |params: Value| {
        let found = done(&mut person, "sessions.search", params);
        let results = found["results"].as_array().expect("results").clone();
        let word =
            |it: &Value| format!("{} {}", it["sessionKey"].as_str().unwrap(), it["role"].as_str().unwrap());
        let mut words: Vec<String> = results.iter().map(word).collect();
        words.sort();
        (words, found)
    };
    let (words, found) = keys(json!({"query": "BLUE whale"}));
    assert_eq!(words, ["agent:main:one assistant", "agent:main:one user"]);
    let hit = &found["results"][0];
    assert!(hit["snippet"].as_str().is_some_and(|it| it.contains("Blue whale")), "{hit}");
    assert!(hit["score"].as_f64().is_some_and(|it| it > 0.0) && found.get("truncated").is_none(), "{found}");
    let (words, _) = keys(json!({"query": "blue", "sessionKeys": ["two"]}));
    assert_eq!(words, ["agent:main:two assistant", "agent:main:two user"]);
    let (words, found) = keys(json!({"query": "blue", "limit": 1, "scope": {"search": "two"}}));
    assert_eq!((words.len(), &found["truncated"]), (1, &json!(true)));
    assert_eq!(found["sessions"][0]["key"], "agent:main:two");
    // The message that was found is the one that is read by its id.
    let id = found["results"][0]["messageId"].clone();
    let read = done(&mut person, "chat.message.get", json!({"sessionKey": "two", "messageId": id}));
    assert_eq!(read["ok"], true);
    for (params, text) in [
        (json!({"query": "  "}), "query must not be empty"),
        (json!({"query": "x", "limit": 26}), "at /limit"),
        (json!({"query": "x", "agentId": "nobody"}), "not found"),
        (json!({"query": "x", "agentId": "main", "scope": {}}), "at /scope"),
        (json!({"query": "x", "sessionKeys": []}), "at /sessionKeys"),
    ] {
        let told = refused(&mut person, "sessions.search", params);
        assert!(told.contains(text), "{told}");
    }
}

#[test]
fn one_change_is_made_to_several_each_for_itself() {
    let scene = Scene::new();
    let mut person = scene.person();
    for key in ["one", "two"] {
        done(&mut person, "sessions.create", json!({"key": key}));
    }
    let targets = json!([{"key": "one"}, {"key": "two", "expectedSessionId": "another"}, {"key": "three"}]);
    let patched =
        done(&mut person, "sessions.patchMany", json!({"targets": targets, "patch": {"pinned": true}}));
    let outcomes = patched["outcomes"].as_array().expect("outcomes");
    assert_eq!(outcomes.iter().map(|it| it["ok"] == true).collect::<Vec<_>>(), [true, false, true]);
    assert!(
        outcomes[1]["error"]["message"].as_str().is_some_and(|it| it.contains("session id")),
        "{patched}"
    );
    let row = |person: &mut Person, key: &str| {
        done(person, "sessions.describe", json!({"key": key}))["session"].clone()
    };
    assert_eq!(row(&mut person, "one")["pinned"], true);
    assert_ne!(row(&mut person, "two")["pinned"], true);
    // What is wrong with the change, and who may not make it.
    let patch = |patch: Value| json!({"targets": [{"key": "one"}, {"key": "two"}], "patch": patch});
    let told = refused(&mut person, "sessions.patchMany", patch(json!({"pinned": "yes"})));
    assert!(told.starts_with("invalid sessions.patchMany params: at /patch/pinned"), "{told}");
    assert!(
        refused(&mut person, "sessions.patchMany", json!({"targets": [], "patch": {}}))
            .contains("at /targets")
    );
    let mut writer = scene.person_with(|it| it["scopes"] = json!(["operator.read", "operator.write"]));
    let told = refused(&mut writer, "sessions.patchMany", patch(json!({"verboseLevel": "full"})));
    assert_eq!(told, "missing scope: operator.admin");
    done(&mut writer, "sessions.patchMany", patch(json!({"icon": "x"})));
}

#[test]
fn groups_are_kept_in_order_and_follow_their_conversations() {
    let mut scene = Scene::new();
    let mut person = scene.person();
    done(&mut person, "sessions.patch", json!({"key": "one", "category": "Work"}));
    let names = |reply: &Value| {
        let groups = reply["groups"].as_array().expect("groups");
        groups
            .iter()
            .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&done(&mut person, "sessions.groups.list", json!({}))), "Work");
    let put = json!({"names": ["Home", "Work", "Home"], "sectionOrder": ["groups", "pinned"]});
    let reply = done(&mut person, "sessions.groups.put", put);
    assert_eq!((names(&reply), &reply["ok"]), ("Home Work".to_owned(), &json!(true)));
    let left = refused(&mut person, "sessions.groups.put", json!({"names": ["Home"]}));
    assert!(left.contains("\"Work\" (1)"), "{left}");
    let reply = done(&mut person, "sessions.groups.rename", json!({"name": "Work", "to": "Job"}));
    assert_eq!((names(&reply), &reply["updatedSessions"]), ("Home Job".to_owned(), &json!(1)));
    let unknown = refused(&mut person, "sessions.groups.rename", json!({"name": "Work", "to": "x"}));
    assert_eq!(unknown, "unknown session group: Work");
    assert!(refused(&mut person, "sessions.groups.put", json!({"names": [" "]})).contains("one line"));
    // They are there after a restart.
    scene.gateway.kill();
    scene.restart();
    let mut person = scene.person();
    let reply = done(&mut person, "sessions.groups.list", json!({}));
    assert_eq!(
        (names(&reply), &reply["sectionOrder"]),
        ("Home Job".to_owned(), &json!(["groups", "pinned"]))
    );
    let listed = done(&mut person, "sessions.list", json!({"group": "Job"}));
    assert_eq!(listed["totalCount"], 1);
    let reply = done(&mut person, "sessions.groups.delete", json!({"name": "Job"}));
    assert_eq!((names(&reply), &reply["updatedSessions"]), ("Home".to_owned(), &json!(1)));
    assert_eq!(done(&mut person, "sessions.list", json!({"group": "Job"}))["totalCount"], 0);
}

#[test]
fn a_workspace_is_looked_at_and_nothing_beside_it() {
    let scene = Scene::new();
    let mut person = scene.person();
    person.ask("s", "so that there is a workspace");
    let work = scene.workspace();
    fs::create_dir_all(work.join("notes/deep")).expect("made");
    fs::write(work.join("notes/a.txt"), "hello").expect("written");
    fs::write(work.join("notes/pic.png"), b"\x89PNG\r\n\x1a\nrest").expect("written");
    fs::write(work.join("notes/odd.bin"), b"\xff\xfe").expect("written");
    fs::write(work.join("notes/long.txt"), "x".repeat(300_000)).expect("written");
    std::os::unix::fs::symlink(scene.state().join("openclaw.json"), work.join("notes/config"))
        .expect("linked");
    std::os::unix::fs::symlink("../..", work.join("notes/up")).expect("linked");
    let list =
        done(&mut person, "agents.workspace.list", json!({"agentId": "main", "path": "notes", "limit": 2}));
    let names: Vec<&str> =
        list["entries"].as_array().expect("entries").iter().filter_map(|it| it["path"].as_str()).collect();
    assert_eq!(names, ["notes/deep", "notes/a.txt"]);
    assert_eq!((&list["totalEntries"], &list["parentPath"]), (&json!(5), &json!("")));
    let root = done(&mut person, "agents.workspace.list", json!({"agentId": "main"}));
    assert!(root["entries"].to_string().contains("\"notes\"") && root.get("parentPath").is_none(), "{root}");
    let mut get =
        |path: &str| person.wire.request("agents.workspace.get", json!({"agentId": "main", "path": path}));
    let text = get("notes/a.txt").expect("a text")["file"].clone();
    assert_eq!(
        (&text["content"], &text["encoding"], &text["size"]),
        (&json!("hello"), &json!("utf8"), &json!(5))
    );
    let picture = get("notes/pic.png").expect("a picture")["file"].clone();
    assert_eq!((&picture["mimeType"], &picture["encoding"]), (&json!("image/png"), &json!("base64")));
    for (path, kind) in [
        ("../openclaw.json", "workspace_path_invalid"),
        ("/etc/passwd", "workspace_path_invalid"),
        ("notes/config", "workspace_file_not_found"),
        ("notes/up/openclaw.json", "workspace_file_not_found"),
        ("notes", "workspace_file_not_found"),
        ("notes/odd.bin", "workspace_file_unsupported"),
        ("notes/long.txt", "workspace_file_too_large"),
    ] {
        assert_eq!(get(path).expect_err(path)["details"]["type"], kind, "{path}");
    }
    let up = json!({"agentId": "main", "path": "notes/up"});
    let up = person.wire.request("agents.workspace.list", up).expect_err("a link");
    assert_eq!(up["details"]["type"], "workspace_path_not_found");
    let nobody = refused(&mut person, "agents.workspace.list", json!({"agentId": "nobody"}));
    assert_eq!(nobody, "agent \"nobody\" not found");
}

#[test]
fn what_a_restart_would_wait_for_is_told() {
    let scene = Scene::new();
    scene.model.on("slow", Script::new().text("one ").wait("g").text("two"));
    let mut person = scene.person();
    let idle = done(&mut person, "gateway.restart.preflight", json!({}));
    assert_eq!((&idle["safe"], &idle["blockers"]), (&json!(true), &json!([])));
    assert_eq!(idle["summary"], "instance main would restart at once");
    let run = person.say("s", "slow");
    person.wait_said(&run, "one");
    person.say("s", "waits");
    let busy = done(&mut person, "gateway.restart.preflight", json!({}));
    assert_eq!(busy["safe"], false);
    assert_eq!((&busy["counts"]["embeddedRuns"], &busy["counts"]["queueSize"]), (&json!(1), &json!(1)));
    let summary = busy["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("instance main") && summary.contains("1 turn(s) under way"), "{summary}");
    scene.model.open("g");
}
