//! `quickstart`: two gateways and a chat with one command, and nothing left of them afterwards.
#![allow(clippy::disallowed_methods, reason = "a test makes the folders that a person would have")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use rustix::process::Signal;
use testkit::{Sandbox, Script, ScriptedModel};

use crate::support::{check_goes_on, offline, sandbox, start, text, wait_gone};
use crate::talk::Talk;

/// One quickstart at a time: they all begin with the same two ports.
struct Turn(#[expect(dead_code, reason = "locked for as long as it is open")] File);

/// A line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    port: u16,
    pid: u32,
}

fn turn() -> Turn {
    let path = std::env::temp_dir().join("openclaw-test-quickstart");
    let file = File::options().write(true).create(true).truncate(false).open(path).expect("writable");
    file.lock().expect("a lock");
    Turn(file)
}

/// `openclaw quickstart <args>`, with a folder for temporary files of its own.
fn quickstart(sandbox: &Sandbox, args: &[&str]) -> Command {
    let temporary = sandbox.path().join("tmp");
    fs::create_dir_all(&temporary).expect("the sandbox is writable");
    let mut command = sandbox.command(&[&["quickstart"], args].concat());
    command.env("TMPDIR", temporary);
    command
}

/// The lines of the table: both, in order.
#[track_caller]
fn rows(said: &str) -> [Row; 2] {
    let ready = said.lines().map(|it| it.split_whitespace().collect::<Vec<_>>());
    let ready = ready.filter(|it| it.len() >= 9 && it[1] == "ready");
    let rows: Vec<_> = ready
        .map(|it| Row {
            name: it[0].to_owned(),
            port: it[3].parse().expect("a port"),
            pid: it[7].parse().expect("a process id"),
        })
        .collect();
    let rows: [Row; 2] = rows.try_into().unwrap_or_else(|it| panic!("{it:?} are not two rows:\n{said}"));
    assert_eq!(rows.each_ref().map(|it| it.name.as_str()), ["main", "rescue"]);
    assert!(rows[0].port.abs_diff(rows[1].port) >= 20, "{rows:?}");
    rows
}

/// The second one first, as it may want to look after the first.
#[track_caller]
fn check_stopped(said: &str) {
    let (rescue, main) = (said.find("rescue stopped\n"), said.find("main stopped\n"));
    assert!(rescue.is_some() && rescue < main, "not stopped in order:\n{said}");
}

/// Nothing runs, nothing listens, and no temporary file is left.
#[track_caller]
fn check_gone(sandbox: &Sandbox, rows: &[Row]) {
    for row in rows {
        assert!(!fs::exists(format!("/proc/{}", row.pid)).expect("readable"), "{row:?} runs on");
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, row.port)).is_ok(), "{row:?} is taken still");
    }
    let left: Vec<_> = fs::read_dir(sandbox.path().join("tmp")).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
    for name in ["main", "rescue"] {
        let state = sandbox.state(Some(name));
        assert!(!state.join("gateway.lock").exists() && !state.join("control.sock").exists());
    }
}

#[test]
fn questions_from_a_pipe_are_answered_and_nothing_is_left() {
    let _turn = turn();
    let sandbox = offline();
    let input = "/status\n/fleet\n\n/help\nhello\n";
    let output = testkit::Output::of_with(quickstart(&sandbox, &["--ephemeral"]), input).success();
    let rows = rows(&output.stdout);
    for words in [
        "You talk to main. No model is configured",
        &format!("Instance main (pid {}, port {})", rows[0].pid, rows[0].port),
        "Gateways of this machine:\n* main         ready",
        "  rescue       ready",
        "Commands:\n  /help",
        "No language model is configured for the gateway \"main\"",
        "OPENAI_API_KEY",
    ] {
        assert!(output.stdout.contains(words), "nothing about {words:?}: {output}");
    }
    check_stopped(&output.stderr);
    check_gone(&sandbox, &rows);
    assert_eq!(fs::read_dir(sandbox.home()).expect("readable").count(), 0, "nothing is kept in the home");
    assert_eq!(fs::read_dir(sandbox.host()).expect("readable").count(), 0, "nor in the host's folder");
}

#[test]
fn a_taken_port_is_said_aloud_and_another_one_used() {
    let _turn = turn();
    let sandbox = offline();
    // Either may be held already, by a gateway of the person at this machine.
    let held = [18789, 19001].map(|port| (port, TcpListener::bind((Ipv4Addr::LOCALHOST, port))));
    let output = testkit::Output::of_with(quickstart(&sandbox, &["--ephemeral"]), "").success();
    let rows = rows(&output.stdout);
    for ((port, held), row) in held.iter().zip(&rows) {
        let words = format!("{} uses base port {}", row.name, row.port);
        let taken = format!("port {port} is taken by ");
        assert!(output.stderr.contains(&taken) && output.stderr.contains(&words), "{output}");
        assert!(row.port != *port && (row.port - port) % 20 == 0, "{rows:?}");
        let me = format!("(pid {}, ", std::process::id());
        assert!(held.is_err() || output.stderr.contains(&me), "the holder is not named: {output}");
    }
    check_stopped(&output.stderr);
}

#[test]
fn the_second_time_the_conversation_goes_on() {
    let _turn = turn();
    let sandbox = offline();
    let first = testkit::Output::of_with(quickstart(&sandbox, &[]), "the first words\n").success();
    assert!(!first.stdout.contains("messages so far"), "{first}");
    check_gone(&sandbox, &rows(&first.stdout));
    let second = testkit::Output::of_with(quickstart(&sandbox, &[]), "/quit\nnot heard\n").success();
    assert!(second.stdout.contains("(2 messages so far)"), "{second}");
    assert!(
        second.stdout.contains("you: the first words") && !second.stdout.contains("not heard"),
        "{second}"
    );
    let ports = |said: &str| rows(said).map(|it| it.port);
    assert_eq!(ports(&first.stdout), ports(&second.stdout));
    // What it made are profiles like any other.
    let status = sandbox.run(&["--profile", "rescue", "status"]).success();
    assert!(status.stdout.contains("stopped"), "{status}");
    check_gone(&sandbox, &[]);
}

#[test]
fn a_signal_while_it_waits_for_a_line_stops_both() {
    let _turn = turn();
    for signal in [Signal::INT, Signal::TERM] {
        let sandbox = offline();
        let talk = Talk::start(quickstart(&sandbox, &["--ephemeral"]));
        let rows = rows(&talk.hear("/help shows the commands"));
        talk.signal(signal);
        let (code, said) = talk.end();
        assert_eq!(code, 0, "{said}");
        check_stopped(&said);
        check_gone(&sandbox, &rows);
    }
}

#[test]
fn a_signal_in_the_middle_of_an_answer_stops_both() {
    let _turn = turn();
    let model = ScriptedModel::start();
    model.on("endless", Script::new().text("so far").hang());
    let sandbox = sandbox().env("OPENAI_BASE_URL", model.base_url());
    let mut talk = Talk::start(quickstart(&sandbox, &["--ephemeral"]));
    let rows = rows(&talk.hear("/help shows the commands"));
    talk.say("endless\n");
    talk.hear("so far");
    talk.signal(Signal::INT);
    let (code, said) = talk.end();
    assert_eq!(code, 0, "{said}");
    check_stopped(&said);
    check_gone(&sandbox, &rows);
}

/// Nobody is left to stop them then.
#[test]
fn gateways_whose_quickstart_is_killed_end_by_themselves() {
    let _turn = turn();
    let sandbox = offline();
    let talk = Talk::start(quickstart(&sandbox, &[]));
    let rows = rows(&talk.hear("/help shows the commands"));
    talk.signal(Signal::KILL);
    assert_eq!(talk.end().0, 137);
    rows.iter().for_each(|it| wait_gone(it.pid));
    for name in ["main", "rescue"] {
        // They were stopped, not cut off.
        assert!(!sandbox.state(Some(name)).join("control.sock").exists());
        let log = fs::read_to_string(sandbox.state(Some(name)).join("logs/gateway.log")).expect("a log");
        assert!(log.contains("stopping on SIGTERM"), "{log}");
    }
}

#[test]
fn a_gateway_that_runs_already_is_used_and_goes_on() {
    let _turn = turn();
    let sandbox = offline();
    let (mut main, base) = start(&sandbox, "main");
    let output = testkit::Output::of_with(quickstart(&sandbox, &[]), "/status\n").success();
    let rows = rows(&output.stdout);
    assert_eq!((rows[0].pid, rows[0].port), (main.pid(), base.port()));
    assert!(output.stderr.contains("main is running already"), "{output}");
    assert!(output.stderr.contains("rescue stopped") && !output.stderr.contains("main stopped"), "{output}");
    check_goes_on(&sandbox, "main", &main);
    assert_eq!(main.stop(), 0);
    check_gone(&sandbox, &rows);
}

#[test]
fn with_a_model_the_answer_comes_as_it_is_said() {
    let _turn = turn();
    let model = ScriptedModel::start();
    model.on("count", Script::new().text("one two ").wait("gate").text("three"));
    let sandbox = sandbox().env("OPENAI_BASE_URL", model.base_url());
    let mut talk = Talk::start(quickstart(&sandbox, &["--ephemeral"]));
    talk.hear("/help shows the commands");
    talk.say("count\n");
    // The rest is not even thought of yet.
    assert!(!talk.hear("one two ").contains("three"));
    model.open("gate");
    talk.hear("one two three\n");
    talk.say("and you?\n/quit\n");
    let (code, said) = talk.end();
    assert!(
        code == 0 && said.contains("echo: and you?") && said.contains("You talk to main with openai/"),
        "{said}"
    );
    assert_eq!(model.refusals(), Vec::<String>::new());
}

/// In a terminal, where Ctrl-C is a byte that is typed.
#[test]
fn in_a_terminal_there_is_a_prompt_and_ctrl_c_stops_both() {
    let _turn = turn();
    let sandbox = offline();
    let mut talk = Talk::start(in_a_terminal(&sandbox));
    let rows = rows(&talk.hear("main> "));
    talk.say("/version\r");
    talk.hear_after(concat!("OpenClaw ", env!("CARGO_PKG_VERSION"), ", instance main"), "main> ");
    talk.say("half a line \u{3}");
    let (code, said) = talk.end();
    assert_eq!(code, 0, "{said}");
    check_stopped(&said.replace("\r\n", "\n"));
    check_gone(&sandbox, &rows);
}

/// `openclaw quickstart --ephemeral` with a terminal of its own.
fn in_a_terminal(sandbox: &Sandbox) -> Command {
    let ours = quickstart(sandbox, &["--ephemeral"]);
    let words: Vec<_> = std::iter::once(ours.get_program()).chain(ours.get_args()).collect();
    let line = words.iter().map(|it| format!("'{}'", it.display())).collect::<Vec<_>>().join(" ");
    let mut command = Command::new("script");
    command.args(["-qfec", &line, "/dev/null"]).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("SHELL", "/bin/sh").env("TERM", "xterm").current_dir(text(&sandbox.path().join("cwd")));
    command
}
