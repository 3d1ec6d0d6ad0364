//! `fleet create`: a new instance that gets along with all that are there.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;

use serde_json::json;
use testkit::gateway::token;
use testkit::{Output, tree};

use crate::fleet_world::{World, at_every_change};
use crate::scene::write;
use crate::support::{check_advised, text};

/// The base port from which free ones are looked for, and the distance between two.
const FIRST: u64 = 18789;
const SPACING: u64 = 20;

#[test]
fn each_new_instance_has_ports_twenty_apart_from_all_others() {
    let world = World::new();
    let mut ports = Vec::new();
    for name in ["a", "b", "c", "with_1-Numbers"] {
        let said = world.fleet(&["create", name, "--json"]).success().json();
        let state = world.state(name);
        let expected = json!({
            "ok": true, "name": name, "port": said["port"], "stateDir": state,
            "configPath": state.join("openclaw.json"), "workspace": state.join(format!("workspace-{name}")),
            "rescueFor": null,
        });
        assert_eq!(said, expected);
        assert!(state.join(format!("workspace-{name}/AGENTS.md")).is_file());
        assert_eq!(token(&state).len(), 48);
        ports.push(said["port"].as_u64().expect("a port"));
        let row = world.row(name);
        assert_eq!((&row["port"], &row["state"]), (&said["port"], &"stopped".into()), "{row}");
        let record = fs::read_to_string(world.record(name)).expect("a record");
        assert!(record.contains(text(&state)) && !record.contains(&token(&state)), "{record}");
    }
    assert!(ports.is_sorted_by(|a, b| b - a >= SPACING), "{ports:?}");
    assert!(ports.iter().all(|it| (it - FIRST).is_multiple_of(SPACING)), "{ports:?}");
    world.check_repaired();
}

#[test]
fn a_new_instance_runs_as_it_was_made() {
    let world = World::new();
    world.create("a", 0);
    let pid = world.start("a");
    let row = world.row("a");
    assert_eq!((&row["state"], &row["pid"]), (&"ready".into(), &pid.into()), "{row}");
    assert_eq!(row["port"], world.port(0));
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_is_made() {
    let world = World::new();
    world.create("first", 0);
    let before = tree::hash(world.sandbox.path());
    let base = world.port(0);
    for near in [base - 4, base - 2, base, base + 2, base + 4] {
        let (near, base) = (near.to_string(), base.to_string());
        let words = [&near[..], "overlaps instance first", &base, "the nearest good base port is"];
        check_advised(world.fleet(&["create", "second", "--port", &near]), 69, &words);
        assert_eq!(tree::hash(world.sandbox.path()), before, "port {near}");
    }
    let free = world.port(1).to_string();
    for (words, expected) in [
        (&["first"][..], "there is an instance first already"),
        (&["first", "--port", &free], "there is an instance first already"),
        (&["a/b"], "`a/b` is no name"),
        (&["../a"], "`../a` is no name"),
        (&[".."], "`..` is no name"),
        (&["a b"], "`a b` is no name"),
        (&["-a"], "unexpected argument"),
        (&[""], "`` is no name"),
        (&["a\nb"], "is no name"),
        (&[&"n".repeat(65)], "is no name"),
        (&["a", "--port", "65500"], "cannot be a base port"),
        (&["a", "--port", "0"], "0 is not in"),
        (&["a", "--from", "nobody"], "there is no instance nobody"),
        (&["a", "--rescue-for", "nobody"], "there is no instance nobody"),
        (&["a", "--from", "first", "--rescue-for", "nobody"], "there is no instance nobody"),
    ] {
        let output = world.fleet(&[&["create"], words].concat()).code(64);
        assert!(output.stderr.contains(expected) && output.stdout.is_empty(), "{output}");
        assert_eq!(tree::hash(world.sandbox.path()), before, "{words:?}");
    }
}

#[test]
fn one_that_begins_with_another_has_its_work_and_a_token_of_its_own() {
    let world = World::new();
    world.create("main", 0);
    let config = world.state("main").join("openclaw.json");
    let made = fs::read_to_string(&config).expect("it was made");
    write(&config, &made.replace("  agents: {", "  // the good ones\n  agents: {"));
    write(&world.state("main").join("workspace-main/plan.md"), "the plan");
    let before = tree::hash(&world.state("main"));
    let port = world.port(1).to_string();
    let words = ["create", "next", "--from", "main", "--rescue-for", "main", "--port", &port, "--json"];
    let said = world.fleet(&words).success().json();
    assert_eq!(tree::hash(&world.state("main")), before);
    assert_eq!((&said["port"], &said["rescueFor"]), (&world.port(1).into(), &"main".into()), "{said}");
    let next = world.state("next");
    assert_eq!(fs::read_to_string(next.join("workspace-next/plan.md")).expect("copied"), "the plan");
    let config = fs::read_to_string(next.join("openclaw.json")).expect("a config");
    assert!(config.contains("// the good ones"), "{config}");
    assert_ne!(token(&next), token(&world.state("main")));
    assert_eq!(world.row("next")["rescueFor"], "main");
    let listed = world.fleet(&["ls"]).success().stdout;
    assert!(listed.contains("~/.openclaw-next (rescue of main)"), "{listed}");
}

/// Who proposes ports waits for whoever does the same.
#[test]
fn instances_that_are_made_at_the_same_moment_have_ports_of_their_own() {
    let world = World::new();
    let made: Vec<u64> = std::thread::scope(|scope| {
        let world = &world;
        let make = |name: String| {
            scope.spawn(move || world.fleet(&["create", &name, "--json"]).success().json()["port"].clone())
        };
        let all: Vec<_> = (0..6).map(|it| make(format!("n{it}"))).collect();
        all.into_iter().map(|it| it.join().expect("made").as_u64().expect("a port")).collect()
    });
    let mut sorted = made.clone();
    sorted.sort_unstable();
    assert!(sorted.is_sorted_by(|a, b| b - a >= SPACING), "{made:?}");
    assert_eq!(world.names().len(), 6);
}

/// What is there after a kill is completed by `setup`, or is in nobody's way.
#[test]
fn one_whose_making_was_killed_is_completed_or_made_again() {
    let world = World::new();
    let port = world.port(0).to_string();
    let create = || world.command(&["create", "a", "--port", &port]);
    let mut outcomes = [0, 0];
    at_every_change(create, |place| {
        world.repair();
        let is_there = !world.names().is_empty();
        outcomes[usize::from(is_there)] += 1;
        if is_there {
            let _ = world.sandbox.run(&["--profile", "a", "setup"]).success();
        } else {
            let _ = Output::of(create()).success();
        }
        // The port that was asked for may have gone with whoever asked.
        assert!(world.row("a")["port"].is_u64(), "{place}");
        world.start("a");
        for name in ["openclaw.json", "workspace-a/AGENTS.md", "workspace-a/HEARTBEAT.md"] {
            assert!(world.state("a").join(name).is_file(), "{place}: no {name}");
        }
        let _ = world.fleet(&["rm", "a", "--confirm", "a", "--no-snapshot"]).success();
        world.check_repaired();
    });
    assert!(outcomes.iter().all(|it| *it > 1), "{outcomes:?}");
}
