//! The logs of one instance or of several, as one: what is there, and what is written from now on.
//!
//! Read from the files themselves, those that were put aside included: neither a gateway nor a config is needed.

mod file;
mod follow;
mod line;
mod page;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use profile::Instance;

pub use follow::{Follow, News};
pub use line::{Level, Line, Wanted, since};
pub use page::{Page, page};

use file::Part;

/// The log of one instance, as it was when it was opened.
#[derive(Debug)]
pub struct Log {
    /// Whose it is.
    pub instance: String,
    /// The file that is written.
    pub file: PathBuf,
    /// The newest first; never empty.
    parts: Vec<Part>,
    /// How much of the newest belongs to what was there.
    end: u64,
}

/// Where the log of an instance is found: it is there, or a link to it.
pub fn path(instance: &Instance) -> PathBuf {
    instance.state_dir.join("logs/gateway.log")
}

impl Log {
    /// Opens the log of an instance; `None` where there is none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(instance: &Instance) -> io::Result<Option<Self>> {
        let file = file::real(&path(instance));
        Self::open_at(&instance.name, &file)
    }

    fn open_at(instance: &str, file: &Path) -> io::Result<Option<Self>> {
        let parts = file::open_all(file)?;
        let Some(newest) = parts.first() else { return Ok(None) };
        let end = newest.size;
        Ok(Some(Self { instance: instance.to_owned(), file: file.to_path_buf(), parts, end }))
    }

    /// Bytes of the file that is written.
    pub fn size(&self) -> u64 {
        self.parts[0].size
    }

    /// The wanted lines, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn lines(&self, wanted: &Wanted) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut each = |text: &str| {
            if wanted.limit.is_some_and(|it| lines.len() >= it) {
                return ControlFlow::Break(());
            }
            let line = Line::parse(&self.instance, text);
            if wanted.is_before(&line) {
                return ControlFlow::Break(());
            }
            if wanted.has(&line) {
                lines.push(line);
            }
            ControlFlow::Continue(())
        };
        for (at, part) in self.parts.iter().enumerate() {
            let end = if at == 0 { self.end } else { part.size };
            if part.backwards(end, &mut each)?.is_break() {
                break;
            }
        }
        lines.reverse();
        Ok(lines)
    }
}

/// The wanted lines of all of them together, oldest first.
///
/// # Errors
/// When a file cannot be read.
pub fn lines(logs: &[Log], wanted: &Wanted) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for log in logs {
        lines.extend(log.lines(wanted)?);
    }
    in_order(&mut lines);
    let most = wanted.limit.unwrap_or(usize::MAX);
    Ok(lines.split_off(lines.len().saturating_sub(most)))
}

/// Stable: lines of one second stay in the order of their log, and one without a time behind the one before it.
fn in_order(lines: &mut [Line]) {
    let mut time = String::new();
    let key = |line: &Line, time: &mut String| {
        if !line.time.is_empty() {
            time.clone_from(&line.time);
        }
        time.clone()
    };
    let keys: Vec<String> = lines.iter().map(|it| key(it, &mut time)).collect();
    let mut keyed: Vec<(String, Line)> = keys.into_iter().zip(lines.iter().cloned()).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    for (place, (_, line)) in lines.iter_mut().zip(keyed) {
        *place = line;
    }
}

#[cfg(test)]
mod tests;
