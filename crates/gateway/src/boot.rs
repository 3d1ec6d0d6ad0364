//! One gateway from its claims to their release.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::turn::Stop;
use base::{Secret, clock};
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::folder::{self, BadFolder};
use profile::ledger::{self, Ended, How, Ledger};
use profile::listener::{self, Listener};
use profile::ports::{BadBase, Overlap};
use profile::registry::Record;
use profile::{Ambient, Claims, Document, Finding, Instance, Plan, control, generations};
use protocol::event::{Name, WhenSlow};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::VERSION;
use crate::archive::Archive;
use crate::config::{self, Config, Read};
use crate::setup::{self, SetupError, Wishes};
use crate::state::{Access, Gateway, Parts};
use crate::supervisor::Stage;
use crate::{log, methods, notify, server};

/// How long each stage of the stop may take before its tasks are cut off.
const STOP_BUDGET: Duration = Duration::from_secs(5);

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Which instance.
    pub instance: Instance,
    /// What surrounds it.
    pub ambient: Ambient,
    /// `--port`; goes before the environment and the config.
    pub port: Option<u16>,
    /// `--token`; goes before the config.
    pub token: Option<Secret>,
    /// `--log-level`; goes before the config.
    pub log_level: Option<String>,
    /// Let go of the terminal, or of whoever reads in its place, once it is ready. The log goes on in its file.
    pub detached: bool,
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

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs a gateway until it is asked to stop by SIGTERM or SIGINT. `say` is told what a person should know before
/// there is a log.
///
/// # Errors
/// Says what kept it from starting.
pub fn run(boot: Boot, say: impl Fn(&str)) -> Result<(), StartError> {
    let ready = claim(boot, &say)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(system("make a runtime"))?.block_on(serve(ready))
}

/// A gateway that holds all that it needs.
struct Claimed {
    parts: Parts,
    claims: Claims,
    sockets: Vec<TcpListener>,
    control: UnixListener,
    detached: bool,
}

fn claim(boot: Boot, say: &impl Fn(&str)) -> Result<Claimed, StartError> {
    let instance = boot.instance.clone();
    folder::prepare(&instance.state_dir)?;
    let mut claims = Claims::new(&instance.host.claims(), &instance.name, &instance.state_dir);
    claims.take_folder()?;
    if let Err(error) = fleet::rename::finish(&instance.state_dir) {
        say(&format!(
            "a move of this instance was cut off and cannot be finished: {}",
            base::text::chain(&error)
        ));
    }
    let before = claims.cut_off().map(|it| it.pid);
    let prepared = prepare(boot, claims, say);
    match (&prepared, before) {
        (Err(error), _) => {
            let refusal = ended(How::Refused, &base::text::chain(error));
            instance.host.note_refusal(&instance.state_dir, &refusal);
        }
        (Ok(_), Some(pid)) => {
            let cut_off = Ended { pid, ..ended(How::CutOff, "it was killed, or the power failed") };
            note_end(&instance, |it| it.ended = Some(cut_off));
        }
        (Ok(_), None) => {}
    }
    prepared
}

/// All that follows the state folder's lock.
fn prepare(boot: Boot, mut claims: Claims, say: &impl Fn(&str)) -> Result<Claimed, StartError> {
    let Boot { instance, ambient, port, token, log_level, detached } = boot;
    let wished = port.or(instance.env_port);
    let (document, held) = match (existing(&instance)?, wished) {
        (Some(document), _) => (document, None),
        // Held before anything is written: a new instance that cannot start leaves nothing behind.
        (None, Some(port)) => {
            let sockets = hold(&mut claims, &instance, port, &[])?;
            (make(&instance, &ambient, wished, say)?, Some((port, sockets)))
        }
        (None, None) => (make(&instance, &ambient, None, say)?, None),
    };
    let ambient = ambient.with_env_file(&instance.state_dir.join(".env"));
    let ambient = ambient.with_env_file(&instance.state_dir.join("keys.env"));
    let Read { config, warnings, holdings } = read(&document, &ambient)?;
    let secret = access(&document, &config, &ambient, token)?;
    let (port, sockets) = match held {
        Some(it) => it,
        None => {
            let port = wished.or(config.gateway.port).or(instance.default_port).ok_or(StartError::NoPort)?;
            (port, hold(&mut claims, &instance, port, &holdings.pinned)?)
        }
    };
    holdings.claim(&mut claims, config.workspace(&ambient, &instance.workspace))?;
    let control = control::listen(&instance.state_dir).map_err(system("listen on the control socket"))?;
    let level = config::level(log_level.as_deref().unwrap_or(&config.logging.level));
    let level = level.unwrap_or(tracing::level_filters::LevelFilter::INFO);
    if let Err(error) = log::begin(&instance.state_dir, level) {
        say(&format!("there is no log file: {}", base::text::chain(&error)));
    }
    for finding in warnings {
        warn!("config: {finding}");
    }
    let conflicts = holdings.claim_logins(&mut claims, &instance);
    let generation = accept(&instance, &document);
    record(&instance, port, holdings.pinned);
    let archive = Archive::new(&instance.state_dir).map_err(system("start the store's thread"))?;
    let parts = Parts { instance, ambient, config, port, secret, archive, generation, conflicts };
    Ok(Claimed { parts, claims, sockets, control, detached })
}

/// Takes the config file and the ports: first from those who run, then beside those who only plan with them.
fn hold(
    claims: &mut Claims,
    instance: &Instance,
    port: u16,
    pinned: &[u16],
) -> Result<Vec<TcpListener>, StartError> {
    let plan = Plan::of(port)?;
    claims.take_config_and_ports(&instance.config_path, &plan)?;
    instance.host.check_ports(&instance.state_dir, &plan, pinned)?;
    bind(port)
}

/// Keeps the config that this gateway runs with. Nothing that it does depends on it but the history.
fn accept(instance: &Instance, document: &Document) -> Option<u64> {
    let accepted = generations::accept(&instance.state_dir, document.text());
    if let Err(error) = &accepted {
        warn!("the config in force is not kept: {}", base::text::chain(error));
    }
    accepted.ok()
}

/// Tells the rest of the machine where this instance is, and warns once of who stands close.
fn record(instance: &Instance, port: u16, pinned: Vec<u16>) {
    if let Some(words) = Plan::of(port).ok().and_then(|it| setup::warning(instance, &it)) {
        warn!("{words}");
    }
    if let Err(error) = instance.host.write(&Record::of(instance, port, pinned, VERSION)) {
        warn!("the instance cannot be recorded for others to see: {}", base::text::chain(&error));
    }
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

/// The config; `None` where the instance is new.
fn existing(instance: &Instance) -> Result<Option<Document>, StartError> {
    let path = &instance.config_path;
    match Document::load(path) {
        Ok(it) => Ok(Some(it)),
        // With a new token and no settings, a gateway that has run before would be another one.
        Err(Unreadable::Missing(_)) if has_run(instance) => Err(StartError::ConfigGone(path.clone())),
        Err(Unreadable::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn has_run(instance: &Instance) -> bool {
    instance.state_dir.join(store::FILE).exists() || log::path(&instance.state_dir).exists()
}

/// The config of a new instance, as `setup` makes it, and said aloud.
fn make(
    instance: &Instance,
    ambient: &Ambient,
    port: Option<u16>,
    say: &impl Fn(&str),
) -> Result<Document, StartError> {
    let report = setup::setup(instance, ambient, &Wishes { port, workspace: None })?;
    let path = &instance.config_path;
    say(&format!(
        "instance {} is new: made {} with a new token and port {}",
        instance.name,
        path.display(),
        report.port,
    ));
    Ok(Document::load(path)?)
}

fn read(document: &Document, ambient: &Ambient) -> Result<Read, StartError> {
    let wrong = |findings| StartError::Config { path: document.path().to_path_buf(), findings };
    config::read(document, ambient).map_err(wrong)
}

/// The shared secret. Without one the gateway stays closed: it does not start.
fn access(
    document: &Document,
    config: &Config,
    ambient: &Ambient,
    flag: Option<Secret>,
) -> Result<Access, StartError> {
    let auth = &config.gateway.auth;
    let by_default = if auth.password.is_some() && auth.token.is_none() { "password" } else { "token" };
    let method = if auth.mode.as_deref().unwrap_or(by_default) == "password" { "password" } else { "token" };
    let secret = if method == "password" {
        auth.password.clone().or_else(|| ambient.secret("OPENCLAW_GATEWAY_PASSWORD"))
    } else {
        flag.or_else(|| auth.token.clone()).or_else(|| ambient.secret("OPENCLAW_GATEWAY_TOKEN"))
    };
    let secret = secret.ok_or_else(|| {
        let words = format!(
            "is not set; set gateway.auth.{method} or OPENCLAW_GATEWAY_{}, or let `setup` make a token",
            method.to_uppercase()
        );
        let findings = vec![document.finding(&format!("gateway.auth.{method}"), words)];
        StartError::Config { path: document.path().to_path_buf(), findings }
    })?;
    Ok(Access { method, secret })
}

/// Both loopback addresses, since `localhost` is either: a stranger on one of them would answer in our place.
fn bind(port: u16) -> Result<Vec<TcpListener>, StartError> {
    let addresses =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    let mut sockets = Vec::new();
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(socket) => sockets.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(StartError::PortTaken { port, listener: listener::who(port).map(Box::new) });
            }
            // Some machines have no IPv6; IPv4 alone is a whole gateway.
            Err(_) if address.is_ipv6() => {}
            Err(source) => return Err(StartError::System { what: "listen on the gateway's port", source }),
        }
    }
    Ok(sockets)
}

async fn serve(claimed: Claimed) -> Result<(), StartError> {
    let Claimed { parts, claims, sockets, control, detached } = claimed;
    let gateway = Arc::new(Gateway::new(parts));
    // Before it says that it is ready: whoever waits for that may stop it at once.
    let asked = asked_to_stop().map_err(system("listen for signals"))?;
    listen(&gateway, sockets, control).map_err(system("serve the sockets"))?;
    notify::tell(&gateway.ambient, notify::READY);
    let pid = std::process::id();
    info!("listening on ws://127.0.0.1:{} (PID {pid})", gateway.port);
    info!(instance = gateway.instance.name, state = %gateway.instance.state_dir.display(), "ready");
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
    let signal = asked.await;
    info!("stopping on {signal}");
    notify::tell(&gateway.ambient, notify::STOPPING);
    let instance = gateway.instance.clone();
    // A store that hangs keeps nobody from stopping.
    let sessions = tokio::time::timeout(STOP_BUDGET, methods::sessions_now(&gateway)).await.ok().flatten();
    stop(gateway).await;
    note_end(&instance, |it| {
        it.ended = Some(ended(How::Stopped, signal));
        it.sessions = sessions.or(it.sessions);
    });
    drop(claims);
    Ok(())
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
async fn stop(gateway: Arc<Gateway>) {
    let payload = json!({"reason": "stopped", "restartExpectedMs": null});
    gateway.audience.tell(Name::Shutdown, &payload, WhenSlow::Close);
    gateway.runs.stop_all(Stop::Shutdown);
    let overran = gateway.supervisor.stop(STOP_BUDGET).await;
    for name in &overran {
        warn!(task = name, "was cut off: it did not stop in {} s", STOP_BUDGET.as_secs());
    }
    let folder = gateway.instance.state_dir.clone();
    match Arc::try_unwrap(gateway) {
        Ok(gateway) => gateway.archive.close(),
        // A task that was cut off holds the rest; the end of the process closes it.
        Err(_) if !overran.is_empty() => {}
        Err(_) => warn!("the store was still in use at the end"),
    }
    // The next start would remove it as well.
    let _ = std::fs::remove_file(control::path(&folder));
    info!("stopped");
}
