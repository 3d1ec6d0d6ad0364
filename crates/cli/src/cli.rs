//! The command line: root options that every command takes, and the commands.

use clap::{ArgAction, Parser, Subcommand};
use profile::Selection;

use crate::commands::agent::AgentArgs;
use crate::commands::agents::AgentsArgs;
use crate::commands::approvals::ApprovalsArgs;
use crate::commands::completion::CompletionArgs;
use crate::commands::config::ConfigArgs;
use crate::commands::configure::ConfigureArgs;
use crate::commands::devices::{DevicesArgs, QrArgs};
use crate::commands::doctor::DoctorArgs;
use crate::commands::fleet::FleetArgs;
use crate::commands::gateway::GatewayArgs;
use crate::commands::health::HealthArgs;
use crate::commands::logs::LogsArgs;
use crate::commands::nodes::NodesArgs;
use crate::commands::onboard::OnboardArgs;
use crate::commands::security::SecurityArgs;
use crate::commands::sessions::SessionsArgs;
use crate::commands::setup::SetupArgs;
use crate::commands::status::StatusArgs;
use crate::commands::system::SystemArgs;
use crate::quickstart::QuickstartArgs;

const EXAMPLES: &str = "\
Examples:
  openclaw quickstart                            two gateways, and a chat with the first
  openclaw --profile main setup                  make the instance main
  openclaw --profile main gateway                run its gateway here
  openclaw --profile main status                 how it is
  openclaw --profile main agent --message \"hi\"   one question, one answer
  openclaw fleet ls                              all instances of this host";

/// Many isolated AI gateways on one host
#[derive(Debug, Parser)]
#[command(name = "openclaw", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The instance to act on: its own folder, config, ports and service name
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,

    /// The profile `dev`, with base port 19001
    #[arg(long)]
    dev: bool,

    /// Print without colours, as NO_COLOR does
    #[arg(long, global = true)]
    pub(crate) no_color: bool,

    /// How much a gateway logs: silent, fatal, error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// Print version
    #[arg(short = 'v', action = ArgAction::Version, hide = true)]
    version_too: Option<bool>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Quickstart(QuickstartArgs),
    Setup(SetupArgs),
    Onboard(Box<OnboardArgs>),
    Configure(Box<ConfigureArgs>),
    Config(ConfigArgs),
    Gateway(GatewayArgs),
    Status(StatusArgs),
    Health(HealthArgs),
    Doctor(DoctorArgs),
    Security(SecurityArgs),
    Devices(DevicesArgs),
    Qr(QrArgs),
    Agent(AgentArgs),
    Agents(AgentsArgs),
    System(SystemArgs),
    Sessions(SessionsArgs),
    Nodes(NodesArgs),
    Approvals(ApprovalsArgs),
    Logs(LogsArgs),
    Fleet(FleetArgs),
    Completion(CompletionArgs),
}

impl Cli {
    /// What the command line says about the instance.
    pub(crate) fn selection(&self) -> Selection {
        Selection { profile: self.profile.clone(), dev: self.dev }
    }
}

impl Command {
    /// Whether the answer is for a program, also when it is a failure.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Command::Quickstart(_) => false,
            Command::Setup(it) => it.json,
            Command::Onboard(it) => it.answers.json,
            Command::Configure(it) => it.answers.json,
            Command::Config(it) => it.wants_json(),
            Command::Gateway(it) => it.wants_json(),
            Command::Status(it) => it.json,
            Command::Health(it) => it.json,
            Command::Doctor(it) => it.json,
            Command::Security(it) => it.wants_json(),
            Command::Devices(it) => it.json,
            Command::Qr(it) => it.json,
            Command::Agent(it) => it.json,
            Command::Agents(it) => it.wants_json(),
            Command::System(it) => it.wants_json(),
            Command::Sessions(it) => it.wants_json(),
            Command::Nodes(it) => it.json,
            Command::Approvals(it) => it.json,
            Command::Logs(it) => it.reading.json,
            Command::Fleet(it) => it.wants_json(),
            Command::Completion(it) => it.json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_profile_may_stand_anywhere_before_the_end_of_options() {
        for line in
            ["--profile a status", "status --profile a", "gateway --profile a run", "--profile=a gateway"]
        {
            let cli = Cli::try_parse_from(std::iter::once("openclaw").chain(line.split(' '))).expect(line);
            assert_eq!(cli.selection().profile.as_deref(), Some("a"), "{line}");
        }
    }
}
