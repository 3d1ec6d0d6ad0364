//! `system`: tell the running gateway what happened, and see who is there.

use std::process::ExitCode;

use base::clock;
use clap::{Subcommand, ValueEnum};
use protocol::catalogues::{LastHeartbeat, Nothing};
use protocol::presence::{PresenceParams, SystemPresence};
use protocol::system::{Wake, WakeMode, WakeParams};

use crate::app::{App, no_answer};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main system event --text \"the backup is done\"
  openclaw --profile main system event --text \"look at the mail\" --mode now
  openclaw --profile main system presence --json
  openclaw --profile main system heartbeat last";

/// What `openclaw system` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SystemArgs {
    #[command(subcommand)]
    command: SystemCommand,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
enum SystemCommand {
    Event(EventArgs),
    Presence(PlainArgs),
    /// What the gateway does by itself from time to time
    #[command(after_help = "Examples:\n  openclaw --profile main system heartbeat last")]
    Heartbeat {
        #[command(subcommand)]
        command: HeartbeatCommand,
    },
}

#[derive(Debug, Subcommand)]
enum HeartbeatCommand {
    /// The last one; null, as this version has none
    Last(PlainArgs),
}

/// When the agent hears of it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// A turn begins
    Now,
    /// With the next turn
    NextHeartbeat,
}

/// Tell the agent what happened: with its next turn, or at once
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  openclaw --profile main system event --text \"the door is open\" --mode now"
)]
struct EventArgs {
    /// What happened
    #[arg(long)]
    text: String,

    /// When the agent hears of it
    #[arg(long, value_enum, default_value = "next-heartbeat")]
    mode: Mode,

    /// The conversation; the default agent's main one where none is named
    #[arg(long, value_name = "KEY")]
    session_key: Option<String>,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// List who is there
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  openclaw --profile main system presence")]
struct PlainArgs {
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl SystemArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            SystemCommand::Event(it) => it.json,
            SystemCommand::Presence(it) => it.json,
            SystemCommand::Heartbeat { command: HeartbeatCommand::Last(it) } => it.json,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: SystemArgs) -> Result<ExitCode, Failure> {
    let json = args.wants_json();
    match args.command {
        SystemCommand::Event(it) => event(app, it),
        SystemCommand::Presence(_) => presence(app, json),
        SystemCommand::Heartbeat { .. } => heartbeat(app, json),
    }
}

fn event(app: &App, args: EventArgs) -> Result<ExitCode, Failure> {
    let (mode, words) = match args.mode {
        Mode::Now => (WakeMode::Now, "a turn about it has begun"),
        Mode::NextHeartbeat => (WakeMode::NextHeartbeat, "the agent hears of it with its next turn"),
    };
    let params = WakeParams { mode, text: args.text, session_key: args.session_key, agent_id: None };
    let reply = ask::<Wake>(app, &params)?;
    if args.json {
        app.printer.json(&reply);
    } else {
        app.printer.line(&format!("told instance {}: {words}", app.instance()?.name));
    }
    Ok(ExitCode::SUCCESS)
}

fn presence(app: &App, json: bool) -> Result<ExitCode, Failure> {
    let reply = ask::<SystemPresence>(app, &PresenceParams {})?;
    if json {
        app.printer.json(&reply);
        return Ok(ExitCode::SUCCESS);
    }
    let now = clock::now_ms();
    let rows = reply.into_iter().map(|it| {
        let age = format!("{} ago", clock::span(now.saturating_sub(it.ts)));
        let told = [it.host, it.mode, it.reason].map(Option::unwrap_or_default);
        told.into_iter().chain([age, it.text.unwrap_or_default()]).collect()
    });
    app.printer.table(&["HOST", "KIND", "WHY", "HEARD OF", "TEXT"], rows.collect());
    Ok(ExitCode::SUCCESS)
}

fn heartbeat(app: &App, json: bool) -> Result<ExitCode, Failure> {
    let reply = ask::<LastHeartbeat>(app, &Nothing {})?;
    if json {
        app.printer.json(&reply);
    } else {
        app.printer.line(&reply.map_or_else(|| "none".to_owned(), |it| it.to_string()));
    }
    Ok(ExitCode::SUCCESS)
}

fn ask<M: protocol::Method>(app: &App, params: &M::Params) -> Result<M::Reply, Failure> {
    let asked = app.client()?.call::<M>(params);
    match (asked, app.instance()) {
        (Ok(reply), _) => Ok(reply),
        (Err(error), Ok(instance)) => Err(no_answer(instance, &error)),
        (Err(_), Err(failure)) => Err(failure),
    }
}
