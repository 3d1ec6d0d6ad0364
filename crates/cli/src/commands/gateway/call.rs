//! `gateway call`: one request of the control plane, as it is.

use std::process::ExitCode;
use std::time::Duration;

use protocol::Refusal;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::{App, no_answer};
use crate::client::NoAnswer;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw gateway call health
  openclaw gateway call sessions.list --params '{\"limit\": 5}'
  openclaw gateway call agent --params '{\"message\": \"hi\", \"idempotencyKey\": \"k1\"}' --expect-final";

/// Call a method of the gateway and print its reply
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CallArgs {
    /// The method, such as `health`
    #[arg(value_name = "METHOD")]
    method: String,

    /// Its parameters
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,

    /// Wait for the second response of a method that answers twice
    #[arg(long)]
    expect_final: bool,

    /// Milliseconds to wait
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout: u64,

    /// Print JSON for scripts; failures as well
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &CallArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let params: Value = serde_json::from_str(&args.params).map_err(|error| {
        Failure::new(Kind::Usage, format!("--params is no JSON: {error}"))
            .hint("quote it: --params '{\"key\": \"value\"}'")
    })?;
    let mut client = app.client()?;
    client.set_patience(Duration::from_millis(args.timeout));
    let failed = |error: NoAnswer| no_answer(instance, &error);
    let id = client.send(&args.method, &params).map_err(failed)?;
    loop {
        let response = client.response(&id).map_err(failed)?;
        if let Some(refusal) = response.error {
            return Err(refused(&args.method, &refusal));
        }
        let payload: Value = serde_json::from_str(response.payload.as_deref().map_or("null", RawValue::get))
            .map_err(|error| failed(NoAnswer::Broken(error.to_string())))?;
        if args.expect_final && payload["status"] == "accepted" {
            continue;
        }
        app.printer.json(&payload);
        return Ok(ExitCode::SUCCESS);
    }
}

fn refused(method: &str, refusal: &Refusal) -> Failure {
    let code = serde_json::to_value(refusal.code).unwrap_or_default();
    let kind = if refusal.retryable == Some(true) { Kind::Again } else { Kind::Failed };
    let code = code.as_str().unwrap_or_default().to_owned();
    Failure::new(kind, format!("{method} was refused ({code}): {}", refusal.message))
}
