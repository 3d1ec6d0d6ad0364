//! One instance is asked while everything around the command points at another: the other one is not touched, and
//! the one that was asked answers. Seen from outside, by the system calls.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::gateway::token;
use testkit::trace::{trace, traced};
use testkit::{Base, Gateway, Sandbox, Trace, Wire, tree};

use crate::support::{check_advised, offline, set_up, start, text};

/// Every command that is about one instance; what it answers with JSON, where it names the instance.
const COMMANDS: [(&[&str], &str); 7] = [
    (&["setup", "--json"], "/instance"),
    (&["status", "--json"], "/instance/name"),
    (&["health", "--json"], "/instance/name"),
    (&["gateway", "status", "--json"], "/instance/name"),
    (&["gateway", "call", "health"], "/instance/name"),
    (&["gateway", "call", "chat.history", "--params", "{\"sessionKey\": \"main\"}"], "/sessionKey"),
    (&["agent", "--message", "/status", "--json"], "/result/payloads/0/text"),
];

/// The other instance: it runs, it has a conversation, and nobody asks it anything.
struct Other {
    gateway: Gateway,
    base: Base,
    state: PathBuf,
    before: std::collections::BTreeMap<PathBuf, String>,
}

impl Other {
    #[track_caller]
    fn start(sandbox: &Sandbox, profile: Option<&str>) -> Other {
        let state = sandbox.state(profile);
        let flag: Vec<_> = profile.into_iter().flat_map(|it| ["--profile", it]).collect();
        let base = testkit::free_base();
        let port = base.port().to_string();
        let ask = |words: &[&str]| {
            let _ = sandbox.run(&flag.iter().chain(words).copied().collect::<Vec<_>>()).success();
        };
        ask(&["setup", "--port", &port]);
        let gateway = sandbox.start(&flag, base.port());
        ask(&["agent", "--message", "hello"]);
        // The store answers in order: what the turn had to save is saved.
        ask(&["gateway", "call", "sessions.list"]);
        // A file that would move whoever read it.
        let hostile = format!(
            "OPENCLAW_STATE_DIR={0}\nOPENCLAW_CONFIG_PATH={0}/openclaw.json\nOPENCLAW_GATEWAY_PORT={port}\n\
             OPENCLAW_PROFILE={1}\nOPENCLAW_GATEWAY_TOKEN={2}\n",
            state.display(),
            profile.unwrap_or("default"),
            token(&state),
        );
        fs::write(state.join(".env"), hostile).expect("writable");
        let before = tree::hash(&state);
        Other { gateway, base, state, before }
    }

    /// The command, with all that a child of this instance might have inherited, in its folder.
    fn poison(&self, command: &mut Command, profile: &str) {
        command
            .env("OPENCLAW_PROFILE", profile)
            .env("OPENCLAW_GATEWAY_PORT", self.base.port().to_string())
            .env("OPENCLAW_GATEWAY_TOKEN", token(&self.state))
            .env("OPENCLAW_GATEWAY_PASSWORD", token(&self.state))
            .current_dir(&self.state);
    }

    #[track_caller]
    fn check_untouched_by(&self, what: &str, trace: &Trace) {
        let mut touched = trace.touched(&self.state);
        // An address is no path below the working directory.
        touched.retain(|it| !it.contains("_port=htons("));
        assert!(touched.is_empty(), "{what} touched the other instance:\n{}", touched.join("\n"));
        let ports = trace.connected_ports();
        assert!(!ports.contains(&self.base.port()), "{what} connected to the other instance: {ports:?}");
    }

    #[track_caller]
    fn check_unchanged(&self) {
        assert_eq!(tree::hash(&self.state), self.before);
        assert!(self.gateway.is_running());
        let refused = self.gateway.log().lines().any(|it| it.contains("warning") || it.contains("error"));
        assert!(!refused, "{}", self.gateway.log());
    }
}

/// A value that names the instance, or is of its conversation.
#[track_caller]
fn check_answers(said: &Value, place: &str, name: &str) {
    let found = said.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let expected = [name.to_owned(), "agent:main:main".to_owned(), "main".to_owned()];
    let is_right = expected.iter().any(|it| it == found) || found.starts_with(&format!("Instance {name} "));
    assert!(is_right, "{found:?} at {place} of {said}");
}

#[test]
fn with_a_flag_nothing_around_the_command_leads_to_the_other_instance() {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let other = Other::start(&sandbox, Some("b"));
    let poisoned = |words: &[&str]| {
        let mut command = sandbox.command(&[&["--profile", "a"], words].concat());
        other.poison(&mut command, "b");
        command
    };
    // A stopped: whoever answers now is the wrong one.
    for (words, _) in &COMMANDS[1..] {
        let (output, trace) = trace(poisoned(words));
        other.check_untouched_by(&words.join(" "), &trace);
        assert!(!output.stdout.contains("\"b\""), "{output}");
        assert!(output.status == 1 || output.stdout.contains("stopped") || words[1] == "status", "{output}");
    }
    let file = sandbox.path().join("trace");
    let mut gateway = Gateway::start(traced(&poisoned(&["gateway", "run"]), &file), base.port());
    for (words, place) in COMMANDS {
        let (output, trace) = trace(poisoned(words));
        other.check_untouched_by(&words.join(" "), &trace);
        check_answers(&output.success().json(), place, "a");
    }
    let wire = Wire::connect(base.port(), &token(&sandbox.state(Some("a"))));
    assert_eq!(wire.hello()["server"]["instance"], "a", "{}", wire.hello());
    let theirs = testkit::wire::connect_params(&token(&other.state));
    assert!(
        Wire::try_connect(base.port(), theirs).is_err(),
        "the environment's token goes before the config's"
    );
    drop(wire);
    assert_eq!(gateway.stop(), 0);
    other.check_untouched_by("the gateway", &Trace::read(&file, &other.state));
    other.check_unchanged();
}

#[test]
fn a_flag_against_the_paths_of_another_instance_is_refused_before_anything_is_opened() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "a");
    let other = Other::start(&sandbox, Some("b"));
    let config = other.state.join("openclaw.json");
    let run: (&[&str], &str) = (&["gateway", "run"], "");
    for (words, _) in COMMANDS.into_iter().chain([run]) {
        for (variable, value) in [("OPENCLAW_STATE_DIR", &other.state), ("OPENCLAW_CONFIG_PATH", &config)] {
            let mut command = sandbox.command(&[&["--profile", "a"], words].concat());
            command.env(variable, value).current_dir(&other.state);
            let (mut output, trace) = trace(command);
            other.check_untouched_by(&words.join(" "), &trace);
            assert!(trace.touched(&sandbox.state(Some("a"))).is_empty(), "{trace:?}");
            // With --json the failure is on standard output, too.
            output.stdout.clear();
            check_advised(
                output,
                64,
                &["--profile a", text(&sandbox.state(Some("a"))), variable, text(value)],
            );
        }
    }
    other.check_unchanged();
}

#[test]
fn with_paths_alone_the_default_instance_of_the_home_is_not_looked_at() {
    let sandbox = offline();
    let home = sandbox.home();
    let at_home = |command: &mut Command| {
        command
            .env_remove("OPENCLAW_HOST_DIR")
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CONFIG_HOME", home.join(".openclaw"))
            .env("XDG_RUNTIME_DIR", home.join(".openclaw"))
            .env("XDG_DATA_HOME", home.join(".openclaw"));
    };
    let other = Other::start(&sandbox, None);
    let (state, config) = (sandbox.path().join("a-state"), sandbox.path().join("a.json"));
    let ours = |words: &[&str]| {
        let mut command = sandbox.command(words);
        at_home(&mut command);
        command.env("OPENCLAW_STATE_DIR", &state).env("OPENCLAW_CONFIG_PATH", &config);
        command.current_dir(&other.state);
        command
    };
    let base = testkit::free_base();
    let port = base.port().to_string();
    let file = sandbox.path().join("trace");
    let mut gateway = Gateway::start(traced(&ours(&["gateway", "--port", &port]), &file), base.port());
    for (words, place) in COMMANDS {
        let (output, trace) = trace(ours(words));
        other.check_untouched_by(&words.join(" "), &trace);
        check_answers(&output.success().json(), place, "a-state");
    }
    assert_eq!(gateway.stop(), 0);
    other.check_untouched_by("the gateway", &Trace::read(&file, &other.state));
    other.check_unchanged();
    assert!(Path::new(&config).is_file() && state.join("workspace/AGENTS.md").is_file());
}

/// A file in its own folder does not move a gateway either: it holds keys for models, and neither an instance nor
/// who may connect to it.
#[test]
fn the_env_file_of_an_instance_moves_nothing() {
    let sandbox = offline();
    let other = Other::start(&sandbox, Some("b"));
    let base = set_up(&sandbox, "a");
    let state = sandbox.state(Some("a"));
    fs::copy(other.state.join(".env"), state.join(".env")).expect("writable");
    let file = sandbox.path().join("trace");
    let run = || sandbox.command(&["--profile", "a", "gateway", "--port", &base.port().to_string()]);
    let mut gateway = Gateway::start(traced(&run(), &file), base.port());
    let said = sandbox.run(&["--profile", "a", "agent", "--message", "/status"]).success().stdout;
    assert!(said.starts_with("Instance a ") && said.contains("Folder: ~/.openclaw-a\n"), "{said}");
    assert_eq!(gateway.stop(), 0);
    other.check_untouched_by("the gateway", &Trace::read(&file, sandbox.path()));
    other.check_unchanged();
    fs::write(state.join("openclaw.json"), "{ gateway: { mode: 'local' } }").expect("writable");
    let again = Gateway::start(run(), base.port());
    let said = again.wait_log("is not in force");
    assert!(said.contains("gateway.auth.token: is not set") && said.contains("generation 1 runs"), "{said}");
}

/// One child of each instance asks its own gateway; neither finds the other's.
#[test]
fn a_profile_out_of_the_environment_is_that_profile() {
    let sandbox = offline();
    let (a, _a) = start(&sandbox, "a");
    let (b, _b) = start(&sandbox, "b");
    for (profile, gateway) in [("a", &a), ("b", &b)] {
        let mut command = sandbox.command(&["health", "--json"]);
        command.env("OPENCLAW_PROFILE", profile);
        let health = testkit::Output::of(command).success().json();
        assert_eq!(
            (&health["instance"]["name"], &health["instance"]["pid"]),
            (&profile.into(), &gateway.pid().into())
        );
    }
}
