//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

/// What a process does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It runs, or waits for a core.
    Running,
    /// It waits for something to happen.
    Waiting,
    /// Somebody stopped it, or it is dead: it will not answer.
    Stopped,
}

/// What the process does; `None` when there is none.
pub fn doing(pid: u32) -> Option<Doing> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets included.
    let state = text.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(match state {
        'R' => Doing::Running,
        'T' | 't' | 'Z' | 'X' | 'x' => Doing::Stopped,
        _ => Doing::Waiting,
    })
}

/// How long its first thread has had a core since it was started.
pub fn ran(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split_ascii_whitespace().next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// Its share of the machine's memory in bytes: pages that several processes map count in parts.
pub fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Its command line, the words apart by spaces; empty when it may not be read.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|it| *it == 0).filter(|it| !it.is_empty());
    words.map(|it| String::from_utf8_lossy(it).into_owned()).collect::<Vec<_>>().join(" ")
}

/// The path of its program, also where the file was replaced since.
pub fn program(pid: u32) -> Option<std::path::PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let bare = path.to_str().and_then(|it| it.strip_suffix(" (deleted)")).map(std::path::PathBuf::from);
    Some(bare.filter(|_| !path.exists()).unwrap_or(path))
}

/// The user whose process it is.
pub fn user(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).ok().map(|it| it.uid())
}

/// A variable of its environment, as it was at its start.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let found = bytes.split(|it| *it == 0).filter_map(|it| std::str::from_utf8(it).ok());
    let mut values = found.filter_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    values.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_this_process() {
        let pid = std::process::id();
        assert!(doing(pid).is_some_and(|it| it != Doing::Stopped));
        assert!(ran(pid) > Duration::ZERO);
        assert!(pss(pid).is_some_and(|it| it > 100_000));
        assert!(command_line(pid).contains("openclaw_fleet"));
        assert!(variable(pid, "PATH").is_some() && variable(pid, "NO_SUCH_VARIABLE").is_none());
        assert!(program(pid).is_some_and(|it| it.exists()) && user(pid).is_some());
        assert_eq!((doing(0), pss(0)), (None, None));
    }
}
