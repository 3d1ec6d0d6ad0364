//! Completions: what a shell is told, by the protocol of the scripts and in a real bash; and that to ask changes
//! nothing anywhere.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use testkit::trace::trace;
use testkit::{Output, Sandbox, tree};

use crate::fleet_scene::signal;
use crate::scene::Scene;
use crate::support::{check_advised, offline, set_up, start};

/// Far more than the patience with a gateway, and far less than that of a command that is no completion.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A question as a script asks it: the words of a line, the one that is begun last.
fn question(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = sandbox.command(&[&["--", "openclaw"], words].concat());
    command.env("OPENCLAW_COMPLETE", "1");
    command
}

/// The candidates without what they are about. Whatever is asked, no word goes to a person's terminal.
#[track_caller]
fn candidates(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    values(&Output::of(question(sandbox, words)).success())
}

#[track_caller]
fn values(output: &Output) -> Vec<String> {
    assert_eq!(output.stderr, "", "{output}");
    output.stdout.lines().filter_map(|it| it.split('\t').next()).map(str::to_owned).collect()
}

/// An instance that only its folder tells of: nobody has run it.
fn unrecorded(sandbox: &Sandbox, name: &str) {
    let state = sandbox.state(Some(name));
    fs::create_dir(&state).expect("the home is writable");
    fs::write(state.join("openclaw.json"), "{ gateway: { port: 1, }, hooks: { a: 1 } }").expect("writable");
}

#[test]
fn instances_are_offered_recorded_or_not_and_nothing_is_changed_by_it() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    unrecorded(&sandbox, "maker");
    unrecorded(&sandbox, "status");
    let before = (tree::hash(&sandbox.home()), tree::hash(&sandbox.host()));
    let all = ["main", "maker", "status"];
    for (words, expected) in [
        (&["--profile", ""][..], &all[..]),
        (&["--profile", "ma"], &["main", "maker"]),
        (&["--profile=mai"], &["--profile=main"]),
        (&["agent", "--profile", "x"], &[]),
        (&["fleet", "why", ""], &all),
        (&["fleet", "stop", "maker", "m"], &["main", "maker"]),
        (&["fleet", "exec", "--only", "s"], &["status"]),
        (&["fleet", "create", "--from", "mak"], &["maker"]),
        // A name that is to be given is not one that there is.
        (&["fleet", "create", "m"], &[]),
        // A profile may be called like a command.
        (&["--profile", "status", "gateway", "ca"], &["call"]),
    ] {
        assert_eq!(candidates(&sandbox, words), expected, "{words:?}");
    }
    assert_eq!((tree::hash(&sandbox.home()), tree::hash(&sandbox.host())), before);
}

#[test]
fn a_folder_is_offered_where_two_instances_have_one_name() {
    let sandbox = offline();
    let _main = set_up(&sandbox, "main");
    let elsewhere = sandbox.path().join("data/main");
    let port = testkit::free_base();
    let other = sandbox.command(&["setup", "--port", &port.port().to_string()]);
    let other = { other }.env("OPENCLAW_STATE_DIR", &elsewhere).output().expect("runs");
    assert!(other.status.success(), "{other:?}");
    let folders = [&elsewhere, &sandbox.state(Some("main"))].map(|it| it.display().to_string());
    assert_eq!(candidates(&sandbox, &["fleet", "why", ""]), folders);
    assert_eq!(candidates(&sandbox, &["--profile", ""]), ["main"]);
}

#[test]
fn the_selected_instance_is_asked_and_no_other_is_touched() {
    let scene = Scene::new();
    scene.person().ask("main", "hello");
    let sandbox = &scene.sandbox;
    let (_gateway, _base) = start(sandbox, "other");
    let other = sandbox.state(Some("other"));
    let rows = scene.person().wire.request("sessions.list", json!({})).expect("a list");
    let id = rows["sessions"][0]["sessionId"].as_str().expect("an id").to_owned();
    let before = (tree::hash(&other), tree::hash(&sandbox.host()));
    for (words, expected) in [
        (&["--profile", "main", "agent", "--session-id", ""][..], id.as_str()),
        (&["--profile=main", "agent", "--agent", ""], "main"),
        (&["agent", "--profile", "main", "--agent=m"], "--agent=main"),
        (&["--profile", "main", "gateway", "call", "sessions.li"], "sessions.list"),
    ] {
        let (output, trace) = trace(question(sandbox, words));
        assert_eq!(values(&output), [expected], "{words:?}: {output}");
        assert!(trace.touched(&other).is_empty(), "{words:?}: {trace:?}");
    }
    let mut by_environment = question(sandbox, &["agent", "--session-id", ""]);
    by_environment.env("OPENCLAW_PROFILE", "main");
    assert_eq!(values(&Output::of(by_environment)), [id.as_str()]);
    // Another instance has no conversation yet, and one that contradicts the surroundings is none.
    assert!(candidates(sandbox, &["--profile", "other", "agent", "--session-id", ""]).is_empty());
    let mut torn = question(sandbox, &["--profile", "main", "agent", "--session-id", ""]);
    torn.env("OPENCLAW_STATE_DIR", &other);
    assert!(values(&Output::of(torn).success()).is_empty());
    assert_eq!((tree::hash(&other), tree::hash(&sandbox.host())), before);
}

#[test]
fn a_gateway_that_does_not_answer_keeps_nobody_waiting() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "main");
    let words = ["--profile", "main", "gateway", "call", "hea"];
    assert_eq!(candidates(&sandbox, &words), ["health"]);
    signal(gateway.pid(), Signal::STOP);
    let begun = Instant::now();
    assert!(candidates(&sandbox, &words).is_empty());
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    signal(gateway.pid(), Signal::CONT);
    assert_eq!(gateway.stop(), 0);
    assert!(candidates(&sandbox, &words).is_empty());
}

#[test]
fn a_real_bash_completes_words_also_those_that_it_breaks() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    unrecorded(&sandbox, "maker");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_openclaw")).parent().expect("a folder");
    // As readline calls the function: the whole line, its words as bash breaks them, and what is to be replaced.
    let script = r#"
        PATH="$PROGRAMS:$PATH"
        source <(openclaw completion --shell bash)
        complete -p openclaw
        ask() {
            COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("${@:3}")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _openclaw openclaw "$1"
            echo "${COMPREPLY[*]}"
        }
        ask ma 'openclaw --profile ma' openclaw --profile ma
        ask ma 'openclaw --profile=ma' openclaw --profile = ma
        ask '' 'openclaw --profile=' openclaw --profile =
        ask ma 'openclaw --profile "ma' openclaw --profile '"ma'
        ask resta 'openclaw --profile=main fleet resta' openclaw --profile = main fleet resta
        ask "$HOME/.openclaw-mai" "openclaw setup --workspace $HOME/.openclaw-mai" \
            openclaw setup --workspace "$HOME/.openclaw-mai"
    "#;
    let mut bash = Command::new("bash");
    let world = sandbox.command(&[]);
    bash.args(["--norc", "--noprofile", "-c", script]).env_clear().env("PROGRAMS", program);
    bash.envs(world.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = Output::of(bash).success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].ends_with("-F _openclaw openclaw"), "{output}");
    let folder = sandbox.state(Some("main"));
    let both = "main maker";
    assert_eq!(lines[1..], [both, both, both, both, "restart", &folder.display().to_string()], "{output}");
}

#[test]
fn an_installed_script_stands_where_the_shell_looks_and_no_file_of_a_person_is_changed() {
    let sandbox = offline().env("SHELL", "/bin/bash");
    let rc = sandbox.home().join(".bashrc");
    fs::write(&rc, "# mine\n").expect("writable");
    let script = |shell: &str| sandbox.run(&["completion", "--shell", shell]).success().stdout;
    for (shell, place) in [
        ("bash", ".local/share/bash-completion/completions/openclaw"),
        ("zsh", ".local/share/zsh/site-functions/_openclaw"),
        ("fish", ".config/fish/completions/openclaw.fish"),
    ] {
        let path = sandbox.home().join(place);
        let report = sandbox.run(&["completion", "--install", "--shell", shell, "--json"]).success().json();
        assert_eq!((&report["path"], &report["written"]), (&json!(path), &json!(true)), "{report}");
        assert_eq!(fs::read_to_string(&path).expect("written"), script(shell));
        let again = sandbox.run(&["completion", "--install", "--shell", shell, "--yes"]).success();
        assert!(again.stdout.contains("is there already, and current"), "{again}");
        // One of another version is replaced, one of a person is kept.
        fs::write(&path, format!("{}\nmore", script(shell))).expect("ours");
        let _ = sandbox.run(&["completion", "-i", "-s", shell]).success();
        assert_eq!(fs::read_to_string(&path).expect("written"), script(shell));
        fs::write(&path, "# mine\n").expect("ours");
        let refused = sandbox.run(&["completion", "--install", "--shell", shell]);
        check_advised(refused, 1, &["was not written by openclaw", &path.display().to_string()]);
        assert_eq!(fs::read_to_string(&path).expect("there"), "# mine\n");
    }
    let before = tree::hash(&sandbox.home());
    let told = sandbox.run(&["completion", "--install", "--shell", "powershell"]).success();
    assert!(told.stdout.contains("$PROFILE names:\n  openclaw completion"), "{told}");
    assert_eq!(tree::hash(&sandbox.home()), before);
    assert_eq!(fs::read_to_string(&rc).expect("there"), "# mine\n");
    assert!(!sandbox.state(None).exists(), "no instance is made by it");
}

#[test]
fn the_shell_is_the_persons_or_must_be_named() {
    let fish = offline().env("SHELL", "/usr/bin/fish");
    assert!(fish.run(&["completion"]).success().stdout.starts_with("# Completion of openclaw for fish."));
    let report = fish.run(&["completion", "--json"]).success().json();
    assert_eq!((&report["shell"], report["script"].is_string()), (&json!("fish"), true));
    check_advised(offline().run(&["completion"]), 64, &["SHELL does not say", "--shell bash"]);
    let dash = offline().env("SHELL", "/bin/dash");
    check_advised(dash.run(&["completion"]), 64, &["no completions for the shell dash"]);
}

#[test]
fn scripts_are_kept_in_the_state_folder_for_lines_that_name_them_there() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "main");
    let run =
        |more: &[&str]| sandbox.run(&[&["--profile", "main", "completion", "--write-state"], more].concat());
    let _ = run(&["--shell", "zsh"]).success();
    let folder = sandbox.state(Some("main")).join("completions");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&folder).expect("made").map(|it| it.expect("read").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["openclaw.zsh"]);
    let report = run(&["--json"]).success().json();
    assert_eq!(report["paths"].as_array().map(Vec::len), Some(4), "{report}");
    assert_eq!(names(), ["openclaw.bash", "openclaw.fish", "openclaw.ps1", "openclaw.zsh"]);
}
