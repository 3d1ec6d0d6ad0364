//! What a power cut or a hand leaves among the records and the folders: the listing is true all the same, and a repair
//! puts it right, once.
#![allow(clippy::disallowed_methods, reason = "a test breaks the files that a power cut breaks")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use testkit::tree;

use crate::fleet_world::{World, belongings, kill, number};
use crate::scene::write;
use crate::support::text;

/// Instances `a` and `b`, numbers 0 and 1, and whether `a` runs.
fn world(is_running: bool) -> World {
    let world = World::new();
    world.create("a", 0);
    world.create("b", 1);
    if is_running {
        world.start("a");
    }
    world
}

/// What the listing says of each that matters here: state and port.
fn told(world: &World) -> BTreeMap<String, Value> {
    world.ls().into_iter().map(|(name, it)| (name, json!([it["state"], it["port"]]))).collect()
}

/// Breaks something in a world in which `a` runs, and in one in which it does not: the listing stays as it was, and
/// what a repair does is `expected`, each line by its beginning.
#[track_caller]
fn check(what: &str, damage: impl Fn(&World), expected: &[&str]) {
    for is_running in [false, true] {
        let world = world(is_running);
        let (before, folders) = (told(&world), ["a", "b"].map(|it| belongings(&world.state(it))));
        damage(&world);
        assert_eq!(told(&world), before, "{what}, running: {is_running}");
        let said = world.fleet(&["repair", "--dry-run", "--json"]).success().json();
        let planned = said["repairs"].as_array().expect("a list").len();
        assert_eq!((&said["dryRun"], planned), (&json!(true), expected.len()), "{what}: {said}");
        let repaired = world.repair();
        let is_it = |line: &String| expected.iter().any(|it| line.starts_with(it));
        assert!(
            repaired.len() == expected.len() && repaired.iter().all(is_it),
            "{what}, running: {is_running}: {repaired:#?}"
        );
        assert_eq!(told(&world), before, "{what}, running: {is_running}, after the repair");
        assert_eq!(world.records().len(), 2, "{what}");
        assert!(world.ls().values().all(|it| it["recorded"] == true), "{what}");
        assert_eq!(["a", "b"].map(|it| belongings(&world.state(it))), folders, "{what}");
        assert_eq!(world.repair(), [""; 0], "{what}");
        if !is_running {
            world.start("a");
        }
        assert_eq!(world.row("a")["state"], "ready", "{what}");
    }
}

#[test]
fn a_record_that_is_damaged_is_made_anew() {
    let torn = "removed ";
    let recorded = "recorded instance a at ";
    let cut = |world: &World, length: usize| {
        let record = world.record("a");
        let text = fs::read(&record).expect("a record");
        fs::write(&record, &text[..length]).expect("writable");
    };
    check("no bytes", |it| cut(it, 0), &[recorded]);
    check("its half", |it| cut(it, 60), &[recorded]);
    check("all but one byte", |it| cut(it, 170), &[recorded]);
    check("garbage", |it| fs::write(it.record("a"), [0xff, 0, 7]).expect("writable"), &[recorded]);
    check("other JSON", |it| write(&it.record("a"), "[1]"), &[recorded]);
    check("missing", |it| fs::remove_file(it.record("a")).expect("there"), &[recorded]);
    let strange = |it: &World| write(&it.sandbox.host().join("instances/strange.json"), "?");
    check("a strange file", strange, &[torn]);
    let all = |it: &World| fs::remove_dir_all(it.sandbox.host().join("instances")).expect("there");
    check("all of them", all, &[recorded, "recorded instance b at "]);
}

#[test]
fn a_record_of_another_place_is_put_in_its_own() {
    let copied = |world: &World| {
        let copy = world.sandbox.host().join("instances/copy.json");
        fs::copy(world.record("b"), copy).expect("writable");
    };
    let world = world(false);
    copied(&world);
    // Both files say the same: the listing may not count them twice.
    let repaired = world.repair();
    assert!(repaired.len() == 1 && repaired[0].contains("a second record of instance b"), "{repaired:?}");
    assert_eq!(world.names(), ["a", "b"]);
    world.check_repaired();
}

/// The config decides about an instance that does not run, and the process about one that does.
#[test]
fn a_record_with_another_port_than_the_config_is_corrected() {
    let world = world(true);
    for name in ["a", "b"] {
        let record = world.record(name);
        let said = fs::read_to_string(&record).expect("a record");
        let mut said: Value = serde_json::from_str(&said).expect("JSON");
        said["port"] = 29_999.into();
        write(&record, &said.to_string());
    }
    let expected: BTreeMap<_, _> = [("a", "ready", 0), ("b", "stopped", 1)]
        .map(|(name, state, nth)| (name.to_owned(), json!([state, world.port(nth)])))
        .into();
    assert_eq!(told(&world), expected);
    let mut repaired = world.repair();
    repaired.sort();
    for (line, (name, nth)) in repaired.iter().zip([("a", 0), ("b", 1)]) {
        let port = format!("port 29999 is {}", world.port(nth));
        assert!(line.contains(&format!("record of instance {name} ")) && line.contains(&port), "{line}");
    }
    assert_eq!((repaired.len(), told(&world)), (2, expected));
    world.check_repaired();
}

#[test]
fn a_record_whose_folder_is_gone_is_told_and_forgotten() {
    let world = world(true);
    fs::remove_dir_all(world.state("b")).expect("ours");
    let row = world.row("b");
    assert!(row["findings"].to_string().contains("its folder is gone"), "{row}");
    assert_eq!(row["state"], "stopped");
    assert_eq!(world.row("a")["state"], "ready");
    let repaired = world.repair();
    assert!(repaired.len() == 1 && repaired[0].starts_with("forgot instance b: "), "{repaired:?}");
    assert_eq!(world.names(), ["a"]);
    world.check_repaired();
    world.create("b", 1);
}

#[test]
fn a_folder_that_was_put_back_by_hand_is_recorded() {
    let world = world(true);
    let (from, aside) = (world.state("b"), world.sandbox.path().join("aside"));
    fs::rename(&from, &aside).expect("one disk");
    assert_eq!(world.repair().len(), 1);
    assert_eq!(world.names(), ["a"]);
    fs::rename(&aside, world.state("back")).expect("one disk");
    let row = world.row("back");
    assert_eq!((&row["recorded"], &row["port"]), (&false.into(), &world.port(1).into()), "{row}");
    let repaired = world.repair();
    assert!(repaired.len() == 1 && repaired[0].starts_with("recorded instance back at "), "{repaired:?}");
    assert_eq!(world.names(), ["a", "back"]);
    world.check_repaired();
    world.start("back");
}

#[test]
fn what_was_cut_off_in_the_making_is_taken_away() {
    let world = world(true);
    let home = world.sandbox.home();
    for name in [
        ".openclaw-c.making-0123456789ab",
        ".openclaw-a.restoring-0123456789ab",
        ".openclaw.removing-0123456789ab",
    ] {
        fs::create_dir_all(home.join(name).join("state/workspace")).expect("a new folder");
        write(&home.join(name).join("state/openclaw.json"), "{}");
    }
    // What only looks like it is a person's own.
    fs::create_dir_all(home.join(".openclaw-notes.making")).expect("a new folder");
    let before = tree::hash(&world.state("b"));
    assert_eq!(world.names(), ["a", "b"]);
    let repaired = world.repair();
    assert_eq!(repaired.len(), 3, "{repaired:?}");
    assert!(repaired.iter().all(|it| it.contains("left by somebody who was cut off")), "{repaired:?}");
    assert_eq!(world.staging(), [".openclaw-notes.making"]);
    assert_eq!(tree::hash(&world.state("b")), before);
    assert_eq!(world.row("a")["state"], "ready");
    world.check_repaired();
}

#[test]
fn what_a_killed_gateway_left_says_nothing() {
    let world = world(true);
    world.start("b");
    let claims = world.sandbox.host().join("claims");
    let count = || fs::read_dir(&claims).expect("there").count();
    assert_eq!(count(), 10, "five claims each");
    kill(number(&world.row("b")["pid"]));
    assert_eq!(told(&world)["b"], json!(["stopped", world.port(1)]));
    let left: Vec<_> = world.fleet(&["claims", "--json"]).success().json()["claims"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["instance"].clone())
        .collect();
    assert!(left.iter().all(|it| it == "a") && left.len() == 6, "{left:?}");
    assert_eq!(world.repair(), ["removed 5 lock files of processes that are gone"]);
    assert_eq!(count(), 5);
    write(&claims.join("port-1"), "torn");
    fs::write(claims.join("port-2"), []).expect("writable");
    assert_eq!(world.repair(), ["removed 2 lock files of processes that are gone"]);
    assert_eq!(world.row("a")["state"], "ready");
    world.check_repaired();
    world.start("b");
}

/// A draft that is old was left behind; one of today may be written just now.
#[test]
fn what_was_never_finished_goes_after_a_day() {
    let world = world(true);
    let _ = world.fleet(&["rm", "b", "--confirm", "b"]).success();
    let (state, host) = (world.state("a"), world.sandbox.host());
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    let put = |path: PathBuf, is_old: bool| {
        write(&path, "half of it");
        if is_old {
            fs::File::open(&path).and_then(|it| it.set_modified(yesterday)).expect("ours");
        }
        path
    };
    let kept = host.join("snapshots/.b.tar.gz.0123456789ab.tmp");
    fs::create_dir(&kept).expect("a new folder");
    write(&kept.join("gateway.sqlite"), "a copy");
    fs::File::open(&kept).and_then(|it| it.set_modified(yesterday)).expect("ours");
    let old = [
        put(state.join(".openclaw.json.0123456789ab.tmp"), true),
        put(state.join("generations/.000001.json5.0123456789ab.tmp"), true),
        put(host.join("instances/.0011223344556677.json.0123456789ab.tmp"), true),
        kept,
    ];
    let others = [
        put(state.join(".openclaw.json.ba9876543210.tmp"), false),
        put(state.join(".mine.tmp"), true),
        put(state.join("workspace-a/.notes.0123456789ab.tmp"), true),
    ];
    assert_eq!(world.repair(), ["removed 4 drafts of somebody who was cut off"]);
    assert!(old.iter().all(|it| !it.exists()) && others.iter().all(|it| it.exists()));
    assert_eq!(world.row("a")["state"], "ready");
    world.check_repaired();
}

/// A rename whose folder had moved, as a power cut leaves it: the records are older than the folder.
#[test]
fn records_older_than_the_folders_are_brought_up_to_date() {
    let world = world(false);
    let old = fs::read(world.record("b")).expect("a record");
    let path = world.record("b");
    let _ = world.fleet(&["rename", "b", "c"]).success();
    fs::remove_file(world.record("c")).expect("there");
    fs::write(&path, old).expect("writable");
    let names = world.names();
    assert_eq!(names, ["a", "b", "c"], "a record without a folder, and a folder without a record");
    assert!(world.row("b")["findings"].to_string().contains("its folder is gone"));
    let repaired = world.repair();
    assert_eq!(repaired.len(), 2, "{repaired:?}");
    assert_eq!(world.names(), ["a", "c"]);
    assert_eq!(world.row("c")["port"], world.port(1));
    world.check_repaired();
    check_config(&world.state("c"));
}

fn check_config(state: &Path) {
    let config = fs::read_to_string(state.join("openclaw.json")).expect("a config");
    assert!(config.contains(text(&state.join("workspace-c"))), "{config}");
}
