//! What is wrong with an instance is found, put right where that is safe, and nobody else's is touched.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Base, Gateway, Sandbox, tree};

use crate::support::{check_advised, offline, set_up, text};

/// Two instances that were set up and do not run.
struct Pair {
    sandbox: Sandbox,
    main: Base,
    work: Base,
}

impl Pair {
    fn new() -> Self {
        let sandbox = offline();
        let (main, work) = (set_up(&sandbox, "main"), set_up(&sandbox, "work"));
        Self { sandbox, main, work }
    }

    fn state(&self) -> PathBuf {
        self.sandbox.state(Some("main"))
    }

    fn config(&self) -> PathBuf {
        self.state().join("openclaw.json")
    }

    #[track_caller]
    fn doctor(&self, more: &[&str], code: i32) -> Value {
        let args = [&["--profile", "main", "doctor", "--json"], more].concat();
        self.sandbox.run(&args).code(code).json()
    }

    fn write(&self, path: &Path, content: &str) {
        fs::write(path, content).expect("written");
        mode(path, 0o600);
    }

    fn replace(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.config()).expect("read");
        assert!(config.contains(from), "{config}");
        self.write(&self.config(), &config.replace(from, to));
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn ids(answer: &Value) -> Vec<String> {
    let found = answer["findings"].as_array().expect("findings");
    found.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

/// Breaks something, sees it found and nothing changed, mends it, sees it gone, and the neighbour untouched.
#[track_caller]
fn check_mended(break_it: impl Fn(&Pair), id: &str, code: i32) {
    let pair = Pair::new();
    let sound = pair.doctor(&[], 0);
    assert_eq!(ids(&sound), [""; 0], "{sound}");
    break_it(&pair);
    let (own, neighbour) = (tree::hash(&pair.state()), tree::hash(&pair.sandbox.state(Some("work"))));
    let found = pair.doctor(&["--lint"], code);
    assert_eq!(ids(&found), [id], "{found}");
    assert_eq!(found["findings"][0]["remedy"]["kind"], "change", "{found}");
    assert_eq!(tree::hash(&pair.state()), own, "looking changed something");
    let mended = pair.doctor(&["--fix", "--yes"], 0);
    assert_eq!(ids(&mended), [""; 0], "{mended}");
    assert_eq!(mended["fix"]["changes"][0]["outcome"], "mended", "{mended}");
    let snapshot = mended["fix"]["snapshot"].as_str().expect("a snapshot");
    let _ = pair.sandbox.run(&["fleet", "restore", snapshot, "--verify"]).success();
    assert_eq!(tree::hash(&pair.sandbox.state(Some("work"))), neighbour, "the neighbour was touched");
    let again = pair.doctor(&["--fix", "--yes"], 0);
    assert!(again["fix"]["snapshot"].is_null(), "nothing to do, and a snapshot: {again}");
}

/// Breaks something that only a person can put right: it is found with a remedy, and `--fix` leaves it as it is.
#[track_caller]
fn check_told(break_it: impl Fn(&Pair), id: &str, code: i32, words: &[&str]) {
    let pair = Pair::new();
    break_it(&pair);
    let (own, neighbour) = (tree::hash(&pair.state()), tree::hash(&pair.sandbox.state(Some("work"))));
    let found = pair.doctor(&[], code);
    let findings = found["findings"].as_array().expect("findings");
    let it = findings.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("no {id}: {found:#}"));
    for word in words {
        assert!(it.to_string().contains(word), "nothing about {word}: {it:#}");
    }
    let remedy = &it["remedy"];
    let told = remedy["command"].as_str().or(remedy["text"].as_str()).unwrap_or_default();
    assert!(!told.is_empty(), "no remedy: {it:#}");
    let _ = pair.doctor(&["--fix", "--yes"], code);
    assert_eq!(tree::hash(&pair.state()), own);
    assert_eq!(tree::hash(&pair.sandbox.state(Some("work"))), neighbour);
}

#[test]
fn files_that_others_may_read_are_closed() {
    check_mended(
        |pair| {
            mode(&pair.config(), 0o644);
            pair.write(&pair.state().join("keys.env"), "OPENAI_API_KEY=sk-1\n");
            mode(&pair.state().join("keys.env"), 0o664);
            mode(&pair.state(), 0o755);
        },
        "files.modes",
        0,
    );
}

#[test]
fn a_workspace_that_is_gone_is_made_and_filled_by_setup() {
    let pair = Pair::new();
    fs::remove_dir_all(pair.state().join("workspace-main")).expect("removed");
    assert_eq!(ids(&pair.doctor(&[], 0)), ["workspace.there"]);
    let mended = pair.doctor(&["--fix", "--non-interactive"], 0);
    // The folder is there; its files are what `setup` is for.
    assert_eq!(ids(&mended), ["workspace.there"], "{mended}");
    assert_eq!(mended["findings"][0]["severity"], "info");
    let _ = pair.sandbox.run(&["--profile", "main", "setup"]).success();
    assert_eq!(ids(&pair.doctor(&[], 0)), [""; 0]);
}

#[test]
fn a_socket_that_a_killed_gateway_left_is_removed() {
    check_mended(
        |pair| {
            let mut gateway = pair.sandbox.start(&["--profile", "main"], pair.main.port());
            gateway.kill();
            // What else a kill leaves is the next start's affair, and is told by other checks.
            let _ = pair.sandbox.run(&["fleet", "repair"]).success();
        },
        "files.socket",
        0,
    );
}

#[test]
fn what_only_a_person_can_put_right_is_told_with_a_remedy() {
    let comma = |pair: &Pair| pair.replace("port:", "port:,");
    check_told(comma, "config.file", 1, &["line 5", "correct the file"]);
    check_told(
        |it| it.replace("mode: \"local\"", "mode: \"far\""),
        "config.findings",
        1,
        &["gateway.mode", ":4"],
    );
    check_told(
        |it| it.replace(&it.main.port().to_string(), &it.work.port().to_string()),
        "ports.overlap",
        1,
        &["instance work", "config set gateway.port"],
    );
    check_told(
        |it| it.write(&it.sandbox.path().join("cwd/.env"), "OPENCLAW_STATE_DIR=/nowhere\n"),
        "config.stray",
        0,
        &["OPENCLAW_STATE_DIR"],
    );
    check_told(
        |it| it.write(&it.state().join(".env"), "OPENCLAW_GATEWAY_PORT=1\n"),
        "config.variables",
        0,
        &["OPENCLAW_GATEWAY_PORT"],
    );
    check_told(
        |it| it.write(&it.state().join("gateway.sqlite"), &"no database ".repeat(100)),
        "database.sound",
        1,
        &["fleet restore"],
    );
    check_told(
        |it| it.replace("agents:", "browser: { executablePath: \"/nowhere/chromium\" }, agents:"),
        "machine.browser",
        0,
        &["/nowhere/chromium"],
    );
    check_told(
        |it| it.write(&it.state().join("ledger.json"), "{\"rescueFor\": \"gone\"}"),
        "past.rescue",
        0,
        &["instance gone"],
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_who_has_it() {
    let pair = Pair::new();
    let stranger = TcpListener::bind(("127.0.0.1", pair.main.port() + 2)).expect("free");
    let found = pair.doctor(&[], 1);
    assert_eq!(ids(&found), ["ports.stranger"], "{found:#}");
    let pid = format!("(pid {}", std::process::id());
    assert!(found["findings"][0]["what"].to_string().contains(&pid), "{found:#}");
    drop(stranger);
    assert_eq!(ids(&pair.doctor(&[], 0)), [""; 0]);
    let _work = pair.sandbox.start(&["--profile", "work"], pair.work.port());
    pair.replace(&pair.main.port().to_string(), &pair.work.port().to_string());
    let found = pair.doctor(&[], 1);
    let ids = ids(&found);
    assert!(ids.iter().any(|it| it == "neighbours.claims"), "{found:#}");
    assert!(!ids.iter().any(|it| it == "ports.stranger"), "one thing is told twice: {found:#}");
    assert!(found.to_string().contains("instance work (pid "), "{found:#}");
}

#[test]
fn what_two_instances_share_is_told_without_the_secret() {
    let bot = "channels: { telegram: { botToken: \"77:hunter2hunter2\" } }, agents:";
    let pair = Pair::new();
    pair.replace("agents:", bot);
    let work = pair.sandbox.state(Some("work")).join("openclaw.json");
    let theirs = fs::read_to_string(&work).expect("read").replace("agents:", bot);
    pair.write(&work, &theirs.replace("workspace-work", "../.openclaw-main/workspace-main"));
    let found = pair.doctor(&[], 1);
    let ids = ids(&found);
    for id in ["neighbours.logins", "neighbours.shared"] {
        assert!(ids.iter().any(|it| it == id), "no {id}: {found:#}");
    }
    assert!(!found.to_string().contains("hunter2"), "{found:#}");
}

#[test]
fn a_config_that_does_not_parse_is_put_back_by_name_only_and_kept() {
    let pair = Pair::new();
    let mut gateway = pair.sandbox.start(&["--profile", "main"], pair.main.port());
    assert_eq!(gateway.stop(), 0);
    let good = fs::read_to_string(pair.config()).expect("read");
    let broken = format!("// mine\n{}", good.replace("port:", "port:,"));
    pair.write(&pair.config(), &broken);
    let found = pair.doctor(&["--fix", "--yes", "--non-interactive"], 1);
    assert_eq!(ids(&found), ["config.file"], "{found:#}");
    assert!(found["findings"][0]["remedy"]["command"].to_string().contains("config rollback"), "{found:#}");
    assert_eq!(fs::read_to_string(pair.config()).expect("read"), broken);
    let restored = pair.doctor(&["--fix", "--yes", "--restore-config"], 0);
    assert_eq!(fs::read_to_string(pair.config()).expect("read"), good);
    let kept = restored["fix"]["restoredConfig"]["kept"].as_str().expect("kept");
    assert_eq!(fs::read_to_string(kept).expect("read"), broken);
    assert_eq!(fs::metadata(kept).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_gateway_goes_on_while_it_is_examined_and_mended() {
    let pair = Pair::new();
    let gateway = pair.sandbox.start(&["--profile", "main"], pair.main.port());
    let _ = pair.sandbox.run(&["--profile", "main", "agent", "--message", "hi"]).success();
    mode(&pair.config(), 0o640);
    let mended = pair.doctor(&["--fix", "--yes"], 0);
    assert_eq!(ids(&mended), [""; 0], "{mended:#}");
    assert_eq!(mended["instance"]["pid"], gateway.pid());
    let health = pair.sandbox.run(&["--profile", "main", "health", "--json"]).success().json();
    assert_eq!(health["instance"]["pid"], gateway.pid());
}

#[test]
fn a_gateway_that_hangs_is_found_and_costs_no_long_wait() {
    let pair = Pair::new();
    let gateway = pair.sandbox.start(&["--profile", "main"], pair.main.port());
    suspend(&gateway);
    let began = Instant::now();
    let found = pair.doctor(&[], 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(ids(&found), ["gateway.state"], "{found:#}");
    assert!(found.to_string().contains("SIGSTOP"), "{found:#}");
}

fn suspend(gateway: &Gateway) {
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::STOP).expect("ours");
}

#[test]
fn a_model_is_asked_only_where_that_is_wanted() {
    let pair = Pair::new();
    assert_eq!(ids(&pair.doctor(&[], 0)), [""; 0]);
    assert_eq!(ids(&pair.doctor(&["--deep"], 0)), ["model.reachable"]);
    let provider = "models: { providers: { far: { baseUrl: \"http://127.0.0.1:1/v1\", models: [{ id: \"m\" }] } } }, agents:";
    pair.replace("agents:", provider);
    let found = pair.doctor(&["--deep"], 1);
    assert_eq!(ids(&found), ["model.reachable"], "{found:#}");
    assert!(found["findings"][0]["what"].to_string().contains("cannot be reached"), "{found:#}");
}

#[test]
fn a_name_that_is_no_instance_is_said_to_be_none_and_nothing_is_made() {
    let sandbox = offline();
    let said = sandbox.run(&["--profile", "nobody", "doctor", "--fix", "--yes"]).code(1);
    assert!(said.stdout.contains("there is no such instance yet"), "{said}");
    assert!(!sandbox.state(Some("nobody")).exists());
    assert!(!sandbox.host().join("snapshots").exists());
}

#[test]
fn without_a_snapshot_nothing_is_changed_unless_that_is_said() {
    let pair = Pair::new();
    pair.write(&pair.state().join("gateway.sqlite"), &"no database ".repeat(100));
    mode(&pair.config(), 0o644);
    let before = tree::hash(&pair.state());
    let args = ["--profile", "main", "doctor", "--fix", "--yes"];
    let refused = pair.sandbox.run(&args);
    assert_ne!(refused.status, 0, "{refused}");
    for word in ["nothing was changed", "--no-snapshot"] {
        assert!(refused.stderr.contains(word), "nothing about {word}: {refused}");
    }
    assert_eq!(tree::hash(&pair.state()), before);
    let mended = pair.doctor(&["--fix", "--yes", "--no-snapshot"], 1);
    assert_eq!(ids(&mended), ["database.sound"], "{mended:#}");
}

#[test]
fn nobody_at_a_terminal_is_not_asked() {
    let pair = Pair::new();
    mode(&pair.config(), 0o644);
    let asked = pair.sandbox.run(&["--profile", "main", "doctor", "--fix"]);
    assert!(asked.stderr.contains("--yes"), "{asked}");
    let _ = asked.code(64);
    assert_eq!(fs::metadata(pair.config()).expect("there").permissions().mode() & 0o777, 0o644);
    let args = ["--profile", "main", "doctor", "--fix", "--json"];
    let refused = pair.sandbox.run(&args).code(64);
    assert_eq!(refused.json()["ok"], false, "{refused}");
    let _ = check_advised(
        pair.sandbox.run(&["--profile", "nobody", "security", "audit"]),
        1,
        &["no such instance"],
    );
}

#[test]
fn a_unit_that_starts_something_else_is_told() {
    let pair = Pair::new();
    let units = pair.sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(&units).expect("made");
    let unit = "[Service]\nExecStart=/nowhere/openclaw --profile other gateway run --port 1\n";
    fs::write(units.join("openclaw-gateway-main.service"), unit).expect("written");
    let found = pair.doctor(&[], 1);
    assert_eq!(ids(&found), ["unit.drift"; 3], "{found:#}");
    for word in ["/nowhere/openclaw", "profile other", "port 1,"] {
        assert!(found.to_string().contains(word), "nothing about {word}: {found:#}");
    }
    assert!(text(&units).starts_with(text(pair.sandbox.path())));
}
