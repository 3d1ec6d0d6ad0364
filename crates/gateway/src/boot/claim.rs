//! From the state folder's lock to listening sockets: everything that a gateway needs, or nothing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use base::Secret;
use profile::claims::Claim;
use profile::document::Unreadable;
use profile::ledger::{Ended, How};
use profile::registry::Record;
use profile::{Ambient, Claims, Document, Instance, Plan, control, folder, generations, listener};
use tracing::warn;

use super::{Boot, StartError, ended, note_end, system};
use crate::archive::Archive;
use crate::config::{self, Config, Read};
use crate::setup::{self, Wishes};
use crate::state::{Access, Parts};
use crate::{VERSION, log};

/// A gateway that holds all that it needs.
pub(super) struct Claimed {
    pub(super) parts: Parts,
    pub(super) claims: Claims,
    pub(super) sockets: Vec<TcpListener>,
    pub(super) control: UnixListener,
    pub(super) detached: bool,
}

/// Claims all that the gateway needs, and makes what it lacks.
pub(super) fn claim(boot: Boot, say: &impl Fn(&str)) -> Result<Claimed, StartError> {
    let instance = boot.instance.clone();
    let is_new = !instance.state_dir.exists();
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
            let refusal = ended(How::Refused, &reason(error));
            instance.host.note_refusal(&instance.state_dir, &refusal);
            if is_new {
                // Only an empty folder is removed.
                let _ = std::fs::remove_dir(&instance.state_dir);
            }
        }
        (Ok(_), Some(pid)) => {
            let cut_off = Ended { pid, ..ended(How::CutOff, "it was killed, or the power failed") };
            note_end(&instance, |it| it.ended = Some(cut_off));
        }
        (Ok(_), None) => {}
    }
    prepared
}

/// Why it did not start, in one line, with all that is wrong in the config.
fn reason(error: &StartError) -> String {
    let findings = match error {
        StartError::Config { findings, .. } => findings.as_slice(),
        _ => &[],
    };
    let findings = findings.iter().map(ToString::to_string);
    std::iter::once(base::text::chain(error)).chain(findings).collect::<Vec<_>>().join("; ")
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
    let ambient = with_keys(ambient, &instance);
    let Read { config, warnings, holdings } = read(&document, &ambient)?;
    let secret = access(&document, &config, &ambient, token)?;
    let (port, sockets) = match held {
        Some(it) => it,
        None => {
            let port = wished.or(config.gateway.port).or(instance.default_port).ok_or(StartError::NoPort)?;
            (port, hold(&mut claims, &instance, port, &holdings.pinned)?)
        }
    };
    // A unit runs one instance, whatever its file says.
    if let Some(unit) = Ambient::unit() {
        claims.take(Claim::Unit(unit))?;
    }
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
    for it in &conflicts {
        warn!("{it}");
    }
    let generation = accept(&instance, &document);
    record(&instance, port, holdings.pinned);
    let archive = Archive::new(&instance.state_dir).map_err(system("start the store's thread"))?;
    let parts = Parts { instance, ambient, config, port, secret, archive, generation, conflicts };
    Ok(Claimed { parts, claims, sockets, control, detached })
}

/// The config alone: it is there, parses, says nothing that is wrong, and has a secret.
pub(super) fn check(instance: &Instance, ambient: &Ambient) -> Result<(), StartError> {
    let Some(document) = existing(instance)? else { return Ok(()) };
    let ambient = with_keys(ambient.clone(), instance);
    let config = read(&document, &ambient)?.config;
    access(&document, &config, &ambient, None).map(|_| ())
}

/// The surroundings with the keys that are kept for this instance alone.
fn with_keys(ambient: Ambient, instance: &Instance) -> Ambient {
    let own = ambient.with_env_file(&instance.state_dir.join(".env"));
    own.with_env_file(&instance.state_dir.join("keys.env"))
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
    if let Some(words) = &report.close {
        say(&format!("note: {words}"));
    }
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
