//! `config schema`: what may stand in a config, for editors and programs.

use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw config schema > openclaw.schema.json      for an editor
  openclaw config schema --keys                      a list of the keys instead";

/// Print the JSON Schema of the config; it needs no instance
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// The keys as a list instead: type, default, and what a change of each does to a running gateway
    #[arg(long)]
    keys: bool,

    /// Print JSON, which is what this prints
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let _ = args.json;
    let printed = if args.keys { json!(gateway::config::keys()) } else { gateway::config::schema() };
    app.printer.json(&printed);
    Ok(ExitCode::SUCCESS)
}
