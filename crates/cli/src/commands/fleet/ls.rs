//! `fleet ls`: every instance of this host, and how it is.

use std::process::ExitCode;

use base::clock;
use fleet::look::{self, Kind, Seen, State};
use profile::Ambient;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet ls
  openclaw fleet ls --json | jq -r '.instances[] | select(.state != \"ready\") | .name'

States: ready, starting, degraded (it says what is wrong), deaf (it runs and does not answer), stopped, conflict
(something that it needs belongs to somebody else). A star behind the config's generation: the file has changed since.";

/// What a narrow terminal does without, first to last.
const DISPENSABLE: [&str; 6] = ["SERVICE", "CHANNELS", "VERSION", "CONFIG", "SESSIONS", "PSS"];

/// List every instance of this host, and how it is
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, visible_alias = "list")]
pub(super) struct LsArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &LsArgs) -> Result<ExitCode, Failure> {
    let seen = look::all(&app.host()?, &app.ambient);
    if args.json {
        app.printer.json(&json!({"instances": seen}));
        return Ok(ExitCode::SUCCESS);
    }
    if seen.is_empty() {
        app.printer.note("there is no instance yet: openclaw fleet create NAME, or openclaw setup");
        return Ok(ExitCode::SUCCESS);
    }
    let head = [
        "NAME", "STATE", "PORTS", "VERSION", "UPTIME", "PSS", "CHANNELS", "SESSIONS", "CONFIG", "SERVICE",
        "FOLDER",
    ];
    let rows = seen.iter().map(|it| row(app, it)).collect();
    let left_out = app.printer.fitting_table(&head, rows, &DISPENSABLE);
    for it in &seen {
        for finding in &it.findings {
            let words = format!("{}: {finding}", app.printer.paint(Tone::Strong, &it.name));
            app.printer.line(&app.printer.folded(&words));
        }
    }
    if let torn @ 1.. = app.host()?.unreadable().len() {
        app.printer.note(&format!("{torn} record(s) of this host cannot be read: openclaw fleet repair"));
    }
    if !left_out.is_empty() {
        let words = format!("left out on this narrow terminal: {}; --json has all", left_out.join(", "));
        app.printer.note(&app.printer.paint(Tone::Faint, &app.printer.folded(&words)));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(app: &App, it: &Seen) -> Vec<String> {
    let dash = || "-".to_owned();
    let changed = if it.config_changed { "*" } else { "" };
    vec![
        it.name.clone(),
        app.printer.paint(tone(it.state), it.state.word()),
        it.port.map_or_else(dash, |port| format!("{port}+2+4{}", beyond(it))),
        match it.kind {
            Kind::Ours => it.version.clone().unwrap_or_else(dash),
            Kind::Original => "original".to_owned(),
        },
        it.uptime_ms.map_or_else(dash, clock::span),
        it.pss_bytes.map_or_else(dash, megabytes),
        if it.channels.is_empty() { dash() } else { it.channels.join(",") },
        it.sessions.map_or_else(dash, |it| it.to_string()),
        it.generation.map_or_else(dash, |it| format!("{it}{changed}")),
        it.service.to_string(),
        folder(&app.ambient, it),
    ]
}

/// The mode, where others than this machine's own programs can reach it.
fn beyond(it: &Seen) -> String {
    let bind = it.bind.as_deref().filter(|it| !matches!(*it, "loopback" | "auto"));
    bind.map_or_else(String::new, |it| format!(" {it}"))
}

fn folder(ambient: &Ambient, it: &Seen) -> String {
    let rescue = it.rescue_for.as_ref().map_or_else(String::new, |it| format!(" (rescue of {it})"));
    ambient.short(&it.folder) + &rescue
}

/// How a state looks.
pub(super) fn tone(state: State) -> Tone {
    match state {
        State::Ready => Tone::Good,
        State::Degraded | State::Deaf | State::Conflict => Tone::Bad,
        State::Starting | State::Stopped => Tone::Faint,
    }
}

/// Bytes in megabytes, as memory is counted.
pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
