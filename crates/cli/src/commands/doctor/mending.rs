//! `doctor --fix`: ask, take one snapshot, put right, say what came of it.

use std::path::PathBuf;

use base::file;
use fleet::doctor::{self, CannotMend, Finding, Restored};
use profile::{Instance, claims};
use serde_json::{Value, json};

use super::DoctorArgs;
use crate::app::App;
use crate::commands::fleet::snapshot;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;
use crate::prompt;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Mended {
    snapshot: Option<PathBuf>,
    done: Vec<Done>,
    restored: Option<Result<Restored, String>>,
}

#[derive(Debug)]
struct Done {
    id: &'static str,
    place: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Mended,
    Declined,
    Left(String),
    Failed(String),
}

/// Does it.
pub(super) fn run(
    app: &App,
    args: &DoctorArgs,
    instance: &Instance,
    found: &[Finding],
) -> Result<Mended, Failure> {
    let mut mended = Mended::default();
    let is_running = claims::holder_now(&instance.state_dir).is_some();
    let mut chosen = Vec::new();
    let mut all = args.yes || args.non_interactive;
    for (finding, change) in found.iter().filter_map(|it| Some((it, it.mendable()?))) {
        let mut note = |outcome| {
            mended.done.push(Done { id: finding.id, place: finding.place.clone(), outcome });
        };
        if is_running && change.needs_stop() {
            note(Outcome::Left(format!(
                "its gateway runs; stop it first: openclaw fleet stop {}",
                instance.name
            )));
            continue;
        }
        match if all { Answer::Yes } else { ask(finding)? } {
            Answer::No => note(Outcome::Declined),
            Answer::Yes => chosen.push((finding, change)),
            Answer::All => {
                all = true;
                chosen.push((finding, change));
            }
        }
    }
    let restores = args.restore_config && found.iter().any(is_about_config);
    if chosen.is_empty() && !restores {
        return Ok(mended);
    }
    if !args.no_snapshot {
        mended.snapshot = Some(take_snapshot(app, instance)?);
    }
    for (finding, change) in chosen {
        let outcome = outcome(doctor::mend(instance, change));
        mended.done.push(Done { id: finding.id, place: finding.place.clone(), outcome });
    }
    if restores {
        let restored = doctor::restore_config(instance);
        mended.restored = Some(restored.map_err(|error| base::text::chain(&error)));
    }
    Ok(mended)
}

fn is_about_config(finding: &Finding) -> bool {
    matches!(finding.id, "config.file" | "config.findings") && finding.severity == doctor::Severity::Error
}

enum Answer {
    Yes,
    No,
    All,
}

fn ask(finding: &Finding) -> Result<Answer, Failure> {
    let question = format!("{}: {} — put it right? [y/n/all]", finding.id, finding.remedy_line());
    loop {
        let Some(answer) = prompt::line(&question) else {
            return Err(Failure::new(Kind::Usage, "nobody sits at a terminal to be asked")
                .hint("say --yes to put right all that is safe, or leave --fix out"));
        };
        match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Yes),
            "n" | "no" | "" => return Ok(Answer::No),
            "a" | "all" => return Ok(Answer::All),
            _ => {}
        }
    }
}

/// Among the host's snapshots, which are nobody else's to read.
fn take_snapshot(app: &App, instance: &Instance) -> Result<PathBuf, Failure> {
    let folder = instance.host.snapshots();
    let made = file::private_folder(&folder);
    made.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let to = snapshot::new_file(&format!("{}-doctor", instance.name), |it| folder.join(it));
    match snapshot::take_to(app, instance, &to, None) {
        Ok(_) => Ok(to),
        Err(failure) => {
            let message =
                format!("no snapshot could be taken, and so nothing was changed: {}", failure.message);
            Err(Failure { message, ..failure }.hint("put it right without one: --no-snapshot"))
        }
    }
}

fn outcome(result: Result<(), CannotMend>) -> Outcome {
    match result {
        Ok(()) => Outcome::Mended,
        Err(CannotMend::Held(error)) => Outcome::Left(error.to_string()),
        Err(error) => Outcome::Failed(base::text::chain(&error)),
    }
}

impl Done {
    fn words(&self) -> (Tone, String) {
        match &self.outcome {
            Outcome::Mended => (Tone::Good, "put right".to_owned()),
            Outcome::Declined => (Tone::Faint, "left as it is".to_owned()),
            Outcome::Left(why) => (Tone::Strong, format!("left alone: {why}")),
            Outcome::Failed(why) => (Tone::Bad, format!("failed: {why}")),
        }
    }
}

impl Mended {
    /// For people; `left` are the findings that are there afterwards.
    pub(super) fn tell(&self, app: &App, left: &[Finding]) {
        let say = |text: &str| app.printer.line(&app.printer.folded(text));
        app.printer.line("");
        if let Some(path) = &self.snapshot {
            say(&format!("snapshot: {}", path.display()));
        }
        for it in &self.done {
            let (tone, words) = it.words();
            say(&format!("{} {}: {}", it.id, it.place, app.printer.paint(tone, &words)));
        }
        match &self.restored {
            Some(Ok(it)) => {
                let kept = it.kept.as_ref().map(|it| format!("; the old file is {}", it.display()));
                let words = app.printer.paint(Tone::Good, &format!("generation {} put back", it.generation));
                say(&format!("config: {words}{}", kept.unwrap_or_default()));
            }
            Some(Err(why)) => {
                say(&format!("config: {}", app.printer.paint(Tone::Bad, &format!("failed: {why}"))))
            }
            None if left.iter().any(is_about_config) => {
                let why = "the config is yours to correct; --fix --restore-config puts the last accepted one in its place";
                say(why);
            }
            None => {}
        }
        if self.done.is_empty() && self.restored.is_none() {
            say("nothing here is put right by itself");
        }
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let done = self.done.iter().map(|it| {
            let (outcome, why) = match &it.outcome {
                Outcome::Mended => ("mended", None),
                Outcome::Declined => ("declined", None),
                Outcome::Left(why) => ("left", Some(why)),
                Outcome::Failed(why) => ("failed", Some(why)),
            };
            json!({"id": it.id, "where": it.place, "outcome": outcome, "why": why})
        });
        let restored = self.restored.as_ref().map(|it| match it {
            Ok(it) => json!({"ok": true, "generation": it.generation, "kept": it.kept}),
            Err(why) => json!({"ok": false, "error": why}),
        });
        json!({"snapshot": self.snapshot, "changes": done.collect::<Vec<_>>(), "restoredConfig": restored})
    }
}
