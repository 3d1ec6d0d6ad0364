//! `config get` and `config file`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use profile::document::{MASK, redacted};
use serde_json::{Value, json};

use super::change::hides;
use super::path;
use super::submit::{current, document};
use crate::app::App;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw config get                           the whole config, secrets masked
  openclaw config get gateway.port
  openclaw config get 'agents.list[0]' --json
  openclaw config get gateway.auth.token --reveal";

/// Print a value as the file says it; secrets are masked
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// Keys joined with dots; a list's place, or a key with dots, in brackets
    #[arg(value_name = "PATH")]
    path: Option<String>,

    /// Show secrets: on a terminal, or in JSON
    #[arg(long)]
    reveal: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print where the config is
#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `config get`.
pub(crate) fn get(app: &App, args: &GetArgs) -> Result<ExitCode, Failure> {
    if args.reveal && !args.json && !io::stdout().is_terminal() {
        return Err(Failure::new(Kind::Usage, "--reveal shows secrets on a terminal only")
            .hint("where a program is meant to read them, add --json"));
    }
    let instance = app.instance()?;
    let document = document(instance, &current(instance)?)?;
    let keys = args.path.as_deref().map(path::keys).transpose()?.unwrap_or_default();
    let Some(value) = document.at_keys(&keys) else {
        let path = args.path.as_deref().unwrap_or_default();
        return Err(Failure::new(
            Kind::Failed,
            format!("{path} is not set in {}", instance.config_path.display()),
        )
        .hint("where a key is not set, its default applies"));
    };
    let value = if args.reveal { value.clone() } else { masked(&keys, value) };
    match value {
        value if args.json => app.printer.json(&value),
        Value::String(text) => app.printer.line(&text),
        value => app.printer.json(&value),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `config file`.
pub(crate) fn file(app: &App, args: &FileArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let path = &instance.config_path;
    if args.json {
        app.printer.json(&json!({"instance": instance.name, "path": path, "exists": path.exists()}));
    } else {
        app.printer.line(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn masked(keys: &[String], value: &Value) -> Value {
    match value {
        Value::String(text) if hides(keys) && !text.is_empty() => Value::String(MASK.to_owned()),
        other => redacted(other, MASK),
    }
}
