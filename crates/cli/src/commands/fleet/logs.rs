//! `fleet logs`: the logs of several instances, as one.

use std::process::ExitCode;

use fleet::logs::{self, Follow, Line};
use profile::Instance;
use serde_json::json;

use super::find::Which;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet logs main rescue
  openclaw fleet logs --all --follow
  openclaw fleet logs main --lines 200 --json      a JSON object a line";

/// Print the logs of instances as one, in the order of time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogsArgs {
    /// The instances, by name
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,

    /// Every instance of this host
    #[arg(long)]
    all: bool,

    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,

    /// How many lines of what is there
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    lines: usize,

    /// Print a JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &LogsArgs) -> Result<ExitCode, Failure> {
    let which = Which::named(args.names.clone(), args.all);
    let known = which.of(app)?;
    let instances: Vec<&Instance> = known.iter().map(|it| &it.instance).collect();
    let widest = instances.iter().map(|it| it.name.len()).max().unwrap_or_default();
    let show = |lines: Vec<Line>| lines.iter().try_for_each(|it| print(app, it, widest, args.json));
    // Followed from before it is read: nothing falls between the two, and what is told twice is left out.
    let follow = if args.follow { Some(begin(app, &instances)?) } else { None };
    if show(logs::last(&instances, args.lines)).is_err() {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(mut follow) = follow else { return Ok(ExitCode::SUCCESS) };
    loop {
        let lines = follow.wait().map_err(|error| {
            Failure::new(Kind::Fault, format!("the logs cannot be followed any further: {error}"))
        })?;
        if show(lines).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn begin(app: &App, instances: &[&Instance]) -> Result<Follow, Failure> {
    let (follow, missing) = Follow::begin(instances)
        .map_err(|error| Failure::new(Kind::Fault, format!("the logs cannot be followed: {error}")))?;
    for name in missing {
        app.printer.note(&format!("{name} has no log yet, and is not followed"));
    }
    Ok(follow)
}

/// Whoever reads may have gone: then there is nobody to print for.
fn print(app: &App, line: &Line, widest: usize, as_json: bool) -> std::io::Result<()> {
    if as_json {
        return app.printer.try_line(&json!(line).to_string());
    }
    let name = app.printer.paint(Tone::Strong, &format!("{:<widest$}", line.instance));
    app.printer.try_line(&format!("{} {name} {}", line.time, line.text))
}
