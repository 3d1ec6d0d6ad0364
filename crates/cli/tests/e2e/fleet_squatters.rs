//! Every command about a stopped instance whose port belongs to a stranger: the stranger is told nothing, and the
//! person is told who it is.

use std::fs;

use testkit::gateway::token;
use testkit::{Squatter, tree};

use crate::fleet_scene::Fleet;
use crate::support::text;

/// What a web server says to whatever it is sent.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// The command line, its exit code, and what it says: `PID` and `PORT` are the stranger's, `DIR` is the state folder.
const ROWS: [(&[&str], i32, &[&str]); 22] = [
    (&["fleet", "ls"], 0, &["conflict", "gateway port PORT is taken by ", "(pid PID, "]),
    (&["fleet", "ls", "--json"], 0, &["\"conflict\"", "gateway port PORT is taken by ", "(pid PID, "]),
    (&["fleet", "why", "a"], 0, &["conflict", "gateway port PORT is taken by ", "(pid PID, "]),
    (&["fleet", "why", "a", "--json"], 0, &["gateway port PORT is taken by ", "(pid PID, "]),
    (&["fleet", "ports"], 0, &["PORT"]),
    (&["fleet", "ports", "--json"], 0, &["\"conflict\""]),
    (&["fleet", "claims"], 0, &["nothing is claimed"]),
    (&["fleet", "logs", "a"], 0, &["stopped"]),
    (&["fleet", "start", "a"], 69, &["instance a: ", "port PORT is taken by ", "(pid PID, ", "--port"]),
    (&["fleet", "start", "--all", "--json"], 69, &["\"ok\": false", "port PORT is taken by "]),
    (&["fleet", "restart", "a"], 69, &["instance a: ", "port PORT is taken by ", "(pid PID, "]),
    (&["fleet", "stop", "a", "--force"], 0, &["does not run"]),
    (&["fleet", "exec", "--all", "--", "openclaw", "health"], 1, &["no gateway is running in DIR"]),
    (&["--profile", "a", "status"], 0, &["(pid PID, ", "which is not this instance"]),
    (&["--profile", "a", "status", "--json"], 0, &["(pid PID, ", "\"stopped\""]),
    (&["--profile", "a", "health"], 1, &["instance a: ", "no gateway is running in DIR"]),
    (&["--profile", "a", "gateway", "status"], 0, &["(pid PID, ", "which is not this instance"]),
    (&["--profile", "a", "gateway", "status", "--require-rpc"], 1, &["(pid PID, "]),
    (&["--profile", "a", "gateway", "call", "health"], 1, &["instance a: ", "no gateway is running in DIR"]),
    (&["--profile", "a", "gateway", "run"], 69, &["port PORT is taken by ", "(pid PID, ", "--port"]),
    (&["--profile", "a", "agent", "--message", "hello"], 1, &["no gateway is running in DIR"]),
    (&["--profile", "a", "setup"], 0, &["PORT"]),
];

#[test]
fn a_stranger_on_the_port_of_a_stopped_instance_is_sent_nothing_by_any_command() {
    let fleet = Fleet::of(&["a"]);
    let _ = fleet.ask("a", &["setup"]).success();
    fleet.run_once("a");
    let mut squatter = Squatter::answering(fleet.port("a"), ANSWER);
    let program = fs::read_link(format!("/proc/{}/exe", squatter.pid())).expect("it runs");
    let token = token(&fleet.state("a"));
    let files = || {
        let mut files = tree::hash(&fleet.state("a"));
        // `setup` leaves the lock's file, which holds nothing by itself.
        files.retain(|path, _| !path.ends_with("gateway.lock"));
        files
    };
    let before = files();
    for (words, code, expected) in ROWS {
        let output = fleet.sandbox.run(words).code(code);
        let said = format!("{}{}", output.stdout, output.stderr);
        for part in expected {
            let part = part.replace("PID", &squatter.pid().to_string());
            let part = part.replace("PORT", &fleet.port("a").to_string());
            let part = part.replace("DIR", text(&fleet.state("a")));
            assert!(said.contains(&part), "nothing about {part:?}: {output}");
        }
        if said.contains(" is taken by ") {
            assert!(said.contains(text(&program)), "not whose: {output}");
        }
        assert!(!said.contains(&token), "the token is shown: {output}");
        assert_eq!((squatter.received(), squatter.connections()), (Vec::new(), 0), "{output}");
        assert_eq!(files(), before, "{output}");
    }
}

/// A port beside the base is needed as well, and is looked at by no command either.
#[test]
fn a_stranger_on_a_port_beside_the_base_is_left_alone() {
    let fleet = Fleet::of(&["a"]);
    fleet.run_once("a");
    let mut squatters = [2, 4].map(|it| Squatter::answering(fleet.port("a") + it, ANSWER));
    for words in [
        &["fleet", "ls"][..],
        &["fleet", "why", "a"],
        &["fleet", "start", "a"],
        &["--profile", "a", "health"],
        &["--profile", "a", "status"],
        &["fleet", "stop", "a"],
    ] {
        let _ = fleet.sandbox.run(words).success();
    }
    for squatter in &mut squatters {
        assert_eq!((squatter.received(), squatter.connections()), (Vec::new(), 0));
    }
}
