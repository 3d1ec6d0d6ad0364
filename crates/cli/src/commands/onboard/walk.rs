//! The walk itself, whoever answers: a person at a terminal, lines of a pipe, or nobody.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use gateway::wizard::{At, Kind, Mistake, Section, Step, Wizard};
use serde_json::{Value, json};

use super::{Answers, Reply, keys, screen, shown, tell};
use crate::app::App;
use crate::commands::gateway::service::{InstallArgs, install_quietly};
use crate::failure::{Failure, Kind as FailureKind};
use crate::printer::{Printer, Tone, fold};
use crate::{progress, prompt};

/// Answers that flags give beside what they are for; nobody asked for them.
const IMPLIED: [&str; 6] = ["access.mode", "channels", "flow", "model.keySource", "risk", "service"];

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A person at a terminal that can move its cursor.
    Screen,
    /// A person at one that cannot: choices have numbers.
    Numbered,
    /// Lines of a file or a program, one a step.
    Lines,
    /// Nobody: each step has been answered, or has a default.
    Nobody,
}

/// What stands on the terminal.
#[derive(Default)]
struct Seen {
    /// The part of the walk whose heading was shown last.
    section: Option<Section>,
    /// The step whose answer could not be used: what explains it stands above.
    mistaken: Option<String>,
}

impl Asker {
    /// Who is there.
    pub(crate) fn of(app: &App, answers: &Answers) -> Self {
        let on_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        let is_dumb = app.ambient.var("TERM").is_none_or(|it| it == "dumb");
        match (answers.non_interactive, on_terminal, is_dumb) {
            (true, ..) => Asker::Nobody,
            (_, false, _) => Asker::Lines,
            (_, _, true) => Asker::Numbered,
            _ => Asker::Screen,
        }
    }

    fn is_person(self) -> bool {
        matches!(self, Asker::Screen | Asker::Numbered)
    }
}

/// Walks to the end, writes, and tells what was done.
pub(crate) fn walk(
    app: &App,
    mut wizard: Wizard,
    asker: Asker,
    answers: &Answers,
) -> Result<ExitCode, Failure> {
    // Who stops us while it is written waits until that is done.
    let written = Arc::new(Mutex::new(false));
    if asker.is_person() {
        leave_the_terminal_as_it_was(app.printer, &written)?;
    }
    for flag in answers.without_effect() {
        app.printer.note(&format!("note: {flag} has no effect here"));
    }
    let mut seen = Seen::default();
    loop {
        tell_said(app.printer, &mut wizard, asker);
        match wizard.at() {
            At::Ask(step) => ask(app.printer, &mut wizard, &step, asker, &mut seen)
                .map_err(|it| it.of(Some(&wizard.instance().name)))?,
            At::Try => {
                let Some(probe) = wizard.probe() else { continue };
                let what = probe.what();
                let quiet = (asker == Asker::Screen).then(keys::Raw::quiet).flatten();
                wizard.tried(progress::watched(app.printer, &what, move || probe.run_blocking()));
                if quiet.is_some() {
                    keys::forget();
                }
            }
            At::Refused(mistake) => return Err(refused(&mistake).of(Some(&wizard.instance().name))),
            At::Cancelled => return Err(cancelled().of(Some(&wizard.instance().name))),
            At::Done => break,
        }
    }
    for id in wizard.unused().iter().filter(|it| !IMPLIED.contains(&it.as_str())) {
        app.printer.note(&format!("note: the answer to {id} was not needed"));
    }
    let outcome = {
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = wizard.finish();
        *written = outcome.is_ok();
        outcome
    };
    let outcome = outcome.map_err(|error| tell::not_written(&error).of(Some(&wizard.instance().name)))?;
    let service = service(app, &wizard, answers)?;
    if answers.json {
        tell::as_json(app, &wizard, &outcome, (service.as_deref(), answers));
    } else {
        tell::to_people(app, &outcome, service.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs the service that was asked for. What was written stays, whatever becomes of it.
fn service(app: &App, wizard: &Wizard, answers: &Answers) -> Result<Option<PathBuf>, Failure> {
    let is_wanted = wizard.answered("service") == Some(json!(true)) || answers.install_daemon;
    if !is_wanted {
        return Ok(None);
    }
    let instance = wizard.instance();
    let app = app.about(instance.clone());
    // Who was asked had been told that it ends with the login.
    let args = InstallArgs::usual(!answers.install_daemon);
    let unit = install_quietly(&app, &args).map_err(|it| {
        it.of(Some(&instance.name)).hint(format!(
            "the config is written; once that is put right: {} gateway install",
            instance.command()
        ))
    })?;
    Ok(Some(unit))
}

/// Asks a step, and takes what is said.
fn ask(
    printer: Printer,
    wizard: &mut Wizard,
    step: &Step,
    asker: Asker,
    seen: &mut Seen,
) -> Result<(), Failure> {
    if asker.is_person() && seen.mistaken.take().as_ref() != Some(&step.id) {
        if seen.section != Some(step.section) {
            seen.section = Some(step.section);
            let title = format!("-- {} --", step.section.title());
            printer.note(&format!("\n{}", printer.paint(Tone::Strong, &title)));
        } else if !step.explanation.is_empty() {
            printer.note("");
        }
        explain(printer, step);
    }
    let reply = match asker {
        Asker::Screen => screen::ask(printer, step),
        Asker::Numbered => numbered(printer, step),
        Asker::Lines => from_line(printer, step),
        Asker::Nobody => nobody(step)?,
    };
    match reply {
        Reply::Cancel => wizard.cancel(),
        Reply::Back => {
            let words = if wizard.back() { "(back)" } else { "(this is the first question)" };
            printer.note(words);
        }
        Reply::Answer(value) => {
            if let Err(mistake) = wizard.answer(&value) {
                // The next line of a pipe answers the next step, and not this one again.
                if !asker.is_person() {
                    return Err(refused(&mistake));
                }
                seen.mistaken = Some(step.id.clone());
                let words = format!("! {}", mistake.words);
                printer.note(&printer.paint(Tone::Bad, &fold(&words, width())));
            }
        }
    }
    Ok(())
}

fn explain(printer: Printer, step: &Step) {
    let width = width();
    if step.kind == Kind::Note {
        printer.note(&printer.paint(Tone::Strong, &fold(&step.question, width)));
    }
    for paragraph in &step.explanation {
        printer.note(&fold(paragraph, width));
    }
}

fn tell_said(printer: Printer, wizard: &mut Wizard, asker: Asker) {
    for it in wizard.said() {
        let it = if asker.is_person() { fold(&it, width()) } else { it };
        printer.note(&printer.paint(Tone::Good, &it));
    }
}

/// The columns of the terminal on which it is asked, which need not be where the data goes.
pub(super) fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |it| it.ws_col);
    if columns == 0 { 80 } else { usize::from(columns).max(10) }
}

/// Everything on lines of their own, the answer after a question mark.
fn numbered(printer: Printer, step: &Step) -> Reply {
    if step.kind != Kind::Note {
        printer.note(&fold(&step.question, width()));
    }
    for (at, it) in step.choices.iter().enumerate() {
        let hint = if it.hint.is_empty() { String::new() } else { format!(" ({})", it.hint) };
        printer.note(&fold(&format!("{:>3}) {}{hint}", at + 1, it.label), width()));
    }
    let default = step.default.as_ref().filter(|_| step.kind != Kind::Secret).map(|it| shown(step, it));
    let default = default.filter(|it| it != "(empty)").map_or_else(String::new, |it| format!(" [{it}]"));
    let what = match step.kind {
        Kind::Note => "Enter goes on, < goes back:".to_owned(),
        Kind::Confirm => format!("yes or no, < goes back{default}:"),
        Kind::Multiselect => format!("numbers with commas, < goes back{default}:"),
        _ => format!("answer, < goes back{default}:"),
    };
    let what = fold(&what, width());
    let typed = if step.kind == Kind::Secret { prompt::unseen(&what) } else { typed(&what) };
    typed.map_or(Reply::Cancel, |it| meant(step, &it))
}

/// As [`prompt::line`], with the end of the input told from an empty line.
fn typed(question: &str) -> Option<String> {
    use std::io::Write;
    let mut err = io::stderr();
    let _ = write!(err, "{question} ").and_then(|()| err.flush());
    line()
}

fn line() -> Option<String> {
    let mut text = String::new();
    match io::stdin().read_line(&mut text) {
        Ok(1..) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// The next line of a pipe; a note takes none.
fn from_line(printer: Printer, step: &Step) -> Reply {
    if step.kind == Kind::Note {
        return Reply::Answer(Value::Null);
    }
    let Some(text) = line() else { return Reply::Cancel };
    let reply = meant(step, &text);
    if let Reply::Answer(value) = &reply {
        printer.note(&format!("{}: {}", step.question.trim_end_matches('?'), shown(step, value)));
    }
    reply
}

/// What a line means: `<`, the number of a choice, or itself.
fn meant(step: &Step, text: &str) -> Reply {
    let numbered = |it: &str| {
        let is_value = step.choices.iter().any(|choice| choice.value == it);
        let at = it.parse::<usize>().ok().filter(|_| !is_value)?.checked_sub(1)?;
        step.choices.get(at).map(|it| it.value.clone())
    };
    let value = |it: &str| numbered(it).unwrap_or_else(|| it.to_owned());
    match step.kind {
        _ if text == "<" => Reply::Back,
        Kind::Select { .. } => Reply::Answer(json!(value(text))),
        Kind::Multiselect if !text.is_empty() => {
            let some: Vec<String> = text.split(',').map(|it| value(it.trim())).collect();
            Reply::Answer(json!(some))
        }
        _ => Reply::Answer(json!(text)),
    }
}

/// What is answered where nobody is there: nothing but a default.
fn nobody(step: &Step) -> Result<Reply, Failure> {
    if step.kind == Kind::Note || step.default.is_some() {
        return Ok(Reply::Answer(Value::Null));
    }
    let hint = |it: &String| match it.as_str() {
        "--skip-health" => "correct what is wrong, or leave the trial out: --skip-health".to_owned(),
        flag => format!("answer it with {flag}, or as \"{}\" in the file of --answers", step.id),
    };
    // What was tried out and failed says why; anything else was simply not answered.
    let (kind, words) = match (step.id.ends_with(".check"), step.explanation.first()) {
        (true, Some(why)) => (FailureKind::Failed, why.clone()),
        _ => (FailureKind::Usage, format!("nobody answers \"{}\" ({})", step.question, step.id)),
    };
    let failure = Failure::new(kind, words);
    Err(match &step.flag {
        Some(flag) => failure.hint(hint(flag)).hint("nothing was written"),
        None => failure.hint("nothing was written"),
    })
}

fn refused(mistake: &Mistake) -> Failure {
    let what =
        mistake.flag.as_ref().map_or_else(|| mistake.step.clone(), |it| format!("{it} ({})", mistake.step));
    Failure::new(FailureKind::Usage, format!("{what}: {}", mistake.words)).hint("nothing was written")
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Failed, "cancelled: nothing was written")
}

/// A signal ends the process at once, but neither in the middle of the writing nor with the terminal as only we want it.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is left to destroy, and nobody can be asked to return"
)]
fn leave_the_terminal_as_it_was(printer: Printer, written: &Arc<Mutex<bool>>) -> Result<(), Failure> {
    let written = written.clone();
    let on_signal = move || {
        let is_written = written.lock().unwrap_or_else(PoisonError::into_inner);
        keys::restore();
        if !*is_written {
            printer.note("\ncancelled: nothing was written");
        }
        std::process::exit(130);
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::from_error(FailureKind::Fault, &error))
}
