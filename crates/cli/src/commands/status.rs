//! `status`: how this instance is, on one screen.

use std::process::ExitCode;
use std::time::Duration;

use base::clock;
use profile::Instance;
use serde_json::{Value, json};

use super::overview::{self, Overview, Up};
use super::setup::ports;
use crate::app::{App, no_answer};
use crate::failure::Failure;
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw status                      the instance without a profile
  openclaw --profile rescue status     another one, wherever its gateway was started
  openclaw status --json               for scripts; exit code 0 also when no gateway runs";

/// Say how this instance is: its gateway, ports, model and conversations
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Milliseconds to wait for the gateway
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout: u64,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let seen = overview::look(instance, Duration::from_millis(args.timeout));
    if args.json {
        app.printer.json(&as_json(instance, &seen));
    } else {
        app.printer.facts(&facts(app, instance, &seen));
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(app: &App, instance: &Instance, seen: &Overview) -> Vec<(&'static str, String)> {
    let paint = |tone, text: &str| app.printer.paint(tone, text);
    let gateway = match &seen.gateway {
        Ok(Up { status, .. }) => {
            let about = &status.instance;
            let (pid, up, since) = (about.pid, clock::span(status.uptime_ms), clock::rfc3339(about.since));
            let word = paint(Tone::Good, "ready");
            format!("{word}, pid {pid}, up {up} (since {since}), version {}", about.version)
        }
        Err(error) => {
            let remedy = no_answer(instance, error).hints.join("; ");
            format!("{}: {error}; {remedy}", paint(Tone::Bad, seen.state()))
        }
    };
    let mut facts = vec![
        ("Instance", paint(Tone::Strong, &instance.name)),
        ("Gateway", gateway),
        ("Ports", seen.plan().map_or_else(|| "none yet".to_owned(), |it| ports(&it))),
    ];
    if let Some(stranger) = &seen.stranger {
        let port = stranger.port;
        facts.push((
            "Port taken",
            paint(Tone::Bad, &format!("{port} is held by {stranger}, which is not this instance")),
        ));
    }
    if let Ok(Up { status, .. }) = &seen.gateway {
        facts.push(("Model", format!("{} ({})", status.model.primary, status.model.source)));
        facts.push(("Sessions", sessions(&status.sessions.recent, status.sessions.count)));
        facts.push(("Turns", format!("{} under way", status.active_runs)));
    }
    let config = instance.config_path.display();
    let config = match (seen.has_config, seen.config.first()) {
        (_, Some(finding)) => format!("{config}: {}", paint(Tone::Bad, &finding.to_string())),
        (true, None) => config.to_string(),
        (false, None) => format!("{config} (not there yet: {} setup)", instance.command()),
    };
    facts.extend([("Config", config), ("State", instance.state_dir.display().to_string())]);
    facts
}

fn sessions(recent: &[Value], count: u64) -> String {
    let Some(newest) = recent.first() else { return "none yet".to_owned() };
    let updated = newest["updatedAt"].as_u64().unwrap_or_default();
    let age = clock::span(clock::now_ms().saturating_sub(updated));
    format!("{count}, the newest {} ({age} ago)", newest["key"].as_str().unwrap_or_default())
}

/// The keys of the original where it has them, and the instance, which it never names.
fn as_json(instance: &Instance, seen: &Overview) -> Value {
    let up = seen.gateway.as_ref().ok();
    let status = up.map(|it| json!(it.status)).unwrap_or_default();
    let url = seen.port.map(|(port, _)| format!("ws://127.0.0.1:{port}"));
    let plan = seen.plan();
    json!({
        "instance": {
            "name": instance.name,
            "profile": instance.profile.as_ref().map(ToString::to_string),
            "state": seen.state(),
            "stateDir": instance.state_dir,
            "configPath": instance.config_path,
            "controlSocket": profile::control::path(&instance.state_dir),
            "unit": instance.unit(),
            "port": seen.port.map(|(port, _)| port),
            "ports": plan.map(|it| json!({
                "gateway": it.base, "browserControl": it.control, "canvas": it.canvas,
                "cdp": [it.cdp.start(), it.cdp.end()],
            })),
            "pid": up.map(|it| it.status.instance.pid),
            "since": up.map(|it| it.status.instance.since),
            "uptimeMs": up.map(|it| it.status.uptime_ms),
            "version": up.map(|it| it.status.instance.version.as_str()),
        },
        "gateway": {
            "mode": "local",
            "url": url,
            "urlSource": seen.port.map(|(_, source)| source),
            "misconfigured": !seen.config.is_empty(),
            "reachable": up.is_some(),
            "connectLatencyMs": up.map(|it| it.latency.as_secs_f64() * 1000.0),
            "self": up.map(|it| json!({
                "host": it.host, "ip": "127.0.0.1", "version": it.status.instance.version,
                "platform": std::env::consts::OS,
            })),
            "error": seen.gateway.as_ref().err().map(ToString::to_string),
        },
        "config": {
            "path": instance.config_path,
            "exists": seen.has_config,
            "valid": seen.has_config && seen.config.is_empty(),
            "issues": seen.config.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "portHeldBy": seen.stranger.as_ref().map(ToString::to_string),
        "os": {"platform": std::env::consts::OS, "arch": std::env::consts::ARCH},
        "model": status["model"],
        "heartbeat": status["heartbeat"],
        "channelSummary": status["channelSummary"],
        "queuedSystemEvents": status["queuedSystemEvents"],
        "sessions": status["sessions"],
        "activeRuns": status["activeRuns"],
    })
}
