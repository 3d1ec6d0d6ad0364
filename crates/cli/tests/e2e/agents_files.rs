//! The files of an agent over the control plane: six names, beneath its folder, and never over what another wrote.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;

use serde_json::{Value, json};

use crate::scene::Scene;

#[test]
fn six_files_are_read_and_written_and_nothing_else() {
    let scene = Scene::new();
    let mut person = scene.person();
    let mut ask =
        |method: &str, params: Value| person.wire.request(&format!("agents.files.{method}"), params);
    let list = ask("list", json!({"agentId": "main"})).expect("a list");
    assert_eq!(list["files"].as_array().map(Vec::len), Some(6), "{list}");
    let set = ask("set", json!({"agentId": "main", "name": "SOUL.md", "content": "Calm."})).expect("written");
    assert_eq!(fs::read_to_string(scene.workspace().join("SOUL.md")).expect("there"), "Calm.");
    let got = ask("get", json!({"agentId": "main", "name": "SOUL.md"})).expect("read");
    assert_eq!((&got["file"]["content"], &got["file"]["hash"]), (&json!("Calm."), &set["file"]["hash"]));
    let missing = ask("get", json!({"agentId": "main", "name": "MEMORY.md"})).expect("answered");
    assert_eq!((&missing["file"]["missing"], missing["file"].get("content")), (&json!(true), None));
    for (name, words) in
        [("foo.txt", "unsupported file \"foo.txt\""), ("../SOUL.md", "unsupported file \"../SOUL.md\"")]
    {
        let refusal = ask("get", json!({"agentId": "main", "name": name})).expect_err("refused");
        assert_eq!(refusal["message"], words);
    }
    let refusal = ask("get", json!({"agentId": "zzz", "name": "SOUL.md"})).expect_err("refused");
    assert_eq!(refusal["message"], "agent \"zzz\" not found");
    let large = json!({"agentId": "main", "name": "SOUL.md", "content": "x".repeat(1024 * 1024 + 1)});
    assert!(
        ask("set", large).expect_err("refused")["message"].as_str().is_some_and(|it| it.contains("1048576"))
    );
    // Somebody else writes meanwhile.
    fs::write(scene.workspace().join("SOUL.md"), "Grumpy.").expect("written");
    let params =
        json!({"agentId": "main", "name": "SOUL.md", "content": "x", "expectedHash": set["file"]["hash"]});
    let refusal = ask("set", params).expect_err("a conflict");
    assert_eq!(refusal["details"]["type"], "agent_file_conflict", "{refusal}");
    assert_eq!(fs::read_to_string(scene.workspace().join("SOUL.md")).expect("there"), "Grumpy.");
}

#[test]
fn no_link_leads_out() {
    let scene = Scene::new();
    let secret = scene.state().join("secret.txt");
    fs::write(&secret, "hidden").expect("written");
    fs::create_dir_all(scene.workspace()).expect("made");
    std::os::unix::fs::symlink("../secret.txt", scene.workspace().join("USER.md")).expect("linked");
    let mut person = scene.person();
    let got = person.wire.request("agents.files.get", json!({"agentId": "main", "name": "USER.md"}));
    assert!(got.is_err(), "{got:?}");
    let params = json!({"agentId": "main", "name": "USER.md", "content": "x"});
    assert!(person.wire.request("agents.files.set", params).is_err());
    assert_eq!(fs::read_to_string(&secret).expect("there"), "hidden");
}

#[test]
fn a_reader_reads_and_does_not_write() {
    let scene = Scene::new();
    let mut person = scene.person_with(|it| it["scopes"] = json!(["operator.read"]));
    person.wire.request("agents.files.list", json!({"agentId": "main"})).expect("a list");
    let params = json!({"agentId": "main", "name": "SOUL.md", "content": "x"});
    let refusal = person.wire.request("agents.files.set", params).expect_err("refused");
    assert_eq!(refusal["message"], "missing scope: operator.admin");
}
