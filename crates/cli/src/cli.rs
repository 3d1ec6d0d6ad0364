//! The command line: root options that every command takes, and the commands.

use std::ops::Deref;

use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
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
use crate::commands::update::UpdateArgs;
use crate::commands::ward::Touch;
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

    /// The instance that the command is about, in the name of the selected one: a rescue's ward
    #[arg(long = "for", global = true, value_name = "NAME")]
    pub(crate) ward: Option<String>,

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
    /// Start two isolated gateways, main and rescue, and chat with main; Ctrl-C stops both
    Quickstart(Later<QuickstartArgs>),
    /// Make this instance's config, state folder and workspace; keep what is there
    Setup(Later<SetupArgs>),
    /// Set up an instance step by step: model, channels, access; nothing is written before the last answer
    Onboard(Later<Box<OnboardArgs>>),
    /// Change single parts of an instance's set-up; comments and everything else in the config stay
    Configure(Later<Box<ConfigureArgs>>),
    /// See, change and take back this instance's config; comments and order stay
    Config(Later<ConfigArgs>),
    /// Run this instance's gateway here, or look into it
    Gateway(Later<GatewayArgs>),
    /// Say how this instance is: its gateway, ports, model and conversations
    Status(Later<StatusArgs>),
    /// Ask the gateway how it is; exit code 1 when it is not well or does not answer
    Health(Later<HealthArgs>),
    /// Look for what is wrong with this instance, and put right what is safe
    Doctor(Later<DoctorArgs>),
    /// Look at who may reach this instance
    Security(Later<SecurityArgs>),
    /// See who may connect without the shared secret, let devices in, and take them out
    Devices(Later<DevicesArgs>),
    /// Make a setup code: it pairs one device, once, within ten minutes
    Qr(Later<QrArgs>),
    /// Run one turn of the agent and print its answer
    Agent(Later<AgentArgs>),
    /// List, add, change and delete the agents of an instance
    Agents(Later<AgentsArgs>),
    /// Tell the gateway what happened, and see who is there
    System(Later<SystemArgs>),
    /// List the conversations of the instance's gateway, or change one
    Sessions(Later<SessionsArgs>),
    /// List, approve, ask and forget the nodes of the instance's gateway
    Nodes(Later<NodesArgs>),
    /// Which commands of agents run without a person, and those that wait for one
    #[command(visible_alias = "exec-approvals")]
    Approvals(Later<ApprovalsArgs>),
    /// Print the log of the instance's gateway, whether or not it runs
    Logs(Later<LogsArgs>),
    /// See, make, copy, move and keep all instances of this host
    Fleet(Later<FleetArgs>),
    /// Exchange this program for another file, one instance first, and go back
    Update(Later<UpdateArgs>),
    /// Print or install completions for your shell
    Completion(Later<CompletionArgs>),
}

/// The arguments of a command, made up when the command is what is asked for: a run needs those of one.
#[derive(Debug)]
pub(crate) struct Later<T>(pub(crate) T);

impl<T> Deref for Later<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Later<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(whole::<T>)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// What a command is for stands in the list of commands, and is known before its arguments are.
fn whole<T: Args>(command: clap::Command) -> clap::Command {
    let about = command.get_about().cloned().unwrap_or_default();
    T::augment_args(command).about(about)
}

/// Reads the command line. Beside what it says, the names of its commands: what is done, without the values.
pub(crate) fn read() -> Result<(Cli, String), clap::Error> {
    let mut matches = Cli::command().try_get_matches()?;
    let mut names = Vec::new();
    let mut below = &matches;
    while let Some((name, next)) = below.subcommand() {
        names.push(name.to_owned());
        below = next;
    }
    let cli = Cli::from_arg_matches_mut(&mut matches).map_err(|it| it.format(&mut Cli::command()))?;
    Ok((cli, names.join(" ")))
}

impl Cli {
    /// What the command line says about the instance.
    pub(crate) fn selection(&self) -> Selection {
        Selection { profile: self.profile.clone(), dev: self.dev }
    }
}

impl Command {
    /// What it does to the instance that `--for` names.
    pub(crate) fn touch(&self) -> Touch {
        match self {
            Command::Config(it) => it.touch(),
            Command::Gateway(it) => it.touch(),
            Command::Doctor(it) => it.touch(),
            Command::Fleet(it) => it.touch(),
            Command::Logs(_) | Command::Status(_) | Command::Health(_) => Touch::Looks,
            _ => Touch::Own,
        }
    }

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
            Command::Update(it) => it.wants_json(),
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
