//! `exec`: a shell command in the workspace, with a time limit and a bounded output.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use providers::ToolSpec;
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

use super::plan::Plan;
use super::{Outcome, Risk, Tool, Workbench, arguments};

/// Of the output, what is kept from its beginning and from its end.
const KEPT: usize = 16 * 1024;
/// The longest time limit that a call may ask for.
const LONGEST: Duration = Duration::from_secs(1800);

/// The tool.
pub(super) struct Exec;

#[derive(Deserialize)]
pub(super) struct Arguments {
    pub(super) command: String,
    /// Seconds.
    #[serde(default)]
    pub(super) timeout: Option<u64>,
}

impl Tool for Exec {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "exec".into(),
            description: "Run a shell command in the workspace. What it leaves running is ended with it."
                .into(),
            parameters: json!({"type": "object", "required": ["command"], "properties": {
                "command": {"type": "string"},
                "timeout": {"type": "integer", "minimum": 1, "description": "seconds"},
            }}),
        }
    }

    fn risk(&self) -> Risk {
        Risk::Executes
    }

    fn run<'a>(&'a self, call: Value, bench: &'a Workbench) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match arguments::<Arguments>(call) {
                Ok(call) => exec(What::Text(&call.command), call.timeout, bench).await,
                Err(outcome) => outcome,
            }
        })
    }
}

/// Runs what was planned.
pub(super) async fn carry_out(plan: &Plan, bench: &Workbench) -> Outcome {
    let what = match &plan.argv {
        Some(argv) => What::Program(&plan.program, argv),
        None => What::Text(&plan.text),
    };
    exec(what, plan.limit, bench).await
}

/// What is started.
#[derive(Clone, Copy)]
enum What<'a> {
    /// A text that a shell reads.
    Text(&'a str),
    /// A file, and its arguments from the name on that it is called by.
    Program(&'a Path, &'a [String]),
}

/// All that a command started: ended when this is dropped, also in the middle.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = rustix::process::kill_process_group(self.0, Signal::KILL);
    }
}

async fn exec(what: What<'_>, limit: Option<u64>, bench: &Workbench) -> Outcome {
    let limit = limit.map_or(bench.time_limit, Duration::from_secs).min(LONGEST);
    let began = Instant::now();
    let (child, pipe) = match start(what, bench) {
        Ok(it) => it,
        Err(error) => {
            let program = if let What::Program(it, _) = what { it } else { Path::new("/bin/sh") };
            return Outcome::failed(format!("cannot start {}: {error}", program.display()));
        }
    };
    let mut output = Output::default();
    let ended = tokio::time::timeout(limit, follow(child, pipe, &mut output)).await;
    let details = |status: &str, code: Option<i32>| {
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        json!({"status": status, "exitCode": code, "durationMs": took, "cwd": bench.path})
    };
    match ended {
        Err(_) => {
            let text = format!("{}\n(stopped after its time limit of {} s)", output.text(), limit.as_secs());
            Outcome { text, is_error: true, details: details("timeout", None) }
        }
        Ok(Err(error)) => Outcome::failed(format!("cannot wait for the command: {error}")),
        Ok(Ok(status)) if status.success() => {
            Outcome { text: output.text(), is_error: false, details: details("completed", Some(0)) }
        }
        Ok(Ok(status)) => {
            let text = format!("{}\n({status})", output.text());
            Outcome { text, is_error: true, details: details("failed", status.code()) }
        }
    }
}

/// Starts a command. Both of its streams are one pipe, so that what it prints comes in the order in which it does.
fn start(what: What<'_>, bench: &Workbench) -> io::Result<(Child, Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = match what {
        What::Text(text) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", text]);
            shell
        }
        What::Program(program, argv) => {
            let mut command = Command::new(program);
            command.args(argv.get(1..).unwrap_or_default());
            if let Some(name) = argv.first() {
                command.arg0(name);
            }
            command
        }
    };
    command.current_dir(&bench.path).env_clear().envs(bench.env.iter().cloned());
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    Ok((child, Receiver::from_owned_fd(reader.into())?))
}

/// Waits for the command's end and takes what it prints meanwhile. Dropping this ends all that it started.
async fn follow(mut child: Child, pipe: Receiver, output: &mut Output) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|it| Pid::from_raw(it.try_into().ok()?));
    let group = pid.map(Group);
    let mut pipe = Some(pipe);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            bytes = next(&mut pipe) => output.add(&bytes),
        }
    };
    // It may have left others that hold its output open: they end with it, and then the pipe does.
    drop(group);
    while pipe.is_some() {
        output.add(&next(&mut pipe).await);
    }
    status
}

/// What a pipe has next; the pipe is gone once it is closed, and never ready from then on.
async fn next(pipe: &mut Option<Receiver>) -> Vec<u8> {
    let Some(open) = pipe else { return std::future::pending().await };
    let mut buffer = vec![0; 8192];
    let read = open.read(&mut buffer).await.unwrap_or(0);
    if read == 0 {
        *pipe = None;
    }
    buffer.truncate(read);
    buffer
}

/// The beginning and the end of what a command printed.
#[derive(Default)]
struct Output {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
}

impl Output {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(&bytes[room..]);
        let over = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..over);
        self.dropped += over;
    }

    fn text(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        let tail = String::from_utf8_lossy(&self.tail);
        match self.dropped {
            0 => format!("{head}{tail}").trim_end().to_owned(),
            n => format!("{head}\n(… {n} bytes left out …)\n{tail}").trim_end().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    async fn run(bench: &Workbench, call: Value) -> Outcome {
        Exec.run(call, bench).await
    }

    #[tokio::test]
    async fn runs_in_the_workspace_and_tells_how_it_ended() {
        let home = tempfile::tempdir().expect("a folder");
        let bench = bench(home.path());
        let outcome = run(&bench, json!({"command": "pwd; echo err >&2; env"})).await;
        assert!(!outcome.is_error && outcome.text.contains("\nerr\n"), "{outcome:?}");
        assert!(outcome.text.contains(&home.path().display().to_string()));
        assert!(!outcome.text.contains("HOME="), "nothing but what was given: {}", outcome.text);
        let outcome = run(&bench, json!({"command": "exit 3"})).await;
        assert_eq!((outcome.is_error, &outcome.details["exitCode"]), (true, &json!(3)));
    }

    #[tokio::test]
    async fn ends_at_its_limit_with_what_it_had_said() {
        let home = tempfile::tempdir().expect("a folder");
        let outcome =
            run(&bench(home.path()), json!({"command": "echo begun; sleep 600", "timeout": 1})).await;
        assert!(outcome.is_error && outcome.text.starts_with("begun"), "{outcome:?}");
        assert_eq!(outcome.details["status"], "timeout");
    }

    #[tokio::test]
    async fn what_it_leaves_behind_ends_with_it() {
        let home = tempfile::tempdir().expect("a folder");
        let outcome = run(&bench(home.path()), json!({"command": "sleep 600 & echo $!"})).await;
        let pid: i32 = outcome.text.trim().parse().expect("a pid");
        // It was killed before the outcome came; the kernel may still be taking it apart.
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let gone = async {
            while alive() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("it ends");
    }

    #[tokio::test]
    async fn a_flood_is_bounded_and_keeps_both_ends() {
        let home = tempfile::tempdir().expect("a folder");
        let outcome =
            run(&bench(home.path()), json!({"command": "echo first; yes | head -c 3000000; echo last"}))
                .await;
        assert!(outcome.text.len() < 2 * KEPT + 200);
        assert!(outcome.text.starts_with("first") && outcome.text.ends_with("last"));
    }
}
