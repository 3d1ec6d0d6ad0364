//! `quickstart`: two isolated gateways, a table of both, and a chat with the first.

mod chat;
mod pair;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use profile::ports::{DEFAULT_BASE, DEV_BASE};

use self::pair::{Member, Pair, Place};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw quickstart                    instances main and rescue, kept in your home
  openclaw quickstart --ephemeral        in a temporary folder, gone at the end
  echo \"/status\" | openclaw quickstart   questions from a file, one a line";

/// What `openclaw quickstart` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct QuickstartArgs {
    /// Keep everything in a temporary folder that is removed at the end
    #[arg(long)]
    ephemeral: bool,
}

/// What is running; taken by whoever stops it, once.
type Running = Arc<Mutex<Option<Pair>>>;

/// Runs it.
pub(crate) fn run(app: &App, args: &QuickstartArgs) -> Result<ExitCode, Failure> {
    let place = Place::find(app, args.ephemeral)?;
    let running: Running = Arc::new(Mutex::new(Some(Pair::new(place, app.printer))));
    // Before the first of them is started, so that a stop in the middle of the start leaves nothing either.
    stop_on_signal(&running)?;
    let main = match start(app, &running) {
        Ok(main) => main,
        Err(failure) => {
            drop(stop(&running));
            return Err(failure);
        }
    };
    let ended = chat::talk(app, &main);
    drop(stop(&running));
    ended.map(|()| ExitCode::SUCCESS)
}

/// Starts both and shows them. Whoever wants to stop them meanwhile waits for the lock.
fn start(app: &App, running: &Running) -> Result<Member, Failure> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = running.as_mut().expect("who takes it holds the lock to the end of the process");
    for (name, base) in [("main", DEFAULT_BASE), ("rescue", DEV_BASE)] {
        pair.start(app, name, base).map_err(|failure| failure.of(Some(name)))?;
    }
    show(app, pair);
    Ok(pair.members()[0].clone())
}

fn show(app: &App, pair: &Pair) {
    let rows = pair.members().iter().map(|it| it.row(app)).collect();
    let head = ["NAME", "STATE", "HEALTH", "PORT", "CONTROL", "CANVAS", "BROWSERS", "PID", "FOLDER"];
    app.printer.table(&head, rows);
}

/// Whoever comes second waits until the first has stopped them: an end of this process would cut that off.
fn stop(running: &Running) -> MutexGuard<'_, Option<Pair>> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pair) = running.take() {
        pair.stop();
    }
    running
}

/// A signal may come while the chat waits for a line or for an answer: neither can be waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "after the stop nothing is left to destroy, and the chat cannot return"
)]
fn stop_on_signal(running: &Running) -> Result<(), Failure> {
    let running = running.clone();
    let on_signal = move || {
        // Held to the end: the chat, whose gateway is gone, must not complain of it.
        let _stopped = stop(&running);
        std::process::exit(0);
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::from_error(Kind::Fault, &error))
}

/// A name in the tone of names.
fn strong(app: &App, text: &str) -> String {
    app.printer.paint(Tone::Strong, text)
}
