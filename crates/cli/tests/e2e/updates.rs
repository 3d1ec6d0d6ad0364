//! Another program in the place of the one that runs: for all of them, for none of them, and after a kill.
#![allow(clippy::disallowed_methods, reason = "makes programs, which nobody else reads meanwhile")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Base, Output, Sandbox, free_base};

use crate::scene::configure;
use crate::services::Machine;
use crate::support::{check_refused, text};

/// The binary under test, of which every world has a copy of its own.
const BINARY: &str = env!("CARGO_BIN_EXE_openclaw");
/// What the worlds of this file call their instances; all but the last one run.
const NAMES: [&str; 4] = ["a", "b", "c", "rests"];

/// Three instances that run and one that does not, below a program that may be replaced.
struct World {
    sandbox: Sandbox,
    folder: TempDir,
    _base: Base,
}

/// A file for each of these is made of this.
enum Other {
    /// The same program with something behind its end.
    Longer(&'static str),
    /// The same program, with one word exchanged for another of the same length.
    Patched(&'static [u8], &'static [u8]),
    /// A program that does this before all else, and is ours otherwise.
    Around(&'static str),
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("oc-bin-").tempdir_in("/tmp").expect("a folder");
        let program = folder.path().join("openclaw");
        fs::copy(BINARY, &program).expect("copied");
        let sandbox = Sandbox::new(&program).env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
        let base = free_base();
        for (name, at) in NAMES.iter().zip(0..) {
            configure(&sandbox, name, "http://127.0.0.1:1/v1", |it| {
                it["gateway"]["port"] = json!(base.port() + at * 20);
                if *name == "c" {
                    it["gateway"]["tls"] = json!({"enabled": true});
                }
            });
        }
        let _ = sandbox.run(&["fleet", "start", "a", "b", "c"]).success();
        for name in ["a", "b", "c"] {
            // It is asked for what stands in its database, which is made by that.
            let _ = sandbox.run(&["--profile", name, "sessions", "--json"]).success();
        }
        Self { sandbox, folder, _base: base }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("openclaw")
    }

    /// Makes another program.
    fn other(&self, name: &str, what: &Other) -> PathBuf {
        let path = self.folder.path().join(name);
        match what {
            Other::Longer(more) => {
                fs::write(&path, [&fs::read(BINARY).expect("read"), more.as_bytes()].concat())
                    .expect("written");
            }
            Other::Patched(from, to) => {
                let mut bytes = fs::read(BINARY).expect("read");
                let found: Vec<usize> = bytes
                    .windows(from.len())
                    .enumerate()
                    .filter(|(_, it)| it == from)
                    .map(|(at, _)| at)
                    .collect();
                assert!(!found.is_empty(), "the program says no such word");
                found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
                fs::write(&path, bytes).expect("written");
            }
            Other::Around(first) => {
                let source = self.folder.path().join("around.rs");
                let code = format!(
                    "use std::os::unix::process::CommandExt;
                    fn main() {{
                        let words: Vec<String> = std::env::args().skip(1).collect();
                        let says = |it: &str| words.iter().any(|word| word == it);
                        {first}
                        panic!(\"{{}}\", std::process::Command::new({BINARY:?}).args(&words).exec());
                    }}"
                );
                fs::write(&source, code).expect("written");
                let mut compiler = Command::new("rustc");
                compiler.args(["--edition", "2021", "-A", "warnings", "-o"]).arg(&path).arg(&source);
                let _ = Output::of(compiler).success();
            }
        }
        path
    }

    fn update(&self, words: &[&str]) -> Output {
        self.sandbox.run(&[&["update"], words].concat())
    }

    fn status(&self) -> Value {
        self.update(&["status", "--json"]).success().json()
    }

    /// The processes of those that run.
    fn pids(&self) -> Vec<u64> {
        let rows = self.status()["instances"].clone();
        let rows = rows.as_array().expect("instances");
        rows.iter().map(|it| it["pid"].as_u64().expect("a pid")).collect()
    }

    /// Exactly those run that ran, each answers and was started from a file with the bytes of this one.
    #[track_caller]
    fn check(&self, file: &Path) {
        let expected = fs::read(file).expect("read");
        let same = |path: &Path| fs::read(path).is_ok_and(|it| it == expected);
        let listed = self.sandbox.run(&["fleet", "ls", "--json"]).success().json();
        assert!(same(&self.program()), "another program stands there");
        for name in NAMES {
            let rows = listed["instances"].as_array().expect("instances");
            let row = rows.iter().find(|it| it["name"] == name).expect("a row");
            if name == "rests" {
                assert_eq!(row["state"], "stopped", "{row:#}");
                continue;
            }
            assert_eq!((&row["state"], &row["sessions"]), (&json!("ready"), &json!(0)), "{row:#}");
            assert!(same(Path::new(&format!("/proc/{}/exe", row["pid"]))), "{name} runs another program");
        }
        let status = self.status();
        assert_eq!((&status["underWay"], &status["wasCutOff"]), (&Value::Null, &json!(false)), "{status:#}");
        let pending = |it: &Value| it["restartPending"] == true;
        assert!(!status["instances"].as_array().expect("instances").iter().any(pending), "{status:#}");
        for folder in [self.folder.path().to_path_buf(), self.sandbox.host().join("versions")] {
            let names = fs::read_dir(folder).expect("list").flatten().map(|it| it.file_name());
            let drafts: Vec<_> = names.filter(|it| it.to_string_lossy().ends_with(".tmp")).collect();
            assert!(drafts.is_empty(), "{drafts:?}");
        }
    }

    /// Starts an update and kills it as soon as it says something with these words.
    #[track_caller]
    fn killed_at(&self, file: &Path, words: &str) {
        let mut command = self.sandbox.command(&["update", "apply", text(file), "--yes"]);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stderr.take().expect("asked for")).lines().map_while(Result::ok);
        let said: Vec<String> = lines.take_while(|it| !it.contains(words)).collect();
        child.kill().expect("killed");
        let status = child.wait().expect("waited for");
        assert_eq!(status.code(), None, "it came to its end: {said:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // By the program under test: the one in its place may be any.
        let ours = self.sandbox.command(&["fleet", "stop", "--all", "--force"]);
        let mut stop = Command::new(BINARY);
        stop.args(ours.get_args()).env_clear();
        stop.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        drop(Output::of(stop));
    }
}

#[test]
fn those_that_run_are_restarted_on_another_program_and_back() {
    let world = World::new();
    let new = world.other("new", &Other::Longer("more"));
    let before = world.pids();
    let planned = world.update(&["apply", text(&new), "--dry-run", "--json"]).success().json();
    assert_eq!((&planned["restarts"], &planned["isCurrent"]), (&json!(["a", "b", "c"]), &json!(false)));
    let asked = world.update(&["apply", text(&new)]).code(64);
    assert!(asked.stderr.contains("say --yes"), "{asked}");
    assert_eq!(world.pids(), before);
    world.check(Path::new(BINARY));

    let sum = planned["to"]["sha256"].as_str().expect("a sum").to_owned();
    let words = ["apply", text(&new), "--sha256", &sum, "--canary", "b", "--yes", "--json"];
    let done = world.update(&words).success().json();
    let order: Vec<_> = done["instances"].as_array().expect("rows").iter().map(|it| &it["name"]).collect();
    assert_eq!(order, ["b", "a", "c"], "{done:#}");
    assert!(done["instances"][0]["copy"].is_string(), "the first one's database was copied: {done:#}");
    world.check(&new);
    assert!(world.pids().iter().all(|it| !before.contains(it)));
    assert_eq!(world.status()["former"], done["from"]);

    let now = world.pids();
    let again = world.update(&["apply", text(&new), "--yes"]).success();
    assert!(again.stdout.contains("all that runs runs it") && world.pids() == now, "{again}");

    let _ = world.update(&["rollback", "--yes"]).success();
    world.check(Path::new(BINARY));
    let _ = world.update(&["rollback", "--yes"]).success();
    world.check(&new);
    goes_back_with_a_database(&world);
}

/// A database that was migrated by what runs now is put back for what ran before, when a person says so.
#[track_caller]
fn goes_back_with_a_database(world: &World) {
    let _ = world.sandbox.run(&["fleet", "start", "rests"]).success();
    let _ = world.sandbox.run(&["--profile", "rests", "sessions", "--json"]).success();
    let _ = world.sandbox.run(&["fleet", "stop", "rests"]).success();
    let path = world.sandbox.state(Some("rests")).join("gateway.sqlite");
    let mut bytes = fs::read(&path).expect("read");
    fs::write(path.with_extension("sqlite.before-v3"), &bytes).expect("written");
    bytes[63] = 3;
    fs::write(&path, &bytes).expect("written");
    let words = ["reads databases up to schema 2, and the database of instance rests has schema 3"];
    check_refused(world.update(&["rollback", "--yes"]), 78, &words);
    let doctor = world.sandbox.run(&["--profile", "rests", "doctor"]);
    let told = format!("{}{}", doctor.stdout, doctor.stderr);
    assert!(told.contains("schema 3") && told.contains("before-v3"), "{doctor}");
    assert!(fs::read(&path).expect("read") == bytes, "it was left as it is");
    let _ = world.update(&["rollback", "--databases", "--yes"]).success();
    world.check(Path::new(BINARY));
    assert_eq!(fs::read(&path).expect("read")[60..64], [0, 0, 0, 2]);
}

#[test]
fn what_would_not_run_here_is_refused_and_nothing_is_touched() {
    let world = World::new();
    let before = world.pids();
    let whole = fs::read(BINARY).expect("read");
    let mut foreign = whole.clone();
    foreign[18] = 0xf3;
    let probe = |schema| format!("if says(\"probe\") {{ println!(\"{{}}\", {schema:?}); return }}");
    let older = probe(r#"{"program":"openclaw","version":"0.1.0","schema":1}"#).leak();
    let liar = probe(r#"{"program":"openclaw","version":"9.9.9","schema":9}"#).leak();
    let file = |name: &str, bytes: &[u8]| {
        let path = world.folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    for (path, code, words) in [
        (file("script", b"#!/bin/sh\nexit 1\n"), 1, "no executable program"),
        (file("torn", &whole[..whole.len() / 2]), 1, "it is not whole"),
        (file("foreign", &foreign), 1, "another kind of machine"),
        (world.folder.path().join("missing"), 1, "cannot be read"),
        (world.other("mute", &Other::Around("return;")), 1, "does not say its version"),
        (world.other("fails", &Other::Around("std::process::exit(3);")), 1, "ended with exit status: 3"),
        (world.other("liar", &Other::Around(liar)), 1, "calls itself both"),
        (world.other("older", &Other::Around(older)), 78, "reads databases up to schema 1"),
        (
            world.other("picky", &Other::Around("if says(\"validate\") { std::process::exit(78) }")),
            78,
            "does not accept the config of instance a",
        ),
    ] {
        let output = world.update(&["apply", text(&path), "--yes"]);
        check_refused(output, code, &[words]);
    }
    let longer = world.other("longer", &Other::Longer("more"));
    let output = world.update(&["apply", text(&longer), "--sha256", "00", "--yes"]);
    check_refused(output, 1, &["its SHA-256 is ", ", not 00"]);
    let output = world.update(&["apply", text(&longer), "--canary", "rests", "--yes"]);
    check_refused(output, 64, &["no running instance is called rests; running: a, b, c"]);
    check_refused(world.update(&["rollback", "--yes"]), 1, &["no version before this one is kept"]);
    let mut inside = world.sandbox.command(&["update", "apply", text(&longer), "--yes"]);
    inside.env("OPENCLAW_TOOL_OF", "a");
    check_refused(Output::of(inside), 64, &["started by a gateway, which an update restarts"]);
    let lock = fs::File::open(world.sandbox.host().join("versions/update.lock")).expect("there");
    lock.lock().expect("free");
    let output = world.update(&["apply", text(&longer), "--yes"]);
    check_refused(output, 69, &["another update is under way"]);
    drop(lock);
    assert_eq!(world.pids(), before);
    world.check(Path::new(BINARY));
}

#[test]
fn when_one_does_not_get_well_everything_goes_back() {
    let world = World::new();
    let before = world.pids();
    let failed = |path: &Path, name: &str, words: &str| {
        let output = world.update(&["apply", text(path), "--yes", "--json"]).code(1);
        let said = output.json();
        let why = said["why"].as_str().expect("a reason");
        assert!(why.starts_with(&format!("instance {name}: ")) && why.contains(words), "{why}");
        assert!(why.contains("logs/gateway.log"), "{why}");
        world.check(Path::new(BINARY));
        output
    };
    let refuses = "if says(\"run\") { eprintln!(\"error: not today\"); std::process::exit(78) }";
    let _ = failed(&world.other("refuses", &Other::Around(refuses)), "a", "not today");
    assert_eq!(world.pids()[1..], before[1..], "only the first one was touched");

    // It is well for a and b, and fails where c makes its certificate, which the config does not tell.
    let _ = fs::remove_dir_all(world.sandbox.state(Some("c")).join("gateway/tls"));
    let patched = Other::Patched(b"gateway-cert.pem", b"gateway\0cert.pem");
    let _ = failed(&world.other("patched", &patched), "c", "did not start");
    assert!(world.pids().iter().all(|it| !before.contains(it)), "all three were restarted twice");

    // One that leaves a database of a schema that is not known yet, as a migration would.
    let migrates = r#"
        if says("probe") { println!("{{\"program\":\"openclaw\",\"version\":\"0.1.0\",\"schema\":3}}"); return }
        if says("run") {
            use std::os::unix::fs::FileExt;
            let path = format!("{}/.openclaw-a/gateway.sqlite", std::env::var("HOME").unwrap());
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&3u32.to_be_bytes(), 60).unwrap();
            std::process::exit(70)
        }"#;
    let output = failed(&world.other("migrates", &Other::Around(migrates)), "a", "it did not start");
    assert!(output.stderr.contains("a: its database is put back as it was"), "{output}");
    let database = fs::read(world.sandbox.state(Some("a")).join("gateway.sqlite")).expect("read");
    assert_eq!(database[60..64], [0, 0, 0, 2], "the schema that it had");
    let status = world.status();
    assert_eq!(status["last"]["ok"], false, "{status:#}");
}

#[test]
fn an_update_that_is_killed_is_told_of_and_finished() {
    let world = World::new();
    let new = world.other("new", &Other::Longer("more"));
    for words in ["becomes version", "a: is restarted", "b: is restarted", "c: is restarted"] {
        world.killed_at(&new, words);
        let status = world.status();
        assert_eq!(status["wasCutOff"], true, "{words}: {status:#}");
        let shown = world.update(&["status"]).success();
        assert!(shown.stderr.contains("was cut off"), "{shown}");
        let _ = world.update(&["rollback", "--yes"]).success();
        world.check(Path::new(BINARY));
    }
    world.killed_at(&new, "b: is restarted");
    let _ = world.update(&["apply", text(&new), "--yes"]).success();
    world.check(&new);
    let newer = world.other("newer", &Other::Longer("even more"));
    let newest = world.other("newest", &Other::Longer("most of all"));
    world.killed_at(&newer, "b: is restarted");
    let _ = world.update(&["apply", text(&newest), "--yes"]).success();
    world.check(&newest);
    let former = world.status()["former"]["sha256"].clone();
    let _ = world.update(&["rollback", "--yes"]).success();
    world.check(&new);
    assert_eq!(world.status()["sha256"], former);
}

#[test]
fn services_are_restarted_by_their_manager_on_another_program_and_back() {
    let machine = Machine::boot();
    let user = |line: &str| machine.user(line).success();
    let _ =
        user("mkdir ~/bin && cp /usr/local/bin/openclaw ~/bin/ && (cat ~/bin/openclaw; echo more) > ~/new");
    let names = ["p0", "p1", "p2"];
    for (name, at) in names.iter().zip(0..) {
        let command = format!("~/bin/openclaw --profile {name}");
        let port = 21_000 + at * 20;
        let _ = user(&format!("{command} setup --port {port} && {command} gateway install"));
    }
    let _ = user(
        "~/bin/openclaw --profile p0 config set gateway.tls.enabled true && rm -rf ~/.openclaw-p0/gateway/tls",
    );
    let pids = || names.map(|it| machine.property(it, "MainPID"));
    let check = |file: &str| {
        for name in names {
            let pid = machine.property(name, "MainPID");
            assert_eq!(machine.property(name, "ActiveState"), "active", "{name}");
            let _ = user(&format!("cmp /proc/{pid}/exe {file}"));
        }
        let listed = user("~/bin/openclaw fleet ls --json").json().to_string();
        assert_eq!(listed.matches("\"state\":\"ready\"").count(), names.len(), "{listed}");
    };
    let before = pids();
    let _ = user("~/bin/openclaw update apply ~/new --yes");
    check("~/new");
    assert!(pids().iter().all(|it| !before.contains(it)));

    // It is well for p1, and fails where p0 makes its certificate.
    let patch =
        "LC_ALL=C sed 's/gateway-cert[.]pem/gateway-cert\\x00pem/g' ~/new > ~/bad && ! cmp -s ~/new ~/bad";
    let _ = user(&format!("{patch} && rm -rf ~/.openclaw-p0/gateway/tls"));
    let failed = machine.user("~/bin/openclaw update apply ~/bad --canary p1 --yes --json").code(1).json();
    let steps = |name: &str| {
        let rows = failed["instances"].as_array().expect("rows");
        rows.iter().find(|it| it["name"] == name).map(|it| it["step"].clone())
    };
    assert!(failed["why"].as_str().is_some_and(|it| it.starts_with("instance p0: ")), "{failed:#}");
    assert_eq!((steps("p0"), steps("p1")), (Some(json!("returned")), Some(json!("returned"))), "{failed:#}");
    check("~/new");
    let _ = user("~/bin/openclaw update rollback --yes");
    check("/usr/local/bin/openclaw");
}
