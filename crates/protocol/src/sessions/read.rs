//! The methods that read one conversation, and those that ask to be told of changes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ListReply, Row};
use crate::{Method, Scope};

/// `sessions.describe`: one row.
pub enum Describe {}

impl Method for Describe {
    const NAME: &'static str = "sessions.describe";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = DescribeParams;
    type Reply = DescribeReply;
}

/// `params` of `sessions.describe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DescribeParams {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whether the row carries the last message.
    #[serde(default)]
    pub include_last_message: bool,
    /// Whether the row carries a title made of the first message.
    #[serde(default)]
    pub include_derived_titles: bool,
}

/// `payload` of `sessions.describe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DescribeReply {
    /// Null where there is none.
    pub session: Option<Row>,
}

/// `sessions.preview`: the last lines of some conversations.
pub enum Preview {}

impl Method for Preview {
    const NAME: &'static str = "sessions.preview";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = PreviewParams;
    type Reply = PreviewReply;
}

/// `params` of `sessions.preview`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PreviewParams {
    /// 1 to 64 keys.
    pub keys: Vec<String>,
    /// Lines of each; 12 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Characters of each line, at least 20; 240 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<usize>,
}

/// `payload` of `sessions.preview`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviewReply {
    /// Unix milliseconds.
    pub ts: u64,
    /// In the order of the keys.
    pub previews: Vec<SessionPreview>,
}

/// The last lines of a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionPreview {
    /// As it was asked for.
    pub key: String,
    /// `ok`, `empty`, `missing` or `error`.
    pub status: String,
    /// The oldest first.
    pub items: Vec<PreviewItem>,
}

/// One line of a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviewItem {
    /// `user`, `assistant`, `tool`, `system` or `other`.
    pub role: String,
    /// On one line.
    pub text: String,
}

/// `sessions.resolve`: which conversation is meant.
pub enum Resolve {}

impl Method for Resolve {
    const NAME: &'static str = "sessions.resolve";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = ResolveParams;
    type Reply = ResolveReply;
}

/// `params` of `sessions.resolve`: exactly one of `key`, `sessionId` and `label`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResolveParams {
    /// A key in any form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The transcript's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The name a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only one of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only one that this session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// Whether none is an answer, and no error.
    #[serde(default)]
    pub allow_missing: bool,
}

/// `payload` of `sessions.resolve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResolveReply {
    /// False where there is none, and that was allowed.
    pub ok: bool,
    /// Canonical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The agent that answers in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// `sessions.get`: the newest messages, without anything else.
pub enum Get {}

impl Method for Get {
    const NAME: &'static str = "sessions.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = GetParams;
    type Reply = GetReply;
}

/// `params` of `sessions.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetParams {
    /// `main` or a canonical key.
    #[serde(alias = "sessionKey")]
    pub key: String,
    /// 1 to 1000; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `payload` of `sessions.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GetReply {
    /// The oldest first.
    pub messages: Vec<Value>,
}

/// `sessions.subscribe`: be told that the list of conversations changes. With options of `sessions.list` the reply
/// has the list.
pub enum Subscribe {}

impl Method for Subscribe {
    const NAME: &'static str = "sessions.subscribe";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = SubscribeParams;
    type Reply = SubscribeReply;
}

/// `params` of `sessions.subscribe`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubscribeParams {
    /// Which list the reply is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<super::ListParams>,
}

/// `payload` of `sessions.subscribe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubscribeReply {
    /// Whether changes are told from now on.
    pub subscribed: bool,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListReply>,
}

/// `sessions.messages.subscribe`: hear what is said in one conversation.
pub enum MessagesSubscribe {}

impl Method for MessagesSubscribe {
    const NAME: &'static str = "sessions.messages.subscribe";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = MessagesParams;
    type Reply = MessagesReply;
}

/// `sessions.messages.unsubscribe`: hear it no longer.
pub enum MessagesUnsubscribe {}

impl Method for MessagesUnsubscribe {
    const NAME: &'static str = "sessions.messages.unsubscribe";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = MessagesParams;
    type Reply = MessagesReply;
}

/// `params` of `sessions.messages.subscribe` and `.unsubscribe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessagesParams {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whether the reply says what waits for an approval.
    #[serde(default)]
    pub include_approvals: bool,
}

/// `payload` of `sessions.messages.subscribe` and `.unsubscribe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesReply {
    /// Whether it is heard from now on.
    pub subscribed: bool,
    /// Canonical.
    pub key: String,
}
