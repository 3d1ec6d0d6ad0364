//! An answer while it is read: bytes to events to chunks to deltas.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::Endpoint;
use super::assembly::{Assembly, TooManyCalls};
use super::refusal;
use crate::http::{Answer, Body};
use crate::sse::{Event, Parser};
use crate::{Delta, ErrorKind, ModelError};

/// How long to wait for the usage after the model said that it is done: some servers send none, and keep the
/// connection open.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long to wait for the end of the body after the end of the answer. It nearly always came along, and without
/// it the connection could not be used again.
const LINGER: Duration = Duration::from_millis(100);

/// An answer whose head was a success.
pub(super) struct Reading {
    endpoint: Arc<Endpoint>,
    /// `None` once nothing more is wanted of it.
    body: Option<Body>,
    parser: Parser,
    assembly: Assembly,
    ready: VecDeque<Delta>,
    /// What goes wrong comes after what came before it.
    failed: Option<ModelError>,
}

impl Reading {
    /// Looks at what sort of body it is. Some servers answer in one piece though they were asked to stream.
    pub(super) async fn begin(endpoint: Arc<Endpoint>, answer: Answer) -> Result<Box<Self>, ModelError> {
        let idle = endpoint.settings.idle;
        let mut reading = Box::new(Self {
            endpoint,
            body: None,
            parser: Parser::new(),
            assembly: Assembly::default(),
            ready: VecDeque::new(),
            failed: None,
        });
        match media_type(&answer.headers).as_str() {
            "application/json" => {
                let whole = answer.body.whole(idle).await.map_err(|it| reading.endpoint.failed(&it))?;
                reading.take_whole(&whole)?;
            }
            "text/html" => {
                let words = "it answered with a web page";
                return Err(reading.endpoint.error(ErrorKind::Garbage, words));
            }
            _ => reading.body = Some(answer.body),
        }
        Ok(reading)
    }

    /// The next delta, or `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Delta>, ModelError> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Ok(Some(delta));
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.body.is_none() {
                return Ok(None);
            }
            if let Err(error) = self.read().await {
                self.body = None;
                self.failed = Some(error);
            }
        }
    }

    /// Takes one piece of the body, or its end.
    async fn read(&mut self) -> Result<(), ModelError> {
        let Some(body) = &mut self.body else { return Ok(()) };
        let idle = self.endpoint.settings.idle;
        let patience = if self.assembly.is_finished() { idle.min(LAST_WORDS) } else { idle };
        let mut events = Vec::new();
        let (parsed, is_over) = match body.chunk(patience).await {
            Ok(Some(bytes)) => (self.parser.push(&bytes, &mut events), false),
            Ok(None) => (self.parser.finish(&mut events), true),
            // The model was done; what is missing is at most the usage.
            Err(_) if self.assembly.is_finished() => (Ok(()), true),
            Err(failure) => return Err(self.endpoint.failed(&failure)),
        };
        for event in &events {
            if self.take_event(event)? {
                if let Some(body) = self.body.take() {
                    body.drain(LINGER).await;
                }
                return Ok(());
            }
        }
        parsed.map_err(|it| self.endpoint.error(ErrorKind::TooLarge, &it.to_string()))?;
        if is_over {
            self.body = None;
            return self.end(false);
        }
        Ok(())
    }

    /// True when it was the last one.
    fn take_event(&mut self, event: &Event) -> Result<bool, ModelError> {
        let data = event.data.trim();
        if data.is_empty() {
            return Ok(false);
        }
        if data == "[DONE]" {
            return self.end(true).map(|()| true);
        }
        let chunk: Value = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(_) if event.name == "error" => Value::from(data),
            Err(_) => return Err(self.endpoint.error(ErrorKind::Garbage, &format!("no JSON: {data}"))),
        };
        self.take_chunk(&chunk, event.name == "error")?;
        Ok(false)
    }

    fn take_chunk(&mut self, chunk: &Value, is_error: bool) -> Result<(), ModelError> {
        if is_error || chunk.get("error").is_some_and(|it| !it.is_null()) {
            let refusal = refusal::of_event(chunk);
            let mut error = self.endpoint.error(refusal.kind, &refusal.words);
            error.status = refusal.status;
            return Err(error);
        }
        self.assembly.take(chunk, &mut self.ready).map_err(|TooManyCalls| {
            self.endpoint.error(ErrorKind::TooLarge, "the model made too many or too large tool calls")
        })
    }

    fn take_whole(&mut self, body: &[u8]) -> Result<(), ModelError> {
        let garbage = |words: &str| self.endpoint.error(ErrorKind::Garbage, words);
        let value: Value = serde_json::from_slice(body).map_err(|_| garbage("the answer is no JSON"))?;
        let is_completion = value.pointer("/choices/0").is_some() || value.get("error").is_some();
        if !is_completion {
            return Err(garbage("the answer has no choices"));
        }
        self.take_chunk(&value, false)?;
        self.end(true)
    }

    fn end(&mut self, done: bool) -> Result<(), ModelError> {
        if self.assembly.end(done, &mut self.ready) {
            return Ok(());
        }
        Err(self.endpoint.error(ErrorKind::Cut, "the connection ended before the answer did"))
    }
}

/// The content type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
