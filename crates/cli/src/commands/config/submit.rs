//! How a changed text is written: by the instance's gateway where it runs, else by this command, below the same lock
//! and with the same history. Nothing that is wrong is written, and nothing over what somebody else wrote.

use std::process::ExitCode;

use profile::document::{Change, Unreadable, Weight};
use profile::writing::{self, Author, Current, NotWritten};
use profile::{Document, Instance, generations};
use protocol::config::{Apply, CHANGED, INVALID, WriteParams, issues};
use protocol::reload::ReloadReport;
use protocol::{Code, Refusal};
use serde_json::json;

use super::{WriteArgs, check};
use crate::app::{App, PATIENCE, no_answer};
use crate::client::{Client, NoAnswer};
use crate::failure::{Failure, Kind, unreadable};
use crate::printer::Tone;

/// Who writes, in the history.
const AUTHOR: &str = "cli";

/// What came of a write, for people and programs.
#[derive(Debug)]
struct Done {
    generation: Option<u64>,
    /// What the running gateway does with it; `None` where none runs.
    effect: Option<String>,
    /// The same, key by key.
    reload: Option<ReloadReport>,
}

/// The config file as the base of a write.
pub(crate) fn current(instance: &Instance) -> Result<Current, Failure> {
    writing::current(instance).map_err(|it| Failure::from_error(Kind::Config, &it))
}

/// The document that is to be changed. One that does not parse is shown with its place.
pub(crate) fn document(instance: &Instance, current: &Current) -> Result<Document, Failure> {
    let path = &instance.config_path;
    let Some(text) = &current.text else {
        let failure = Failure::from_error(Kind::Config, &Unreadable::Missing(path.clone()));
        return Err(failure.hint(format!("make one: {} setup", instance.command())));
    };
    Document::parse(path, text.clone()).map_err(|error| {
        let command = instance.command();
        unreadable(Failure::from_error(Kind::Config, &error), &error)
            .hint(format!("or: {command} config edit, or {command} config rollback"))
    })
}

/// Checks a text, shows what it changes, and writes it.
pub(crate) fn submit(
    app: &App,
    before: &Current,
    mut after: Document,
    why: &str,
    args: &WriteArgs,
) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let old = before.text.as_deref().unwrap_or_default();
    let base = Document::parse(&instance.config_path, old.to_owned());
    let base = base.unwrap_or_else(|_| Document::fresh(&instance.config_path));
    after.keep_secrets(&base).map_err(|it| refused_text(instance, &it))?;
    let found = check::findings(app, instance, &after);
    let broken = check::broken_by(app, instance, before.text.as_deref(), after.text());
    if !broken.is_empty() {
        return Err(refused_text(instance, &broken));
    }
    let changes = writing::difference(old, after.text());
    let is_same = before.text.as_deref() == Some(after.text());
    let done = if args.dry_run || is_same {
        None
    } else {
        refuse_read_only(app)?;
        remember(app, instance, &base, before);
        Some(write(instance, before, after.text(), args.why.as_deref().unwrap_or(why))?)
    };
    if args.json {
        app.printer.json(&json!({
            "ok": true, "instance": instance.name, "path": instance.config_path, "dryRun": args.dry_run,
            "written": done.is_some(), "hash": writing::sum(after.text()), "changes": changes,
            "generation": done.as_ref().and_then(|it| it.generation),
            "effect": done.as_ref().and_then(|it| it.effect.as_ref()),
            "reload": done.as_ref().and_then(|it| it.reload.as_ref()),
            "warnings": found.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    } else {
        let path = &instance.config_path;
        found.errors.iter().for_each(|it| app.printer.note(&format!("still wrong: {}", it.told(path))));
        let warnings = found.warnings.iter().filter(|it| it.weight == Weight::Warning);
        warnings.for_each(|it| app.printer.note(&format!("warning: {}", it.told(path))));
        tell(app, instance, &changes, is_same, done.as_ref());
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(app: &App, instance: &Instance, changes: &[Change], is_same: bool, done: Option<&Done>) {
    let plan = done.and_then(|it| it.reload.as_ref()).map(|it| it.plan.as_slice()).unwrap_or_default();
    for change in changes {
        let kind = plan.iter().find(|it| it.path == change.path).map(|it| format!(" ({})", it.kind));
        app.printer.line(&format!("{}{}", change_line(app, change), kind.unwrap_or_default()));
    }
    let path = instance.config_path.display();
    match done {
        None if is_same => app.printer.note(&format!("instance {}: no change", instance.name)),
        None => app.printer.note(&format!("dry run: {path} was not changed")),
        Some(done) => {
            let only = if changes.is_empty() { " (only comments and layout changed)" } else { "" };
            let generation = done.generation.map(|it| format!(", generation {it}")).unwrap_or_default();
            app.printer.note(&format!("instance {}: wrote {path}{generation}{only}", instance.name));
            app.printer.note(&match &done.effect {
                Some(it) => format!("gateway: {it}"),
                None => "gateway: not running; it starts with this the next time".to_owned(),
            });
        }
    }
}

/// A change as a line: what goes, and what comes.
pub(crate) fn change_line(app: &App, change: &Change) -> String {
    let shown = |it: &Option<String>| it.clone().unwrap_or_else(|| "not set".to_owned());
    let before = app.printer.paint(Tone::Bad, &shown(&change.before));
    let after = app.printer.paint(Tone::Good, &shown(&change.after));
    let path = if change.path.is_empty() { "(all)" } else { &change.path };
    format!("{}: {before} → {after}", app.printer.paint(Tone::Strong, path))
}

/// Some configs belong to a deployment system, which says so in the environment.
fn refuse_read_only(app: &App) -> Result<(), Failure> {
    match writing::is_read_only(&app.ambient) {
        Some(name) => {
            Err(Failure::new(Kind::Config, format!("this config is managed elsewhere ({name} is 1)"))
                .hint("change it where it comes from"))
        }
        None => Ok(()),
    }
}

/// A config that was made or edited while no gateway ran is accepted by nobody; once it is replaced, only the history
/// leads back to it. One that is wrong is no generation.
fn remember(app: &App, instance: &Instance, base: &Document, before: &Current) {
    let is_whole = before.text.as_deref() == Some(base.text());
    if is_whole && check::findings(app, instance, base).errors.is_empty() {
        // Without it, the write still keeps the text beside the generations.
        let _ = generations::accept(&instance.state_dir, base.text());
    }
}

/// Writes the text. A gateway that runs is asked to, since it can say what it makes of it.
fn write(instance: &Instance, before: &Current, text: &str, why: &str) -> Result<Done, Failure> {
    match Client::connect(&instance.state_dir, PATIENCE) {
        Ok(client) => through(client, instance, before, text, why),
        Err(NoAnswer::NotRunning(source)) if source.kind() != std::io::ErrorKind::PermissionDenied => {
            directly(instance, before, text, why)
        }
        Err(error) => Err(no_answer(instance, &error)),
    }
}

fn through(
    mut client: Client,
    instance: &Instance,
    before: &Current,
    text: &str,
    why: &str,
) -> Result<Done, Failure> {
    let params = WriteParams {
        raw: text.to_owned(),
        base_hash: before.text.as_ref().map(|_| before.sum.clone()),
        note: Some(why.to_owned()),
        ..WriteParams::default()
    };
    match client.call::<Apply>(&params) {
        Ok(reply) => Ok(Done { generation: reply.generation, effect: reply.effect, reload: reply.reload }),
        Err(NoAnswer::Refused(refusal)) => Err(refused(instance, before, &refusal)),
        Err(error) => Err(no_answer(instance, &error)),
    }
}

fn directly(instance: &Instance, before: &Current, text: &str, why: &str) -> Result<Done, Failure> {
    let base = before.text.as_ref().map(|_| before.sum.as_str());
    let author = Author { by: AUTHOR.to_owned(), why: why.to_owned() };
    writing::write(instance, base, text, &author).map_err(|error| match error {
        NotWritten::Changed { .. } => changed(instance, before),
        NotWritten::Busy { .. } => Failure::from_error(Kind::Again, &error).hint("try again in a moment"),
        NotWritten::Folder(it) => Failure::from_error(Kind::Config, &it).hint(it.remedy()),
        NotWritten::Io(it) => Failure::from_error(Kind::Failed, &it).hint("the config is as it was"),
    })?;
    // The text is written; that it is not in the history yet is made up for by the gateway that starts with it.
    let generation = generations::accept(&instance.state_dir, text).ok();
    Ok(Done { generation, effect: None, reload: None })
}

fn refused(instance: &Instance, before: &Current, refusal: &Refusal) -> Failure {
    if refusal.message == CHANGED || refusal.message.contains("base hash") {
        return changed(instance, before);
    }
    if refusal.message == INVALID {
        let mut failure = Failure::new(Kind::Config, "the running gateway refuses this config");
        let line = |it: protocol::config::Issue| {
            format!("line {}, column {}: {}: {}", it.line, it.column, it.path, it.message)
        };
        failure.details.extend(issues(refusal).into_iter().map(line));
        return failure;
    }
    let kind = if refusal.code == Code::Unavailable { Kind::Again } else { Kind::Failed };
    Failure::new(kind, format!("the running gateway did not write it: {}", refusal.message))
        .hint(format!("it may be of another version; restart it: {} gateway", instance.command()))
}

/// Somebody else was quicker: what they changed.
fn changed(instance: &Instance, before: &Current) -> Failure {
    let failure = Failure::new(
        Kind::Again,
        format!(
            "{} was changed by somebody else meanwhile; nothing was written",
            instance.config_path.display()
        ),
    );
    let now = writing::current(instance).ok().and_then(|it| it.text).unwrap_or_default();
    let changes = writing::difference(before.text.as_deref().unwrap_or_default(), &now);
    let mut failure = failure.hint("look at what they changed, and run the command again");
    failure.details.extend(changes.iter().map(ToString::to_string));
    failure
}

fn refused_text(instance: &Instance, errors: &[profile::Finding]) -> Failure {
    let path = instance.config_path.display();
    check::invalid(format!("no gateway would run with this; {path} was not changed"), errors)
}
