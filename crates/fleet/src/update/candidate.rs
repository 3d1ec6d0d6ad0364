//! A file that is to become the program: copied to where it may stay, and made to say what it is before anything else
//! is touched. What was verified is the copy, and the copy is what is installed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base::{file, random};
use ring::digest::{Context, SHA256};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::UpdateError;
use crate::start;

/// How long the new program may take to say what it is.
const LIMIT: Duration = Duration::from_secs(10);
/// The most that it may say.
const MOST: u64 = 64 * 1024;
/// A program is no larger.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;
/// What a new program is asked.
const PROBE: [&str; 3] = ["update", "probe", "--json"];

/// What a program says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name, always `openclaw`.
    pub program: String,
    /// Its version.
    pub version: String,
    /// The newest schema of a database that it reads.
    pub schema: u32,
}

/// A file that passed; its copy is removed with the value unless it was kept.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) draft: PathBuf,
    pub(super) sha256: String,
    pub(super) probe: Probe,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // It has another name once it is kept.
        let _ = fs::remove_file(&self.draft);
    }
}

/// What this program says.
pub fn own_probe(version: &str) -> Probe {
    Probe { program: "openclaw".to_owned(), version: version.to_owned(), schema: store::SCHEMA }
}

/// Copies the file into `folder`, and looks at what it is.
pub(super) fn take(
    from: &Path,
    wanted: Option<&str>,
    like: &Path,
    folder: &Path,
) -> Result<Candidate, UpdateError> {
    let refused = |why: String| UpdateError::Refused { file: from.to_path_buf(), why };
    let unreadable = |it: io::Error| refused(format!("it cannot be read: {it}"));
    let found = fs::metadata(from).map_err(unreadable)?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(refused("it is no program's file".to_owned()));
    }
    let mut source = File::open(from).map_err(unreadable)?;
    let probe = Probe { program: String::new(), version: String::new(), schema: 0 };
    let draft = folder.join(format!(".openclaw.{}.tmp", random::hex::<6>()));
    let mut candidate = Candidate { draft, sha256: String::new(), probe };
    candidate.sha256 = copy(&mut source, &candidate.draft)?;
    if let Some(wanted) = wanted.filter(|it| !it.eq_ignore_ascii_case(&candidate.sha256)) {
        return Err(refused(format!("its SHA-256 is {}, not {wanted}", candidate.sha256)));
    }
    is_like(&candidate.draft, like).map_err(refused)?;
    candidate.probe = probed(&candidate.draft).map_err(refused)?;
    Ok(candidate)
}

/// Copies a program to a file that is not there yet, and waits until the disk has it. Returns its sum.
pub(super) fn copy(source: &mut File, to: &Path) -> Result<String, UpdateError> {
    let mut target = file::new_file(to)?;
    let failed =
        |source| UpdateError::File(file::FileError { what: "write", path: to.to_path_buf(), source });
    let mut sum = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = source.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        sum.update(&buffer[..count]);
        target.write_all(&buffer[..count]).map_err(failed)?;
    }
    let mode = Permissions::from_mode(0o755);
    target.set_permissions(mode).and_then(|()| target.sync_all()).map_err(failed)?;
    Ok(random::hex_of(sum.finish().as_ref()))
}

/// The sum of a file.
pub(super) fn sum_of(path: &Path) -> io::Result<String> {
    let mut source = File::open(path)?;
    let mut sum = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(random::hex_of(sum.finish().as_ref())),
            count => sum.update(&buffer[..count]),
        }
    }
}

/// Whether a file can be run here at all: it may be, and is a script or a whole program. It is not run for that.
///
/// # Errors
/// In words, what is wrong with it.
pub(crate) fn can_run(path: &Path) -> Result<(), String> {
    let about = fs::metadata(path).map_err(|it| it.to_string())?;
    if !about.is_file() || about.permissions().mode() & 0o111 == 0 {
        return Err("it may not be executed".to_owned());
    }
    let mut head = [0; 2];
    let is_script = File::open(path).and_then(|mut it| it.read_exact(&mut head)).is_ok() && head == *b"#!";
    if is_script { Ok(()) } else { is_like(path, Path::new("/proc/self/exe")) }
}

/// Whether a file is a program for the same machine as `like`, and whole.
fn is_like(path: &Path, like: &Path) -> Result<(), String> {
    let head = |path: &Path| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let theirs = head(path).map_err(|it| it.to_string())?;
    let ours = head(like).map_err(|it| format!("{} cannot be read: {it}", like.display()))?;
    let length = fs::metadata(path).map_err(|it| it.to_string())?.len();
    check_head(&theirs, &ours, length)
}

/// The head of an ELF file: magic, class and order of bytes, machine; then where the parts that are loaded end.
fn check_head(theirs: &[u8], ours: &[u8], length: u64) -> Result<(), String> {
    if theirs.len() < 64 || ours.len() < 64 || !theirs.starts_with(b"\x7fELF") {
        return Err("it is no executable program of this system".to_owned());
    }
    if theirs[4..6] != ours[4..6] || theirs[18..20] != ours[18..20] {
        return Err("it is a program for another kind of machine".to_owned());
    }
    if theirs[4] != 2 || theirs[5] != 1 {
        return Ok(());
    }
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let found = theirs.get(at..at.checked_add(bytes)?)?;
        Some(found.iter().rev().fold(0, |all, it| all << 8 | u64::from(*it)))
    };
    // The table of sections stands at the end, behind what is loaded.
    let sections = number(40, 8).zip(number(58, 2).zip(number(60, 2)));
    if sections.is_none_or(|(at, (size, count))| at.saturating_add(size * count) > length) {
        return Err("it is not whole".to_owned());
    }
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    for row in 0..count.unwrap_or_default() {
        let at =
            table.zip(size).and_then(|(table, size)| usize::try_from(table.saturating_add(row * size)).ok());
        let end =
            at.and_then(|at| number(at.checked_add(8)?, 8)?.checked_add(number(at.checked_add(32)?, 8)?));
        if end.is_none_or(|it| it > length) {
            return Err("it is not whole".to_owned());
        }
    }
    Ok(())
}

/// What the program says of itself, twice, in two ways that must agree.
fn probed(program: &Path) -> Result<Probe, String> {
    let said = ask(program, &["--version"], &[])?;
    let version = said.trim().strip_prefix("openclaw ").map(str::trim).unwrap_or_default();
    if version.is_empty() || version.contains(char::is_whitespace) {
        return Err(format!("it does not say its version: {:?}", base::text::line(&said, 100)));
    }
    let said = ask(program, &PROBE, &[])?;
    let probe: Probe = serde_json::from_str(&said)
        .map_err(|_| format!("version {version} does not say which databases it reads"))?;
    if probe.program != "openclaw" || probe.version != version {
        return Err(format!("it calls itself both {version} and {}", probe.version));
    }
    Ok(probe)
}

/// Runs the program in an environment of nothing else, for a short time, and returns what it printed.
pub(super) fn ask(
    program: &Path,
    words: &[&str],
    environment: &[(String, String)],
) -> Result<String, String> {
    let shown = words.join(" ");
    let mut command = Command::new(program);
    command.args(words).env_clear().envs(environment.iter().cloned()).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|it| format!("it cannot be run: {it}"))?;
    let deadline = Instant::now() + LIMIT;
    let stream = child.stdout.take().expect("it was asked for");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stream.take(MOST).read_to_end(&mut text);
        // Whoever waited may have given up.
        let _ = tell.send(text);
    });
    let text = told.recv_timeout(LIMIT).ok();
    let left = deadline.saturating_duration_since(Instant::now());
    let ended = start::pidfd(child.id()).map_or(true, |it| start::ended_within(&it, left));
    if text.is_none() || !ended {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|it| kill_process_group(it, Signal::KILL));
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("{shown:?} did not end within {} s", LIMIT.as_secs()));
    }
    let status = child.wait().map_err(|it| it.to_string())?;
    if !status.success() {
        return Err(format!("{shown:?} ended with {status}"));
    }
    String::from_utf8(text.unwrap_or_default()).map_err(|_| format!("{shown:?} printed no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u8, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = machine;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64 + 32..64 + 40].copy_from_slice(&end.to_le_bytes());
        bytes
    }

    #[test]
    fn a_program_is_of_this_machine_and_whole() {
        let ours = elf(62, 120);
        let check = |theirs: &[u8], length, expected: &str| {
            let found = check_head(theirs, &ours, length).err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found:?}");
        };
        check(&ours, 120, "");
        check(&[ours.as_slice(), b"more behind it"].concat(), 134, "");
        check(&elf(183, 120), 120, "another kind of machine");
        check(&elf(62, 5000), 120, "not whole");
        check(&elf(62, u64::MAX), 120, "not whole");
        check(&ours[..100], 100, "not whole");
        let mut sections = ours.clone();
        sections[40] = 100;
        sections[58] = 64;
        sections[60] = 1;
        check(&sections, 120, "not whole");
        check(&ours[..20], 20, "no executable");
        check(&[b'#'; 200], 200, "no executable");
    }

    #[test]
    fn what_is_run_has_nothing_of_ours_and_a_limit_on_what_it_says() {
        let shell = Path::new("/bin/sh");
        let said = ask(shell, &["-c", "echo $HOME-$OPENCLAW_PROFILE; pwd"], &[]).expect("runs");
        assert_eq!(said, "-\n/\n");
        assert!(ask(shell, &["-c", "exit 3"], &[]).expect_err("fails").contains("3"));
        assert!(ask(Path::new("/nothing"), &[], &[]).expect_err("is not there").contains("cannot be run"));
    }
}
