//! `fleet exec`: one command for each of several instances.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use fleet::look::Known;
use profile::Ambient;
use serde_json::{Value, json};

use super::find::Which;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet exec --all -- openclaw health
  openclaw fleet exec --only main --only rescue -- sh -c 'du -sh \"$OPENCLAW_STATE_DIR\"'

The command runs once an instance, one after the other, with the environment that leads it there. The exit code is
the first one that is not 0.";

/// Run a command for each instance, with the environment that leads it there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExecArgs {
    /// Every instance of this host
    #[arg(long, required_unless_present = "only", conflicts_with = "only")]
    all: bool,

    /// This instance; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Print JSON for scripts: the output and exit code of each
    #[arg(long)]
    pub(super) json: bool,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// Runs it.
pub(super) fn run(app: &App, args: &ExecArgs) -> Result<ExitCode, Failure> {
    let known = Which::named(args.only.clone(), args.all).of(app)?;
    let mut worst = 0;
    let mut rows = Vec::new();
    for it in &known {
        if !args.json {
            app.printer.note(&app.printer.paint(Tone::Strong, &format!("[{}]", it.instance.name)));
        }
        let (code, row) = one(app, args, it)?;
        rows.push(row);
        if worst == 0 {
            worst = code;
        }
    }
    if args.json {
        app.printer.json(&json!({"ok": worst == 0, "instances": rows}));
    }
    Ok(ExitCode::from(u8::try_from(worst).unwrap_or(1)))
}

fn one(app: &App, args: &ExecArgs, known: &Known) -> Result<(i32, Value), Failure> {
    let (program, rest) = args.command.split_first().expect("at least one word is required");
    // Our own name is this very program, whatever else the path may hold.
    let own = (program == "openclaw").then(Ambient::program).and_then(Result::ok);
    let mut command = own.map_or_else(|| Command::new(program), Command::new);
    command.args(rest).env_clear().envs(known.instance.surroundings(&app.ambient)).stdin(Stdio::null());
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Usage, format!("{program} cannot be run: {error}")).of(Some(&known.instance.name))
    };
    let name = &known.instance.name;
    if args.json {
        let output = command.output().map_err(failed)?;
        let code = code_of(output.status);
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        let row = json!({
            "name": name, "code": code, "stdout": text(&output.stdout), "stderr": text(&output.stderr),
        });
        return Ok((code, row));
    }
    let code = code_of(command.status().map_err(failed)?);
    Ok((code, Value::Null))
}

/// The exit code; as a shell has it, 128 plus the signal that ended the command.
fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(1)
}
