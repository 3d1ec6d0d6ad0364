//! A gateway that runs: started from a sandbox, awaited by what it says, and never left behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::sandbox::Sandbox;

/// How long a gateway may take to listen, and to say what is waited for.
pub const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a gateway may take to stop.
pub const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How long the log is read on after the process ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What a gateway says when it can be connected to.
const READY: &str = "listening on ws";

/// A child that runs `openclaw … gateway run`. Dropping it kills and reaps it.
pub struct Gateway {
    process: Process,
    port: u16,
}

/// The shared token out of the `openclaw.json` in a state folder.
///
/// # Panics
/// When the file is missing or holds no `gateway.auth.token`.
#[track_caller]
pub fn token(state: &Path) -> String {
    let path = state.join("openclaw.json");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    token_in(&text).unwrap_or_else(|| panic!("no gateway.auth.token in {}:\n{text}", path.display()))
}

impl Sandbox {
    /// Starts `<binary> <args> gateway run --port <port>` and waits until it listens.
    ///
    /// # Panics
    /// With the log so far, when it ends or is not ready within [`READY_LIMIT`].
    #[track_caller]
    pub fn start(&self, args: &[&str], port: u16) -> Gateway {
        let port_text = port.to_string();
        let args = [args, &["gateway", "run", "--port", &port_text]].concat();
        Gateway::start(self.command(&args), port)
    }
}

impl Gateway {
    /// Starts a command that becomes a gateway on `port`, and waits until it listens.
    ///
    /// # Panics
    /// As [`Sandbox::start`].
    #[track_caller]
    pub fn start(mut command: Command, port: u16) -> Gateway {
        let gateway = Gateway { process: Process::spawn(&mut command), port };
        gateway.wait_log(READY);
        gateway
    }

    /// The port it was told to listen on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks it to stop with SIGTERM and waits. Returns the exit code, or 128 plus the signal that ended it.
    ///
    /// # Panics
    /// With the log, when it still runs after [`STOP_LIMIT`].
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.process.signal(Signal::TERM);
        self.wait_exit()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    #[track_caller]
    pub fn kill(&mut self) {
        assert!(self.process.kill().is_some(), "process {} outlives SIGKILL", self.pid());
    }

    /// Waits until it ends, which somebody else brought about. Returns as [`Gateway::stop`].
    ///
    /// # Panics
    /// With the log, when it still runs after [`STOP_LIMIT`].
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let code = self.process.wait(STOP_LIMIT);
        let code =
            code.unwrap_or_else(|| panic!("still running after {STOP_LIMIT:?}\n{}", self.process.report()));
        // What was said last, and the end of a tracer that shares the stream.
        self.process.stderr.ended(LAST_WORDS);
        code
    }

    /// True until it has ended.
    pub fn is_running(&self) -> bool {
        self.process.wait(Duration::ZERO).is_none()
    }

    /// All that it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.process.stderr.text()
    }

    /// All that it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.process.stdout.text()
    }

    /// Waits for a line of the log that contains `needle`, and returns it. Lines from before the call count.
    ///
    /// # Panics
    /// With the log so far, when the gateway ends without it or [`READY_LIMIT`] is over.
    #[track_caller]
    pub fn wait_log(&self, needle: &str) -> String {
        self.process.stderr.line(READY_LIMIT, needle).unwrap_or_else(|| {
            // The stream ends a moment before the process does.
            let code = self.process.wait(Duration::from_secs(1));
            let state = code.map_or("still running".to_owned(), |it| format!("exit code {it}"));
            panic!("the gateway never said {needle:?} ({state})\n{}", self.process.report())
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the gateway on port {}\n{}", self.port, self.log());
        }
    }
}

/// Strict JSON is read as such. With comments and bare keys it is searched: the first quoted value of a `token`
/// after an `auth` after a `gateway`.
fn token_in(text: &str) -> Option<String> {
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        return document.pointer("/gateway/auth/token")?.as_str().map(str::to_owned);
    }
    let code: Vec<&str> = text.lines().filter(|it| !it.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let rest = after_key(after_key(after_key(&code, "gateway")?, "auth")?, "token")?.trim_start();
    let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(token, _)| token.to_owned())
}

/// What follows the colon of the first key of this name.
fn after_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.match_indices(key).find_map(|(at, _)| {
        let begins = !text[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_' || it == '.');
        let rest = text[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
        rest.strip_prefix(':').filter(|_| begins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Gateway {
        Sandbox::new(Path::new("/bin/sh")).start(&["-c", script], 1)
    }

    #[test]
    fn is_ready_by_its_word_and_stops_by_the_signal() {
        let mut gateway = run("trap 'kill -9 $!; echo bye >&2; exit 7' TERM; sleep 100 >/dev/null 2>&1 & \
                               echo listening on ws://127.0.0.1:1 >&2; wait");
        assert!(gateway.is_running() && gateway.pid() > 1);
        assert_eq!(gateway.stop(), 7);
        assert!(gateway.log().ends_with("bye\n") && !gateway.is_running());
    }

    #[test]
    fn a_killed_one_is_gone() {
        let mut gateway = run("echo listening on ws://127.0.0.1:1 >&2; exec sleep 100");
        gateway.kill();
        assert_eq!(gateway.wait_exit(), 137);
    }

    #[test]
    #[should_panic(expected = "(exit code 4)\n--- stdout\n\n--- stderr\nport taken")]
    fn one_that_ends_early_fails_with_its_log() {
        run("echo port taken >&2; exit 4");
    }

    #[test]
    fn finds_the_token_in_json_and_in_json5() {
        let cases = [
            r#"{"gateway":{"remote":{"token":"no"},"auth":{"mode":"token","token":"yes"}}}"#,
            "{\n// gateway: auth: token: 'no'\n gateway: { port: 1, auth: { mode: 'token', token: 'yes' } } }",
            "{ agents: {}, \"gateway\" : {\"auth\": {token : \"yes\"}}, }",
        ];
        for text in cases {
            assert_eq!(token_in(text).as_deref(), Some("yes"), "{text}");
        }
        assert_eq!(token_in("{ gateway: {} }"), None);
    }
}
