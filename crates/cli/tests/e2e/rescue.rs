//! A main that is broken, and a rescue that has a shell: what is wrong is told, what is done about it is done in the
//! rescue's name and noted with main, and main answers again.
#![allow(clippy::disallowed_methods, reason = "a test breaks files as a person or a disk would")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Base, Output, Sandbox, free_base};

use crate::scene::until;
use crate::support::{offline, set_up, text, wait_gone};

/// Anybody but root, as every machine has.
const NOBODY: u32 = 65_534;

/// A main that has run, has conversations, and runs no longer; and its rescue.
struct Pair {
    sandbox: Sandbox,
    base: Base,
    _rescue: Base,
}

impl Pair {
    #[track_caller]
    fn new() -> Self {
        let sandbox = offline();
        let base = set_up(&sandbox, "main");
        let other = free_base();
        let port = other.port().to_string();
        let _ =
            sandbox.run(&["fleet", "create", "rescue", "--rescue-for", "main", "--port", &port]).success();
        let pair = Self { sandbox, base, _rescue: other };
        pair.begin();
        let _ = pair.sandbox.run(&["--profile", "main", "gateway", "call", "sessions.list"]).success();
        pair.end();
        pair
    }

    /// In the rescue's name, about main.
    fn rescue(&self, words: &[&str]) -> Output {
        self.sandbox.run(&[&["--profile", "rescue", "--for", "main"], words].concat())
    }

    #[track_caller]
    fn begin(&self) {
        let _ = self.sandbox.run(&["fleet", "start", "main"]).success();
    }

    #[track_caller]
    fn end(&self) {
        let _ = self.sandbox.run(&["fleet", "stop", "main"]).success();
    }

    fn state(&self, name: &str) -> PathBuf {
        self.sandbox.state(Some("main")).join(name)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.state("openclaw.json")).expect("a config")
    }

    fn break_config(&self, text: &str) {
        fs::write(self.state("openclaw.json"), text).expect("written");
    }

    /// Why main is as it is, as one text.
    #[track_caller]
    fn why(&self) -> String {
        let by_ward = self.rescue(&["fleet", "why", "--json"]).success().json();
        assert_eq!(by_ward["seen"]["name"], "main");
        by_ward.to_string()
    }

    #[track_caller]
    fn is_told(&self, words: &[&str]) {
        let why = self.why();
        for word in words {
            assert!(why.contains(word), "nothing about {word:?}: {why}");
        }
    }

    #[track_caller]
    fn is_well(&self) {
        let health = self.rescue(&["health", "--json"]).success().json();
        assert_eq!((&health["instance"]["name"], &health["ok"]), (&Value::from("main"), &Value::from(true)));
    }

    fn pid(&self) -> u32 {
        let rows = self.sandbox.run(&["fleet", "ls", "--json"]).success().json();
        let rows = rows["instances"].as_array().expect("rows").clone();
        let main = rows.iter().find(|it| it["name"] == "main").expect("main");
        u32::try_from(main["pid"].as_u64().expect("it runs")).expect("a process id")
    }

    fn kill(&self, signal: Signal) -> u32 {
        let pid = self.pid();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(raw, signal).expect("it runs");
        pid
    }

    /// What is noted with main: action and result.
    #[track_caller]
    fn deeds(&self) -> Vec<(String, bool)> {
        let deeds = self.rescue(&["fleet", "history", "--json"]).success().json();
        let told = |it: &Value| {
            assert_eq!((&it["by"], &it["ward"]), (&Value::from("rescue"), &Value::from("main")), "{it:#}");
            assert!(it["at"].is_u64() && it["pid"].is_u64() && it["uid"].is_u64(), "{it:#}");
            (it["action"].as_str().expect("words").to_owned(), it["end"]["ok"] == true)
        };
        deeds.as_array().expect("deeds").iter().map(told).collect()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.sandbox.run(&["fleet", "stop", "main", "--force"]);
    }
}

fn token(config: &str) -> &str {
    config
        .split("mode: \"token\"")
        .nth(1)
        .and_then(|it| it.split(": \"").nth(1))
        .and_then(|it| it.split('"').next())
        .expect("a token")
}

#[test]
fn a_config_that_is_broken_in_any_way_is_told_of_and_taken_back() {
    let pair = Pair::new();
    let sound = pair.config();
    let broken = [
        ("{ broken".to_owned(), "line 1"),
        (sound.replacen("port:", "prot:", 1), "prot"),
        (sound.replacen("mode: \"local\"", "mode: 5", 1), "gateway.mode"),
    ];
    for (text, word) in broken {
        assert_ne!(text, sound);
        pair.break_config(&text);
        let _ = pair.sandbox.run(&["fleet", "start", "main"]);
        pair.is_told(&["config rollback"]);
        let found = pair.rescue(&["config", "validate"]);
        assert!(found.to_string().contains(word), "{found}");
        let shown = pair.rescue(&["config", "diff"]).success();
        assert!(!shown.stdout.trim().is_empty() && !shown.stdout.contains(token(&sound)), "{shown}");
        let _ = pair.rescue(&["config", "rollback", "--json"]).success();
        assert_eq!(pair.config(), sound);
        let _ = pair.rescue(&["fleet", "restart"]).success();
        pair.is_well();
        pair.end();
    }
    let rollback = ("config rollback".to_owned(), true);
    assert_eq!(pair.deeds().iter().filter(|it| **it == rollback).count(), 3);
    let deeds = pair.rescue(&["fleet", "history", "--json"]).success().json();
    assert_ne!(deeds[0]["before"]["config"], deeds[0]["end"]["after"]["config"], "{deeds:#}");
    assert!(!deeds.to_string().contains(token(&sound)), "a secret stands in the history");
}

#[test]
fn a_secret_that_cannot_be_had_is_named_and_the_config_before_is_put_back() {
    let pair = Pair::new();
    let sound = pair.config();
    let token = token(&sound);
    let reference = "{ source: \"env\", provider: \"default\", id: \"NOT_THERE\" }";
    pair.break_config(&sound.replacen(&format!("\"{token}\""), reference, 1));
    pair.begin();
    pair.is_told(&["gateway.auth.token", "NOT_THERE", "config rollback"]);
    let _ = pair.rescue(&["config", "rollback"]).success();
    pair.is_well();
    assert_eq!(pair.config(), sound);
}

#[test]
fn a_damaged_database_is_named_and_a_snapshot_takes_its_place() {
    let pair = Pair::new();
    let kept = pair.sandbox.path().join("kept.tar.gz");
    let _ = pair.rescue(&["fleet", "snapshot", "--output", text(&kept)]).success();
    let database = pair.state("gateway.sqlite");
    let whole = fs::read(&database).expect("a database");
    let torn = whole[..whole.len() / 2].to_vec();
    let overwritten: Vec<u8> = std::iter::repeat_n(0x55, whole.len()).collect();
    fs::write(&database, &overwritten).expect("written");
    pair.is_told(&["gateway.sqlite is damaged or no database", "fleet restore SNAPSHOT"]);
    for damaged in [overwritten, torn] {
        fs::write(&database, &damaged).expect("written");
        pair.begin();
        let _ = pair.sandbox.run(&["--profile", "main", "gateway", "call", "sessions.list"]);
        let found = pair.rescue(&["doctor", "--deep", "--json"]).code(1).json().to_string();
        assert!(found.contains("gateway.sqlite") && found.contains("fleet restore"), "{found}");
        let _ = pair.rescue(&["fleet", "stop"]).success();
        let _ = pair.rescue(&["fleet", "restore", text(&kept)]).success();
        let _ = pair.rescue(&["fleet", "start"]).success();
        pair.is_well();
        let _ = pair.sandbox.run(&["--profile", "main", "gateway", "call", "sessions.list"]).success();
        pair.end();
    }
    // The history is main's, and not that of the time of the snapshot.
    let deeds = pair.deeds();
    let done: Vec<&str> = deeds.iter().map(|it| it.0.as_str()).collect();
    let each = ["fleet stop", "fleet restore", "fleet start"];
    assert_eq!(done, [&["fleet snapshot"][..], &each, &each].concat());
    assert!(deeds.iter().all(|it| it.1), "{deeds:?}");
}

#[test]
fn on_a_full_disk_everything_is_told_and_noted_with_the_rescue() {
    let pair = Pair::new();
    let state = pair.sandbox.state(Some("main"));
    let like = pair.sandbox.command(&[]);
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    // A disk that is full to the last page, with the config on it; then what a person would type.
    let script = "cp -a \"$0\" kept && mount -t tmpfs -o size=1m,mode=700 small \"$0\" && cp -a kept/. \"$0/\" && \
                  trap '\"$1\" fleet stop main --force' EXIT && { cat /dev/zero > \"$0/filler\" 2>/dev/null; o=\"$1\"; r=\"$o --profile rescue --for main\"; \
                  $r fleet why --json && $r gateway start --safe --json && $r health --json; \
                  rm \"$0/filler\" && $r fleet restart --json && $r health --json && $r fleet stop --json; }";
    command.arg(if is_root { "-m" } else { "-rm" }).args(["sh", "-c", script]);
    command.arg(&state).arg(like.get_program()).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(like.get_current_dir().expect("the sandbox names one"));
    let said = Output::of(command).success();
    assert!(said.stdout.contains("\"started in safe mode\""), "{said}");
    assert!(said.stdout.contains("\"safeMode\": true"), "{said}");
    let last = said.stdout.rfind("\"ok\": true").expect("well at the end");
    assert!(last > said.stdout.find("safeMode").expect("safe before"), "{said}");
    assert!(said.stderr.contains("it is in the history of rescue"), "{said}");
    let deeds = pair.sandbox.run(&["fleet", "history", "rescue", "--json"]).success().json();
    assert_eq!(
        (&deeds[0]["ward"], &deeds[0]["action"]),
        (&Value::from("main"), &Value::from("gateway start"))
    );
}

#[test]
fn one_that_hangs_is_told_of_and_started_again() {
    let pair = Pair::new();
    pair.begin();
    let pid = pair.kill(Signal::STOP);
    pair.is_told(&["deaf", "SIGSTOP", &pid.to_string()]);
    let _ = pair.rescue(&["fleet", "restart"]).success();
    wait_gone(pid);
    pair.is_well();
    assert_eq!(pair.deeds(), [("fleet restart".to_owned(), true)]);
}

#[test]
fn a_unit_whose_program_is_gone_is_told_of_and_the_gateway_runs_without_it() {
    let pair = Pair::new();
    let draft = pair.rescue(&["gateway", "install", "--dry-run", "--json"]).success().json();
    let unit = PathBuf::from(draft["unit"].as_str().expect("a path"));
    let program = env!("CARGO_BIN_EXE_openclaw");
    let text = draft["text"].as_str().expect("a text").replace(program, "/nowhere/openclaw");
    fs::create_dir_all(unit.parent().expect("a folder")).expect("made");
    fs::write(&unit, text).expect("written");
    let found = pair.rescue(&["doctor", "--json"]).code(1).json().to_string();
    assert!(found.contains("/nowhere/openclaw, which is not there"), "{found}");
    // Half of a download, and one that nobody may start.
    let half = pair.sandbox.path().join("openclaw");
    let whole = fs::read(program).expect("readable");
    for (bytes, mode, told) in
        [(&whole[..whole.len() / 2], 0o755, "it is not whole"), (&whole[..], 0o644, "it may not be executed")]
    {
        fs::write(&half, bytes).expect("written");
        fs::set_permissions(&half, fs::Permissions::from_mode(mode)).expect("ours");
        let path = half.display().to_string();
        fs::write(&unit, draft["text"].as_str().expect("a text").replace(program, &path)).expect("written");
        let found = pair.rescue(&["doctor", "--json"]).code(1).json().to_string();
        assert!(found.contains(&format!("{path}, which cannot be run: {told}")), "{found}");
    }
    let _ = pair.rescue(&["gateway", "start", "--safe"]).success();
    let health = pair.rescue(&["health", "--json"]).code(1).json();
    assert_eq!(health["instance"]["safeMode"], true, "{health:#}");
    fs::remove_file(&unit).expect("it was there");
    let _ = pair.rescue(&["fleet", "restart"]).success();
    pair.is_well();
}

#[test]
fn a_lost_permission_is_told_of_and_given_back() {
    if !rustix::process::geteuid().is_root() {
        // Only root can be two users, and no permission is lost to root.
        return;
    }
    let pair = Pair::new();
    let sandbox = &pair.sandbox;
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = sandbox.path().join("openclaw");
    fs::copy(env!("CARGO_BIN_EXE_openclaw"), &program).expect("readable");
    let given = Command::new("chown").arg("-R").arg(NOBODY.to_string()).arg(sandbox.path()).status();
    assert!(given.expect("chown runs").success());
    let run = |words: &[&str]| {
        let like = sandbox.command(words);
        let mut command = Command::new(&program);
        command.args(words).uid(NOBODY).gid(NOBODY).env_clear();
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(like.get_current_dir().expect("the sandbox names one"));
        Output::of(command)
    };
    let rescue = |words: &[&str]| run(&[&["--profile", "rescue", "--for", "main"], words].concat());
    // Root had it, and left it so.
    let config = pair.state("openclaw.json");
    chown(&config, Some(0), Some(0)).expect("root may");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("root may");
    let refused = run(&["fleet", "start", "main"]);
    let why = rescue(&["fleet", "why", "--json"]).success().stdout;
    assert!(
        why.contains("openclaw.json") && why.to_lowercase().contains("permission denied"),
        "{refused}{why}"
    );
    let found = rescue(&["doctor", "--json"]);
    assert!(found.stdout.contains("openclaw.json"), "{found}");
    chown(&config, Some(NOBODY), Some(NOBODY)).expect("root may");
    let _ = rescue(&["fleet", "restart"]).success();
    let health = rescue(&["health", "--json"]).success().json();
    assert_eq!(health["ok"], true, "{health:#}");
    let _ = run(&["fleet", "stop", "main"]).success();
}

#[test]
fn a_squatter_is_named_and_another_port_leads_past_it() {
    let pair = Pair::new();
    let squatter = TcpListener::bind(("127.0.0.1", pair.base.port())).expect("bound");
    let _ = pair.sandbox.run(&["fleet", "start", "main"]).code(69);
    pair.is_told(&[
        &format!("port {} is taken by", pair.base.port()),
        &format!("pid {}", std::process::id()),
    ]);
    let other = free_base();
    let _ = pair.rescue(&["config", "set", "gateway.port", &other.port().to_string()]).success();
    let _ = pair.rescue(&["fleet", "start"]).success();
    pair.is_well();
    drop(squatter);
    assert_eq!(pair.deeds(), [("config set".to_owned(), true), ("fleet start".to_owned(), true)]);
}

#[test]
fn one_that_keeps_being_cut_off_is_told_so_and_runs_in_safe_mode() {
    let pair = Pair::new();
    for _ in 0..3 {
        pair.begin();
        wait_gone(pair.kill(Signal::KILL));
    }
    pair.is_told(&["cutOff", "it was killed, or the power failed", "\"cutOffs\":3", "gateway start --safe"]);
    let said = pair.rescue(&["fleet", "why"]).success().stdout;
    assert!(said.contains("3 times in a row"), "{said}");
    let _ = pair.rescue(&["gateway", "start", "--safe"]).success();
    pair.is_told(&["safe mode", "fleet restart main"]);
    let _ = pair.rescue(&["fleet", "restart"]).success();
    pair.is_well();
}

#[test]
fn everything_that_is_done_for_another_is_done_for_the_own_profile_as_well() {
    let pair = Pair::new();
    let own = |words: &[&str]| pair.sandbox.run(&[&["--profile", "main"], words].concat());
    let sound = pair.config();
    let kept = pair.sandbox.path().join("kept.tar.gz");
    let _ = own(&["fleet", "snapshot", "main", "--output", text(&kept)]).success();
    pair.break_config("{ broken");
    let why = own(&["fleet", "why", "main", "--json"]).success().json().to_string();
    assert!(why.contains("config rollback"), "{why}");
    let found = own(&["config", "validate", "--json"]).code(78).json();
    assert!(found.to_string().contains("line"), "{found}");
    assert!(own(&["config", "diff", "--json"]).success().json().to_string().contains("broken"));
    let safe = own(&["gateway", "start", "--safe", "--json"]).success().json();
    assert_eq!(safe["result"], "started in safe mode", "{safe}");
    assert!(own(&["logs", "--json"]).success().stdout.contains("safe mode"));
    let _ = own(&["config", "rollback", "--json"]).success();
    assert_eq!(pair.config(), sound);
    fs::set_permissions(pair.state("openclaw.json"), fs::Permissions::from_mode(0o644)).expect("ours");
    let mended = own(&["doctor", "--fix", "--yes", "--json"]).json();
    let mode = fs::metadata(pair.state("openclaw.json")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mended}");
    let _ = own(&["fleet", "stop", "main"]).success();
    pair.break_config(&sound.replacen("mode: \"local\"", "mode: 5", 1));
    let _ = own(&["fleet", "restore", text(&kept)]).success();
    // The secret, which is in no snapshot, is that of the instance.
    let restored = pair.config();
    assert!(restored.contains("mode: \"local\"") && token(&restored) == token(&sound), "{restored}");
    let _ = own(&["fleet", "start", "main"]).success();
    pair.is_well();
    assert_eq!(pair.deeds(), [], "nobody did it in another's name");
}

#[test]
fn a_rescuer_that_is_killed_leaves_its_deed_as_begun_and_the_ward_free() {
    let pair = Pair::new();
    // It waits for a gateway that does not end.
    pair.begin();
    let pid = pair.kill(Signal::STOP);
    let mut rescuer = pair.sandbox.command(&["--profile", "rescue", "--for", "main", "fleet", "stop"]);
    let mut rescuer = rescuer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("the deed was not noted", || (!pair.deeds().is_empty()).then_some(()));
    rescuer.kill().expect("it waits");
    let _ = rescuer.wait().expect("it is ours");
    assert_eq!(pair.deeds(), [("fleet stop".to_owned(), false)]);
    let told = pair.rescue(&["fleet", "history"]).success().stdout;
    assert!(told.contains("unfinished"), "{told}");
    let _ = pair.rescue(&["fleet", "restart"]).success();
    wait_gone(pid);
    pair.is_well();
}

#[test]
fn a_ward_is_another_instance_of_this_user_and_nothing_else() {
    let pair = Pair::new();
    let run = |words: &[&str]| pair.sandbox.run(words);
    for (words, told) in [
        (&["--profile", "rescue", "--for", "nobody", "health"][..], "there is no instance nobody"),
        (&["--profile", "main", "--for", "main", "health"], "is the selected instance itself"),
        (
            &["--profile", "ghost", "--for", "main", "config", "set", "gateway.port", "1"],
            "there is no instance ghost",
        ),
        (&["--profile", "rescue", "--for", "main", "setup"], "takes no --for"),
        (&["--profile", "rescue", "--for", "main", "gateway", "run"], "takes no --for"),
        (&["--profile", "rescue", "--for", "main", "fleet", "stop", "rescue"], "name different instances"),
        (&["--profile", "rescue", "--for", "main", "fleet", "stop", "--all"], "name different instances"),
        (&["fleet", "why"], "no instance is named"),
    ] {
        let said = run(words).code(64);
        assert!(said.stderr.contains(told), "{words:?}: {said}");
    }
    // What was begun and refused is noted as that; nothing was done.
    assert!(pair.deeds().iter().all(|it| it.0 == "fleet stop" && !it.1));
}
