//! One truthful listing: every instance of this host, by its record, its folder, its lock and its own word.

mod ask;
mod deep;
mod strangers;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base::clock;
use profile::claims::{self, Claim, Held, Holder};
use profile::ledger::{self, Ledger};
use profile::registry::{Host, Record};
use profile::{Ambient, Document, Instance, Plan, folder, generations, listener, ports};
use protocol::health::Readiness;
use serde::Serialize;

use crate::process;
use crate::service::{self, Service};
use ask::{Answer, Target};

pub use deep::deep;

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It answers, and all is well.
    Ready,
    /// It holds its lock and does not listen yet.
    Starting,
    /// It answers, and says what is wrong.
    Degraded,
    /// It runs and does not answer.
    Deaf,
    /// It does not run.
    Stopped,
    /// Something that it needs belongs to somebody else.
    Conflict,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Starting => "starting",
            State::Degraded => "degraded",
            State::Deaf => "deaf",
            State::Stopped => "stopped",
            State::Conflict => "conflict",
        }
    }
}

/// Whose gateway it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// One of this program.
    Ours,
    /// A gateway of the original, found on a port.
    Original,
}

/// How a gateway was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// The host has a record of it.
    Registry,
    /// Its folder is there.
    Folder,
    /// It holds the lock of its folder.
    Lock,
    /// It listens.
    Socket,
    /// A unit starts it.
    Unit,
}

impl Found {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Found::Registry => "registry",
            Found::Folder => "folder",
            Found::Lock => "lock",
            Found::Socket => "socket",
            Found::Unit => "unit",
        }
    }
}

/// One instance as it was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its profile, where it has one.
    pub profile: Option<String>,
    /// Whose gateway it is.
    pub kind: Kind,
    /// How it is.
    pub state: State,
    /// The base port: of the running one, else the config's, else the recorded one.
    pub port: Option<u16>,
    /// The mode by which it listens, or by its config would.
    pub bind: Option<String>,
    /// Ports that its config pins.
    pub pinned: Vec<u16>,
    /// The process, where one runs.
    pub pid: Option<u32>,
    /// Of the program that runs, or ran last.
    pub version: Option<String>,
    /// Milliseconds since it was ready, or since it took its lock.
    pub uptime_ms: Option<u64>,
    /// Its share of the memory, in bytes.
    pub pss_bytes: Option<u64>,
    /// Channels: connected ones where it runs, else those of the config.
    pub channels: Vec<String>,
    /// Conversations; as of the last stop where it does not run.
    pub sessions: Option<u64>,
    /// The config's generation: in force where it runs, else the last accepted.
    pub generation: Option<u64>,
    /// Whether the config on disk is another one than that.
    pub config_changed: bool,
    /// What the supervisor has of it.
    pub service: Service,
    /// Where it keeps everything.
    pub folder: PathBuf,
    /// Its config document.
    pub config_path: PathBuf,
    /// The instance that it watches over.
    pub rescue_for: Option<String>,
    /// What is wrong, for people.
    pub findings: Vec<String>,
    /// How it was found, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found_by: Vec<Found>,
    /// Whether the host has a record of it.
    pub recorded: bool,
    /// For what is done with it next.
    #[serde(skip)]
    pub instance: Instance,
}

/// An instance that is known of, before it is looked at.
#[derive(Debug, Clone)]
pub struct Known {
    /// The instance.
    pub instance: Instance,
    /// Its record, where there is one.
    pub record: Option<Record>,
}

/// Every instance that the host has a record of, those that exist only as folders in the home, and those that run
/// without either, by name.
pub fn known(host: &Host, ambient: &Ambient) -> Vec<Known> {
    let mut found: Vec<Known> =
        host.all().into_iter().map(|it| Known { instance: it.instance(host), record: Some(it) }).collect();
    let real = |it: &Path| std::fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
    let mut places: BTreeSet<PathBuf> = found.iter().map(|it| real(&it.instance.state_dir)).collect();
    for (profile, path) in Instance::folders_at_home(ambient) {
        if folder::is_state_folder(&path)
            && places.insert(real(&path))
            && let Ok(instance) = Instance::of_profile(ambient, profile)
        {
            found.push(Known { instance, record: None });
        }
    }
    // One without a record and with a folder of its own is known by what it holds.
    for (holder, config_path) in claims::running(&host.claims()) {
        if places.insert(real(&holder.state_dir)) {
            let instance = Instance { config_path, ..Instance::of_folder(ambient, &holder.state_dir) };
            found.push(Known { instance, record: None });
        }
    }
    found.sort_by(|a, b| {
        (&a.instance.name, &a.instance.state_dir).cmp(&(&b.instance.name, &b.instance.state_dir))
    });
    found
}

/// Looks at all of them, and at gateways of the original on their ports.
pub fn all(host: &Host, ambient: &Ambient) -> Vec<Seen> {
    let known = known(host, ambient);
    let scene = Scene::look(host);
    let mut seen = scene.see(&known, ambient);
    strangers::add_originals(&mut seen, host, ambient);
    seen
}

/// Looks at some.
pub fn some(host: &Host, ambient: &Ambient, known: &[Known]) -> Vec<Seen> {
    Scene::look(host).see(known, ambient)
}

/// What holds for all of them at one moment.
struct Scene {
    /// Read for those that do not run.
    held: OnceCell<Vec<Held>>,
    claims: PathBuf,
}

impl Scene {
    fn look(host: &Host) -> Self {
        Self { held: OnceCell::new(), claims: host.claims() }
    }

    fn held(&self) -> &[Held] {
        self.held.get_or_init(|| claims::held_now(&self.claims))
    }

    fn see(&self, known: &[Known], ambient: &Ambient) -> Vec<Seen> {
        let holders: Vec<Option<Holder>> =
            known.iter().map(|it| claims::holder_now(&it.instance.state_dir)).collect();
        let running = known.iter().zip(&holders).filter_map(|(it, holder)| {
            let pid = holder.as_ref()?.pid;
            Some(Target { state_dir: it.instance.state_dir.clone(), pid })
        });
        let mut answers = ask::all(&running.collect::<Vec<_>>()).into_iter();
        let mut seen: Vec<Seen> = known
            .iter()
            .zip(holders)
            .map(|(it, holder)| match holder {
                Some(holder) => {
                    let answer = answers.next().expect("each that holds its lock was asked");
                    running_one(it, ambient, &holder, answer)
                }
                None => self.stopped_one(it, ambient),
            })
            .collect();
        add_overlaps(&mut seen);
        seen
    }

    fn stopped_one(&self, known: &Known, ambient: &Ambient) -> Seen {
        let mut seen = blank(known, ambient);
        let instance = &known.instance;
        let document = Document::load(&instance.config_path);
        match &document {
            Ok(it) => {
                seen.port = it.port().or(seen.port);
                seen.bind = it.get("gateway.bind").and_then(|it| Some(it.as_str()?.to_owned()));
                seen.pinned = it.pinned_ports();
                seen.channels = configured_channels(it);
            }
            Err(_) if !instance.state_dir.is_dir() => {
                seen.findings.push(format!("its folder is gone: {}", instance.state_dir.display()));
            }
            Err(error) => seen.findings.push(base::text::chain(error)),
        }
        let theirs = |it: &&Held| it.holder.state_dir != instance.state_dir;
        for held in self.held().iter().filter(theirs) {
            if needs(instance, seen.port, held.claim.as_ref()) {
                let claim = held.claim.as_ref().map_or_else(String::new, ToString::to_string);
                seen.findings.push(format!("{claim} is held by {}", held.holder));
                seen.state = State::Conflict;
            }
        }
        if seen.state != State::Conflict
            && let Some(port) = seen.port.filter(|it| listener::is_bound(*it))
        {
            let who = listener::who(port).map_or_else(|| "another program".to_owned(), |it| it.to_string());
            seen.findings.push(format!("gateway port {port} is taken by {who}"));
            seen.state = State::Conflict;
        }
        seen
    }
}

/// Whether a stopped instance will need what is claimed.
fn needs(instance: &Instance, port: Option<u16>, claim: Option<&Claim>) -> bool {
    match claim {
        Some(Claim::Port(_, held)) => {
            let plan = port.and_then(|it| Plan::of(it).ok());
            plan.is_some_and(|it| it.fixed().iter().any(|(_, port)| port == held))
        }
        Some(Claim::Config(path)) => *path == instance.config_path,
        _ => false,
    }
}

fn running_one(known: &Known, ambient: &Ambient, holder: &Holder, answer: Answer) -> Seen {
    let mut seen = blank(known, ambient);
    seen.pid = Some(holder.pid);
    seen.pss_bytes = process::pss(holder.pid);
    seen.uptime_ms = Some(clock::now_ms().saturating_sub(holder.since));
    match answer {
        Answer::Is(it) => tell(&mut seen, *it),
        Answer::NotYet => seen.state = State::Starting,
        Answer::Deaf => {
            seen.state = State::Deaf;
            let stopped = process::doing(holder.pid) == Some(process::Doing::Stopped);
            let why = if stopped { "it is suspended (SIGSTOP)" } else { "it does not answer" };
            seen.findings.push(why.to_owned());
        }
        Answer::Odd(words) => {
            seen.state = State::Deaf;
            seen.findings.push(words);
        }
    }
    seen
}

fn tell(seen: &mut Seen, answer: Readiness) {
    seen.state = match (answer.conflicts.is_empty(), answer.ok) {
        (false, _) => State::Conflict,
        (true, false) => State::Degraded,
        (true, true) => State::Ready,
    };
    seen.port = Some(answer.instance.port);
    seen.bind = answer.bind.or(seen.bind.take());
    seen.version = Some(answer.instance.version);
    seen.uptime_ms = Some(answer.uptime_ms);
    seen.channels = answer.channels;
    seen.sessions = answer.sessions;
    seen.generation = answer.generation.or(seen.generation);
    seen.findings = answer.problems;
}

/// What is known without asking anybody.
fn blank(known: &Known, ambient: &Ambient) -> Seen {
    let Known { instance, record } = known;
    let last = generations::last(&instance.state_dir);
    let text = std::fs::read_to_string(&instance.config_path).ok();
    let config_changed = last.as_ref().zip(text).is_some_and(|(last, text)| !last.is(&text));
    let Ledger { rescue_for, sessions, .. } = ledger::read(&instance.state_dir);
    Seen {
        name: instance.name.clone(),
        profile: instance.profile.as_ref().map(ToString::to_string),
        kind: Kind::Ours,
        state: State::Stopped,
        port: record.as_ref().map(|it| it.port).or(instance.default_port),
        bind: None,
        pinned: record.as_ref().map(|it| it.pinned.clone()).unwrap_or_default(),
        pid: None,
        version: record.as_ref().map(|it| it.version.clone()),
        uptime_ms: None,
        pss_bytes: None,
        channels: Vec::new(),
        sessions,
        generation: last.map(|it| it.number),
        config_changed,
        service: service::of(instance, ambient),
        folder: instance.state_dir.clone(),
        config_path: instance.config_path.clone(),
        rescue_for,
        findings: Vec::new(),
        found_by: Vec::new(),
        recorded: record.is_some(),
        instance: instance.clone(),
    }
}

fn configured_channels(document: &Document) -> Vec<String> {
    let channels = document.get("channels").and_then(|it| it.as_object());
    let on = channels.into_iter().flatten().filter(|(name, it)| {
        name.as_str() != "defaults" && it.get("enabled").and_then(serde_json::Value::as_bool) != Some(false)
    });
    on.map(|(name, _)| name.clone()).collect()
}

/// Two instances that do not run may need the same ports: whichever is started second will be refused.
fn add_overlaps(seen: &mut [Seen]) {
    let neighbour = |it: &Seen| {
        let plan = Plan::of(it.port?).ok()?;
        let is_there = it.folder.is_dir();
        is_there.then(|| ports::Neighbour { name: it.name.clone(), plan, pinned: it.pinned.clone() })
    };
    let all: Vec<_> = seen.iter().map(neighbour).collect();
    for (at, it) in seen.iter_mut().enumerate().filter(|(_, it)| it.state == State::Stopped) {
        let others = || all.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<_> = others().filter_map(|(_, it)| it.clone()).collect();
        let Some(mine) = &all[at] else { continue };
        if let Some(overlap) = ports::overlap(&mine.plan, &mine.pinned, &others) {
            it.state = State::Conflict;
            it.findings.push(overlap.to_string());
        }
    }
}
