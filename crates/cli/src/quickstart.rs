//! `quickstart`: two isolated gateways, a table of both, and a chat with the first.

mod chat;
mod pair;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use profile::ports::{DEFAULT_BASE, DEV_BASE};

use self::pair::{Pair, Place};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw quickstart                    instances main and rescue, kept in your home
  openclaw quickstart --ephemeral        in a temporary folder, gone at the end
  echo \"/status\" | openclaw quickstart   questions from a file, one a line";

/// Start two isolated gateways, main and rescue, and chat with main; Ctrl-C stops both
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
    let mut pair = Pair::new(place, app.printer);
    // In the place where both are known, so that a stop in the middle of the start leaves nothing either.
    for (name, base) in [("main", DEFAULT_BASE), ("rescue", DEV_BASE)] {
        if let Err(failure) = pair.start(app, name, base) {
            pair.stop();
            return Err(failure.of(Some(name)));
        }
    }
    show(app, &pair);
    let main = pair.members()[0].clone();
    let running: Running = Arc::new(Mutex::new(Some(pair)));
    stop_on_signal(&running)?;
    let ended = chat::talk(app, &main);
    drop(stop(&running));
    ended.map(|()| ExitCode::SUCCESS)
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
