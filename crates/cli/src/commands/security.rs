//! `security audit`: who may reach this instance and what is in it.

mod probe;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use fleet::audit::{self, Exposure, Report, Severity};
use fleet::doctor::{self, Change};
use profile::Instance;
use serde_json::{Value, json};

use self::probe::Probed;
use crate::app::App;
use crate::commands::overview;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw --profile main security audit           config, files, neighbours
  openclaw --profile main security audit --deep    knock at the running gateway as a stranger would
  openclaw --profile main security audit --fix     take from others what they should not read
  openclaw security audit --json                   for scripts

Exit code: 0 when nothing critical is left, 1 when something is.";

/// How long the gateway may take to refuse.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `openclaw security` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct SecurityArgs {
    #[command(subcommand)]
    command: SecurityCommand,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
enum SecurityCommand {
    Audit(AuditArgs),
}

/// List what is exposed, by severity
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct AuditArgs {
    /// Knock at the running gateway without any credential
    #[arg(long)]
    deep: bool,

    /// Make files private that others may read or write
    #[arg(long)]
    fix: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

impl SecurityArgs {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            SecurityCommand::Audit(it) => it.json,
        }
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: &SecurityArgs) -> Result<ExitCode, Failure> {
    let SecurityCommand::Audit(args) = &args.command;
    let instance = app.instance()?;
    if !instance.state_dir.is_dir() {
        let folder = app.ambient.short(&instance.state_dir);
        return Err(Failure::new(Kind::Failed, format!("there is no such instance: {folder}"))
            .hint(format!("make it: {} setup", instance.command()))
            .hint("see all: openclaw fleet ls"));
    }
    let mut report = audit::audit(instance, &app.ambient);
    let fixed = args.fix.then(|| fix(instance, &report.findings));
    if fixed.as_ref().is_some_and(|it| !it.is_empty()) {
        report = audit::audit(instance, &app.ambient);
    }
    let probed = args.deep.then(|| knock(instance));
    if let Some(it) = &probed {
        report.add(it.exposures());
    }
    match args.json {
        true => app.printer.json(&as_json(instance, &report, fixed.as_deref(), probed.as_ref())),
        false => tell(app, instance, &report, fixed.as_deref(), probed.as_ref()),
    }
    Ok(if report.summary.critical == 0 { ExitCode::SUCCESS } else { Kind::Failed.code() })
}

fn knock(instance: &Instance) -> Probed {
    match overview::look(instance, PATIENCE).gateway {
        Ok(up) if up.status.listening.tls_fingerprint.is_some() => {
            Probed::not_attempted("its port speaks TLS, which is not knocked at")
        }
        Ok(up) => probe::knock(up.status.instance.port, PATIENCE),
        Err(error) => Probed::not_attempted(&error.to_string()),
    }
}

/// One mode that was changed, or not.
struct Fixed {
    path: String,
    mode: u32,
    error: Option<String>,
}

/// Modes only, of this instance's own files only.
fn fix(instance: &Instance, findings: &[Exposure]) -> Vec<Fixed> {
    let wanted = findings.iter().filter_map(|it| it.mode.clone());
    let act = |(path, mode): (std::path::PathBuf, u32)| {
        let shown = path.display().to_string();
        let done = doctor::mend(instance, &Change::Modes(vec![(path, mode)]));
        Fixed { path: shown, mode, error: done.err().map(|it| base::text::chain(&it)) }
    };
    wanted.map(act).collect()
}

fn tell(app: &App, instance: &Instance, report: &Report, fixed: Option<&[Fixed]>, probed: Option<&Probed>) {
    let say = |text: &str| app.printer.line(&app.printer.folded(text));
    let name = app.printer.paint(Tone::Strong, &instance.name);
    say(&format!("instance {name} at {}", app.ambient.short(&instance.state_dir)));
    for it in fixed.into_iter().flatten() {
        match &it.error {
            None => say(&format!("made private: {} ({:04o})", it.path, it.mode)),
            Some(error) => say(&format!("not made private: {}: {error}", it.path)),
        }
    }
    for it in &report.findings {
        let tone = match it.severity {
            Severity::Critical => Tone::Bad,
            Severity::Warn => Tone::Strong,
            Severity::Info => Tone::Faint,
        };
        app.printer.line("");
        say(&format!("{} {}", app.printer.paint(tone, it.severity.word()), it.check_id));
        app.printer.set_in(2, &it.title);
        app.printer.set_in(2, &format!("({})", it.detail));
        if let Some(remedy) = &it.remediation {
            app.printer.set_in(2, &format!("→ {remedy}"));
        }
    }
    app.printer.line("");
    if let Some(it) = probed {
        say(&it.line());
    }
    let summary = report.summary;
    let counted =
        |count: usize, more: &str| if count == 1 { format!("1 {more}") } else { format!("{count} {more}s") };
    let [warnings, notes] = [counted(summary.warn, "warning"), counted(summary.info, "note")];
    say(&format!("{} critical, {warnings}, {notes}", summary.critical));
    let mendable = report.findings.iter().filter(|it| it.mode.is_some()).count();
    if mendable > 0 && fixed.is_none() {
        let command = instance.command();
        say(&format!("{mendable} of them are modes of files: {command} security audit --fix"));
    }
}

/// As the original has it; the instance beside it.
fn as_json(instance: &Instance, report: &Report, fixed: Option<&[Fixed]>, probed: Option<&Probed>) -> Value {
    let about = json!({
        "name": instance.name, "stateDir": instance.state_dir, "configPath": instance.config_path,
    });
    let mut value = json!({
        "ts": report.ts, "summary": report.summary, "findings": report.findings, "instance": about,
    });
    if let Some(it) = probed {
        value["deep"] = it.as_json();
    }
    let Some(fixed) = fixed else { return value };
    let done = |it: &&Fixed| it.error.is_none();
    let actions: Vec<Value> = fixed
        .iter()
        .map(|it| json!({"kind": "chmod", "path": it.path, "mode": format!("{:04o}", it.mode), "ok": it.error.is_none()}))
        .collect();
    json!({
        "fix": {
            "ok": fixed.iter().all(|it| it.error.is_none()),
            "stateDir": instance.state_dir,
            "configPath": instance.config_path,
            "configWritten": false,
            "changes": fixed.iter().filter(done).map(|it| format!("chmod {:04o} {}", it.mode, it.path)).collect::<Vec<_>>(),
            "actions": actions,
            "errors": fixed.iter().filter_map(|it| it.error.clone()).collect::<Vec<_>>(),
        },
        "report": value,
    })
}
