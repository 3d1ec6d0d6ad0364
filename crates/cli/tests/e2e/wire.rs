//! The wire below the methods: frames, limits, scopes, names, and the plain HTTP beside it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::Wire;
use testkit::wire::connect_params;
use tungstenite::{Message, WebSocket};

use crate::scene::{MAIN, Scene, TOKEN, until};

/// How long one read of a bare socket may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn before_the_hello_nothing_but_a_connect_is_taken() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let check = |text: &str, code: u16, reason: &str| {
        let mut wire = Wire::open(port);
        wire.send_raw(text);
        let close = wire.closed();
        assert_eq!((close.code, close.reason.as_str()), (code, reason), "{:.40}", text);
    };
    for text in ["[]", "{}", "42", r#"{"type":"req"}"#, r#"{"type":"event","event":"x"}"#] {
        check(text, 1008, "invalid request frame");
    }
    check(r#"{"type":"req","id":"","method":"connect"}"#, 1008, "invalid request frame");
    for text in ["", "nonsense", "{\"type\": \"req\""] {
        check(text, 1000, "");
    }
    check(&"x".repeat(70_000), 1009, "preauth payload too large");
    check(&format!("{{\"a\": \"{}\"}}", "x".repeat(300_000)), 1009, "preauth payload too large");
    // And after all of that:
    scene.person().check_goes_on("main");
}

#[test]
fn a_request_may_follow_the_connect_at_once() {
    let scene = Scene::new();
    let mut wire = Wire::open(scene.gateway.port());
    let connect = wire.send("connect", connect_params(TOKEN));
    let health = wire.send("health", json!({}));
    assert_eq!(wire.response(&connect).expect("let in")["type"], "hello-ok");
    assert_eq!(wire.response(&health).expect("well")["ok"], true);
}

#[test]
fn after_the_hello_a_bad_frame_is_answered_and_the_connection_lives() {
    let scene = Scene::new();
    let mut person = scene.person();
    for (text, id) in [
        (r#"{"type":"req","id":"x1"}"#, "x1"),
        (r#"{"type":"req","id":7,"method":"health"}"#, "invalid"),
        (r#"{"type":"nope","id":"x2","method":"health"}"#, "x2"),
        ("[1, 2]", "invalid"),
    ] {
        person.wire.send_raw(text);
        let answer = person.wire.response_frame(id);
        assert_eq!(
            (&answer["ok"], &answer["error"]["code"]),
            (&json!(false), &json!("INVALID_REQUEST")),
            "{text}"
        );
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("invalid request frame: "), "{answer}");
    }
    for text in ["nonsense", "{\"type\":", ""] {
        person.wire.send_raw(text);
    }
    // The next frame of all is the answer to this one.
    let id = person.wire.send("health", json!({}));
    assert_eq!(person.wire.frame()["id"], id);
}

#[test]
fn bad_params_are_told_by_their_place() {
    let scene = Scene::new();
    let mut person = scene.person();
    let send = |key: &str, value: Value| {
        let mut params = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "k"});
        params[key] = value;
        params
    };
    for (method, params, message) in [
        ("chat.send", send("message", json!(5)), "invalid chat.send params: at /message: invalid type"),
        ("chat.send", json!({"sessionKey": "main"}), "invalid chat.send params: missing field `message`"),
        ("chat.send", json!(null), "invalid chat.send params: missing field `sessionKey`"),
        ("chat.send", json!("text"), "invalid chat.send params: invalid type"),
        ("chat.send", send("message", json!("  ")), "the message is empty"),
        ("chat.send", send("idempotencyKey", json!("")), "idempotencyKey must have 1 to 256 bytes"),
        ("chat.send", send("sessionKey", json!("agent::x")), "bad sessionKey: after \"agent:\""),
        (
            "chat.send",
            send("attachments", json!([{}])),
            "invalid chat.send params: at /attachments/0: has no content",
        ),
        (
            "chat.history",
            json!({"sessionKey": "main", "limit": "all"}),
            "invalid chat.history params: at /limit: ",
        ),
        (
            "agent",
            json!({"message": "x", "idempotencyKey": "k", "sessionId": "../x"}),
            "sessionId: use 1 to 128",
        ),
    ] {
        let error = person.wire.request(method, params).expect_err("it must be refused");
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
        assert!(error["message"].as_str().is_some_and(|it| it.starts_with(message)), "{message}: {error}");
    }
    assert_eq!(scene.model.requests().len(), 0);
    person.check_goes_on("main");
}

#[test]
fn without_a_scope_there_is_health_and_nothing_else() {
    let scene = Scene::new();
    let connect = || scene.person_with(|it| it["scopes"] = json!([]));
    let mut nobody = connect();
    assert_eq!(nobody.wire.hello()["auth"]["scopes"], json!([]));
    nobody.wire.request("health", json!({})).expect("health needs no scope");
    let methods = nobody.wire.hello()["features"]["methods"].as_array().expect("a list").clone();
    assert!(methods.len() >= 10, "{methods:?}");
    for method in methods.iter().filter_map(Value::as_str).filter(|it| *it != "health") {
        // A connection that asks for too much that is not its own is closed: each asks once.
        let error = connect().wire.request(method, json!({})).expect_err(method);
        if error["message"] == "unauthorized role: operator" {
            continue;
        }
        let scope = error["details"]["missingScope"].as_str().expect("a scope").to_owned();
        assert!(scope.starts_with("operator."), "{method}: {error}");
        let details = json!({"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]});
        let expected =
            json!({"code": "FORBIDDEN", "message": format!("missing scope: {scope}"), "details": details});
        assert_eq!(error, expected, "{method}");
    }
    let unknown = nobody.wire.request("nope.method", json!({})).expect_err("there is none");
    assert_eq!(
        (&unknown["code"], &unknown["message"]),
        (&json!("FORBIDDEN"), &json!("missing scope: operator.admin"))
    );
    let unknown = scene.person().wire.request("nope.method", json!({})).expect_err("there is none");
    assert_eq!(unknown, json!({"code": "INVALID_REQUEST", "message": "unknown method: nope.method"}));

    let mut reader = scene.person_with(|it| it["scopes"] = json!(["operator.read", "root", "*"]));
    assert_eq!(reader.history("main"), [""; 0]);
    let send = json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "k"});
    let error = reader.wire.request("chat.send", send).expect_err("it may only read");
    assert_eq!(error["details"]["missingScope"], "operator.write");
    let mut writer = scene.person_with(|it| it["scopes"] = json!(["operator.write"]));
    writer.check_goes_on("main");
    assert_eq!(scene.model.requests().len(), 1);
}

#[test]
fn foreign_names_are_refused_before_any_secret_is_looked_at() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let check = |name: &str, value: &str, status: u16| {
        let upgraded = Wire::try_open(port, &[(name, value)]).map_or_else(|it| it.status, |_| 101);
        assert_eq!(upgraded, if status == 200 { 101 } else { status }, "{name}: {value}");
        let host = if name == "Host" { value } else { &own[0] };
        let more = if name == "Host" { String::new() } else { format!("{name}: {value}\r\n") };
        assert_eq!(get(port, host, "/healthz", &more).0, status, "{name}: {value}");
    };
    for host in &own {
        check("Host", host, 200);
        check("Origin", &format!("http://{host}"), 200);
    }
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", &format!("evil.example:{port}")] {
        check("Host", host, 421);
    }
    let neighbour = format!("http://127.0.0.1:{}", port + 20);
    for origin in ["http://evil.example", &neighbour, "null", "file://", &format!("https://127.0.0.1:{port}")]
    {
        check("Origin", origin, 403);
    }
}

#[test]
fn the_probes_answer_everybody_and_tell_nothing() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    for path in ["/health", "/healthz"] {
        assert_eq!(get(port, &host, path, ""), (200, r#"{"ok":true,"status":"live"}"#.to_owned()));
    }
    for path in ["/ready", "/readyz"] {
        assert_eq!(get(port, &host, path, ""), (200, r#"{"ready":true,"ok":true,"failing":0}"#.to_owned()));
    }
    for path in ["/../../etc/passwd", "/openclaw.json", "/%2e%2e/openclaw.json"] {
        let (status, body) = get(port, &host, path, "");
        assert!(status == 404 && !body.contains(TOKEN), "{path}: {status} {body}");
    }
}

#[test]
fn the_lobby_has_room_for_thirty_two() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let mut waiting: Vec<Wire> = (0..32).map(|_| Wire::open(port)).collect();
    let full = Wire::try_open(port, &[]).expect_err("there is no room");
    assert_eq!(full.status, 503, "{}", full.body);
    // Who has said hello is no longer in the lobby.
    let let_in = waiting.pop().expect("32").handshake(connect_params(TOKEN)).expect("let in");
    let last = until("there is no room again", || Wire::try_open(port, &[]).ok());
    assert_eq!(Wire::try_open(port, &[]).expect_err("full again").status, 503);
    waiting.pop().expect("31").close();
    until("there is no room again", || Wire::try_open(port, &[]).ok());
    drop((let_in, last));
}

#[test]
fn pings_are_answered_and_binary_frames_end_the_connection() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let (mut socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream).expect("upgraded");
    socket.send(Message::Ping("before".into())).expect("open");
    wait_pong(&mut socket, "before");
    connect(&mut socket, connect_params(TOKEN));
    socket.send(Message::Ping("after".into())).expect("open");
    wait_pong(&mut socket, "after");
    socket.send(Message::Binary(vec![1, 2, 3].into())).expect("open");
    let close = loop {
        match socket.read().expect("a close") {
            Message::Close(frame) => break frame.expect("a reason"),
            _ => continue,
        }
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1003, "only text frames are understood"));
}

#[test]
fn the_owner_needs_no_token_on_the_control_socket() {
    let scene = Scene::new();
    let path = scene.state().join("control.sock");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let (mut socket, _) = tungstenite::client("ws://localhost/", stream).expect("upgraded");
    let mut params = connect_params(TOKEN);
    params.as_object_mut().expect("an object").remove("auth");
    let hello = connect(&mut socket, params);
    assert_eq!((&hello["auth"]["method"], &hello["server"]["instance"]), (&json!("local"), &json!(MAIN)));
    let request = json!({"type": "req", "id": "s", "method": "status"});
    socket.send(Message::text(request.to_string())).expect("open");
    assert_eq!(next(&mut socket)["payload"]["instance"]["name"], MAIN);
}

/// Says hello on a bare socket, and returns the answer.
#[track_caller]
fn connect<S: Read + Write>(socket: &mut WebSocket<S>, params: Value) -> Value {
    let request = json!({"type": "req", "id": "c", "method": "connect", "params": params});
    socket.send(Message::text(request.to_string())).expect("open");
    loop {
        let frame = next(socket);
        if frame["id"] == "c" {
            assert_eq!(frame["ok"], true, "{frame}");
            return frame["payload"].clone();
        }
    }
}

#[track_caller]
fn next<S: Read + Write>(socket: &mut WebSocket<S>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().expect("a frame") {
            return serde_json::from_str(&text).expect("JSON");
        }
    }
}

#[track_caller]
fn wait_pong<S: Read + Write>(socket: &mut WebSocket<S>, wanted: &str) {
    loop {
        match socket.read().expect("a pong") {
            Message::Pong(bytes) => break assert_eq!(&bytes[..], wanted.as_bytes()),
            _ => continue,
        }
    }
}

/// Status and body of a plain request.
#[track_caller]
fn get(port: u16, host: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}
