//! The client against a server that does as told.

use std::net::TcpListener;
use std::thread;

use tungstenite::protocol::CloseFrame;

use super::*;

/// A server for one connection that sends the challenge and then does as told.
fn serve(then: impl FnOnce(&mut WebSocket<TcpStream>) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        let stream = listener.accept().expect("a connection").0;
        let mut socket = tungstenite::accept(stream).expect("a WebSocket");
        say(&mut socket, json!({"type": "event", "event": "connect.challenge", "payload": {}}));
        then(&mut socket);
    });
    port
}

fn say(socket: &mut WebSocket<TcpStream>, frame: Value) {
    socket.send(Message::text(frame.to_string())).expect("the client reads");
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    let text = socket.read().expect("a frame").into_text().expect("text");
    serde_json::from_str(&text).expect("JSON")
}

fn welcome(socket: &mut WebSocket<TcpStream>) {
    let id = hear(socket)["id"].clone();
    say(socket, json!({"type": "res", "id": id, "ok": true, "payload": {"type": "hello-ok", "protocol": 4}}));
}

#[test]
fn keeps_what_comes_between_and_finds_both_responses() {
    let port = serve(|socket| {
        welcome(socket);
        let id = hear(socket)["id"].clone();
        say(socket, json!({"type": "event", "event": "a", "payload": 1}));
        say(socket, json!({"type": "res", "id": id, "ok": true, "payload": "accepted"}));
        say(socket, json!({"type": "event", "event": "b", "payload": 2}));
        say(socket, json!({"type": "res", "id": id, "ok": false, "error": {"code": "X"}}));
    });
    let mut wire = Wire::connect(port, "secret");
    assert_eq!(wire.hello()["protocol"], 4);
    let id = wire.send("agent", json!({}));
    assert_eq!(wire.response(&id), Ok(json!("accepted")));
    assert_eq!(wire.next_event(|it| it["event"] == "b")["payload"], 2);
    assert_eq!(wire.response(&id), Err(json!({"code": "X"})));
    assert_eq!(wire.take_events().len(), 1);
}

#[test]
fn a_refusal_carries_the_error_and_the_close() {
    let port = serve(|socket| {
        let id = hear(socket)["id"].clone();
        say(socket, json!({"type": "res", "id": id, "ok": false, "error": {"code": "INVALID_REQUEST"}}));
        socket.close(Some(CloseFrame { code: 1008.into(), reason: "no".into() })).expect("open");
        while socket.read().is_ok() {}
    });
    let refusal = Wire::try_connect(port, connect_params("bad")).expect_err("it refuses");
    assert_eq!(refusal.error["code"], "INVALID_REQUEST");
    assert_eq!(refusal.close, Close { code: 1008, reason: "no".into() });
}

#[test]
#[should_panic(expected = "the event that is waited for did not come in 10ms; 3 frames came")]
fn a_missing_event_fails_with_what_came() {
    let port = serve(|socket| {
        welcome(socket);
        say(socket, json!({"type": "event", "event": "tick", "payload": {}}));
        hear(socket);
    });
    let mut wire = Wire::connect(port, "secret");
    assert_eq!(wire.next_event(|it| it["event"] == "tick")["event"], "tick");
    wire.patience(Duration::from_millis(10));
    wire.next_event(|it| it["event"] == "chat");
}
