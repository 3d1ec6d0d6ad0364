//! The commands, a file each.

pub(crate) mod agent;
pub(crate) mod agents;
pub(crate) mod approvals;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod configure;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod fleet;
pub(crate) mod gateway;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod nodes;
pub(crate) mod onboard;
pub(crate) mod overview;
pub(crate) mod security;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod system;
pub(crate) mod update;
pub(crate) mod ward;

use std::process::ExitCode;

use crate::app::App;
use crate::cli::{Command, Later};
use crate::failure::Failure;
use crate::quickstart;

/// Runs one.
pub(crate) fn run(app: &App, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Quickstart(args) => quickstart::run(app, &args),
        Command::Setup(args) => setup::run(app, &args),
        Command::Onboard(args) => onboard::run(app, &args),
        Command::Configure(args) => configure::run(app, &args),
        Command::Config(args) => config::run(app, &args),
        Command::Gateway(Later(args)) => gateway::run(app, args),
        Command::Status(args) => status::run(app, &args),
        Command::Health(args) => health::run(app, &args),
        Command::Doctor(args) => doctor::run(app, &args),
        Command::Security(args) => security::run(app, &args),
        Command::Devices(args) => devices::run(app, &args),
        Command::Qr(args) => devices::run_qr(app, &args),
        Command::Agent(args) => agent::run(app, &args),
        Command::Agents(Later(args)) => agents::run(app, args),
        Command::System(Later(args)) => system::run(app, args),
        Command::Sessions(args) => sessions::run(app, &args),
        Command::Nodes(args) => nodes::run(app, &args),
        Command::Approvals(args) => approvals::run(app, &args),
        Command::Logs(args) => logs::run(app, &args),
        Command::Fleet(Later(args)) => fleet::run(app, args),
        Command::Update(args) => update::run(app, &args),
        Command::Completion(args) => completion::run(app, &args),
    }
}
