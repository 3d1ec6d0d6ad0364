//! What is wrong with a text, before it is written; and `config validate`, which says it of any file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use profile::document::{Unreadable, Weight};
use profile::{Document, Finding, Instance};
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw config validate                      this instance's config; exit code 78 when it is wrong
  openclaw config validate ./openclaw.json5     any file
  openclaw config validate --json               findings with file, line and column";

/// Say everything that is wrong with the config, each with its place; exit code 78 when there is something
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// Another file than this instance's config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was found in a text.
pub(crate) struct Findings {
    /// What keeps a gateway from running.
    pub(crate) errors: Vec<Finding>,
    /// What does not.
    pub(crate) warnings: Vec<Finding>,
}

/// Checks a text in the place of the instance's config, as its gateway would.
pub(crate) fn findings(app: &App, instance: &Instance, document: &Document) -> Findings {
    // A file is judged where it stands: what it includes is beside it.
    let there = Instance { config_path: document.path().to_path_buf(), ..instance.clone() };
    let found = gateway::config::judged(&there, &app.ambient, document.text());
    let (errors, warnings) = found.into_iter().partition(|it| it.weight == Weight::Error);
    Findings { errors, warnings }
}

/// What a change of the config breaks. A file with several errors can be mended one by one.
pub(crate) fn broken_by(app: &App, instance: &Instance, before: Option<&str>, after: &str) -> Vec<Finding> {
    gateway::config::broken_by(instance, &app.ambient, before, after)
}

/// The failure of a text that no gateway would run with.
pub(crate) fn invalid(message: String, errors: &[Finding]) -> Failure {
    let mut failure = Failure::new(Kind::Config, message);
    for finding in errors {
        failure.details.extend(lines(finding, &finding.file));
    }
    failure
}

/// What is wrong and where, the place shown.
pub(crate) fn lines(finding: &Finding, main: &Path) -> Vec<String> {
    let mut lines = vec![finding.told(main)];
    if finding.line > 0 {
        lines.extend(finding.pointer().lines().map(str::to_owned));
    }
    lines
}

/// The finding of a text that is no document.
pub(crate) fn of_unreadable(error: &Unreadable) -> Finding {
    match error {
        Unreadable::Syntax { finding, .. } => (**finding).clone(),
        other => Finding::whole(base::text::chain(other)),
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let path = args
        .file
        .as_ref()
        .map_or_else(|| instance.config_path.clone(), |it| app.ambient.path(&it.to_string_lossy()));
    let found = match Document::load(&path) {
        Ok(document) => findings(app, instance, &document),
        Err(Unreadable::Syntax { finding, .. }) => Findings { errors: vec![*finding], warnings: Vec::new() },
        Err(error @ Unreadable::Missing(_)) => {
            let failure = Failure::from_error(Kind::Config, &error);
            return Err(match &args.file {
                Some(_) => failure,
                None => failure.hint(format!("make one: {} setup", instance.command())),
            });
        }
        Err(error) => return Err(Failure::from_error(Kind::Config, &error)),
    };
    let is_valid = found.errors.is_empty();
    if args.json {
        let all = found.errors.iter().map(|it| issue("error", it));
        let all: Vec<Value> =
            all.chain(found.warnings.iter().map(|it| issue(it.weight.word(), it))).collect();
        app.printer.json(&json!({
            "ok": is_valid, "valid": is_valid, "instance": instance.name, "path": path, "issues": all,
        }));
    } else {
        tell(app, &found, &path);
    }
    Ok(if is_valid { ExitCode::SUCCESS } else { Kind::Config.code() })
}

fn tell(app: &App, found: &Findings, path: &Path) {
    let all = found.errors.iter().map(|it| (Tone::Bad, "error", it));
    let others = found.warnings.iter().map(|it| (Tone::Strong, it.weight.word(), it));
    for (tone, word, finding) in all.chain(others) {
        let mut lines = lines(finding, path);
        let first = lines.remove(0);
        app.printer.line(&app.printer.folded(&format!("{}: {first}", app.printer.paint(tone, word))));
        lines.iter().for_each(|it| app.printer.line(&format!("  {it}")));
    }
    let warnings = found.warnings.iter().filter(|it| it.weight == Weight::Warning).count();
    let path = path.display();
    let verdict = match (found.errors.len(), warnings) {
        (0, 0) => app.printer.paint(Tone::Good, "is valid"),
        (0, many) => format!("is valid, with {}", counted(many, "warning")),
        (many, _) => app.printer.paint(Tone::Bad, &format!("has {}", counted(many, "error"))),
    };
    app.printer.line(&format!("{path} {verdict}"));
}

fn counted(many: usize, word: &str) -> String {
    format!("{many} {word}{}", if many == 1 { "" } else { "s" })
}

fn issue(severity: &str, it: &Finding) -> Value {
    let file = Some(&it.file).filter(|it| !it.as_os_str().is_empty());
    json!({
        "severity": severity, "path": it.path, "message": it.message, "remedy": it.remedy, "file": file,
        "line": it.line, "column": it.column,
    })
}
