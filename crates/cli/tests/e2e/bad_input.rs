//! Command lines that cannot be obeyed: the exit code, what was wrong, what to do.

use testkit::Output;

use crate::support::{check_advised, check_refused, offline, set_up, start};

#[test]
fn names_that_no_profile_can_have() {
    let sandbox = offline();
    let long = "a".repeat(65);
    let words = ["Invalid --profile (use letters, numbers, \"_\", \"-\" only)", "1 to 64"];
    for name in ["../x", "a b", "", "-a", "a/b", ".", "a\nb", "é", &long] {
        for command in [&["status"][..], &["setup"], &["gateway"], &["agent", "-m", "hi"]] {
            let output = sandbox.run(&[&[&format!("--profile={name}")[..]], command].concat());
            check_advised(output, 64, &words);
        }
        let mut command = sandbox.command(&["status"]);
        command.env("OPENCLAW_PROFILE", if name.is_empty() { "." } else { name });
        check_advised(Output::of(command), 64, &words);
    }
    let both = sandbox.run(&["--dev", "--profile", "a", "status"]);
    check_advised(both, 64, &["Cannot combine --dev with --profile"]);
    assert_eq!(testkit::tree::hash(&sandbox.home()).len(), 0, "a refusal makes nothing");
}

#[test]
fn ports_that_are_none_and_ports_without_room() {
    let sandbox = offline();
    for command in ["gateway", "setup"] {
        for port in ["0", "99999", "abc", "-1", ""] {
            let output = sandbox.run(&["--profile", "a", command, &format!("--port={port}")]);
            check_refused(output, 64, &["--port <PORT>", "--help"]);
        }
        let output = sandbox.run(&["--profile", "a", command, "--port", "65500"]);
        check_advised(output, 78, &["instance a: port 65500", "1 to 65425"]);
    }
    for port in ["banana", "0", "65536", "18789x"] {
        let mut command = sandbox.command(&["status"]);
        command.env("OPENCLAW_GATEWAY_PORT", port);
        let words = [&format!("OPENCLAW_GATEWAY_PORT is `{port}`")[..], "1 to 65535"];
        check_advised(Output::of(command), 64, &words);
    }
}

#[test]
fn words_that_are_no_command_or_flag() {
    let sandbox = offline();
    for (args, wrong) in [
        (&["status", "--bogus"][..], "--bogus"),
        (&["--bogus", "status"], "--bogus"),
        (&["gateway", "run", "--force"], "--force"),
        (&["rescue", "browser", "status"], "rescue"),
        (&["browser", "status"], "browser"),
        (&["agent"], "--message"),
        (&["gateway", "call"], "METHOD"),
        (&["status", "--timeout", "soon"], "soon"),
    ] {
        check_refused(sandbox.run(args), 64, &[wrong, "--help"]);
    }
    let output = sandbox.run(&[]);
    assert!(output.status == 64 && output.stderr.contains("Usage: openclaw"), "{output}");
    let output = sandbox.run(&["--profile", "a", "--log-level", "loud", "gateway"]);
    check_refused(output, 64, &["instance a: --log-level", "loud", "silent, fatal, error"]);
    for word in ["run", "status", "health"] {
        let output = sandbox.run(&["--profile", "a", "gateway", "--port", "20000", word]);
        check_advised(output, 64, &["before another command", "gateway run --port"]);
    }
    check_refused(
        sandbox.run(&["--profile", "a", "gateway", "--token", ""]),
        64,
        &["--token must not be empty"],
    );
}

#[test]
fn requests_that_a_gateway_refuses() {
    let sandbox = offline();
    let (_gateway, _base) = start(&sandbox, "a");
    let call = |args: &[&str]| sandbox.run(&[&["--profile", "a", "gateway", "call"], args].concat());
    for broken in ["{", "", "{a: 1}", "{\"a\": 1} x"] {
        check_advised(
            call(&["health", "--params", broken]),
            64,
            &["instance a: --params is no JSON", "quote it"],
        );
    }
    for (args, words) in [
        (&["no.such.method"][..], &["INVALID_REQUEST", "no.such.method"][..]),
        (&["chat.send", "--params", "{}"], &["INVALID_REQUEST", "chat.send"]),
        (&["health", "--params", "[1]"], &["INVALID_REQUEST", "health"]),
    ] {
        check_refused(call(args), 1, &[&["instance a: "], words].concat());
    }
    let json = call(&["no.such.method", "--json"]).code(1).json();
    assert_eq!((&json["ok"], &json["error"]["instance"]), (&false.into(), &"a".into()), "{json}");
    let output = sandbox.run(&["--profile", "a", "agent", "--message", "hi", "--agent", "nobody"]);
    check_refused(output, 1, &["instance a: ", "nobody"]);
    check_refused(
        sandbox.run(&["--profile", "a", "agent", "--message", " "]),
        1,
        &["instance a: ", "message"],
    );
}

#[test]
fn questions_to_a_gateway_that_does_not_run() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "a");
    for words in [
        &["agent", "--message", "hi"][..],
        &["health"],
        &["gateway", "health"],
        &["gateway", "call", "health"],
    ] {
        let output = sandbox.run(&[&["--profile", "a"], words].concat());
        check_advised(output, 1, &["instance a: no gateway is running", "openclaw --profile a gateway"]);
        let output = sandbox.run(words);
        check_advised(
            output,
            1,
            &["instance default: no gateway is running", "start it with: openclaw gateway\n"],
        );
    }
}

#[test]
fn without_a_home_there_is_no_instance_but_a_named_one() {
    let sandbox = offline();
    let homeless = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&["status"]);
        command.env_remove("HOME").envs(variables.iter().copied());
        Output::of(command)
    };
    check_refused(homeless(&[]), 64, &["no home folder", "HOME", "OPENCLAW_STATE_DIR"]);
    let state = sandbox.path().join("acme");
    let status = homeless(&[("OPENCLAW_STATE_DIR", crate::support::text(&state))]).success();
    assert!(status.stdout.contains("acme"), "{status}");
}
