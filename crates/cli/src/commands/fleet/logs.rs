//! `fleet logs`: the logs of several instances, as one.

use std::process::ExitCode;

use profile::Instance;

use super::find::Which;
use crate::app::App;
use crate::commands::logs::{self, Reading};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet logs main rescue
  openclaw fleet logs --all --follow --level warn
  openclaw fleet logs main --since 2h --json      a JSON object a line";

/// Print the logs of instances as one, in the order of time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogsArgs {
    /// The instances, by name
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,

    /// Every instance of this host
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    pub(super) reading: Reading,
}

/// Runs it.
pub(super) fn run(app: &App, args: &LogsArgs) -> Result<ExitCode, Failure> {
    let which = Which::named(args.names.clone(), args.all);
    let known = which.of(app)?;
    let instances: Vec<&Instance> = known.iter().map(|it| &it.instance).collect();
    let widest = instances.iter().map(|it| it.name.len()).max().unwrap_or_default();
    logs::show(app, &instances, &args.reading, Some(widest))
}
