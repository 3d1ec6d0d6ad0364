//! Units that have the name of an instance's own and are not: they are shown, and never steered or taken away.
#![allow(clippy::disallowed_methods, reason = "a test writes the units that another program would write")]

use std::fs;
use std::path::PathBuf;

use testkit::Sandbox;

use crate::support::{offline, set_up};

const VERBS: [&str; 4] = ["start", "stop", "restart", "uninstall"];

fn unit(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(&folder).expect("made");
    folder.join("openclaw-gateway-main.service")
}

#[track_caller]
fn refused(sandbox: &Sandbox, text: &str, word: &str) {
    let unit = unit(sandbox);
    fs::write(&unit, text).expect("written");
    for verb in VERBS {
        let said = sandbox.run(&["--profile", "main", "gateway", verb]).code(69);
        assert!(said.stderr.contains(word) && said.stderr.contains("main"), "{verb}: {said}");
    }
    assert_eq!(fs::read_to_string(&unit).expect("still there"), text);
}

fn draft(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.run(&["--profile", "main", "gateway", "install", "--dry-run", "--json"]).success().json()
}

#[test]
fn a_foreign_unit_of_the_same_name_is_shown_and_left_alone() {
    let sandbox = offline();
    let _ = set_up(&sandbox, "main");
    let foreign = "[Service]\nExecStart=/usr/bin/node /opt/openclaw/dist/index.js gateway --port 18789\n";
    refused(&sandbox, foreign, "was not written by this program");
    let status = sandbox.run(&["--profile", "main", "gateway", "status", "--json"]).success().json();
    assert_eq!(status["service"]["config"]["standing"], "foreign", "{status:#}");
    let said = sandbox.run(&["--profile", "main", "gateway", "status"]).success().stdout;
    assert!(said.contains("not written by this program"), "{said}");
    // It does not keep the instance from being run without a service.
    let _ = sandbox.run(&["fleet", "start", "main"]).success();
    let _ = sandbox.run(&["fleet", "stop", "main"]).success();
}

#[test]
fn a_unit_of_ours_that_starts_another_instance_is_not_steered() {
    let sandbox = offline();
    let _ = set_up(&sandbox, "main");
    let text = draft(&sandbox)["text"].as_str().expect("a text").to_owned();
    for (own, others) in
        [("--profile main", "--profile other"), ("OPENCLAW_HOST_DIR=", "OPENCLAW_HOST_DIR=/elsewhere")]
    {
        assert!(text.contains(own), "{text}");
        refused(&sandbox, &text.replace(own, others), "runs another instance");
    }
}

#[test]
fn a_draft_tells_what_stands_what_differs_and_why_it_could_not_be() {
    let sandbox = offline();
    let _ = set_up(&sandbox, "main");
    let missing = draft(&sandbox);
    let unit = unit(&sandbox);
    assert_eq!(missing["standing"], "missing");
    assert_eq!(missing["unit"], unit.to_str().expect("Unicode"));
    assert!(!unit.exists(), "a draft wrote a unit");
    let text = missing["text"].as_str().expect("a text");
    fs::write(&unit, text).expect("written");
    assert_eq!(draft(&sandbox)["standing"], "same");
    fs::write(&unit, text.replace("MemoryMax=4G", "MemoryMax=1G")).expect("written");
    let edited = draft(&sandbox);
    assert_eq!(edited["standing"], "edited");
    assert_eq!(edited["difference"], serde_json::json!(["-MemoryMax=1G", "+MemoryMax=4G"]));
    let status = sandbox.run(&["--profile", "main", "gateway", "status", "--json"]).success().json();
    assert_eq!(status["service"]["config"]["standing"], "edited");
    // The sandbox has no service manager of its own.
    assert_eq!(edited["troubles"].as_array().map(Vec::len), Some(1), "{edited:#}");
}

#[test]
fn nothing_of_the_caller_is_in_a_unit() {
    let sandbox = offline()
        .env("OPENAI_API_KEY", "sk-poison")
        .env("LD_PRELOAD_X", "poison")
        .env("NODE_OPTIONS", "poison");
    let _ = set_up(&sandbox, "main");
    let text = draft(&sandbox)["text"].as_str().expect("a text").to_owned();
    assert!(!text.contains("poison"), "{text}");
    let config = fs::read_to_string(sandbox.state(Some("main")).join("openclaw.json")).expect("a config");
    let token = config.split("token: \"").nth(1).and_then(|it| it.split('"').next()).expect("a token");
    assert!(token.len() > 16, "{config}");
    assert!(!text.contains(token), "the token stands in the unit");
}
