//! What is exposed is listed by severity, without a secret; modes are put right; a running gateway refuses strangers.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use testkit::{Sandbox, tree};

use crate::support::{offline, set_up, start};

#[track_caller]
fn audit(sandbox: &Sandbox, more: &[&str], code: i32) -> Value {
    let args = [&["--profile", "main", "security", "audit", "--json"], more].concat();
    let output = sandbox.run(&args).code(code);
    assert!(!output.stdout.contains("hunter2"), "a secret is shown: {output}");
    output.json()
}

/// What is worse than a note.
fn ids(answer: &Value) -> Vec<String> {
    let found = answer["findings"].as_array().expect("findings").iter();
    // Logs of the original may lie about on the machine of this test.
    let told = found.filter(|it| it["severity"] != "info" && it["checkId"] != "fs.shared_tmp_logs");
    told.map(|it| it["checkId"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_fresh_instance_exposes_nothing() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    let answer = audit(&sandbox, &[], 0);
    assert_eq!(ids(&answer), [""; 0], "{answer:#}");
    assert!(
        answer["ts"].is_u64() && answer["summary"]["critical"] == 0 && answer["deep"].is_null(),
        "{answer:#}"
    );
}

#[test]
fn modes_are_found_and_put_right_and_no_other_instance_is_touched() {
    let sandbox = offline();
    let (_main, _work) = (set_up(&sandbox, "main"), set_up(&sandbox, "work"));
    let state = sandbox.state(Some("main"));
    let open = |profile: &str, name: &str, mode| {
        let path = sandbox.state(Some(profile)).join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    fs::write(state.join("keys.env"), "KEY=hunter2").expect("written");
    for profile in ["main", "work"] {
        open(profile, "openclaw.json", 0o644);
        open(profile, "", 0o777);
    }
    open("main", "keys.env", 0o644);
    let neighbour = tree::hash(&sandbox.state(Some("work")));
    let expected =
        ["fs.state_dir.perms_world_writable", "fs.config.perms_world_readable", "fs.env_file.perms_readable"];
    assert_eq!(ids(&audit(&sandbox, &[], 1)), expected);
    let fixed = audit(&sandbox, &["--fix"], 0);
    assert_eq!(fixed["fix"]["ok"], true, "{fixed:#}");
    assert_eq!(fixed["fix"]["changes"].as_array().map(Vec::len), Some(3), "{fixed:#}");
    assert_eq!(ids(&fixed["report"]), [""; 0], "{fixed:#}");
    assert_eq!(ids(&audit(&sandbox, &[], 0)), [""; 0]);
    assert_eq!(fs::metadata(&state).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(tree::hash(&sandbox.state(Some("work"))), neighbour);
}

#[test]
fn a_config_is_judged_with_its_neighbours() {
    let sandbox = offline();
    let (_main, _work) = (set_up(&sandbox, "main"), set_up(&sandbox, "work"));
    let token = "a-token-long-enough-hunter2";
    for profile in ["main", "work"] {
        let path = sandbox.state(Some(profile)).join("openclaw.json");
        let text = fs::read_to_string(&path).expect("read");
        let (before, rest) = text.split_once("token: \"").expect("a token");
        let (_, after) = rest.split_once('"').expect("its end");
        let more = "channels: { telegram: { botToken: \"1:hunter2\", allowFrom: [\"*\"] } },\n  agents:";
        let text = format!("{before}token: \"{token}\"{after}").replace("agents:", more);
        fs::write(&path, text).expect("written");
    }
    let units = sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(&units).expect("made");
    let unit = units.join("openclaw-gateway-main.service");
    fs::write(&unit, "[Service]\nEnvironment=OPENCLAW_GATEWAY_TOKEN=hunter2\n").expect("written");
    fs::set_permissions(&unit, fs::Permissions::from_mode(0o644)).expect("ours");
    let answer = audit(&sandbox, &[], 1);
    let mut found = ids(&answer);
    found.sort();
    let expected = [
        "channels.telegram.dm.open",
        "gateway.token_shared",
        "instances.login_shared",
        "security.exposure.open_channels_with_exec",
        "service.unit_holds_secret",
    ];
    assert_eq!(found, expected, "{answer:#}");
}

#[test]
fn a_stranger_who_knocks_is_refused_each_time() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "main");
    let answer = audit(&sandbox, &["--deep"], 0);
    assert_eq!(answer["deep"]["gateway"]["ok"], true, "{answer:#}");
    let probes = answer["deep"]["probes"].as_array().expect("probes");
    assert_eq!(probes.len(), 6);
    let of = |id: &str| probes.iter().find(|it| it["id"] == id).map(|it| it["got"].to_string());
    assert_eq!(of("host").as_deref(), Some("\"HTTP 421\""));
    assert_eq!(of("origin").as_deref(), Some("\"HTTP 403\""));
    assert_eq!(gateway.stop(), 0);
    let answer = audit(&sandbox, &["--deep"], 0);
    assert_eq!(answer["deep"]["gateway"]["attempted"], false, "{answer:#}");
}
