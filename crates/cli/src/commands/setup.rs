//! `setup`: make an instance that can be started as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use gateway::setup::{Report, SetupError, Wishes, setup};
use profile::{Instance, Plan};
use serde_json::json;

use crate::app::App;
use crate::failure::{self, Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw setup                                 the instance without a profile, in ~/.openclaw
  openclaw --profile rescue setup                one of its own, in ~/.openclaw-rescue
  openclaw --profile acme setup --port 19789     with a base port of your choice";

/// What `openclaw setup` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetupArgs {
    /// Folder of the default agent's files
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,

    /// Base port; without it the lowest free one, 20 apart from every other instance's
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &SetupArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let workspace: Option<PathBuf> = args.workspace.as_deref().map(|it| app.ambient.path(it));
    let wishes = Wishes { port: args.port, workspace };
    let report = setup(instance, &app.ambient, &wishes).map_err(|error| failed(&error))?;
    if let Some(words) = &report.close {
        app.printer.note(&format!("note: {words}"));
    }
    if args.json {
        app.printer.json(&json!({
            "ok": true,
            "instance": instance.name,
            "configPath": instance.config_path,
            "stateDir": instance.state_dir,
            "workspace": report.workspace,
            "port": report.port,
            "created": report.is_new,
            "added": report.added,
            "files": report.files,
        }));
    } else {
        tell(app, instance, &report);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(app: &App, instance: &Instance, report: &Report) {
    let config = instance.config_path.display();
    let config = match (report.is_new, report.added.is_empty()) {
        (true, _) => format!("{config} (new, with a random token)"),
        (false, true) => format!("{config} (kept as it is)"),
        (false, false) => format!("{config} (added: {})", report.added.join(", ")),
    };
    let made = if report.files.is_empty() {
        "kept as it is".to_owned()
    } else {
        format!("made {}", report.files.join(", "))
    };
    let command = instance.command();
    app.printer.facts(&[
        ("Instance", app.printer.paint(Tone::Strong, &instance.name)),
        ("Config", config),
        ("State", instance.state_dir.display().to_string()),
        ("Workspace", format!("{} ({made})", report.workspace.display())),
        ("Ports", Plan::of(report.port).map_or_else(|error| error.to_string(), |it| ports(&it))),
        ("Start it", format!("{command} gateway")),
    ]);
}

/// The ports of a plan, for people.
pub(crate) fn ports(plan: &Plan) -> String {
    let Plan { base, control, canvas, cdp } = plan;
    format!(
        "gateway {base}, browser control {control}, canvas {canvas}, browsers {}–{}",
        cdp.start(),
        cdp.end()
    )
}

/// Why it could not be done.
pub(crate) fn failed(error: &SetupError) -> Failure {
    let kind = if matches!(error, SetupError::Overlap(_)) { Kind::Held } else { Kind::Config };
    let failure = Failure::from_error(kind, error);
    match error {
        SetupError::Overlap(it) => failure.hint(it.remedy()),
        SetupError::Folder(it) => failure.hint(it.remedy()),
        SetupError::Config(it) => failure::unreadable(failure, it),
        SetupError::NoPort => failure.hint("name one with --port"),
        SetupError::Port(_) => failure.hint("choose another with --port"),
        _ => failure,
    }
}
