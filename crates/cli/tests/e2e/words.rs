//! What the commands print, where, and the exit codes that scripts go by.

use std::process::Command;

use serde_json::Value;
use testkit::{Output, Sandbox};

use crate::support::{offline, set_up, start};

/// The binary on a terminal, in the sandbox's world.
fn on_a_terminal(sandbox: &Sandbox, args: &str, variables: &[(&str, &str)]) -> String {
    let ours = sandbox.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", &format!("'{}' {args}", ours.get_program().display()), "/dev/null"]).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("SHELL", "/bin/sh").env_remove("NO_COLOR").envs(variables.iter().copied());
    command.current_dir(sandbox.path().join("cwd")).stdin(std::process::Stdio::null());
    Output::of(command).success().stdout
}

/// A stopped instance is a fact for `status`, and a failure for those who need the gateway.
#[test]
fn exit_codes_tell_a_stopped_gateway_from_a_running_one() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "main");
    for (words, stopped) in [
        ("status", 0),
        ("status --json", 0),
        ("gateway status", 0),
        ("gateway status --require-rpc", 1),
        ("health", 1),
        ("health --json", 1),
        ("gateway health", 1),
        ("gateway call health", 1),
        ("agent --message /status", 1),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let _ = sandbox.run(&[&["--profile", "main"], &words[..]].concat()).success();
        let _ = sandbox.run(&[&["--profile", "never-made"], &words[..]].concat()).code(stopped);
    }
    assert_eq!(gateway.stop(), 0);
    assert!(!sandbox.state(Some("never-made")).exists(), "a question makes nothing");
}

/// One document on standard output, also for a failure; the words for people are on standard error.
#[test]
fn json_is_alone_on_standard_output() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "main");
    let commands: [&[&str]; 7] = [
        &["setup", "--json"],
        &["status", "--json"],
        &["health", "--json"],
        &["gateway", "status", "--json"],
        &["gateway", "health", "--json"],
        &["gateway", "call", "health", "--json"],
        &["agent", "--message", "/status", "--json"],
    ];
    for words in commands {
        let output = sandbox.run(&[&["--profile", "main"], words].concat()).success();
        assert!(output.json().is_object() && output.stderr.is_empty(), "{output}");
    }
    assert_eq!(gateway.stop(), 0);
    for words in commands {
        let output = sandbox.run(&[&["--profile", "main"], words].concat());
        let said: Value = output.json();
        if output.status == 0 {
            assert!(output.stderr.is_empty(), "{output}");
        } else {
            assert_eq!(
                (&said["ok"], &said["error"]["instance"]),
                (&false.into(), &"main".into()),
                "{output}"
            );
            assert!(
                said["error"]["hints"][0].as_str().is_some_and(|it| output.stderr.contains(it)),
                "{output}"
            );
            assert!(output.stderr.starts_with("error: instance main: no gateway is running"), "{output}");
        }
    }
    let wrong = sandbox.run(&["--profile", "../x", "status", "--json"]).code(64);
    assert_eq!(wrong.json()["error"]["type"], "usage");
}

#[test]
fn help_names_the_commands_that_there_are_and_no_other() {
    let sandbox = offline();
    for args in [&["--help"][..], &["-h"], &["gateway", "--help"]] {
        let help = sandbox.run(args).success();
        assert!(help.stderr.is_empty() && help.stdout.contains("Examples:"), "{help}");
        for absent in ["browser  ", "gateway install", "--exit-with-parent"] {
            assert!(!help.stdout.contains(absent), "{absent}: {help}");
        }
    }
    let help = sandbox.run(&["--help"]).success().stdout;
    for name in [
        "quickstart",
        "setup",
        "onboard",
        "configure",
        "gateway",
        "status",
        "health",
        "agent",
        "--profile",
        "--version",
    ] {
        assert!(help.contains(name), "{help}");
    }
    for name in
        ["quickstart", "setup", "gateway run", "gateway call", "gateway status", "status", "health", "agent"]
    {
        let args = [&name.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat();
        let help = sandbox.run(&args).success().stdout;
        assert!(help.contains(&format!("openclaw {name}")) && help.contains("Examples:"), "{help}");
    }
    for flag in ["--version", "-V", "-v"] {
        let version = sandbox.run(&[flag]).success().stdout;
        assert_eq!(version, concat!("openclaw ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn colours_are_for_terminals_whose_owner_wants_them() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    let escape = '\u{1b}';
    let coloured = on_a_terminal(&sandbox, "--profile main status", &[("TERM", "xterm")]);
    assert!(coloured.contains(escape), "a terminal gets no colours: {coloured:?}");
    for (args, variable) in [
        ("--profile main status", ("NO_COLOR", "1")),
        ("--profile main status", ("TERM", "dumb")),
        ("--profile main status --no-color", ("TERM", "xterm")),
        ("--help", ("NO_COLOR", "1")),
    ] {
        let plain = on_a_terminal(&sandbox, args, &[variable]);
        assert!(!plain.contains(escape) && plain.contains("main"), "{args}: {plain:?}");
    }
    for words in [&["status"][..], &["setup"], &["health"], &["gateway", "status"], &["--help"]] {
        let mut command = sandbox.command(&[&["--profile", "main"], words].concat());
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        let piped = Output::of(command);
        assert!(!piped.stdout.contains(escape) && !piped.stderr.contains(escape), "{piped}");
    }
}
