//! `node.pending.*`, what waits for a node that sleeps, and what else a node host sends while it works.

use serde::{Deserialize, Serialize};

use super::Taken;
use crate::approvals::NoParams;
use crate::{Callers, Method, Scope};

/// `node.pending.enqueue`: something that a node should do when it comes.
pub enum PendingEnqueue {}

impl Method for PendingEnqueue {
    const NAME: &'static str = "node.pending.enqueue";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = EnqueueParams;
    type Reply = Enqueued;
}

/// `node.pending.drain`: the node takes what it should do.
pub enum PendingDrain {}

impl Method for PendingDrain {
    const NAME: &'static str = "node.pending.drain";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = DrainParams;
    type Reply = Drained;
}

/// `node.pending.pull`: commands that the node could not do in the background.
pub enum PendingPull {}

impl Method for PendingPull {
    const NAME: &'static str = "node.pending.pull";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = NoParams;
    type Reply = Pulled;
}

/// `node.pending.ack`: the node has done them.
pub enum PendingAck {}

impl Method for PendingAck {
    const NAME: &'static str = "node.pending.ack";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = AckParams;
    type Reply = Acked;
}

/// `node.invoke.progress`: a piece of a result under way. Nobody who asks here reads pieces: it is checked and let go.
pub enum InvokeProgress {}

impl Method for InvokeProgress {
    const NAME: &'static str = "node.invoke.progress";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = ProgressParams;
    type Reply = Taken;
}

/// What a node may be told to do when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Work {
    /// To say how it is.
    #[serde(rename = "status.request")]
    Status,
    /// To say where it is.
    #[serde(rename = "location.request")]
    Location,
}

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// What is always asked for; nobody can ask for it.
    Default,
    /// As it came.
    Normal,
    /// Before the others.
    High,
}

/// `params` of `node.pending.enqueue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EnqueueParams {
    /// The node.
    pub node_id: String,
    /// What it should do. One of a kind waits at most.
    #[serde(rename = "type")]
    pub work: Work,
    /// `normal` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// 1000 to 86400000 milliseconds; a day where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// Whether to wake a node that sleeps; nothing here can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<bool>,
}

/// Something that a node should do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkItem {
    /// Its id.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub work: Work,
    /// What goes first.
    pub priority: Priority,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds; null where it does not end.
    pub expires_at_ms: Option<u64>,
}

/// `payload` of `node.pending.enqueue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Enqueued {
    /// The node.
    pub node_id: String,
    /// Raised with each change of what waits for it.
    pub revision: u64,
    /// What waits: this one, or the one of its kind that waited already.
    pub queued: WorkItem,
    /// Always false: no node is woken from here.
    pub wake_triggered: bool,
}

/// `params` of `node.pending.drain`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DrainParams {
    /// 1 to 10; 4 where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<usize>,
}

/// `payload` of `node.pending.drain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// The node.
    pub node_id: String,
    /// Raised with each change of what waits for it.
    pub revision: u64,
    /// What it should do; to say how it is, is always among it.
    pub items: Vec<WorkItem>,
    /// Whether more waits.
    pub has_more: bool,
}

/// A command that a node could not do in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its id.
    pub id: String,
    /// What it is to do.
    pub command: String,
    /// What the command needs, as JSON.
    #[serde(rename = "paramsJSON")]
    pub params_json: Option<String>,
    /// Unix milliseconds.
    pub enqueued_at_ms: u64,
}

/// `payload` of `node.pending.pull`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    /// The node.
    pub node_id: String,
    /// The oldest first.
    pub actions: Vec<Action>,
}

/// `params` of `node.pending.ack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AckParams {
    /// Those that it has done.
    pub ids: Vec<String>,
}

/// `payload` of `node.pending.ack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Acked {
    /// The node.
    pub node_id: String,
    /// Those that it has done.
    pub acked_ids: Vec<String>,
    /// How many it has not.
    pub remaining_count: usize,
}

/// `params` of `node.invoke.progress`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProgressParams {
    /// What it is a piece of.
    pub invoke_id: String,
    /// The node.
    pub node_id: String,
    /// Its number.
    pub seq: u64,
    /// At most 16384 bytes.
    pub chunk: String,
}
