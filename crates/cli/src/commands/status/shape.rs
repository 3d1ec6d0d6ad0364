//! `status --json`: the keys of the original where it has them, and the instance, which it never names.

use serde_json::{Value, json};

use super::Picture;
use crate::commands::doctor::counts;

/// The whole answer.
pub(super) fn as_json(it: &Picture<'_>) -> Value {
    let (instance, seen) = (it.instance, &it.seen);
    let up = seen.gateway.as_ref().ok();
    let status = up.map(|it| json!(it.status)).unwrap_or_default();
    let issues = it.config_issues();
    let mut value = json!({
        "instance": about(it),
        "gateway": {
            "mode": "local",
            "url": seen.port.map(|(port, _)| format!("{}://127.0.0.1:{port}", seen.scheme())),
            "urlSource": seen.port.map(|(_, source)| source),
            "misconfigured": !issues.is_empty(),
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
            "valid": seen.has_config && issues.is_empty(),
            "issues": issues,
            "generation": {
                "inForce": status["config"]["generation"],
                "last": it.last.as_ref().map(|it| it.number),
                "acceptedAt": it.last.as_ref().map(|it| it.at),
                "fileChanged": it.config_changed,
            },
        },
        "listening": status["listening"],
        "listeners": it.listeners.iter().map(|it| {
            json!({"port": it.port, "pid": it.pid, "command": it.program, "user": it.uid})
        }).collect::<Vec<_>>(),
        "portHeldBy": seen.stranger.as_ref().map(ToString::to_string),
        "os": {"platform": std::env::consts::OS, "arch": std::env::consts::ARCH},
        "model": status["model"],
        "heartbeat": status["heartbeat"],
        "channels": status["channels"],
        "channelSummary": status["channelSummary"],
        "queuedSystemEvents": status["queuedSystemEvents"],
        "sessions": status["sessions"],
        "activeRuns": status["activeRuns"],
    });
    add_findings(&mut value, &status, it);
    value
}

fn add_findings(value: &mut Value, status: &Value, it: &Picture<'_>) {
    let [errors, warnings, infos] = counts(&it.findings);
    let installed = it.service.unit().is_some();
    value["service"] = json!(it.service);
    value["gatewayService"] = json!({
        "label": "systemd", "installed": installed, "loadedText": it.service.to_string(),
    });
    value["problems"] = status["problems"].clone();
    value["conflicts"] = status["conflicts"].clone();
    value["findings"] = json!(it.findings);
    value["findingsSummary"] = json!({"error": errors, "warn": warnings, "info": infos});
    if let Some(report) = &it.audit {
        value["securityAudit"] = json!(report);
    }
    if let Some(all) = &it.everything {
        value["all"] = all.as_json();
    }
}

fn about(it: &Picture<'_>) -> Value {
    let (instance, seen) = (it.instance, &it.seen);
    let up = seen.gateway.as_ref().ok();
    json!({
        "name": instance.name,
        "profile": instance.profile.as_ref().map(ToString::to_string),
        "state": seen.state(),
        "stateDir": instance.state_dir,
        "configPath": instance.config_path,
        "controlSocket": profile::control::path(&instance.state_dir),
        "unit": instance.unit(),
        "port": seen.port.map(|(port, _)| port),
        "ports": seen.plan().map(|it| json!({
            "gateway": it.base, "browserControl": it.control, "canvas": it.canvas,
            "cdp": [it.cdp.start(), it.cdp.end()],
        })),
        "pid": up.map(|it| it.status.instance.pid),
        "since": up.map(|it| it.status.instance.since),
        "uptimeMs": up.map(|it| it.status.uptime_ms),
        "version": up.map(|it| it.status.instance.version.as_str()),
    })
}
