//! Base ports: given apart from each other, and refused where they overlap, whether or not the other one runs.

use serde_json::{Value, json};
use testkit::{Output, Sandbox, tree};

use crate::fleet_scene::{Fleet, SPACING};
use crate::support::{check_advised, offline};

/// What `fleet ports` says of a host.
#[track_caller]
fn plan(sandbox: &Sandbox) -> Value {
    sandbox.run(&["fleet", "ports", "--json"]).success().json()
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().expect("a list").iter().map(|it| it.as_u64().expect("a port")).collect()
}

#[test]
fn five_instances_are_given_bases_twenty_apart_and_the_plan_shows_them() {
    let sandbox = offline();
    let spacing = u64::from(SPACING);
    let mut given: Vec<u64> = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let report = sandbox.run(&["--profile", name, "setup", "--json"]).success().json();
        let port = report["port"].as_u64().expect("a port");
        // The lowest that is free comes first, and what is passed over stays on the same steps.
        assert!(given.last().is_none_or(|it| port >= it + spacing), "{port} after {given:?}");
        assert!((port - given.first().unwrap_or(&port)).is_multiple_of(spacing), "{port} after {given:?}");
        given.push(port);
    }
    let plan = plan(&sandbox);
    let rows = plan["instances"].as_array().expect("instances");
    let bases: Vec<u64> = rows.iter().filter_map(|it| it["base"].as_u64()).collect();
    assert_eq!(bases, given);
    for row in rows {
        let base = row["base"].as_u64().expect("a port");
        assert_eq!((&row["control"], &row["canvas"]), (&json!(base + 2), &json!(base + 4)), "{row}");
        assert_eq!(row["cdp"], json!([base + 11, base + 110]), "{row}");
    }
    let free = numbers(&plan["free"]);
    assert_eq!(free.len(), 5, "{plan:#}");
    for port in free {
        assert!(given.iter().all(|it| it.abs_diff(port) >= spacing), "{port} beside {given:?}");
    }
    let said = sandbox.run(&["fleet", "ports"]).success().stdout;
    for (name, base) in ["a", "b", "c", "d", "e"].iter().zip(&given) {
        let row = said.lines().find(|it| it.starts_with(&format!("{name} "))).unwrap_or_default();
        assert!(row.contains(&format!(" {base} ")) && row.contains('G'), "{name}:\n{said}");
    }
}

/// Refused with both names and a base to take instead, which is good indeed; and nothing was made.
#[track_caller]
fn check_overlap(fleet: &Fleet, words: &[&str], port: u16, thing: &str) {
    let before = tree::hash(&fleet.sandbox.home());
    let text = port.to_string();
    let output = fleet.ask("new", &[words, &["--port", &text]].concat());
    let base = fleet.port("a");
    let wanted =
        format!("instance new: base port {port} overlaps instance a, which has base port {base}: {thing}");
    let output = check_advised(output, 69, &[&wanted, "the nearest good base port is "]);
    assert_eq!(tree::hash(&fleet.sandbox.home()), before, "{output}");
    let (_, better) = output.stderr.split_once("the nearest good base port is ").expect("it was just seen");
    let better: String = better.chars().take_while(char::is_ascii_digit).collect();
    let report = fleet.ask("new", &["setup", "--port", &better, "--json"]).success();
    assert!(report.stderr.is_empty(), "the good one is close to somebody: {report}");
    std::fs::remove_dir_all(fleet.state("new")).expect("it was made");
}

#[test]
fn a_base_that_overlaps_a_stopped_instance_is_refused_and_another_is_named() {
    let fleet = Fleet::of(&["a"]);
    fleet.run_once("a");
    let base = fleet.port("a");
    for words in [&["setup"][..], &["gateway", "run"]] {
        for (port, thing) in [
            (base, format!("{base} would be the gateway port here, and is the gateway port there")),
            (
                base + 2,
                format!("{} would be the gateway port here, and is the browser control port", base + 2),
            ),
            (base + 4, format!("{} would be the gateway port here, and is the canvas port", base + 4)),
            (base - 2, format!("{base} would be the browser control port here, and is the gateway port")),
            (base - 4, format!("{base} would be the canvas port here, and is the gateway port")),
        ] {
            check_overlap(&fleet, words, port, &thing);
        }
    }
}

#[test]
fn a_port_that_an_instance_gave_up_is_free_for_the_next() {
    let fleet = Fleet::of(&["a"]);
    fleet.run_once("a");
    let base = fleet.port("a");
    let setup = ["setup", "--port", &base.to_string()];
    let _ = fleet.ask("new", &setup).code(69);
    fleet.configure("a", |it| it["gateway"]["port"] = json!(fleet.spare(0)));
    let _ = fleet.ask("new", &setup).success();
    let mut new = fleet.sandbox.start(&["--profile", "new"], base);
    // The one that moved runs as well, beside it.
    let mut a = fleet.start_on("a", fleet.spare(0));
    assert_eq!((new.stop(), a.stop()), (0, 0));
}

#[test]
fn five_apart_is_accepted_and_warned_of_once() {
    const CLOSE: &str = "stands closer than 20 to instance a (base port";
    let fleet = Fleet::of(&["a"]);
    fleet.run_once("a");
    let port = (fleet.port("a") + 5).to_string();
    let setup = || fleet.ask("new", &["setup", "--port", &port]).success().stderr;
    assert_eq!((setup().matches(CLOSE).count(), setup().matches(CLOSE).count()), (1, 0));
    let log = || {
        let mut gateway = fleet.sandbox.start(&["--profile", "new"], fleet.port("a") + 5);
        assert_eq!(gateway.stop(), 0);
        gateway.log()
    };
    assert_eq!((log().matches(CLOSE).count(), log().matches(CLOSE).count()), (0, 0));
    // One that nobody set up is warned of at its first start.
    let port = fleet.port("a") - 5;
    let first = |_| {
        let mut gateway = fleet.sandbox.start(&["--profile", "other"], port);
        assert_eq!(gateway.stop(), 0);
        gateway.log().matches("stands closer than 20 to instance").count()
    };
    assert_eq!([0, 1].map(first), [1, 0]);
}

#[test]
fn a_base_without_room_and_a_host_without_instances_are_told_as_such() {
    let fleet = Fleet::of(&[]);
    let output = fleet.ask("new", &["setup", "--port", "65500"]);
    check_advised(output, 78, &["port 65500 cannot be a base port", "65425"]);
    let empty: Output = fleet.run(&["ports"]).success();
    assert!(empty.stdout.starts_with("next free base ports: "), "{empty}");
}
