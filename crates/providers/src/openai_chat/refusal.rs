//! What a provider says when it will not answer, and what that means.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;

use crate::ErrorKind;

/// What servers say when the conversation does not fit, in lower case.
const TOO_LONG: &[&str] = &[
    "available context size",
    "context length",
    "context window",
    "context_length",
    "context_window",
    "exceed_context_size",
    "exceeds the maximum number of tokens",
    "input is too long",
    "maximum context",
    "prompt is too long",
    "prompt too long",
    "reduce the length of the messages",
    "too many tokens",
];

/// A refusal, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) retry_after: Option<Duration>,
    /// The status that an error inside a stream names.
    pub(super) status: Option<u16>,
    pub(super) words: String,
}

/// Reads an answer whose status is no success.
pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let mut said = match serde_json::from_slice::<Value>(body) {
        Ok(value) => Said::of(&value),
        Err(_) => Said { words: String::from_utf8_lossy(body).trim().to_owned(), code: String::new() },
    };
    if said.words.is_empty() || said.words.starts_with('<') {
        // An HTML page tells a person nothing in one line.
        said.words = status.canonical_reason().unwrap_or("no reason given").to_owned();
    }
    if status.is_redirection() {
        let to = headers.get(LOCATION).and_then(|it| it.to_str().ok()).unwrap_or("nowhere");
        said.words =
            format!("it redirects to {to}, which is not followed; set that as the base URL if it is right");
    }
    let kind = said.kind(status.as_u16());
    let retry_after = retry_after(headers);
    Refusal { kind, retry_after, status: Some(status.as_u16()), words: said.words }
}

/// Reads the `error` that came inside an answer whose status was a success.
pub(super) fn of_event(value: &Value) -> Refusal {
    let said = Said::of(value);
    let status =
        said.code.split(' ').find_map(|it| it.parse::<u16>().ok()).filter(|it| (400..600).contains(it));
    let kind = match status {
        Some(status) => said.kind(status),
        None if said.is_too_long() => ErrorKind::ContextLength,
        None if said.code.contains("rate_limit") => ErrorKind::RateLimited,
        None if said.code.contains("auth") || said.code.contains("api_key") => ErrorKind::Auth,
        None if said.code.contains("invalid_request") || said.is_out_of_money() => ErrorKind::Refused,
        None => ErrorKind::Server,
    };
    Refusal { kind, retry_after: None, status, words: said.words }
}

/// What was said, wherever in the body it stood.
struct Said {
    words: String,
    /// `code` and `type`, in lower case, separated by a space.
    code: String,
}

impl Said {
    fn of(value: &Value) -> Self {
        // Google wraps the object into a list.
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|it| !it.is_null()).unwrap_or(value);
        let words = match error {
            Value::String(text) => text.clone(),
            _ => ["message", "detail", "error"]
                .iter()
                .find_map(|name| error.get(name).or_else(|| value.get(name)).and_then(Value::as_str))
                .map_or_else(|| error.to_string(), str::to_owned),
        };
        let code = ["code", "type", "status"].iter().filter_map(|name| match error.get(name)? {
            Value::String(text) => Some(text.to_lowercase()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Self { words, code: code.collect::<Vec<_>>().join(" ") }
    }

    fn kind(&self, status: u16) -> ErrorKind {
        match status {
            401 => ErrorKind::Auth,
            429 if self.is_out_of_money() => ErrorKind::Refused,
            429 => ErrorKind::RateLimited,
            400..=599 if self.is_too_long() => ErrorKind::ContextLength,
            403 => ErrorKind::Auth,
            // Google and xAI answer 400 to a wrong key.
            400 if self.words.to_lowercase().contains("api key") => ErrorKind::Auth,
            408 => ErrorKind::TimedOut,
            413 => ErrorKind::TooLarge,
            500..=599 => ErrorKind::Server,
            300..=499 => ErrorKind::Refused,
            _ => ErrorKind::Garbage,
        }
    }

    fn is_too_long(&self) -> bool {
        let words = self.words.to_lowercase();
        TOO_LONG.iter().any(|it| words.contains(it) || self.code.contains(it))
    }

    /// An empty account answers 429 like a busy one, and no waiting helps.
    fn is_out_of_money(&self) -> bool {
        self.code.contains("insufficient_quota")
    }
}

/// How long to wait: `retry-after-ms`, or `retry-after` in seconds. A date is not read: it needs a clock that
/// agrees with the server's, and the usual pauses serve as well.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|it| it / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, kind: ErrorKind, words: &str) {
        let status = StatusCode::from_u16(status).expect("a status");
        let found = of_answer(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!((found.kind, found.words.as_str()), (kind, words), "{status} {body}");
    }

    #[test]
    fn every_shape_of_error_gives_its_words() {
        use ErrorKind::{Auth, ContextLength, RateLimited, Refused, Server, TimedOut, TooLarge};
        check(401, r#"{"error":{"message":"bad key","type":"x","code":"invalid_api_key"}}"#, Auth, "bad key");
        check(403, r#"{"error":"not here"}"#, Auth, "not here");
        check(404, r#"{"error":{"message":"model 'x' not found"}}"#, Refused, "model 'x' not found");
        check(422, r#"{"detail":"bad field"}"#, Refused, "bad field");
        check(422, r#"{"message":"bad field"}"#, Refused, "bad field");
        check(400, r#"[{"error":{"code":400,"message":"API key not valid."}}]"#, Auth, "API key not valid.");
        check(400, r#"{"error":{"message":"long","code":"context_length_exceeded"}}"#, ContextLength, "long");
        check(413, "prompt is too long: 9 tokens", ContextLength, "prompt is too long: 9 tokens");
        check(413, "", TooLarge, "Payload Too Large");
        check(429, "slow down", RateLimited, "slow down");
        check(429, r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#, Refused, "pay");
        check(408, "", TimedOut, "Request Timeout");
        check(500, "<html>oops</html>", Server, "Internal Server Error");
        check(529, r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#, Server, "Overloaded");
        check(500, r#"{"odd":1}"#, Server, r#"{"odd":1}"#);
    }

    #[test]
    fn errors_inside_a_stream_are_told_apart_by_their_codes() {
        for (error, kind, status) in [
            (r#"{"error":{"message":"m","code":429}}"#, ErrorKind::RateLimited, Some(429)),
            (r#"{"error":{"message":"m","code":"502"}}"#, ErrorKind::Server, Some(502)),
            (r#"{"error":{"message":"m","type":"rate_limit_error"}}"#, ErrorKind::RateLimited, None),
            (r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, ErrorKind::Refused, None),
            (r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, ErrorKind::ContextLength, None),
            (r#"{"error":{"message":"m","code":"invalid_api_key"}}"#, ErrorKind::Auth, None),
            (r#"{"error":"m"}"#, ErrorKind::Server, None),
        ] {
            let found = of_event(&serde_json::from_str(error).expect("JSON"));
            assert_eq!((found.kind, found.status, found.words.as_str()), (kind, status, "m"), "{error}");
        }
    }

    #[test]
    fn a_wish_to_wait_is_read_in_both_units() {
        for (name, value, expected) in [
            ("retry-after", "2", Some(2000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after-ms", "12.5", Some(12)),
            ("retry-after", "-1", None),
            ("retry-after", "1e300", None),
            ("retry-after", "NaN", None),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header"));
            assert_eq!(retry_after(&headers).map(|it| it.as_millis()), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_redirect_is_told_and_not_followed() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "https://elsewhere.example/v1".parse().expect("a header"));
        let found = of_answer(StatusCode::FOUND, &headers, b"");
        assert_eq!(found.kind, ErrorKind::Refused);
        assert!(found.words.contains("https://elsewhere.example/v1"), "{}", found.words);
    }
}
