//! The log: a line an event, to stderr and to a file of bounded size in the state folder.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base::{clock, file};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The bytes at which the file is put aside and a new one begun.
const LARGEST: u64 = 10 * 1024 * 1024;

/// Where the log of a state folder is.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("logs").join("gateway.log")
}

/// Sends all events of this process to stderr and to the instance's file.
///
/// # Errors
/// When the file cannot be opened; the gateway then goes on without one.
pub(crate) fn begin(state_dir: &Path, level: LevelFilter) -> Result<(), file::FileError> {
    let path = path(state_dir);
    file::private_folder(path.parent().unwrap_or(state_dir))?;
    let target = file::append(&path)?;
    let written = target.metadata().map_or(0, |it| it.len());
    let tee = Tee(Mutex::new(Rotating { path, file: target, written }));
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).event_format(Line).with_writer(tee).finish();
    // A second gateway in one process, as in tests, keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// `2026-11-22T18:48:37Z [gateway] listening on ws://127.0.0.1:18789 (PID 7) key=value`.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let about = event.metadata();
        let mut words = Words::default();
        event.record(&mut words);
        let level = match *about.level() {
            tracing::Level::ERROR => "error: ",
            tracing::Level::WARN => "warning: ",
            _ => "",
        };
        let target = about.target().split("::").next().unwrap_or_default();
        let target = target.strip_prefix("openclaw_").unwrap_or(target);
        let time = clock::rfc3339(clock::now_ms());
        writeln!(out, "{time} [{target}] {level}{}{}", words.message, words.fields)
    }
}

/// The parts of an event, made one line: what a client or a model said must not look like a line of ours.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = base::text::line(&format!("{value:?}"), 2000);
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push_str(&format!(" {}={text}", field.name()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

struct Tee(Mutex<Rotating>);

struct Rotating {
    path: PathBuf,
    file: File,
    written: u64,
}

impl<'a> MakeWriter<'a> for Tee {
    type Writer = &'a Tee;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk or a closed stderr must not stop the gateway, nor each other.
        let _ = io::stderr().write_all(bytes);
        if it.written > LARGEST
            && file::put_aside(&it.path).is_ok()
            && let Ok(fresh) = file::append(&it.path)
        {
            it.file = fresh;
            it.written = 0;
        }
        if it.file.write_all(bytes).is_ok() {
            it.written += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
