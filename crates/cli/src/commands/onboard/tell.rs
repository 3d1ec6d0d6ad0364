//! What a walk came to, for people and for programs.

use std::path::Path;

use gateway::wizard::{BadStart, NotWritten, Outcome, Wizard};
use profile::Plan;
use serde_json::{Value, json};

use super::Answers;
use crate::app::App;
use crate::commands::setup::ports;
use crate::failure::{Failure, Kind, unreadable};
use crate::printer::Tone;

/// What was done, and what to try.
pub(super) fn to_people(app: &App, outcome: &Outcome, service: Option<&Path>) {
    let printer = app.printer;
    let instance = &outcome.instance;
    if let Some(words) = &outcome.close {
        printer.note(&format!("note: {words}"));
    }
    let config = app.ambient.short(&instance.config_path);
    let config = match (outcome.is_new, outcome.changes.len()) {
        (true, _) => format!("{config} (new)"),
        (false, 0) => format!("{config} (nothing to change)"),
        (false, 1) => format!("{config} (1 change)"),
        (false, more) => format!("{config} ({more} changes)"),
    };
    let made = match outcome.files.len() {
        0 => String::new(),
        more => format!(" ({more} files made)"),
    };
    let mut facts = vec![
        ("Instance", printer.paint(Tone::Strong, &instance.name)),
        ("Config", config),
        ("Workspace", format!("{}{made}", app.ambient.short(&outcome.workspace))),
        ("Ports", ports(&outcome.plan)),
        ("Model", outcome.model.clone().unwrap_or_else(|| "none named".to_owned())),
        (
            "Access",
            format!("by {}; it stands in the config as gateway.auth.{}", outcome.access, outcome.access),
        ),
    ];
    facts.extend(service.map(|it| ("Service", app.ambient.short(it))));
    facts.extend(outcome.snapshot.as_ref().map(|it| ("Snapshot", app.ambient.short(it))));
    printer.line("");
    // Beside each other, names and values would be torn apart on a narrow terminal.
    let widest = if printer.width() < 72 { 0 } else { 9 };
    for (name, value) in &facts {
        let name = printer.paint(Tone::Faint, &format!("{:<widest$}", format!("{name}:")));
        printer.line(&printer.folded(&format!("{name} {value}")));
    }
    let command = instance.command();
    printer.line("\nWhat to try now:");
    if service.is_some() {
        printer.line(&format!("  {command} gateway status"));
    } else if is_running(outcome) {
        printer.line(&format!("  openclaw fleet restart {}", instance.name));
    } else {
        printer.line(&format!("  {command} gateway"));
    }
    printer.line(&format!("  {command} status"));
    printer.line(&format!("  {command} agent --message \"hello\""));
    printer.line(&format!("  {command} configure"));
}

fn is_running(outcome: &Outcome) -> bool {
    profile::claims::holder_now(&outcome.instance.state_dir).is_some()
}

/// The result for programs: the original's keys, and what it does not have.
pub(super) fn as_json(
    app: &App,
    wizard: &Wizard,
    outcome: &Outcome,
    (service, answers): (Option<&Path>, &Answers),
) {
    let Outcome { instance, plan, workspace, .. } = outcome;
    let Plan { base, control, canvas, cdp } = plan;
    let auth_choice = wizard.answered("model.provider").unwrap_or(Value::Null);
    app.printer.json(&json!({
        "ok": true,
        "instance": instance.name,
        "mode": "local",
        "workspace": workspace,
        "authChoice": auth_choice,
        "gateway": {"port": base, "bind": "loopback", "authMode": outcome.access, "tailscaleMode": "off"},
        "installDaemon": service.is_some(),
        "unit": service,
        "skipSkills": true,
        "skipHealth": answers.skip_health,
        "configPath": instance.config_path,
        "stateDir": instance.state_dir,
        "ports": {"gateway": base, "browserControl": control, "canvas": canvas,
                  "browsers": [cdp.start(), cdp.end()]},
        "model": outcome.model,
        "created": outcome.is_new,
        "changes": outcome.changes,
        "files": outcome.files,
        "snapshot": outcome.snapshot,
        "noEffect": answers.without_effect(),
    }));
}

/// Why there is nothing to walk through.
pub(crate) fn cannot_begin(app: &App, error: &BadStart) -> Failure {
    let mut failure = Failure::from_error(Kind::Config, error);
    let command = app.instance().map_or_else(|_| "openclaw".to_owned(), profile::Instance::command);
    match error {
        BadStart::Unreadable(it) => unreadable(failure, it).hint("nothing was changed"),
        BadStart::Invalid { findings, .. } => {
            failure.details.extend(findings.iter().map(ToString::to_string));
            failure
                .hint("correct it there; nothing was changed")
                .hint("or set up another instance: openclaw --profile NAME onboard")
        }
        BadStart::Nothing(_) => failure.hint(format!("make one: {command} onboard")),
    }
}

/// Why nothing was written.
pub(super) fn not_written(error: &NotWritten) -> Failure {
    let kind = match error {
        NotWritten::Overlap(_) => Kind::Held,
        NotWritten::Changed(_)
        | NotWritten::Config(
            profile::writing::NotWritten::Changed { .. } | profile::writing::NotWritten::Busy { .. },
        ) => Kind::Again,
        NotWritten::Config(_) => Kind::Config,
        NotWritten::File(_) | NotWritten::Snapshot(_) => Kind::Failed,
        NotWritten::Folder(_) | NotWritten::Findings(_) | NotWritten::Port(_) => Kind::Config,
    };
    let mut failure = Failure::from_error(kind, error);
    match error {
        NotWritten::Overlap(it) => failure.hint(it.remedy()),
        NotWritten::Folder(it) => failure.hint(it.remedy()),
        NotWritten::Changed(_) | NotWritten::Config(profile::writing::NotWritten::Changed { .. }) => {
            failure.hint("nothing was written; begin again")
        }
        NotWritten::Findings(some) => {
            failure.details.extend(some.iter().map(ToString::to_string));
            failure.hint("nothing was written")
        }
        NotWritten::Port(_) | NotWritten::File(_) | NotWritten::Snapshot(_) | NotWritten::Config(_) => {
            failure
        }
    }
}
