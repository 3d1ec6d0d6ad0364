//! OpenAI's API: chat completions, responses, models. A request is a turn of an agent, like every other.

mod chat;
mod conversation;
mod list;
mod responses;
mod sse;
mod talk;
mod target;
mod tools;

use hyper::StatusCode;
use protocol::{Code, Refusal};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::body::{self, Wanted};
use super::reply::{Answer, json_answer};

use conversation::Conversation;
use tools::ClientTools;

pub(super) use chat::answer as chat;
pub(super) use list::{model, models};
pub(super) use responses::answer as responses;

/// What is served over HTTP beside the WebSocket.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// APIs that other programs know.
    pub endpoints: Endpoints,
}

/// APIs that other programs know.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoints {
    /// `POST /v1/chat/completions`. Who has the token may do with it what an agent may do.
    pub chat_completions: Endpoint,
    /// `POST /v1/responses`. Who has the token may do with it what an agent may do.
    pub responses: Endpoint,
}

/// One API.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Endpoint {
    /// Whether it is there.
    pub enabled: bool,
}

/// Why a request is not served, in the shape that clients of OpenAI know.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    status: StatusCode,
    kind: &'static str,
    words: String,
}

impl Problem {
    fn bad(words: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", words: words.into() }
    }

    /// What was begun and went wrong. It may have done something by then, so that nobody should repeat it unasked.
    fn failed(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, kind: "api_error", words: words.into() }
    }

    fn answer(&self) -> Answer {
        let error = json!({"message": self.words, "type": self.kind, "param": null, "code": null});
        let mut answer = json_answer(self.status, &json!({"error": error}));
        if self.kind == "api_error" {
            let never = hyper::header::HeaderValue::from_static("false");
            answer.headers_mut().insert("x-should-retry", never);
        }
        answer
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            Code::InvalidRequest => Self::bad(refusal.message),
            // Nothing was begun.
            _ => {
                Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "unavailable", words: refusal.message }
            }
        }
    }
}

/// Reads a body; what is wrong is named by its place.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    body::read(bytes).map_err(|words| Problem::bad(format!("invalid request body: {words}")))
}

/// What a body of chat completions asks for.
pub(super) fn wanted_of_chat(bytes: &[u8]) -> Result<Wanted, String> {
    let (conversation, tools) = chat::said(bytes).map_err(|it| it.words)?;
    Ok(wanted(&conversation, &tools))
}

/// What a body of responses asks for.
pub(super) fn wanted_of_responses(bytes: &[u8]) -> Result<Wanted, String> {
    let (conversation, tools) = responses::said(bytes).map_err(|it| it.words)?;
    Ok(wanted(&conversation, &tools))
}

fn wanted(conversation: &Conversation, tools: &ClientTools) -> Wanted {
    Wanted {
        message: conversation.message.clone(),
        before: conversation.size(),
        tools: tools.specs.iter().map(|it| it.name.to_string()).collect(),
    }
}
