//! `fleet history`: what others did to an instance.

use std::process::ExitCode;

use base::clock;
use fleet::look::{self, Known};
use fleet::rescue::{self, Deed, Moment};

use super::find;
use crate::app::App;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet history main
  openclaw fleet history main --json";

/// List what was done to an instance in the name of another: who, when, before and after
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HistoryArgs {
    /// The instance; by default that of --for
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let known = find::one_or_ward(app, args.name.as_deref())?;
    let deeds = all(app, &known)?;
    if args.json {
        app.printer.json(&deeds);
        return Ok(ExitCode::SUCCESS);
    }
    if deeds.is_empty() {
        app.printer.note(&format!("{}: nobody else has done anything to it", known.instance.name));
        return Ok(ExitCode::SUCCESS);
    }
    let rows = deeds.iter().rev().map(row);
    app.printer.table(&["WHEN", "BY", "DID", "TO", "RESULT", "BEFORE", "AFTER"], rows.collect());
    Ok(ExitCode::SUCCESS)
}

/// What is noted with it, and with those whose notes it could not take.
fn all(app: &App, known: &Known) -> Result<Vec<Deed>, Failure> {
    let own = rescue::history(&known.instance.state_dir);
    let others = look::known(&app.host()?, &app.ambient).into_iter();
    let others = others.filter(|it| it.instance.state_dir != known.instance.state_dir);
    let noted = others.flat_map(|it| rescue::history(&it.instance.state_dir));
    let mut deeds: Vec<Deed> =
        own.into_iter().chain(noted.filter(|it| it.ward == known.instance.name)).collect();
    deeds.sort_by_key(|it| it.at);
    Ok(deeds)
}

fn row(it: &Deed) -> Vec<String> {
    let result = match &it.end {
        None => "unfinished",
        Some(end) if end.ok => "ok",
        Some(_) => "failed",
    };
    vec![
        clock::rfc3339(it.at),
        format!("{} (uid {}, pid {})", it.by, it.uid, it.pid),
        it.action.clone(),
        it.ward.clone(),
        result.to_owned(),
        moment(&it.before),
        it.end.as_ref().map_or_else(|| "-".to_owned(), |it| moment(&it.after)),
    ]
}

fn moment(it: &Moment) -> String {
    let gateway = it.gateway.map_or_else(|| "stopped".to_owned(), |it| format!("runs (pid {it})"));
    let config = it.config.as_deref().unwrap_or("no config");
    format!("{gateway}, {config}")
}
