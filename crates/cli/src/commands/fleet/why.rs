//! `fleet why`: why an instance is as it is.

use std::process::ExitCode;

use base::clock;
use fleet::why::{self, Why};
use profile::ledger::{Ended, How};

use super::{find, ls};
use crate::app::App;
use crate::failure::Failure;
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet why main
  openclaw fleet why main --json";

/// Say why an instance is as it is: its last end, its supervisor, its config, its last errors
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhyArgs {
    /// The instance; by default that of --for
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &WhyArgs) -> Result<ExitCode, Failure> {
    let known = find::one_or_ward(app, args.name.as_deref())?;
    let found = why::why(&app.host()?, &app.ambient, &known);
    if args.json {
        app.printer.json(&found);
    } else {
        app.printer.facts(&facts(app, &found));
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(app: &App, it: &Why) -> Vec<(&'static str, String)> {
    let paint = |tone, text: &str| app.printer.paint(tone, text);
    let seen = &it.seen;
    let up = match (seen.pid, seen.uptime_ms) {
        (Some(pid), Some(ms)) => format!(", pid {pid}, up {}", clock::span(ms)),
        _ => String::new(),
    };
    let state = format!("{}{up}", paint(ls::tone(seen.state), seen.state.word()));
    let mut facts = vec![("Instance", paint(Tone::Strong, &seen.name)), ("State", state)];
    facts.extend(seen.findings.iter().map(|it| ("", paint(Tone::Bad, it))));
    let often = if it.cut_offs > 1 { format!(", {} times in a row", it.cut_offs) } else { String::new() };
    let end = it.ended.as_ref().map_or_else(|| "none is known".to_owned(), ended);
    facts.push(("Last end", format!("{end}{often}")));
    if let Some(refused) = &it.refused {
        facts.push(("Last refusal", ended(refused)));
    }
    let supervisor =
        if it.supervisor.is_empty() { "no unit is installed".to_owned() } else { it.supervisor.join(", ") };
    facts.push(("Supervisor", supervisor));
    facts.push(("Config", config(it)));
    facts.extend(it.config.changes.iter().map(|it| ("", it.to_string())));
    facts.push(("Log", it.log.display().to_string()));
    facts.extend(it.errors.iter().map(|it| ("", it.clone())));
    let next = it.next.iter().enumerate();
    facts.extend(next.map(|(at, it)| (if at == 0 { "Next" } else { "" }, it.clone())));
    facts
}

fn ended(it: &Ended) -> String {
    let how = match it.how {
        How::Stopped => "stopped in order",
        How::Refused => "refused to start",
        How::CutOff => "cut off",
    };
    format!("{how} at {} (pid {}): {}", clock::rfc3339(it.at), it.pid, it.detail)
}

fn config(it: &Why) -> String {
    let config = &it.config;
    let path = config.path.display();
    let accepted = match (config.generation, config.accepted_at) {
        (Some(number), Some(at)) => format!("generation {number}, accepted at {}", clock::rfc3339(at)),
        _ => "no generation was accepted yet".to_owned(),
    };
    match (&config.problem, config.changes.is_empty()) {
        (Some(problem), _) => format!("{problem}; {accepted}"),
        (None, true) => format!("{path}: as accepted ({accepted})"),
        (None, false) => format!("{path}: changed since ({accepted}):"),
    }
}
