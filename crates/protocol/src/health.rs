//! `health`, `status`: how the gateway is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reload::ReloadReport;
use crate::{Callers, Method, Scope};

/// `health`: the cheap answer; every connection may ask.
pub enum Health {}

impl Method for Health {
    const NAME: &'static str = "health";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Both;
    type Params = HealthParams;
    type Reply = HealthReply;
}

/// `params` of `health`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthParams {
    /// Look afresh instead of answering from what is known.
    #[serde(default)]
    pub probe: bool,
}

/// `payload` of `health`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthReply {
    /// Whether the gateway can do its work.
    pub ok: bool,
    /// Unix milliseconds.
    pub ts: u64,
    /// How long the answer took to make.
    pub duration_ms: u64,
    /// Who answers, so that nobody takes one gateway for another.
    pub instance: InstanceInfo,
    /// By channel id.
    pub channels: Map<String, Value>,
    /// Channel ids in order.
    pub channel_order: Vec<String>,
    /// Names for people, by channel id.
    pub channel_labels: Map<String, Value>,
    /// Of the default agent; 0 where no heartbeat runs.
    pub heartbeat_seconds: u64,
    /// The agent of a request that names none.
    pub default_agent_id: String,
    /// Each agent with its sessions.
    pub agents: Vec<AgentHealth>,
    /// Of the default agent.
    pub sessions: SessionsHealth,
    /// What is wrong, for people. Empty when `ok`.
    pub problems: Vec<String>,
    /// `{hotReloadStatus}`: whether a changed config is looked at, `active` or `disabled`.
    #[serde(default)]
    pub config_reload: Value,
}

/// Which gateway this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InstanceInfo {
    /// The name, such as `main`.
    pub name: String,
    /// The process.
    pub pid: u32,
    /// The base port.
    pub port: u16,
    /// Unix milliseconds of its start.
    pub since: u64,
    /// Of the program.
    pub version: String,
    /// Whether nothing of its config is in force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub safe_mode: bool,
}

/// One agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    /// Its id.
    pub agent_id: String,
    /// Whether requests that name no agent go to it.
    pub is_default: bool,
    /// `{enabled, …}`.
    pub heartbeat: Value,
    /// Its conversations.
    pub sessions: SessionsHealth,
}

/// How many conversations, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionsHealth {
    /// The database.
    pub path: String,
    /// All of them.
    pub count: u64,
    /// The newest.
    pub recent: Vec<RecentSession>,
}

/// A conversation in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecentSession {
    /// Canonical.
    pub key: String,
    /// Unix milliseconds.
    pub updated_at: u64,
    /// Milliseconds since.
    pub age: u64,
}

/// What `GET /readyz` answers on the control socket; on TCP it is `ok` and `failing` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether the gateway can do its work.
    pub ok: bool,
    /// How many things are wrong.
    pub failing: usize,
    /// What is wrong, for people, `conflicts` included.
    pub problems: Vec<String>,
    /// What is not used here because another instance holds it.
    pub conflicts: Vec<String>,
    /// Who answers.
    pub instance: InstanceInfo,
    /// Where it keeps everything: who answers in the place of another is found out.
    pub state_dir: String,
    /// Milliseconds since it was ready.
    pub uptime_ms: u64,
    /// Conversations; absent where the database cannot be read.
    pub sessions: Option<u64>,
    /// Ids of the channels that are connected.
    pub channels: Vec<String>,
    /// The generation of the config in force; absent where none is kept.
    pub generation: Option<u64>,
    /// The mode of `gateway.bind` that it listens by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
}

/// `status`: what runs, for an operator's overview.
pub enum Status {}

impl Method for Status {
    const NAME: &'static str = "status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = StatusParams;
    type Reply = StatusReply;
}

/// `params` of `status`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusParams {
    /// Whether `channelSummary` is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_channel_summary: Option<bool>,
    /// Whether the model is asked whether it answers; this takes as long as the model does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deep: bool,
}

/// `payload` of `status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusReply {
    /// Of the program.
    pub runtime_version: String,
    /// Who answers.
    pub instance: InstanceInfo,
    /// Milliseconds since the gateway was ready.
    pub uptime_ms: u64,
    /// `{defaultAgentId, agents: […]}`.
    pub heartbeat: Value,
    /// A line a channel.
    pub channel_summary: Vec<String>,
    /// Texts that wait for the next turn.
    pub queued_system_events: Vec<String>,
    /// The model that a new turn would ask.
    pub model: ModelStatus,
    /// Connections on the control plane, the caller's included.
    pub connections: u64,
    /// Turns that run or wait now.
    pub active_runs: u64,
    /// The conversations.
    pub sessions: SessionsStatus,
    /// The ways by which messages come in.
    #[serde(default)]
    pub channels: Vec<ChannelStatus>,
    /// What is wrong, for people, `conflicts` included.
    #[serde(default)]
    pub problems: Vec<String>,
    /// What is not used here because another instance holds it.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// The config that is in force, and what became of the last change.
    #[serde(default)]
    pub config: ConfigStatus,
    /// Where it listens.
    #[serde(default)]
    pub listening: Listening,
}

/// Where a gateway listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// The mode, as in `gateway.bind`.
    pub bind: String,
    /// Each address with its port.
    pub addresses: Vec<String>,
    /// Whether a supervisor has opened the sockets.
    #[serde(default)]
    pub is_passed: bool,
    /// SHA-256 of the certificate, as `AA:BB:…`; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
    /// Requests with forwarding headers from an address that is no trusted proxy.
    #[serde(default)]
    pub unbelieved_forwards: u64,
}

/// One way by which messages come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// Its id, such as `webchat`.
    pub id: String,
    /// For people.
    pub label: String,
    /// Whether messages can come in.
    pub connected: bool,
    /// Unix milliseconds of the last thing that came in since the gateway was started.
    pub last_received_at: Option<u64>,
}

/// The config that is in force, and what became of the last change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigStatus {
    /// The generation that is in force; absent where it could not be kept.
    pub generation: Option<u64>,
    /// Whether that is what the file says.
    pub in_force: bool,
    /// Why the file is not in force, each with its place.
    #[serde(default)]
    pub refused: Vec<String>,
    /// What is to be said of the config in force: warnings and notes.
    #[serde(default)]
    pub findings: Vec<String>,
    /// How often the files were read since the start.
    #[serde(default)]
    pub looks: u64,
    /// What was done with the last change since the start.
    pub last: Option<ReloadReport>,
}

/// The model that a new turn would ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelStatus {
    /// `provider/model`.
    pub primary: String,
    /// Where that choice came from, for people: a config key, a variable's name, a local server.
    pub source: String,
    /// False while nothing but the built-in offline model is there.
    pub configured: bool,
    /// Whether it answers; only where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<ModelReach>,
}

/// Whether a model's provider answers, and takes the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelReach {
    /// Whether it does.
    pub ok: bool,
    /// How long that took.
    pub latency_ms: u64,
    /// Why it does not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The conversations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionsStatus {
    /// The databases.
    pub paths: Vec<String>,
    /// All of them.
    pub count: u64,
    /// `{model, contextTokens}`.
    pub defaults: Value,
    /// The newest, as rows of `sessions.list`.
    pub recent: Vec<Value>,
    /// `{agentId, path, count, recent}`.
    pub by_agent: Vec<Value>,
}
