//! `fleet clone`, `fleet rename`, `fleet rm`: instances copied, moved and removed.

use std::path::PathBuf;
use std::process::ExitCode;

use base::{file, random};
use fleet::clone::{self, CloneError, CloneWishes, Cloned};
use fleet::remove::{self, RemoveError};
use fleet::rename::{self, RenameError};
use fleet::service;
use profile::Instance;
use serde_json::json;

use super::{create, find, process, snapshot};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;
use crate::prompt;

const CLONE: &str = "\
Examples:
  openclaw fleet clone main staging
  openclaw fleet clone main staging --port 19789

Config, workspace, skills and memory are copied. Identity, paired devices, messaging logins, grants and conversations
are not; cron is switched off.";

const RENAME: &str = "\
Examples:
  openclaw fleet rename acme acme-old";

const RM: &str = "\
Examples:
  openclaw fleet rm acme                        asks for the name once more
  openclaw fleet rm acme --confirm acme         for scripts
  openclaw fleet rm acme --no-snapshot";

/// Make a new instance with the config, workspace and skills of another
#[derive(Debug, clap::Args)]
#[command(after_help = CLONE)]
pub(super) struct CloneArgs {
    /// The instance to copy; it may run
    #[arg(value_name = "FROM")]
    from: String,

    /// The name of the new one
    #[arg(value_name = "NAME")]
    name: String,

    /// Base port; without it the lowest free one, 20 apart from every other instance's
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Give an instance another name; its folder and the paths in its config follow
#[derive(Debug, clap::Args)]
#[command(after_help = RENAME)]
pub(super) struct RenameArgs {
    /// The instance; it must not run
    #[arg(value_name = "NAME")]
    name: String,

    /// The new name
    #[arg(value_name = "NEW")]
    new: String,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Remove an instance: stop it, keep a snapshot, delete its folder
#[derive(Debug, clap::Args)]
#[command(after_help = RM, visible_alias = "remove")]
pub(super) struct RmArgs {
    /// The instance
    #[arg(value_name = "NAME")]
    name: String,

    /// The name once more, instead of being asked
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,

    /// Keep nothing
    #[arg(long)]
    no_snapshot: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs `clone`.
pub(super) fn run_clone(app: &App, args: &CloneArgs) -> Result<ExitCode, Failure> {
    let from = find::by_name(app, &args.from)?.instance;
    let to = create::new_instance(app, &args.name)?;
    let made = clone(app, &from, &to, args.port)?;
    let left: Vec<_> = made.left_behind.iter().map(|(what, why)| json!({"what": what, "why": why})).collect();
    if args.json {
        app.printer.json(&json!({
            "ok": true, "name": to.name, "from": from.name, "port": made.port, "stateDir": to.state_dir,
            "configPath": to.config_path, "workspace": made.workspace, "files": made.copied.files,
            "bytes": made.copied.bytes, "leftBehind": left,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    app.printer.facts(&[
        ("Instance", app.printer.paint(Tone::Strong, &to.name)),
        ("From", from.name.clone()),
        ("Config", to.config_path.display().to_string()),
        ("Workspace", format!("{} ({} files)", made.workspace.display(), made.copied.files)),
        ("Base port", made.port.to_string()),
        ("Start it", format!("openclaw fleet start {}", to.name)),
    ]);
    if !made.left_behind.is_empty() {
        let rows = made.left_behind.into_iter().map(|(what, why)| vec![what, why]).collect();
        app.printer.table(&["LEFT BEHIND", "WHY"], rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies an instance.
pub(super) fn clone(app: &App, from: &Instance, to: &Instance, port: Option<u16>) -> Result<Cloned, Failure> {
    let wishes =
        CloneWishes { port, token: random::hex::<24>(), version: env!("CARGO_PKG_VERSION").to_owned() };
    clone::clone(from, to, &app.ambient, &wishes).map_err(|error| {
        let kind = match &error {
            CloneError::Overlap(_) => Kind::Held,
            CloneError::Exists(_) | CloneError::Port(_) => Kind::Usage,
            CloneError::Config(_) | CloneError::Finding { .. } | CloneError::ConfigElsewhere(_) => {
                Kind::Config
            }
            _ => Kind::Failed,
        };
        Failure::from_error(kind, &error).hint(error.remedy()).of(Some(&from.name))
    })
}

/// Runs `rename`.
pub(super) fn run_rename(app: &App, args: &RenameArgs) -> Result<ExitCode, Failure> {
    let from = find::by_name(app, &args.name)?.instance;
    let to = create::new_instance(app, &args.new)?;
    let service = service::of(&from, &app.ambient);
    let done = rename::rename(&from, &to, &app.ambient, service.unit(), env!("CARGO_PKG_VERSION"));
    let done = done.map_err(|error| {
        let kind = match &error {
            RenameError::Held(_) => Kind::Held,
            _ => Kind::Failed,
        };
        Failure::from_error(kind, &error).hint(error.remedy()).of(Some(&from.name))
    })?;
    if args.json {
        app.printer.json(&json!({
            "ok": true, "name": to.name, "was": from.name, "port": done.port, "stateDir": done.folder,
            "workspace": done.workspace, "keptBy": done.kept_by,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    app.printer.facts(&[
        ("Instance", app.printer.paint(Tone::Strong, &to.name)),
        ("Was", from.name.clone()),
        ("State", done.folder.display().to_string()),
        ("Start it", format!("openclaw fleet start {}", to.name)),
    ]);
    for it in &done.kept_by {
        app.printer
            .note(&format!("{it} runs, and still knows {} by its old name until it is restarted", to.name));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `rm`.
pub(super) fn run_rm(app: &App, args: &RmArgs) -> Result<ExitCode, Failure> {
    let instance = find::by_name(app, &args.name)?.instance;
    confirm(&instance, args.confirm.as_deref())?;
    process::stop_first(app, &instance)?;
    let kept =
        if args.no_snapshot || !instance.state_dir.is_dir() { None } else { Some(keep(app, &instance)?) };
    let removed = if instance.state_dir.is_dir() {
        let removed = remove::remove(&instance, &app.ambient);
        removed.map_err(|error| remove_failed(&instance, &error))?.left
    } else {
        forget(app, &instance)?;
        Vec::new()
    };
    if args.json {
        app.printer.json(&json!({
            "ok": true, "name": instance.name, "stateDir": instance.state_dir, "snapshot": kept, "left": removed,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut facts = vec![
        ("Removed", app.printer.paint(Tone::Strong, &instance.name)),
        ("Folder", instance.state_dir.display().to_string()),
    ];
    facts.extend(kept.iter().map(|it| ("Snapshot", it.display().to_string())));
    facts.extend(removed.iter().map(|it| ("Left", format!("{} (outside of its folder)", it.display()))));
    app.printer.facts(&facts);
    Ok(ExitCode::SUCCESS)
}

fn confirm(instance: &Instance, given: Option<&str>) -> Result<(), Failure> {
    let name = &instance.name;
    let question = format!("type {name} to remove it with everything in {}:", instance.state_dir.display());
    let typed = given.map(str::to_owned).or_else(|| prompt::line(&question));
    match typed {
        Some(it) if it == *name => Ok(()),
        Some(_) => Err(Failure::new(Kind::Usage, "that is not its name; nothing was removed").of(Some(name))),
        None => Err(Failure::new(Kind::Usage, "nothing was removed: it was not confirmed")
            .hint(format!("openclaw fleet rm {name} --confirm {name}"))
            .of(Some(name))),
    }
}

/// A snapshot in the host folder, without secrets.
fn keep(app: &App, instance: &Instance) -> Result<PathBuf, Failure> {
    let folder = app.host()?.snapshots();
    file::private_folder(&folder).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let to = snapshot::new_file(&instance.name, |it| folder.join(it));
    snapshot::take_to(app, instance, &to, None).map_err(|it| it.hint("remove it without: --no-snapshot"))?;
    Ok(to)
}

/// Only its record is left.
fn forget(app: &App, instance: &Instance) -> Result<(), Failure> {
    let host = app.host()?;
    let forgotten =
        host.all().iter().filter(|it| it.state_dir == instance.state_dir).try_for_each(|it| host.forget(it));
    forgotten.map_err(|error| Failure::from_error(Kind::Failed, &error))
}

fn remove_failed(instance: &Instance, error: &RemoveError) -> Failure {
    let kind = match error {
        RemoveError::Held(_) => Kind::Held,
        _ => Kind::Failed,
    };
    Failure::from_error(kind, error).hint(error.remedy()).of(Some(&instance.name))
}
