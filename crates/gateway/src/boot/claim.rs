//! From the state folder's lock to listening sockets: everything that a gateway needs, or nothing.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use base::Secret;
use profile::claims::Claim;
use profile::document::Unreadable;
use profile::ledger::{Ended, How};
use profile::registry::Record;
use profile::sources::Reach;
use profile::{Ambient, Claims, Document, Finding, Instance, Plan, control, folder, generations, listener};
use tracing::warn;

use super::{Boot, StartError, ended, note_end, safe, system};
use crate::VERSION;
use crate::archive::Archive;
use crate::bind::{Bind, Unusable};
use crate::config::{self, GatewaySection};
use crate::door::Door;
use crate::force::Force;
use crate::log::{self, Log};
use crate::reload::{self, Refused};
use crate::setup::{self, Wishes};
use crate::state::Parts;
use crate::tls::Tls;

/// A gateway that holds all that it needs.
pub(super) struct Claimed {
    pub(super) parts: Parts,
    pub(super) sockets: Vec<TcpListener>,
    pub(super) control: UnixListener,
    pub(super) detached: bool,
}

/// Claims all that the gateway needs, and makes what it lacks.
pub(super) fn claim(boot: &Boot, before: Option<&Log>, say: &impl Fn(&str)) -> Result<Claimed, StartError> {
    let instance = boot.instance.clone();
    let is_new = !instance.state_dir.exists();
    if boot.safe && is_new {
        return Err(StartError::ConfigGone(instance.config_path));
    }
    folder::prepare(&instance.state_dir)?;
    let mut claims = Claims::new(&instance.host.claims(), &instance.name, &instance.state_dir);
    claims.take_folder()?;
    if let Err(error) = fleet::rename::finish(&instance.state_dir) {
        say(&format!(
            "a move of this instance was cut off and cannot be finished: {}",
            base::text::chain(&error)
        ));
    }
    let cut_off = claims.cut_off().map(|it| it.pid);
    let prepared = prepare(boot.clone(), claims, (None, before), say);
    match (&prepared, cut_off) {
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
            note_end(&instance, |it| {
                it.ended = Some(cut_off);
                it.cut_offs = it.cut_offs.saturating_add(1);
            });
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

/// Begins again with the generation that was in force before a restart, since the config of the file does not start.
pub(super) fn instead(
    boot: &Boot,
    (generation, before): (Option<u64>, &Log),
    say: &impl Fn(&str),
    error: StartError,
) -> Result<Claimed, StartError> {
    if generation.is_none() {
        return Err(error);
    }
    warn!("{}: the gateway begins again with the config before", reason(&error));
    let mut claims = Claims::new(&boot.instance.host.claims(), &boot.instance.name, &boot.instance.state_dir);
    claims.take_folder()?;
    prepare(boot.clone(), claims, (Some(reason(&error)), Some(before)), say)
}

/// All that follows the state folder's lock. `instead` is why the last accepted config is
/// to run in the place of the file.
fn prepare(
    boot: Boot,
    mut claims: Claims,
    (instead, before): (Option<String>, Option<&Log>),
    say: &impl Fn(&str),
) -> Result<Claimed, StartError> {
    let chosen = match instead {
        _ if boot.safe => Chosen::safe(&boot, &mut claims, say)?,
        Some(why) => Chosen::last_accepted(&boot, vec![why]).ok_or(StartError::NoPort)?,
        None => Chosen::of_file(&boot, &mut claims, say)?,
    };
    let wished = wished(&boot);
    let Chosen { mut force, refused, held } = chosen;
    let (port, sockets) = match held {
        Some(it) => it,
        None => {
            let own = force.config.gateway.port.or(boot.instance.default_port);
            let port = wished.or(own).ok_or(StartError::NoPort)?;
            (port, hold(&mut claims, &boot, port, &force)?)
        }
    };
    let door = door(&boot, &force, &sockets)?;
    let control = control(&boot)?;
    let Boot { instance, ambient, token, log_level, detached, safe, bind: bind_fixed, .. } = boot;
    // A unit runs one instance, whatever its file says.
    if let Some(unit) = Ambient::unit() {
        claims.take(Claim::Unit(unit))?;
    }
    if !safe {
        force.holdings.needed(force.workspace.clone()).try_for_each(|it| claims.take(it))?;
    }
    let log = begin_log(&instance, &ambient, &force, (log_level.as_deref(), before), say);
    if let Some(it) = &refused {
        warn!("{}", it.problem());
    }
    reload::tell_findings(&instance.config_path, &[], &force.findings);
    let conflicts = force.holdings.claim_logins(&mut claims, &instance);
    for it in &conflicts {
        warn!("{it}");
    }
    if !safe {
        if refused.is_none() {
            force.generation = accept(&instance, &force);
        }
        record(&instance, port, force.holdings.pinned.clone());
    }
    let archive = Archive::new(&instance.state_dir).map_err(system("start the store's thread"))?;
    let is_port_fixed = wished.is_some();
    let claims = Arc::new(Mutex::new(claims));
    let parts = Parts {
        instance,
        ambient,
        force,
        log,
        port,
        door,
        is_port_fixed,
        bind_fixed,
        claims,
        archive,
        conflicts,
        refused,
        token,
        safe,
    };
    Ok(Claimed { parts, sockets, control, detached })
}

/// The config that a gateway begins with.
struct Chosen {
    force: Force,
    /// Why it is not that of the file.
    refused: Option<Refused>,
    /// A port that was held before the config was made.
    held: Option<(u16, Vec<TcpListener>)>,
}

impl Chosen {
    /// None: what a gateway in safe mode runs by.
    fn safe(boot: &Boot, claims: &mut Claims, say: &impl Fn(&str)) -> Result<Self, StartError> {
        let force = safe::force(boot)?;
        let held = safe::hold(boot, claims, &force, say);
        Ok(Self { force, refused: None, held: Some(held) })
    }

    /// The config of the file, else the last one that was accepted. A new instance is given one.
    fn of_file(boot: &Boot, claims: &mut Claims, say: &impl Fn(&str)) -> Result<Self, StartError> {
        let Boot { instance, ambient, token, .. } = boot;
        let read = match existing(instance) {
            Ok(Some(document)) => read(document, instance, ambient, token.as_ref()),
            Ok(None) => return Self::made(boot, claims, say),
            Err(error) => Err(error),
        };
        let error = match read {
            Ok(force) => return Ok(Self { force, refused: None, held: None }),
            Err(error) => error,
        };
        let Some(kept) = Self::last_accepted(boot, why(&error)) else { return Err(error) };
        if let Some(it) = &kept.refused {
            say(&it.problem());
        }
        Ok(kept)
    }

    /// Held before anything is written: a new instance that cannot start leaves nothing behind.
    fn made(boot: &Boot, claims: &mut Claims, say: &impl Fn(&str)) -> Result<Self, StartError> {
        let Boot { instance, ambient, token, .. } = boot;
        let held = match wished(boot) {
            Some(port) => {
                reserve(claims, instance, port, &[])?;
                // A new config says nothing of it.
                let bind = Bind::of(&GatewaySection::default(), boot.bind).map_err(unusable(instance))?;
                Some((port, listen(boot, bind, port)?))
            }
            None => None,
        };
        let document = make(instance, ambient, wished(boot), say)?;
        Ok(Self { force: read(document, instance, ambient, token.as_ref())?, refused: None, held })
    }

    /// The last config that was accepted, in the place of the one of the file.
    fn last_accepted(boot: &Boot, why: Vec<String>) -> Option<Self> {
        let (kept, generation) = config::last_accepted(&boot.instance, &boot.ambient)?;
        let mut force = Force::of(kept, &boot.instance, boot.token.as_ref()).ok()?;
        force.generation = Some(generation);
        let (path, command) = (boot.instance.config_path.clone(), boot.instance.command());
        let refused = Refused { path, why, generation: Some(generation), command };
        Some(Self { force, refused: Some(refused), held: None })
    }
}

/// The port of the command line, else of the environment.
fn wished(boot: &Boot) -> Option<u16> {
    boot.port.or(boot.instance.env_port)
}

/// Why the file is not in force, each with its place.
fn why(error: &StartError) -> Vec<String> {
    match error {
        StartError::Config { path, findings } => findings.iter().map(|it| it.told(path)).collect(),
        StartError::Unreadable(it) => vec![reload::of_unreadable(it)],
        StartError::ConfigGone(_) => vec!["it is gone".to_owned()],
        other => vec![base::text::chain(other)],
    }
}

/// Begins the log, or goes on with that of the process. What its settings ask for in vain is the first that it says.
fn begin_log(
    instance: &Instance,
    ambient: &Ambient,
    force: &Force,
    (level, before): (Option<&str>, Option<&Log>),
    say: &impl Fn(&str),
) -> Log {
    if let Some(log) = before {
        log.apply(&force.config.logging, &force.secrets);
        return log.clone();
    }
    let level = level.or_else(|| ambient.var("OPENCLAW_LOG_LEVEL"));
    let (log, wrong) =
        log::begin(log::Start { instance, ambient, level }, &force.config.logging, &force.secrets);
    for (key, words) in wrong {
        if key.is_empty() {
            say(&words);
        } else {
            warn!("config: logging.{key}: {words}");
        }
    }
    log
}

/// The config alone: it is there, parses, says nothing that is wrong, and has a secret.
pub(super) fn check(instance: &Instance, ambient: &Ambient) -> Result<(), StartError> {
    let Some(document) = existing(instance)? else { return Ok(()) };
    read(document, instance, ambient, None).map(|_| ())
}

/// Takes the config file and the ports: first from those who run, then beside those who only plan with them.
fn reserve(claims: &mut Claims, instance: &Instance, port: u16, pinned: &[u16]) -> Result<(), StartError> {
    let plan = Plan::of(port)?;
    claims.take_config_and_ports(&instance.config_path, &plan)?;
    Ok(instance.host.check_ports(&instance.state_dir, &plan, pinned)?)
}

/// Takes all that the port is about, and listens.
pub(super) fn hold(
    claims: &mut Claims,
    boot: &Boot,
    port: u16,
    force: &Force,
) -> Result<Vec<TcpListener>, StartError> {
    reserve(claims, &boot.instance, port, &force.holdings.pinned)?;
    let bind = Bind::of(&force.config.gateway, boot.bind).map_err(unusable(&boot.instance))?;
    listen(boot, bind, port)
}

fn unusable(instance: &Instance) -> impl Fn(Unusable) -> StartError {
    |why| StartError::Bind { instance: instance.name.clone(), why }
}

/// What stands between the sockets and the protocol.
fn door(boot: &Boot, force: &Force, sockets: &[TcpListener]) -> Result<Door, StartError> {
    let Boot { instance, ambient, passed, .. } = boot;
    let bind = Bind::of(&force.config.gateway, boot.bind).map_err(unusable(instance))?;
    let tls = Tls::open(&force.config.gateway.tls, instance, ambient, bind.address);
    let tls = tls.map_err(|why| StartError::Tls { instance: instance.name.clone(), why })?;
    Ok(Door::new(bind, tls, sockets, (passed.has_tcp(), passed.has_control())))
}

/// The control socket: the supervisor's, else one of our own.
fn control(boot: &Boot) -> Result<UnixListener, StartError> {
    let Boot { instance, passed, .. } = boot;
    let found = passed.control(&instance.state_dir);
    match found.map_err(|it| unusable(instance)(it.into()))? {
        Some(it) => Ok(it),
        None => control::listen(&instance.state_dir).map_err(system("listen on the control socket")),
    }
}

/// Keeps the config that this gateway runs with. Nothing that it does depends on it but the history.
fn accept(instance: &Instance, force: &Force) -> Option<u64> {
    let accepted = generations::accept_with(&instance.state_dir, force.text(), force.included());
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
    if ambient.secret("OPENCLAW_GATEWAY_TOKEN").is_some() {
        say("note: OPENCLAW_GATEWAY_TOKEN is set and does not count: the token in the config goes before it");
    }
    if let Some(words) = &report.close {
        say(&format!("note: {words}"));
    }
    Ok(Document::load(path)?)
}

fn read(
    document: Document,
    instance: &Instance,
    ambient: &Ambient,
    token: Option<&Secret>,
) -> Result<Force, StartError> {
    let ambient = config::with_keys(ambient, &instance.state_dir);
    let read = config::read(document, &Reach::of(&ambient), &ambient);
    Force::of(read, instance, token).map_err(|it| wrong(instance, it))
}

fn wrong(instance: &Instance, findings: Vec<Finding>) -> StartError {
    StartError::Config { path: instance.config_path.clone(), findings }
}

/// The sockets that a supervisor has opened, else those of our own.
fn listen(boot: &Boot, bind: Bind, port: u16) -> Result<Vec<TcpListener>, StartError> {
    let wrong = unusable(&boot.instance);
    if boot.passed.has_tcp() {
        bind.check_passed(&boot.passed, port).map_err(wrong)?;
        return boot.passed.tcp().map_err(system("take over the supervisor's sockets"));
    }
    match bind.listen(port) {
        Ok(Ok(sockets)) => Ok(sockets),
        Ok(Err(_)) => Err(StartError::PortTaken { port, listener: listener::who(port).map(Box::new) }),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            Err(wrong(Unusable::NotOurs(bind.address)))
        }
        Err(source) => Err(StartError::System { what: "listen on the gateway's port", source }),
    }
}
