//! `fleet snapshot` and `fleet restore`: one instance in one file, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::{Secret, clock, random};
use fleet::snapshot::{self, About, Restored, SnapshotError, Source, Taken, Target};
use profile::ports::{self, DEFAULT_BASE};
use profile::registry::Record;
use profile::{Document, Instance, Plan, ledger, listener};
use serde_json::json;

use super::{create, find};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;
use crate::progress::Bar;
use crate::prompt;

const SNAPSHOT: &str = "\
Examples:
  openclaw fleet snapshot main                               main-20261122-213000.tar.gz, here
  openclaw fleet snapshot main --output /backup/main.tar.gz
  openclaw fleet snapshot main --with-secrets                tokens and keys as well, sealed with a passphrase

It is consistent while the gateway runs. Without --with-secrets no token, key or login is in it.";

const RESTORE: &str = "\
Examples:
  openclaw fleet restore main-20261122-213000.tar.gz              to main, which must not run
  openclaw fleet restore main-20261122-213000.tar.gz --as trial   to another instance, on ports of its own
  openclaw fleet restore main-20261122-213000.tar.gz --verify     only look whether it is whole

Everything is verified before anything is replaced. Secrets that are not in the file stay those of the instance.";

/// Keep an instance in one file: config, workspaces, conversations
#[derive(Debug, clap::Args)]
#[command(after_help = SNAPSHOT)]
pub(super) struct SnapshotArgs {
    /// The instance; by default that of --for
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// The file; by default NAME-DATE-TIME.tar.gz in this folder
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// Tokens, keys and logins as well, sealed with a passphrase
    #[arg(long)]
    with_secrets: bool,

    /// Read the passphrase from this file; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "with_secrets")]
    passphrase_file: Option<PathBuf>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Put an instance back from a snapshot
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE)]
pub(super) struct RestoreArgs {
    /// The snapshot
    #[arg(value_name = "FILE")]
    file: String,

    /// To an instance of this name, instead of the one that it was taken of
    #[arg(long = "as", value_name = "NAME")]
    into: Option<String>,

    /// Base port; without it the snapshot's own, or the lowest free one for another instance
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Only look whether the file is whole
    #[arg(long)]
    verify: bool,

    /// Read the passphrase from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Leave the secrets that are sealed in the file where they are
    #[arg(long, conflicts_with = "passphrase_file")]
    without_secrets: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs `snapshot`.
pub(super) fn take(app: &App, args: &SnapshotArgs) -> Result<ExitCode, Failure> {
    let known = find::one_or_ward(app, args.name.as_deref())?;
    let to = match &args.output {
        Some(text) => app.ambient.path(text),
        None => new_file(&known.instance.name, |it| app.ambient.path(it)),
    };
    let passphrase = match args.with_secrets {
        true => Some(prompt::passphrase(args.passphrase_file.as_deref(), true)?),
        false => None,
    };
    let taken = take_to(app, &known.instance, &to, passphrase.as_ref())?;
    if args.json {
        app.printer.json(&json!({
            "ok": true, "file": to, "size": taken.size, "entries": taken.entries, "about": taken.about,
            "leftOut": taken.left_out.iter().map(|it| json!({"path": it.path, "reason": it.reason})).collect::<Vec<_>>(),
        }));
    } else {
        tell_taken(app, &to, &taken);
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes a snapshot of an instance to a file.
pub(crate) fn take_to(
    app: &App,
    instance: &Instance,
    to: &Path,
    passphrase: Option<&Secret>,
) -> Result<Taken, Failure> {
    let mut bar = Bar::new(app.printer, "snapshot");
    let source = Source { instance, ambient: &app.ambient, version: env!("CARGO_PKG_VERSION") };
    let taken = snapshot::take(&source, to, passphrase, &mut |it| bar.show(it.done, it.total));
    bar.end();
    taken.map_err(|error| failed(&error).of(Some(&instance.name)))
}

/// A file that is yet to be made, for a snapshot taken now: `NAME-DATE-TIME.tar.gz`, with a number behind the time
/// where there is one of the same second. `place` says where a name is.
pub(crate) fn new_file(instance: &str, place: impl Fn(&str) -> PathBuf) -> PathBuf {
    let time: String = clock::rfc3339(clock::now_ms()).chars().filter(char::is_ascii_alphanumeric).collect();
    let stem = format!("{instance}-{}", time.trim_end_matches('Z').replace('T', "-"));
    let numbered = (2..).map(|it: u32| format!("{stem}-{it}"));
    let names = std::iter::once(stem.clone()).chain(numbered);
    let mut files = names.map(|it| place(&format!("{it}.tar.gz")));
    files.find(|it| it.symlink_metadata().is_err()).expect("there are more numbers than files")
}

fn tell_taken(app: &App, to: &Path, taken: &Taken) {
    let secrets = match (taken.about.secrets.within, secrets(&taken.about)) {
        (true, it) => format!("sealed within: {it}"),
        (false, it) => format!("left out: {it}"),
    };
    app.printer.facts(&[
        ("Snapshot", to.display().to_string()),
        ("Size", super::ls::megabytes(taken.size)),
        ("Entries", taken.entries.to_string()),
        ("Secrets", secrets),
    ]);
    for it in &taken.left_out {
        app.printer.note(&format!("left out: {}: {}", it.path.display(), it.reason));
    }
}

fn secrets(about: &About) -> String {
    let keys = about.secrets.config.iter().map(|it| it.join("."));
    let all: Vec<String> = keys.chain(about.secrets.files.iter().cloned()).collect();
    if all.is_empty() { "there are none".to_owned() } else { all.join(", ") }
}

/// Runs `restore`.
pub(super) fn restore(app: &App, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let file = app.ambient.path(&args.file);
    let about = snapshot::inspect(&file).map_err(|error| failed(&error))?;
    if args.verify {
        let manifest = snapshot::verify(&file).map_err(|error| failed(&error))?;
        let entries = manifest.entries.len();
        match args.json {
            true => app.printer.json(&json!({"ok": true, "about": about, "entries": entries})),
            false => app.printer.line(&format!(
                "whole: instance {}, taken at {} by version {}, {entries} entries",
                about.instance, about.created_at, about.version
            )),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let target = target(app, args, &about)?;
    let passphrase = match about.secrets.within && !args.without_secrets {
        true => Some(prompt::passphrase(args.passphrase_file.as_deref(), false)?),
        false => None,
    };
    let mut bar = Bar::new(app.printer, "restore");
    let restored =
        snapshot::restore(&file, &target, passphrase.as_ref(), &mut |it| bar.show(it.done, it.total));
    bar.end();
    let restored = restored.map_err(|error| failed(&error).of(Some(&target.instance.name)))?;
    record(&target.instance)?;
    if args.json {
        app.printer.json(&json!({
            "ok": true, "name": target.instance.name, "stateDir": target.instance.state_dir,
            "replaced": restored.is_replacement, "kept": restored.kept, "missing": restored.missing,
            "freshToken": restored.has_fresh_token, "about": restored.about,
        }));
    } else {
        tell_restored(app, &target.instance, &restored);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it goes, and on which port. Another instance than the one that it was taken of gets ports of its own.
fn target(app: &App, args: &RestoreArgs, about: &About) -> Result<Target, Failure> {
    let host = app.host()?;
    let name = args.into.as_deref().or(app.ward()).unwrap_or(&about.instance);
    find::check_ward(app, name)?;
    let found = fleet::look::known(&host, &app.ambient).into_iter().find(|it| it.instance.name == name);
    let instance = match found {
        Some(it) => it.instance,
        None => create::new_instance(app, name)?,
    };
    let own = Document::load(&instance.config_path).ok().and_then(|it| it.port());
    let is_itself = instance.state_dir == about.state_dir;
    let others = host.confirmed_neighbours(&instance.state_dir);
    let port = match (args.port, own, about.port) {
        (Some(it), _, _) => Some(it),
        (None, Some(own), _) => Some(own),
        (None, None, Some(port)) if is_itself => Some(port),
        (None, None, _) => ports::free_bases(DEFAULT_BASE, &others, listener::is_bound).next(),
    };
    if let Some(port) = port {
        let plan = Plan::of(port).map_err(|error| Failure::from_error(Kind::Usage, &error))?;
        host.check_ports(&instance.state_dir, &plan, &[])
            .map_err(|error| Failure::from_error(Kind::Held, &*error).hint("choose another with --port"))?;
    }
    let fresh_token = Secret::new(random::hex::<24>()).expect("a random text is not empty");
    Ok(Target { instance, ambient: app.ambient.clone(), port, fresh_token })
}

/// Lets the other instances know of its ports.
fn record(instance: &Instance) -> Result<(), Failure> {
    let Ok(document) = Document::load(&instance.config_path) else { return Ok(()) };
    let Some(port) = document.port().or(instance.default_port) else { return Ok(()) };
    let record = Record::of(instance, port, document.pinned_ports(), env!("CARGO_PKG_VERSION"));
    // How the one that it was taken of ended is no end of this one.
    ledger::note(&instance.state_dir, |it| it.ended = None)
        .and_then(|()| instance.host.write(&record))
        .map_err(|error| Failure::from_error(Kind::Failed, &error))
}

fn tell_restored(app: &App, instance: &Instance, it: &Restored) {
    let how = if it.is_replacement { "replaced" } else { "new" };
    let list = |it: &[String]| if it.is_empty() { "none".to_owned() } else { it.join(", ") };
    let mut facts = vec![
        ("Instance", app.printer.paint(Tone::Strong, &instance.name)),
        ("Folder", format!("{} ({how})", instance.state_dir.display())),
        (
            "Taken",
            format!("{} of {} by version {}", it.about.created_at, it.about.instance, it.about.version),
        ),
        ("Secrets kept", list(&it.kept)),
        ("To be set", list(&it.missing)),
    ];
    if it.has_fresh_token {
        facts.push(("Token", "a new one".to_owned()));
    }
    facts.extend(
        it.workspaces.iter().map(|it| ("Workspace", format!("{} → {}", it.was.display(), it.is.display()))),
    );
    facts.extend(it.unadapted.iter().map(|it| ("Config", it.clone())));
    facts.push(("Start it", format!("openclaw fleet start {}", instance.name)));
    app.printer.facts(&facts);
    if let Some(folder) = &it.leftover {
        app.printer.note(&format!("the old folder could not be removed: {}", folder.display()));
    }
}

fn failed(error: &SnapshotError) -> Failure {
    let kind = match error {
        SnapshotError::Running { .. } => Kind::Held,
        SnapshotError::Exists(_)
        | SnapshotError::Inside { .. }
        | SnapshotError::NoInstance { .. }
        | SnapshotError::Passphrase(_) => Kind::Usage,
        SnapshotError::Config(_) | SnapshotError::Folder(_) | SnapshotError::ConfigElsewhere { .. } => {
            Kind::Config
        }
        _ => Kind::Failed,
    };
    let failure = Failure::from_error(kind, error);
    match error.remedy() {
        Some(it) => failure.hint(it),
        None => failure,
    }
}
