//! State folders that cannot be used: said before anything is written there.
#![allow(clippy::disallowed_methods, reason = "a test makes the folders that a person would have")]

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Output, Sandbox, free_base, tree};

use crate::support::{check_advised, offline, text};

/// `gateway` and `setup` with this state folder, each as `run` makes it a process.
#[track_caller]
fn check(sandbox: &Sandbox, state: &Path, words: &[&str], run: impl Fn(Command) -> Command) {
    let base = free_base();
    let before = tree::hash(sandbox.path());
    for name in ["gateway", "setup"] {
        let mut command = sandbox.command(&[name, "--port", &base.port().to_string()]);
        command.env("OPENCLAW_STATE_DIR", state);
        check_advised(Output::of(run(command)), 78, &[&["error: instance ", text(state)], words].concat());
    }
    assert_eq!(tree::hash(sandbox.path()), before, "something was left behind");
}

fn folder(sandbox: &Sandbox, name: &str) -> PathBuf {
    let folder = sandbox.path().join(name);
    fs::create_dir(&folder).expect("the sandbox is writable");
    folder
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_file_or_a_dead_link_in_its_place() {
    let sandbox = offline();
    let (file, link) = (sandbox.path().join("file"), sandbox.path().join("link"));
    fs::write(&file, "mine").expect("writable");
    symlink(sandbox.path().join("gone"), &link).expect("a new link");
    for path in [&file, &link] {
        check(&sandbox, path, &["is not a folder", "move"], |it| it);
    }
    check(&sandbox, &file.join("below"), &["cannot be written"], |it| it);
}

#[test]
fn a_folder_of_other_things_gets_nothing_added() {
    let sandbox = offline();
    let photos = folder(&sandbox, "photos");
    fs::write(photos.join("cat.jpg"), "meow").expect("writable");
    fs::create_dir(photos.join("logs")).expect("writable");
    check(&sandbox, &photos, &["instance photos", "holds other files", "empty folder"], |it| it);
}

/// By its mode for a person; for root, whom no mode stops, by a mount that is read-only for this process alone.
#[test]
fn a_folder_that_cannot_be_written() {
    let sandbox = offline();
    let state = folder(&sandbox, "state");
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && shift && exec \"$@\"";
    check(&sandbox, &state, &["cannot be written", "chmod u+rwx"], |inner| {
        let mut command = Command::new("unshare");
        command.args([if is_root() { "-m" } else { "-rm" }, "sh", "-c", mount, "sh"]).arg(&state);
        command.arg(inner.get_program()).args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(sandbox.path().join("cwd"));
        command
    });
}

#[test]
fn a_folder_of_another_user() {
    let sandbox = offline();
    let mut state = PathBuf::from("/");
    if is_root() {
        state = folder(&sandbox, "theirs");
        chown(&state, Some(12345), Some(12345)).expect("root may");
    }
    let owner = if is_root() { "belongs to user 12345" } else { "belongs to user 0" };
    check(&sandbox, &state, &[owner, "not to you", "OPENCLAW_STATE_DIR"], |it| it);
}
