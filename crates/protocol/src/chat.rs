//! `chat.*`: a conversation, as pages, terminals and nodes see it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Method, Scope};

/// `chat.send`: put a message into a session and start a turn. Acknowledged once the message is on disk.
pub enum Send {}

impl Method for Send {
    const NAME: &'static str = "chat.send";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = SendParams;
    type Reply = SendReply;
}

/// `params` of `chat.send`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendParams {
    /// `main` or a canonical key.
    pub session_key: String,
    /// What the person says.
    pub message: String,
    /// Names the run; the same key twice is the same message.
    pub idempotency_key: String,
    /// Ends the turn after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Must be empty here: files come in with a later version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
}

/// `payload` of `chat.send`: one of three shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SendReply {
    /// `started`, `in_flight` or `ok`.
    #[serde(rename_all = "camelCase")]
    Run {
        /// Equals the idempotency key.
        run_id: String,
        /// `started` for a new run, `in_flight` or `ok` for one that is known already.
        status: String,
    },
    /// The message was a stop word.
    Stopped(AbortReply),
}

/// `chat.abort`: stop the turns of a session, or one of them.
pub enum Abort {}

impl Method for Abort {
    const NAME: &'static str = "chat.abort";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = AbortParams;
    type Reply = AbortReply;
}

/// `params` of `chat.abort`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortParams {
    /// `main` or a canonical key.
    pub session_key: String,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// `payload` of `chat.abort`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortReply {
    /// Always true.
    pub ok: bool,
    /// Whether anything was stopped.
    pub aborted: bool,
    /// What was stopped.
    pub run_ids: Vec<String>,
}

/// `chat.history`: the newest messages of a session, oldest first.
pub enum History {}

impl Method for History {
    const NAME: &'static str = "chat.history";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = HistoryParams;
    type Reply = HistoryReply;
}

/// `params` of `chat.history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryParams {
    /// `main` or a canonical key.
    pub session_key: String,
    /// 1 to 1000; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `payload` of `chat.history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryReply {
    /// Canonical.
    pub session_key: String,
    /// The transcript's id; absent for a session that does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Oldest first.
    pub messages: Vec<Value>,
    /// Whether older ones were left out.
    pub has_more: bool,
    /// All of them.
    pub total_messages: u64,
    /// The run that is under way, with its text so far: `{runId, text, startedAt}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_run: Option<Value>,
}

/// A message of the assistant with one text, as events and transcripts carry it.
pub fn assistant_text(text: &str, timestamp: u64) -> Value {
    json!({"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": timestamp})
}

/// The text of a message whose `content` is a string or a list of parts.
pub fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|it| it["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_messages_and_those_of_others() {
        assert_eq!(text_of(&assistant_text("hello", 1)), "hello");
        assert_eq!(text_of(&json!({"role": "user", "content": "plain"})), "plain");
        assert_eq!(text_of(&json!({"role": "user"})), "");
    }

    #[test]
    fn both_shapes_of_the_acknowledgement_are_told_apart() {
        let run: SendReply =
            serde_json::from_value(json!({"runId": "a", "status": "started"})).expect("reads");
        assert!(matches!(run, SendReply::Run { .. }));
        let stopped: SendReply =
            serde_json::from_value(json!({"ok": true, "aborted": false, "runIds": []})).expect("reads");
        assert!(matches!(stopped, SendReply::Stopped(_)));
    }
}
