//! `gateway install`, `uninstall`, `start`, `stop`, `restart`: the unit that has systemd run this instance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::file;
use fleet::service::host::Host;
use fleet::service::steps;
use fleet::service::systemd::{self, Scope, Trouble};
use fleet::service::text::{self, Standing, Wanted};
use fleet::service::{self, Service};
use fleet::start::{self, Started};
use profile::{Instance, claims};
use serde_json::json;

use super::elsewhere;
use crate::app::App;
use crate::commands::fleet::process;
use crate::failure::{Failure, Kind};

const INSTALL: &str = "\
Examples:
  openclaw --profile main gateway install
  openclaw --profile main gateway install --dry-run      show the unit, write nothing
  sudo HOME=\"$HOME\" openclaw gateway install --system --user ada";

const STEER: &str = "\
Examples:
  openclaw --profile main gateway start
  openclaw --profile main gateway restart --json
  openclaw --profile main gateway uninstall";

/// Have systemd start this instance's gateway with the machine, and again when it fails
#[derive(Debug, clap::Args)]
#[command(after_help = INSTALL)]
pub(crate) struct InstallArgs {
    /// Print the unit and how it differs from what stands; write nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Write over a unit that was changed by hand, or is not ours
    #[arg(long)]
    pub(super) force: bool,

    /// Write and enable the unit, and start nothing now
    #[arg(long)]
    no_start: bool,

    /// Go on where the gateway will stop with your last login
    #[arg(long)]
    without_linger: bool,

    /// Make it a unit of the machine; for root
    #[arg(long, requires = "user")]
    system: bool,

    /// Whose process a unit of the machine becomes
    #[arg(long, value_name = "USER", requires = "system")]
    user: Option<String>,

    /// Print JSON for scripts; failures as well
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command on the unit is told.
#[derive(Debug, clap::Args)]
#[command(after_help = STEER)]
pub(crate) struct SteerArgs {
    /// Print JSON for scripts; failures as well
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `gateway start` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = STEER)]
pub(crate) struct StartArgs {
    /// Start it without its config, to repair it: only the port and the secret are taken from there
    #[arg(long)]
    safe: bool,

    /// Print JSON for scripts; failures as well
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Have it run.
    Start,
    /// Have it end.
    Stop,
    /// Both.
    Restart,
}

/// Runs `install`.
pub(crate) fn install(app: &App, args: &InstallArgs) -> Result<ExitCode, Failure> {
    if let Some(host) = Host::HERE {
        return elsewhere::install(app, args, host);
    }
    let instance = app.instance()?;
    let scope = if args.system { Scope::System } else { Scope::User };
    let failed = |it: Trouble| trouble(instance, &it);
    let wanted = systemd::wanted(instance, &app.ambient, args.user.clone()).map_err(failed)?;
    let folder =
        systemd::folder(scope, &app.ambient).ok_or_else(|| Failure::new(Kind::Usage, "HOME is not set"))?;
    let unit = folder.join(instance.unit());
    let there = fs::read_to_string(&unit).ok();
    let standing = wanted.compare(there.as_deref());
    let possible = systemd::check(scope, &app.ambient, args.without_linger);
    if args.dry_run {
        show(app, args.json, &Draft { unit, wanted, there, trouble: possible.err() });
        return Ok(ExitCode::SUCCESS);
    }
    possible.map_err(failed)?;
    may_replace(instance, standing, &unit, args.force)?;
    check_other_scope(app, instance, &unit)?;
    check_config(app)?;
    if let Some(pid) = outside(app, instance, scope).filter(|_| !args.no_start) {
        return Err(runs_outside(instance, pid).hint("or install with --no-start"));
    }
    if standing != Standing::Same {
        let written =
            file::private_folder(&folder).and_then(|()| file::replace(&unit, wanted.text().as_bytes()));
        written.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    let tell = |words: &[&str]| systemd::tell(scope, &app.ambient, words).map_err(failed);
    tell(&["daemon-reload"])?;
    tell(&["enable", &instance.unit()])?;
    if !args.no_start {
        // Ready by its own word: the unit is of the type that waits for it.
        tell(&["start", &instance.unit()])?;
    }
    let result = if standing == Standing::Same { "already-installed" } else { "installed" };
    done(app, args.json, ("install", result), Some(&unit))
}

/// A service that could not start is not installed.
pub(super) fn check_config(app: &App) -> Result<(), Failure> {
    let instance = app.instance()?;
    gateway::check(instance, &app.ambient).map_err(|error| {
        Failure::from_error(Kind::Config, &error)
            .hint(format!("a service would not start with this; see: {} config validate", instance.command()))
    })
}

/// Runs `uninstall`.
pub(crate) fn uninstall(app: &App, args: &SteerArgs) -> Result<ExitCode, Failure> {
    if let Some(host) = Host::HERE {
        return elsewhere::steer(app, steps::Verb::Uninstall, args.json, host);
    }
    let instance = app.instance()?;
    let Some(unit) = unit_of(app, instance) else {
        return done(app, args.json, ("uninstall", "not-loaded"), None);
    };
    check_own(app, instance, &unit)?;
    let there = fs::read_to_string(&unit).unwrap_or_default();
    if !text::is_ours(&there) {
        return Err(Failure::new(Kind::Held, format!("{} was not written by this program", unit.display()))
            .hint("whoever installed it takes it away"));
    }
    let scope = service::scope(&unit);
    let tell =
        |words: &[&str]| systemd::tell(scope, &app.ambient, words).map_err(|it| trouble(instance, &it));
    tell(&["disable", "--now", &instance.unit()])?;
    file::remove(&unit).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    tell(&["daemon-reload"])?;
    // A failed unit is remembered by name after its file is gone; there may be none.
    let _ = systemd::tell(scope, &app.ambient, &["reset-failed", &instance.unit()]);
    done(app, args.json, ("uninstall", "uninstalled"), None)
}

/// Runs `start`.
pub(crate) fn start(app: &App, args: &StartArgs) -> Result<ExitCode, Failure> {
    if !args.safe {
        return steer(app, Verb::Start, &SteerArgs { json: args.json });
    }
    let instance = app.instance()?;
    let program = process::program()?;
    match start::start_safe(instance, &app.ambient, &program).map_err(|it| process::failure(instance, &it))? {
        Started::Now { .. } => done(app, args.json, ("start", "started in safe mode"), None),
        Started::Already { pid } => {
            Err(Failure::new(Kind::Held, format!("its gateway runs already (pid {pid})"))
                .hint(format!("stop it first: openclaw fleet stop {}", instance.name)))
        }
    }
}

/// Runs `start`, `stop`, `restart`.
pub(crate) fn steer(app: &App, verb: Verb, args: &SteerArgs) -> Result<ExitCode, Failure> {
    if let Some(host) = Host::HERE {
        let verb = match verb {
            Verb::Start => steps::Verb::Start,
            Verb::Stop => steps::Verb::Stop,
            Verb::Restart => steps::Verb::Restart,
        };
        return elsewhere::steer(app, verb, args.json, host);
    }
    let instance = app.instance()?;
    let command = instance.command();
    let Some(unit) = unit_of(app, instance) else {
        return Err(Failure::new(Kind::Failed, "it has no service")
            .hint(format!("install one: {command} gateway install"))
            .hint(format!("or do it without: openclaw fleet {} {}", word(verb), instance.name)));
    };
    check_own(app, instance, &unit)?;
    let name = instance.unit();
    // One that stopped itself in its own unit would be cut off before it is through.
    let inside = profile::Ambient::unit().as_deref() == Some(&name);
    let words: &[&str] = if inside { &[word(verb), "--no-block", &name] } else { &[word(verb), &name] };
    let failed = |it: Trouble| trouble(instance, &it);
    let scope = service::scope(&unit);
    if verb == Verb::Restart {
        // What runs is not taken down for what would not come up.
        gateway::check(instance, &app.ambient).map_err(|error| {
            Failure::from_error(Kind::Config, &error).hint(format!("see: {command} config validate"))
        })?;
    }
    if let Some(pid) = outside(app, instance, scope) {
        if verb == Verb::Start {
            return Err(runs_outside(instance, pid));
        }
        // In safe mode, most likely. The unit could not start beside it.
        start::stop(instance, false).map_err(|it| process::failure(instance, &it))?;
    }
    if verb != Verb::Stop {
        // One that failed too often is let off: a person asks now.
        let _ = systemd::tell(scope, &app.ambient, &["reset-failed", &name]);
    }
    systemd::tell(scope, &app.ambient, words).map_err(failed)?;
    if let Ok((standing, _)) = service::judge(instance, &app.ambient, &unit)
        && standing != Standing::Same
    {
        app.printer.note(&format!(
            "{}: {}; see: {command} gateway install --dry-run",
            unit.display(),
            told(standing)
        ));
    }
    let result = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
    };
    done(app, args.json, (word(verb), result), Some(&unit))
}

/// The process of this instance's gateway where the unit has not started it.
fn outside(app: &App, instance: &Instance, scope: Scope) -> Option<u32> {
    let holder = claims::holder_now(&instance.state_dir)?.pid;
    let supervised = systemd::show(scope, &app.ambient, &instance.unit()).unwrap_or_default();
    let main = supervised.iter().find(|it| it.0 == "MainPID").and_then(|it| it.1.parse::<u32>().ok());
    (Some(holder) != main).then_some(holder)
}

fn runs_outside(instance: &Instance, pid: u32) -> Failure {
    Failure::new(Kind::Held, format!("its gateway runs already, outside of a service (pid {pid})"))
        .hint(format!("stop it first: openclaw fleet stop {}", instance.name))
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    }
}

fn unit_of(app: &App, instance: &Instance) -> Option<PathBuf> {
    service::of(instance, &app.ambient).unit().map(Path::to_path_buf)
}

/// What `install` would do.
struct Draft {
    unit: PathBuf,
    wanted: Wanted,
    there: Option<String>,
    /// Why it could not.
    trouble: Option<Trouble>,
}

fn show(app: &App, as_json: bool, it: &Draft) {
    let (text, standing) = (it.wanted.text(), it.wanted.compare(it.there.as_deref()));
    let difference = it.there.as_deref().map(|it| text::difference(it, &text)).unwrap_or_default();
    if as_json {
        app.printer.json(&json!({
            "action": "install", "ok": true, "dryRun": true, "unit": it.unit, "standing": standing, "text": text,
            "difference": difference, "trouble": it.trouble.as_ref().map(ToString::to_string),
        }));
        return;
    }
    app.printer.note(&format!("{}: {}", it.unit.display(), told(standing)));
    app.printer.line(text.trim_end());
    for line in difference {
        app.printer.note(&line);
    }
    if let Some(trouble) = &it.trouble {
        app.printer.note(&format!("it could not be installed now: {trouble}"));
    }
}

/// How a unit stands, in words.
pub(super) fn told(standing: Standing) -> &'static str {
    match standing {
        Standing::Missing => "not there yet",
        Standing::Same => "stands as it should",
        Standing::Older => "written for other flags, or by another version",
        Standing::Edited => "changed by hand",
        Standing::Foreign => "not written by this program",
        Standing::Other => "runs another instance",
    }
}

/// What a person wrote, or another program, is not written over unasked; another instance's never.
fn may_replace(instance: &Instance, standing: Standing, unit: &Path, force: bool) -> Result<(), Failure> {
    match standing {
        Standing::Missing | Standing::Same | Standing::Older => Ok(()),
        Standing::Other => Err(other(unit)),
        Standing::Edited | Standing::Foreign if force => Ok(()),
        Standing::Edited | Standing::Foreign => {
            let command = instance.command();
            Err(Failure::new(Kind::Held, format!("{} is there and {}", unit.display(), told(standing)))
                .hint(format!("see the difference: {command} gateway install --dry-run"))
                .hint(format!("write over it: {command} gateway install --force")))
        }
    }
}

/// Steers no unit that has the name of this instance's and starts something else.
fn check_own(app: &App, instance: &Instance, unit: &Path) -> Result<(), Failure> {
    if service::is_own(instance, &app.ambient, unit) {
        return Ok(());
    }
    let there = fs::read_to_string(unit).unwrap_or_default();
    if text::is_ours(&there) {
        return Err(other(unit));
    }
    let scope = if service::scope(unit) == Scope::User { "--user " } else { "" };
    Err(Failure::new(Kind::Held, format!("{} does not start this instance's gateway", unit.display()))
        .hint(format!("see what it starts: systemctl {scope}cat {}", instance.unit()))
        .hint(format!("install in its place: {} gateway install --force", instance.command())))
}

fn other(unit: &Path) -> Failure {
    Failure::new(Kind::Held, format!("{} runs another instance", unit.display()))
        .hint("give this one a profile of its own, or uninstall the other's service first")
}

/// One instance has one unit: the user's or the machine's.
fn check_other_scope(app: &App, instance: &Instance, unit: &Path) -> Result<(), Failure> {
    let Service::Installed { unit: there, .. } = service::of(instance, &app.ambient) else { return Ok(()) };
    if there == unit {
        return Ok(());
    }
    Err(Failure::new(Kind::Held, format!("{} runs this instance already", there.display()))
        .hint(format!("take that away first: {} gateway uninstall", instance.command())))
}

fn trouble(instance: &Instance, it: &Trouble) -> Failure {
    let kind = if matches!(it, Trouble::NotRoot | Trouble::OtherHome { .. } | Trouble::NoUser(_)) {
        Kind::Usage
    } else {
        Kind::Failed
    };
    let failure = Failure::from_error(kind, it).of(Some(&instance.name));
    it.remedies(instance).into_iter().fold(failure, Failure::hint)
}

fn done(
    app: &App,
    as_json: bool,
    (action, result): (&str, &str),
    unit: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    if as_json {
        app.printer.json(&json!({
            "action": action, "ok": true, "result": result, "instance": instance.name, "unit": unit,
            "service": {
                "label": "systemd", "loaded": unit.is_some(), "loadedText": "enabled", "notLoadedText": "disabled",
            },
        }));
    } else {
        let place = unit.map(|it| format!(" ({})", it.display())).unwrap_or_default();
        app.printer.line(&format!("{}: {result}{place}", instance.name));
    }
    Ok(ExitCode::SUCCESS)
}
