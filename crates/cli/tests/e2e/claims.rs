//! What only one gateway may hold: a second one is refused and told by whom, whatever path leads it there.
#![allow(clippy::disallowed_methods, reason = "a test makes the links that a person would make")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Base, Gateway, Output, Sandbox, free_base, tree};

use crate::scene::until;
use crate::support::{LIMIT, check_advised, check_goes_on, offline, set_up, start, text};

/// An instance that runs, and a second gateway that wants what it has.
struct Held {
    sandbox: Sandbox,
    gateway: Gateway,
    base: Base,
    free: Base,
}

impl Held {
    #[track_caller]
    fn new() -> Held {
        let sandbox = offline();
        let (gateway, base) = start(&sandbox, "a");
        // It logs no more of its start once it has answered.
        check_goes_on(&sandbox, "a", &gateway);
        Held { sandbox, gateway, base, free: free_base() }
    }

    /// `openclaw gateway run` on a port that nobody has, with these paths.
    fn second(&self, paths: &[(&str, &str)]) -> Command {
        let port = self.free.port().to_string();
        let mut command = self.sandbox.command(&["gateway", "run", "--port", &port]);
        command.envs(paths.iter().copied());
        command
    }

    /// The second one is told what is held, by whom and since when; the first goes on.
    #[track_caller]
    fn check_refused(&self, second: Command, thing: &str) {
        let before = tree::hash(&self.sandbox.state(Some("a")));
        let holder = format!("{thing} is held by instance a (pid {}, since 20", self.gateway.pid());
        check_advised(Output::of(second), 69, &[&holder]);
        assert_eq!(tree::hash(&self.sandbox.state(Some("a"))), before);
        check_goes_on(&self.sandbox, "a", &self.gateway);
    }
}

#[test]
fn a_state_folder_has_one_gateway_by_every_path() {
    let held = Held::new();
    let state = held.sandbox.state(Some("a"));
    let (link, other) = (held.sandbox.path().join("link"), held.sandbox.path().join("other"));
    symlink(&state, &link).expect("a new link");
    fs::create_dir(&other).expect("a new folder");
    let (direct, linked, elsewhere) = (text(&state), text(&link), text(&other));
    let same = [("OPENCLAW_STATE_DIR", direct)];
    let through_link = [("OPENCLAW_STATE_DIR", linked)];
    let strange = [("OPENCLAW_STATE_DIR", direct), ("HOME", elsewhere), ("OPENCLAW_HOST_DIR", elsewhere)];
    let own_config = format!("{elsewhere}/own.json");
    let configured = [("OPENCLAW_STATE_DIR", direct), ("OPENCLAW_CONFIG_PATH", &own_config)];
    for (paths, named) in
        [(&same[..], direct), (&through_link, linked), (&strange, direct), (&configured, direct)]
    {
        held.check_refused(held.second(paths), &format!("state folder {named}"));
    }
    let by_profile =
        held.sandbox.command(&["--profile", "a", "gateway", "--port", &held.free.port().to_string()]);
    held.check_refused(by_profile, &format!("state folder {direct}"));
}

#[test]
fn a_config_file_has_one_gateway_by_every_path() {
    let held = Held::new();
    let config = held.sandbox.state(Some("a")).join("openclaw.json");
    let (link, own) = (held.sandbox.path().join("link.json"), held.sandbox.path().join("own-state"));
    symlink(&config, &link).expect("a new link");
    for path in [&config, &link] {
        let paths = [("OPENCLAW_STATE_DIR", text(&own)), ("OPENCLAW_CONFIG_PATH", text(path))];
        held.check_refused(held.second(&paths), &format!("config file {}", path.display()));
        let left = tree::hash(&own);
        assert!(left.is_empty(), "the refused one left {left:?}");
    }
}

#[test]
fn a_port_has_one_gateway_and_plans_must_not_overlap() {
    let held = Held::new();
    let _own = set_up(&held.sandbox, "b");
    let base = held.base.port();
    for (port, thing) in [
        (base, format!("gateway port {base}")),
        (base + 2, format!("gateway port {}", base + 2)),
        (base + 4, format!("gateway port {}", base + 4)),
        (base - 2, format!("browser control port {base}")),
        (base - 4, format!("canvas port {base}")),
    ] {
        let second = held.sandbox.command(&["--profile", "b", "gateway", "--port", &port.to_string()]);
        held.check_refused(second, &thing);
    }
    // Twenty ports further there is room.
    let mut neighbour = held.sandbox.start(&["--profile", "b"], base + 20);
    check_goes_on(&held.sandbox, "b", &neighbour);
    assert_eq!(neighbour.stop(), 0);
}

/// Also where the claims of this machine are kept in another place: the port itself is taken then.
#[test]
fn a_port_has_one_gateway_for_another_home_as_well() {
    let held = Held::new();
    let elsewhere = held.sandbox.path().join("other");
    fs::create_dir(&elsewhere).expect("a new folder");
    let mut second = held.sandbox.command(&["gateway", "--port", &held.base.port().to_string()]);
    second.env("HOME", &elsewhere).env("OPENCLAW_HOST_DIR", &elsewhere);
    let pid = format!("(pid {}, ", held.gateway.pid());
    check_advised(Output::of(second), 69, &["instance default", &held.base.port().to_string(), &pid]);
    check_goes_on(&held.sandbox, "a", &held.gateway);
}

#[test]
fn after_a_kill_the_next_one_starts_at_once() {
    let sandbox = offline();
    let (mut gateway, base) = start(&sandbox, "a");
    for _ in 0..3 {
        gateway.kill();
        // What a dead process left says nothing.
        assert!(sandbox.state(Some("a")).join("gateway.lock").exists());
        assert!(sandbox.state(Some("a")).join("control.sock").exists());
        let status = sandbox.run(&["--profile", "a", "status", "--json"]).success().json();
        assert_eq!(status["instance"]["state"], "stopped", "{status}");
        gateway = sandbox.start(&["--profile", "a"], base.port());
        check_goes_on(&sandbox, "a", &gateway);
    }
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn two_that_start_at_the_same_moment_both_come_up() {
    let sandbox = offline();
    let (a, b) = (set_up(&sandbox, "a"), set_up(&sandbox, "b"));
    let start = |profile, base: &Base| sandbox.start(&["--profile", profile], base.port());
    let (one, two) = thread::scope(|scope| {
        let one = scope.spawn(|| start("a", &a));
        let two = scope.spawn(|| start("b", &b));
        (one.join().expect("a starts"), two.join().expect("b starts"))
    });
    check_goes_on(&sandbox, "a", &one);
    check_goes_on(&sandbox, "b", &two);
}

/// One of them runs; the others are told so.
#[test]
fn of_four_starts_at_the_same_moment_one_runs() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "a");
    let (sender, ended) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..4 {
            let (sender, sandbox) = (sender.clone(), &sandbox);
            scope.spawn(move || sender.send(sandbox.run(&["--profile", "a", "gateway"])));
        }
        let next = || ended.recv_timeout(LIMIT).expect("all but one end");
        let refused = [next(), next(), next()];
        let health = until("it answers", || {
            let health = sandbox.run(&["--profile", "a", "health", "--json"]);
            (health.status == 0).then(|| health.json())
        });
        let pid = health["instance"]["pid"].as_i64().expect("a process id");
        for output in refused {
            // Who comes before the holder has signed is told as much.
            let output = check_advised(output, 69, &["instance a: state folder ", " is held by "]);
            let signed = output.stderr.contains(&format!("instance a (pid {pid}, since 20"));
            assert!(signed || output.stderr.contains("another gateway"), "{output}");
        }
        let pid = Pid::from_raw(i32::try_from(pid).expect("small")).expect("not zero");
        kill_process(pid, Signal::TERM).expect("it runs");
        let _ = next().success();
    });
}
