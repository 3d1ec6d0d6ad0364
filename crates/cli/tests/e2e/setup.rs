//! `setup`, run again and again: it adds what is missing and touches nothing else.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use testkit::{free_base, tree};

use crate::support::{offline, set_up, text};

#[test]
fn a_second_run_changes_no_byte() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    let before = tree::hash(&sandbox.home());
    let again = sandbox.run(&["--profile", "main", "setup"]).success();
    assert!(again.stdout.matches("kept as it is").count() == 2, "{again}");
    assert_eq!(tree::hash(&sandbox.home()), before);
}

#[test]
fn what_a_person_wrote_stays_and_what_is_missing_is_added() {
    let sandbox = offline();
    let state = sandbox.state(Some("main"));
    let config = state.join("openclaw.json");
    fs::create_dir(&state).expect("the home is writable");
    let base = free_base();
    let mine = format!(
        "// mine\n{{\n  gateway: {{ port: {}, /* why */ }},\n  zebra: ['a', 'b'], // mine too\n}}\n",
        base.port()
    );
    fs::write(&config, &mine).expect("a new file");
    let report = sandbox.run(&["--profile", "main", "setup", "--json"]).success().json();
    assert_eq!(report["port"], base.port(), "{report}");
    assert_eq!(report["created"], false, "{report}");
    let added = ["gateway.mode", "gateway.auth.token", "agents.defaults.workspace"];
    assert_eq!(report["added"], serde_json::json!(added), "{report}");
    let completed = fs::read_to_string(&config).expect("a config");
    for kept in ["// mine\n{", "/* why */", "zebra: ['a', 'b'], // mine too"] {
        assert!(completed.contains(kept), "{kept} is gone:\n{completed}");
    }
    let before = tree::hash(&sandbox.home());
    let _ = sandbox.run(&["--profile", "main", "setup"]).success();
    assert_eq!(tree::hash(&sandbox.home()), before);
    assert_eq!(fs::metadata(&state).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(sandbox.start(&["--profile", "main"], base.port()).stop(), 0);
}

#[test]
fn each_instance_is_given_a_base_twenty_ports_from_every_other() {
    let sandbox = offline();
    let mut ports = Vec::new();
    for profile in ["main", "rescue", "acme"] {
        let report = sandbox.run(&["--profile", profile, "setup", "--json"]).success().json();
        ports.push(report["port"].as_u64().expect("a port"));
    }
    assert!(ports.iter().all(|it| *it >= 18789 && (it - 18789) % 20 == 0), "{ports:?}");
    let report = sandbox.run(&["--dev", "setup", "--json"]).success().json();
    assert_eq!(report["instance"], "dev");
    ports.push(report["port"].as_u64().filter(|it| *it >= 19001).expect("a port from 19001 on"));
    // A port that was taken by somebody else may have become free meanwhile: they need not ascend.
    ports.sort_unstable();
    assert!(ports.windows(2).all(|it| it[1] - it[0] >= 20), "{ports:?}");
}

#[test]
fn instances_that_are_made_at_the_same_moment_are_given_ports_of_their_own() {
    let sandbox = offline();
    let mut ports: Vec<_> = thread::scope(|scope| {
        let make = |profile: &str| sandbox.run(&["--profile", profile, "setup", "--json"]).success().json();
        let made = ["a", "b", "c", "d"].map(|it| scope.spawn(move || make(it)));
        made.map(|it| it.join().expect("it ended")["port"].as_u64().expect("a port")).into()
    });
    ports.sort_unstable();
    assert!(ports.windows(2).all(|it| it[1] >= it[0] + 20), "{ports:?}");
}

#[test]
fn a_workspace_may_begin_empty_and_has_one_first_day() {
    let sandbox = offline();
    let base = set_up(&sandbox, "main");
    let workspace = sandbox.state(Some("main")).join("workspace-main");
    assert!(workspace.join("BOOTSTRAP.md").is_file());
    fs::remove_file(workspace.join("BOOTSTRAP.md")).expect("there");
    let again = sandbox.run(&["--profile", "main", "setup", "--json"]).success().json();
    assert_eq!(again["files"], serde_json::json!([]), "the first day is over: {again}");
    let state = sandbox.state(Some("bare"));
    fs::create_dir(&state).expect("a new folder");
    let config = format!(
        "{{ gateway: {{ port: {} }}, agents: {{ defaults: {{ skipBootstrap: true }} }} }}",
        free_base().port()
    );
    fs::write(state.join("openclaw.json"), config).expect("a new file");
    let _ = sandbox.run(&["--profile", "bare", "setup"]).success();
    assert_eq!(fs::read_dir(state.join("workspace-bare")).expect("made").count(), 0);
    drop(base);
}

#[test]
fn a_workspace_and_a_port_of_ones_own_are_kept() {
    let sandbox = offline();
    let base = free_base();
    let (port, folder) = (base.port().to_string(), sandbox.home().join("notes"));
    let args = ["--profile", "main", "setup", "--port", &port, "--workspace", "~/notes", "--json"];
    let report = sandbox.run(&args).success().json();
    assert_eq!((&report["workspace"], &report["port"]), (&text(&folder).into(), &base.port().into()));
    assert!(folder.join("AGENTS.md").is_file());
    assert!(!sandbox.state(Some("main")).join("workspace-main").exists());
    // A file of the person's own is not written over.
    fs::write(folder.join("SOUL.md"), "mine").expect("writable");
    let _ = sandbox.run(&["--profile", "main", "setup"]).success();
    assert_eq!(fs::read_to_string(folder.join("SOUL.md")).expect("there"), "mine");
}

#[test]
fn an_instance_whose_config_and_workspace_are_elsewhere_starts_a_second_time() {
    let sandbox = offline();
    let config = sandbox.home().join("main.json");
    let state = sandbox.home().join("main-state");
    let sandbox = sandbox.env("OPENCLAW_CONFIG_PATH", &config).env("OPENCLAW_STATE_DIR", &state);
    let base = free_base();
    let _ = sandbox.run(&["setup", "--port", &base.port().to_string(), "--workspace", "~/notes"]).success();
    for _ in 0..2 {
        assert_eq!(sandbox.start(&[], base.port()).stop(), 0);
    }
}

#[test]
fn a_token_in_the_environment_that_does_not_count_is_said_to_be_so() {
    let (sandbox, base) =
        (offline().env("OPENCLAW_GATEWAY_TOKEN", "a-token-of-the-environment"), free_base());
    let gateway = sandbox.start(&[], base.port());
    let said = gateway.log();
    assert!(said.contains("OPENCLAW_GATEWAY_TOKEN is set and does not count"), "{said}");
    assert!(!said.contains("a-token-of-the-environment"), "{said}");
    drop(gateway);
    let again = sandbox.start(&[], base.port()).log();
    assert!(!again.contains("does not count"), "it is said once, when the config is made: {again}");
}
