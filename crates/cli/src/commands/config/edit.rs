//! `config edit`: the config in the person's own editor, on a private copy. The file itself is written once the copy is
//! right; until then nothing that was typed is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use base::{file, random};
use profile::{Document, Instance, folder};

use super::submit::{current, submit};
use super::{WriteArgs, check};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::prompt;

const EXAMPLES: &str = "\
Examples:
  openclaw config edit                          with $VISUAL, or else $EDITOR
  EDITOR=\"code --wait\" openclaw config edit --why \"two more models\"";

/// Edit the config in your editor; it is checked before it is written
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

/// What a person may do about a text that is wrong.
enum Next {
    Again,
    Keep,
    Drop,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &EditArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let editor = app.ambient.var("VISUAL").or_else(|| app.ambient.var("EDITOR"));
    let editor = editor.ok_or_else(|| {
        Failure::new(Kind::Usage, "no editor is named: VISUAL and EDITOR are not set")
            .hint("like: EDITOR=nano openclaw config edit")
    })?;
    let before = current(instance)?;
    let old = before.text.clone().unwrap_or_else(|| "{\n}\n".to_owned());
    folder::prepare(&instance.state_dir)
        .map_err(|it| Failure::from_error(Kind::Config, &it).hint(it.remedy()))?;
    let draft = instance.state_dir.join(format!("config-draft-{}.json5", random::hex::<4>()));
    file::replace(&draft, old.as_bytes()).map_err(|it| Failure::from_error(Kind::Failed, &it))?;
    loop {
        let text = opened(editor, &draft).map_err(|it| kept(it, instance, &draft, &old))?;
        if text == old {
            let _ = file::remove(&draft);
            app.printer.note(&format!("instance {}: no change", instance.name));
            return Ok(ExitCode::SUCCESS);
        }
        let parsed = Document::parse(&instance.config_path, text);
        let errors = match &parsed {
            Ok(it) => check::findings(app, instance, it).errors,
            Err(error) => vec![check::of_unreadable(error)],
        };
        if let (Ok(after), []) = (parsed, &errors[..]) {
            let done = submit(app, &before, after, "config edit", &args.write);
            return match done {
                Ok(code) => {
                    let _ = file::remove(&draft);
                    Ok(code)
                }
                Err(failure) => Err(kept(failure, instance, &draft, &old)),
            };
        }
        let failure =
            check::invalid("no gateway would run with this; the config was not changed".to_owned(), &errors);
        match ask(app, &failure) {
            Next::Again => {}
            Next::Keep => return Err(kept(failure, instance, &draft, &old)),
            Next::Drop => {
                let _ = file::remove(&draft);
                return Err(failure);
            }
        }
    }
}

/// Lets the person type. An editor may be named with arguments, so a shell reads its name.
fn opened(editor: &str, draft: &Path) -> Result<String, Failure> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(draft);
    let status = shell.status().map_err(|error| {
        Failure::new(Kind::Failed, format!("the editor `{editor}` cannot be started: {error}"))
    })?;
    if !status.success() {
        return Err(Failure::new(Kind::Failed, format!("the editor `{editor}` failed ({status})")));
    }
    fs::read_to_string(draft).map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot read what was edited in {}: {error}", draft.display()))
    })
}

/// What is to be done about a text that is wrong. Where nobody can answer, it is kept.
fn ask(app: &App, failure: &Failure) -> Next {
    app.printer.note("this cannot be written yet:");
    failure.details.iter().for_each(|it| app.printer.note(&format!("  {it}")));
    loop {
        match prompt::line("edit again (e), keep it as a draft (k), or drop it (d)? [e]").as_deref() {
            Some("" | "e") => return Next::Again,
            Some("d") => return Next::Drop,
            None | Some("k") => return Next::Keep,
            Some(_) => {}
        }
    }
}

/// Nothing that was typed is lost by a failure: the draft stays, and is named. One that nobody changed goes.
fn kept(failure: Failure, instance: &Instance, draft: &PathBuf, old: &str) -> Failure {
    let is_changed = fs::read(draft).is_ok_and(|it| it != old.as_bytes());
    if !is_changed {
        let _ = file::remove(draft);
        return failure;
    }
    let path = draft.display();
    failure.hint(format!(
        "your text is kept in {path}; write it with: {} config apply {path}",
        instance.command()
    ))
}
