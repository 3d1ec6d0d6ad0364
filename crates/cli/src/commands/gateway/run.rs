//! `gateway run`: be the gateway of this instance, until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use base::Secret;
use gateway::Boot;
use rustix::process::Signal;

use crate::app::App;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main gateway run --port 18789
  OPENCLAW_CONFIG_PATH=~/.openclaw/main.json OPENCLAW_STATE_DIR=~/.openclaw-main openclaw gateway run

Exit codes: 0 stopped, 64 usage, 69 held by somebody else, 70 our fault, 78 configuration.";

/// Run the gateway in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Base port; goes before OPENCLAW_GATEWAY_PORT and gateway.port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Token that clients on TCP must present; goes before gateway.auth.token
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,

    /// End with the process that started this one
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: RunArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    if args.exit_with_parent {
        // Where the kernel cannot do it, the parent's own stop remains.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    }
    if let Some(Err(words)) = app.log_level.as_deref().map(gateway::config::level) {
        return Err(Failure::new(Kind::Usage, format!("--log-level {words}")));
    }
    let token = match args.token {
        Some(text) => {
            Some(Secret::new(text).ok_or_else(|| Failure::new(Kind::Usage, "--token must not be empty"))?)
        }
        None => None,
    };
    let boot = Boot {
        instance: instance.clone(),
        ambient: app.ambient.clone(),
        port: args.port,
        token,
        log_level: app.log_level.clone(),
    };
    let printer = app.printer;
    gateway::run(boot, |text| printer.note(text))
        .map_err(|error| Failure::start(&error, &instance.command()))?;
    Ok(ExitCode::SUCCESS)
}
