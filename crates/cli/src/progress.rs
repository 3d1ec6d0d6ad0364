//! How far a long piece of work is: a line on a terminal, after the first second, and nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// What is done within it needs no progress.
const UNSEEN: Duration = Duration::from_secs(1);

/// The progress of one piece of work, counted in bytes.
pub(crate) struct Bar {
    name: &'static str,
    began: Instant,
    shown: Option<ProgressBar>,
    on_terminal: bool,
}

impl Bar {
    /// Nothing is shown yet.
    pub(crate) fn new(printer: Printer, name: &'static str) -> Self {
        Self { name, began: Instant::now(), shown: None, on_terminal: printer.notes_on_terminal() }
    }

    /// It is so far.
    pub(crate) fn show(&mut self, done: u64, total: Option<u64>) {
        if !self.on_terminal || self.began.elapsed() < UNSEEN {
            return;
        }
        let name = self.name;
        let bar = self.shown.get_or_insert_with(|| {
            let style = "{msg} {bar:30} {bytes}/{total_bytes} {eta}";
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_message(name);
            bar.with_style(ProgressStyle::with_template(style).expect("a template that is right"))
        });
        bar.set_length(total.unwrap_or(done).max(done));
        bar.set_position(done);
    }

    /// It is over.
    pub(crate) fn end(self) {
        if let Some(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}
