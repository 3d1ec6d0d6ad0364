//! `fleet clone`: a second instance that has the work of the first, and nothing by which the two could meet.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base::file;
use testkit::gateway::token;
use testkit::{Output, Wire, tree};

use crate::fleet_world::{World, at_every_change, belongings, files_with};
use crate::scene::{KEY, TOKEN, said, write};
use crate::support::{check_advised, text};

/// What of the source may be in no file of its copy.
const SECRETS: [&str; 10] = [
    TOKEN,
    "123456:bot-token-of-the-config",
    "123456:bot-token-of-the-env-file",
    "device-key-of-the-source",
    "paired-device-of-the-source",
    "whatsapp-login-of-the-source",
    "grant-of-the-source-for-a-vendor",
    "hook-token-of-the-source-0123456789",
    "what-was-said-to-the-source",
    "https://cdp.example/?key=browser-of-the-source",
];

/// An instance `main`, number 0, with all that one can have.
fn world() -> World {
    let world = World::new();
    world.create("main", 0);
    let state = world.state("main");
    let put = |name: &str, text: &str| {
        let path = state.join(name);
        file::private_folder(path.parent().expect("it has one")).expect("ours");
        write(&path, text);
    };
    let [_, bot, env_bot, key, device, login, grant, hook, _, browser] = SECRETS;
    let config = format!(
        "{{\n  // the one on the ground floor\n  gateway: {{ mode: 'local', port: {port},\n    \
         auth: {{ mode: 'token', token: '{TOKEN}' }} }}, // not {TOKEN} again\n  models: {{ providers: {{ \
         scripted: {{ baseUrl: '{url}', apiKey: '{KEY}',\n    models: [{{ id: 'scripted-1', contextWindow: \
         32000 }}] }} }} }},\n  agents: {{ defaults: {{ model: 'scripted/scripted-1' /* echoes */, workspace: \
         '{workspace}' }} }},\n  channels: {{ telegram: {{ enabled: true, botToken: '{bot}', allowFrom: ['ada'] \
         }} }},\n  hooks: {{ token: '{hook}' }},\n  browser: {{ profiles: {{ remote: {{ cdpUrl: '{browser}' }} }} \
         }},\n  cron: {{ enabled: true }}, // every morning\n}}\n",
        port = world.port(0),
        url = world.model.base_url(),
        workspace = state.join("workspace-main").display(),
    );
    put("openclaw.json", &config);
    put("workspace-main/notes/plan.md", "the plan");
    put("workspace-main/run.sh", "#!/bin/sh");
    put("skills/tea/SKILL.md", "brew");
    put(".env", &format!("# mine\nACME_API_KEY=sk-vendor-key\nTELEGRAM_BOT_TOKEN={env_bot}\n"));
    put("identity/device.json", &format!("{{\"privateKey\": \"{key}\"}}"));
    put("devices/paired.json", &format!("{{\"token\": \"{device}\"}}"));
    put("credentials/whatsapp/default/creds.json", &format!("{{\"login\": \"{login}\"}}"));
    put("agents/main/agent/auth-profiles.json", &format!("{{\"access\": \"{grant}\"}}"));
    symlink("plan.md", state.join("workspace-main/notes/link")).expect("new");
    world
}

#[test]
fn a_clone_has_the_work_of_its_source_and_none_of_its_secrets() {
    let world = world();
    world.start("main");
    world.chat("main", SECRETS[8]);
    for secret in SECRETS {
        assert!(!files_with(&world.state("main"), secret).is_empty(), "the source has no {secret}");
    }
    let before = tree::hash(&world.state("main"));
    let port = world.port(1);
    let made =
        world.fleet(&["clone", "main", "copy", "--port", &port.to_string(), "--json"]).success().json();
    assert_eq!(tree::hash(&world.state("main")), before);

    let copy = world.state("copy");
    for secret in SECRETS {
        let found = files_with(&copy, secret);
        assert!(found.is_empty(), "{secret} is in {found:?}");
        assert!(!made.to_string().contains(secret), "{secret} is in {made}");
    }
    for absent in ["identity", "devices", "credentials", "agents", "gateway.sqlite", "generations", "logs"] {
        assert!(!copy.join(absent).exists(), "{absent} was copied");
    }
    let read = |name: &str| fs::read_to_string(copy.join(name)).unwrap_or_else(|it| panic!("{name}: {it}"));
    assert_eq!(read("workspace-copy/notes/plan.md"), "the plan");
    assert_eq!(read("workspace-copy/notes/link"), "the plan");
    assert_eq!(read("skills/tea/SKILL.md"), "brew");
    assert_eq!(read(".env"), "ACME_API_KEY=sk-vendor-key\n");
    let config = read("openclaw.json");
    for kept in ["// the one on the ground floor", "/* echoes */", "// every morning", "allowFrom: ['ada']"] {
        assert!(config.contains(kept), "nothing of {kept} in {config}");
    }
    assert!(!config.contains(text(&world.state("main"))), "{config}");
    assert!(config.contains("cron: { enabled: false }"), "{config}");
    let left = made["leftBehind"].to_string();
    for what in ["botToken", "TELEGRAM_BOT_TOKEN", "identity", "devices", "credentials", "cron", "cdpUrl"] {
        assert!(left.contains(what), "nothing about {what}: {left}");
    }
    assert_eq!((&made["port"], &made["from"]), (&port.into(), &"main".into()));
}

#[test]
fn a_clone_runs_beside_its_source_and_begins_a_conversation_of_its_own() {
    let world = world();
    let source = world.start("main");
    world.chat("main", "to the source");
    let _ = world.fleet(&["clone", "main", "copy", "--port", &world.port(1).to_string(), "--json"]).success();
    let copy = world.start("copy");
    let mut person = world.person("copy");
    assert_eq!(person.history("main"), [""; 0]);
    assert_eq!(said(&person.ask("main", "to the copy")), "final: echo: to the copy");
    assert_eq!(
        world.person("main").history("main"),
        ["user: to the source", "assistant: echo: to the source"]
    );
    let rows = world.ls();
    for (name, pid) in [("main", source), ("copy", copy)] {
        assert_eq!((&rows[name]["state"], &rows[name]["pid"]), (&"ready".into(), &pid.into()), "{rows:?}");
    }
    assert!(rows["copy"]["channels"].as_array().is_some_and(Vec::is_empty), "{rows:?}");
    let theirs = testkit::wire::connect_params(&token(&world.state("main")));
    assert!(Wire::try_connect(world.port(1), theirs).is_err(), "the source's token opens the copy");
}

#[test]
fn a_config_that_does_not_parse_is_refused_with_its_place_and_nothing_is_made() {
    let world = world();
    let config = world.state("main").join("openclaw.json");
    write(&config, "{\n  gateway: {\n    port: 1\n    mode: 'local',\n  },\n}\n");
    let place = format!("{} does not parse: line 3, column 12", config.display());
    check_not_made(&world, &["main", "copy"], 78, &[&place]);
}

#[test]
fn what_cannot_be_had_is_refused_and_nothing_is_made() {
    let world = world();
    world.create("other", 1);
    let port = (world.port(1) + 2).to_string();
    for (words, code, expected) in [
        (&["nobody", "copy"][..], 64, &["there is no instance nobody", "main, other"][..]),
        (&["main", "other"], 64, &["there is an instance other already"]),
        (&["main", "main"], 64, &["there is an instance main already"]),
        (&["main", "../x"], 64, &["`../x` is no name"]),
        (&["main", "copy", "--port", &port], 69, &["overlaps instance other"]),
        (&["main", "copy", "--port", "65500"], 64, &["cannot be a base port"]),
    ] {
        check_not_made(&world, words, code, expected);
    }
}

/// Whoever looks finds the whole copy or none.
#[test]
fn a_clone_that_is_killed_is_whole_or_nothing() {
    let world = world();
    let before = tree::hash(&world.state("main"));
    let port = world.port(1).to_string();
    let clone = || world.command(&["clone", "main", "copy", "--port", &port]);
    let _ = Output::of(clone()).success();
    let mut whole = belongings(&world.state("copy"));
    // Its token is another each time.
    let config = whole.remove(Path::new("openclaw.json"));
    let mut outcomes = [0, 0];
    let _ = world.fleet(&["rm", "copy", "--confirm", "copy", "--no-snapshot"]).success();
    at_every_change(clone, |place| {
        let is_there = world.state("copy").exists();
        outcomes[usize::from(is_there)] += 1;
        world.repair();
        assert_eq!((world.state("copy").exists(), world.staging()), (is_there, Vec::new()), "{place}");
        world.check_repaired();
        if is_there {
            let mut found = belongings(&world.state("copy"));
            assert!(found.remove(Path::new("openclaw.json")).is_some() && config.is_some(), "{place}");
            found.remove(Path::new(".lock"));
            assert_eq!(found, whole, "{place}");
            assert_eq!(world.row("copy")["port"], world.port(1), "{place}");
            let _ = world.fleet(&["rm", "copy", "--confirm", "copy", "--no-snapshot"]).success();
        }
        assert_eq!(world.names(), ["main"], "{place}");
    });
    assert!(outcomes.iter().all(|it| *it > 1), "{outcomes:?}");
    assert_eq!(tree::hash(&world.state("main")), before);
}

/// A refused clone leaves the home and the records as they were.
#[track_caller]
fn check_not_made(world: &World, words: &[&str], code: i32, expected: &[&str]) {
    let before = tree::hash(world.sandbox.path());
    check_advised(world.fleet(&[&["clone"], words].concat()), code, expected);
    assert_eq!(tree::hash(world.sandbox.path()), before, "{words:?}");
}
