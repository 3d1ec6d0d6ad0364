//! `gateway install`, `uninstall`, `start`, `stop`, `restart`: the unit that has systemd run this instance.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::file;
use fleet::service::host::Host;
use fleet::service::judge::{self, Judged};
use fleet::service::steps;
use fleet::service::systemd::{self, Scope, Trouble};
use fleet::service::text::{self, Standing, Wanted};
use fleet::service::{self, Service};
use fleet::start::{self, Started};
use profile::{Instance, claims};
use serde_json::json;

use super::elsewhere;
use super::socket::{self, Socket};
use crate::app::App;
use crate::commands::fleet::process;
use crate::failure::{Failure, Kind};

const INSTALL: &str = "\
Examples:
  openclaw --profile main gateway install
  openclaw --profile main gateway install --dry-run      show the unit, write nothing
  openclaw --profile main gateway install --socket       start it by its first connection
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

    /// Have systemd listen, and start the gateway by its first connection
    #[arg(long)]
    socket: bool,

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

impl Verb {
    fn elsewhere(self) -> steps::Verb {
        match self {
            Verb::Start => steps::Verb::Start,
            Verb::Stop => steps::Verb::Stop,
            Verb::Restart => steps::Verb::Restart,
        }
    }
}

impl InstallArgs {
    /// A service of the user's own, as it is usual.
    pub(crate) fn usual(without_linger: bool) -> Self {
        Self {
            dry_run: false,
            force: false,
            no_start: false,
            socket: false,
            without_linger,
            system: false,
            user: None,
            json: false,
        }
    }

    fn scope(&self) -> Scope {
        if self.system { Scope::System } else { Scope::User }
    }
}

/// Runs `install`.
pub(crate) fn install(app: &App, args: &InstallArgs) -> Result<ExitCode, Failure> {
    if let Some(host) = Host::HERE {
        return elsewhere::install(app, args, host);
    }
    let plan = plan(app, args)?;
    if args.dry_run {
        show(app, args.json, &plan);
        return Ok(ExitCode::SUCCESS);
    }
    let result = carry_out(app, args, &plan)?;
    done(app, args.json, ("install", result), Some(&plan.unit))
}

/// Has the instance started by a service, and says nothing of it. Gives the file that has it done.
pub(crate) fn install_quietly(app: &App, args: &InstallArgs) -> Result<PathBuf, Failure> {
    if let Some(host) = Host::HERE {
        return elsewhere::put(app, args, host);
    }
    let plan = plan(app, args)?;
    carry_out(app, args, &plan)?;
    Ok(plan.unit)
}

/// Whether a service of the user's own could be installed: asked before anything is written.
pub(crate) fn check_able(app: &App) -> Result<(), Failure> {
    if Host::HERE.is_some() {
        return Ok(());
    }
    let instance = app.instance()?;
    systemd::check(Scope::User, &app.ambient, false).map_err(|it| trouble(instance, &it))
}

fn plan(app: &App, args: &InstallArgs) -> Result<Plan, Failure> {
    let instance = app.instance()?;
    let scope = args.scope();
    let failed = |it: Trouble| trouble(instance, &it);
    let wanted = systemd::wanted(instance, &app.ambient, args.user.clone()).map_err(failed)?;
    let folder =
        systemd::folder(scope, &app.ambient).ok_or_else(|| Failure::new(Kind::Usage, "HOME is not set"))?;
    let unit = folder.join(instance.unit());
    let there = fs::read_to_string(&unit).ok();
    let socket = socket::wanted(instance, &unit, args.socket)?;
    let trouble = systemd::check(scope, &app.ambient, args.without_linger).err();
    Ok(Plan { folder, unit, wanted, socket, there, trouble })
}

fn carry_out(app: &App, args: &InstallArgs, plan: &Plan) -> Result<&'static str, Failure> {
    let Plan { folder, unit, wanted, socket, there, .. } = plan;
    let (instance, scope) = (app.instance()?, args.scope());
    if let Some(it) = &plan.trouble {
        return Err(trouble(instance, it));
    }
    let standing = wanted.compare(there.as_deref());
    may_replace(instance, standing, unit, args.force)?;
    if let Some(it) = socket {
        it.may_replace(instance, args.force)?;
    }
    check_other_scope(app, instance, unit)?;
    check_config(app)?;
    check_runs(app, scope, args.no_start)?;
    let folder = file::private_folder(folder);
    folder.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    if standing != Standing::Same {
        write(scope, unit, &wanted.text())?;
    }
    if let Some(it) = socket {
        write(scope, &it.file, &it.text)?;
    }
    let tell =
        |words: &[&str]| systemd::tell(scope, &app.ambient, words).map_err(|it| trouble(instance, &it));
    tell(&["daemon-reload"])?;
    // By its socket it is started by whoever comes first, and not with the machine.
    let begins = if socket.is_some() { service::socket::name(instance) } else { instance.unit() };
    tell(&["enable", &begins])?;
    if !args.no_start {
        // Ready by its own word: the unit is of the type that waits for it.
        tell(&["start", &begins])?;
    }
    Ok(if standing == Standing::Same { "already-installed" } else { "installed" })
}

/// Writes a unit. One of the machine is for everybody to read, as systemd's own are: nothing in it is secret.
fn write(scope: Scope, file: &Path, text: &str) -> Result<(), Failure> {
    let written = file::replace(file, text.as_bytes());
    written.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    if scope == Scope::System {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644))
            .map_err(|error| Failure::new(Kind::Failed, format!("{}: {error}", file.display())))?;
    }
    Ok(())
}

/// A service that could not start is not installed.
pub(super) fn check_config(app: &App) -> Result<(), Failure> {
    let instance = app.instance()?;
    gateway::check(instance, &app.ambient).map_err(|error| {
        Failure::from_error(Kind::Config, &error)
            .hint(format!("a service would not start with this; see: {} config validate", instance.command()))
    })
}

/// A gateway that runs outside of the service would keep the service from starting.
fn check_runs(app: &App, scope: Scope, no_start: bool) -> Result<(), Failure> {
    let instance = app.instance()?;
    match outside(app, instance, scope).filter(|_| !no_start) {
        Some(pid) => Err(runs_outside(instance, pid).hint("or install with --no-start")),
        None => Ok(()),
    }
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

/// Runs `uninstall`.
pub(crate) fn uninstall(app: &App, args: &SteerArgs) -> Result<ExitCode, Failure> {
    if let Some(host) = Host::HERE {
        return elsewhere::steer(app, steps::Verb::Uninstall, args.json, host);
    }
    let instance = app.instance()?;
    let Some(Judged { unit, scope, .. }) = own(app)? else {
        return done(app, args.json, ("uninstall", "not-loaded"), None);
    };
    let names = names(instance, &unit);
    let words: Vec<&str> = ["disable", "--now"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let tell =
        |words: &[&str]| systemd::tell(scope, &app.ambient, words).map_err(|it| trouble(instance, &it));
    tell(&words)?;
    // The unit goes last: by it an uninstall that was cut off is taken up again.
    for it in names.iter().map(|it| unit.with_file_name(it)) {
        file::remove(&it).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    tell(&["daemon-reload"])?;
    for it in &names {
        // A failed unit is remembered by name after its file is gone; there may be none.
        let _ = systemd::tell(scope, &app.ambient, &["reset-failed", it]);
    }
    done(app, args.json, ("uninstall", "uninstalled"), None)
}

/// Runs `start`.
pub(crate) fn start(app: &App, args: &StartArgs) -> Result<ExitCode, Failure> {
    if !args.safe {
        return steer(app, Verb::Start, &SteerArgs { json: args.json });
    }
    let instance = app.instance()?;
    let program = process::program()?;
    let started = start::start_safe(instance, &app.ambient, &program);
    match started.map_err(|it| process::failure(instance, &it))? {
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
        return elsewhere::steer(app, verb.elsewhere(), args.json, host);
    }
    let instance = app.instance()?;
    if let Some(session) = app.ambient.tool_session(&instance.name).filter(|_| verb == Verb::Restart) {
        let (words, _) = process::ask_itself(instance, session)?;
        return done(app, args.json, ("restart", &words), None);
    }
    let command = instance.command();
    let Some(Judged { unit, scope, .. }) = own(app)? else {
        return Err(Failure::new(Kind::Failed, "it has no service")
            .hint(format!("install one: {command} gateway install"))
            .hint(format!("or do it without: openclaw fleet {} {}", word(verb), instance.name)));
    };
    let name = instance.unit();
    if verb != Verb::Stop && systemd::is_behind(scope, &app.ambient, &name) {
        let flag = if scope == Scope::User { " --user" } else { "" };
        app.printer.note(&format!(
            "{}: systemd goes by an older text of {name} than the one that stands; for the new one run: \
             systemctl{flag} daemon-reload",
            instance.name
        ));
    }
    // One that stopped itself in its own unit would be cut off before it is through.
    let inside = profile::Ambient::unit().as_deref() == Some(&name);
    // A socket would start it again; a restart leaves it as it is.
    let names = if verb == Verb::Restart { vec![name] } else { names(instance, &unit) };
    let first = std::iter::once(word(verb)).chain(inside.then_some("--no-block"));
    let words: Vec<&str> = first.chain(names.iter().map(String::as_str)).collect();
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
        for it in &names {
            // One that failed too often is let off: a person asks now.
            let _ = systemd::tell(scope, &app.ambient, &["reset-failed", it]);
        }
    }
    systemd::tell(scope, &app.ambient, &words).map_err(|it| trouble(instance, &it))?;
    let result = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
    };
    done(app, args.json, (word(verb), result), Some(&unit))
}

/// The instance's unit, where it has one. One of another instance, or of another program, is nobody's to steer from
/// here; one that was changed is, with a word about it.
fn own(app: &App) -> Result<Option<Judged>, Failure> {
    let instance = app.instance()?;
    let Some(judged) = judge::of(instance, &app.ambient, None) else { return Ok(None) };
    let place = judged.unit.display();
    if !judged.is_own() {
        let scope = if judged.scope == Scope::User { " --user" } else { "" };
        return Err(if judged.standing == Standing::Other {
            other(&judged.unit)
        } else {
            Failure::new(Kind::Held, format!("{place} was not written by this program")).hint(format!(
                "whoever installed it steers it and takes it away; look at it: systemctl{scope} cat {}",
                instance.unit()
            ))
        });
    }
    if judged.standing != Standing::Same {
        let words = told(judged.standing);
        let command = instance.command();
        let name = &instance.name;
        app.printer.note(&format!("{name}: {place}: {words}; see: {command} gateway install --dry-run"));
    }
    Ok(Some(judged))
}

/// The units of an instance: the socket's first, where there is one.
fn names(instance: &Instance, unit: &Path) -> Vec<String> {
    let socket = service::socket::beside(unit).is_file().then(|| service::socket::name(instance));
    socket.into_iter().chain([instance.unit()]).collect()
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    }
}

/// What an install would do.
struct Plan {
    folder: PathBuf,
    unit: PathBuf,
    wanted: Wanted,
    socket: Option<Socket>,
    there: Option<String>,
    /// What would keep it from being done.
    trouble: Option<Trouble>,
}

fn show(app: &App, as_json: bool, plan: &Plan) {
    let there = plan.there.as_deref();
    let (text, standing) = (plan.wanted.text(), plan.wanted.compare(there));
    let difference = there.map(|it| text::difference(it, &text)).unwrap_or_default();
    let remedies = |it: &Trouble| app.instance().map(|instance| it.remedies(instance)).unwrap_or_default();
    if as_json {
        let troubles: Vec<_> =
            plan.trouble.iter().map(|it| json!({"message": it.to_string(), "hints": remedies(it)})).collect();
        let socket = plan.socket.as_ref().map(|it| json!({"unit": it.file, "text": it.text}));
        app.printer.json(&json!({
            "action": "install", "ok": true, "dryRun": true, "unit": plan.unit, "standing": standing, "text": text,
            "difference": difference, "socket": socket, "troubles": troubles,
        }));
        return;
    }
    app.printer.note(&format!("{}: {}", plan.unit.display(), told(standing)));
    app.printer.line(text.trim_end());
    for line in difference {
        app.printer.note(&line);
    }
    if let Some(it) = &plan.socket {
        app.printer.note(&format!("{}:", it.file.display()));
        app.printer.line(it.text.trim_end());
    }
    if let Some(it) = &plan.trouble {
        app.printer.note(&format!("an install would be refused: {it}"));
        for line in remedies(it) {
            app.printer.note(&format!("  {line}"));
        }
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

fn other(unit: &Path) -> Failure {
    Failure::new(Kind::Held, format!("{} runs another instance", unit.display()))
        .hint("give this one a profile of its own, or take the other's service away as that other instance")
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
