//! `configure`: one part of the set-up again, and nothing else.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;

use testkit::{ScriptedModel, free_base, tree};

use crate::onboard::in_a_terminal;
use crate::support::{check_advised, check_refused, offline, sandbox, set_up};
use crate::talk::Talk;

#[test]
fn one_section_is_changed_and_comments_stay() {
    let model = ScriptedModel::start().model("second-2");
    let sandbox = sandbox().env("OPENAI_BASE_URL", model.base_url());
    let _base = set_up(&sandbox, "a");
    let path = sandbox.state(Some("a")).join("openclaw.json");
    let mine = fs::read_to_string(&path).expect("a config").replace("gateway: {", "gateway: { // mine\n");
    fs::write(&path, &mine).expect("writable");
    let args =
        ["--profile", "a", "configure", "--section", "model", "--non-interactive", "--model", "second-2"];
    let said = sandbox.run(&[&args[..], &["--json"]].concat()).success().json();
    assert_eq!(said["changes"][0]["path"], "agents.defaults.model", "{said}");
    assert_eq!(said["changes"].as_array().map(Vec::len), Some(1), "{said}");
    let written = fs::read_to_string(&path).expect("there");
    assert!(written.contains("// mine") && written.contains("openai/second-2"), "{written}");
    // The second time there is nothing to change, and not a byte is written.
    let before = tree::hash(&sandbox.home());
    let _ = sandbox.run(&args).success();
    assert_eq!(tree::hash(&sandbox.home()), before);
}

#[test]
fn sections_are_chosen_in_a_terminal_where_none_is_named() {
    let sandbox = offline();
    let _old = set_up(&sandbox, "a");
    let new = free_base();
    let mut talk = Talk::start(in_a_terminal(&sandbox, 40, &["configure"]));
    talk.hear("What do you want to change?");
    // The fourth is the gateway.
    talk.say("g \r");
    talk.hear("Base port of instance a\r\n");
    talk.say(&format!("\u{15}{}\r", new.port()));
    talk.hear("How do clients show");
    talk.say("\r");
    talk.hear("Token\r\n");
    talk.say("\r");
    let said = talk.hear("Write this?");
    assert!(said.contains("~ gateway.port") && !said.contains("Folder of the agent's files"), "{said}");
    talk.say("y");
    assert_eq!(talk.end().0, 0);
    let written = fs::read_to_string(sandbox.state(Some("a")).join("openclaw.json")).expect("there");
    assert!(written.contains(&format!("port: {}", new.port())), "{written}");
}

#[test]
fn an_unknown_section_and_a_missing_config_are_told() {
    let sandbox = offline();
    let words = ["Invalid --section: nope", "workspace, model, channels, gateway, daemon"];
    let _ = check_refused(sandbox.run(&["--profile", "a", "configure", "--section", "nope"]), 64, &words);
    let missing = sandbox.run(&["--profile", "a", "configure", "--section", "model"]);
    let _ = check_advised(missing, 78, &["there is no config file", "openclaw --profile a onboard"]);
    assert!(tree::hash(&sandbox.home()).is_empty());
}
