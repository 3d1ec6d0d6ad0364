//! A child process watched from threads: all it says is kept, its end is awaited with a limit, and it is never
//! left behind.

use std::io::{ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::lock;

/// How long a killed process may take to be gone.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// Everything a stream said so far.
#[derive(Default)]
pub(crate) struct Tape {
    said: Mutex<Said>,
    grown: Condvar,
}

/// A running child, or one that has ended. Dropping it kills and reaps it.
pub(crate) struct Process {
    pid: Pid,
    exit: Arc<Exit>,
    /// The child's standard input, when the command asked for a pipe.
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Arc<Tape>,
    pub(crate) stderr: Arc<Tape>,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

/// The exit status, once there is one.
#[derive(Default)]
struct Exit {
    status: Mutex<Option<i32>>,
    known: Condvar,
}

impl Tape {
    /// Keeps all that `source` says, on a thread of its own, until it ends.
    pub(crate) fn record(mut source: impl Read + Send + 'static) -> Arc<Tape> {
        let tape = Arc::new(Tape::default());
        let ours = Arc::clone(&tape);
        thread::spawn(move || {
            let mut buffer = [0_u8; 8192];
            loop {
                match source.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                    Ok(n) => lock(&ours.said).bytes.extend_from_slice(&buffer[..n]),
                }
                ours.grown.notify_all();
            }
            lock(&ours.said).ended = true;
            ours.grown.notify_all();
        });
        tape
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.said).bytes.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `find` finds something in all that was said. `None` when the time is up, or the stream ended
    /// without it.
    pub(crate) fn wait<T>(&self, limit: Duration, mut find: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut said = lock(&self.said);
        loop {
            if let Some(found) = find(&said.bytes) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                return None;
            }
            said = self.grown.wait_timeout(said, left).expect("the recording thread never panics").0;
        }
    }

    /// Waits for the first whole line that contains `needle`.
    pub(crate) fn line(&self, limit: Duration, needle: &str) -> Option<String> {
        self.wait(limit, |bytes| {
            let whole = bytes.iter().rposition(|it| *it == b'\n')?;
            let text = String::from_utf8_lossy(&bytes[..whole]);
            text.lines().find(|it| it.contains(needle)).map(str::to_owned)
        })
    }

    /// Waits until the stream is closed by everybody who holds it. False when the time is up.
    pub(crate) fn ended(&self, limit: Duration) -> bool {
        let said = lock(&self.said);
        let waited = self.grown.wait_timeout_while(said, limit, |it| !it.ended);
        waited.expect("the recording thread never panics").0.ended
    }
}

impl Process {
    /// Starts the command with both output streams recorded. Standard input is as the command says.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Process {
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        let stdout = Tape::record(child.stdout.take().expect("a pipe was asked for"));
        let stderr = Tape::record(child.stderr.take().expect("a pipe was asked for"));
        let exit = Arc::new(Exit::default());
        let theirs = Arc::clone(&exit);
        thread::spawn(move || reap(child, pid, &theirs));
        Process { pid, exit, stdin, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The exit code, or 128 plus the signal that ended it. `None` when it still runs at the end of the limit.
    pub(crate) fn wait(&self, limit: Duration) -> Option<i32> {
        let status = lock(&self.exit.status);
        let waited = self.exit.known.wait_timeout_while(status, limit, |it| it.is_none());
        *waited.expect("the reaping thread never panics").0
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let status = lock(&self.exit.status);
        if status.is_none() {
            // It may have ended this instant; then the signal goes to a process that nobody has reaped yet.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&self) -> Option<i32> {
        self.signal(Signal::KILL);
        self.wait(LAST_BREATH)
    }

    /// Both streams, for the message of a failure.
    pub(crate) fn report(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn reap(mut child: Child, pid: Pid, exit: &Exit) {
    // The end is seen first and reaped below the lock, so that no signal of ours can reach a stranger that was
    // given the same number.
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let mut status = lock(&exit.status);
    *status = Some(child.wait().map_or(-1, code_of));
    exit.known.notify_all();
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(-1)
}
