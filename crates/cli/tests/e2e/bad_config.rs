//! Configs that no gateway can run with: every finding at once, with its place, and no secret.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Output, Sandbox, tree};

use crate::support::{check_advised, offline, set_up, start, text};

/// A secret as people have them.
const SECRET: &str = "0123456789abcdef-do-not-show";

/// Starts a gateway with this config: it must refuse, say the words, and leave everything as it is.
#[track_caller]
fn check(config: &str, words: &[&str]) -> Output {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let path = sandbox.state(Some("a")).join("openclaw.json");
    fs::write(&path, config).expect("writable");
    let before = files(&sandbox);
    let output = sandbox.run(&["--profile", "a", "gateway", "--port", &base.port().to_string()]);
    let output = check_advised(output, 78, &[&["instance a: ", text(&path)], words].concat());
    assert!(!output.stderr.contains("0123456789"), "a secret is shown: {output}");
    assert_eq!(files(&sandbox), before, "something was changed");
    output
}

/// What is in the home, but for the lock's file, which `setup` leaves and a gateway takes away as it ends.
fn files(sandbox: &Sandbox) -> BTreeMap<PathBuf, String> {
    let mut files = tree::hash(&sandbox.home());
    files.remove(Path::new(".openclaw-a/gateway.lock"));
    files
}

#[test]
fn a_line_that_does_not_parse_is_shown_with_a_mark_below_the_place() {
    let output = check(
        "{\n  // mine\n  gateway: {\n    mode: \"local\"\n    port: 20000,\n  },\n}\n",
        &["does not parse", "line 4, column 18", "comma"],
    );
    assert!(
        output.stderr.contains("    |\n  4 |     mode: \"local\"\n    |                  ^\n"),
        "{output}"
    );
}

#[test]
fn a_secret_on_the_broken_line_is_not_shown() {
    for line in [
        format!("auth: {{ token: {SECRET} }},"),
        format!("auth: {{ token \"{SECRET}\" }},"),
        format!("auth: {{ \"token\": \"{SECRET} }},"),
        format!("auth: {{ mode: \"token\" token: \"{SECRET}\" }},"),
        format!("password = '{SECRET}',"),
    ] {
        let words = ["does not parse", "line 3, column ", "  3 |     ", ": ***\n"];
        check(&format!("{{\n  gateway: {{\n    {line}\n  }},\n}}\n"), &words);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let config = "{\n  gateway: { mode: 'remote',\n    bind: 'all', auth: { mode: 'nobody' } },\n  \
                  logging: { level: 'loud' },\n  models: { providers: { x: { api: 'smoke-signals' } } },\n}\n";
    check(
        config,
        &[
            "line 2, column 14: gateway.mode: is \"remote\"",
            "line 3, column 5: gateway.bind: is \"all\"",
            "line 3, column 26: gateway.auth.mode: is \"nobody\"",
            "line 4, column 14: logging.level: is \"loud\"",
            "line 5, column 31: models.providers.x.api: is \"smoke-signals\"",
        ],
    );
}

#[test]
fn each_value_that_keeps_a_gateway_from_starting() {
    let gateway = |rest: &str| format!("{{ gateway: {{ mode: 'local', {rest} }} }}");
    let token = format!("auth: {{ token: '{SECRET}' }}");
    for (config, words) in [
        (gateway("auth: { mode: 'token' }"), &["gateway.auth.token", "is not set", "setup"][..]),
        (gateway("auth: { mode: 'password' }"), &["gateway.auth.password", "OPENCLAW_GATEWAY_PASSWORD"]),
        (gateway("auth: { token: '' }"), &["gateway.auth.token"]),
        (gateway("auth: { token: '${NO_SUCH_VARIABLE}' }"), &["gateway.auth.token"]),
        (gateway(&format!("bind: 'all', {token}")), &["gateway.bind", "\"all\"", "loopback"]),
        (gateway(&format!("port: 'x', {token}")), &["gateway.port", "line 1"]),
        (gateway(&format!("port: 70000, {token}")), &["gateway.port", "70000"]),
        (format!("{{ gateway: {{ {token} }} }}"), &["gateway.mode", "\"local\"", "setup"]),
        ("[1, 2]".to_owned(), &["must be an object"]),
        ("{} {}".to_owned(), &["does not parse", "line 1, column 4"]),
        ("\u{0}".to_owned(), &["does not parse"]),
    ] {
        check(&config, words);
    }
}

#[test]
fn a_config_that_is_gone_after_a_run_is_not_made_anew_and_the_last_one_runs() {
    let sandbox = offline();
    let (mut gateway, base) = start(&sandbox, "a");
    let _ = sandbox.run(&["--profile", "a", "agent", "--message", "hello"]).success();
    assert_eq!(gateway.stop(), 0);
    let path = sandbox.state(Some("a")).join("openclaw.json");
    fs::remove_file(&path).expect("there");
    let mut gateway = sandbox.start(&["--profile", "a"], base.port());
    let said = gateway.wait_log("is not in force");
    assert!(said.contains("(it is gone)") && said.contains("openclaw --profile a config rollback"), "{said}");
    assert_eq!(gateway.stop(), 0);
    // Without anything that was accepted, nobody knows what the instance was to be.
    fs::remove_dir_all(path.with_file_name("generations")).expect("there");
    let before = files(&sandbox);
    let output = sandbox.run(&["--profile", "a", "gateway"]);
    check_advised(output, 78, &["instance a: ", text(&path), "is gone", "put", "openclaw --profile a setup"]);
    assert_eq!(files(&sandbox), before);
}

#[test]
fn status_answers_with_a_broken_config_and_shows_the_finding() {
    let sandbox = offline();
    let (mut gateway, base) = start(&sandbox, "a");
    let path = sandbox.state(Some("a")).join("openclaw.json");
    fs::write(&path, format!("{{\n  gateway: {{ auth: {{ token: {SECRET} }} }},\n}}\n")).expect("writable");
    for running in [true, false] {
        if !running {
            assert_eq!(gateway.stop(), 0);
        }
        check_shows_finding(&sandbox, if running { "ready" } else { "stopped" }, base.port());
    }
    // A broken config is nobody's to mend but its owner's.
    check_advised(sandbox.run(&["--profile", "a", "setup"]), 78, &["line 2, column ", "was not changed"]);
}

#[track_caller]
fn check_shows_finding(sandbox: &Sandbox, state: &str, port: u16) {
    let said = sandbox.run(&["--profile", "a", "status"]).success();
    let expected = [state, "line 2, column ", &format!("gateway {port}")];
    assert!(expected.iter().all(|it| said.stdout.contains(it)), "{said}");
    let json = sandbox.run(&["--profile", "a", "status", "--json"]).success().json();
    assert_eq!(
        (&json["config"]["valid"], &json["instance"]["state"]),
        (&false.into(), &state.into()),
        "{json}"
    );
    let issue = json["config"]["issues"][0].as_str().unwrap_or_default();
    assert!(issue.starts_with("line 2, column "), "{json}");
    let said = sandbox.run(&["--profile", "a", "gateway", "status"]).success();
    assert!(said.stdout.contains("does not parse"), "{said}");
    assert!(!json.to_string().contains(SECRET) && !said.stdout.contains(SECRET));
}
