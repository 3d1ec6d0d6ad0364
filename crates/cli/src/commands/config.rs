//! `config`: see, change and take back an instance's config document. No verb needs a running gateway; where one runs,
//! it does the writing, and says what it made of it.

mod change;
mod check;
mod edit;
mod history;
mod path;
mod schema;
mod show;
mod submit;
mod value;

use std::process::ExitCode;

use clap::Subcommand;

use crate::app::App;
use crate::commands::ward::Touch;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw config get agents.defaults.model
  openclaw config set gateway.port 19001 --why \"the old one is taken\"
  openclaw config edit                          in your editor; checked before it is written
  openclaw config history                       who changed what, when and why
  openclaw config rollback                      back to the config before this one
  openclaw --profile acme config validate       everything that is wrong, with its place

Exit codes: 75 when somebody else changed the config meanwhile (nothing was written; what they
changed is shown), 78 when no gateway would run with it.";

/// What `openclaw config` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Get(show::GetArgs),
    Set(change::SetArgs),
    Unset(change::UnsetArgs),
    Patch(change::PatchArgs),
    Apply(change::ApplyArgs),
    Edit(edit::EditArgs),
    Validate(check::ValidateArgs),
    Schema(schema::SchemaArgs),
    File(show::FileArgs),
    History(history::HistoryArgs),
    Diff(history::DiffArgs),
    Rollback(history::RollbackArgs),
}

impl ConfigArgs {
    /// What it does to the instance that `--for` names.
    pub(crate) fn touch(&self) -> Touch {
        match &self.command {
            ConfigCommand::Set(_)
            | ConfigCommand::Unset(_)
            | ConfigCommand::Patch(_)
            | ConfigCommand::Apply(_)
            | ConfigCommand::Edit(_)
            | ConfigCommand::Rollback(_) => Touch::Acts,
            _ => Touch::Looks,
        }
    }
}

/// What every writing verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WriteArgs {
    /// What for; it stands in the history
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl ConfigArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            ConfigCommand::Get(it) => it.json,
            ConfigCommand::Set(it) => it.write.json,
            ConfigCommand::Unset(it) => it.write.json,
            ConfigCommand::Patch(it) => it.write.json,
            ConfigCommand::Apply(it) => it.write.json,
            ConfigCommand::Edit(it) => it.write.json,
            ConfigCommand::Validate(it) => it.json,
            ConfigCommand::Schema(_) => true,
            ConfigCommand::File(it) => it.json,
            ConfigCommand::History(it) => it.json,
            ConfigCommand::Diff(it) => it.json,
            ConfigCommand::Rollback(it) => it.write.json,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        ConfigCommand::Get(it) => show::get(app, it),
        ConfigCommand::Set(it) => change::set(app, it),
        ConfigCommand::Unset(it) => change::unset(app, it),
        ConfigCommand::Patch(it) => change::patch(app, it),
        ConfigCommand::Apply(it) => change::apply(app, it),
        ConfigCommand::Edit(it) => edit::run(app, it),
        ConfigCommand::Validate(it) => check::run(app, it),
        ConfigCommand::Schema(it) => schema::run(app, it),
        ConfigCommand::File(it) => show::file(app, it),
        ConfigCommand::History(it) => history::list(app, it),
        ConfigCommand::Diff(it) => history::diff(app, it),
        ConfigCommand::Rollback(it) => history::rollback(app, it),
    }
}
