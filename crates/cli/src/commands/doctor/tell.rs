//! Findings for people.

use fleet::doctor::{ALL, Effort, Finding, Remedy, Severity};
use profile::{Instance, claims};

use super::counts;
use crate::app::App;
use crate::printer::Tone;

/// The most lines of a change that are shown.
const LINES: usize = 8;

/// Whom it is about.
pub(crate) fn head(app: &App, instance: &Instance) {
    let name = app.printer.paint(Tone::Strong, &instance.name);
    let folder = app.ambient.short(&instance.state_dir);
    let runs = match claims::holder_now(&instance.state_dir) {
        Some(it) => format!("its gateway runs (pid {})", it.pid),
        None => "no gateway runs".to_owned(),
    };
    app.printer.line(&app.printer.folded(&format!("instance {name} at {folder}, {runs}")));
}

/// All of them, the worst first.
pub(crate) fn findings(app: &App, found: &[Finding]) {
    for it in found {
        one(app, it);
    }
}

/// The colour of a severity.
pub(crate) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warn => Tone::Strong,
        Severity::Info => Tone::Faint,
    }
}

fn one(app: &App, it: &Finding) {
    let say = |text: &str| app.printer.line(&app.printer.folded(text));
    let severity = app.printer.paint(tone(it.severity), it.severity.word());
    app.printer.line("");
    say(&format!("{severity} {} {}", it.id, app.printer.paint(Tone::Strong, &it.place)));
    app.printer.set_in(2, &it.what);
    app.printer.set_in(2, &format!("({})", it.why));
    match &it.remedy {
        Remedy::Command { command } => app.printer.set_in(2, &format!("→ {command}")),
        Remedy::Advice { text } => app.printer.set_in(2, &format!("→ {text}")),
        Remedy::Change { diff, .. } => {
            for line in diff.iter().take(LINES) {
                app.printer.line(&format!("    {line}"));
            }
            if diff.len() > LINES {
                app.printer.line(&format!("    and {} more lines", diff.len() - LINES));
            }
            app.printer.set_in(2, "→ doctor --fix does this");
        }
    }
}

/// How much there was.
pub(crate) fn summary(app: &App, instance: &Instance, effort: Effort, found: &[Finding], is_mended: bool) {
    let checks = ALL.iter().filter(|it| it.effort <= effort).count();
    let [errors, warnings, infos] = counts(found);
    let counted = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let parts = [
        counted(errors, "error", "errors"),
        counted(warnings, "warning", "warnings"),
        counted(infos, "note", "notes"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let rest = if is_mended && !found.is_empty() { " left" } else { "" };
    let words = if parts.is_empty() {
        app.printer.paint(Tone::Good, "nothing wrong")
    } else {
        format!("{}{rest}", parts.join(", "))
    };
    let mendable = found.iter().filter(|it| it.mendable().is_some()).count();
    let mut text = format!("{checks} checks: {words}");
    if mendable > 0 && !is_mended {
        text.push_str(&format!("; {mendable} can be put right: {} doctor --fix", instance.command()));
    }
    app.printer.line("");
    app.printer.line(&app.printer.folded(&text));
}
