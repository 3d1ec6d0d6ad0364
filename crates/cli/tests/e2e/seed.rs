//! Every command of the document about several gateways, as it stands there, and what a person sees of it.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use testkit::gateway::token;
use testkit::{Gateway, Sandbox, free_base, tree};

use crate::support::{check_goes_on, offline, set_up, text};

/// The files that an agent begins with.
const BOOTSTRAP: [&str; 7] =
    ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md", "HEARTBEAT.md", "BOOTSTRAP.md"];

fn mode(path: &Path) -> u32 {
    let about = fs::metadata(path).unwrap_or_else(|error| panic!("no {}: {error}", path.display()));
    about.permissions().mode() & 0o777
}

/// Nothing that says "running" is left of a gateway that has stopped.
#[track_caller]
fn check_nothing_is_held(sandbox: &Sandbox, state: &Path) {
    for name in ["gateway.lock", "control.sock"] {
        assert!(!state.join(name).exists(), "{name} is left in {}", state.display());
    }
    let claims = tree::hash(&sandbox.host().join("claims"));
    assert!(claims.is_empty(), "claims are left: {claims:?}");
}

/// Runs the shell line as a person would, `openclaw` being on the path.
fn shell(sandbox: &Sandbox, line: &str) -> Command {
    let ours = sandbox.command(&[]);
    let folder = sandbox.path().join("bin");
    fs::create_dir_all(&folder).expect("the sandbox is writable");
    if !folder.join("openclaw").exists() {
        symlink(ours.get_program(), folder.join("openclaw")).expect("a new link");
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("PATH='{}':$PATH; {line}", folder.display())]).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(sandbox.path().join("cwd"));
    command
}

#[test]
fn setup_leaves_a_private_instance_whatever_the_umask() {
    let sandbox = offline();
    let output = testkit::Output::of(shell(&sandbox, "umask 000; openclaw --profile main setup")).success();
    let state = sandbox.state(Some("main"));
    let config = fs::read_to_string(state.join("openclaw.json")).expect("a config");
    let token = token(&state);
    assert!(token.len() == 48 && token.bytes().all(|it| it.is_ascii_hexdigit()), "{token}");
    assert!(config.contains("mode: \"local\"") && config.contains("port: "), "{config}");
    assert_eq!((mode(&state), mode(&state.join("openclaw.json"))), (0o700, 0o600));
    let workspace = state.join("workspace-main");
    assert!(config.contains(text(&workspace)), "{config}");
    assert_eq!(mode(&workspace), 0o700);
    for name in BOOTSTRAP {
        assert_eq!(mode(&workspace.join(name)), 0o600, "{name}");
    }
    for said in ["main", text(&state), "workspace-main", "Start it", "openclaw --profile main gateway"] {
        assert!(output.stdout.contains(said), "nothing about {said:?}: {output}");
    }
    assert!(!output.stdout.contains(&token) && output.stderr.is_empty(), "{output}");
}

#[test]
fn two_gateways_run_side_by_side_on_ports_of_the_command_line() {
    let sandbox = offline();
    let running: Vec<_> = ["main", "rescue"]
        .map(|profile| {
            let _ = sandbox.run(&["--profile", profile, "setup"]).success();
            let base = free_base();
            let port = base.port().to_string();
            let command = sandbox.command(&["--profile", profile, "gateway", "--port", &port]);
            (profile, Gateway::start(command, base.port()), base)
        })
        .into();
    for (profile, gateway, base) in &running {
        // The config names another port: what runs is found by its socket.
        let status = sandbox.run(&["--profile", profile, "status", "--json"]).success().json();
        assert_eq!(status["instance"]["name"], *profile, "{status}");
        assert_eq!(status["instance"]["pid"], gateway.pid(), "{status}");
        assert_eq!(status["gateway"]["reachable"], true, "{status}");
        assert_eq!(status["instance"]["ports"]["gateway"], base.port(), "{status}");
        assert_eq!(status["instance"]["ports"]["browserControl"], base.port() + 2, "{status}");
        assert_eq!(status["instance"]["ports"]["canvas"], base.port() + 4, "{status}");
        let said = sandbox.run(&["--profile", profile, "status"]).success().stdout;
        let expected = [format!("ready, pid {}", gateway.pid()), format!("gateway {}", base.port())];
        assert!(expected.iter().all(|it| said.contains(it)), "{said}");
    }
    for (profile, mut gateway, _base) in running {
        assert_eq!(gateway.stop(), 0);
        assert_eq!(gateway.stdout(), "", "a gateway has no data to print");
        assert!(gateway.log().contains("stopping on SIGTERM"), "{}", gateway.log());
        let state = sandbox.state(Some(profile));
        assert!(!state.join("control.sock").exists() && !state.join("gateway.lock").exists());
    }
    check_nothing_is_held(&sandbox, &sandbox.state(Some("main")));
}

#[test]
fn a_gateway_starts_from_its_config_alone_and_answers_every_question() {
    let sandbox = offline();
    let base = set_up(&sandbox, "main");
    for args in [
        &["--profile", "main", "gateway"][..],
        &["--profile", "main", "gateway", "run"],
        &["gateway", "--profile", "main", "run"],
        &["gateway", "run", "--profile=main"],
    ] {
        let mut gateway = Gateway::start(sandbox.command(args), base.port());
        check_goes_on(&sandbox, "main", &gateway);
        for words in [
            "--profile main health --json",
            "--profile main gateway health --json",
            "--profile main gateway call health --json",
            "--profile main gateway call status",
            "--profile main gateway status --json --require-rpc",
            "--profile main status --json",
            "gateway --profile main status --json",
            "status --json --profile main",
        ] {
            let output = sandbox.run(&words.split(' ').collect::<Vec<_>>()).success();
            assert_eq!(output.json()["instance"]["pid"], gateway.pid(), "{output}");
            assert_eq!(output.stderr, "", "{output}");
        }
        let said = sandbox.run(&["--profile", "main", "gateway", "status"]).success().stdout;
        assert!(said.contains("ok (pid") && said.contains(&format!("127.0.0.1:{}", base.port())), "{said}");
        assert_eq!(gateway.stop(), 0);
    }
    check_nothing_is_held(&sandbox, &sandbox.state(Some("main")));
}

#[test]
fn without_a_profile_everything_is_in_the_folder_of_the_original() {
    let base = free_base();
    // The port out of the environment is for an instance that no flag names.
    let sandbox = offline().env("OPENCLAW_GATEWAY_PORT", base.port().to_string());
    let _ = sandbox.run(&["setup"]).success();
    assert!(sandbox.state(None).join("workspace/AGENTS.md").is_file());
    let mut gateway = Gateway::start(sandbox.command(&["gateway"]), base.port());
    let pid = i32::try_from(gateway.pid()).expect("small");
    gateway.wait_log(&format!("listening on ws://127.0.0.1:{} ", base.port()));
    let status = sandbox.run(&["status", "--json"]).success().json();
    assert_eq!(status["instance"]["name"], "default", "{status}");
    assert_eq!(status["instance"]["unit"], "openclaw-gateway.service", "{status}");
    assert_eq!(status["instance"]["port"], base.port(), "{status}");
    // A profile has a port of its own: that of a parent must not reach it.
    let other = sandbox.run(&["--profile", "other", "setup", "--json"]).success().json();
    assert_ne!(other["port"], base.port(), "{other}");
    // Ctrl-C is as good a stop as the supervisor's.
    kill_process(Pid::from_raw(pid).expect("not zero"), Signal::INT).expect("it runs");
    assert_eq!(gateway.wait_exit(), 0);
    gateway.wait_log("stopping on SIGINT");
    check_nothing_is_held(&sandbox, &sandbox.state(None));
}

#[test]
fn the_manual_example_starts_without_any_setup_and_says_what_it_made() {
    let sandbox = offline();
    // Both at once: a base that one of them has stays its own after it has stopped.
    let bases = [free_base(), free_base()];
    for (profile, base) in ["main", "rescue"].into_iter().zip(&bases) {
        let line = format!(
            "OPENCLAW_CONFIG_PATH=~/.openclaw/{profile}.json OPENCLAW_STATE_DIR=~/.openclaw-{profile} \
             exec openclaw gateway --port {}",
            base.port()
        );
        let mut gateway = Gateway::start(shell(&sandbox, &line), base.port());
        let config = sandbox.state(None).join(format!("{profile}.json"));
        let said = gateway.wait_log("is new");
        assert!(said.contains(profile) && said.contains(text(&config)), "{said}");
        assert_eq!(mode(&config), 0o600);
        assert!(sandbox.state(Some(profile)).join(format!("workspace-{profile}")).is_dir());
        check_goes_on(&sandbox, profile, &gateway);
        assert_eq!(gateway.stop(), 0);
        // A second start finds what the first one made.
        let mut gateway = Gateway::start(shell(&sandbox, &line), base.port());
        assert!(!gateway.log().contains("is new"), "{}", gateway.log());
        assert_eq!(gateway.stop(), 0);
    }
}
