//! `logs`: what an instance's gateway wrote down, and what it writes next.

use std::io;
use std::process::ExitCode;

use base::clock;
use fleet::logs::{self, Follow, Level, Line, Log, News, Wanted};
use profile::Instance;
use serde_json::json;

use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

/// How many lines are shown where neither a number nor a time is named.
const LINES: usize = 200;

const EXAMPLES: &str = "\
Examples:
  openclaw logs
  openclaw --profile main logs --follow --level warn
  openclaw logs --since 10m
  openclaw logs --since 2026-11-23T10:00 --json    a JSON object a line";

/// What `openclaw logs` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Which lines are shown, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Reading {
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,

    /// Only lines that matter so much: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,

    /// Only lines since then: 10m, 2h, 3d, or a time as in 2026-11-23T10:00 (UTC where no zone is named)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,

    /// How many of the last lines; 200 without --since, else all
    #[arg(long, short = 'n', visible_alias = "lines", value_name = "N")]
    limit: Option<usize>,

    /// Print a JSON object a line: where the log is, then its lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Print lines as they are in the file, also on a terminal
    #[arg(long, conflicts_with = "json")]
    plain: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &LogsArgs) -> Result<ExitCode, Failure> {
    show(app, &[app.instance()?], &args.reading, None)
}

/// Shows the logs of these instances as one; with their names, so wide, where there may be several.
pub(crate) fn show(
    app: &App,
    instances: &[&Instance],
    reading: &Reading,
    names: Option<usize>,
) -> Result<ExitCode, Failure> {
    let mut logs = open(app, instances)?;
    // Followed from before it is read: nothing falls between the two, and nothing is told twice.
    let follow = if reading.follow { Some(begin(&mut logs)?) } else { None };
    let wanted = reading.wanted();
    let lines = logs::lines(&logs, &wanted).map_err(|error| fault("read", &error))?;
    let out = Out { app, reading, names };
    let told = logs.iter().try_for_each(|it| out.about(it)).and_then(|()| out.lines(&lines));
    // Whoever reads may have gone: then there is nobody to print for.
    let (Some(mut follow), Ok(())) = (follow, told) else { return Ok(ExitCode::SUCCESS) };
    while let News::Lines(lines) = follow.wait(io::stdout()).map_err(|error| fault("followed", &error))? {
        let lines: Vec<Line> = lines.into_iter().filter(|it| wanted.has(it)).collect();
        if out.lines(&lines).is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that there are; one that is missing is in nobody's way but its own.
fn open(app: &App, instances: &[&Instance]) -> Result<Vec<Log>, Failure> {
    let mut found = Vec::new();
    for instance in instances {
        let name = &instance.name;
        match Log::open(instance) {
            Ok(Some(it)) => found.push(it),
            Ok(None) if instances.len() > 1 => app.printer.note(&format!("instance {name} has no log yet")),
            Ok(None) => {
                let words = format!("there is no log yet: {} is missing", logs::path(instance).display());
                let hint = format!("it is begun with the gateway: {} gateway", instance.command());
                return Err(Failure::new(Kind::Failed, words).hint(hint).of(Some(name)));
            }
            Err(error) => {
                let words = format!("the log {} cannot be read: {error}", logs::path(instance).display());
                return Err(Failure::new(Kind::Failed, words).of(Some(name)));
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Kind::Failed, "none of these instances has a log yet"));
    }
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "there is nothing to destroy, and the waiting has no end")]
fn begin(logs: &mut [Log]) -> Result<Follow, Failure> {
    // What is printed is printed a line at a time; there is nothing to put in order.
    ctrlc::set_handler(|| std::process::exit(0)).map_err(|error| Failure::from_error(Kind::Fault, &error))?;
    Follow::begin(logs).map_err(|error| fault("followed", &error))
}

fn fault(what: &str, error: &io::Error) -> Failure {
    Failure::new(Kind::Fault, format!("the log cannot be {what}: {error}"))
}

fn since(text: &str) -> Result<String, String> {
    logs::since(text, clock::now_ms())
}

impl Reading {
    fn wanted(&self) -> Wanted {
        let limit = self.limit.or_else(|| self.since.is_none().then_some(LINES));
        Wanted { level: self.level, since: self.since.clone(), limit }
    }
}

/// Where lines are printed, and how.
struct Out<'a> {
    app: &'a App,
    reading: &'a Reading,
    names: Option<usize>,
}

impl Out<'_> {
    /// For programs, which log this is.
    fn about(&self, log: &Log) -> io::Result<()> {
        if !self.reading.json {
            return Ok(());
        }
        let about = json!({"type": "meta", "file": log.file, "size": log.size(), "instance": log.instance});
        self.app.printer.try_line(&about.to_string())
    }

    fn lines(&self, lines: &[Line]) -> io::Result<()> {
        lines.iter().try_for_each(|it| self.app.printer.try_line(&self.text(it)))
    }

    fn text(&self, line: &Line) -> String {
        if self.reading.json {
            return line.json().to_string();
        }
        let printer = self.app.printer;
        let paint = |tone, text: &str| {
            if self.reading.plain { text.to_owned() } else { printer.paint(tone, text) }
        };
        let mut words = Vec::new();
        if !line.time.is_empty() {
            words.push(paint(Tone::Faint, &line.time));
        }
        words.extend(self.names.map(|it| paint(Tone::Strong, &format!("{:<it$}", line.instance))));
        words.push(match line.level {
            Some(Level::Error) => paint(Tone::Bad, &line.text),
            Some(Level::Warn) => paint(Tone::Strong, &line.text),
            Some(Level::Debug | Level::Trace) => paint(Tone::Faint, &line.text),
            Some(Level::Info) | None => line.text.clone(),
        });
        let text = words.join(" ");
        if self.reading.plain { text } else { printer.folded(&text) }
    }
}
