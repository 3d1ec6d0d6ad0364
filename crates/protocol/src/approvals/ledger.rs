//! `approval.*`: the same decisions whatever they are about, also after they were made; and `exec.approvals.node.*`,
//! the document of a node.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Decision, IdParams};
use crate::{Method, Scope};

/// `approval.get`: one, while it waits and for a while after.
pub enum Find {}

impl Method for Find {
    const NAME: &'static str = "approval.get";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = IdParams;
    type Reply = Found;
}

/// `approval.resolve`: decide. The first answer counts, and every later one is told what it was.
pub enum Decide {}

impl Method for Decide {
    const NAME: &'static str = "approval.resolve";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = DecideParams;
    type Reply = DecideReply;
}

/// `approval.history`: the last that have ended since the gateway began, the last one first.
pub enum History {}

impl Method for History {
    const NAME: &'static str = "approval.history";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = HistoryParams;
    type Reply = HistoryReply;
}

/// `exec.approvals.node.get`: the document of a node, which the node is asked for.
pub enum NodePolicyGet {}

impl Method for NodePolicyGet {
    const NAME: &'static str = "exec.approvals.node.get";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = NodePolicyParams;
    type Reply = Value;
}

/// `exec.approvals.node.set`: replace the document of a node, as it was read.
pub enum NodePolicySet {}

impl Method for NodePolicySet {
    const NAME: &'static str = "exec.approvals.node.set";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = NodePolicySetParams;
    type Reply = Value;
}

/// What an approval is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A command.
    Exec,
    /// Something of a plugin: there is none here.
    Plugin,
    /// Something of the program's own agent: there is none here.
    SystemAgent,
}

/// How an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits.
    Pending,
    /// A person allowed it.
    Allowed,
    /// A person refused it, or there was nobody to ask.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Who wanted it wants it no longer.
    Cancelled,
}

/// An approval, as whoever may decide is shown it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: Status,
    /// What is asked.
    pub presentation: Presentation,
    /// Where a page of it would be; pages that have one make their links of it.
    pub url_path: String,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
    /// How it ended.
    #[serde(flatten)]
    pub end: Option<Ended>,
}

/// How an approval ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Unix milliseconds.
    pub resolved_at_ms: u64,
    /// `user`, `timeout`, `no-route`, `run-aborted`.
    pub reason: String,
    /// Absent where nobody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Who wanted it.
    pub source: Source,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
}

/// Who wanted an approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolver {
    /// `device`, or `runtime` for a program without one.
    pub kind: String,
    /// The device, or the program.
    pub id: String,
}

/// What is asked; nothing of the environment or the folder is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Presentation {
    /// `exec`.
    pub kind: Kind,
    /// The whole command.
    pub command_text: String,
    /// The same: nothing of it is left out.
    pub command_preview: Option<String>,
    /// What a person should think of.
    pub warning_text: Option<String>,
    /// `gateway`, `node`.
    pub host: Option<String>,
    /// The node that it is to run on.
    pub node_id: Option<String>,
    /// The agent that wants it.
    pub agent_id: Option<String>,
    /// The decisions that there are.
    pub allowed_decisions: Vec<Decision>,
}

/// `payload` of `approval.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Found {
    /// It.
    pub approval: Snapshot,
}

/// `params` of `approval.resolve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecideParams {
    /// Of the approval.
    pub id: String,
    /// What it is about, by the caller's account: another kind is another approval.
    pub kind: Kind,
    /// What is decided.
    pub decision: Decision,
    /// Who decides by way of a channel: no channel has a say here, and it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Value>,
    /// When `allow-always` ends: refused here, as what is always allowed has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_expires_in_days: Option<u32>,
}

/// `payload` of `approval.resolve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DecideReply {
    /// Whether this answer was the first.
    pub applied: bool,
    /// How it stands.
    pub approval: Snapshot,
}

/// `params` of `approval.history`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HistoryParams {
    /// `nextCursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// 1 to 100; 50 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

/// `payload` of `approval.history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HistoryReply {
    /// The last one first.
    pub items: Vec<Snapshot>,
    /// Of the page after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `params` of `exec.approvals.node.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyParams {
    /// The node.
    pub node_id: String,
}

/// `params` of `exec.approvals.node.set`: `file`, or `native` with `baseHash`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodePolicySetParams {
    /// The node.
    pub node_id: String,
    /// The document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Map<String, Value>>,
    /// The policy of a node that has one of its own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Map<String, Value>>,
    /// The hash of what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}
