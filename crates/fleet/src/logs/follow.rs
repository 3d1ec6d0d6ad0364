//! What is written from now on: the kernel tells when a log grows.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;

use super::file::{self, Part};
use super::{Line, Log, in_order};

/// Follows the logs of several instances.
#[derive(Debug)]
pub struct Follow {
    kernel: OwnedFd,
    files: HashMap<i32, Vec<Followed>>,
    /// Whether something may have come before the kernel was asked to tell.
    is_fresh: bool,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// These lines, in the order of time; none after a signal.
    Lines(Vec<Line>),
    /// Whoever reads them has gone.
    NobodyReads,
}

#[derive(Debug)]
struct Followed {
    instance: String,
    path: PathBuf,
    part: Part,
    at: u64,
    rest: Vec<u8>,
}

impl Follow {
    /// Begins where what was there ends, which is set to whole lines: nothing falls between, and nothing is told twice.
    ///
    /// # Errors
    /// When the kernel has no more watches to give, or a file cannot be read.
    pub fn begin(logs: &mut [Log]) -> io::Result<Self> {
        let kernel = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        let mut files: HashMap<i32, Vec<Followed>> = HashMap::new();
        for log in logs {
            let events =
                inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
            let watch = inotify::add_watch(&kernel, log.file.parent().unwrap_or(Path::new("/")), events)?;
            log.end = log.parts[0].last_line_end();
            files.entry(watch).or_default().push(Followed {
                instance: log.instance.clone(),
                path: log.file.clone(),
                part: log.parts[0].again()?,
                at: log.end,
                rest: Vec::new(),
            });
        }
        Ok(Self { kernel, files, is_fresh: true })
    }

    /// Waits until one of them grows, or until `reader`, the way out, is closed at its other end.
    ///
    /// # Errors
    /// When the kernel stops telling.
    pub fn wait(&mut self, reader: impl AsFd) -> io::Result<News> {
        if std::mem::take(&mut self.is_fresh) {
            let all: Vec<i32> = self.files.keys().copied().collect();
            return Ok(News::Lines(self.more(&all)));
        }
        let mut fds = [PollFd::new(&self.kernel, PollFlags::IN), PollFd::new(&reader, PollFlags::empty())];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => return Ok(News::Lines(Vec::new())),
            other => other?,
        };
        if fds[0].revents().is_empty() {
            return Ok(News::NobodyReads);
        }
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.kernel, &mut buffer);
        let mut grown = Vec::new();
        loop {
            let watch = reader.next()?.wd();
            if !grown.contains(&watch) {
                grown.push(watch);
            }
            if reader.is_buffer_empty() {
                break;
            }
        }
        if grown.contains(&-1) {
            // The kernel had more to tell than it could keep.
            grown = self.files.keys().copied().collect();
        }
        Ok(News::Lines(self.more(&grown)))
    }

    fn more(&mut self, watches: &[i32]) -> Vec<Line> {
        let mut lines = Vec::new();
        for watch in watches {
            self.files.get_mut(watch).into_iter().flatten().for_each(|it| lines.extend(it.more()));
        }
        in_order(&mut lines);
        lines
    }
}

impl Followed {
    fn more(&mut self) -> Vec<Line> {
        self.read();
        let parts = file::open_all(&self.path).unwrap_or_default();
        // Those that came after the one we are in, however many rotations there were since.
        let ours = parts.iter().position(|it| it.inode == self.part.inode).unwrap_or(parts.len());
        let newer: Vec<Part> = parts.into_iter().take(ours).collect();
        for newer in newer.into_iter().rev() {
            // Its writer may have gone on between the two looks.
            self.read();
            self.part = newer;
            self.at = 0;
            self.read();
        }
        let whole = self.rest.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|it| !it.is_empty()).map(|it| Line::parse(&self.instance, it)).collect()
    }

    fn read(&mut self) {
        let size = self.part.grown();
        if size < self.at {
            // Somebody emptied it.
            self.at = 0;
            self.rest.clear();
        }
        let bytes = self.part.bytes(self.at, size).unwrap_or_default();
        self.at += bytes.len() as u64;
        self.rest.extend(bytes);
    }
}
