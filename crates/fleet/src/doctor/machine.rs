//! The machine: room, time, a browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base::clock;
use profile::Document;
use serde_json::Value;

use super::{Finding, Scene, Severity};

/// With less room than this, a gateway soon cannot acknowledge a message.
const FULL: u64 = 64 * 1024 * 1024;
/// From here on it is worth knowing.
const LOW: u64 = 512 * 1024 * 1024;
/// The fewest files that must still be possible.
const FEW_FILES: u64 = 1000;
/// No clock that is right says an earlier time: Unix milliseconds of 2026-01-01.
const NEVER_BEFORE: u64 = 1_767_225_600_000;
/// How far into the future a file may have been written, in milliseconds: two machines may share a disk.
const AHEAD: u64 = 5 * 60 * 1000;
/// What the browser's program may be called.
const BROWSERS: [&str; 7] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "brave-browser",
    "microsoft-edge",
    "microsoft-edge-stable",
];

/// Whether there is room.
pub(super) fn disk(scene: &Scene<'_>) -> Vec<Finding> {
    let there = scene.instance.state_dir.ancestors().find(|it| it.is_dir());
    let Some(Ok(room)) = there.map(rustix::fs::statvfs) else { return Vec::new() };
    judge_disk(
        scene.short(&scene.instance.state_dir),
        room.f_bavail * room.f_frsize,
        room.f_files,
        room.f_favail,
    )
}

/// A file system without a number of files has no bound on it.
fn judge_disk(place: String, free: u64, files: u64, free_files: u64) -> Vec<Finding> {
    let why = "a message is acknowledged once it is on disk, and not before";
    let advice = "make room: old snapshots, logs, files of workspaces";
    let mut found = Vec::new();
    if free < LOW {
        let severity = if free < FULL { Severity::Error } else { Severity::Warn };
        let what = format!("{} MB are free on its disk", free / 1_000_000);
        found.push(Finding::new(severity, &place, what, why).advise(advice));
    }
    if files > 0 && free_files < FEW_FILES {
        let what = format!("its disk has room for {free_files} more files only");
        found.push(Finding::new(Severity::Error, &place, what, why).advise(advice));
    }
    found
}

/// Whether the clock can be right.
pub(super) fn clock(scene: &Scene<'_>) -> Vec<Finding> {
    let names = ["gateway.sqlite", "ledger.json", "openclaw.json", "logs/gateway.log"];
    let newest = names.iter().filter_map(|it| {
        let written = fs::metadata(scene.instance.state_dir.join(it)).ok()?.modified().ok()?;
        Some((written, *it))
    });
    let newest = newest.max_by_key(|(written, _)| *written);
    judge_clock(clock::now_ms(), newest.map(|(written, name)| (millis(written), name)))
}

fn judge_clock(now: u64, newest: Option<(u64, &str)>) -> Vec<Finding> {
    let why = "times of messages, of tokens and of certificates are wrong with it";
    let what = match newest {
        _ if now < NEVER_BEFORE => {
            format!("the clock says {}, before this program was made", clock::rfc3339(now))
        }
        Some((written, name)) if written > now + AHEAD => {
            format!("{name} was written at {}, which the clock calls the future", clock::rfc3339(written))
        }
        _ => return Vec::new(),
    };
    vec![Finding::new(Severity::Warn, "the clock", what, why).run("timedatectl status")]
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether there is a browser to start where the config asks for one.
pub(super) fn browser(scene: &Scene<'_>) -> Vec<Finding> {
    let section = scene.document.as_ref().ok().map(Document::value).and_then(|it| it.get("browser"));
    let Some(section) = section.filter(|it| wants_program(it)) else { return Vec::new() };
    let why = "tools that look at pages have none to look with";
    if let Some(named) = section["executablePath"].as_str() {
        let path = scene.ambient.path(named);
        if is_program(&path) {
            return Vec::new();
        }
        let what = format!("{} is no program", scene.short(&path));
        let found = Finding::new(Severity::Warn, "browser.executablePath", what, why);
        return vec![found.run(scene.command("config set browser.executablePath PATH"))];
    }
    let folders = scene.ambient.var("PATH").unwrap_or_default();
    let found = folders.split(':').map(PathBuf::from);
    if found.into_iter().any(|folder| BROWSERS.iter().any(|it| is_program(&folder.join(it)))) {
        return Vec::new();
    }
    let found = Finding::new(Severity::Warn, "browser", "no Chromium is found in PATH", why);
    vec![found.advise("install Chromium, or name one in browser.executablePath")]
}

/// A browser that runs elsewhere needs no program here.
fn wants_program(section: &Value) -> bool {
    let is_on = section["enabled"].as_bool() != Some(false);
    let profiles = section["profiles"].as_object();
    let all_remote =
        profiles.is_some_and(|it| !it.is_empty() && it.values().all(|it| it["cdpUrl"].is_string()));
    is_on && section.is_object() && !section["cdpUrl"].is_string() && !all_remote
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_disk_is_judged_by_its_room_and_its_files() {
        let severities = |free, files, free_files| {
            let found = judge_disk("~".to_owned(), free, files, free_files);
            found.iter().map(|it| it.severity.word()).collect::<Vec<_>>().join(" ")
        };
        for (free, files, free_files, expected) in [
            (LOW, 0, 0, ""),
            (LOW - 1, 9, 2000, "warn"),
            (FULL - 1, 0, 0, "error"),
            (LOW, 9000, 999, "error"),
            (0, 9000, 0, "error error"),
        ] {
            assert_eq!(severities(free, files, free_files), expected, "{free} {files} {free_files}");
        }
    }

    #[test]
    fn a_clock_is_wrong_where_it_is_behind_what_was_written() {
        let now = NEVER_BEFORE + 1_000_000;
        assert!(judge_clock(now, None).is_empty());
        assert!(judge_clock(now, Some((now + AHEAD, "a"))).is_empty());
        assert_eq!(judge_clock(now, Some((now + AHEAD + 1, "a"))).len(), 1);
        assert_eq!(judge_clock(NEVER_BEFORE - 1, None).len(), 1);
    }

    #[test]
    fn a_program_is_needed_only_where_a_browser_is_started_here() {
        for (section, expected) in [
            (json!({}), true),
            (json!({"enabled": false}), false),
            (json!({"cdpUrl": "http://far:9222"}), false),
            (json!({"profiles": {"a": {"cdpUrl": "http://far:9222"}}}), false),
            (json!({"profiles": {"a": {"cdpPort": 1}}}), true),
            (json!(null), false),
        ] {
            assert_eq!(wants_program(&section), expected, "{section}");
        }
    }
}
