//! What every story begins with, and what many of them ask of an instance.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use testkit::{Base, Gateway, Output, Sandbox, free_base};

/// How long something may take that a person would wait for.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A world of its own for the binary under test.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(Path::new(env!("CARGO_BIN_EXE_openclaw")))
}

/// A world without a language model: where an address is named, no server of this machine is looked for.
pub(crate) fn offline() -> Sandbox {
    sandbox().env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
}

/// Makes the profile with `setup`, on a base port that is its own.
#[track_caller]
pub(crate) fn set_up(sandbox: &Sandbox, profile: &str) -> Base {
    let base = free_base();
    let port = base.port().to_string();
    let _ = sandbox.run(&["--profile", profile, "setup", "--port", &port]).success();
    base
}

/// Makes the profile and starts its gateway.
#[track_caller]
pub(crate) fn start(sandbox: &Sandbox, profile: &str) -> (Gateway, Base) {
    let base = set_up(sandbox, profile);
    (sandbox.start(&["--profile", profile], base.port()), base)
}

/// The gateway of the profile is this process still, and is well.
#[track_caller]
pub(crate) fn check_goes_on(sandbox: &Sandbox, profile: &str, gateway: &Gateway) {
    let health = sandbox.run(&["--profile", profile, "health", "--json"]).success().json();
    assert_eq!(health["instance"]["name"], profile, "{health}");
    assert_eq!(health["instance"]["pid"], gateway.pid(), "{health}");
}

/// A refusal: its exit code, every word of it on standard error, none of it on standard output.
#[track_caller]
pub(crate) fn check_refused(output: Output, code: i32, words: &[&str]) -> Output {
    let output = output.code(code);
    for word in words {
        assert!(output.stderr.contains(word), "nothing about {word:?}: {output}");
    }
    assert_eq!(output.stdout, "", "{output}");
    output
}

/// As [`check_refused`], and a line says what to do.
#[track_caller]
pub(crate) fn check_advised(output: Output, code: i32, words: &[&str]) -> Output {
    let output = check_refused(output, code, words);
    assert!(output.stderr.lines().any(|it| it.starts_with("  → ")), "no remedy: {output}");
    output
}

/// A path of a sandbox, which is always Unicode.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the sandbox's paths are Unicode")
}

/// Waits until a process that need not be our child has ended.
#[track_caller]
pub(crate) fn wait_gone(pid: u32) {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    let Ok(process) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).expect("a short time");
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)) {
            Ok(0) => panic!("process {pid} runs on after {LIMIT:?}"),
            Ok(_) => return,
            Err(error) => assert_eq!(error, rustix::io::Errno::INTR),
        }
    }
}
