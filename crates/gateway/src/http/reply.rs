//! Answers: whole ones, and those that come bit by bit.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, Stream};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

type Bits = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// An answer.
pub(crate) type Answer = Response<Either<Full<Bytes>, Bits>>;

/// Plain words.
pub(super) fn text(status: StatusCode, words: impl Into<Bytes>) -> Answer {
    whole(status, "text/plain; charset=utf-8", words.into())
}

/// A document for programs.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    whole(status, "application/json", Bytes::from(body.to_string()))
}

/// An error in the shape that clients of OpenAI know.
pub(super) fn error(status: StatusCode, kind: &str, words: &str) -> Answer {
    json_answer(status, &json!({"error": {"message": words, "type": kind}}))
}

/// A whole body.
pub(super) fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    headed(status, kind, Either::Left(Full::new(body)))
}

/// Events that a client reads as they come.
pub(super) fn events(bits: impl Stream<Item = String> + Send + 'static) -> Answer {
    let frames = bits.map(|it| Ok(Frame::data(Bytes::from(it)))).boxed();
    headed(StatusCode::OK, "text/event-stream; charset=utf-8", Either::Right(StreamBody::new(frames)))
}

fn headed(status: StatusCode, kind: &'static str, body: Either<Full<Bytes>, Bits>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
          frame-ancestors 'none'",
        ),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
