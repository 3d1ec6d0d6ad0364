//! A command that a person talks to: what it says is read as it comes, and lines are typed when the time is right.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{LIMIT, wait_gone};

/// A process with both of its streams in one text, in the order in which they came. Killed when it is dropped.
pub(crate) struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    text: Mutex<(String, usize)>,
    grown: Condvar,
}

impl Talk {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Talk {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let said = Arc::new(Said::default());
        said.record(child.stdout.take().expect("a pipe was asked for"));
        said.record(child.stderr.take().expect("a pipe was asked for"));
        let stdin = child.stdin.take();
        Talk { child, stdin, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    #[track_caller]
    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("nothing ends the input but the end");
        stdin
            .write_all(text.as_bytes())
            .unwrap_or_else(|error| panic!("nobody reads: {error}\n{}", self.text()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }

    /// All that it said so far.
    pub(crate) fn text(&self) -> String {
        self.said.text.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Waits until it has said `needle`, and returns all that it said.
    #[track_caller]
    pub(crate) fn hear(&self, needle: &str) -> String {
        self.wait(|(text, open)| text.contains(needle) || *open == 0);
        let text = self.text();
        assert!(text.contains(needle), "it never said {needle:?} in {LIMIT:?}:\n{text}");
        text
    }

    /// Waits until it has said `needle` so many times.
    #[track_caller]
    pub(crate) fn hear_times(&self, needle: &str, times: usize) {
        let heard = |text: &str| text.matches(needle).count() >= times;
        self.wait(|(text, open)| heard(text) || *open == 0);
        assert!(heard(&self.text()), "not {times} times {needle:?} in {LIMIT:?}:\n{}", self.text());
    }

    /// Waits until it has said `needle` after the last `earlier`.
    #[track_caller]
    pub(crate) fn hear_after(&self, earlier: &str, needle: &str) {
        let heard = |text: &str| text.rsplit_once(earlier).is_some_and(|it| it.1.contains(needle));
        self.wait(|(text, open)| heard(text) || *open == 0);
        assert!(heard(&self.text()), "no {needle:?} after {earlier:?} in {LIMIT:?}:\n{}", self.text());
    }

    /// Waits until it has ended, without an end of its input. Returns its exit code, or 128 plus the signal that
    /// ended it, and all that it said.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        self.wait(|(_, open)| *open == 0);
        wait_gone(self.pid());
        let status = self.child.wait().expect("it is our child");
        let code = status.code().or(status.signal().map(|it| 128 + it)).expect("one of both");
        (code, self.text())
    }

    fn wait(&self, is_enough: impl Fn(&(String, usize)) -> bool) {
        let text = self.said.text.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.said.grown.wait_timeout_while(text, LIMIT, |it| !is_enough(it));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Said {
    fn record(self: &Arc<Self>, mut source: impl Read + Send + 'static) {
        let ours = Arc::clone(self);
        self.change(|(_, open)| *open += 1);
        thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0_u8; 4096]);
            while let Ok(n @ 1..) = source.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..n]);
                // A character may come in two pieces.
                let whole = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
                let text = String::from_utf8(bytes.drain(..whole).collect()).expect("checked");
                ours.change(|it| it.0.push_str(&text));
            }
            ours.change(|(_, open)| *open -= 1);
        });
    }

    fn change(&self, change: impl FnOnce(&mut (String, usize))) {
        change(&mut self.text.lock().unwrap_or_else(PoisonError::into_inner));
        self.grown.notify_all();
    }
}
