//! `fleet start`, `stop`, `restart`: gateways that live on by themselves.

use std::process::ExitCode;

use fleet::look::Known;
use fleet::start::{self, Failed, Started, Stopped};
use profile::{Ambient, Instance};
use protocol::system::{RestartParams, RestartRequest};
use serde::Serialize;
use serde_json::{Value, json};

use super::find::Which;
use crate::app::{App, PATIENCE, no_answer};
use crate::client::Client;
use crate::failure::{Failure, Kind};

const START: &str = "\
Examples:
  openclaw fleet start main rescue
  openclaw fleet start --all";

const STOP: &str = "\
Examples:
  openclaw fleet stop acme
  openclaw fleet stop acme --force      kill it when it does not end";

const RESTART: &str = "\
Examples:
  openclaw fleet restart acme
  openclaw fleet restart --all          one after the other";

/// Start gateways in the background, and wait until they are ready
#[derive(Debug, clap::Args)]
#[command(after_help = START)]
pub(super) struct StartArgs {
    #[command(flatten)]
    pub(super) which: Which,
}

/// Stop gateways, and wait until they have ended
#[derive(Debug, clap::Args)]
#[command(after_help = STOP)]
pub(super) struct StopArgs {
    #[command(flatten)]
    pub(super) which: Which,

    /// Kill one that does not end in time
    #[arg(long)]
    force: bool,
}

/// Stop and start gateways, one after the other
#[derive(Debug, clap::Args)]
#[command(after_help = RESTART)]
pub(super) struct RestartArgs {
    #[command(flatten)]
    pub(super) which: Which,
}

/// One instance and what came of it.
struct Outcome {
    instance: Instance,
    done: Result<(String, Value), Failed>,
}

/// Runs `start`.
pub(super) fn start(app: &App, args: &StartArgs) -> Result<ExitCode, Failure> {
    let known = args.which.of(app)?;
    let program = program()?;
    let instances: Vec<&Instance> = known.iter().map(|it| &it.instance).collect();
    let done = start::start(&instances, &app.ambient, &program);
    let outcomes = known.iter().zip(done).map(|(it, done)| outcome(it, done.map(started)));
    finish(app, args.which.json, outcomes.collect())
}

/// Runs `stop`.
pub(super) fn stop(app: &App, args: &StopArgs) -> Result<ExitCode, Failure> {
    let known = args.which.of(app)?;
    // Side by side: each may take as long as its work in hand.
    let done: Vec<_> = std::thread::scope(|scope| {
        let force = args.force;
        let all: Vec<_> =
            known.iter().map(|it| scope.spawn(move || start::stop(&it.instance, force))).collect();
        all.into_iter().map(|it| it.join().expect("a stop does not panic")).collect()
    });
    let outcomes = known.iter().zip(done).map(|(it, done)| outcome(it, done.map(stopped)));
    finish(app, args.which.json, outcomes.collect())
}

/// Runs `restart`. The next one is stopped when the one before answers again.
pub(super) fn restart(app: &App, args: &RestartArgs) -> Result<ExitCode, Failure> {
    let known = args.which.of(app)?;
    let program = program()?;
    let mut outcomes = Vec::new();
    for it in &known {
        if let Some(session) = app.ambient.tool_session(&it.instance.name) {
            let done = ask_itself(&it.instance, session)?;
            outcomes.push(outcome(it, Ok(done)));
            continue;
        }
        let done = may_start(app, &it.instance)
            .and_then(|()| start::stop(&it.instance, false))
            .and_then(|_| start::start(&[&it.instance], &app.ambient, &program).remove(0));
        outcomes.push(outcome(it, done.map(started)));
    }
    finish(app, args.which.json, outcomes)
}

/// A gateway whose own tool asks for its restart: the tool would end with it, and nobody would start it again. It begins
/// again by itself once the turn is through, and the conversation is told.
pub(crate) fn ask_itself(instance: &Instance, session: &str) -> Result<(String, Value), Failure> {
    let mut client =
        Client::connect(&instance.state_dir, PATIENCE).map_err(|error| no_answer(instance, &error))?;
    let params = RestartParams {
        reason: Some("the agent asked for it".to_owned()),
        session_key: Some(session.to_owned()),
        note: None,
    };
    let reply = client.call::<RestartRequest>(&params).map_err(|error| no_answer(instance, &error))?;
    let words = "restarts after this turn; this conversation is told when it is ready again".to_owned();
    Ok((words, json!({"was": "asked", "status": reply.status, "turns": reply.turns})))
}

/// Stops one instance on the way to something else.
pub(super) fn stop_first(app: &App, instance: &Instance) -> Result<(), Failure> {
    match start::stop(instance, false) {
        Ok(Stopped::Already) => Ok(()),
        Ok(it) => {
            app.printer.note(&format!("{}: {}", instance.name, stopped(it).0));
            Ok(())
        }
        Err(error) => Err(failure(instance, &error)),
    }
}

/// A gateway that could not start again is not stopped.
fn may_start(app: &App, instance: &Instance) -> Result<(), Failed> {
    let Err(error) = gateway::check(instance, &app.ambient) else { return Ok(()) };
    let findings = match &error {
        gateway::StartError::Config { findings, .. } => findings.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Err(Failed::Kept { said: base::text::chain(&error), more: findings })
}

/// This program's file.
pub(crate) fn program() -> Result<std::path::PathBuf, Failure> {
    Ambient::program()
        .map_err(|error| Failure::new(Kind::Fault, format!("the program's own file is unknown: {error}")))
}

fn outcome(known: &Known, done: Result<(String, Value), Failed>) -> Outcome {
    Outcome { instance: known.instance.clone(), done }
}

fn started(it: Started) -> (String, Value) {
    let words = match &it {
        Started::Now { pid, ms } => format!("ready (pid {pid}, {ms} ms)"),
        Started::Already { pid } => format!("runs already (pid {pid})"),
    };
    (words, value(&it))
}

fn stopped(it: Stopped) -> (String, Value) {
    let words = match &it {
        Stopped::Now { pid, ms, killed: false } => format!("stopped (pid {pid}, {ms} ms)"),
        Stopped::Now { pid, ms, killed: true } => format!("killed after {ms} ms (pid {pid})"),
        Stopped::Already => "does not run".to_owned(),
    };
    (words, value(&it))
}

fn value(it: &impl Serialize) -> Value {
    serde_json::to_value(it).expect("words and numbers always write")
}

/// Prints what came of each. The exit code is that of the first failure.
fn finish(app: &App, as_json: bool, outcomes: Vec<Outcome>) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    let mut rows = Vec::new();
    let mut failed = false;
    for Outcome { instance, done } in outcomes {
        let name = &instance.name;
        match done {
            Ok((words, value)) => {
                rows.push(json!({"name": name, "ok": true, "result": value}));
                if !as_json {
                    app.printer.line(&format!("{name}: {words}"));
                }
            }
            Err(error) => {
                let failure = failure(&instance, &error);
                rows.push(json!({
                    "name": name, "ok": false, "error": failure.message, "details": failure.details,
                    "hints": failure.hints,
                }));
                let found = app.printer.failure(&failure, false);
                if !failed {
                    code = found;
                }
                failed = true;
            }
        }
    }
    if as_json {
        app.printer.json(&json!({"ok": !failed, "instances": rows}));
    }
    Ok(code)
}

/// Why an instance was not started or stopped, and what to do about it.
pub(crate) fn failure(instance: &Instance, error: &Failed) -> Failure {
    let kind = match error {
        Failed::Supervised(_) => Kind::Usage,
        Failed::Refused { code, .. } => Kind::of_code(*code),
        Failed::Kept { .. } => Kind::Config,
        Failed::Slow { .. } | Failed::Deaf { .. } => Kind::Again,
        Failed::System { .. } => Kind::Fault,
    };
    let mut failure = Failure::from_error(kind, error).of(Some(&instance.name));
    if let Failed::Refused { more, .. } | Failed::Kept { more, .. } = error {
        for line in more {
            match line.strip_prefix("→ ") {
                Some(it) => failure = failure.hint(it),
                None => failure.details.push(line.clone()),
            }
        }
    }
    match error.remedy(&instance.name) {
        Some(it) => failure.hint(it),
        None => failure,
    }
}
