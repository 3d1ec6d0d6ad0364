//! `gateway`: run it, ask it, call it, and have it started with the machine.

pub(crate) mod call;
mod elsewhere;
pub(crate) mod run;
pub(crate) mod service;
mod socket;
pub(crate) mod status;

use std::process::ExitCode;

use clap::Subcommand;

use self::call::CallArgs;
use self::run::RunArgs;
use self::service::{InstallArgs, StartArgs, SteerArgs, Verb};
use self::status::GatewayStatusArgs;
use super::health::{self, HealthArgs};
use crate::app::App;
use crate::commands::ward::Touch;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile rescue gateway --port 19001
  openclaw --profile main gateway status
  openclaw --profile main gateway call chat.history --params '{\"sessionKey\": \"main\"}'";

/// What `openclaw gateway` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GatewayArgs {
    #[command(subcommand)]
    command: Option<GatewayCommand>,

    #[command(flatten)]
    run: RunArgs,
}

/// What there is to do with a gateway.
#[derive(Debug, Subcommand)]
enum GatewayCommand {
    Run(RunArgs),
    Status(GatewayStatusArgs),
    /// Ask the gateway how it is; exit code 1 when it is not well or does not answer
    Health(HealthArgs),
    Call(CallArgs),
    Install(InstallArgs),
    /// Stop the service of this instance and take its unit away
    Uninstall(SteerArgs),
    /// Start the service of this instance, and wait until it is ready
    Start(StartArgs),
    /// Stop the service of this instance until the next boot or start
    Stop(SteerArgs),
    /// Stop and start the service of this instance
    Restart(SteerArgs),
}

impl GatewayArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            Some(GatewayCommand::Status(it)) => it.json,
            Some(GatewayCommand::Health(it)) => it.json,
            Some(GatewayCommand::Call(it)) => it.json,
            Some(GatewayCommand::Install(it)) => it.json,
            Some(GatewayCommand::Start(it)) => it.json,
            Some(GatewayCommand::Uninstall(it) | GatewayCommand::Stop(it) | GatewayCommand::Restart(it)) => {
                it.json
            }
            Some(GatewayCommand::Run(_)) | None => false,
        }
    }
}

impl GatewayArgs {
    /// What it does to the instance that `--for` names. To run a gateway is its own process's work.
    pub(crate) fn touch(&self) -> Touch {
        match &self.command {
            None | Some(GatewayCommand::Run(_)) => Touch::Own,
            Some(GatewayCommand::Status(_) | GatewayCommand::Health(_)) => Touch::Looks,
            Some(_) => Touch::Acts,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: GatewayArgs) -> Result<ExitCode, Failure> {
    if args.command.is_some() && args.run.is_given() {
        let words = "options of the run stand before another command of `gateway`";
        return Err(Failure::new(Kind::Usage, words)
            .hint("put them behind it, as in: openclaw gateway run --port PORT"));
    }
    match args.command {
        None => run::run(app, args.run),
        Some(GatewayCommand::Run(args)) => run::run(app, args),
        Some(GatewayCommand::Status(args)) => status::run(app, &args),
        Some(GatewayCommand::Health(args)) => health::run(app, &args),
        Some(GatewayCommand::Call(args)) => call::run(app, &args),
        Some(GatewayCommand::Install(args)) => service::install(app, &args),
        Some(GatewayCommand::Uninstall(args)) => service::uninstall(app, &args),
        Some(GatewayCommand::Start(args)) => service::start(app, &args),
        Some(GatewayCommand::Stop(args)) => service::steer(app, Verb::Stop, &args),
        Some(GatewayCommand::Restart(args)) => service::steer(app, Verb::Restart, &args),
    }
}
