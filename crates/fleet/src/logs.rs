//! The logs of several instances, as one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use profile::Instance;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use serde::Serialize;

use crate::why::tail;

/// How much of the end of each log is looked at, in bytes.
const TAIL: u64 = 1024 * 1024;

/// One line of one log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    /// Seconds are the finest; RFC 3339, so that texts are in the order of times.
    pub time: String,
    /// Whose it is.
    pub instance: String,
    /// The rest of the line.
    pub text: String,
}

/// The last lines of all of them together, oldest first, at most `most`.
pub fn last(instances: &[&Instance], most: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = instances
        .iter()
        .flat_map(|it| {
            let text = tail(&path(it), TAIL).unwrap_or_default();
            text.lines().map(|line| parse(&it.name, line)).collect::<Vec<_>>()
        })
        .collect();
    // Stable: lines of one second stay in the order of their log.
    lines.sort_by(|a, b| a.time.cmp(&b.time));
    lines.split_off(lines.len().saturating_sub(most))
}

fn path(instance: &Instance) -> PathBuf {
    instance.state_dir.join("logs/gateway.log")
}

fn parse(instance: &str, line: &str) -> Line {
    let is_time = |it: &str| it.len() >= 20 && it.ends_with('Z') && it.as_bytes()[4] == b'-';
    let (time, text) = line.split_once(' ').filter(|it| is_time(it.0)).unwrap_or(("", line));
    Line { time: time.to_owned(), instance: instance.to_owned(), text: text.to_owned() }
}

/// Follows the logs of several instances: the kernel tells when one of them grows.
#[derive(Debug)]
pub struct Follow {
    kernel: OwnedFd,
    files: HashMap<i32, Followed>,
}

#[derive(Debug)]
struct Followed {
    instance: String,
    path: PathBuf,
    at: u64,
    inode: u64,
    rest: Vec<u8>,
}

impl Follow {
    /// Begins at the present end of each log. One that has no folder yet is not followed; its name is returned.
    ///
    /// # Errors
    /// When the kernel has no more watches to give.
    pub fn begin(instances: &[&Instance]) -> io::Result<(Self, Vec<String>)> {
        let kernel = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        let mut files = HashMap::new();
        let mut missing = Vec::new();
        for instance in instances {
            let path = path(instance);
            let events =
                inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
            let folder = path.parent().unwrap_or(Path::new("/"));
            match inotify::add_watch(&kernel, folder, events) {
                Ok(watch) => {
                    let (at, inode) = fs::metadata(&path).map_or((0, 0), |it| (it.len(), it.ino()));
                    let instance = instance.name.clone();
                    files.insert(watch, Followed { instance, path, at, inode, rest: Vec::new() });
                }
                Err(rustix::io::Errno::NOENT) => missing.push(instance.name.clone()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((Self { kernel, files }, missing))
    }

    /// Waits until one of them grows, and returns what is new. `Ok` with nothing after a signal.
    ///
    /// # Errors
    /// When the kernel stops telling.
    pub fn wait(&mut self) -> io::Result<Vec<Line>> {
        match poll(&mut [PollFd::new(&self.kernel, PollFlags::IN)], None) {
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
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
        let mut lines = Vec::new();
        for watch in grown {
            if let Some(it) = self.files.get_mut(&watch) {
                lines.extend(it.more());
            }
        }
        lines.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(lines)
    }
}

impl Followed {
    fn more(&mut self) -> Vec<Line> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        let Ok(about) = file.metadata() else { return Vec::new() };
        if about.ino() != self.inode || about.len() < self.at {
            // It was put aside, and a new one begun.
            (self.at, self.inode) = (0, about.ino());
        }
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.at)).and_then(|_| file.read_to_end(&mut bytes));
        self.at += read.unwrap_or_default() as u64;
        self.rest.extend(bytes);
        let whole = self.rest.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        String::from_utf8_lossy(&text).lines().map(|it| parse(&self.instance, it)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use profile::{Ambient, ProfileName};

    use super::*;
    use base::file;

    fn instance(home: &Path, name: &str) -> Instance {
        let text = home.display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home);
        let profile = ProfileName::parse(name).expect("a name");
        let it = Instance::of_profile(&ambient, profile).expect("resolves");
        file::private_folder(&it.state_dir.join("logs")).expect("made");
        it
    }

    fn write(instance: &Instance, text: &str) {
        let mut log = file::append(&path(instance)).expect("opened");
        log.write_all(text.as_bytes()).expect("written");
    }

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|it| format!("{}: {}", it.instance, it.text)).collect()
    }

    #[test]
    fn lines_of_several_are_in_the_order_of_their_times() {
        let home = tempfile::tempdir().expect("a folder");
        let (a, b) = (instance(home.path(), "a"), instance(home.path(), "b"));
        write(&a, "2026-11-22T10:00:00Z one\n2026-11-22T10:00:02Z three\n");
        write(&b, "2026-11-22T10:00:01Z two\n2026-11-22T10:00:02Z four\n");
        assert_eq!(shown(&last(&[&a, &b], 10)), ["a: one", "b: two", "a: three", "b: four"]);
        assert_eq!(shown(&last(&[&a, &b], 1)), ["b: four"]);
    }

    #[test]
    fn what_is_written_later_is_told_whole_lines_at_a_time_also_after_a_rotation() {
        let home = tempfile::tempdir().expect("a folder");
        let (a, b) = (instance(home.path(), "a"), instance(home.path(), "b"));
        write(&a, "2026-11-22T10:00:00Z before\n");
        let (mut follow, missing) = Follow::begin(&[&a, &b]).expect("watches");
        assert!(missing.is_empty());
        write(&a, "2026-11-22T10:00:01Z whole\n2026-11-22T10:00:02Z ha");
        assert_eq!(shown(&follow.wait().expect("told")), ["a: whole"]);
        write(&a, "lf\n");
        assert_eq!(shown(&follow.wait().expect("told")), ["a: half"]);
        file::put_aside(&path(&a)).expect("rotated");
        write(&b, "2026-11-22T10:00:03Z begun\n");
        write(&a, "2026-11-22T10:00:04Z anew\n");
        let mut lines = follow.wait().expect("told");
        while lines.len() < 2 {
            lines.extend(follow.wait().expect("told"));
        }
        assert_eq!(shown(&lines), ["b: begun", "a: anew"]);
    }
}
