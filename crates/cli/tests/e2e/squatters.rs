//! Others in an instance's place: on its port, on its control socket. They learn nothing, and are called by name.
#![allow(clippy::disallowed_methods, reason = "a test reads the names of processes")]

use std::fs;
use std::os::unix::net::UnixListener;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Squatter, tree};

use crate::support::{check_advised, offline, set_up, start};

#[test]
fn a_port_that_another_program_holds_is_refused_with_its_name() {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let mut squatter = Squatter::on(base.port());
    // `setup` leaves the lock's file, a gateway takes it away as it ends.
    fs::remove_file(sandbox.state(Some("a")).join("gateway.lock")).expect("there");
    let before = tree::hash(&sandbox.state(Some("a")));
    let program = fs::read_link(format!("/proc/{}/exe", squatter.pid())).expect("it runs");
    let output = sandbox.run(&["--profile", "a", "gateway"]);
    let taken = format!("port {} is taken by {} (pid {}, ", base.port(), program.display(), squatter.pid());
    check_advised(output, 69, &["instance a: ", &taken, "--port"]);
    assert_eq!(tree::hash(&sandbox.state(Some("a"))), before);
    assert_eq!((squatter.received(), squatter.connections()), (Vec::new(), 0));
}

#[test]
fn whoever_squats_on_a_stopped_instances_port_is_sent_nothing() {
    let sandbox = offline();
    let (mut gateway, base) = start(&sandbox, "a");
    assert_eq!(gateway.stop(), 0);
    let mut squatter = Squatter::answering(base.port(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    for (words, code) in [
        (&["status"][..], 0),
        (&["status", "--json"], 0),
        (&["gateway", "status"], 0),
        (&["gateway", "status", "--require-rpc"], 1),
        (&["health"], 1),
        (&["agent", "--message", "my secret"], 1),
        (&["gateway", "call", "health"], 1),
        (&["setup"], 0),
    ] {
        let _ = sandbox.run(&[&["--profile", "a"], words].concat()).code(code);
    }
    assert_eq!((squatter.received(), squatter.connections()), (Vec::new(), 0));
    let pid = format!("(pid {}, ", squatter.pid());
    for words in [&["status"][..], &["gateway", "status"]] {
        let said = sandbox.run(&[&["--profile", "a"], words].concat()).success().stdout;
        assert!(said.contains(&pid) && said.contains("which is not this instance"), "{said}");
    }
    let said = sandbox.run(&["--profile", "a", "status", "--json"]).success().json();
    assert_eq!(said["instance"]["state"], "stopped", "{said}");
    assert!(said["portHeldBy"].as_str().is_some_and(|it| it.contains(&pid)), "{said}");
}

#[test]
fn a_control_socket_that_says_nothing_is_called_deaf_within_the_limit() {
    let sandbox = offline();
    let _base = set_up(&sandbox, "a");
    let _stranger = UnixListener::bind(sandbox.state(Some("a")).join("control.sock")).expect("a new socket");
    let ask = |words: &[&str]| sandbox.run(&[&["--profile", "a"], words, &["--timeout", "50"]].concat());
    let said = ask(&["status"]).success().stdout;
    let log = format!("{}/logs/gateway.log", sandbox.state(Some("a")).display());
    assert!(said.contains("deaf") && said.contains("within 0.05 s") && said.contains(&log), "{said}");
    assert!(!said.contains("start it with"), "it would be refused: {said}");
    assert_eq!(ask(&["status", "--json"]).success().json()["instance"]["state"], "deaf");
    let said = ask(&["gateway", "status"]).success().stdout;
    assert!(said.contains("did not answer within 0.05 s"), "{said}");
    let _ = ask(&["gateway", "status", "--require-rpc"]).code(1);
    check_advised(ask(&["health"]), 75, &["instance a: ", "did not answer within 0.05 s", &log]);
}

/// It holds its port as well as one that answers: nobody stands in its place.
#[test]
fn a_gateway_that_hangs_is_deaf_and_no_stranger() {
    let sandbox = offline();
    let (mut gateway, _base) = start(&sandbox, "a");
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).expect("small")).expect("not zero");
    kill_process(pid, Signal::STOP).expect("it runs");
    for words in [&["status"][..], &["gateway", "status"]] {
        let said = sandbox.run(&[&["--profile", "a"], words, &["--timeout", "50"]].concat()).success().stdout;
        assert!(said.contains("did not answer") && !said.contains("not this instance"), "{said}");
    }
    kill_process(pid, Signal::CONT).expect("it runs");
    assert_eq!(gateway.stop(), 0);
}
