//! `fleet rename`: another name for an instance, with everything that it has, in one step for whoever looks.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use testkit::tree;

use crate::fleet_world::{World, at_every_change, files_with};
use crate::scene::{KEY, write};
use crate::support::{check_advised, text};

/// An instance `main`, number 0, with comments in its config, work and a conversation. It does not run.
fn world() -> World {
    let world = World::new();
    world.create("main", 0);
    let config = world.state("main").join("openclaw.json");
    let made = fs::read_to_string(&config).expect("it was written");
    let url = world.model.base_url();
    let models = format!(
        "  models: {{ providers: {{ scripted: {{ baseUrl: '{url}', apiKey: '{KEY}',\n    models: [{{ id: \
         'scripted-1', contextWindow: 32000 }}] }} }} }}, // echoes\n  agents: {{"
    );
    write(&config, &made.replace("  agents: {", &models));
    write(&world.state("main").join("workspace-main/plan.md"), "the plan");
    world.start("main");
    world.chat("main", "before");
    world.stop("main");
    world
}

#[track_caller]
fn check_whole(world: &World, name: &str, workspace: &str) {
    let state = world.state(name);
    let config = fs::read_to_string(state.join("openclaw.json")).expect("a config");
    assert!(config.contains("// echoes"), "{config}");
    let workspace = state.join(workspace);
    assert!(config.contains(&format!("workspace: \"{}\"", workspace.display())), "{config}");
    assert_eq!(fs::read_to_string(workspace.join("plan.md")).expect("its work"), "the plan");
    let row = world.row(name);
    assert_eq!((&row["state"], &row["port"]), (&"stopped".into(), &world.port(0).into()), "{row}");
    assert_eq!((&row["recorded"], &row["findings"]), (&true.into(), &serde_json::json!([])), "{row}");
    assert_eq!(world.records().len(), 1);
}

#[test]
fn a_renamed_instance_has_all_that_it_had() {
    let world = world();
    let said = world.fleet(&["rename", "main", "acme", "--json"]).success().json();
    assert_eq!((&said["was"], &said["name"]), (&"main".into(), &"acme".into()));
    assert_eq!(world.names(), ["acme"]);
    assert!(!world.state("main").exists());
    check_whole(&world, "acme", "workspace-acme");
    for place in ["openclaw.json", "workspace-acme"] {
        let mention = files_with(&world.state("acme"), text(&world.state("main")));
        assert!(!mention.iter().any(|it| it.starts_with(world.state("acme").join(place))), "{mention:?}");
    }
    world.start("acme");
    world.chat("acme", "after");
    let all = ["user: before", "assistant: echo: before", "user: after", "assistant: echo: after"];
    assert_eq!(world.person("acme").history("main"), all);
    world.check_repaired();
}

#[test]
fn the_default_instance_is_renamed_like_any_other() {
    let world = world();
    let _ = world.fleet(&["rename", "main", "default"]).success();
    assert_eq!(world.state("default"), world.sandbox.home().join(".openclaw"));
    check_whole(&world, "default", "workspace");
    let _ = world.fleet(&["rename", "default", "acme"]).success();
    assert!(!world.state("default").exists());
    check_whole(&world, "acme", "workspace-acme");
    assert_eq!(world.history("acme"), ["user: before", "assistant: echo: before"]);
}

#[test]
fn what_cannot_be_renamed_stays_as_it_is() {
    let world = world();
    world.create("other", 1);
    let pid = world.start("other").to_string();
    // It logs no more of its start once it has answered.
    world.row("other");
    fs::create_dir(world.state("taken")).expect("a new folder");
    write(&world.state("taken").join("mine.txt"), "no instance");
    let before = tree::hash(world.sandbox.path());
    for (words, code, expected) in [
        (["other", "acme"], 69, &["other", &format!("pid {pid}")][..]),
        (["main", "other"], 64, &["there is an instance other already"]),
        (["main", "main"], 64, &["there is an instance main already"]),
        (["nobody", "acme"], 64, &["there is no instance nobody", "main, other"]),
        (["main", "a/b"], 64, &["`a/b` is no name"]),
        (["main", "taken"], 1, &[text(&world.state("taken")), "is there already"]),
    ] {
        check_advised(world.fleet(&[&["rename"][..], &words].concat()), code, expected);
        assert_eq!(tree::hash(world.sandbox.path()), before, "{words:?}");
    }
    assert_eq!(world.row("other")["state"], "ready");
}

#[test]
fn who_looks_after_it_learns_the_new_name() {
    let world = world();
    let port = world.port(1).to_string();
    let _ = world.fleet(&["create", "rescue", "--port", &port, "--rescue-for", "main"]).success();
    assert_eq!(world.row("rescue")["rescueFor"], "main");
    let _ = world.fleet(&["rename", "main", "acme"]).success();
    assert_eq!(world.row("rescue")["rescueFor"], "acme");
}

/// After a repair there is one of the two, whole.
#[test]
fn a_rename_that_is_killed_leaves_one_whole_instance_of_one_name() {
    let world = world();
    let before = world.history("main");
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    at_every_change(
        || world.command(&["rename", "main", "acme"]),
        |place| {
            let name = check_one(&world, place);
            world.repair();
            assert_eq!(check_one(&world, place), name, "{place}: the repair gave it another name");
            check_whole(&world, &name, &format!("workspace-{name}"));
            world.check_repaired();
            if name == "acme" {
                let _ = world.fleet(&["rename", "acme", "main"]).success();
            }
            *outcomes.entry(name).or_default() += 1;
        },
    );
    assert!(outcomes.len() == 2 && outcomes.values().all(|it| *it > 5), "{outcomes:?}");
    assert_eq!(world.history("main"), before);
}

/// Without a repair, too, one of the names is listed with its folder, and of the other nothing is there.
#[track_caller]
fn check_one(world: &World, place: &str) -> String {
    let folders: Vec<PathBuf> = ["main", "acme"].map(|it| world.state(it)).to_vec();
    let there: Vec<&PathBuf> = folders.iter().filter(|it| it.exists()).collect();
    assert_eq!(there.len(), 1, "{place}: {there:?}");
    let rows = world.ls();
    let found = rows.values().filter(|it| it["folder"] == text(there[0])).count();
    assert_eq!(found, 1, "{place}: {rows:?}");
    if *there[0] == folders[0] { "main".to_owned() } else { "acme".to_owned() }
}
