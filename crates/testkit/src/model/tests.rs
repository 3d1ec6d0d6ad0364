//! The scripted model as a client sees it, by raw HTTP.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use serde_json::json;

use super::*;

fn connect(model: &ScriptedModel) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, model.port())).expect("it listens")
}

fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
}

/// One request on a connection of its own; all that came back.
fn ask(model: &ScriptedModel, body: &Value) -> String {
    let mut stream = connect(model);
    send(&mut stream, "POST", "/v1/chat/completions", "connection: close\r\n", &body.to_string());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8(answer).expect("text")
}

fn user(text: &str, stream: bool) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": stream})
}

/// The `data:` lines of a stream.
fn events(answer: &str) -> Vec<Value> {
    let lines = answer.lines().filter_map(|it| it.strip_prefix("data: "));
    lines.map(|it| serde_json::from_str(it).unwrap_or_else(|_| json!(it))).collect()
}

fn streamed_text(answer: &str) -> String {
    events(answer).iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect()
}

fn remove(body: &mut Value, name: &str) {
    body.as_object_mut().expect("an object").remove(name);
}

/// Sends a good request with `change` made to it; it must be refused in these words.
#[track_caller]
fn check(status: u16, words: &str, change: impl FnOnce(&mut Value)) {
    let model = ScriptedModel::start();
    let mut body = json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "exec", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "done"},
            {"role": "user", "content": "and now?"},
        ],
        "tools": [{"type": "function", "function": {"name": "exec", "description": "runs",
            "parameters": {"type": "object", "properties": {}}}}],
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let good = ask(&model, &body);
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
    assert!(model.refusals().is_empty());
    change(&mut body);
    let answer = ask(&model, &body);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words), "{answer}");
    assert_eq!(model.refusals().len(), 1);
}

#[test]
fn refuses_what_the_real_one_refuses() {
    check(400, "Unknown parameter: 'thinking'.", |it| it["thinking"] = json!(true));
    check(400, "you must provide a model parameter", |it| remove(it, "model"));
    check(404, "\"code\":\"model_not_found\"", |it| it["model"] = json!("gpt-9"));
    check(400, "Missing required parameter: 'messages'.", |it| remove(it, "messages"));
    check(400, "Invalid 'messages': empty array.", |it| it["messages"] = json!([]));
    check(400, "Invalid value: 'robot'.", |it| it["messages"][4]["role"] = json!("robot"));
    check(400, "Unknown parameter: 'messages[4].ts'.", |it| it["messages"][4]["ts"] = json!(1));
    check(400, "expected a string, got null", |it| it["messages"][4]["content"] = json!(null));
    check(400, "did not have response messages: a", |it| {
        it["messages"][3] = json!({"role": "user", "content": "x"})
    });
    check(400, "must be a response to a preceeding message", |it| {
        it["messages"][3]["tool_call_id"] = json!("b")
    });
    check(400, "Invalid type for 'stream'", |it| it["stream"] = json!("yes"));
    check(400, "only allowed when 'stream' is enabled", |it| it["stream"] = json!(false));
    check(400, "Invalid 'tools': empty array.", |it| it["tools"] = json!([]));
    check(400, "does not match pattern", |it| it["tools"][0]["function"]["name"] = json!("a.b"));
    check(400, "string too long", |it| it["tools"][0]["function"]["name"] = json!("a".repeat(65)));
    check(400, "Invalid schema for function 'exec'", |it| {
        it["tools"][0]["function"]["parameters"] = json!({"type": "string"});
    });
    check(400, "Missing required parameter: 'tools[0].function'.", |it| {
        it["tools"][0] = json!({"type": "function"});
    });
    check(400, "decimal above maximum value", |it| it["temperature"] = json!(3));
}

#[test]
fn refuses_by_method_path_type_and_key() {
    let model = ScriptedModel::start().key("sk-right");
    for (method, path, headers, status, words) in [
        ("GET", "/v1/models", "authorization: Bearer sk-right\r\n", 200, "\"id\":\"scripted-1\""),
        ("GET", "/v1/models", "", 401, "You didn't provide an API key."),
        (
            "POST",
            "/v1/chat/completions",
            "authorization: Bearer sk-wrong\r\n",
            401,
            "Incorrect API key provided",
        ),
        ("GET", "/v1/chat/completions", "authorization: Bearer sk-right\r\n", 405, "Not allowed to GET"),
        ("POST", "/chat/completions", "authorization: Bearer sk-right\r\n", 404, "Invalid URL"),
    ] {
        let mut stream = connect(&model);
        send(&mut stream, method, path, &format!("connection: close\r\n{headers}"), "{}");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words), "{answer}");
    }
    assert_eq!(model.requests().len(), 5);
}

#[test]
fn streams_text_calls_and_usage_as_scripted() {
    let model = ScriptedModel::start();
    model.on("run", Script::new().text("wait").call("exec", json!({"command": "true"})));
    model.on_tool_result("fine", Script::new().text("all is well"));
    let mut body = user("please run it", true);
    body["stream_options"] = json!({"include_usage": true});
    let answer = ask(&model, &body);
    assert_eq!(streamed_text(&answer), "wait");
    let events = events(&answer);
    let fragments = events
        .iter()
        .filter_map(|it| it["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
    assert_eq!(fragments.collect::<String>(), "{\"command\":\"true\"}");
    assert!(events.iter().any(|it| it["choices"][0]["finish_reason"] == "tool_calls"));
    assert!(events[events.len() - 2]["usage"]["total_tokens"].as_u64() > Some(0));
    assert_eq!(events[events.len() - 1], "[DONE]");

    let call = json!({"id": "call_1", "type": "function", "function": {"name": "exec", "arguments": "{}"}});
    let mut messages =
        vec![json!({"role": "user", "content": "run"}), json!({"role": "assistant", "tool_calls": [call]})];
    messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": "fine"}));
    assert!(
        ask(&model, &json!({"model": MODEL, "messages": messages})).contains("\"content\":\"all is well\"")
    );
    messages[2]["content"] = json!("hm");
    assert!(ask(&model, &json!({"model": MODEL, "messages": messages})).contains("tool said: hm"));
}

#[test]
fn a_sequence_goes_on_and_its_last_stays() {
    let model = ScriptedModel::start();
    let sequence = Script::new().status(429).retry_after("1").times(2).then(Script::new().text("ok"));
    model.otherwise(sequence);
    let statuses: Vec<bool> =
        (0..4).map(|_| ask(&model, &user("hi", true)).starts_with("HTTP/1.1 200")).collect();
    assert_eq!(statuses, [false, false, true, true]);
    let limited = ScriptedModel::start();
    limited.otherwise(Script::new().status(429).retry_after("7").error("insufficient_quota", "pay"));
    let answer = ask(&limited, &user("hi", false));
    assert!(answer.contains("retry-after: 7\r\n") && answer.contains("insufficient_quota"), "{answer}");
}

#[test]
fn gates_hold_a_stream_and_a_client_that_leaves_is_counted() {
    let model = ScriptedModel::start();
    model.on("gate", Script::new().text("one").pieces(1).wait("g").text("two").pieces(1));
    let mut stream = connect(&model);
    send(
        &mut stream,
        "POST",
        "/v1/chat/completions",
        "connection: close\r\n",
        &user("gate", true).to_string(),
    );
    model.reached("g");
    let second = connect(&model);
    let mut leaving = second.try_clone().expect("a socket");
    send(&mut leaving, "POST", "/v1/chat/completions", "", &user("gate", true).to_string());
    model.reached("g");
    drop((second, leaving));
    model.wait_disconnect();
    model.open("g");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert_eq!(streamed_text(&answer), "onetwo");
    assert_eq!((model.disconnects(), model.requests().len()), (1, 2));
}

#[test]
fn breaks_in_every_way_that_is_asked_for() {
    let model = ScriptedModel::start();
    model.on("cut", Script::new().text("abcd").cut_after(2));
    model.on("garbage", Script::new().text("a").garbage());
    model.on("reset", Script::new().reset());
    model.on("hang", Script::new().hang());
    model.on("slow", Script::new().text("ab").pieces(2).pace(Duration::from_millis(1)));
    let cut = ask(&model, &user("cut", true));
    assert_eq!(streamed_text(&cut), "ab");
    assert!(!cut.contains("DONE") && !cut.ends_with("0\r\n\r\n"), "{cut}");
    assert!(ask(&model, &user("garbage", true)).contains("data: {\"choices\": [oops\n"));
    assert_eq!(streamed_text(&ask(&model, &user("slow", true))), "ab");

    let mut stream = connect(&model);
    send(&mut stream, "POST", "/v1/chat/completions", "", &user("reset", true).to_string());
    let error = stream.read(&mut [0; 9]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let mut stream = connect(&model);
    send(&mut stream, "POST", "/v1/chat/completions", "", &user("hang", true).to_string());
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("the head comes");
    assert_eq!(model.disconnects(), 0);
    drop(stream);
    model.wait_disconnect();
}

#[test]
fn one_connection_serves_many_requests_and_the_server_ends_it() {
    let model = ScriptedModel::start();
    let mut stream = connect(&model);
    for n in 1..=3 {
        send(&mut stream, "GET", "/v1/models?limit=5", "", "");
        let mut answer = String::new();
        while !answer.ends_with("]}") {
            let mut piece = [0; 4096];
            let n_read = stream.read(&mut piece).expect("it answers");
            assert!(n_read > 0, "the connection is kept");
            answer.push_str(std::str::from_utf8(&piece[..n_read]).expect("text"));
        }
        assert_eq!(model.wait_requests(n).len(), n);
    }
    drop(model);
    assert_eq!(stream.read(&mut [0; 9]).expect("the end comes in order"), 0);
}
