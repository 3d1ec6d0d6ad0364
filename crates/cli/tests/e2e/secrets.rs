//! Secrets that a config only refers to: in force in memory, and in no file.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use testkit::{Output, Sandbox, ScriptedModel, Wire, free_base};

use crate::scene::{KEY, MAIN, configure, write};
use crate::support::{check_advised, sandbox};

/// What a client must know; no file has it.
const TOKEN: &str = "token-that-only-the-environment-has";

/// A program that hands the model's key out.
fn vault(sandbox: &Sandbox, says: &str) -> String {
    let path = sandbox.path().join("vault");
    write(&path, &format!("#!/bin/sh\ncat > /dev/null\n{says}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
    path.display().to_string()
}

fn answer(key: &str) -> String {
    format!("echo '{{\"protocolVersion\":1,\"values\":{{\"models/key\":\"{key}\"}}}}'")
}

fn refer(sandbox: &Sandbox, model: &ScriptedModel, vault: &str) {
    configure(sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["reload"] = json!({"debounceMs": 5});
        it["gateway"]["auth"]["token"] = json!({"source": "env", "provider": "default", "id": "MY_TOKEN"});
        it["models"]["providers"]["scripted"]["apiKey"] =
            json!({"source": "exec", "provider": "vault", "id": "models/key"});
        it["secrets"] = json!({"providers": {"vault": {"source": "exec", "command": vault}}});
    });
}

/// All that the files of a folder say.
fn everything(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            text.push_str(&everything(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    text
}

#[test]
fn what_references_lead_to_is_in_force_and_in_no_file() {
    let sandbox = sandbox().env("MY_TOKEN", TOKEN);
    // Longer than the default one, so that it can be looked for.
    let key = "sk-key-that-only-the-vault-has";
    let model = ScriptedModel::start().key(key);
    let program = vault(&sandbox, &answer(key));
    refer(&sandbox, &model, &program);
    let base = free_base();
    let mut gateway = sandbox.start(&["--profile", MAIN], base.port());
    let mut person = crate::scene::Person { wire: Wire::connect(base.port(), TOKEN) };
    person.check_goes_on("main");
    let shown = sandbox.run(&["--profile", MAIN, "gateway", "call", "config.get", "--json"]).success();
    assert!(shown.stdout.contains("\"MY_TOKEN\"") && !shown.stdout.contains(TOKEN), "{shown}");
    assert_eq!(gateway.stop(), 0);
    let all = everything(&sandbox.home());
    assert!(all.contains("MY_TOKEN"), "the reference is kept");
    for secret in [TOKEN, key] {
        assert!(!all.contains(secret) && !gateway.log().contains(secret), "{secret} is in a file");
    }
}

#[test]
fn a_reference_that_leads_nowhere_keeps_the_gateway_closed_and_the_rest_is_told() {
    let sandbox = sandbox();
    let model = ScriptedModel::start().key(KEY);
    let program = vault(&sandbox, &answer(KEY));
    refer(&sandbox, &model, &program);
    let base = free_base();
    let port = base.port().to_string();
    let run = || sandbox.command(&["--profile", MAIN, "gateway", "--port", &port]);
    check_advised(Output::of(run()), 78, &["gateway.auth.token", "the environment has no variable MY_TOKEN"]);
    // Another secret of the environment does not take the place of the one that is referred to.
    let mut other = run();
    other.env("OPENCLAW_GATEWAY_TOKEN", "another-token-of-the-environment");
    check_advised(Output::of(other), 78, &["gateway.auth.token", "MY_TOKEN"]);
    // A key that cannot be had is missing where it is needed, and nowhere else.
    let program = vault(&sandbox, "exit 3");
    refer(&sandbox, &model, &program);
    let mut command = run();
    command.env("MY_TOKEN", TOKEN);
    let gateway = testkit::Gateway::start(command, base.port());
    let line = gateway.wait_log("models.providers.scripted.apiKey");
    assert!(line.contains("cannot be had") && line.contains("failed (exit status: 3)"), "{line}");
    // Once it can be had again, the next change of the file brings it.
    vault(&sandbox, &answer(KEY));
    let path = sandbox.state(Some(MAIN)).join("openclaw.json");
    let text = fs::read_to_string(&path).expect("there");
    write(&path, &format!("{text}\n"));
    gateway.wait_log("config in force generation=2");
    let mut person = crate::scene::Person { wire: Wire::connect(base.port(), TOKEN) };
    person.check_goes_on("main");
}
