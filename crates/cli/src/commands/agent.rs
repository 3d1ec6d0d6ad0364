//! `agent`: one question to the agent, one answer.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use protocol::agent::{Run, RunParams, RunReply};
use protocol::frame::FromServer;
use protocol::{Method, event};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::{App, no_answer};
use crate::client::NoAnswer;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main agent --message \"What is in this folder?\"
  openclaw agent -m \"And now?\" --session-id demo     a conversation of its own
  openclaw agent -m \"hi\" --json                      the answer with model, tokens and time";

/// What is added to the turn's own limit before the command gives up on the gateway.
const GRACE: Duration = Duration::from_secs(30);

/// What `openclaw agent` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AgentArgs {
    /// What to say
    #[arg(short, long, value_name = "TEXT")]
    message: String,

    /// The conversation; a new one is made for an id that is not known
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,

    /// The agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Seconds that the turn may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &AgentArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let mut client = app.client()?;
    client.set_patience(Duration::from_secs(args.timeout) + GRACE);
    let params = RunParams {
        message: args.message.clone(),
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        // Without a conversation it is the agent's main one; the gateway alone would begin another.
        agent_id: args.agent.clone().or_else(|| args.session_id.is_none().then(|| "main".to_owned())),
        session_id: args.session_id.clone(),
        timeout: Some(args.timeout),
        ..RunParams::default()
    };
    let failed = |error: NoAnswer| no_answer(instance, &error);
    let id = client.send(Run::NAME, &params).map_err(failed)?;
    let live = !args.json && std::io::stdout().is_terminal();
    let mut shown = false;
    let mut in_line = false;
    loop {
        let next = client.next(Some(&id));
        if next.is_err() && in_line {
            app.printer.line("");
        }
        match next.map_err(failed)? {
            FromServer::Event(event) if live && event.event == event::Name::Agent.name() => {
                match step(event.payload.as_deref(), &params.idempotency_key) {
                    Some(Step::Says(more)) => {
                        app.printer.piece(&more);
                        (shown, in_line) = (true, true);
                    }
                    // What it says after a tool begins a line of its own.
                    Some(Step::AsksAgain) if in_line => {
                        app.printer.line("");
                        in_line = false;
                    }
                    _ => {}
                }
            }
            FromServer::Event(_) => {}
            FromServer::Response(it) => {
                let text = it.payload.as_deref().map_or("null", RawValue::get);
                match serde_json::from_str::<RunReply>(text) {
                    Ok(RunReply::Accepted { .. }) => {}
                    Ok(reply) => return end(app, args, &reply, shown),
                    Err(_) => {
                        let words = it.error.map_or_else(|| "it cannot be read".to_owned(), |it| it.message);
                        return Err(Failure::new(Kind::Failed, words));
                    }
                }
            }
        }
    }
}

/// What the person is shown of a run.
enum Step {
    /// More of the answer.
    Says(String),
    /// The model is asked, for the first time or after a tool.
    AsksAgain,
}

fn step(payload: Option<&RawValue>, run_id: &str) -> Option<Step> {
    let event: event::Agent = serde_json::from_str(payload?.get()).ok()?;
    match event.stream.as_str() {
        _ if event.run_id != run_id => None,
        "assistant" => Some(Step::Says(event.data["delta"].as_str()?.to_owned())),
        "lifecycle" if event.data["phase"] == "model" => Some(Step::AsksAgain),
        _ => None,
    }
}

fn end(app: &App, args: &AgentArgs, reply: &RunReply, shown: bool) -> Result<ExitCode, Failure> {
    if shown {
        app.printer.line("");
    }
    if args.json {
        app.printer.json(reply);
    }
    match reply {
        RunReply::Ok { result, .. } => {
            if !args.json && !shown {
                let texts: Vec<_> = result.payloads.iter().map(|it| it.text.as_str()).collect();
                app.printer.line(&texts.join("\n"));
            }
            Ok(ExitCode::SUCCESS)
        }
        RunReply::Timeout { stop_reason, .. } => {
            let words = match stop_reason.as_str() {
                "timeout" => format!("the turn was stopped after its limit of {} s", args.timeout),
                "shutdown" => "the gateway stopped in the middle of the turn".to_owned(),
                _ => "the turn was stopped".to_owned(),
            };
            quiet(app, args, Failure::new(Kind::Again, words))
        }
        RunReply::Error { summary, .. } => quiet(app, args, Failure::new(Kind::Failed, summary.clone())),
        RunReply::Accepted { .. } => Err(Failure::new(Kind::Fault, "the turn was accepted twice")),
    }
}

/// A failure whose JSON is printed already.
fn quiet(app: &App, args: &AgentArgs, failure: Failure) -> Result<ExitCode, Failure> {
    if args.json { Ok(app.printer.failure(&failure.of(app.known_name()), false)) } else { Err(failure) }
}

/// The text of a message out of an event.
pub(crate) fn text_of(message: Option<&Value>) -> String {
    message.map(protocol::chat::text_of).unwrap_or_default()
}
