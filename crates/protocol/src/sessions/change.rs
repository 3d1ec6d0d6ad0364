//! The methods that change a conversation, or speak in it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Row;
use crate::{Method, Scope};

/// A value that may be left as it is, taken away with null, or set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// The key is absent.
    #[default]
    Keep,
    /// The key is null.
    Clear,
    /// The key has a value.
    Set(T),
}

impl<T> Change<T> {
    /// Whether it is left as it is.
    pub fn is_keep(&self) -> bool {
        matches!(self, Change::Keep)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(|it| it.map_or(Change::Clear, Change::Set))
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Change::Keep | Change::Clear => serializer.serialize_none(),
            Change::Set(it) => it.serialize(serializer),
        }
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Change<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Option::<T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// `sessions.create`: begin a conversation, with or without a first message.
pub enum Create {}

impl Method for Create {
    const NAME: &'static str = "sessions.create";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = CreateParams;
    type Reply = CreateReply;
}

/// `params` of `sessions.create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateParams {
    /// A key; a new one of its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The name a person gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is said first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The same, as an older name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The session that begins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_key: Option<String>,
    /// Names the first run; one of its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whatever else; some of it needs `operator.admin`, and is refused here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `payload` of `sessions.create`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateReply {
    /// Always true.
    pub ok: bool,
    /// Canonical.
    pub key: String,
    /// The transcript's id.
    pub session_id: String,
    /// As it is now.
    pub entry: Row,
    /// Whether a first message was taken.
    pub run_started: bool,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// `{modelProvider, model}`.
    pub resolved: Value,
}

/// `sessions.patch`: say something of a conversation. Its place in a list needs `operator.write`, the rest
/// `operator.admin`.
pub enum Patch {}

impl Method for Patch {
    const NAME: &'static str = "sessions.patch";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = PatchParams;
    type Reply = PatchReply;
}

/// `params` of `sessions.patch`. Null takes a value away.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatchParams {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The name a person gives it; no two conversations have the same.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub label: Change<String>,
    /// `provider/model`.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub model: Change<String>,
    /// The session that began it.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub spawned_by: Change<String>,
    /// Whether it is put away.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub archived: Change<bool>,
    /// Whether it is pinned.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub pinned: Change<bool>,
    /// Whether it is marked as not read.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub unread: Change<bool>,
    /// The transcript's id that the caller knows; with another one nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_id: Option<String>,
    /// The `lifecycleRevision` that the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_lifecycle_revision: Option<String>,
    /// The other keys, by name; see `sessions.patch` in the protocol's documentation.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl PatchParams {
    /// Nothing yet, of this conversation.
    pub fn of(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            agent_id: None,
            label: Change::Keep,
            model: Change::Keep,
            spawned_by: Change::Keep,
            archived: Change::Keep,
            pinned: Change::Keep,
            unread: Change::Keep,
            expected_session_id: None,
            expected_lifecycle_revision: None,
            rest: Map::new(),
        }
    }
}

/// `payload` of `sessions.patch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchReply {
    /// Always true.
    pub ok: bool,
    /// The database.
    pub path: String,
    /// Canonical.
    pub key: String,
    /// As it is now.
    pub entry: Row,
    /// `{modelProvider, model}`.
    pub resolved: Value,
}

/// `sessions.reset`: an empty transcript under the same key. Turns under way are stopped first.
pub enum Reset {}

impl Method for Reset {
    const NAME: &'static str = "sessions.reset";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = ResetParams;
    type Reply = ResetReply;
}

/// `params` of `sessions.reset`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResetParams {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What is told to others of it: `new` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    /// The transcript's id that the caller knows; with another one nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_id: Option<String>,
}

/// Why a conversation is begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// `new`.
    New,
    /// `reset`.
    Reset,
}

/// `payload` of `sessions.reset`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResetReply {
    /// Always true.
    pub ok: bool,
    /// Canonical.
    pub key: String,
    /// As it is now.
    pub entry: Row,
}

/// `sessions.delete`: take a conversation away. Turns under way are stopped first. `operator.write` is enough with
/// `archivedOnly`.
pub enum Delete {}

impl Method for Delete {
    const NAME: &'static str = "sessions.delete";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = DeleteParams;
    type Reply = DeleteReply;
}

/// `params` of `sessions.delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeleteParams {
    /// A key; no agent's main session.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whether what was said goes too; true when absent. Else it stays on disk under its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_transcript: Option<bool>,
    /// Only where it was put away before.
    #[serde(default)]
    pub archived_only: bool,
    /// The transcript's id that the caller knows; with another one nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_id: Option<String>,
}

/// `payload` of `sessions.delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeleteReply {
    /// Always true.
    pub ok: bool,
    /// Canonical.
    pub key: String,
    /// Whether there was one.
    pub deleted: bool,
    /// Ids of transcripts that stay.
    pub archived: Vec<String>,
}

/// `sessions.compact`: shorten a transcript. With `maxLines` that many messages stay; else the model sums up what
/// was said before the last ones.
pub enum Compact {}

impl Method for Compact {
    const NAME: &'static str = "sessions.compact";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = CompactParams;
    type Reply = CompactReply;
}

/// `params` of `sessions.compact`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CompactParams {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// How many messages stay, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lines: Option<usize>,
}

/// `payload` of `sessions.compact`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompactReply {
    /// Always true.
    pub ok: bool,
    /// Canonical.
    pub key: String,
    /// Whether anything was shortened.
    pub compacted: bool,
    /// The id under which the messages that went are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
    /// Messages that stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// Why nothing was shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `sessions.send`: as `chat.send`, by key.
pub enum Send {}

impl Method for Send {
    const NAME: &'static str = "sessions.send";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = SendParams;
    type Reply = crate::chat::SendReply;
}

/// `params` of `sessions.send`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SendParams {
    /// `main` or a canonical key.
    pub key: String,
    /// What the person says.
    pub message: String,
    /// Ends the turn after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Names the run; one of its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// As those of `chat.send`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<crate::chat::Attachment>,
    /// As that of `chat.send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
}

/// `sessions.abort`: stop a turn, by its session or by itself.
pub enum Abort {}

impl Method for Abort {
    const NAME: &'static str = "sessions.abort";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = AbortParams;
    type Reply = AbortReply;
}

/// `params` of `sessions.abort`: one of the two, or both.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AbortParams {
    /// `main` or a canonical key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// `payload` of `sessions.abort`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AbortReply {
    /// Always true.
    pub ok: bool,
    /// The first run that was stopped.
    pub aborted_run_id: Option<String>,
    /// `aborted` or `no-active-run`.
    pub status: String,
}
