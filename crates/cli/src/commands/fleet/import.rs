//! `fleet import`: what the original left, taken over.

use std::process::ExitCode;

use clap::ValueEnum;
use fleet::import::{self, Findings, ImportError, Imported, SessionCounts, Source, Target, Verdict};
use profile::ports::{self, DEFAULT_BASE};
use profile::registry::Record;
use profile::{Document, Instance, Plan, listener};
use serde_json::json;

use super::create;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet import openclaw --dry-run            what would come over, and what has no place here
  openclaw --profile work fleet import openclaw       in place: its folder becomes that of the instance work
  openclaw fleet import openclaw --as trial           into a new instance; the original goes on with its own

What is there is only read. It can be run again: what came over before is known.";

/// What can be imported.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// The state folder of the original OpenClaw.
    Openclaw,
}

/// Take over config, conversations and keys of the original
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportArgs {
    /// Whose
    #[arg(value_enum)]
    from: From,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Import into a new instance of this name
    #[arg(long = "as", value_name = "NAME")]
    into: Option<String>,

    /// Base port of the new instance; without it the lowest free one
    #[arg(long, value_name = "PORT", requires = "into", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let From::Openclaw = args.from;
    let from = app.instance()?;
    let vendors = gateway::vendor_keys();
    let source = Source { instance: from, ambient: &app.ambient, vendors: &vendors };
    let into = args.into.as_deref().map(|it| target(app, it, args.port)).transpose()?;
    let target = match &into {
        Some((instance, port)) => Target::Other { instance, port: *port },
        None => Target::InPlace,
    };
    if args.dry_run {
        let findings = import::look(&source, &target).map_err(|error| failed(&error))?;
        show(app, args.json, &findings, None);
        return Ok(ExitCode::SUCCESS);
    }
    let done = import::run(&source, &target).map_err(|error| failed(&error))?;
    let to = into.as_ref().map_or(from, |(it, _)| it);
    record(app, to)?;
    show(app, args.json, &done.findings, Some(&done));
    Ok(ExitCode::SUCCESS)
}

/// The new instance and its port; one that was imported before keeps what it has.
fn target(app: &App, name: &str, port: Option<u16>) -> Result<(Instance, u16), Failure> {
    let host = app.host()?;
    let mut known = fleet::look::known(&host, &app.ambient).into_iter();
    let instance = match known.find(|it| it.instance.name == name) {
        Some(it) => it.instance,
        None => create::new_instance(app, name)?,
    };
    let has = Document::load(&instance.config_path).ok().and_then(|it| it.port());
    let others = host.confirmed_neighbours(&instance.state_dir);
    let free = || ports::free_bases(DEFAULT_BASE, &others, listener::is_bound).next();
    let port = port.or(has).or_else(free);
    let port =
        port.ok_or_else(|| Failure::new(Kind::Held, "no base port is free").hint("name one with --port"))?;
    let plan = Plan::of(port).map_err(|error| Failure::from_error(Kind::Usage, &error))?;
    host.check_ports(&instance.state_dir, &plan, &[])
        .map_err(|error| Failure::from_error(Kind::Held, &*error).hint("choose another with --port"))?;
    Ok((instance, port))
}

/// Lets the other instances know of its ports.
fn record(app: &App, instance: &Instance) -> Result<(), Failure> {
    let document = Document::load(&instance.config_path).ok();
    let port = document.as_ref().and_then(Document::port).or(instance.default_port);
    let pinned = document.as_ref().map(Document::pinned_ports).unwrap_or_default();
    let Some(port) = port else { return Ok(()) };
    let written = app.host()?.write(&Record::of(instance, port, pinned, env!("CARGO_PKG_VERSION")));
    written.map_err(|error| Failure::from_error(Kind::Failed, &error))
}

fn show(app: &App, as_json: bool, findings: &Findings, done: Option<&Imported>) {
    if as_json {
        match done {
            Some(done) => app.printer.json(done),
            None => app.printer.json(&json!({"dryRun": true, "findings": findings})),
        }
        return;
    }
    let rows = findings.rows.iter().map(|it| {
        let (word, why) = match &it.verdict {
            Verdict::Comes => (app.printer.paint(Tone::Good, "comes"), String::new()),
            Verdict::Stays { why } => (app.printer.paint(Tone::Faint, "stays"), why.clone()),
        };
        let kind = serde_json::to_value(it.kind).unwrap_or_default();
        vec![kind.as_str().unwrap_or_default().to_owned(), it.what.clone(), word, why]
    });
    app.printer.table(&["KIND", "WHAT", "VERDICT", "WHY"], rows.collect());
    if let Some(running) = &findings.running {
        let words =
            format!("the original runs (pid {}: {}): stop it before the import", running.pid, running.what);
        app.printer.line(&app.printer.paint(Tone::Bad, &words));
    }
    if let Some(done) = done {
        tell(app, done);
    }
}

fn tell(app: &App, done: &Imported) {
    let SessionCounts { new, updated, same, continued, failed, messages } = &done.sessions;
    app.printer.facts(&[
        ("From", done.findings.source.display().to_string()),
        ("To", done.findings.target.display().to_string()),
        (
            "Conversations",
            format!("{new} new, {updated} brought up to date, {same} as before; {messages} messages"),
        ),
        ("Keys", if done.keys.is_empty() { "none".to_owned() } else { done.keys.join(", ") }),
        ("Files", done.files.to_string()),
    ]);
    for it in continued {
        app.printer.note(&format!("{it} went on here, and was left as it is"));
    }
    for it in failed {
        app.printer.note(&app.printer.paint(Tone::Bad, it));
    }
}

fn failed(error: &ImportError) -> Failure {
    let kind = match error {
        ImportError::Running(_) | ImportError::OriginalRuns { .. } => Kind::Held,
        ImportError::NoState(_) | ImportError::SameFolder(_) => Kind::Usage,
        ImportError::Folder(_) | ImportError::Config { .. } => Kind::Config,
        ImportError::Store(_) | ImportError::File(_) | ImportError::Read { .. } => Kind::Failed,
    };
    let failure = Failure::from_error(kind, error);
    match error.remedy() {
        Some(it) => failure.hint(it),
        None => failure,
    }
}
