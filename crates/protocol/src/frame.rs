//! Frames: one JSON object a text message. `req` from the client, `res` and `event` from the server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Refusal;

/// `{type: "req", id, method, params?}`, read in place.
#[derive(Debug, Deserialize)]
pub struct Request<'a> {
    /// Chosen by the client; echoed in each response.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Read by the method.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// A message that is no request frame.
#[derive(Debug, PartialEq, Eq)]
pub enum NotARequest {
    /// Not even JSON.
    NotJson,
    /// JSON of another shape; with the id where there is one, so that the answer can carry it.
    Shape(Option<String>),
}

/// Reads a request frame.
///
/// # Errors
/// Says whether the text was JSON at all, since the two are answered differently.
pub fn read_request(text: &str) -> Result<Request<'_>, NotARequest> {
    #[derive(Deserialize)]
    struct Plain<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow, default)]
        params: Option<&'a RawValue>,
    }
    match serde_json::from_str::<Plain<'_>>(text) {
        Ok(it) if it.kind == "req" && !it.id.is_empty() && !it.method.is_empty() => {
            Ok(Request { id: it.id, method: it.method, params: it.params })
        }
        Ok(it) => Err(NotARequest::Shape(Some(it.id.into_owned()))),
        Err(_) => Err(match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => NotARequest::Shape(value["id"].as_str().map(str::to_owned)),
            Err(_) => NotARequest::NotJson,
        }),
    }
}

/// What a client may receive, read whole.
#[derive(Debug)]
pub enum FromServer {
    /// An answer.
    Response(Response),
    /// Something that happened.
    Event(Event),
}

/// `{type: "res", id, ok, payload?, error?}`.
#[derive(Debug)]
pub struct Response {
    /// The request's id.
    pub id: String,
    /// The reply; may stand beside `error` where a turn failed after it had begun.
    pub payload: Option<Box<RawValue>>,
    /// Why it was not done; `None` where it was.
    pub error: Option<Refusal>,
}

/// `{type: "event", event, payload?, seq?, stateVersion?}`.
#[derive(Debug)]
pub struct Event {
    /// The event's name.
    pub event: String,
    /// Read by whoever waits for that name.
    pub payload: Option<Box<RawValue>>,
    /// Counted by connection; a gap means that events were lost.
    pub seq: Option<u64>,
}

/// Reads a frame from the server; `None` when it is none.
pub fn read_from_server(text: &str) -> Option<FromServer> {
    #[derive(Deserialize)]
    struct Frame {
        r#type: String,
        id: Option<String>,
        ok: Option<bool>,
        event: Option<String>,
        payload: Option<Box<RawValue>>,
        error: Option<Refusal>,
        seq: Option<u64>,
    }
    let frame: Frame = serde_json::from_str(text).ok()?;
    match frame.r#type.as_str() {
        "res" => {
            let unnamed = (frame.ok == Some(false)).then(|| Refusal::unavailable("the request failed"));
            let error = frame.error.or(unnamed);
            Some(FromServer::Response(Response { id: frame.id?, payload: frame.payload, error }))
        }
        "event" => {
            Some(FromServer::Event(Event { event: frame.event?, payload: frame.payload, seq: frame.seq }))
        }
        _ => None,
    }
}

/// The text of a request frame.
///
/// # Errors
/// When the parameters cannot be written as JSON.
pub fn write_request(id: &str, method: &str, params: &impl Serialize) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Frame<'a, P> {
        r#type: &'static str,
        id: &'a str,
        method: &'a str,
        params: &'a P,
    }
    serde_json::to_string(&Frame { r#type: "req", id, method, params })
}

/// The text of a response frame.
pub fn write_response(id: &str, payload: Option<&RawValue>, error: Option<&Refusal>) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        id: &'a str,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Refusal>,
    }
    let frame = Frame { r#type: "res", id, ok: error.is_none(), payload, error };
    serde_json::to_string(&frame).expect("strings, a flag and raw JSON always write")
}

/// The text of an event frame. `body` is the payload, written once for all who get it.
pub fn write_event(name: &str, body: &RawValue, seq: Option<u64>, versions: Option<StateVersion>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Frame<'a> {
        r#type: &'static str,
        event: &'a str,
        payload: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        state_version: Option<StateVersion>,
    }
    let frame = Frame { r#type: "event", event: name, payload: body, seq, state_version: versions };
    serde_json::to_string(&frame).expect("strings, numbers and raw JSON always write")
}

/// How often the two snapshots have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StateVersion {
    /// The list of who is connected.
    pub presence: u64,
    /// The health snapshot.
    pub health: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_requests_from_json_from_noise() {
        let read = |text: &str| read_request(text).map(|it| it.method.into_owned());
        assert_eq!(read(r#"{"type":"req","id":"1","method":"health","extra":1}"#).as_deref(), Ok("health"));
        assert_eq!(read("{"), Err(NotARequest::NotJson));
        assert_eq!(read("[]"), Err(NotARequest::Shape(None)));
        assert_eq!(read(r#"{"type":"req","id":"7"}"#), Err(NotARequest::Shape(Some("7".into()))));
        assert_eq!(
            read(r#"{"type":"res","id":"7","method":"x"}"#),
            Err(NotARequest::Shape(Some("7".into())))
        );
    }

    #[test]
    fn a_client_reads_what_a_server_writes() {
        let body = RawValue::from_string(r#"{"a":1}"#.into()).expect("JSON");
        let text = write_response("9", Some(&body), Some(&Refusal::unavailable("later")));
        let Some(FromServer::Response(response)) = read_from_server(&text) else {
            panic!("a response is expected: {text}")
        };
        assert!(response.id == "9" && response.payload.is_some() && response.error.is_some());
        let text = write_event("tick", &body, Some(3), None);
        let Some(FromServer::Event(event)) = read_from_server(&text) else {
            panic!("an event is expected: {text}")
        };
        assert_eq!((event.event.as_str(), event.seq), ("tick", Some(3)));
    }
}
