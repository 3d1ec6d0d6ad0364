//! The screen of `status`: facts, then what is wrong.

use base::clock;
use fleet::doctor::Severity;
use fleet::service::Service;
use profile::listener::Listener;
use protocol::health::{ChannelStatus, Listening, ModelStatus};
use serde_json::Value;

use super::Picture;
use crate::app::{App, no_answer};
use crate::commands::doctor::{counts, tell};
use crate::commands::overview::Up;
use crate::commands::setup::ports;
use crate::printer::Tone;

/// How many findings are shown where all are not asked for: the screen has 24 lines.
const SHOWN: usize = 3;

/// How it is.
pub(super) fn facts(app: &App, it: &Picture<'_>) -> Vec<(&'static str, String)> {
    let paint = |tone, text: &str| app.printer.paint(tone, text);
    let (instance, seen) = (it.instance, &it.seen);
    let folder = app.ambient.short(&instance.state_dir);
    let mut facts = vec![
        ("Instance", format!("{} at {folder}", paint(Tone::Strong, &instance.name))),
        ("Gateway", gateway(app, it)),
        (
            "Ports",
            seen.plan()
                .map_or_else(|| "none yet".to_owned(), |plan| format!("{}{}", ports(&plan), listening(it))),
        ),
    ];
    if let Some(stranger) = &seen.stranger {
        let words = format!("{} is held by {stranger}, which is not this instance", stranger.port);
        facts.push(("Port taken", paint(Tone::Bad, &words)));
    }
    if let Ok(Up { status, .. }) = &seen.gateway {
        facts.push(("Listens", listens(&status.listening)));
        facts.push(("Model", model(app, &status.model)));
        facts.push(("Channels", channels(&status.channels)));
        facts.push(("Sessions", sessions(&status.sessions.recent, status.sessions.count)));
        facts.push(("Turns", format!("{} under way", status.active_runs)));
    } else if let Some(count) = profile::ledger::read(&instance.state_dir).sessions {
        facts.push(("Sessions", format!("{count}, as of the last stop")));
    }
    facts.extend([("Service", service(it)), ("Config", config(app, it))]);
    if let Ok(Up { status, .. }) = &seen.gateway {
        facts.extend(status.problems.iter().map(|it| ("Problem", paint(Tone::Bad, it))));
    }
    if let Some(report) = &it.audit {
        let summary = report.summary;
        let s = if summary.warn == 1 { "" } else { "s" };
        let words = format!("{} critical, {} warning{s}", summary.critical, summary.warn);
        let tone = if summary.critical > 0 { Tone::Bad } else { Tone::Faint };
        facts.push(("Security", format!("{} ({} security audit)", paint(tone, &words), instance.command())));
    }
    facts
}

/// Where, and by which certificate.
pub(crate) fn listens(it: &Listening) -> String {
    let passed = if it.is_passed { ", on sockets of the supervisor" } else { "" };
    let tls = it.tls_fingerprint.as_ref().map(|it| format!(", TLS by SHA-256 {it}")).unwrap_or_default();
    let unbelieved = match it.unbelieved_forwards {
        0 => String::new(),
        count => format!(", {count} requests with forwarding headers of no trusted proxy"),
    };
    format!("{} ({}){passed}{tls}{unbelieved}", it.bind, it.addresses.join(", "))
}

/// Who listens on them.
fn listening(it: &Picture<'_>) -> String {
    // One that hangs listens as well.
    let own = profile::claims::holder_now(&it.instance.state_dir).map(|it| it.pid);
    let one = |it: &Listener| match it.pid.is_some() && it.pid == own {
        true => format!("{} by this gateway", it.port),
        false => format!("{} by {it}", it.port),
    };
    let all: Vec<String> = it.listeners.iter().map(one).collect();
    if all.is_empty() { "; nobody listens".to_owned() } else { format!("; listened on: {}", all.join(", ")) }
}

fn gateway(app: &App, it: &Picture<'_>) -> String {
    match &it.seen.gateway {
        Ok(Up { status, .. }) => {
            let about = &status.instance;
            let (pid, up, since) = (about.pid, clock::span(status.uptime_ms), clock::rfc3339(about.since));
            let word = app.printer.paint(Tone::Good, "ready");
            format!("{word}, pid {pid}, up {up} (since {since}), version {}", about.version)
        }
        Err(error) => {
            let remedy = no_answer(it.instance, error).hints.join("; ");
            format!("{}: {error}; {remedy}", app.printer.paint(Tone::Bad, it.seen.state()))
        }
    }
}

fn model(app: &App, it: &ModelStatus) -> String {
    let reach = match &it.reach {
        None => String::new(),
        Some(it) if it.ok => {
            format!(", {} in {} ms", app.printer.paint(Tone::Good, "answers"), it.latency_ms)
        }
        Some(it) => {
            let words = format!("does not answer: {}", it.error.as_deref().unwrap_or_default());
            format!(", {}", app.printer.paint(Tone::Bad, &words))
        }
    };
    format!("{} ({}){reach}", it.primary, it.source)
}

fn channels(channels: &[ChannelStatus]) -> String {
    let one = |it: &ChannelStatus| {
        let state = if it.connected { "" } else { " (not connected)" };
        let received = match it.last_received_at {
            Some(at) => format!("last received {} ago", clock::span(clock::now_ms().saturating_sub(at))),
            None => "nothing received since the start".to_owned(),
        };
        format!("{}{state}: {received}", it.id)
    };
    if channels.is_empty() {
        "none".to_owned()
    } else {
        channels.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

fn sessions(recent: &[Value], count: u64) -> String {
    let Some(newest) = recent.first() else { return "none yet".to_owned() };
    let updated = newest["updatedAt"].as_u64().unwrap_or_default();
    let age = clock::span(clock::now_ms().saturating_sub(updated));
    format!("{count}, the newest {} ({age} ago)", newest["key"].as_str().unwrap_or_default())
}

fn service(it: &Picture<'_>) -> String {
    match &it.service {
        Service::None => "not installed".to_owned(),
        Service::Installed { enabled, .. } => {
            let word = if *enabled { "enabled" } else { "installed, not enabled" };
            format!("{word} ({})", it.instance.unit())
        }
    }
}

fn config(app: &App, it: &Picture<'_>) -> String {
    let path = app.ambient.short(&it.instance.config_path);
    let bad = |text: &str| app.printer.paint(Tone::Bad, text);
    let issues = it.config_issues();
    let in_force = it.seen.gateway.as_ref().ok().and_then(|it| it.status.config.generation);
    let generation = match (in_force, it.last.as_ref()) {
        (Some(number), _) => format!(", generation {number} in force"),
        (None, Some(last)) => format!(", generation {} accepted last", last.number),
        (None, None) => String::new(),
    };
    let changed = match it.config_changed {
        true if in_force.is_some() => format!("; {}", bad("the file is another by now")),
        true => "; the file is another by now".to_owned(),
        false => String::new(),
    };
    match issues.first() {
        Some(first) => {
            let more =
                if issues.len() > 1 { format!(" (and {} more)", issues.len() - 1) } else { String::new() };
            format!("{path}: {}{generation}", bad(&format!("{first}{more}")))
        }
        None if it.seen.has_config => format!("{path}{generation}{changed}"),
        None => format!("{path} (not there yet: {} setup)", it.instance.command()),
    }
}

/// What is wrong, a line and a remedy each; all of it where that was asked for.
pub(super) fn findings(app: &App, it: &Picture<'_>, all: bool) {
    // An instance that is yet to be made has told so in each line above.
    let is_shown = |id: &str| id != "instance.there";
    let worth: Vec<_> =
        it.findings.iter().filter(|it| is_shown(it.id) && (all || it.severity != Severity::Info)).collect();
    if worth.is_empty() {
        return;
    }
    let shown = if all { worth.len() } else { SHOWN };
    app.printer.line("");
    for finding in worth.iter().take(shown) {
        let severity = app.printer.paint(tell::tone(finding.severity), finding.severity.word());
        app.printer.line(&app.printer.folded(&format!("{severity} {}: {}", finding.place, finding.what)));
        let remedy = match finding.mendable() {
            Some(_) => format!("{} doctor --fix", it.instance.command()),
            None => finding.remedy_line(),
        };
        app.printer.set_in(2, &format!("→ {remedy}"));
    }
    let left = worth.len().saturating_sub(shown);
    if left > 0 {
        let [errors, warnings, _] = counts(&it.findings);
        let command = it.instance.command();
        let text = format!("and {left} more ({errors} errors, {warnings} warnings in all): {command} doctor");
        app.printer.line(&app.printer.folded(&text));
    }
}
