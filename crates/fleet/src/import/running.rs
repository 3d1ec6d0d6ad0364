//! Whether the original runs on a state folder: by its lock files, and by who listens on the port.

use std::fs;
use std::path::{Path, PathBuf};

use profile::{Document, listener};
use serde::Deserialize;

use super::Source;
use super::report::Original;

/// What a process of the original has in its title or its command line.
const NAME: &str = "openclaw";
/// What runs the original.
const RUNTIMES: [&str; 3] = ["node", "bun", "openclaw-gateway"];
/// The field of `/proc/<pid>/stat` that says when the process was started, counted after the command's name.
const START_TIME: usize = 19;

/// The original's lock file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lock {
    pid: u32,
    config_path: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    start_time: Option<u64>,
}

/// The original that runs on the source's state folder, config or port.
pub(super) fn original(source: &Source<'_>, config: Option<&Document>) -> Option<Original> {
    locks(source).find_map(|(path, lock)| holder(&path, &lock)).or_else(|| on_port(source, config))
}

/// The locks of the original that are about this instance.
fn locks(source: &Source<'_>) -> impl Iterator<Item = (PathBuf, Lock)> {
    let instance = source.instance;
    let uid = rustix::process::getuid().as_raw();
    let name = format!("openclaw-{uid}");
    let named = source.ambient.var("TMPDIR").map(|it| source.ambient.path(it));
    // The newest version keeps its locks in the state folder, older ones beside those of every other instance.
    let own = files(&instance.state_dir.join("tmp").join(&name)).into_iter().map(|it| (true, it));
    let shared = named.into_iter().chain([PathBuf::from("/tmp")]).flat_map(move |it| files(&it.join(&name)));
    let others = shared.map(|it| (false, it));
    let (state_dir, config_path) = (instance.state_dir.clone(), instance.config_path.clone());
    own.chain(others).filter_map(move |(is_own, path)| {
        let lock: Lock = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let is_ours = is_own
            || lock.state_dir.as_deref().is_some_and(|it| is_same(it, &state_dir))
            || lock.config_path.as_deref().is_some_and(|it| is_same(it, &config_path));
        is_ours.then_some((path, lock))
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_lock = |it: &Path| {
        let name = it.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        name.starts_with("gateway.") && name.ends_with(".lock")
    };
    entries.into_iter().map(|it| it.path()).filter(|it| is_lock(it)).collect()
}

fn is_same(a: &Path, b: &Path) -> bool {
    let real = |it: &Path| fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
    real(a) == real(b)
}

/// The process of a lock, if it is alive and the one that took it.
fn holder(path: &Path, lock: &Lock) -> Option<Original> {
    let what = || format!("it holds {}", path.display());
    let found = || Original { pid: lock.pid, what: what() };
    let Some(started) = start_time(lock.pid) else {
        // Without `/proc` only the kernel's word remains that the process is there.
        let is_linux = Path::new("/proc/self/stat").exists();
        return (!is_linux && is_alive(lock.pid)).then(found);
    };
    let is_it = match lock.start_time {
        Some(it) => it == started,
        None => is_named(lock.pid),
    };
    is_it.then(found)
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and brackets of its own.
    stat.rsplit_once(')')?.1.split_whitespace().nth(START_TIME)?.parse().ok()
}

/// Whether there is such a process.
pub(super) fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|it| rustix::process::test_kill_process(it) != Err(rustix::io::Errno::SRCH))
}

fn is_named(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(NAME)
}

/// The listener on the instance's port, if it looks like the original and not like a gateway of ours.
fn on_port(source: &Source<'_>, config: Option<&Document>) -> Option<Original> {
    let instance = source.instance;
    let port = instance.env_port.or_else(|| config.and_then(Document::port)).or(instance.default_port)?;
    let found = listener::who(port)?;
    let pid = found.pid?;
    let program = found.program.as_deref().map(Path::new).and_then(|it| it.file_name()?.to_str());
    // A runtime that was updated under a running gateway.
    let program = program.map(|it| it.trim_end_matches(" (deleted)"));
    let is_original = program.is_some_and(|it| RUNTIMES.contains(&it)) && is_named(pid);
    is_original.then(|| Original { pid, what: format!("it listens on port {port}") })
}
