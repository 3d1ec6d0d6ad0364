//! Starts gateways that live on by themselves, and stops gateways.
//!
//! A start ends when the gateway is ready or has said why it is not: it lets go of its error stream then, and until
//! then what it says there is read.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use profile::claims;
use profile::{Ambient, Instance, control};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use crate::service;

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How long a stop may take: longer than the gateway gives itself.
const STOP: Duration = Duration::from_secs(25);

/// What came of a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "was", rename_all = "camelCase")]
pub enum Started {
    /// It is ready now.
    Now {
        /// The process.
        pid: u32,
        /// Milliseconds from the start to its being ready.
        ms: u64,
    },
    /// It ran already.
    Already {
        /// The process.
        pid: u32,
    },
}

/// What came of a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "was", rename_all = "camelCase")]
pub enum Stopped {
    /// It has ended.
    Now {
        /// The process that was.
        pid: u32,
        /// Milliseconds from the signal to its end.
        ms: u64,
        /// Whether it had to be killed.
        killed: bool,
    },
    /// It did not run.
    Already,
}

/// Why an instance could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Its supervisor starts it.
    #[error("a unit of systemd runs it: {0}")]
    Supervised(String),
    /// It said why not, and ended.
    #[error("it did not start: {said}")]
    Refused {
        /// What it called the reason.
        said: String,
        /// What else it said, a line each; what to do begins with an arrow.
        more: Vec<String>,
        /// Its exit code.
        code: i32,
    },
    /// It runs, and with its config it would not start again.
    #[error("it would not start again, and was not stopped: {said}")]
    Kept {
        /// What is wrong.
        said: String,
        /// All that is wrong, a line each.
        more: Vec<String>,
    },
    /// It is neither ready nor at its end.
    #[error("it is not ready after {} s (pid {pid})", START.as_secs())]
    Slow {
        /// The process.
        pid: u32,
    },
    /// It does not end.
    #[error("it was asked to stop and still runs after {} s (pid {pid})", STOP.as_secs())]
    Deaf {
        /// The process.
        pid: u32,
    },
    /// The system refused something that is normally there.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Failed {
    /// What to do about it.
    pub fn remedy(&self, name: &str) -> Option<String> {
        match self {
            Failed::Supervised(unit) => Some(format!("start it with: systemctl --user start {unit}")),
            Failed::Slow { .. } => Some(format!("look at it: openclaw fleet why {name}")),
            Failed::Deaf { .. } => {
                Some(format!("kill it, and lose what it was doing: openclaw fleet stop {name} --force"))
            }
            Failed::Refused { .. } | Failed::Kept { .. } | Failed::System { .. } => None,
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Failed {
    move |source| Failed::System { what, source }
}

/// Starts the gateways of these instances at the same time, each as a process of its own that outlives this one, and
/// waits for all of them. `program` is this program's file.
pub fn start(instances: &[&Instance], ambient: &Ambient, program: &Path) -> Vec<Result<Started, Failed>> {
    let begun: Vec<_> = instances.iter().map(|it| begin(it, ambient, program)).collect();
    let deadline = Instant::now() + START;
    begun.into_iter().map(|it| it.and_then(|it| it.wait(deadline))).collect()
}

/// Starts the gateway of an instance in safe mode, as a process of its own that outlives this one. Its unit is asked to
/// stop first, so that it does not begin again beside it.
///
/// # Errors
/// Says why it did not start, or that it runs already.
pub fn start_safe(instance: &Instance, ambient: &Ambient, program: &Path) -> Result<Started, Failed> {
    if let Some(it) = service::judge::of(instance, ambient, None).filter(service::judge::Judged::is_own) {
        // A supervisor that cannot be asked starts nothing either.
        let _ = service::systemd::tell(it.scope, ambient, &["stop", &instance.unit()]);
    }
    if let Some(holder) = claims::holder_now(&instance.state_dir) {
        return Ok(Started::Already { pid: holder.pid });
    }
    spawn(instance, ambient, program, &["--safe"])?.wait(Instant::now() + START)
}

/// A start under way.
enum Begun {
    Already(u32),
    Unit(Started),
    Child {
        name: String,
        state_dir: PathBuf,
        child: Child,
        since: Instant,
        said: mpsc::Receiver<(String, Instant)>,
    },
}

fn begin(instance: &Instance, ambient: &Ambient, program: &Path) -> Result<Begun, Failed> {
    if let Some(holder) = claims::holder_now(&instance.state_dir) {
        return Ok(Begun::Already(holder.pid));
    }
    // A unit of the same name that starts something else is not touched, and does not stand in the way.
    if let Some(it) = service::judge::of(instance, ambient, None).filter(service::judge::Judged::is_own) {
        return supervised(instance, ambient, it.scope);
    }
    spawn(instance, ambient, program, &[])
}

fn spawn(instance: &Instance, ambient: &Ambient, program: &Path, more: &[&str]) -> Result<Begun, Failed> {
    let address = instance.address(ambient);
    let mut command = Command::new(program);
    command.args(&address.arguments).args(["gateway", "run", "--detached"]).args(more);
    command.env_clear().envs(address.environment).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let since = Instant::now();
    let mut child = command.spawn().map_err(system("start the gateway's process"))?;
    let mut stream = child.stderr.take().expect("it was asked for");
    let (tell, said) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        // Whoever waited may have given up.
        let _ = tell.send((text, Instant::now()));
    });
    let (name, state_dir) = (instance.name.clone(), instance.state_dir.clone());
    Ok(Begun::Child { name, state_dir, child, since, said })
}

/// Has the supervisor start it. Two processes would fight for the instance otherwise.
fn supervised(
    instance: &Instance,
    ambient: &Ambient,
    scope: service::systemd::Scope,
) -> Result<Begun, Failed> {
    let since = Instant::now();
    let refused = || Failed::Supervised(instance.unit());
    service::systemd::tell(scope, ambient, &["start", &instance.unit()]).map_err(|_| refused())?;
    let pid = claims::holder_now(&instance.state_dir).ok_or_else(refused)?.pid;
    Ok(Begun::Unit(Started::Now { pid, ms: millis(since.elapsed()) }))
}

impl Begun {
    fn wait(self, deadline: Instant) -> Result<Started, Failed> {
        let (name, state_dir, mut child, since, said) = match self {
            Begun::Already(pid) => return Ok(Started::Already { pid }),
            Begun::Unit(it) => return Ok(it),
            Begun::Child { name, state_dir, child, since, said } => (name, state_dir, child, since, said),
        };
        let pid = child.id();
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((text, at)) = said.recv_timeout(left) else { return Err(Failed::Slow { pid }) };
        // One that is ready lets go of the stream and answers; one that ended let go of it by that.
        if answers(&state_dir, pid) {
            return Ok(Started::Now { pid, ms: millis(at.duration_since(since)) });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !pidfd(pid).map_or(true, |it| ended_within(&it, left)) {
            return Err(Failed::Slow { pid });
        }
        let status = child.wait().map_err(system("wait for the gateway's process"))?;
        let (said, more) = parted(&text, &name);
        let said = said.unwrap_or_else(|| format!("it ended with {status}"));
        Err(Failed::Refused { said, more, code: status.code().unwrap_or(-1) })
    }
}

/// The reason out of what a gateway said before it ended, and the lines beside it.
fn parted(text: &str, name: &str) -> (Option<String>, Vec<String>) {
    let mut lines: Vec<String> =
        text.lines().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    let reason = lines.iter().position(|it| it.starts_with("error: ")).map(|at| lines.remove(at));
    let about = format!("error: instance {name}: ");
    let bare = |it: String| {
        let bare = it.strip_prefix(&about).or_else(|| it.strip_prefix("error: "));
        bare.unwrap_or(&it).to_owned()
    };
    (reason.map(bare), lines)
}

/// Whether this process answers on the instance's control socket.
fn answers(state_dir: &Path, pid: u32) -> bool {
    let met = control::connect_at_once(state_dir).and_then(|it| control::peer_pid(&it));
    met.is_ok_and(|it| it.as_raw_nonzero().get() == raw(pid))
}

/// Asks the gateway of an instance to stop and waits for its end. `force` kills one that does not.
///
/// # Errors
/// When it does not end; nothing is done to any other process.
pub fn stop(instance: &Instance, force: bool) -> Result<Stopped, Failed> {
    let Some((pid, process)) = process_of(instance)? else { return Ok(Stopped::Already) };
    let began = Instant::now();
    send(&process, Signal::TERM)?;
    // One that was stopped by a signal hears of the other only when it goes on; to any other this is nothing.
    send(&process, Signal::CONT)?;
    if ended_within(&process, STOP) {
        return Ok(Stopped::Now { pid, ms: millis(began.elapsed()), killed: false });
    }
    if !force {
        return Err(Failed::Deaf { pid });
    }
    send(&process, Signal::KILL)?;
    if !ended_within(&process, STOP) {
        return Err(Failed::Deaf { pid });
    }
    Ok(Stopped::Now { pid, ms: millis(began.elapsed()), killed: true })
}

/// The process that holds the instance's lock, by a handle that no other process can come under.
fn process_of(instance: &Instance) -> Result<Option<(u32, OwnedFd)>, Failed> {
    let holder = || claims::holder_now(&instance.state_dir).map(|it| it.pid);
    let Some(pid) = holder() else { return Ok(None) };
    let process = match pidfd(pid) {
        Ok(it) => it,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(system("find the gateway's process")(error.into())),
    };
    // The number was read before the handle was made: only if it holds the lock still is it the same process.
    let by_socket = control::connect_at_once(&instance.state_dir).and_then(|it| control::peer_pid(&it));
    let agreed = holder() == Some(pid) && by_socket.map_or(true, |it| it.as_raw_nonzero().get() == raw(pid));
    Ok(agreed.then_some((pid, process)))
}

fn raw(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or_default()
}

pub(crate) fn pidfd(pid: u32) -> rustix::io::Result<OwnedFd> {
    pidfd_open(Pid::from_raw(raw(pid)).ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}

fn send(process: &OwnedFd, signal: Signal) -> Result<(), Failed> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(system("send the gateway a signal")(error.into())),
    }
}

pub(crate) fn ended_within(process: &OwnedFd, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a short time");
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_from_what_stands_beside_it() {
        let log = "2026-11-22T10:00:00Z [gateway] warning: w\n";
        for (text, reason, more) in [
            ("error: instance a: no port\n  x: bad\n  → do it\n", Some("no port"), vec!["x: bad", "→ do it"]),
            (&format!("{log}error: no home\n"), Some("no home"), vec![log.trim()]),
            ("thread main panicked\n", None, vec!["thread main panicked"]),
            ("", None, vec![]),
        ] {
            let found = parted(text, "a");
            assert_eq!((found.0.as_deref(), found.1.iter().map(String::as_str).collect()), (reason, more));
        }
    }
}
