//! A changed config: looked at, planned, put in force as a whole or refused as a whole.
//!
//! Load, provision, validate, start, swap, stop: when a step fails, what is in force stays in force, and everything
//! says so. The file is never written here.

mod apply;
mod plan;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Secret, clock};
use profile::Finding;
use profile::document::Unreadable;
use protocol::reload::{ReloadHow, ReloadReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, Found};
use crate::force::Force;
use crate::state::Gateway;
use crate::tls::{self, Tls};
use plan::Plan;
use watch::Watch;

/// The part that is degraded while the file on disk is not the one in force.
pub(crate) const PART: &str = "config";

/// What a change of the config does to the gateway that runs.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// `hybrid`: what can be changed under way is, and the gateway restarts for the rest; `hot`: it never restarts by
    /// itself; `restart`: it restarts for every change; `off`: changes are not looked at.
    #[schemars(extend("enum" = ["hybrid", "hot", "restart", "off"]))]
    pub mode: String,
    /// The milliseconds without a further change after which the file is read.
    pub debounce_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: "hybrid".to_owned(), debounce_ms: 300 }
    }
}

impl Settings {
    pub(crate) fn check(&self, found: &mut Found<'_>) {
        if !matches!(self.mode.as_str(), "hybrid" | "hot" | "restart" | "off") {
            let words = format!("is \"{}\"; use hybrid, hot, restart or off", self.mode);
            found.wrong(&["gateway", "reload", "mode"], words);
        }
    }
}

/// Why the config file is not the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The file.
    pub(crate) path: PathBuf,
    /// Each with its place.
    pub(crate) why: Vec<String>,
    /// What runs in its place.
    pub(crate) generation: Option<u64>,
    /// How this instance is addressed on the command line.
    pub(crate) command: String,
}

impl Refused {
    /// For people, in one line.
    pub(crate) fn problem(&self) -> String {
        let first = self.why.first().map_or("", String::as_str);
        let more = self.why.len().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let runs = match self.generation {
            Some(it) => format!("generation {it} runs in its place"),
            None => "the one before it runs on".to_owned(),
        };
        format!(
            "the config file {} is not in force ({first}{more}): {runs}; correct it (see: {} config validate), or go \
             back: {} config rollback",
            self.path.display(),
            self.command,
            self.command
        )
    }
}

/// Where the reload of a gateway stands.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Cancelled when the gateway is to start again.
    pub(crate) restart: CancellationToken,
    one_at_a_time: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Of the command line; it goes before what any config says.
    token: Option<Secret>,
}

#[derive(Debug, Default)]
struct State {
    refused: Option<Refused>,
    waits_for_turns: bool,
    /// Somebody wants it to begin again, whatever the config says.
    is_asked: bool,
    looks: u64,
    last: Option<ReloadReport>,
}

impl Reload {
    /// `refused` where the gateway began with another config than that of the file.
    pub(crate) fn new(refused: Option<Refused>, token: Option<Secret>) -> Self {
        Self {
            restart: CancellationToken::new(),
            one_at_a_time: tokio::sync::Mutex::default(),
            state: Mutex::new(State { refused, ..State::default() }),
            token,
        }
    }

    /// Begin again once no turn is under way.
    pub(crate) fn ask_restart(&self) {
        self.state().is_asked = true;
    }

    /// What was done with the last change.
    pub(crate) fn last(&self) -> Option<ReloadReport> {
        self.state().last.clone()
    }

    /// How often the files were read since the start.
    pub(crate) fn looks(&self) -> u64 {
        self.state().looks
    }

    /// Why the file is not in force, where it is not.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.state().refused.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the config whenever its files change, until it is stopped.
pub(crate) async fn follow(gateway: Arc<Gateway>, stop: CancellationToken) {
    loop {
        let force = gateway.force();
        let mut paths: Vec<PathBuf> = force.texts.iter().map(|(path, _)| path.clone()).collect();
        paths.extend([".env", "keys.env"].map(|it| gateway.instance.state_dir.join(it)));
        paths.extend(gateway.door.tls.iter().flat_map(Tls::files));
        let mut watch = match Watch::on(&paths) {
            Ok(it) => it,
            Err(error) => {
                warn!("changes of the config are not noticed: {error}");
                return;
            }
        };
        // What is in force was read before these files were watched.
        if gateway.reload.refused().is_some() || is_changed(&force) {
            watch.suspect();
        }
        // Watched by the same watch for as long as the same files are in force.
        while gateway.force().texts.iter().map(|(path, _)| path).eq(force.texts.iter().map(|(path, _)| path))
        {
            let quiet = Duration::from_millis(gateway.force().config.gateway.reload.debounce_ms);
            tokio::select! {
                () = stop.cancelled() => return,
                () = gateway.runs.idle() => restart_when_idle(&gateway),
                heard = watch.changed(quiet) => match heard {
                    Ok(()) => {
                        look(&gateway).await;
                    }
                    Err(error) => {
                        warn!("changes of the config are no longer noticed: {error}");
                        return;
                    }
                },
            }
        }
    }
}

fn is_changed(force: &Force) -> bool {
    force.texts.iter().any(|(path, text)| std::fs::read_to_string(path).map_or(true, |it| it != *text))
}

/// Reads the config and does what it asks for, or says why not.
pub(crate) async fn look(gateway: &Arc<Gateway>) -> ReloadReport {
    if gateway.is_safe {
        let words = "the gateway runs in safe mode: takes effect when it is started again without";
        return report(gateway, ReloadHow::Off, Vec::new(), vec![words.to_owned()]);
    }
    let _one = gateway.reload.one_at_a_time.lock().await;
    renew_certificate(gateway);
    let (instance, ambient) = (gateway.instance.clone(), gateway.ambient.clone());
    // A program that hands out secrets may take its time.
    let loaded = tokio::task::spawn_blocking(move || config::load(&instance, &ambient)).await;
    let read = match loaded {
        Ok(Ok(it)) => it,
        Ok(Err(error)) => return refuse(gateway, Vec::new(), vec![of_unreadable(&error)]),
        Err(_) => return refuse(gateway, Vec::new(), vec!["reading it failed".to_owned()]),
    };
    match Force::of(read, &gateway.instance, gateway.reload.token.as_ref()) {
        Ok(force) => take(gateway, force),
        Err(findings) => {
            let main = &gateway.instance.config_path;
            refuse(gateway, Vec::new(), findings.iter().map(|it| it.told(main)).collect())
        }
    }
}

/// Serves another certificate from now on where its files have changed. What is of no use leaves the one before.
fn renew_certificate(gateway: &Gateway) {
    let Some(tls) = &gateway.door.tls else { return };
    if gateway.force().config.gateway.reload.mode == "off" {
        return;
    }
    match tls.renew() {
        Ok(false) => gateway.note(tls::PART, None),
        Ok(true) => {
            gateway.note(tls::PART, None);
            info!("TLS certificate SHA-256 {}, renewed", tls.served().fingerprint);
        }
        Err(error) => {
            let problem = format!("{error}; the certificate before is still served: {}", error.remedy);
            warn!("{problem}");
            gateway.note(tls::PART, Some(problem));
        }
    }
}

/// Why a config is not read, in a few words.
pub(crate) fn of_unreadable(error: &Unreadable) -> String {
    match error {
        Unreadable::Syntax { finding, .. } => finding.to_string(),
        Unreadable::Missing(_) => "it is gone".to_owned(),
        Unreadable::Io { source, .. } => format!("it cannot be read: {source}"),
    }
}

/// A config that is sound: what becomes of it.
fn take(gateway: &Arc<Gateway>, force: Force) -> ReloadReport {
    let before = gateway.force();
    if before.texts == force.texts && before.value.0 == force.value.0 {
        // What was refused meanwhile is gone from the file.
        let how = if settled(gateway) { ReloadHow::Applied } else { ReloadHow::Unchanged };
        return report(gateway, how, Vec::new(), Vec::new());
    }
    let plan = Plan::of(&before.value.0, &force.value.0);
    let mode = force.config.gateway.reload.mode.clone();
    if mode == "off" {
        info!(keys = plan.steps.len(), "the config changed and is not looked at: gateway.reload.mode is off");
        return report(gateway, ReloadHow::Off, plan.steps, Vec::new());
    }
    for it in &plan.steps {
        let shown = |it: &Option<String>| it.clone().unwrap_or_else(|| "not set".to_owned());
        info!("config: {}: {} → {} ({})", it.path, shown(&it.before), shown(&it.after), it.kind);
    }
    let restarts = mode == "restart" && plan.matters() || mode == "hybrid" && plan.needs_restart();
    if restarts {
        return match apply::rehearse(gateway, &force) {
            Ok(()) => begin_restart(gateway, plan),
            Err(words) => refuse(gateway, plan.steps, vec![words]),
        };
    }
    let left = plan.of_the_gateway().join(", ");
    let findings = force.findings.clone();
    if let Err(words) = apply::swap(gateway, force) {
        return refuse(gateway, plan.steps, vec![words]);
    }
    tell_findings(&gateway.instance.config_path, &before.findings, &findings);
    settled(gateway);
    let mut why = Vec::new();
    if !left.is_empty() {
        why.push(format!("{left}: takes effect when the gateway is restarted (gateway.reload.mode is hot)"));
        warn!("config: {}", why[0]);
    }
    info!(generation = gateway.force().generation, "config in force");
    report(gateway, ReloadHow::Applied, plan.steps, why)
}

/// What is to be said of a config, once for each.
pub(crate) fn tell_findings(main: &Path, before: &[Finding], now: &[Finding]) {
    use profile::document::Weight;
    for finding in
        now.iter().filter(|it| !before.iter().any(|old| old.path == it.path && old.message == it.message))
    {
        let words = finding.told(main);
        match finding.weight {
            Weight::Note => info!("config: {words}"),
            Weight::Warning | Weight::Error => warn!("config: {words}"),
        }
    }
}

fn begin_restart(gateway: &Arc<Gateway>, plan: Plan) -> ReloadReport {
    gateway.reload.state().waits_for_turns = true;
    let turns = gateway.runs.count();
    let mut why = Vec::new();
    if turns > 0 {
        why.push(format!("waits for {turns} turns under way"));
        gateway.note(
            PART,
            Some(format!("a changed config waits for {turns} turns under way before the restart")),
        );
    }
    info!(turns, "the config needs a restart");
    let report = report(gateway, ReloadHow::Restarting, plan.steps, why);
    restart_when_idle(gateway);
    report
}

/// Begins again where that is wanted and nobody is at work.
pub(crate) fn restart_when_idle(gateway: &Gateway) {
    let state = gateway.reload.state();
    let wanted = state.waits_for_turns || state.is_asked;
    drop(state);
    if wanted && gateway.runs.count() == 0 {
        gateway.reload.restart.cancel();
    }
}

/// The file and what is in force are one. Whether they were not before.
fn settled(gateway: &Gateway) -> bool {
    let mut state = gateway.reload.state();
    let was_refused = state.refused.take().is_some();
    state.waits_for_turns = false;
    drop(state);
    gateway.note(PART, None);
    if was_refused {
        info!("the config file is in force again");
    }
    was_refused
}

fn refuse(gateway: &Gateway, plan: Vec<protocol::reload::ReloadStep>, why: Vec<String>) -> ReloadReport {
    let refused = Refused {
        path: gateway.instance.config_path.clone(),
        why: why.clone(),
        generation: gateway.force().generation,
        command: gateway.instance.command(),
    };
    let mut state = gateway.reload.state();
    state.waits_for_turns = false;
    let is_news = state.refused.as_ref() != Some(&refused);
    state.refused = Some(refused.clone());
    drop(state);
    if is_news {
        warn!("{}", refused.problem());
        for it in why.iter().skip(1) {
            warn!("config: {it}");
        }
    }
    gateway.note(PART, Some(refused.problem()));
    report(gateway, ReloadHow::Refused, plan, why)
}

fn report(
    gateway: &Gateway,
    how: ReloadHow,
    plan: Vec<protocol::reload::ReloadStep>,
    why: Vec<String>,
) -> ReloadReport {
    let report = ReloadReport { how, plan, why, generation: gateway.force().generation, at: clock::now_ms() };
    let mut state = gateway.reload.state();
    state.looks += 1;
    if how != ReloadHow::Unchanged {
        state.last = Some(report.clone());
    }
    drop(state);
    report
}
