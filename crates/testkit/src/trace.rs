//! Which files and ports a process and its children ask the system for, seen from outside by `strace`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::sandbox::Output;

/// The variable that names the tracer, where it is not `strace` on the path.
pub const STRACE: &str = "OPENCLAW_TEST_STRACE";

const CALLS: &str = "trace=openat,open,openat2,connect,bind,unlink,unlinkat,rename,renameat,renameat2,mkdir,\
                     mkdirat,execve";

/// What was asked for, one line a system call, also when the call failed.
#[derive(Debug)]
pub struct Trace {
    /// The lines of the tracer: the number of the process, the call, its result.
    pub lines: Vec<String>,
    /// What paths that are not absolute are below, where the tracer does not say it.
    cwd: PathBuf,
}

/// Runs a command to its end below the tracer, with the time limit of [`Output::of`]. The command must come from
/// [`crate::Sandbox::command`]: nothing of the test's own environment is given to it.
///
/// # Panics
/// When the command takes too long, or there is no tracer.
#[track_caller]
pub fn trace(command: Command) -> (Output, Trace) {
    let folder = tempfile::tempdir().expect("the folder for temporary files is writable");
    let file = folder.path().join("trace");
    let cwd = command.get_current_dir().unwrap_or(Path::new("/")).to_path_buf();
    let output = Output::of(traced(&command, &file));
    (output, Trace::read(&file, &cwd))
}

/// The command, to be run below the tracer, which writes to `file`. For a process that lives on: it keeps its own
/// number, so that signals reach it, and the file is complete when its standard error has ended, which
/// [`crate::Gateway::stop`] waits for. As for [`trace`], the command must come from a sandbox.
pub fn traced(command: &Command, file: &Path) -> Command {
    let program = std::env::var_os(STRACE).unwrap_or_else(|| "strace".into());
    let mut below = Command::new(program);
    // -D: the tracer is the child of the traced. -y: says what the number of an open folder stands for.
    below.args(["-D", "-f", "-y", "-s", "4096", "-e", CALLS, "-o"]).arg(file).arg("--");
    below.arg(command.get_program()).args(command.get_args());
    below.env_clear().stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            below.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        below.current_dir(folder);
    }
    below
}

impl Trace {
    /// Reads what the tracer wrote. `cwd` is the working directory of the command.
    ///
    /// # Panics
    /// When the file is missing: the tracer did not start.
    #[track_caller]
    pub fn read(file: &Path, cwd: &Path) -> Trace {
        let text = fs::read(file).unwrap_or_else(|error| panic!("no trace in {}: {error}", file.display()));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.iter().any(|it| it.contains("execve(")), "an empty trace:\n{text}");
        Trace { lines, cwd: cwd.to_path_buf() }
    }

    /// The calls that name `prefix` or a path below it: opened, made, removed, renamed, executed, or connected to
    /// as a Unix socket. Arguments of an executed program do not count.
    pub fn touched(&self, prefix: &Path) -> Vec<String> {
        let below = |line: &&String| paths(line, &self.cwd).iter().any(|it| it.starts_with(prefix));
        self.lines.iter().filter(below).cloned().collect()
    }

    /// The TCP and UDP ports that were connected to, on whatever host, each once, in ascending order.
    pub fn connected_ports(&self) -> Vec<u16> {
        let ports: BTreeSet<u16> =
            self.lines.iter().filter(|it| it.contains(" connect(")).filter_map(|it| port_in(it)).collect();
        ports.into_iter().collect()
    }

    /// The TCP and UDP ports that were bound, each once, in ascending order.
    pub fn bound_ports(&self) -> Vec<u16> {
        let ports: BTreeSet<u16> =
            self.lines.iter().filter(|it| it.contains(" bind(")).filter_map(|it| port_in(it)).collect();
        ports.into_iter().collect()
    }
}

fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("_port=htons(")?;
    rest.split_once(')')?.0.parse().ok()
}

/// The paths that a call names, absolute. Each is a quoted text, and below the folder that is written before it as
/// `NUMBER<FOLDER>, ` when it is not absolute.
fn paths(line: &str, cwd: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('"') {
        let Some(end) = closing_quote(after) else { break };
        let name = after[..end].replace("\\\"", "\"").replace("\\\\", "\\");
        let folder = before.strip_suffix(">, ").and_then(|it| it.rsplit_once('<')).map(|it| it.1);
        found.push(plain(&folder.map_or(cwd, Path::new).join(name)));
        rest = &after[end + 1..];
        if line.contains(" execve(") {
            break;
        }
    }
    found
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, it)| {
        let closes = it == '"' && !escaped;
        escaped = it == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// The path without `.` and `..`, as the text says it and not as links would have it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Gateway;
    use crate::sandbox::Sandbox;

    #[test]
    fn sees_files_by_every_way_to_name_them_and_ports() {
        let sandbox = Sandbox::new(Path::new("python3"));
        let home = sandbox.home();
        let script = "import os, socket, sys\n\
                      try: socket.socket().connect(('127.0.0.1', 9))\n\
                      except OSError: pass\n\
                      try: socket.socket(socket.AF_UNIX).connect(os.environ['HOME'] + '/sock')\n\
                      except OSError: pass\n\
                      f = os.open(os.environ['HOME'], os.O_RDONLY)\n\
                      open('../home/relative', 'w')\n\
                      os.mkdir('below', dir_fd=f)\n\
                      os.rename('below', 'after', src_dir_fd=f, dst_dir_fd=f)\n";
        let (output, trace) = trace(sandbox.command(&["-c", script]));
        let _ = output.success();
        let count = |name: &str| trace.touched(&home.join(name)).len();
        assert_eq!(["sock", "relative", "below", "after", "absent"].map(count), [1, 1, 2, 1, 0], "{trace:?}");
        assert_eq!(trace.touched(&home).len(), 5, "{trace:?}");
        assert!(trace.connected_ports().contains(&9));
        assert!(trace.touched(&sandbox.path().join("hom")).is_empty());
    }

    #[test]
    fn a_traced_gateway_is_signalled_like_any_other_and_its_trace_is_whole() {
        let sandbox = Sandbox::new(Path::new("/bin/sh"));
        let script = "trap 'kill -9 $!; echo >../home/last; exit 7' TERM; sleep 100 >/dev/null 2>&1 & \
                      echo listening on ws://127.0.0.1:1 >&2; wait";
        let file = sandbox.path().join("trace");
        let mut gateway = Gateway::start(traced(&sandbox.command(&["-c", script]), &file), 1);
        assert_eq!(gateway.stop(), 7);
        assert_eq!(Trace::read(&file, Path::new("/")).touched(&sandbox.home().join("last")).len(), 1);
    }

    #[test]
    fn a_path_that_is_only_an_argument_is_not_touched() {
        let line = r#"7 execve("/bin/ls", ["ls", "/secret"], 0x7 /* 5 vars */) = 0"#;
        assert_eq!(paths(line, Path::new("/")), [Path::new("/bin/ls")]);
        let line = r#"7 openat(5</a/b>, "../c\"d", O_RDONLY) = 6</a/c"d>"#;
        assert_eq!(paths(line, Path::new("/"))[0], Path::new("/a/c\"d"));
    }
}
