//! `sessions.*`: the conversations of an instance.

mod change;
mod many;
mod read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Method, Scope};

pub use change::*;
pub use many::*;
pub use read::*;

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Only those whose key, label or last message holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Whether rows carry the last message.
    #[serde(default)]
    pub include_last_message: bool,
    /// Whether rows carry a title made of the first message.
    #[serde(default)]
    pub include_derived_titles: bool,
    /// Only those with this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only those that this session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// Only those of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those that are put away (true), only the others (false, and when absent), or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Archived>,
    /// Only those that are pinned, or only the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Only those with a turn under way.
    #[serde(default)]
    pub active_only: bool,
    /// Without those of sub-agents.
    #[serde(default)]
    pub exclude_subagents: bool,
    /// Without those of scheduled jobs.
    #[serde(default)]
    pub exclude_cron: bool,
    /// `updated` (when absent), `created` or `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<SortBy>,
}

/// Which of the conversations that are put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Archived {
    /// Only those, or only the others.
    Are(bool),
    /// Both.
    Any(All),
}

/// The word for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// `all`.
    All,
}

/// In which order conversations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SortBy {
    /// The last updated first.
    #[serde(alias = "updatedAt", alias = "activity", alias = "recent")]
    Updated,
    /// The last made first.
    #[serde(alias = "createdAt")]
    Created,
    /// By label, or key where there is none.
    #[serde(alias = "label")]
    Name,
}

/// `payload` of `sessions.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The most rows that this reply could have.
    #[serde(default)]
    pub limit_applied: usize,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The most tokens that the model takes in.
    #[serde(default)]
    pub context_tokens: usize,
    /// Messages in the transcript.
    #[serde(default)]
    pub message_count: u64,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_preview: Option<String>,
    /// Where it was asked for: the start of the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_title: Option<String>,
    /// The session that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// Whether it is put away.
    #[serde(default)]
    pub archived: bool,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<u64>,
    /// Whether it is pinned.
    #[serde(default)]
    pub pinned: bool,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<u64>,
    /// Whether a person marked it as not read.
    #[serde(default)]
    pub unread: bool,
    /// Changes with each reset and each compaction.
    #[serde(default)]
    pub lifecycle_revision: String,
    /// The same as `kind`.
    #[serde(default)]
    pub chat_type: String,
    /// The same as `kind`.
    #[serde(default)]
    pub classification: String,
    /// Whether a turn is under way.
    #[serde(default)]
    pub has_active_run: bool,
    /// The turns under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active_run_ids: Vec<String>,
    /// While a turn is under way: the model's provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_model_provider: Option<String>,
    /// While a turn is under way: the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_model: Option<String>,
    /// Unix milliseconds of the last change.
    #[serde(default)]
    pub last_activity_at: u64,
    /// Unix milliseconds of this row.
    #[serde(default)]
    pub snapshot_at: u64,
    /// Whether something was said in it.
    #[serde(default)]
    pub system_sent: bool,
    /// Whether the tokens are those of all turns so far.
    #[serde(default)]
    pub total_tokens_fresh: bool,
    /// `user` where the session has a model of its own.
    #[serde(default)]
    pub model_override_source: Option<String>,
    /// What a message does that comes while a turn is under way.
    #[serde(default)]
    pub effective_queue_mode: String,
    /// What else was said of it with `sessions.patch`.
    #[serde(flatten)]
    pub traits: Map<String, Value>,
}

/// How much a model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThinkingLevel {
    /// One of [`ThinkingLevel::IDS`].
    pub id: String,
    /// For people.
    pub label: String,
}

impl ThinkingLevel {
    /// All that there are. `off` and `adaptive` leave it to the model.
    pub const IDS: [&'static str; 8] =
        ["off", "minimal", "low", "medium", "high", "xhigh", "adaptive", "max"];
    /// What holds where nothing is said.
    pub const DEFAULT: &'static str = Self::IDS[0];

    /// All of them, as clients show them.
    pub fn all() -> Vec<Self> {
        Self::IDS.iter().map(|it| Self { id: (*it).to_owned(), label: (*it).to_owned() }).collect()
    }

    /// Their ids.
    pub fn ids() -> Vec<String> {
        Self::IDS.iter().map(|it| (*it).to_owned()).collect()
    }
}
