//! `onboard`: the set-up of an instance, step by step, in a terminal, from a pipe, or out of flags.

mod answers;
mod keys;
mod line;
mod provider_keys;
mod screen;
mod tell;
mod walk;

use std::process::ExitCode;

use gateway::wizard::{Kind, Setting, Step, Wizard};
use serde_json::{Value, json};

pub(crate) use answers::Answers;
pub(crate) use tell::cannot_begin;
pub(crate) use walk::{Asker, walk};

use crate::app::App;
use crate::failure::{Failure, Kind as FailureKind};
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  openclaw onboard                     step by step; Esc goes back, Ctrl-C cancels
  openclaw --profile rescue onboard    an instance of its own beside the first
  openclaw onboard --non-interactive --accept-risk --auth-choice openai --secret-input-mode ref
  openclaw onboard --non-interactive --accept-risk --anthropic-api-key @key.txt --json
  openclaw --profile acme onboard --answers acme.json5 --non-interactive

A secret may be given as @FILE, as env:NAME (the config then refers to the
variable), or as - (a line of standard input). A file of answers names steps, as
in {gateway: {port: 19789}, model: {provider: \"openai\"}}.";

/// What `openclaw onboard` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OnboardArgs {
    /// Yes, an agent may act for me on this machine
    #[arg(long)]
    accept_risk: bool,

    /// quickstart: only the model is asked; advanced: every question
    #[arg(long, value_name = "FLOW")]
    flow: Option<String>,

    /// Where there is a config: change it, keep it, or start over
    #[arg(long, value_name = "WHAT")]
    existing: Option<String>,

    /// The same as --existing over
    #[arg(long, conflicts_with = "existing")]
    reset: bool,

    /// What is set up: local
    #[arg(long, value_name = "MODE", hide = true)]
    mode: Option<String>,

    #[command(flatten)]
    pub(crate) answers: Answers,
}

/// What somebody said to a step.
pub(super) enum Reply {
    Answer(Value),
    Back,
    Cancel,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &OnboardArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    if let Some(mode) = args.mode.as_deref().filter(|it| *it != "local") {
        let words = format!(
            "--mode {}: this version sets up gateways on this machine only",
            base::text::line(mode, 40)
        );
        return Err(Failure::new(FailureKind::Usage, words).hint("leave it out, or say --mode local"));
    }
    let mut given = args.answers.given(&app.ambient)?;
    let existing = args.existing.as_deref().or(args.reset.then_some("over"));
    given.extend(existing.map(|it| ("existing".to_owned(), json!(it))));
    // The original has two words for the long way.
    let flow = args.flow.as_deref().map(|it| if it == "manual" { "advanced" } else { it });
    given.extend(flow.map(|it| ("flow".to_owned(), json!(it))));
    given.extend(args.accept_risk.then(|| ("risk".to_owned(), json!(true))));
    args.answers.check(app)?;
    let found = look(app)?;
    let setting = Setting {
        instance: instance.clone(),
        is_open: app.names_none(),
        ambient: app.ambient.clone(),
        found,
        given,
        only: None,
        live: !args.answers.skip_health,
        installs: true,
    };
    let wizard = Wizard::new(setting).map_err(|error| cannot_begin(app, &error))?;
    walk(app, wizard, Asker::of(app, &args.answers), &args.answers)
}

/// What is on the host.
pub(crate) fn look(app: &App) -> Result<gateway::wizard::Found, Failure> {
    let host = app.host()?;
    let ambient = app.ambient.clone();
    Ok(progress::watched(app.printer, "looking around on this host", move || {
        gateway::wizard::look(&host, &ambient)
    }))
}

/// An answer as it may be shown.
fn shown(step: &Step, value: &Value) -> String {
    let label = |value: &str| {
        let choice = step.choices.iter().find(|it| it.value == value);
        choice.map_or_else(|| value.to_owned(), |it| it.label.clone())
    };
    let is_nothing = value.is_null() || value.as_str().is_some_and(|it| it.trim().is_empty());
    let value = if is_nothing { step.default.as_ref().unwrap_or(value) } else { value };
    match (step.kind, value) {
        (Kind::Secret, Value::String(it)) if !it.is_empty() => "***".to_owned(),
        (_, Value::Bool(it)) => if *it { "yes" } else { "no" }.to_owned(),
        (_, Value::String(it)) if it.is_empty() => "(empty)".to_owned(),
        (_, Value::String(it)) => label(it),
        (_, Value::Array(some)) if some.is_empty() => "(none)".to_owned(),
        (_, Value::Array(some)) => {
            some.iter().filter_map(Value::as_str).map(label).collect::<Vec<_>>().join(", ")
        }
        (_, Value::Null) => "(empty)".to_owned(),
        (_, other) => other.to_string(),
    }
}
