//! `chat.*`: a conversation, as pages, terminals and nodes see it.

mod more;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::sessions::Row;
use crate::{Method, Scope};

pub use more::*;

/// `chat.send`: put a message into a session and start a turn. Acknowledged once the message is on disk.
pub enum Send {}

impl Method for Send {
    const NAME: &'static str = "chat.send";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = SendParams;
    type Reply = SendReply;
}

/// `params` of `chat.send`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Pictures that the person shows: at most 8, of 5 MB each and 15 MB in all. Other files are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// How much the model is to think this once: `off`, `minimal`, `low`, `medium`, `high`, `xhigh`, `adaptive`, `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// What becomes of a turn under way; as the conversation says when absent, and else `followup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
    /// Whether a message that looks like a command goes to the model.
    #[serde(default)]
    pub suppress_command_interpretation: bool,
    /// The transcript's id that the caller knows; with another one the message is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The id of the last message that the caller knows; with another one the message is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_leaf_entry_id: Option<String>,
}

/// A file that comes with a message. What it is, is told by its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// `image`, by the sender's account.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Such as `image/png`, by the sender's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its name, for messages about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its bytes in base64, or a `data:` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// What becomes of a turn under way when something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// It goes on; the message has its turn after it. So it is where nothing is named.
    Followup,
    /// It is stopped, and those that wait too; the message has its turn at once.
    Interrupt,
    /// It goes on, and is told of the message before it asks the model again; one that asks no more leaves the message
    /// a turn of its own.
    Steer,
    /// It goes on; the messages that wait behind each other in this way are answered in one turn after it.
    Collect,
}

/// `payload` of `chat.send`: one of three shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// `params` of `chat.history`, and of `chat.startup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HistoryParams {
    /// `main` or a canonical key.
    pub session_key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// 1 to 1000; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// How many of the newest to leave out. While messages come in, `cursor` is the safer way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Only messages before this place: `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only messages up to this one, by its id, and that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The most bytes of all messages, at least 1024; the oldest are left out. 6 MiB when absent, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
    /// The most characters of each text of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<usize>,
    /// The transcript's id that the caller knows; where it is another one, there is nothing to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// `payload` of `chat.history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The `offset` of the page before this one.
    pub next_offset: Option<u64>,
    /// The `cursor` of the page before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// All of them.
    pub total_messages: u64,
    /// Messages that wait for their turn: they are not among the others yet.
    pub pending_inputs: PendingInputs,
    /// `{modelProvider, model, contextTokens}`.
    pub defaults: Value,
    /// The conversation as `sessions.list` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_info: Option<Row>,
    /// What was said of how much the model is to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<Value>,
    /// The run that is under way, with its text so far: `{runId, text, startedAt, events}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_run: Option<Value>,
}

/// Messages that wait for their turn.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingInputs {
    /// `{runId, text, acceptedAt}`, the oldest first.
    pub items: Vec<Value>,
    /// How many.
    pub total: usize,
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
