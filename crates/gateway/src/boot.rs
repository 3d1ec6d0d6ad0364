//! One gateway from its claims to their release.

mod claim;
mod safe;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use agent::turn::Stop;
use base::{Secret, clock};
use profile::activation::Passed;
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::folder::BadFolder;
use profile::ledger::{self, Ended, How, Ledger};
use profile::listener::Listener;
use profile::ports::{BadBase, Overlap};
use profile::{Ambient, Finding, Instance, control};
use protocol::event::Name;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::setup::SetupError;
use crate::state::Gateway;
use crate::supervisor::Stage;
use crate::{bind, door, methods, notify, reload, restart, server, tls};
use claim::{Claimed, claim};

/// How long each stage of the stop may take before its tasks are cut off.
const STOP_BUDGET: Duration = Duration::from_secs(5);

/// How long a restart takes at most, as clients are told.
const RESTART_MS: u64 = 1500;

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Which instance.
    pub instance: Instance,
    /// What surrounds it.
    pub ambient: Ambient,
    /// `--port`; goes before the environment and the config.
    pub port: Option<u16>,
    /// `--bind`; goes before the config.
    pub bind: Option<bind::Mode>,
    /// Sockets that a supervisor has opened for this process.
    pub passed: Passed,
    /// `--token`; goes before the config.
    pub token: Option<Secret>,
    /// `--log-level`; goes before the config.
    pub log_level: Option<String>,
    /// Let go of the terminal, or of whoever reads in its place, once it is ready. The log goes on in its file.
    pub detached: bool,
    /// Run by nothing of the config but the port and the secret.
    pub safe: bool,
}

/// Why a gateway did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// Another gateway holds what this one needs.
    #[error(transparent)]
    Held(#[from] Refused),
    /// A program that is no gateway of ours holds the port.
    #[error("port {port} is taken by {}", listener.as_ref().map_or_else(|| "another program".to_owned(), ToString::to_string))]
    PortTaken {
        /// The port.
        port: u16,
        /// Who, where the kernel tells.
        listener: Option<Box<Listener>>,
    },
    /// The port leaves no room for the others.
    #[error(transparent)]
    Port(#[from] BadBase),
    /// Another instance needs a port of the plan, whether or not it runs.
    #[error(transparent)]
    Overlap(#[from] Box<Overlap>),
    /// Neither flag, environment nor config names a port.
    #[error("this instance has no port yet: neither --port nor gateway.port names one")]
    NoPort,
    /// The config is gone although the instance has run before.
    #[error("the config file {} is gone", .0.display())]
    ConfigGone(PathBuf),
    /// The config does not parse, or cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The config is not one that a gateway can run with.
    #[error("the config file {} keeps the gateway from starting", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        findings: Vec<Finding>,
    },
    /// It cannot listen where it is to.
    #[error("instance {instance}: {why}")]
    Bind {
        /// Which one.
        instance: String,
        /// Why.
        why: bind::Unusable,
    },
    /// It cannot speak TLS.
    #[error("instance {instance}: {why}")]
    Tls {
        /// Which one.
        instance: String,
        /// Why.
        why: tls::Unusable,
    },
    /// A new instance could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The system refused something that is normally there.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether the instance's config is one that its gateway could start with, everything else aside.
///
/// # Errors
/// As [`run`].
pub fn check(instance: &Instance, ambient: &Ambient) -> Result<(), StartError> {
    claim::check(instance, ambient)
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs a gateway until it is asked to stop by SIGTERM or SIGINT. `say` is told what a person should know before
/// there is a log.
///
/// # Errors
/// Says what kept it from starting.
pub fn run(boot: Boot, say: impl Fn(&str)) -> Result<(), StartError> {
    door::raise_limit();
    let mut ready = claim(&boot, None, &say)?;
    loop {
        let before = ready.parts.force.generation;
        let log = ready.parts.log.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(system("make a runtime"))?;
        let end = runtime.block_on(serve(ready))?;
        // What was cut off at the stop must hold nothing that the next start needs.
        runtime.shutdown_timeout(STOP_BUDGET);
        match end {
            End::Stopped => return Ok(()),
            End::Restart => {
                let again = Boot { detached: false, ..boot.clone() };
                let started = claim(&again, Some(&log), &say);
                ready = started.or_else(|error| claim::instead(&again, (before, &log), &say, error))?;
            }
        }
    }
}

/// Why a gateway stopped serving.
enum End {
    Stopped,
    Restart,
}

/// An end of this process, now.
fn ended(how: How, detail: &str) -> Ended {
    Ended { at: clock::now_ms(), how, detail: detail.to_owned(), pid: std::process::id() }
}

fn note_end(instance: &Instance, change: impl FnOnce(&mut Ledger)) {
    if let Err(error) = ledger::note(&instance.state_dir, change) {
        warn!("the end is not noted: {}", base::text::chain(&error));
    }
}

async fn serve(claimed: Claimed) -> Result<End, StartError> {
    let Claimed { parts, sockets, control, detached } = claimed;
    let claims = parts.claims.clone();
    let gateway = Arc::new(Gateway::new(parts));
    // Before it says that it is ready: whoever waits for that may stop it at once.
    let asked = asked_to_stop().map_err(system("listen for signals"))?;
    listen(&gateway, sockets, control).map_err(system("serve the sockets"))?;
    notify::tell(&gateway.ambient, notify::READY);
    if let Some(rhythm) = notify::rhythm(&gateway.ambient) {
        let ambient = gateway.ambient.clone();
        let ping = |stop| notify::watchdog(ambient, rhythm, stop);
        gateway.supervisor.start(Stage::Clients, "watchdog", ping);
    }
    let pid = std::process::id();
    info!("listening on {}://127.0.0.1:{} (PID {pid})", gateway.door.scheme(), gateway.port);
    for address in gateway.door.beyond() {
        warn!("others can reach this gateway at {}://{address} (gateway.bind)", gateway.door.scheme());
    }
    if let Some(tls) = &gateway.door.tls {
        info!("TLS certificate SHA-256 {}", tls.served().fingerprint);
    }
    info!(instance = gateway.instance.name, state = %gateway.instance.state_dir.display(), "ready");
    if gateway.is_safe {
        warn!("in safe mode: nothing of the config is in force");
        safe::note(&gateway);
    }
    if detached {
        let_go().map_err(system("let go of the terminal"))?;
    }
    if gateway.archive.was_cut_off() {
        let late = gateway.clone();
        gateway.supervisor.start(
            Stage::Intake,
            "look back",
            |_| async move { late.look_at_sessions().await },
        );
    }
    if !gateway.is_safe {
        gateway.supervisor.start(Stage::Intake, "restart notice", |_| restart::tell(gateway.clone()));
        let own = gateway.clone();
        gateway.supervisor.start(Stage::Intake, "config", |stop| reload::follow(own, stop));
    }
    let restart = gateway.reload.restart.clone();
    let (end, why) = tokio::select! {
        biased;
        signal = asked => (End::Stopped, signal),
        () = restart.cancelled() => (End::Restart, "a changed config"),
    };
    info!("stopping on {why}");
    match end {
        End::Stopped => notify::tell(&gateway.ambient, notify::STOPPING),
        End::Restart => notify::tell(&gateway.ambient, &notify::reloading()),
    }
    let instance = gateway.instance.clone();
    // A store that hangs keeps nobody from stopping.
    let sessions = tokio::time::timeout(STOP_BUDGET, methods::sessions_now(&gateway)).await.ok().flatten();
    stop(gateway, &end).await;
    note_end(&instance, |it| {
        it.ended = Some(ended(How::Stopped, why));
        it.cut_offs = 0;
        it.sessions = sessions.or(it.sessions);
    });
    // All at once, also where a task that was cut off still knows of them.
    claims.lock().unwrap_or_else(PoisonError::into_inner).release_all();
    Ok(end)
}

/// Whoever waits for the start reads the end of our streams as the news that we are ready.
fn let_go() -> io::Result<()> {
    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(rustix::stdio::dup2_stderr(&nothing)?)
}

fn listen(gateway: &Arc<Gateway>, sockets: Vec<TcpListener>, control: UnixListener) -> io::Result<()> {
    let table = Arc::new(methods::table());
    for socket in sockets {
        socket.set_nonblocking(true)?;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let (own, table) = (gateway.clone(), table.clone());
        gateway.supervisor.start(Stage::Intake, "TCP listener", |stop| server::tcp(own, table, socket, stop));
    }
    control.set_nonblocking(true)?;
    let control = tokio::net::UnixListener::from_std(control)?;
    let own = gateway.clone();
    gateway
        .supervisor
        .start(Stage::Intake, "control socket", |stop| server::control(own, table, control, stop));
    Ok(())
}

/// Ends with the name of the signal that asks for the stop.
fn asked_to_stop() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// No new work, then the work in hand, then those who wait for it; then what it was saved in.
async fn stop(gateway: Arc<Gateway>, end: &End) {
    let payload = match end {
        End::Stopped => json!({"reason": "stopped", "restartExpectedMs": null}),
        End::Restart => json!({"reason": "config reload", "restartExpectedMs": RESTART_MS}),
    };
    gateway.audience.tell(Name::Shutdown, &payload);
    gateway.runs.stop_all(Stop::Shutdown);
    let overran = gateway.supervisor.stop(STOP_BUDGET).await;
    for name in &overran {
        warn!(task = name, "was cut off: it did not stop in {} s", STOP_BUDGET.as_secs());
    }
    let (folder, log) = (gateway.instance.state_dir.clone(), gateway.log.clone());
    let is_control_passed = gateway.door.is_control_passed;
    match Arc::try_unwrap(gateway) {
        Ok(gateway) => gateway.archive.close(),
        // A task that was cut off holds the rest; the end of the process closes it.
        Err(_) if !overran.is_empty() => {}
        Err(_) => warn!("the store was still in use at the end"),
    }
    // The next start would remove it as well. Where a supervisor has it, somebody may knock there already.
    if !is_control_passed {
        let _ = std::fs::remove_file(control::path(&folder));
    }
    info!("stopped");
    log.finish();
}
