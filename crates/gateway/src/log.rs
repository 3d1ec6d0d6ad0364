//! The log: a line an event, to stderr and to a file of bounded size in the state folder.
//!
//! Each of the two has its level and folds what is repeated. Secrets are hidden before either sees a line. What may be
//! changed while the gateway runs is changed by [`Log::apply`]; the process has one log, which a second gateway in it,
//! as in tests, shares.

mod fold;
mod mask;
mod record;
mod rotation;
mod settings;
mod sink;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::file::{self, FileError};
use base::{Secret, clock};
use profile::{Ambient, Instance};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

pub use settings::{Settings, Wrong, level};

use mask::Mask;
use record::Record;
use rotation::Rotating;
use sink::{Console, Sinks};

/// Where the log of a state folder is found, whatever `logging.file` says: it is there, or a link to it.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("logs").join("gateway.log")
}

/// The log of this process, to be changed and ended.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Shared>);

/// What a log is begun with beside its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// Whose it is.
    pub(crate) instance: &'a Instance,
    /// For places, and for what the terminal can show.
    pub(crate) ambient: &'a Ambient,
    /// `--log-level`; goes before both levels of the settings, as long as the process lives.
    pub(crate) level: Option<&'a str>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// The louder of the two levels, for who only wants to know whether anybody listens.
    loudest: AtomicUsize,
    forced: Option<LevelFilter>,
}

#[derive(Debug)]
struct Inner {
    mask: Mask,
    file_level: LevelFilter,
    console_level: LevelFilter,
    sinks: Sinks,
}

/// Sends all events of this process to stderr and to the instance's file. Returns what could not be obeyed as well, by
/// the keys below `logging`; an empty key is the log as a whole.
pub(crate) fn begin(start: Start<'_>, settings: &Settings, secrets: &[Secret]) -> (Log, Vec<Wrong>) {
    let mut wrong = Vec::new();
    let standard = path(&start.instance.state_dir);
    let place = settings.place(start.instance, start.ambient).unwrap_or_else(|words| {
        wrong.push(("file".to_owned(), words));
        standard.clone()
    });
    let opened = prepare(&place, &standard).and_then(|()| Rotating::open(&place, settings.max_file_bytes));
    let opened = opened.map_err(|error| {
        wrong.push((String::new(), format!("there is no log file: {}", base::text::chain(&error))));
    });
    let console = Console::new(start.ambient);
    let log = Log(Arc::new(Shared {
        inner: Mutex::new(Inner {
            mask: Mask::new(&[], true, Vec::new()),
            file_level: LevelFilter::OFF,
            console_level: LevelFilter::OFF,
            sinks: Sinks::new(opened.ok(), console),
        }),
        loudest: AtomicUsize::new(0),
        forced: start.level.and_then(|it| level(it).ok()),
    }));
    log.apply(settings, secrets);
    // A second gateway in one process, as in tests, keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(ToLog(log.clone()));
    (log, wrong)
}

/// Makes room for the file, and lets the standard place lead to it: who reads a log needs no config.
fn prepare(place: &Path, standard: &Path) -> Result<(), FileError> {
    let folder = |it: &Path| file::private_folder(it.parent().unwrap_or(Path::new("/")));
    folder(standard)?;
    folder(place)?;
    let is_link = standard.symlink_metadata().is_ok_and(|it| it.is_symlink());
    if place == standard {
        return if is_link { file::remove(standard) } else { Ok(()) };
    }
    if is_link {
        file::remove(standard)?;
    } else if standard.exists() {
        file::put_aside(standard, rotation::KEPT)?;
    }
    std::os::unix::fs::symlink(place, standard).map_err(|source| FileError {
        what: "link",
        path: standard.to_path_buf(),
        source,
    })
}

impl Log {
    /// Obeys other settings from the next line on: both levels, the style, what is masked, the size. The file stays
    /// where it is until the next start. Words that mean nothing count as the defaults; [`Settings::wrong`] has them.
    pub(crate) fn apply(&self, settings: &Settings, secrets: &[Secret]) {
        let standard = Settings::default();
        let file_level = self.0.forced.or(level(&settings.level).ok()).unwrap_or(LevelFilter::INFO);
        let console_level = settings.console_level.as_deref().and_then(|it| level(it).ok());
        let console_level = self.0.forced.or(console_level).unwrap_or(file_level);
        let shapes = settings.masks_shapes().unwrap_or(true);
        let mut inner = self.0.inner();
        inner.mask = Mask::new(secrets, shapes, settings.patterns());
        (inner.file_level, inner.console_level) = (file_level, console_level);
        inner.sinks.console.style =
            settings.style().or_else(|_| standard.style()).unwrap_or(settings::Style::Pretty);
        if let Some(it) = &mut inner.sinks.file {
            it.limit(settings.max_file_bytes.max(1));
        }
        drop(inner);
        self.0.loudest.store(number(file_level.max(console_level)), Ordering::Relaxed);
        // Who asked before remembers the answer.
        tracing_core::callsite::rebuild_interest_cache();
    }

    /// Writes what is yet to be told of repeated lines. The log goes on to work.
    pub(crate) fn finish(&self) {
        self.0.inner().sinks.finish(clock::now_ms());
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hears(&self, level: tracing::Level) -> bool {
        number(LevelFilter::from_level(level)) <= self.loudest.load(Ordering::Relaxed)
    }
}

/// 0 for nothing, 5 for all.
fn number(level: LevelFilter) -> usize {
    LEVELS.iter().position(|it| *it == level).unwrap_or_default()
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

/// Events go to the log; spans are nobody's business here.
struct ToLog(Log);

impl fmt::Debug for ToLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToLog")
    }
}

impl Subscriber for ToLog {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        if self.enabled(about) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.is_event() && self.0.0.hears(*about.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        LEVELS.get(self.0.0.loudest.load(Ordering::Relaxed)).copied()
    }

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut inner = self.0.0.inner();
        let (to_file, to_console) = (level <= inner.file_level, level <= inner.console_level);
        if to_file || to_console {
            let record = Record::of(event, &inner.mask);
            inner.sinks.write(record, clock::now_ms(), (to_file, to_console));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests;
