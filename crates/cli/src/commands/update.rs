//! `update status`, `apply`, `rollback`: another program in the place of this one, for all instances that run it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base::clock;
use clap::Subcommand;
use fleet::update::{self, Plan, Report, Status, Step, UpdateError, Updater};
use profile::Instance;
use profile::registry::Host;
use protocol::health;
use serde_json::json;

use crate::app::App;
use crate::client::Client;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;
use crate::prompt;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a gateway may take to open its database: a migration of a large one takes its time.
const LONGEST: Duration = Duration::from_secs(60);

const ALL: &str = "\
Examples:
  openclaw update status
  openclaw update apply ./openclaw-new --dry-run
  openclaw update apply ./openclaw-new --yes
  openclaw update rollback --yes";

const STATUS: &str = "\
Examples:
  openclaw update status
  openclaw update status --json";

const APPLY: &str = "\
One instance is restarted first; the others follow when it is well. When one does not get well,
the program, the instances and their databases go back to what was.

Examples:
  openclaw update apply ./openclaw-new --dry-run           verify it, change nothing
  openclaw update apply ./openclaw-new --sha256 SUM --yes
  openclaw update apply ./openclaw-new --canary lab --yes  lab goes first";

const ROLLBACK: &str = "\
Examples:
  openclaw update rollback --yes                also where an update was cut off
  openclaw update rollback --databases --yes    where the version before cannot read the databases";

/// What `openclaw update` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = ALL)]
pub(crate) struct UpdateArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(StatusArgs),
    Apply(ApplyArgs),
    Rollback(RollbackArgs),
    #[command(hide = true)]
    Probe(ProbeArgs),
}

/// What runs, what was there before, and whether an update was cut off
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
struct StatusArgs {
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Install a program's file, and restart the running instances on it one by one
#[derive(Debug, clap::Args)]
#[command(after_help = APPLY)]
struct ApplyArgs {
    /// The program
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,

    /// What the SHA-256 of the file must be, in hex
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,

    /// Verify the file and say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    how: How,
}

/// Put the version before back, and restart the running instances on it one by one
#[derive(Debug, clap::Args)]
#[command(after_help = ROLLBACK)]
struct RollbackArgs {
    /// Put databases back as they were before their migration; what was said since is lost
    #[arg(long)]
    databases: bool,

    #[command(flatten)]
    how: How,
}

/// What a program says of itself, for one that would replace itself by it
#[derive(Debug, clap::Args)]
struct ProbeArgs {
    /// Print JSON
    #[arg(long, required = true)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct How {
    /// The instance that is restarted first [default: the least important that runs]
    #[arg(long, value_name = "NAME")]
    canary: Option<String>,

    /// Restart without asking
    #[arg(long)]
    yes: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl UpdateArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.verb {
            Verb::Status(it) => it.json,
            Verb::Apply(it) => it.how.json,
            Verb::Rollback(it) => it.how.json,
            Verb::Probe(it) => it.json,
        }
    }
}

/// Runs one of them.
pub(crate) fn run(app: &App, args: &UpdateArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::Status(it) => status(app, it),
        Verb::Apply(it) => apply(app, it),
        Verb::Rollback(it) => rollback(app, it),
        Verb::Probe(_) => {
            app.printer.json(&update::own_probe(VERSION));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn status(app: &App, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let found = update::status(&app.host()?, &app.ambient, VERSION).map_err(|it| failure(&it))?;
    if args.json {
        app.printer.json(&found);
        return Ok(ExitCode::SUCCESS);
    }
    let Status { version, sha256, schema, former, last, .. } = &found;
    let mut facts = vec![
        ("program", app.ambient.short(&found.program)),
        ("version", format!("{version} ({}, databases up to schema {schema})", base::text::head(sha256, 12))),
    ];
    facts.extend(former.iter().map(|it| ("before", it.to_string())));
    facts.extend(last.iter().map(|it| {
        let came = it.why.as_ref().map_or("done".to_owned(), |why| format!("went back: {why}"));
        ("last update", format!("{} from {} to {}: {came}", clock::rfc3339(it.at), it.from, it.to))
    }));
    app.printer.facts(&facts);
    let rows: Vec<Vec<String>> = found
        .instances
        .iter()
        .map(|it| {
            let other = it.program.as_ref().filter(|path| **path != found.program);
            let note = match other {
                Some(path) => format!("another program: {}", app.ambient.short(path)),
                None if it.restart_pending => "restart pending: its file was replaced".to_owned(),
                None => "-".to_owned(),
            };
            vec![it.name.clone(), it.pid.to_string(), it.version.clone().unwrap_or("-".to_owned()), note]
        })
        .collect();
    if !rows.is_empty() {
        app.printer.line("");
        app.printer.table(&["INSTANCE", "PID", "VERSION", "NOTE"], rows);
    }
    if let Some(it) = &found.under_way {
        let how = if found.was_cut_off { "was cut off" } else { "is under way" };
        let (from, to) = (&it.from, &it.to);
        let words = format!("an update from {from} to {to} {how}, begun at {}", clock::rfc3339(it.since));
        app.printer.note(&app.printer.paint(Tone::Bad, &words));
        for row in &it.rows {
            app.printer.note(&format!("  {}: {}", row.name, word(row.step)));
        }
        if found.was_cut_off {
            app.printer.note("  → go back: openclaw update rollback --yes");
            app.printer.note("  → or go on: openclaw update apply FILE --yes");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn apply(app: &App, args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let host = app.host()?;
    let file = app.ambient.path(&args.file.display().to_string());
    let tell = |it: &str| app.printer.note(it);
    let mut updater = begin(app, &host, &tell)?;
    let (sum, canary) = (args.sha256.as_deref(), args.how.canary.as_deref());
    let verified = |updater: &Updater<'_>| updater.plan(&file, sum, canary).map_err(|it| failure(&it));
    tell(&format!("looking at {}", file.display()));
    let mut plan = verified(&updater)?;
    if args.dry_run || plan.is_current {
        shown(app, &plan, args)?;
        return Ok(ExitCode::SUCCESS);
    }
    confirm(app, &plan, &args.how)?;
    if updater.cut_off().is_some_and(|it| it.to.sha256 != plan.to.sha256 || it.returning.is_some()) {
        let came = updater.undo(Vec::new()).map_err(|it| failure(&it))?;
        if came.instances.iter().any(|it| it.step == Step::Down) {
            return told(app, &args.how, "apply", &came);
        }
        plan = verified(&updater)?;
    }
    let came = updater.roll(plan).map_err(|it| failure(&it))?;
    told(app, &args.how, "apply", &came)
}

fn rollback(app: &App, args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let host = app.host()?;
    let tell = |it: &str| app.printer.note(it);
    let mut updater = begin(app, &host, &tell)?;
    if updater.cut_off().is_some() {
        let mut came = updater.undo(Vec::new()).map_err(|it| failure(&it))?;
        came.ok = came.instances.iter().all(|it| it.step != Step::Down);
        return told(app, &args.how, "rollback", &came);
    }
    let plan = updater.plan_back(args.how.canary.as_deref(), args.databases).map_err(|it| failure(&it))?;
    confirm(app, &plan, &args.how)?;
    let to = plan.to.clone();
    let came = updater.roll(plan).map_err(|it| failure(&it))?;
    if came.ok && args.databases {
        updater.restore_all(&to).map_err(|(name, why)| Failure::new(Kind::Failed, why).of(Some(&name)))?;
    }
    told(app, &args.how, "rollback", &came)
}

fn begin<'a>(app: &'a App, host: &'a Host, tell: &'a dyn Fn(&str)) -> Result<Updater<'a>, Failure> {
    Updater::begin(host, &app.ambient, VERSION, tell, &ask).map_err(|it| failure(&it))
}

/// A gateway's overview comes out of its database.
fn ask(instance: &Instance) -> Result<(), String> {
    let asked = Client::connect(&instance.state_dir, LONGEST);
    let answered = asked.and_then(|mut it| it.call::<health::Status>(&health::StatusParams::default()));
    answered.map(drop).map_err(|it| base::text::chain(&it))
}

/// What would be done.
fn shown(app: &App, plan: &Plan, args: &ApplyArgs) -> Result<(), Failure> {
    if args.how.json {
        let mut value = serde_json::to_value(plan).expect("names, paths and numbers always write");
        value["ok"] = json!(true);
        value["dryRun"] = json!(args.dry_run);
        app.printer.json(&value);
        return Ok(());
    }
    if plan.is_current {
        app.printer.line(&format!("version {} is installed, and all that runs runs it", plan.to));
        return Ok(());
    }
    app.printer.facts(&[
        ("program", plan.target.display().to_string()),
        ("from", plan.from.to_string()),
        ("to", plan.to.to_string()),
        ("restarts", if plan.restarts.is_empty() { "none".to_owned() } else { plan.restarts.join(", ") }),
    ]);
    for it in &plan.left {
        app.printer.note(&format!("{} is left alone: {}", it.name, it.why));
    }
    Ok(())
}

fn confirm(app: &App, plan: &Plan, how: &How) -> Result<(), Failure> {
    let (from, to) = (&plan.from, &plan.to);
    if how.yes {
        return Ok(());
    }
    let restarts = match plan.restarts.split_first() {
        None => "restart nothing".to_owned(),
        Some((first, [])) => format!("restart {first}"),
        Some((first, rest)) => format!("restart {first}, then {}", rest.join(", ")),
    };
    let program = app.ambient.short(&plan.target);
    match prompt::line(&format!("exchange {program}, {from}, for {to} and {restarts}? [y/N]")) {
        Some(it) if matches!(it.to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
        Some(_) => Err(Failure::new(Kind::Failed, "nothing was changed")),
        None => Err(Failure::new(Kind::Usage, "nothing was changed: nobody sits at a terminal to be asked")
            .hint("say --yes, or look first with: openclaw update apply FILE --dry-run")),
    }
}

/// Prints what came of it.
fn told(app: &App, how: &How, action: &str, came: &Report) -> Result<ExitCode, Failure> {
    if how.json {
        let mut value = serde_json::to_value(came).expect("names, paths and numbers always write");
        value["action"] = json!(action);
        app.printer.json(&value);
    } else {
        for it in &came.instances {
            let error = it.error.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            app.printer.line(&format!("{}: {}{error}", it.name, word(it.step)));
        }
        for it in &came.left {
            app.printer.note(&format!("{} is left alone: {}", it.name, it.why));
        }
    }
    if came.ok {
        if !how.json {
            let now = if came.why.is_some() { &came.from } else { &came.to };
            app.printer.line(&format!("version {now} is installed"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let is_down = came.instances.iter().any(|it| it.step == Step::Down);
    let why = came.why.as_deref().unwrap_or("it is not known why");
    let (from, to) = (&came.from, &came.to);
    let mut failure = Failure::new(
        Kind::Failed,
        match is_down {
            true => format!("the update to {to} failed, and not all is back: {why}"),
            false => format!("the update to {to} failed, and {from} runs again: {why}"),
        },
    );
    if is_down {
        failure = failure.hint("try again to go back: openclaw update rollback --yes");
    }
    Ok(app.printer.failure(&failure, false))
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Waiting => "not touched",
        Step::Restarting => "being restarted",
        Step::Updated => "updated",
        Step::Returned => "runs what it ran before",
        Step::Down => "does not run",
    }
}

fn failure(error: &UpdateError) -> Failure {
    let kind = match error {
        UpdateError::Refused { .. } | UpdateError::NoFormer(_) | UpdateError::ReadOnly(_) => Kind::Failed,
        UpdateError::Older { .. } | UpdateError::Config { .. } => Kind::Config,
        UpdateError::NoCanary { .. } | UpdateError::Inside | UpdateError::OtherTarget { .. } => Kind::Usage,
        UpdateError::Held => Kind::Held,
        _ => Kind::Failed,
    };
    let failure = Failure::from_error(kind, error);
    match error {
        UpdateError::Older { .. } => failure
            .hint("take a version that reads them; nothing was changed")
            .hint("or go back to the version before: openclaw update rollback --databases (what was said since is lost)"),
        UpdateError::Config { name, .. } => failure.hint(format!(
            "see what it says: FILE --profile {name} config validate; nothing was changed"
        )),
        UpdateError::Held => failure.hint("look at it: openclaw update status"),
        UpdateError::ReadOnly(_) => failure.hint("act as the user who owns it, or use what installed it"),
        UpdateError::Inside => failure.hint("run it in a shell of your own"),
        UpdateError::OtherTarget { target, .. } => {
            failure.hint(format!("finish that one first: {} update rollback", target.display()))
        }
        _ => failure,
    }
}
