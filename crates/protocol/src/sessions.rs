//! `sessions.*`: the conversations of an instance.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Method, Scope};

/// `sessions.list`: newest first.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "sessions.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = ListParams;
    type Reply = ListReply;
}

/// `params` of `sessions.list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListParams {
    /// 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// How many to leave out from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Only those that changed in the last minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_minutes: Option<u64>,
    /// Only those of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only those whose key or label holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Whether rows carry the last message.
    #[serde(default)]
    pub include_last_message: bool,
}

/// `payload` of `sessions.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReply {
    /// Unix milliseconds.
    pub ts: u64,
    /// The database.
    pub path: String,
    /// Rows in this reply.
    pub count: usize,
    /// Rows there are.
    pub total_count: u64,
    /// Whether there are more.
    pub has_more: bool,
    /// Where the next page begins.
    pub next_offset: Option<usize>,
    /// `{modelProvider, model, contextTokens}`.
    pub defaults: Value,
    /// Newest first.
    pub sessions: Vec<Row>,
}

/// One conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Canonical.
    pub key: String,
    /// `direct`, `group`, `global` or `unknown`.
    pub kind: String,
    /// The transcript's id.
    pub session_id: String,
    /// The agent that answers.
    pub agent_id: String,
    /// Whether this is the agent's main conversation.
    pub is_main: bool,
    /// Given by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
    /// `running` or `done`.
    pub status: String,
    /// Whether the last turn was stopped.
    pub aborted_last_run: bool,
    /// Over all turns.
    pub input_tokens: u64,
    /// Over all turns.
    pub output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// The model's provider.
    pub model_provider: String,
    /// The model.
    pub model: String,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_preview: Option<String>,
}
