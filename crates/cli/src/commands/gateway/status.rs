//! `gateway status`: the gateway of this instance, its config and its port.

use std::process::ExitCode;
use std::time::Duration;

use fleet::look::{Kind, Seen};
use fleet::service::{self, Service, judge, systemd};
use profile::Instance;
use profile::listener::{self, Listener};
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::overview::{self, Overview};
use crate::commands::status::listens;
use crate::failure::{self, Failure};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main gateway status
  openclaw gateway status --deep             every gateway of this host
  openclaw gateway status --require-rpc      exit code 1 when the gateway does not answer";

/// Say whether the gateway of this instance runs, where, and by which config
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GatewayStatusArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Fail when the gateway does not answer
    #[arg(long)]
    require_rpc: bool,

    /// List every gateway of this host as well, this program's and the original's
    #[arg(long)]
    deep: bool,

    /// Milliseconds to wait for the gateway
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout: u64,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &GatewayStatusArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let seen = overview::look(instance, Duration::from_millis(args.timeout));
    let listener = seen.port.and_then(|(port, _)| listener::who(port));
    let unit = unit(app, instance, seen.port.map(|it| it.0));
    let others = if args.deep { Some(fleet::look::deep(&instance.host, &app.ambient)) } else { None };
    if args.json {
        let mut value = as_json(instance, &seen, listener.as_ref());
        value["service"] = unit;
        if let Some(others) = others {
            value["gateways"] = json!(others);
        }
        app.printer.json(&value);
    } else {
        tell(app, instance, &seen, listener.as_ref());
        app.printer.facts(&[("Service", in_words(&unit))]);
        for line in drift(&unit) {
            app.printer.facts(&[("", app.printer.paint(Tone::Bad, &line))]);
        }
        if let Some(others) = others {
            list(app, others);
        }
    }
    let failed = args.require_rpc && seen.gateway.is_err();
    Ok(if failed { failure::Kind::Failed.code() } else { ExitCode::SUCCESS })
}

/// The unit of the instance, and what systemd says of it.
fn unit(app: &App, instance: &Instance, port: Option<u16>) -> Value {
    let it = service::of(instance, &app.ambient);
    let Service::Installed { unit, enabled } = &it else {
        return json!({"label": "systemd", "loaded": false, "unit": null, "runtime": null});
    };
    let shown = systemd::show(service::scope(unit), &app.ambient, &instance.unit());
    let runtime = match shown {
        Ok(pairs) => pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect(),
        Err(error) => json!({"error": error.to_string()}),
    };
    let is_replaced = runtime["MainPID"].as_str().is_some_and(judge::runs_replaced);
    let config = judge::of(instance, &app.ambient, port);
    let socket = service::socket::beside(unit);
    let socket = socket.is_file().then_some(socket);
    json!({
        "label": "systemd", "loaded": enabled, "unit": unit, "socket": socket, "runtime": runtime, "config": config,
        "programReplaced": is_replaced,
    })
}

/// What is not as it should be with the unit, a line each.
fn drift(unit: &Value) -> Vec<String> {
    let drift = unit["config"]["drift"].as_array().into_iter().flatten();
    let mut lines: Vec<String> =
        drift.filter_map(|it| it["what"].as_str()).map(|it| format!("the unit {it}")).collect();
    if unit["config"]["standing"] == "foreign" {
        lines.push("the unit was not written by this program".to_owned());
    }
    if unit["runtime"]["NeedDaemonReload"] == "yes" {
        lines.push("systemd goes by an older text of the unit: systemctl daemon-reload".to_owned());
    }
    if unit["programReplaced"] == true {
        lines.push(
            "the program's file was replaced since it was started: a restart takes the new one".to_owned(),
        );
    }
    let difference = unit["config"]["difference"].as_array().into_iter().flatten();
    lines.extend(difference.filter_map(|it| it.as_str()).map(|it| format!("  {it}")));
    lines
}

fn in_words(unit: &Value) -> String {
    let Some(file) = unit["unit"].as_str() else { return "not installed".to_owned() };
    let runtime = &unit["runtime"];
    let enabled = if unit["loaded"] == true { "enabled" } else { "not enabled" };
    let state = runtime["ActiveState"].as_str().or(runtime["error"].as_str()).unwrap_or("unknown");
    let again = runtime["NRestarts"].as_str().filter(|it| *it != "0");
    let again = again.map(|it| format!(", started again {it} times")).unwrap_or_default();
    format!("{enabled}, {state}{again} ({file})")
}

/// Every gateway of the host, a line each: whose it is, how it is, and what starts it.
fn list(app: &App, others: Vec<Seen>) {
    let findings: Vec<_> = others
        .iter()
        .flat_map(|it| it.findings.iter().map(|finding| format!("{}: {finding}", it.name)))
        .collect();
    let rows = others.into_iter().map(|it| {
        let whose = if it.kind == Kind::Ours { "openclaw" } else { "the original" };
        let number = |it: Option<u64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
        vec![
            it.name.clone(),
            whose.to_owned(),
            it.state.word().to_owned(),
            number(it.port.map(u64::from)),
            number(it.pid.map(u64::from)),
            it.service.to_string(),
            it.found_by.iter().map(|it| it.word()).collect::<Vec<_>>().join(", "),
        ]
    });
    app.printer.line("");
    app.printer.table(&["GATEWAY", "OF", "STATE", "PORT", "PID", "SERVICE", "FOUND BY"], rows.collect());
    for it in findings {
        app.printer.line(&app.printer.folded(&it));
    }
}

fn tell(app: &App, instance: &Instance, seen: &Overview, listener: Option<&Listener>) {
    let port = match seen.port {
        Some((port, source)) => format!("127.0.0.1:{port} (from {source})"),
        None => "none yet".to_owned(),
    };
    let rpc = match &seen.gateway {
        Ok(up) => {
            let took = up.latency.as_secs_f64() * 1000.0;
            format!("{} (pid {}, {took:.1} ms)", app.printer.paint(Tone::Good, "ok"), up.status.instance.pid)
        }
        Err(error) => app.printer.paint(Tone::Bad, &error.to_string()),
    };
    let listening = match (&seen.gateway, listener) {
        (_, None) => "nobody".to_owned(),
        (Ok(up), Some(it)) if it.pid == Some(up.status.instance.pid) => it.to_string(),
        (Err(_), Some(it)) if seen.stranger.is_none() => it.to_string(),
        (_, Some(it)) => app.printer.paint(Tone::Bad, &format!("{it}, which is not this instance")),
    };
    let valid = if seen.config.is_empty() { "" } else { " (does not parse)" };
    app.printer.facts(&[
        ("Instance", app.printer.paint(Tone::Strong, &instance.name)),
        ("RPC", rpc),
        ("Gateway", port),
        ("Listening", listening),
        ("Bind", seen.gateway.as_ref().map_or_else(|_| "-".to_owned(), |it| listens(&it.status.listening))),
        ("Control", profile::control::path(&instance.state_dir).display().to_string()),
        ("Config", format!("{}{valid}", instance.config_path.display())),
        ("Log", instance.state_dir.join("logs/gateway.log").display().to_string()),
    ]);
}

fn as_json(instance: &Instance, seen: &Overview, listener: Option<&Listener>) -> Value {
    let port = seen.port.map(|(port, _)| port);
    let url = port.map(|it| format!("{}://127.0.0.1:{it}", seen.scheme()));
    let about = seen.gateway.as_ref().ok().map(|it| &it.status.listening);
    let valid = seen.has_config && seen.config.is_empty();
    let issues: Vec<_> = seen.config.iter().map(ToString::to_string).collect();
    let listeners: Vec<_> = listener
        .iter()
        .map(|it| json!({"pid": it.pid, "command": it.program, "user": it.uid, "address": "127.0.0.1"}))
        .collect();
    let pid = seen.gateway.as_ref().ok().map(|it| it.status.instance.pid);
    json!({
        "instance": {"name": instance.name, "stateDir": instance.state_dir, "pid": pid},
        "config": {"cli": {
            "path": instance.config_path, "exists": seen.has_config, "valid": valid, "issues": issues,
        }},
        "gateway": {
            "bindMode": about.map_or("loopback", |it| it.bind.as_str()),
            "bindHost": about.and_then(|it| it.addresses.first()).and_then(|it| Some(it.rsplit_once(':')?.0))
                .unwrap_or("127.0.0.1"),
            "listening": about,
            "tlsFingerprint": about.and_then(|it| it.tls_fingerprint.as_ref()),
            "port": port,
            "portSource": seen.port.map(|(_, source)| source),
            "probeUrl": url,
        },
        "port": {
            "port": port,
            "status": if listener.is_some() { "busy" } else { "free" },
            "listeners": listeners,
            "hints": seen.stranger.as_ref().map(|it| vec![format!("{it} is not this instance")]).unwrap_or_default(),
        },
        "rpc": {
            "ok": pid.is_some(),
            "url": profile::control::path(&instance.state_dir),
            "error": seen.gateway.as_ref().err().map(ToString::to_string),
        },
    })
}
