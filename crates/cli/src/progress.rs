//! How far a long piece of work is: a line on a terminal, after the first second, and nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// What is done within it needs no progress.
const UNSEEN: Duration = Duration::from_secs(1);

/// Does something whose length nobody knows; after the first second a terminal shows that it is being done.
pub(crate) fn watched<T: Send>(printer: Printer, what: &str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let working = scope.spawn(move || {
            let done = work();
            // Who waits for it is there for as long as this runs.
            let _ = tell.send(());
            done
        });
        if printer.notes_on_terminal() && told.recv_timeout(UNSEEN).is_err() && !working.is_finished() {
            let shown = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a template that is right");
            let shown = shown
                .with_elapsed(UNSEEN)
                .with_style(style.tick_chars("|/-\\ "))
                .with_message(what.to_owned());
            shown.enable_steady_tick(Duration::from_millis(100));
            let _ = told.recv();
            shown.finish_and_clear();
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

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
