//! Sockets that a supervisor has opened: taken over where they fit, refused by name where they do not.

use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Gateway, Output, ScriptedModel, activator, free_base};

use crate::knock::{dial, get};
use crate::scene::{MAIN, configure, until};
use crate::support::{check_advised, sandbox};

#[test]
fn activation_serves_the_sockets_that_were_passed() {
    let sandbox = sandbox();
    let (base, model) = (free_base(), ScriptedModel::start());
    let port = base.port();
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["port"] = json!(port);
        it["gateway"]["reload"] = json!({"debounceMs": 20});
    });
    let control = sandbox.state(Some(MAIN)).join("control.sock");
    let control = control.to_str().expect("Unicode");
    let run = sandbox.command(&["--profile", MAIN, "gateway", "run"]);
    // Not [::1], which the gateway would open itself.
    let sockets = [format!("tcp:127.0.0.1:{port}"), format!("unix:{control}")];
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    let mut gateway = Gateway::start(activator::passing(&sockets, &run), port);
    let listening = || {
        let status = sandbox.run(&["--profile", MAIN, "status", "--json"]).success().json();
        assert_eq!(status["gateway"]["reachable"], true, "{status:#}");
        status["listening"].clone()
    };
    let expected = json!([format!("127.0.0.1:{port}")]);
    assert_eq!((&listening()["addresses"], &listening()["isPassed"]), (&expected, &json!(true)));
    let host = format!("127.0.0.1:{port}");
    assert_eq!(get(dial(Ipv4Addr::LOCALHOST.into(), port), &host, ""), 200);

    // What it starts by itself is not passed on, and no descriptor of it either.
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("it runs");
    for it in open.flatten() {
        let name = it.file_name();
        let number = name.to_str().expect("a number");
        let about = std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", gateway.pid()));
        let flags = about.ok().and_then(|it| {
            let line = it.lines().find_map(|it| it.strip_prefix("flags:"))?.trim().to_owned();
            u32::from_str_radix(&line, 8).ok()
        });
        let Some(flags) = flags.filter(|_| number.parse::<u32>().is_ok_and(|it| it > 2)) else { continue };
        let leads = std::fs::read_link(it.path()).unwrap_or_default();
        let is_socket = leads.to_string_lossy().starts_with("socket:");
        assert!(!is_socket || flags & 0o2_000_000 != 0, "socket {number} goes on to every child");
    }

    // A restart within the process takes them over again.
    configure(&sandbox, MAIN, &model.base_url(), |it| {
        it["gateway"]["port"] = json!(port);
        it["gateway"]["customBindHost"] = json!("127.0.0.1");
        it["gateway"]["reload"] = json!({"debounceMs": 20});
    });
    until("it never began again", || {
        (gateway.log().matches("listening on ws://").count() == 2).then_some(())
    });
    assert_eq!(listening()["isPassed"], true);
    assert_eq!(get(dial(Ipv4Addr::LOCALHOST.into(), port), &host, ""), 200);
    assert_eq!(gateway.stop(), 0);
    assert!(std::path::Path::new(control).exists(), "the control socket is the supervisor's");
}

#[test]
fn activation_by_what_does_not_fit_is_refused() {
    let sandbox = sandbox();
    let (base, model) = (free_base(), ScriptedModel::start());
    let port = base.port();
    configure(&sandbox, MAIN, &model.base_url(), |it| it["gateway"]["port"] = json!(port));
    let run = sandbox.command(&["--profile", MAIN, "gateway", "run"]);
    let check = |sockets: &[&str], words: &[&str]| {
        let words = [&["instance main"], words].concat();
        check_advised(Output::of(activator::passing(sockets, &run)), 78, &words);
    };
    let (right, wrong) = (format!("tcp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{}", port + 1));
    let told = (format!("127.0.0.1:{}", port + 1), format!("port is {port}"));
    check(&[&wrong], &[&told.0, &told.1]);
    check(&[&right, &wrong], &[&told.0]);
    check(&[&format!("tcp:0.0.0.0:{port}")], &["0.0.0.0", "gateway.bind \"loopback\""]);
    check(&[&format!("udp:127.0.0.1:{port}")], &["descriptor 3", "another type"]);
    check(&["/dev/null"], &["descriptor 3", "no socket"]);
    check(&[&right, "/dev/null"], &["descriptor 4", "no socket"]);
    let elsewhere = format!("unix:{}", sandbox.path().join("x.sock").display());
    check(&[&right, &elsewhere], &["x.sock", "control.sock"]);
}

#[test]
fn activation_of_another_process_is_nothing_to_us() {
    let sandbox = sandbox();
    let (base, model) = (free_base(), ScriptedModel::start());
    configure(&sandbox, MAIN, &model.base_url(), |_| {});
    let port = base.port().to_string();
    let mut command: Command = sandbox.command(&["--profile", MAIN, "gateway", "run", "--port", &port]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let gateway = Gateway::start(command, base.port());
    let status: Value = sandbox.run(&["--profile", MAIN, "status", "--json"]).success().json();
    assert_eq!(status["listening"]["isPassed"], false, "{status:#}");
    drop(gateway);
}
