//! The dialect against a scripted server.

use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{OpenAiChat, Settings};
use crate::route::{self, Retry};
use crate::script::{KEY, STREAM, Script, all, error, question, whole};
use crate::{Delta, ErrorKind, ModelError, Provider, StopReason, ToolCall, Usage, vendors};

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn text(text: &str) -> Delta {
    Delta::Text(text.to_owned())
}

fn stop() -> Delta {
    Delta::Stop(StopReason::Stop)
}

/// What comes of a stream in these pieces; the error as its kind.
async fn check(pieces: &[&str], expected: &[Result<Delta, ErrorKind>]) {
    let script = Script::new().await;
    let (_, found) = tokio::join!(script.stream(pieces), all(script.provider().ask(question())));
    let found: Vec<_> = found.into_iter().map(|it| it.map_err(|it| it.kind)).collect();
    assert_eq!(found, expected, "{pieces:?}");
}

/// The error of an answer as it is.
async fn refused(answer: &str) -> ModelError {
    let script = Script::new().await;
    let (_, error) = tokio::join!(script.answer(&[answer]), error(script.provider().ask(question())));
    error
}

#[tokio::test]
async fn streams_come_out_however_they_are_split() {
    let happy = [HELLO, ": keep-alive\r\n\r\n", STOP, USAGE, DONE].concat();
    let usage = Delta::Usage(Usage { input: 5, output: 2 });
    let expected = [Ok(text("Hello")), Ok(usage.clone()), Ok(stop())];
    check(&[&happy], &expected).await;
    check(&happy.split_inclusive(['l', ':', '\n']).collect::<Vec<_>>(), &expected).await;
    check(&[HELLO, STOP], &[Ok(text("Hello")), Ok(stop())]).await;
    check(&[HELLO, DONE], &[Ok(text("Hello")), Ok(stop())]).await;
    check(&[HELLO, STOP, "data: [DONE]"], &[Ok(text("Hello")), Ok(stop())]).await;
    check(&[HELLO, DONE, HELLO], &[Ok(text("Hello")), Ok(stop())]).await;
}

#[tokio::test]
async fn streams_that_go_wrong_say_how_after_what_was_said() {
    check(&[], &[Err(ErrorKind::Cut)]).await;
    check(&[HELLO], &[Ok(text("Hello")), Err(ErrorKind::Cut)]).await;
    check(&[HELLO, "data: {\"choi\n\n", STOP], &[Ok(text("Hello")), Err(ErrorKind::Garbage)]).await;
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n";
    check(&[&[HELLO, error].concat()], &[Ok(text("Hello")), Err(ErrorKind::Server)]).await;
    check(&["event: error\ndata: it broke\n\n"], &[Err(ErrorKind::Server)]).await;
    let long = format!("data: {}", "x".repeat(crate::sse::LONGEST));
    check(&[HELLO, &long], &[Ok(text("Hello")), Err(ErrorKind::TooLarge)]).await;
}

#[tokio::test]
async fn a_call_split_over_chunks_comes_whole() {
    let pieces: Vec<_> = [
        json!({"role": "assistant", "content": null, "tool_calls": [
            {"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"path\":"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"a.txt\"}"}}]}),
    ]
    .iter()
    .map(|delta| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]})))
    .collect();
    let call = ToolCall { id: "c1".into(), name: "read".into(), arguments: "{\"path\":\"a.txt\"}".into() };
    let expected = [Ok(Delta::Call(call)), Ok(Delta::Stop(StopReason::ToolUse))];
    let text = format!("{}{STOP}{DONE}", pieces.concat());
    check(&[&text], &expected).await;
    check(&text.split_inclusive('"').collect::<Vec<_>>(), &expected).await;
    // Without its end the call does not come at all.
    check(&[&pieces.concat()], &[Err(ErrorKind::Cut)]).await;
}

#[tokio::test]
async fn asks_as_the_dialect_wants_it() {
    let script = Script::new().await;
    let (asked, _) = tokio::join!(script.stream(&[DONE]), all(script.provider().ask(question())));
    let (head, body) = asked.split_once("\r\n\r\n").expect("a request");
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {KEY}")), "{head}");
    assert!(head.contains("accept: text/event-stream") && head.contains("host: 127.0.0.1:"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["messages"], json!([{"role": "user", "content": "hello"}]));

    let keyless = OpenAiChat::new(Settings::new("fake", script.url(), None)).expect("a good URL");
    let (asked, _) = tokio::join!(script.stream(&[DONE]), all(keyless.ask(question())));
    assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
}

#[tokio::test]
async fn an_answer_in_one_piece_is_an_answer() {
    let script = Script::new().await;
    let function = json!({"name": "f", "arguments": "{}"});
    let body = json!({
        "choices": [{
            "message": {"content": "Hello", "tool_calls": [{"id": "c", "function": function}]},
            "finish_reason": "tool_calls",
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    });
    let answer = whole("200 OK", "content-type: application/json\r\n", &body.to_string());
    let (_, found) = tokio::join!(script.answer(&[&answer]), all(script.provider().ask(question())));
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let expected = [
        text("Hello"),
        Delta::Call(call),
        Delta::Usage(Usage { input: 1, output: 2 }),
        Delta::Stop(StopReason::ToolUse),
    ];
    assert_eq!(found, expected.map(Ok));

    let json = |body: &str| whole("200 OK", "content-type: application/json; charset=utf-8\r\n", body);
    assert_eq!(refused(&json("{}")).await.kind, ErrorKind::Garbage);
    assert_eq!(refused(&json("oops")).await.kind, ErrorKind::Garbage);
    assert_eq!(refused(&json("{\"error\":{\"message\":\"no\"}}")).await.words, "no");
    let page = whole("200 OK", "content-type: text/html\r\n", "<html>");
    assert_eq!(refused(&page).await.kind, ErrorKind::Garbage);
}

#[tokio::test]
async fn refusals_keep_the_words_and_never_the_key() {
    let body = json!({"error": {"message": format!("Incorrect key: {KEY}."), "code": "invalid_api_key"}});
    let error = refused(&whole("401 Unauthorized", "", &body.to_string())).await;
    assert_eq!((error.kind, error.status), (ErrorKind::Auth, Some(401)));
    assert_eq!(error.words, "Incorrect key: ***.");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");

    // Also where the cut would have gone through the key.
    let error = refused(&whole("400 Bad Request", "", &format!("{}{KEY}", "x".repeat(290)))).await;
    assert!(!error.words.contains("sk-") && error.words.len() <= 300, "{error:?}");

    let error = refused(&whole("429 Too Many", "retry-after: 7\r\n", "{\"error\":\"slow\"}")).await;
    assert_eq!((error.kind, error.retry_after), (ErrorKind::RateLimited, Some(Duration::from_secs(7))));
    let error = refused(&whole("302 Found", "location: https://evil.example/\r\n", "")).await;
    assert_eq!(error.kind, ErrorKind::Refused);
    let huge = whole("500 Oops", "", &"x".repeat(crate::http::LONGEST_ERROR * 2));
    assert_eq!(refused(&huge).await.kind, ErrorKind::Server);
}

#[tokio::test]
async fn no_answer_is_told_apart() {
    assert_eq!(refused("").await.kind, ErrorKind::Cut);
    assert_eq!(refused("SSH-2.0-OpenSSH_9.6\r\n").await.kind, ErrorKind::Cut);

    let script = Script::new().await;
    let (provider, url) = (script.provider(), script.url());
    drop(script);
    assert_eq!(error(provider.ask(question())).await.kind, ErrorKind::Unreachable);
    assert_eq!(provider.models().await.expect_err("nobody there").kind, ErrorKind::Unreachable);

    let secret = Secret::new("two\nlines");
    let provider = OpenAiChat::new(Settings::new("fake", url, secret)).expect("a good URL");
    assert_eq!(error(provider.ask(question())).await.kind, ErrorKind::Auth);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_unreachable() {
    let script = Script::new().await;
    let url = script.url().replace("http:", "https:");
    let provider = OpenAiChat::new(Settings::new("fake", url, None)).expect("a good URL");
    let serve = async {
        script.interrupt("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    };
    // Without root certificates the client does not even connect.
    let ended = tokio::select! {
        error = error(provider.ask(question())) => error,
        () = serve => unreachable!("it never ends"),
    };
    assert_eq!(ended.kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn silence_ends_by_the_clock_and_closes_the_connection() {
    let script = Script::new().await;
    let mut settings = script.settings();
    settings.idle = Duration::from_millis(40);
    settings.first_byte = Duration::from_millis(40);
    let provider = OpenAiChat::new(settings).expect("a good URL");
    for (pieces, expected) in [
        (vec![], vec![Err(ErrorKind::TimedOut)]),
        (vec![STREAM], vec![Err(ErrorKind::TimedOut)]),
        (vec![STREAM, HELLO], vec![Ok(text("Hello")), Err(ErrorKind::TimedOut)]),
        // Nothing that matters can follow.
        (vec![STREAM, HELLO, STOP], vec![Ok(text("Hello")), Ok(stop())]),
        (vec![STREAM, HELLO, STOP, DONE], vec![Ok(text("Hello")), Ok(stop())]),
    ] {
        let ((), found) = tokio::join!(script.hang(&pieces), all(provider.ask(question())));
        let found: Vec<_> = found.into_iter().map(|it| it.map_err(|it| it.kind)).collect();
        assert_eq!(found, expected, "{pieces:?}");
    }
}

#[tokio::test]
async fn a_connection_serves_again_after_a_whole_answer() {
    let script = Script::new().await;
    let body = [HELLO, STOP, DONE].concat();
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let provider = script.provider();
    let ask = async {
        for _ in 0..2 {
            assert_eq!(all(provider.ask(question())).await, [Ok(text("Hello")), Ok(stop())]);
        }
    };
    tokio::join!(script.answer_twice(&answer), ask);
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let script = Script::new().await;
    let provider = script.provider();
    let first = async {
        let mut stream = provider.ask(question());
        let first = stream.next().await.expect("a delta").expect("a success");
        drop(stream);
        first
    };
    let ((), first) = tokio::join!(script.hang(&[STREAM, HELLO]), first);
    assert_eq!(first, text("Hello"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_broken_one_three_times() {
    let script = Script::new().await;
    let provider: Arc<dyn Provider> = Arc::new(script.provider());
    let again = "retry-after-ms: 1\r\n";
    let busy = whole("429 Too Many Requests", again, "{\"error\":{\"message\":\"slow down\"}}");
    let server = async {
        script.answer(&[&busy]).await;
        script.stream(&[HELLO, STOP, DONE]).await;
    };
    let ask = || all(route::ask(Arc::clone(&provider), question(), Retry::default()));
    let ((), found) = tokio::join!(server, ask());
    assert_eq!(found, [Ok(text("Hello")), Ok(stop())]);

    let broken = whole("500 Internal Server Error", again, "{\"error\":\"oops\"}");
    let server = async {
        for _ in 0..3 {
            script.answer(&[&broken]).await;
        }
    };
    let ((), found) = tokio::join!(server, ask());
    let [Err(error)] = found.as_slice() else { panic!("one error, not {found:?}") };
    assert_eq!((error.kind, error.status, error.words.as_str()), (ErrorKind::Server, Some(500), "oops"));
}

#[tokio::test]
async fn probing_lists_the_models() {
    let script = Script::new().await;
    let list = whole("200 OK", "content-type: application/json\r\n", "{\"data\":[{\"id\":\"a\"}]}");
    let (asked, found) = tokio::join!(script.answer(&[&list]), vendors::probe(script.settings()));
    assert!(asked.starts_with("GET /v1/models HTTP/1.1\r\n"), "{asked}");
    assert_eq!(found.expect("a list")[0].id, "a");
    let denied = whole("401 Unauthorized", "", KEY);
    let (_, found) = tokio::join!(script.answer(&[&denied]), vendors::probe(script.settings()));
    let error = found.expect_err("denied");
    assert_eq!((error.kind, error.words.as_str()), (ErrorKind::Auth, "***"));
    let (_, found) =
        tokio::join!(script.answer(&[&whole("200 OK", "", "hello")]), vendors::probe(script.settings()));
    assert_eq!(found.expect_err("no list").kind, ErrorKind::Garbage);
}

#[test]
fn base_urls_are_checked_and_never_told() {
    for (url, problem) in [
        ("https://api.example.com/v1", None),
        (" http://127.0.0.1:8080/v1// ", None),
        ("api.example.com/v1", Some("is not")),
        ("/v1", Some("is not an absolute URL")),
        ("", Some("is not")),
        ("ftp://x/v1", Some("is neither http nor https")),
        ("https://me:hunter2@x/v1", Some("carries a user name")),
        ("https://x/v1?key=hunter2", Some("has a query")),
        ("https://x/v1#hunter2", Some("has a query")),
    ] {
        match (OpenAiChat::new(Settings::new("fake", url, None)), problem) {
            (Ok(_), None) => {}
            (Err(bad), Some(problem)) => {
                let words = bad.to_string();
                assert!(words.contains(problem) && !words.contains("hunter2"), "{url}: {words}");
            }
            (found, _) => panic!("{url}: {:?}", found.err()),
        }
    }
}
