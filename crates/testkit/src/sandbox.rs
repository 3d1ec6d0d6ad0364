//! A world of its own for one test: a home, a folder for what the instances of a host share, a working directory,
//! and an environment that holds nothing else.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// How long a command may take before it is killed and the test fails.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A temporary folder with `home/`, `host/` and `cwd/`, removed when the value is dropped.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    binary: PathBuf,
    additions: Vec<(OsString, OsString)>,
}

/// What a command left when it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, or 128 plus the number of the signal that ended it.
    pub status: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    command: String,
}

impl Sandbox {
    /// Makes the folders for runs of `binary`. The path is short, as that of a Unix socket must be.
    pub fn new(binary: &Path) -> Sandbox {
        let folder = tempfile::Builder::new().prefix("oc-").rand_bytes(6).tempdir_in("/tmp");
        let folder = folder.expect("/tmp is writable");
        for name in ["home", "host", "cwd"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder is writable");
        }
        Sandbox { folder, binary: binary.to_path_buf(), additions: Vec::new() }
    }

    /// Adds a variable to the environment of all that is run from now on.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Sandbox {
        self.additions.push((name.into(), value.into()));
        self
    }

    /// The binary with these arguments, in this world, standard input empty; to be changed further and started by
    /// the caller, as with [`Output::of`] or [`crate::Gateway::start`].
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", self.home())
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("OPENCLAW_HOST_DIR", self.path().join("host"))
            .envs(self.additions.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path().join("cwd"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end with empty input. Panics when it takes longer than [`TIME_LIMIT`].
    #[must_use = "assert the exit with .success() or .code(n)"]
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(self.command(args))
    }

    /// As [`Sandbox::run`], with `input` as standard input.
    #[must_use = "assert the exit with .success() or .code(n)"]
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &str) -> Output {
        Output::of_with(self.command(args), input)
    }

    /// The folder that holds all the others.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the binary sees as `$HOME`.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// The folder that the instances of one host share.
    pub fn host(&self) -> PathBuf {
        self.path().join("host")
    }

    /// The state folder of a profile: `~/.openclaw`, or `~/.openclaw-NAME`. It need not exist.
    pub fn state(&self, profile: Option<&str>) -> PathBuf {
        self.home().join(profile.map_or_else(|| ".openclaw".to_owned(), |name| format!(".openclaw-{name}")))
    }
}

impl Output {
    /// Runs a command to its end, and kills it and panics after [`TIME_LIMIT`].
    #[must_use = "assert the exit with .success() or .code(n)"]
    #[track_caller]
    pub fn of(command: Command) -> Output {
        Output::within(command, TIME_LIMIT)
    }

    /// As [`Output::of`], with another limit: for programs that are slow by themselves.
    #[must_use = "assert the exit with .success() or .code(n)"]
    #[track_caller]
    pub fn within(mut command: Command, limit: Duration) -> Output {
        let shown = shown(&command);
        let process = Process::spawn(&mut command);
        Output::finish(&process, shown, limit)
    }

    /// As [`Output::of`], with `input` as standard input, which ends after it.
    #[must_use = "assert the exit with .success() or .code(n)"]
    #[track_caller]
    pub fn of_with(mut command: Command, input: &str) -> Output {
        let shown = shown(&command);
        let mut process = Process::spawn(command.stdin(Stdio::piped()));
        let mut stdin = process.stdin.take().expect("a pipe was asked for");
        let input = input.to_owned();
        // On a thread, as a child that reads nothing would block us. One that ends without reading is not wrong.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
        Output::finish(&process, shown, TIME_LIMIT)
    }

    /// Panics with both streams unless the command succeeded.
    #[track_caller]
    pub fn success(self) -> Output {
        self.code(0)
    }

    /// Panics with both streams unless the exit code is `wanted`.
    #[track_caller]
    pub fn code(self, wanted: i32) -> Output {
        assert!(self.status == wanted, "expected exit code {wanted}, got {self}");
        self
    }

    /// Standard output as one JSON document. Panics with both streams when it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {self}"))
    }

    #[track_caller]
    fn finish(process: &Process, command: String, limit: Duration) -> Output {
        let Some(status) = process.wait(limit) else {
            process.kill();
            panic!("killed after {limit:?}: {command}\n{}", process.report());
        };
        // A background process that inherited the streams would keep a shell pipeline waiting, too.
        let ended = process.stdout.ended(TIME_LIMIT) && process.stderr.ended(TIME_LIMIT);
        assert!(ended, "ended, but something holds its output open: {command}\n{}", process.report());
        Output { status, stdout: process.stdout.text(), stderr: process.stderr.text(), command }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "exit code {} from {}", self.status, self.command)?;
        write!(out, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Sandbox {
        Sandbox::new(Path::new("/bin/sh"))
    }

    #[test]
    fn the_world_holds_what_it_should_and_no_more() {
        let sandbox = shell().env("ADDED", "yes");
        let output = sandbox.run(&["-c", "env; pwd"]).success();
        let mut names: Vec<_> =
            output.stdout.lines().filter_map(|it| it.split_once('=')).map(|it| it.0).collect();
        names.retain(|it| !["PWD", "SHLVL", "_", "OLDPWD"].contains(it));
        names.sort_unstable();
        assert_eq!(names, ["ADDED", "HOME", "LANG", "NO_COLOR", "OPENCLAW_HOST_DIR", "PATH"]);
        assert!(output.stdout.contains(&format!("HOME={}\n", sandbox.home().display())));
        assert!(output.stdout.ends_with("/cwd\n"));
        assert_eq!(sandbox.state(None), sandbox.home().join(".openclaw"));
        assert_eq!(sandbox.state(Some("a")), sandbox.home().join(".openclaw-a"));
    }

    #[test]
    fn codes_signals_streams_and_input_arrive() {
        let output = shell().run_with(&["-c", "cat; echo bad >&2; exit 3"], "{\"a\": 1}").code(3);
        assert_eq!((output.json()["a"].as_i64(), output.stderr.as_str()), (Some(1), "bad\n"));
        let _ = shell().run(&["-c", "kill -9 $$"]).code(137);
    }

    #[test]
    #[should_panic(expected = "from /bin/sh -c echo why >&2; exit 1\n--- stdout\n\n--- stderr\nwhy")]
    fn an_unexpected_code_shows_the_streams() {
        let _ = shell().run(&["-c", "echo why >&2; exit 1"]).success();
    }
}
