//! `--for NAME`: a command of one instance that is about another. What changes that one is noted with it.

use std::process::ExitCode;

use fleet::rescue::{self, NotBegun};

use crate::app::App;
use crate::cli::Command;
use crate::commands;
use crate::failure::{Failure, Kind};

/// What a command does to the instance that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It is about its own alone.
    Own,
    /// It looks.
    Looks,
    /// It changes something.
    Acts,
}

/// Runs a command about the ward. `words` are the command's own, without values.
pub(crate) fn run(app: &App, words: &str, command: Command) -> Result<ExitCode, Failure> {
    match command.touch() {
        Touch::Own => Err(Failure::new(
            Kind::Usage,
            format!("`{words}` is about its own instance: it takes no --for"),
        )
        .hint(
            "these do: config, doctor, gateway start, stop, restart, status, health, logs, status, and fleet why, history, \
                   logs, snapshot, restore, start, stop, restart",
        )),
        Touch::Looks => {
            app.instance()?;
            commands::run(app, command)
        }
        Touch::Acts => act(app, words, command),
    }
}

fn act(app: &App, words: &str, command: Command) -> Result<ExitCode, Failure> {
    let (ward, by) = (app.instance()?, app.rescuer()?);
    let deed = rescue::begin(ward, by, words).map_err(|error| {
        let kind = if matches!(error, NotBegun::Busy { .. }) { Kind::Again } else { Kind::Failed };
        Failure::from_error(kind, &error)
    })?;
    if deed.is_elsewhere {
        app.printer.note(&format!(
            "{}: its folder takes no note of this: it is in the history of {}",
            ward.name, by.name
        ));
    }
    let done = commands::run(app, command);
    let noted = deed.end(done.as_ref().is_ok_and(|it| *it == ExitCode::SUCCESS));
    if let Err(error) = noted {
        app.printer.note(&format!(
            "{}: the end of this is not noted: {}",
            ward.name,
            base::text::chain(&error)
        ));
    }
    done
}
