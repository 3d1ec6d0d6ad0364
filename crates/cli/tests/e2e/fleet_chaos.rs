//! Many instances at once: each comes up, on ports of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fleet_scene::Fleet;

const N: usize = 50;

#[track_caller]
fn check_all(rows: &[Value], is_good: impl Fn(&Value) -> bool) {
    assert_eq!(rows.len(), N);
    let bad: Vec<&Value> = rows.iter().filter(|it| !is_good(it)).collect();
    assert!(bad.is_empty(), "{} of {N}: {bad:#?}", bad.len());
}

#[test]
fn fifty_that_are_started_at_once_are_all_ready_on_ports_of_their_own() {
    let names: Vec<String> = (0..N).map(|it| format!("i{it:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fleet = Fleet::of(&names);
    let started = fleet.run(&["start", "--all", "--json"]).success().json();
    let rows = started["instances"].as_array().expect("instances");
    check_all(rows, |it| it["result"]["was"] == "now");

    let listing = fleet.ls();
    for name in &names {
        let it = json!({"state": "ready", "port": fleet.port(name), "findings": [], "generation": 1});
        listing.check(name, &it);
    }
    let claims = fleet.run(&["claims", "--json"]).success().json();
    let claims = claims["claims"].as_array().expect("claims");
    let ports = claims.iter().filter_map(|it| it["what"].as_str()?.split_once(" port ")?.1.parse().ok());
    let ports: Vec<u16> = ports.collect();
    let distinct: BTreeSet<&u16> = ports.iter().collect();
    assert_eq!((ports.len(), distinct.len()), (3 * N, 3 * N), "three ports each, and none twice");
    let pids: BTreeSet<u64> = claims.iter().filter_map(|it| it["pid"].as_u64()).collect();
    assert_eq!(pids.len(), N);

    let stopped = fleet.run(&["stop", "--all", "--json"]).success().json();
    let rows = stopped["instances"].as_array().expect("instances");
    let in_order = |it: &Value| it["result"]["was"] == "now" && it["result"]["killed"] == false;
    check_all(rows, in_order);
    let listing = fleet.ls();
    for name in &names {
        listing.check(name, &json!({"state": "stopped", "pid": null}));
    }
    assert_eq!(fleet.run(&["claims", "--json"]).success().json(), json!({"claims": []}));
}
