//! `fleet logs`: the logs of several instances as one, and what is written from now on.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::fleet_scene::Fleet;
use crate::scene::write;
use crate::support::LIMIT;

const A: &str = "2026-11-22T10:00:00Z [gateway] one\n2026-11-22T10:00:02Z [gateway] three\n";
const B: &str = "2026-11-22T10:00:01Z [gateway] warning: two\n2026-11-22T10:00:02Z [gateway] four\n";

/// Two instances whose gateways have written this much.
fn fleet() -> Fleet {
    let fleet = Fleet::of(&["a", "long-b"]);
    for (name, text) in [("a", A), ("long-b", B)] {
        fs::create_dir(fleet.state(name).join("logs")).expect("a new folder");
        write(&fleet.state(name).join("logs/gateway.log"), text);
    }
    fleet
}

fn append(fleet: &Fleet, name: &str, text: &str) {
    let mut log =
        OpenOptions::new().append(true).open(fleet.state(name).join("logs/gateway.log")).expect("there");
    log.write_all(text.as_bytes()).expect("writable");
}

/// A command that goes on, read line by line, and ended with this value.
struct Reading {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Reading {
    fn of(mut command: Command) -> Reading {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
        Reading { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a further line")
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_lines_of_several_are_in_the_order_of_time_and_say_whose_they_are() {
    let fleet = fleet();
    let all = [
        "2026-11-22T10:00:00Z a      [gateway] one",
        "2026-11-22T10:00:01Z long-b [gateway] warning: two",
        "2026-11-22T10:00:02Z a      [gateway] three",
        "2026-11-22T10:00:02Z long-b [gateway] four",
    ];
    for (words, expected) in [
        (&["logs", "a", "long-b"][..], &all[..]),
        (&["logs", "--all"], &all),
        (&["logs", "--all", "--lines", "2"], &all[2..]),
        (&["logs", "--all", "-n", "0"], &[]),
        (&["logs", "long-b", "-n", "1"], &["2026-11-22T10:00:02Z long-b [gateway] four"]),
    ] {
        let said = fleet.run(words).success().stdout;
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{words:?}");
    }
    let said = fleet.run(&["logs", "--all", "--json", "--lines", "3"]).success().stdout;
    let lines: Vec<Value> =
        said.lines().map(|it| serde_json::from_str(it).expect("an object a line")).collect();
    assert_eq!(lines.len(), 5, "{said}");
    let kinds: Vec<&str> = lines.iter().filter_map(|it| it["type"].as_str()).collect();
    assert_eq!(kinds, ["meta", "meta", "log", "log", "log"], "{said}");
    let first = json!({"type": "log", "time": "2026-11-22T10:00:01Z", "level": "warn", "subsystem": "gateway",
        "message": "two", "raw": "2026-11-22T10:00:01Z [gateway] warning: two", "instance": "long-b"});
    assert_eq!(lines[2], first);
    let said = fleet.run(&["logs", "--all", "--level", "warn"]).success().stdout;
    assert_eq!(said, format!("{}\n", all[1]));
}

#[test]
fn what_each_of_them_writes_next_is_told_as_it_comes() {
    let fleet = fleet();
    let command = |more: &[&str]| {
        fleet.sandbox.command(&[&["fleet", "logs", "--all", "--follow", "--lines", "1"], more].concat())
    };
    let (plain, as_json) = (Reading::of(command(&[])), Reading::of(command(&["--json"])));
    for name in ["a", "long-b"] {
        let about: Value = serde_json::from_str(&as_json.next()).expect("an object a line");
        assert_eq!((&about["type"], &about["instance"]), (&json!("meta"), &json!(name)));
    }
    // What was there comes after the watch began.
    for reading in [&plain, &as_json] {
        assert!(reading.next().contains("four"));
    }
    for (name, written, second, text) in [
        ("a", "2026-11-22T10:00:03Z [gateway] five\n2026-11-22T10:00:04Z [gate", 3, "[gateway] five"),
        ("long-b", "2026-11-22T10:00:05Z [gateway] six\n", 5, "[gateway] six"),
        ("a", "way] whole\n", 4, "[gateway] whole"),
    ] {
        append(&fleet, name, written);
        let time = format!("2026-11-22T10:00:0{second}Z");
        assert_eq!(plain.next(), format!("{time} {name:<6} {text}"));
        let told: Value = serde_json::from_str(&as_json.next()).expect("an object a line");
        let told = [&told["time"], &told["instance"], &told["message"]].map(|it| it.as_str().unwrap_or("-"));
        assert_eq!(told, [&time, name, text.trim_start_matches("[gateway] ")]);
    }
}

#[test]
fn a_gateway_that_runs_is_followed_through_its_stop() {
    let fleet = Fleet::of(&["a", "b"]);
    let (mut a, _b) = (fleet.start("a"), fleet.start("b"));
    let reading = Reading::of(fleet.sandbox.command(&["fleet", "logs", "a", "b", "--follow"]));
    let begun = [0; 4].map(|_| reading.next());
    for name in ["a", "b"] {
        let own = |it: &&String| it.contains(&format!(" {name} [gateway] listening on ws://127.0.0.1:"));
        assert_eq!(begun.iter().filter(own).count(), 1, "{begun:?}");
    }
    assert_eq!(a.stop(), 0);
    assert!(reading.next().ends_with(" a [gateway] stopping on SIGTERM"));
    assert!(reading.next().ends_with(" a [gateway] stopped"));
}

#[test]
fn one_without_a_log_is_named_and_in_nobodys_way() {
    let fleet = Fleet::of(&["a", "silent"]);
    fleet.run_once("a");
    let reading = Reading::of(fleet.sandbox.command(&["fleet", "logs", "--all", "--follow", "-n", "1"]));
    assert!(reading.next().ends_with(" a      [gateway] stopped"));
    append(&fleet, "a", "2126-11-22T10:00:03Z [gateway] more\n");
    assert!(reading.next().ends_with(" a      [gateway] more"));
}
