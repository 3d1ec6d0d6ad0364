//! A command that writes the config is killed at every system call, and the disk fails at every one: the config is the
//! old text or the new one, and no text that was in it is lost.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use testkit::{Output, Sandbox};

use crate::support::{offline, set_up};

/// What changes a disk.
const CHANGING: [&str; 11] = [
    "openat",
    "write",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "ftruncate",
];

/// An instance, and its config before and after `set`.
struct Work {
    sandbox: Sandbox,
    path: PathBuf,
    old: String,
    new: String,
    _base: testkit::Base,
}

impl Work {
    fn new() -> Self {
        let sandbox = offline();
        let base = set_up(&sandbox, "a");
        let path = sandbox.state(Some("a")).join("openclaw.json");
        let old = fs::read_to_string(&path).expect("there");
        let set = &["--profile", "a", "config", "set", "tools.deny", "['exec']"];
        let _ = sandbox.run(set).success();
        let new = fs::read_to_string(&path).expect("there");
        assert_ne!(old, new);
        Self { sandbox, path, old, new, _base: base }
    }

    /// Puts everything back as it was before the command, which nobody has accepted.
    fn reset(&self) {
        fs::write(&self.path, &self.old).expect("writable");
        let _ = fs::remove_dir_all(self.generations());
        for entry in fs::read_dir(self.sandbox.state(Some("a"))).expect("there").flatten() {
            if entry.file_name().to_string_lossy().ends_with(".tmp") {
                fs::remove_file(entry.path()).expect("ours");
            }
        }
    }

    fn generations(&self) -> PathBuf {
        self.sandbox.state(Some("a")).join("generations")
    }

    /// The command below the tracer, which follows `rules`.
    fn traced(&self, rules: &[String]) -> (Output, String) {
        let file = self.sandbox.path().join("trace");
        let ours = self.sandbox.command(&["--profile", "a", "config", "set", "tools.deny", "['exec']"]);
        let tracer = std::env::var_os(testkit::trace::STRACE).unwrap_or_else(|| "strace".into());
        let mut command = Command::new(tracer);
        command.args(["-f", "-qq", "-e", "signal=none"]);
        for rule in rules {
            command.args(["-e", rule]);
        }
        command.arg("-o").arg(&file).arg("--").arg(ours.get_program()).args(ours.get_args());
        command.env_clear().stdin(std::process::Stdio::null());
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(ours.get_current_dir().expect("one of its own"));
        let output = Output::of(command);
        (output, fs::read_to_string(file).expect("a trace"))
    }

    /// Every call of the command from the moment on at which it looks at the config: its name, and which one of that
    /// name it is.
    fn calls(&self) -> Vec<(String, usize)> {
        self.reset();
        let (output, trace) = self.traced(&["trace=all".to_owned()]);
        let _ = output.success();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut found = Vec::new();
        let mut begun = false;
        for line in trace.lines() {
            let call = line.split_once(' ').map_or("", |it| it.1.trim_start());
            let Some((name, _)) = call.split_once('(') else { continue };
            let count = counts.entry(name.to_owned()).or_default();
            *count += 1;
            begun |= call.contains("openclaw.json\"");
            if begun && name != "exit_group" && name != "exit" {
                found.push((name.to_owned(), *count));
            }
        }
        assert!(found.len() > 40 && found.iter().any(|it| it.0 == "renameat2"), "{trace}");
        found
    }

    /// The config is one of the two, private, and what was in it is still there.
    #[track_caller]
    fn check(&self, fault: &str, output: &Output) -> bool {
        let now = fs::read_to_string(&self.path).expect("there");
        assert!(now == self.old || now == self.new, "{fault}: {now}\n{output}");
        let mut kept = texts(&self.generations());
        kept.extend(texts(self.path.parent().expect("a folder")));
        assert!(kept.contains(&self.old), "{fault}: the old text is lost: {output}");
        // Whoever comes next finds a world in which it can write.
        let next = self.sandbox.run(&["--profile", "a", "config", "set", "tools.deny", "['read']"]).success();
        assert!(fs::read_to_string(&self.path).expect("there").contains("read"), "{fault}: {next}");
        now == self.new
    }
}

fn texts(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|it| fs::read_to_string(it.path()).ok()).collect()
}

#[test]
fn killed_at_every_call_leaves_the_old_config_or_the_new_one() {
    let work = Work::new();
    let mut news = Vec::new();
    for (name, count) in work.calls() {
        work.reset();
        let (output, _) =
            work.traced(&[format!("trace={name}"), format!("inject={name}:signal=KILL:when={count}")]);
        assert_eq!(output.status, 137, "{name} {count}: {output}");
        news.push(work.check(&format!("killed at {name} {count}"), &output));
    }
    // From one call on, and for good, it is the new one.
    let first = news.iter().position(|it| *it).expect("it is written before the end");
    assert!(first > 0 && news[first..].iter().all(|it| *it), "{news:?}");
}

#[test]
fn a_disk_that_fails_at_any_call_leaves_the_old_config_or_the_new_one() {
    let work = Work::new();
    let calls = work.calls().into_iter().filter(|(name, _)| CHANGING.contains(&name.as_str()));
    let mut failures = 0;
    for (name, count) in calls {
        work.reset();
        let (output, _) =
            work.traced(&[format!("trace={name}"), format!("inject={name}:error=ENOSPC:when={count}")]);
        let is_new = work.check(&format!("no space at {name} {count}"), &output);
        assert!(
            output.status != 0 || is_new,
            "{name} {count}: nothing was written, and nobody says so: {output}"
        );
        failures += usize::from(output.status != 0);
    }
    assert!(failures > 5, "{failures} calls that matter");
}

#[test]
fn a_file_system_that_cannot_exchange_is_written_all_the_same() {
    let work = Work::new();
    work.reset();
    let rules = ["trace=renameat2", "inject=renameat2:error=EINVAL"].map(str::to_owned);
    let (output, trace) = work.traced(&rules);
    let output = output.success();
    assert!(trace.contains("INJECTED"), "{trace}");
    assert!(work.check("no exchange", &output), "{output}");
    let left = fs::read_dir(work.sandbox.state(Some("a"))).expect("there").flatten();
    assert!(
        left.map(|it| it.file_name()).all(|it| !it.to_string_lossy().ends_with(".tmp")),
        "a draft is left"
    );
}

#[test]
fn two_hundred_commands_at_once_lose_nothing() {
    const WRITERS: usize = 200;
    let work = Work::new();
    let run = |at: usize| {
        let command = work.sandbox.command(&[
            "--profile",
            "a",
            "config",
            "set",
            &format!("zebra.w{at}"),
            "1",
            "--json",
        ]);
        (at, Output::of(command))
    };
    let results: Vec<(usize, Output)> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..20)
            .map(|lane| scope.spawn(move || (lane..WRITERS).step_by(20).map(run).collect::<Vec<_>>()))
            .collect();
        lanes.into_iter().flat_map(|it| it.join().expect("no panic")).collect()
    });
    let text = fs::read_to_string(&work.path).expect("there");
    let mut wrote = 0;
    for (at, output) in results {
        let is_there = text.contains(&format!("\"w{at}\":"));
        assert_eq!(output.status == 0, is_there, "writer {at}: {output}\n{text}");
        if output.status != 0 {
            let failure = output.clone().code(75).json();
            let details = failure["error"]["details"].to_string();
            assert!(details.contains("zebra.w") && details.contains("not set → 1"), "{output}");
        }
        wrote += usize::from(is_there);
    }
    assert!((1..WRITERS).contains(&wrote), "{wrote} wrote: they never met");
}
