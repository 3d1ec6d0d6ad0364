//! `doctor`: what is wrong with this instance and around it, and what can be put right from here.

pub(crate) mod given;
mod mending;
pub(crate) mod tell;

use std::process::ExitCode;

use fleet::doctor::{self, ALL, Effort, Finding, Given, Scene, Severity};
use profile::Instance;
use serde_json::{Value, json};

use self::mending::Mended;
use crate::app::App;
use crate::commands::ward::Touch;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main doctor                  look, change nothing
  openclaw --profile main doctor --deep           ask the model and read the whole database as well
  openclaw --profile main doctor --fix            put right what is safe, asked one by one
  openclaw --profile main doctor --fix --yes      the same, unasked
  openclaw doctor --lint --json                   for scripts

No gateway needs to run, and the config need not parse. --fix takes a snapshot first and touches no other instance.
Exit code: 0 when nothing of severity error is left, 1 when something is. Warnings do not count.";

/// What `openclaw doctor` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Put right what is safe, after a snapshot
    #[arg(long, visible_alias = "repair")]
    fix: bool,

    /// Do not ask: yes to all
    #[arg(long, short)]
    yes: bool,

    /// Ask nothing; with --fix, what is safe is put right
    #[arg(long)]
    non_interactive: bool,

    /// Ask the model, read the whole database
    #[arg(long)]
    deep: bool,

    /// Only look, as without --fix; for scripts that want to be sure
    #[arg(long, conflicts_with_all = ["fix", "restore_config"])]
    lint: bool,

    /// Put the last accepted config in the place of one that does not parse or is wrong; the file is kept beside it
    #[arg(long, requires = "fix")]
    restore_config: bool,

    /// Take no snapshot first
    #[arg(long, requires = "fix")]
    no_snapshot: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

impl DoctorArgs {
    /// What it does to the instance that `--for` names.
    pub(crate) fn touch(&self) -> Touch {
        if self.fix { Touch::Acts } else { Touch::Looks }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let effort = if args.deep { Effort::Deep } else { Effort::Look };
    let mut found = examine(app, instance, effort);
    let mended = match args.fix {
        true => {
            if !args.json {
                tell::head(app, instance);
                tell::findings(app, &found);
            }
            let mended = mending::run(app, args, instance, &found)?;
            found = examine(app, instance, effort);
            Some(mended)
        }
        false => None,
    };
    let errors = found.iter().filter(|it| it.severity == Severity::Error).count();
    if args.json {
        app.printer.json(&as_json(instance, effort, &found, mended.as_ref()));
    } else {
        match &mended {
            Some(it) => it.tell(app, &found),
            None => {
                tell::head(app, instance);
                tell::findings(app, &found);
            }
        }
        tell::summary(app, instance, effort, &found, mended.is_some());
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { Kind::Failed.code() })
}

/// Makes the checks.
pub(crate) fn examine(app: &App, instance: &Instance, effort: Effort) -> Vec<Finding> {
    let ambient = &app.ambient;
    let given = Given {
        judge: &|it| given::judge(instance, ambient, it),
        reach: &|it| given::reach(instance, ambient, it),
    };
    doctor::examine(&Scene::look(instance, ambient, effort, given))
}

/// How many there are of each severity.
pub(crate) fn counts(found: &[Finding]) -> [usize; 3] {
    [Severity::Error, Severity::Warn, Severity::Info]
        .map(|severity| found.iter().filter(|it| it.severity == severity).count())
}

fn as_json(instance: &Instance, effort: Effort, found: &[Finding], mended: Option<&Mended>) -> Value {
    let [errors, warnings, infos] = counts(found);
    let checks: Vec<Value> = ALL
        .iter()
        .filter(|it| it.effort <= effort)
        .map(|check| {
            let count = found.iter().filter(|it| it.id == check.id).count();
            json!({"id": check.id, "about": check.about, "findings": count})
        })
        .collect();
    json!({
        "ok": errors == 0,
        "instance": {
            "name": instance.name, "stateDir": instance.state_dir, "configPath": instance.config_path,
            "pid": profile::claims::holder_now(&instance.state_dir).map(|it| it.pid),
        },
        "summary": {"error": errors, "warn": warnings, "info": infos},
        "checks": checks,
        "findings": found,
        "fix": mended.map(Mended::as_json),
    })
}
