//! A thousand things that people do to their instances, in no order that makes sense; after each of them the listing
//! is the truth.
#![allow(clippy::disallowed_methods, reason = "a test removes the files that a person would remove")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use serde_json::Value;

use crate::fleet_world::{World, kill, number};
use crate::random::{Random, SEED};
use crate::support::text;

/// Steps of one run.
const STEPS: usize = 1000;
/// How often everything is looked at that takes longer than the listing.
const ROUND: usize = 10;
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "default"];

/// What is done to an instance.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Create,
    Clone,
    Start,
    Stop,
    Kill,
    Rename,
    Remove,
    Snapshot,
}

/// How often each is done: more is made than removed, and more started than stopped.
const DEEDS: [Deed; 16] = [
    Deed::Create,
    Deed::Create,
    Deed::Create,
    Deed::Clone,
    Deed::Clone,
    Deed::Start,
    Deed::Start,
    Deed::Start,
    Deed::Start,
    Deed::Stop,
    Deed::Kill,
    Deed::Rename,
    Deed::Rename,
    Deed::Remove,
    Deed::Remove,
    Deed::Snapshot,
];

/// An instance as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    /// The number of its base port.
    place: u16,
    pid: Option<u32>,
}

/// The world as it should be, and how it came to be so.
struct Chaos {
    world: World,
    expected: BTreeMap<&'static str, Expected>,
    random: Random,
    seed: u64,
    done: Vec<String>,
}

#[test]
fn after_a_thousand_steps_the_listing_is_still_the_truth() {
    let (random, seed) = Random::seeded();
    let world = World::new();
    let mut chaos = Chaos { world, expected: BTreeMap::new(), random, seed, done: Vec::new() };
    for step in 1..=STEPS {
        chaos.step();
        chaos.check_listing();
        if step % ROUND == 0 {
            chaos.check_the_rest();
        }
    }
    assert_eq!(chaos.done.len(), STEPS);
}

impl Chaos {
    fn step(&mut self) {
        let (name, deed) = (self.random.pick(&NAMES), self.random.pick(&DEEDS));
        let other = self.random.pick(&NAMES);
        self.done.push(format!("{deed:?} {name} {other}"));
        match deed {
            Deed::Create => self.make(&["create", name], name, true),
            Deed::Clone => self.make(&["clone", other, name], name, self.expected.contains_key(other)),
            Deed::Start => self.start(name),
            Deed::Stop => self.stop(name),
            Deed::Kill => self.kill(name),
            Deed::Rename => self.rename(name, other),
            Deed::Remove => self.remove(name),
            Deed::Snapshot => self.snapshot(name),
        }
    }

    /// On a port of its own, or on one that is taken.
    fn make(&mut self, words: &[&str], name: &'static str, has_source: bool) {
        let place = self.random.pick(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let is_taken = self.expected.values().any(|it| it.place == place);
        let code = match () {
            () if self.expected.contains_key(name) || !has_source => 64,
            () if is_taken => 69,
            () => 0,
        };
        let port = self.world.port(place).to_string();
        let _ = self.world.fleet(&[words, &["--port", &port]].concat()).code(code);
        if code == 0 {
            self.expected.insert(name, Expected { place, pid: None });
        }
    }

    fn start(&mut self, name: &str) {
        let output = self.world.fleet(&["start", name, "--json"]);
        let Some(expected) = self.expected.get_mut(name) else {
            let _ = output.code(64);
            return;
        };
        let said = output.success().json();
        let result = &said["instances"][0]["result"];
        let was = if expected.pid.is_some() { "already" } else { "now" };
        assert_eq!(result["was"], was, "{said}");
        let pid = number(&result["pid"]);
        assert!(expected.pid.is_none_or(|it| it == pid), "{said}, and not {expected:?}");
        expected.pid = Some(pid);
    }

    fn stop(&mut self, name: &str) {
        let output = self.world.fleet(&["stop", name, "--json"]);
        let Some(expected) = self.expected.get_mut(name) else {
            let _ = output.code(64);
            return;
        };
        let said = output.success().json();
        let was = if expected.pid.take().is_some() { "now" } else { "already" };
        assert_eq!(said["instances"][0]["result"]["was"], was, "{said}");
    }

    fn kill(&mut self, name: &str) {
        if let Some(pid) = self.expected.get_mut(name).and_then(|it| it.pid.take()) {
            kill(pid);
        }
    }

    fn rename(&mut self, name: &'static str, other: &'static str) {
        let code = match self.expected.get(name) {
            None => 64,
            Some(_) if self.expected.contains_key(other) => 64,
            Some(it) if it.pid.is_some() => 69,
            Some(_) => 0,
        };
        let _ = self.world.fleet(&["rename", name, other]).code(code);
        if code == 0 {
            let it = self.expected.remove(name).expect("it is there");
            self.expected.insert(other, it);
        }
    }

    fn remove(&mut self, name: &str) {
        let keeps = self.random.pick(&[false, false, false, true]);
        let words: &[&str] = if keeps { &[] } else { &["--no-snapshot"] };
        let code = if self.expected.remove(name).is_some() { 0 } else { 64 };
        let _ = self.world.fleet(&[&["rm", name, "--confirm", name], words].concat()).code(code);
    }

    fn snapshot(&mut self, name: &str) {
        let code = if self.expected.contains_key(name) { 0 } else { 64 };
        let file = self.world.sandbox.path().join("snapshot.tar.gz");
        let _ = self.world.fleet(&["snapshot", name, "--output", text(&file)]).code(code);
        if code == 0 {
            fs::remove_file(&file).expect("it was taken");
        }
    }

    /// Names, states, processes and ports.
    fn check_listing(&self) {
        let rows = self.world.ls();
        let found: BTreeMap<&str, Value> = rows
            .iter()
            .map(|(name, it)| (name.as_str(), serde_json::json!([it["state"], it["pid"], it["port"]])))
            .collect();
        let expected: BTreeMap<&str, Value> = self
            .expected
            .iter()
            .map(|(name, it)| {
                let state = if it.pid.is_some() { "ready" } else { "stopped" };
                (*name, serde_json::json!([state, it.pid, self.world.port(it.place)]))
            })
            .collect();
        assert_eq!(found, expected);
        for row in rows.values() {
            assert_eq!((&row["recorded"], &row["findings"]), (&true.into(), &serde_json::json!([])), "{row}");
        }
    }

    /// What is claimed, and what lies about.
    fn check_the_rest(&self) {
        let said = self.world.fleet(&["claims", "--json"]).success().json();
        let claims = said["claims"].as_array().expect("a list").iter();
        let ports: Vec<(String, u32)> = claims
            .clone()
            .filter(|it| it["what"].as_str().is_some_and(|it| it.contains(" port ")))
            .map(|it| (it["what"].to_string(), number(&it["pid"])))
            .collect();
        let distinct: BTreeSet<&String> = ports.iter().map(|it| &it.0).collect();
        assert_eq!(distinct.len(), ports.len(), "{said}");
        let holders: BTreeSet<u32> = claims.map(|it| number(&it["pid"])).collect();
        let running: BTreeSet<u32> = self.expected.values().filter_map(|it| it.pid).collect();
        assert_eq!((&holders, ports.len()), (&running, 3 * running.len()), "{said}");
        assert_eq!(self.world.staging(), [""; 0]);
        assert_eq!(self.world.records().len(), self.expected.len());
        let repaired = self.world.repair();
        let is_lock = |it: &String| it.contains("lock file");
        assert!(repaired.iter().all(is_lock), "{repaired:?}");
    }
}

impl Drop for Chaos {
    #[allow(clippy::print_stderr, reason = "whoever reads of the failure wants to see it again")]
    fn drop(&mut self) {
        if thread::panicking() {
            let first = self.done.len().saturating_sub(20);
            eprintln!("{}={} failed in step {}", SEED.0, self.seed, self.done.len());
            eprintln!("the last steps: {:#?}\nexpected: {:#?}", &self.done[first..], self.expected);
        }
    }
}
