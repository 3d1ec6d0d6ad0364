//! `fleet rm`: the end of an instance, which is not the end of what was in it.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::path::Path;

use serde_json::json;
use testkit::tree;

use crate::fleet_world::{World, at_every_change, belongings};
use crate::scene::{configure, write};
use crate::support::{check_advised, text, wait_gone};

/// An instance `main`, number 0, with a conversation and work. It runs.
fn world() -> (World, u32) {
    let world = World::new();
    world.make("main", 0);
    let notes = world.state("main").join("workspace-main/notes");
    fs::create_dir(&notes).expect("a new folder");
    write(&notes.join("plan.md"), "the plan");
    let pid = world.start("main");
    world.chat("main", "first");
    (world, pid)
}

#[test]
fn what_is_removed_is_stopped_and_kept_in_a_snapshot_that_restores_it() {
    let (world, pid) = world();
    let workspace = tree::hash(&world.state("main").join("workspace-main"));
    let said = world.fleet(&["rm", "main", "--confirm", "main", "--json"]).success();
    assert!(said.stderr.contains(&format!("stopped (pid {pid}, ")), "{said}");
    wait_gone(pid);
    let said = said.json();
    assert!(!world.state("main").exists() && world.records().is_empty());
    assert_eq!((world.names(), world.staging()), (Vec::new(), Vec::new()));
    world.check_repaired();

    let snapshot = said["snapshot"].as_str().expect("a snapshot");
    assert!(Path::new(snapshot).starts_with(world.sandbox.host()), "{said}");
    let _ = world.fleet(&["restore", snapshot]).success();
    assert_eq!(world.row("main")["port"], world.port(0));
    assert_eq!(tree::hash(&world.state("main").join("workspace-main")), workspace);
    assert_eq!(world.history("main"), ["user: first", "assistant: echo: first"]);
}

#[test]
fn the_ports_of_a_removed_instance_are_for_the_next_one() {
    let (world, _) = world();
    let port = world.port(0).to_string();
    let wish = ["create", "next", "--port", &port];
    check_advised(world.fleet(&wish), 69, &["overlaps instance main", &port]);
    let _ = world.fleet(&["remove", "main", "--confirm", "main"]).success();
    let _ = world.fleet(&wish).success();
    world.start("next");
    assert_eq!(world.row("next")["port"], world.port(0));
    // The first one's place is free, and its ports are not.
    let snapshots = world.sandbox.host().join("snapshots");
    let file = fs::read_dir(snapshots).expect("one was kept").flatten().next().expect("one").path();
    let _ = world.fleet(&["restore", text(&file), "--as", "again"]).success();
    let again = world.row("again");
    assert!(again["port"] != world.port(0) && again["state"] == "stopped", "{again}");
}

#[test]
fn nothing_is_removed_without_its_name_once_more() {
    let (world, pid) = world();
    let before = belongings(&world.state("main"));
    for (words, expected) in [
        (&["main"][..], &["nothing was removed", "openclaw fleet rm main --confirm main"][..]),
        (&["main", "--confirm", "mine"], &["that is not its name"]),
        (&["main", "--no-snapshot", "--confirm", ""], &["that is not its name"]),
        (&["nobody", "--confirm", "nobody"], &["there is no instance nobody"]),
    ] {
        let output = world.fleet(&[&["rm"], words].concat()).code(64);
        assert!(expected.iter().all(|it| output.stderr.contains(it)), "{output}");
        assert_eq!(world.row("main")["pid"], pid);
        assert_eq!(belongings(&world.state("main")), before, "{words:?}");
    }
    world.chat("main", "still there?");
}

#[test]
fn without_a_snapshot_nothing_is_kept() {
    let (world, _) = world();
    let said = world.fleet(&["rm", "main", "--confirm", "main", "--no-snapshot", "--json"]).success().json();
    assert_eq!(said["snapshot"], json!(null), "{said}");
    assert!(!world.sandbox.host().join("snapshots").exists());
    assert!(!world.state("main").exists());
}

/// Each removal has a snapshot of its own, also within a second.
#[test]
fn no_snapshot_is_in_the_way_of_the_next() {
    let world = World::new();
    for _ in 0..3 {
        world.create("main", 0);
        let _ = world.fleet(&["rm", "main", "--confirm", "main"]).success();
    }
    let kept = fs::read_dir(world.sandbox.host().join("snapshots")).expect("they were kept").count();
    assert_eq!(kept, 3);
}

#[test]
fn a_workspace_outside_of_its_folder_stays() {
    let world = World::new();
    world.create("main", 0);
    let outside = world.sandbox.path().join("work");
    fs::create_dir(&outside).expect("a new folder");
    write(&outside.join("plan.md"), "the plan");
    configure(&world.sandbox, "main", &world.model.base_url(), |it| {
        it["gateway"]["port"] = json!(world.port(0));
        it["agents"]["defaults"]["workspace"] = json!(outside);
    });
    let before = tree::hash(&outside);
    let said = world.fleet(&["rm", "main", "--confirm", "main", "--json"]).success().json();
    assert_eq!(said["left"], json!([outside]), "{said}");
    assert_eq!(tree::hash(&outside), before);
    assert!(!world.state("main").exists());
}

#[test]
fn of_an_instance_whose_folder_is_gone_the_record_is_forgotten() {
    let world = World::new();
    world.create("main", 0);
    world.create("other", 1);
    fs::remove_dir_all(world.state("main")).expect("ours");
    let row = world.row("main");
    let finding = row["findings"][0].as_str().unwrap_or_default();
    assert!(finding.contains("its folder is gone") && row["state"] == "stopped", "{row}");
    let said = world.fleet(&["rm", "main", "--confirm", "main", "--json"]).success().json();
    assert_eq!((&said["snapshot"], &said["left"]), (&json!(null), &json!([])), "{said}");
    assert_eq!(world.names(), ["other"]);
    assert_eq!(world.records(), [world.record("other")]);
}

/// Whoever looks finds the instance as it was, or nothing of it.
#[test]
fn a_removal_that_is_killed_has_removed_all_or_nothing() {
    let world = World::new();
    world.make("main", 0);
    let mut before = belongings(&world.state("main"));
    let mut outcomes = [0, 0];
    at_every_change(
        || world.command(&["rm", "main", "--confirm", "main"]),
        |place| {
            let is_there = world.state("main").exists();
            outcomes[usize::from(is_there)] += 1;
            world.repair();
            assert_eq!(world.state("main").exists(), is_there, "{place}");
            assert_eq!(world.staging(), [""; 0], "{place}");
            world.check_repaired();
            if is_there {
                assert_eq!(belongings(&world.state("main")), before, "{place}");
                assert_eq!(world.names(), ["main"], "{place}");
            } else {
                assert_eq!(world.names(), [""; 0], "{place}");
                world.make("main", 0);
                before = belongings(&world.state("main"));
            }
        },
    );
    assert!(outcomes.iter().all(|it| *it > 5), "{outcomes:?}");
}
