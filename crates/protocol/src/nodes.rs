//! `node.*`: devices that do what they are asked, as far as somebody has allowed it.

mod pending;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approvals::{Done, NoParams};
use crate::{Callers, Method, Scope};

pub use pending::*;

/// `node.list`: all that are known or connected.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "node.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = NoParams;
    type Reply = ListReply;
}

/// `node.describe`: one of them.
pub enum Describe {}

impl Method for Describe {
    const NAME: &'static str = "node.describe";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = NodeParams;
    type Reply = Node;
}

/// `node.rename`: what people call it.
pub enum Rename {}

impl Method for Rename {
    const NAME: &'static str = "node.rename";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RenameParams;
    type Reply = Renamed;
}

/// `node.pair.list`: what waits for approval, and what has it.
pub enum PairList {}

impl Method for PairList {
    const NAME: &'static str = "node.pair.list";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = NoParams;
    type Reply = PairListReply;
}

/// `node.pair.approve`: the node may be asked for what it has declared.
pub enum PairApprove {}

impl Method for PairApprove {
    const NAME: &'static str = "node.pair.approve";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RequestParams;
    type Reply = Approved;
}

/// `node.pair.reject`: it may not.
pub enum PairReject {}

impl Method for PairReject {
    const NAME: &'static str = "node.pair.reject";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RequestParams;
    type Reply = Rejected;
}

/// `node.pair.remove`: forget it.
pub enum PairRemove {}

impl Method for PairRemove {
    const NAME: &'static str = "node.pair.remove";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = NodeParams;
    type Reply = Removed;
}

/// `node.invoke`: ask a node to do something, and wait for it.
pub enum Invoke {}

impl Method for Invoke {
    const NAME: &'static str = "node.invoke";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = InvokeParams;
    type Reply = Invoked;
}

/// `node.invoke.result`: what came of it.
pub enum InvokeResult {}

impl Method for InvokeResult {
    const NAME: &'static str = "node.invoke.result";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = ResultParams;
    type Reply = Taken;
}

/// `node.event`: something happened at the node.
pub enum Event {}

impl Method for Event {
    const NAME: &'static str = "node.event";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = EventParams;
    type Reply = Done;
}

/// Names a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeParams {
    /// The id of its device.
    pub node_id: String,
}

/// Names a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RequestParams {
    /// Its id.
    pub request_id: String,
}

/// `payload` of `node.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListReply {
    /// Unix milliseconds.
    pub ts: u64,
    /// Those that are connected first.
    pub nodes: Vec<Node>,
}

/// What a node can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Surface {
    /// Kinds of things.
    pub caps: Vec<String>,
    /// Commands.
    pub commands: Vec<String>,
    /// What its system lets it do.
    pub permissions: Map<String, Value>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// The id of its device.
    pub node_id: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Such as `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Such as `iPhone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Such as `iPhone16,1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Where it connects from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
}

/// A node, as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// What it says of itself.
    #[serde(flatten)]
    pub about: About,
    /// What it can do, and may be asked for.
    #[serde(flatten)]
    pub surface: Surface,
    /// Whether it is known.
    pub paired: bool,
    /// Whether it is there.
    pub connected: bool,
    /// `approved`, `pending-approval`, `unapproved`.
    pub approval_state: String,
    /// What waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_request_id: Option<String>,
    /// What it has declared beyond what it may be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_caps: Option<Vec<String>>,
    /// See above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_commands: Option<Vec<String>>,
    /// See above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_permissions: Option<Map<String, Value>>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<u64>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at_ms: Option<u64>,
    /// With `node.describe`: Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<u64>,
}

/// `params` of `node.rename`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RenameParams {
    /// The id of its device.
    pub node_id: String,
    /// What people call it from now on.
    pub display_name: String,
}

/// `payload` of `node.rename`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Renamed {
    /// The id of its device.
    pub node_id: String,
    /// What people call it.
    pub display_name: String,
}

/// What a node has declared, and nobody has approved yet; also the event `node.pair.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Its id.
    pub request_id: String,
    /// Who wants it.
    #[serde(flatten)]
    pub about: About,
    /// What it wants to be asked for.
    #[serde(flatten)]
    pub surface: Surface,
    /// Whether it was approved before, with less.
    pub is_repair: bool,
    /// What an approver must be allowed to do.
    pub required_approve_scopes: Vec<String>,
    /// Unix milliseconds.
    pub ts: u64,
}

/// The event `node.pair.resolved`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Its id.
    pub request_id: String,
    /// The node.
    pub node_id: String,
    /// `approved`, `rejected`.
    pub decision: String,
    /// Unix milliseconds.
    pub ts: u64,
}

/// `payload` of `node.pair.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PairListReply {
    /// What waits.
    pub pending: Vec<Pending>,
    /// What was approved.
    pub paired: Vec<Node>,
}

/// `payload` of `node.pair.approve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// Its id.
    pub request_id: String,
    /// As it is now.
    pub node: Node,
}

/// `payload` of `node.pair.reject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its id.
    pub request_id: String,
    /// The node.
    pub node_id: String,
}

/// `payload` of `node.pair.remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The node.
    pub node_id: String,
}

/// `params` of `node.invoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InvokeParams {
    /// The id of its device.
    pub node_id: String,
    /// What it is to do.
    pub command: String,
    /// What the command needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// Milliseconds; 30 seconds where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// By which the node knows a repetition.
    pub idempotency_key: String,
}

/// `payload` of `node.invoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Invoked {
    /// Always true.
    pub ok: bool,
    /// The node.
    pub node_id: String,
    /// What it did.
    pub command: String,
    /// What came of it.
    pub payload: Value,
    /// The same as text, where the node sent text.
    #[serde(rename = "payloadJSON")]
    pub payload_json: Option<String>,
}

/// The event `node.invoke.request`, for that node alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InvokeRequest {
    /// Names it.
    pub id: String,
    /// The node.
    pub node_id: String,
    /// What it is to do.
    pub command: String,
    /// What the command needs, as text.
    #[serde(rename = "paramsJSON", default, skip_serializing_if = "Option::is_none")]
    pub params_json: Option<String>,
    /// How long the caller waits.
    pub timeout_ms: u64,
    /// By which the node knows a repetition.
    pub idempotency_key: String,
}

/// The event `node.invoke.cancel`, for that node alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InvokeCancel {
    /// Names it.
    pub invoke_id: String,
    /// The node.
    pub node_id: String,
}

/// `params` of `node.invoke.result`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResultParams {
    /// Names it.
    pub id: String,
    /// The node itself.
    pub node_id: String,
    /// Whether it worked.
    pub ok: bool,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The same as text.
    #[serde(rename = "payloadJSON", default, skip_serializing_if = "Option::is_none")]
    pub payload_json: Option<String>,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<NodeError>,
}

/// Why a node could not do it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NodeError {
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `payload` of `node.invoke.result`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Taken {
    /// Always true.
    pub ok: bool,
    /// True where nobody waited for it any longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
}

/// `params` of `node.event`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventParams {
    /// What happened.
    pub event: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The same as text.
    #[serde(rename = "payloadJSON", default, skip_serializing_if = "Option::is_none")]
    pub payload_json: Option<String>,
}
