//! `exec.approval.*`, a decision about one command, and `exec.approvals.*`, the document that says what needs one.

mod ledger;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Method, Scope};

pub use ledger::*;

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It may run this time.
    AllowOnce,
    /// It may run whenever it is asked for in this way.
    AllowAlways,
    /// It may not.
    Deny,
}

/// `exec.approval.request`: ask whoever may approve. Answers with the decision, or at once with `twoPhase`.
pub enum Request {}

impl Method for Request {
    const NAME: &'static str = "exec.approval.request";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = RequestParams;
    type Reply = RequestReply;
}

/// `exec.approval.waitDecision`: the decision about what was asked for.
pub enum WaitDecision {}

impl Method for WaitDecision {
    const NAME: &'static str = "exec.approval.waitDecision";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = IdParams;
    type Reply = Decided;
}

/// `exec.approval.resolve`: decide.
pub enum Resolve {}

impl Method for Resolve {
    const NAME: &'static str = "exec.approval.resolve";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = ResolveParams;
    type Reply = Done;
}

/// `exec.approval.list`: what waits for a decision, the oldest first.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "exec.approval.list";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = NoParams;
    type Reply = Vec<Pending>;
}

/// `exec.approval.get`: one that waits, as a person is shown it.
pub enum Get {}

impl Method for Get {
    const NAME: &'static str = "exec.approval.get";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = IdParams;
    type Reply = Shown;
}

/// `exec.approvals.get`: the document.
pub enum PolicyGet {}

impl Method for PolicyGet {
    const NAME: &'static str = "exec.approvals.get";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = NoParams;
    type Reply = Policy;
}

/// `exec.approvals.set`: replace the document, as it was read.
pub enum PolicySet {}

impl Method for PolicySet {
    const NAME: &'static str = "exec.approvals.set";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = PolicyParams;
    type Reply = Policy;
}

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoParams {}

/// `{ok: true}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// Names one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdParams {
    /// Its id.
    pub id: String,
}

/// `params` of `exec.approval.request`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RequestParams {
    /// The caller's own id of it; one is made where it is absent.
    pub id: Option<String>,
    /// With true the answer comes at once, and the decision by `exec.approval.waitDecision`.
    pub two_phase: Option<bool>,
    /// Milliseconds until nobody is waited for any longer.
    pub timeout_ms: Option<u64>,
    /// What is asked.
    #[serde(flatten)]
    pub request: Asked,
}

/// What is asked, as it is shown. Absent values are null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// The whole command.
    pub command: Option<String>,
    /// Its words, where no shell is to read it.
    pub command_argv: Option<Vec<String>>,
    /// The folder that it is to run in.
    pub cwd: Option<String>,
    /// `gateway`, `node`.
    pub host: Option<String>,
    /// The policy that asked.
    pub security: Option<String>,
    /// The policy that asked.
    pub ask: Option<String>,
    /// The agent that wants it.
    pub agent_id: Option<String>,
    /// The program's file, links followed.
    pub resolved_path: Option<String>,
    /// SHA-256 of that file, in hex.
    pub resolved_sha256: Option<String>,
    /// The conversation.
    pub session_key: Option<String>,
    /// The turn.
    pub run_id: Option<String>,
    /// The model's call.
    pub tool_call_id: Option<String>,
    /// The node that it is to run on.
    pub node_id: Option<String>,
    /// The names of the environment that it gets.
    pub env_keys: Option<Vec<String>>,
    /// What a person should think of.
    pub warning_text: Option<String>,
    /// The decisions that there are.
    pub allowed_decisions: Option<Vec<Decision>>,
}

/// `payload` of `exec.approval.request`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RequestReply {
    /// The decision.
    Decided(Decided),
    /// With `twoPhase`.
    Accepted(Accepted),
}

/// It is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// `accepted`.
    pub status: String,
    /// Of the request.
    pub id: String,
    /// `operator` where somebody was asked, `none` where there is nobody.
    pub delivery_route: String,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// Of the request.
    pub id: String,
    /// Null where nobody decided.
    pub decision: Option<Decision>,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
    /// `user`, `expired`, `aborted`, `no-approval-route`.
    pub terminal_reason: String,
}

/// `params` of `exec.approval.resolve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolveParams {
    /// Of the request.
    pub id: String,
    /// `allow-once`, `allow-always`, `deny`.
    pub decision: String,
}

/// One that waits; also the payload of `exec.approval.requested`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Its id.
    pub id: String,
    /// `exec`.
    pub approval_kind: String,
    /// What is asked.
    pub request: Asked,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
}

/// The event `exec.approval.resolved`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Its id.
    pub id: String,
    /// Null where nobody decided.
    pub decision: Option<Decision>,
    /// `user`, `expired`, `aborted`, `no-approval-route`.
    pub terminal_reason: String,
    /// Who decided.
    pub resolved_by: Option<String>,
    /// What was asked.
    pub request: Asked,
    /// Unix milliseconds.
    pub ts: u64,
}

/// `payload` of `exec.approval.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// The whole command.
    pub command_text: String,
    /// The same: nothing of it is left out.
    pub command_preview: String,
    /// The decisions that there are.
    pub allowed_decisions: Vec<Decision>,
    /// `gateway`, `node`.
    pub host: Option<String>,
    /// The node that it is to run on.
    pub node_id: Option<String>,
    /// The agent that wants it.
    pub agent_id: Option<String>,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
}

/// `params` of `exec.approvals.set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyParams {
    /// The document.
    pub file: Map<String, Value>,
    /// The hash of what was read; needed where there is a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// The document, without the token in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Where it is.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// SHA-256 of its text, in hex; of nothing where it is not there.
    pub hash: String,
    /// What it says.
    pub file: Value,
    /// What holds for agents that it does not name: `{security, ask, askFallback}`.
    pub resolved_defaults: Value,
}
