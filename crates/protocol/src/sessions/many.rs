//! The methods about many conversations at once: words in them, changes to them, and the groups that they are in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ListParams, Row};
use crate::approvals::NoParams;
use crate::{Method, Refusal, Scope};

/// `sessions.search`: messages that have all of some words.
pub enum Search {}

impl Method for Search {
    const NAME: &'static str = "sessions.search";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = SearchParams;
    type Reply = SearchReply;
}

/// `sessions.patchMany`: the same change to several conversations, each for itself.
pub enum PatchMany {}

impl Method for PatchMany {
    const NAME: &'static str = "sessions.patchMany";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = PatchManyParams;
    type Reply = PatchManyReply;
}

/// `sessions.groups.list`: the groups, in their order.
pub enum GroupsList {}

impl Method for GroupsList {
    const NAME: &'static str = "sessions.groups.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = NoParams;
    type Reply = GroupsReply;
}

/// `sessions.groups.put`: all groups in their order. One with conversations in it cannot be left out.
pub enum GroupsPut {}

impl Method for GroupsPut {
    const NAME: &'static str = "sessions.groups.put";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = GroupsPutParams;
    type Reply = GroupsReply;
}

/// `sessions.groups.rename`: another name for a group, and for all that are in it.
pub enum GroupsRename {}

impl Method for GroupsRename {
    const NAME: &'static str = "sessions.groups.rename";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = GroupsRenameParams;
    type Reply = GroupsReply;
}

/// `sessions.groups.delete`: no such group; its conversations are in none.
pub enum GroupsDelete {}

impl Method for GroupsDelete {
    const NAME: &'static str = "sessions.groups.delete";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = GroupsDeleteParams;
    type Reply = GroupsReply;
}

/// `params` of `sessions.search`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchParams {
    /// Words, all of which must be in one message, in any case.
    pub query: String,
    /// 1 to 25; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only in conversations of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only in these, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_keys: Option<Vec<String>>,
    /// Only in those that `sessions.list` would list, at most 1000; not beside the two before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ListParams>,
}

/// `payload` of `sessions.search`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchReply {
    /// The best first.
    pub results: Vec<SearchHit>,
    /// With `scope`: the conversations of the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<Row>>,
    /// Whether there is more that was not looked through, or not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// The conversation.
    pub session_key: String,
    /// Its transcript.
    pub session_id: String,
    /// The message.
    pub message_id: String,
    /// `user` or `assistant`.
    pub role: String,
    /// Unix milliseconds.
    pub timestamp: u64,
    /// What stands around the first word.
    pub snippet: String,
    /// To compare results of one search by.
    pub score: f64,
}

/// `params` of `sessions.patchMany`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchManyParams {
    /// 1 to 100 of them.
    pub targets: Vec<PatchTarget>,
    /// What `sessions.patch` takes beside the keys of a target.
    pub patch: Map<String, Value>,
}

/// A conversation that is changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatchTarget {
    /// `main` or a canonical key.
    pub key: String,
    /// The agent of a key that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The transcript's id that the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_id: Option<String>,
    /// The `lifecycleRevision` that the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_lifecycle_revision: Option<String>,
}

/// `payload` of `sessions.patchMany`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchManyReply {
    /// What became of each, in their order.
    pub outcomes: Vec<PatchOutcome>,
}

/// What became of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatchOutcome {
    /// Whether it was changed.
    pub ok: bool,
    /// As the caller named it.
    pub key: String,
    /// As the caller named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// `params` of `sessions.groups.put`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupsPutParams {
    /// All of them, in their order: at most 200 names of 1 to 128 bytes.
    pub names: Vec<String>,
    /// How a page orders its sections; kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_order: Option<Vec<String>>,
}

/// `params` of `sessions.groups.rename`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupsRenameParams {
    /// As it is.
    pub name: String,
    /// As it shall be; one that is there already takes in its conversations.
    pub to: String,
}

/// `params` of `sessions.groups.delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupsDeleteParams {
    /// Its name.
    pub name: String,
}

/// `payload` of the methods of groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupsReply {
    /// True where something was changed; absent with `sessions.groups.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// In their order.
    pub groups: Vec<Group>,
    /// How a page orders its sections.
    pub section_order: Vec<String>,
    /// How many conversations were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_sessions: Option<usize>,
}

/// A group of conversations: those whose `category` it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its place, from 0.
    pub position: usize,
}
