//! `fleet`: all instances of this host, from outside. No verb needs a running gateway or a valid config.

mod claims;
mod copy;
mod create;
mod exec;
pub(crate) mod find;
mod history;
mod import;
mod logs;
mod ls;
mod ports;
pub(crate) mod process;
mod repair;
pub(crate) mod snapshot;
mod why;

use std::process::ExitCode;

use clap::Subcommand;

use crate::app::App;
use crate::commands::ward::Touch;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet ls                             every instance of this host, and how it is
  openclaw fleet create acme                    a new one, on ports of its own
  openclaw fleet why acme                       why it is as it is
  openclaw fleet restart --all                  one after the other answers again
  openclaw fleet logs main rescue --follow      both logs as one";

/// What `openclaw fleet` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    command: FleetCommand,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
enum FleetCommand {
    Ls(ls::LsArgs),
    Claims(claims::ClaimsArgs),
    Why(why::WhyArgs),
    History(history::HistoryArgs),
    Ports(ports::PortsArgs),
    Create(create::CreateArgs),
    Clone(copy::CloneArgs),
    Rename(copy::RenameArgs),
    Rm(copy::RmArgs),
    Snapshot(snapshot::SnapshotArgs),
    Restore(snapshot::RestoreArgs),
    Import(import::ImportArgs),
    Start(process::StartArgs),
    Stop(process::StopArgs),
    Restart(process::RestartArgs),
    Logs(logs::LogsArgs),
    Exec(exec::ExecArgs),
    Repair(repair::RepairArgs),
}

impl FleetArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            FleetCommand::Ls(it) => it.json,
            FleetCommand::Claims(it) => it.json,
            FleetCommand::Why(it) => it.json,
            FleetCommand::History(it) => it.json,
            FleetCommand::Ports(it) => it.json,
            FleetCommand::Create(it) => it.json,
            FleetCommand::Clone(it) => it.json,
            FleetCommand::Rename(it) => it.json,
            FleetCommand::Rm(it) => it.json,
            FleetCommand::Snapshot(it) => it.json,
            FleetCommand::Restore(it) => it.json,
            FleetCommand::Import(it) => it.json,
            FleetCommand::Start(it) => it.which.json,
            FleetCommand::Stop(it) => it.which.json,
            FleetCommand::Restart(it) => it.which.json,
            FleetCommand::Logs(it) => it.reading.json,
            FleetCommand::Exec(it) => it.json,
            FleetCommand::Repair(it) => it.json,
        }
    }
}

impl FleetArgs {
    /// What it does to the instance that `--for` names.
    pub(crate) fn touch(&self) -> Touch {
        match &self.command {
            FleetCommand::Why(_) | FleetCommand::History(_) | FleetCommand::Logs(_) => Touch::Looks,
            FleetCommand::Snapshot(_)
            | FleetCommand::Restore(_)
            | FleetCommand::Start(_)
            | FleetCommand::Stop(_)
            | FleetCommand::Restart(_) => Touch::Acts,
            _ => Touch::Own,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: FleetArgs) -> Result<ExitCode, Failure> {
    match args.command {
        FleetCommand::Ls(args) => ls::run(app, &args),
        FleetCommand::Claims(args) => claims::run(app, &args),
        FleetCommand::Why(args) => why::run(app, &args),
        FleetCommand::History(args) => history::run(app, &args),
        FleetCommand::Ports(args) => ports::run(app, &args),
        FleetCommand::Create(args) => create::run(app, &args),
        FleetCommand::Clone(args) => copy::run_clone(app, &args),
        FleetCommand::Rename(args) => copy::run_rename(app, &args),
        FleetCommand::Rm(args) => copy::run_rm(app, &args),
        FleetCommand::Snapshot(args) => snapshot::take(app, &args),
        FleetCommand::Restore(args) => snapshot::restore(app, &args),
        FleetCommand::Import(args) => import::run(app, &args),
        FleetCommand::Start(args) => process::start(app, &args),
        FleetCommand::Stop(args) => process::stop(app, &args),
        FleetCommand::Restart(args) => process::restart(app, &args),
        FleetCommand::Logs(args) => logs::run(app, &args),
        FleetCommand::Exec(args) => exec::run(app, &args),
        FleetCommand::Repair(args) => repair::run(app, &args),
    }
}
