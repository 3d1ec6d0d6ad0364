//! `health`: whether the gateway can do its work.

use std::process::ExitCode;
use std::time::Duration;

use protocol::health::{Health, HealthParams, HealthReply};

use crate::app::{App, no_answer};
use crate::client::Client;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main health       exit code 0 when all is well, 1 when it is not
  openclaw health --json               the whole answer";

/// What `openclaw health` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HealthArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Milliseconds to wait for the gateway
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout: u64,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &HealthArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let limit = Duration::from_millis(args.timeout);
    let asked = Client::connect(&instance.state_dir, limit)
        .and_then(|mut client| client.call::<Health>(&HealthParams { probe: true }));
    let reply: HealthReply = asked.map_err(|error| no_answer(instance, &error))?;
    if args.json {
        app.printer.json(&reply);
    } else {
        tell(app, &reply);
    }
    Ok(if reply.ok { ExitCode::SUCCESS } else { Kind::Failed.code() })
}

fn tell(app: &App, reply: &HealthReply) {
    let about = &reply.instance;
    let state =
        if reply.ok { app.printer.paint(Tone::Good, "ok") } else { app.printer.paint(Tone::Bad, "not well") };
    let mut facts = vec![
        ("Instance", format!("{} (pid {}, port {})", about.name, about.pid, about.port)),
        ("Health", state),
        ("Sessions", reply.sessions.count.to_string()),
    ];
    facts.extend(reply.problems.iter().map(|it| ("Problem", it.clone())));
    app.printer.facts(&facts);
}
