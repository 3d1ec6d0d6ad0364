//! Forwarding headers: believed from a trusted proxy, and from nobody else.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use testkit::wire::connect_params;
use testkit::{Output, Wire};

use crate::knock::{dial_from, upgrade};
use crate::scene::{Scene, TOKEN};

/// The code of a refused attempt with a wrong token, from somebody who is said to be at `client`.
#[track_caller]
fn attempt(scene: &Scene, headers: &[(&str, &str)], token: &str) -> String {
    let wire = Wire::open_with(scene.gateway.port(), headers);
    match wire.handshake(connect_params(token)) {
        Ok(_) => "let in".to_owned(),
        Err(refused) => refused.error["details"]["code"].as_str().unwrap_or_default().to_owned(),
    }
}

fn unbelieved(scene: &Scene) -> Value {
    let status = Output::of(scene.command(&["status", "--json"])).success().json();
    status["listening"]["unbelievedForwards"].clone()
}

#[test]
fn proxies_that_nobody_trusts_give_their_clients_no_other_address() {
    let scene = Scene::new();
    // A new address each time would be a new beginning each time.
    for at in 0..10 {
        let client = format!("203.0.113.{at}");
        for (name, value) in
            [("X-Forwarded-For", client.as_str()), ("X-Real-IP", "1.2.3.4")].into_iter().take(1)
        {
            assert_eq!(attempt(&scene, &[(name, value)], "wrong"), "AUTH_TOKEN_MISMATCH");
        }
    }
    let headers =
        [("X-Forwarded-For", "203.0.113.99"), ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "1.1.1.1")];
    assert_eq!(attempt(&scene, &headers, TOKEN), "AUTH_RATE_LIMITED");
    assert_eq!(attempt(&scene, &[], TOKEN), "AUTH_RATE_LIMITED", "their own address is the one that counts");
    assert_eq!(unbelieved(&scene), 11);
    let log = scene.gateway.log();
    assert_eq!(log.matches("forwarding headers are not believed").count(), 1, "{log}");
    assert!(log.contains("gateway.trustedProxies"), "{log}");
}

#[test]
fn proxies_that_are_trusted_speak_for_each_of_their_clients() {
    let scene = Scene::with(|it| it["gateway"]["trustedProxies"] = json!(["127.0.0.1", "10.0.0.0/8"]));
    let by = |client: &'static str| [("X-Forwarded-For", client)];
    for _ in 0..10 {
        // What the client wrote itself stands before what the proxy has seen.
        assert_eq!(
            attempt(&scene, &by("198.51.100.1, 203.0.113.7, 10.1.2.3"), "wrong"),
            "AUTH_TOKEN_MISMATCH"
        );
    }
    assert_eq!(attempt(&scene, &by("203.0.113.7"), TOKEN), "AUTH_RATE_LIMITED");
    assert_eq!(attempt(&scene, &by("::ffff:203.0.113.7"), TOKEN), "AUTH_RATE_LIMITED");
    assert_eq!(attempt(&scene, &by("203.0.113.8"), TOKEN), "let in");
    assert_eq!(attempt(&scene, &by("198.51.100.1"), TOKEN), "let in");
    assert_eq!(attempt(&scene, &[], TOKEN), "let in");
    assert_eq!(unbelieved(&scene), 0);
    // Who says nothing that counts is the proxy itself.
    assert_eq!(attempt(&scene, &by("127.0.0.1"), TOKEN), "let in");
    assert_eq!(attempt(&scene, &[("X-Real-IP", "203.0.113.7")], TOKEN), "let in");
    assert_eq!(unbelieved(&scene), 2);
}

#[test]
fn proxies_have_a_lobby_for_each_of_their_clients() {
    let scene = Scene::with(|it| it["gateway"]["trustedProxies"] = json!(["127.0.0.1"]));
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let knock = |from: Ipv4Addr, client: &str| {
        let mut stream = dial_from(from, port).expect("it listens");
        let got = upgrade(&mut stream, &host, &format!("X-Forwarded-For: {client}\r\n"));
        (got, stream)
    };
    let mut waiting: Vec<_> = (0..32).map(|_| knock(Ipv4Addr::LOCALHOST, "203.0.113.7")).collect();
    assert!(waiting.iter().all(|(got, _)| *got == 101));
    assert_eq!(knock(Ipv4Addr::LOCALHOST, "203.0.113.7").0, 503);
    waiting.push(knock(Ipv4Addr::LOCALHOST, "203.0.113.8"));
    // Another address of the same machine is no trusted proxy: all that it brings is itself.
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    waiting.extend((0..32).map(|at| knock(stranger, &format!("198.51.100.{at}"))));
    assert!(waiting.iter().all(|(got, _)| *got == 101));
    assert_eq!(knock(stranger, "198.51.100.200").0, 503);
}
