//! `logs`: what a gateway writes down, with its secrets hidden and its size bounded, and how people read it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Output, Sandbox, Script};

use crate::scene::{MAIN, Scene, TOKEN, write};
use crate::support::sandbox;

/// A key by its shape, in two halves: it is nobody's.
const SHAPED: (&str, &str) = ("sk-", "0a1b2c3d4e5f6g7h");

const LINES: &str = "\
2026-11-22T10:00:00Z [gateway] listening
2026-11-22T10:00:01Z [gateway] debug: aside token=abcdefgh
2026-11-22T10:00:02Z [providers] warning: slow
2026-11-22T10:00:03Z [gateway] error: gone
a line of nobody
2026-11-22T10:00:04Z [gateway] back
";

fn log(scene: &Scene) -> String {
    fs::read_to_string(scene.state().join("logs/gateway.log")).expect("a log")
}

/// An instance whose gateway is dead and that has no config, and the last lines of it.
fn dead() -> Sandbox {
    let sandbox = sandbox();
    let folder = sandbox.state(Some(MAIN)).join("logs");
    fs::create_dir_all(&folder).expect("a new folder");
    let (before, after) = LINES.split_at(LINES.match_indices('\n').nth(1).expect("lines").0 + 1);
    write(&folder.join("gateway.log.1"), before);
    write(&folder.join("gateway.log"), after);
    sandbox
}

/// Lets the gateway say at its level `debug` that this name is none of its own.
fn knock(scene: &Scene, host: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", scene.gateway.port())).expect("it listens");
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

/// A command that goes on.
struct Reading {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Reading {
    fn of(mut command: Command) -> Reading {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Reading { child, lines }
    }

    #[track_caller]
    fn until(&mut self, needle: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|it| it.contains(needle)) {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).expect("text") > 0,
                "it ended without {needle}: {seen:?}"
            );
            seen.push(line.trim_end().to_owned());
        }
        seen
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_secret_is_written_down_whoever_says_it() {
    let shaped = SHAPED.0.to_owned() + SHAPED.1;
    let told = format!("no to {TOKEN} and {shaped} of case-1234, Authorization: Bearer abc.def");
    for (logging, shown, hidden) in [
        (
            json!({"redactPatterns": ["case-\\d+", "("]}),
            "no to *** and sk-*** of ***",
            &[SHAPED.1, "case-", "abc.def"][..],
        ),
        (json!({"redactSensitive": "off"}), "no to *** and", &[]),
    ] {
        let scene = Scene::with(|it| it["logging"] = logging.clone());
        scene.model.on("hello", Script::new().status(400).error("bad", &told));
        scene.person().ask("main", "hello");
        let file = log(&scene);
        let read = Output::of(scene.command(&["logs"])).success().stdout;
        for (place, text) in [("file", &file), ("console", &scene.gateway.log()), ("logs", &read)] {
            let told = text.lines().find(|it| it.contains("turn failed")).expect("it is told");
            assert!(told.contains(shown), "{place} of {logging}: {told}");
            for it in hidden.iter().chain(&[TOKEN]) {
                assert!(!text.contains(it), "{it} is in {place} of {logging}: {text}");
            }
        }
        assert_eq!(file.contains(&shaped), hidden.is_empty(), "{logging}: {file}");
        let bad = file.contains("logging.redactPatterns.1: is left out: ");
        assert_eq!(bad, !hidden.is_empty(), "{file}");
    }
}

#[test]
fn a_flood_of_one_line_is_a_few_lines() {
    let mut scene = Scene::with(|it| it["logging"] = json!({"level": "debug", "consoleLevel": "info"}));
    for _ in 0..121 {
        knock(&scene, "evil.example");
    }
    knock(&scene, "other.example");
    knock(&scene, "other.example");
    assert_eq!(scene.gateway.stop(), 0);
    let file = log(&scene);
    let told = |host: &str| -> Vec<String> {
        let lines = file.lines().filter(|it| it.contains("a foreign name was refused") && it.contains(host));
        lines.map(|it| it.split_once("(repeated ").map_or("once", |it| it.1)[..4].to_owned()).collect()
    };
    assert_eq!(told("evil.example"), ["once", "10 t", "100 ", "120 "], "{file}");
    assert_eq!(told("other.example"), ["once", "1 ti"], "{file}");
    assert!(!scene.gateway.log().contains("foreign"), "{}", scene.gateway.log());
}

/// All files of a log, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|it| it.expect("a file").path()).collect();
    // `gateway.log.2` before `gateway.log.1` before `gateway.log`.
    names.sort();
    names.reverse();
    names
}

#[test]
fn the_log_is_bounded_and_who_follows_sees_every_line_of_it() {
    const MOST: u64 = 2000;
    let mut scene = Scene::with(|it| {
        it["logging"] = json!({"level": "debug", "consoleLevel": "info", "maxFileBytes": MOST});
    });
    let mut reading = Reading::of(scene.command(&["logs", "--follow", "--limit", "1"]));
    // What was there comes after the watch began.
    reading.until("] ready");
    for at in 0..300 {
        if at == 150 {
            // As a crash leaves it.
            scene.gateway.kill();
            scene.restart();
        }
        knock(&scene, &format!("n{at:04}.example"));
    }
    let numbers = |lines: &mut dyn Iterator<Item = &str>| -> Vec<u32> {
        lines.filter_map(|it| it.split_once("host=n")?.1.get(..4)?.parse().ok()).collect()
    };
    let seen = reading.until("n0299.example");
    let seen = numbers(&mut seen.iter().map(String::as_str));
    let mut once = seen.clone();
    once.dedup();
    assert_eq!(once, seen, "told twice");
    assert_eq!(seen.last(), Some(&299));

    let files = files(&scene.state().join("logs"));
    assert_eq!(files.len(), 6, "{files:?}");
    for it in &files {
        let about = fs::metadata(it).expect("there");
        assert!(about.len() <= MOST, "{} has {} bytes", it.display(), about.len());
        assert_eq!(about.permissions().mode() & 0o777, 0o600, "{}", it.display());
    }
    let whole: String = files.iter().map(|it| fs::read_to_string(it).expect("text")).collect();
    let kept = numbers(&mut whole.lines());
    assert_eq!(kept, (kept[0]..300).collect::<Vec<_>>(), "a line was lost at a rotation");
    assert!(kept.len() > 50, "{kept:?}");
    let read = Output::of(scene.command(&["logs", "--limit", "100000", "--plain"])).success().stdout;
    assert_eq!(read, whole);
}

#[test]
fn a_dead_gateways_log_is_read_by_level_time_and_number() {
    let sandbox = dead();
    let all: Vec<&str> = LINES.lines().collect();
    let masked = "2026-11-22T10:00:01Z [gateway] debug: aside token=***";
    for (words, expected) in [
        (&["--limit", "2"][..], &all[4..]),
        (&["--level", "warn"], &all[2..5]),
        (&["--level", "ERROR", "-n", "1"], &all[4..5]),
        (&["--since", "2026-11-22T10:00:03"], &all[3..]),
        (&["--since", "2026-11-22T12:00:04+02:00"], &all[4..]),
        (&["--since", "1s"], &all[4..4]),
        (&["--level", "debug", "-n", "5", "--plain"], &[masked, all[2], all[3], all[4], all[5]]),
    ] {
        let words = [&["--profile", MAIN, "logs"], words].concat();
        let output = sandbox.run(&words).success();
        // A line without a time goes with the one before it.
        let lines: Vec<&str> =
            output.stdout.lines().filter(|it| !expected.is_empty() || it.starts_with('2')).collect();
        let expected: Vec<&str> = expected.to_vec();
        assert_eq!(lines, expected, "{words:?}");
        assert_eq!(output.stderr, "", "{words:?}");
    }
    let said = sandbox.run(&["--profile", MAIN, "logs", "--json"]).success().stdout;
    let lines: Vec<Value> =
        said.lines().map(|it| serde_json::from_str(it).expect("an object a line")).collect();
    let file = sandbox.state(Some(MAIN)).join("logs/gateway.log");
    let size = fs::metadata(&file).expect("there").len();
    assert_eq!(lines[0], json!({"type": "meta", "file": file, "size": size, "instance": MAIN}));
    let warning = json!({"type": "log", "time": "2026-11-22T10:00:02Z", "level": "warn", "subsystem": "providers",
        "message": "slow", "raw": all[2], "instance": MAIN});
    assert_eq!(lines[3], warning);
    assert_eq!(lines[5], json!({"type": "raw", "raw": "a line of nobody", "instance": MAIN}));
    assert_eq!(lines.len(), 7);
}

#[test]
fn what_cannot_be_read_is_told_and_a_wrong_word_is_a_mistake_of_the_line() {
    let sandbox = dead();
    for words in [&["logs"][..], &["logs", "--follow"], &["logs", "--json"]] {
        let output = sandbox.run(&[&["--profile", "none"], words].concat()).code(1);
        assert!(output.stderr.contains("instance none: there is no log yet: "), "{output}");
        assert_eq!(output.stdout.is_empty(), words.len() == 1 || words[1] == "--follow", "{output}");
    }
    for (words, told) in [
        (["--level", "loud"], "use error, warn, info, debug or trace"),
        (["--since", "soon"], "use a span as in 10m, 2h or 3d"),
        (["--limit", "few"], "--limit"),
    ] {
        let output = sandbox.run(&[&["--profile", MAIN, "logs"][..], &words].concat()).code(64);
        assert!(output.stderr.contains(told), "{output}");
    }
}

#[test]
fn following_ends_with_its_reader_and_with_ctrl_c() {
    let sandbox = dead();
    let follow = || Reading::of(sandbox.command(&["--profile", MAIN, "logs", "--follow"]));
    let mut reading = follow();
    assert_eq!(reading.until("[gateway] back").len(), 6);
    let pid = Pid::from_child(&reading.child);
    kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(reading.child.wait().expect("waited").code(), Some(0));

    let mut command = sandbox.command(&["--profile", MAIN, "logs", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    // Nobody reads any more, and nothing is written either.
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("waited").code(), Some(0));
}

#[test]
fn a_page_of_the_log_is_asked_for_by_its_cursor() {
    let scene = Scene::with(|it| it["logging"] = json!({"level": "debug", "consoleLevel": "info"}));
    let mut person = scene.person();
    let mut tail = |params: Value| person.wire.request("logs.tail", params);
    let page = tail(json!({})).expect("a page");
    let size = log(&scene).len();
    assert_eq!(page["file"], json!(scene.state().join("logs/gateway.log")));
    assert_eq!((&page["truncated"], &page["reset"]), (&json!(false), &json!(false)), "{page}");
    assert!(page["cursor"].as_u64().is_some_and(|it| it <= size as u64), "{page}");
    let first: Value = serde_json::from_str(page["lines"][0].as_str().expect("a line")).expect("an object");
    assert_eq!((&first["level"], &first["subsystem"]), (&json!("info"), &json!("gateway")), "{first}");
    assert!(first["message"].as_str().is_some_and(|it| it.starts_with("listening on ws://")), "{first}");

    knock(&scene, "next.example");
    let page = tail(json!({"cursor": page["cursor"], "limit": 5000})).expect("a page");
    let lines = page["lines"].to_string();
    assert!(lines.contains("next.example") && !lines.contains("listening on"), "{page}");
    let page = tail(json!({"cursor": 1_000_000_000, "limit": 1})).expect("a page");
    assert_eq!((&page["reset"], &page["truncated"]), (&json!(true), &json!(true)), "{page}");
    for params in [json!({"limit": 0}), json!({"limit": 5001}), json!({"maxBytes": 1_000_001})] {
        let refusal = tail(params.clone()).expect_err("out of bounds");
        assert!(refusal.to_string().contains("invalid logs.tail params"), "{params}: {refusal}");
    }
}

#[test]
fn the_log_is_in_the_state_folder_wherever_the_config_wants_it() {
    let outside = sandbox().path().join("shared.log");
    let mut scene = Scene::with(|it| it["logging"] = json!({"file": outside}));
    let told = log(&scene);
    assert!(told.contains("logging.file: is not used: a log is kept in the state folder"), "{told}");
    assert!(!outside.exists());
    scene.gateway.stop();

    let mut scene = Scene::with(|it| {
        it["logging"] = json!({"file": "~/.openclaw-main/own/here.log", "consoleStyle": "json"});
    });
    // The last that it says for now, and so nothing comes between two looks.
    scene.gateway.wait_log("\"message\":\"ready\"");
    let own = fs::read_to_string(scene.state().join("own/here.log")).expect("the log");
    assert!(own.contains("[gateway] listening on ws://"), "{own}");
    assert_eq!(Output::of(scene.command(&["logs"])).success().stdout, own);
    let console = scene.gateway.log();
    let line = console.lines().find(|it| it.contains("listening on")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("an object a line");
    assert_eq!((&line["level"], &line["subsystem"]), (&json!("info"), &json!("gateway")), "{line}");
    let mut reading = Reading::of(scene.command(&["logs", "--follow", "--limit", "1"]));
    reading.until("] ready");
    scene.gateway.stop();
    reading.until("[gateway] stopped");
}
