//! `fleet repair`: put the host's records right from what is on disk.

use std::process::ExitCode;

use fleet::repair::{self, Repair};
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet repair --dry-run      what would be done
  openclaw fleet repair";

/// Put the host's records right from what is on disk
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RepairArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &RepairArgs) -> Result<ExitCode, Failure> {
    let host = app.host()?;
    let version = env!("CARGO_PKG_VERSION");
    let repairs: Vec<String> = match args.dry_run {
        true => repair::look(&host, &app.ambient).iter().map(|it| format!("would {it}")).collect(),
        false => repair::run(&host, &app.ambient, version).iter().map(Repair::done).collect(),
    };
    if args.json {
        app.printer.json(&json!({"ok": true, "dryRun": args.dry_run, "repairs": repairs}));
    } else if repairs.is_empty() {
        app.printer.note("everything is as it should be");
    } else {
        repairs.iter().for_each(|it| app.printer.line(it));
    }
    Ok(ExitCode::SUCCESS)
}
