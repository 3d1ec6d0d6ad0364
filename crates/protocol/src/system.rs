//! `system-event`, `wake`, `system.info`, `gateway.identity.get`: what devices tell a gateway, and what it says of itself.

use serde::{Deserialize, Serialize};

use crate::catalogues::Nothing;
use crate::presence::Entry;
use crate::{Method, Scope};

/// `system-event`: something that happened. It tells who is there, and the agent hears of it with its next turn.
pub enum SystemEvent {}

impl Method for SystemEvent {
    const NAME: &'static str = "system-event";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = SystemEventParams;
    type Reply = Done;
}

/// `params` of `system-event`: the text, and an entry of who is there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SystemEventParams {
    /// What happened.
    pub text: String,
    /// The conversation that is told; the default agent's main one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Who tells it.
    #[serde(flatten)]
    pub who: Beacon,
}

/// Who tells something.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Beacon {
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Which kind of program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Such as `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Such as `iPhone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Such as `iPhone16,1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Since a person last did something there, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_input_seconds: Option<u64>,
    /// Why it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `operator`, `node`: told, and no right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Told, and no right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// `payload` where there is nothing else to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Done {
    /// True.
    pub ok: bool,
}

/// `gateway.restart.request`: begin again once the turns under way are through.
pub enum RestartRequest {}

impl Method for RestartRequest {
    const NAME: &'static str = "gateway.restart.request";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = RestartParams;
    type Reply = RestartReply;
}

/// `gateway.restart.preflight`: what a restart would wait for now.
pub enum RestartPreflight {}

impl Method for RestartPreflight {
    const NAME: &'static str = "gateway.restart.preflight";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = crate::approvals::NoParams;
    type Reply = Preflight;
}

/// `payload` of `gateway.restart.preflight`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preflight {
    /// Whether a restart would wait for nothing.
    pub safe: bool,
    /// What is under way.
    pub counts: PreflightCounts,
    /// What it would wait for.
    pub blockers: Vec<PreflightBlocker>,
    /// The same for people.
    pub summary: String,
}

/// What is under way. Numbers of what this program does not have are always 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PreflightCounts {
    /// Messages that wait for their turn.
    pub queue_size: usize,
    /// Always 0.
    pub pending_replies: usize,
    /// Turns.
    pub embedded_runs: usize,
    /// Always 0.
    pub cron_runs: usize,
    /// Always 0.
    pub background_exec_sessions: usize,
    /// Always 0.
    pub root_requests: usize,
    /// Always 0.
    pub active_tasks: usize,
    /// All of them.
    pub total_active: usize,
}

/// Something that a restart would wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreflightBlocker {
    /// `embedded-run`, `queue`.
    pub kind: String,
    /// How many.
    pub count: usize,
    /// For people.
    pub message: String,
}

/// `params` of `gateway.restart.request`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RestartParams {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the conversation is told afterwards, beside that it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The conversation that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// Reply of `gateway.restart.request`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RestartReply {
    /// True.
    pub ok: bool,
    /// `deferred` while turns are under way, else `restarting`.
    pub status: String,
    /// Turns that are waited for.
    pub turns: usize,
    /// `{version, payload}`: what is kept for the conversation.
    pub sentinel: serde_json::Value,
}

/// `wake`: tell a conversation something, and begin a turn about it if that is wanted.
pub enum Wake {}

impl Method for Wake {
    const NAME: &'static str = "wake";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = WakeParams;
    type Reply = Done;
}

/// `params` of `wake`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WakeParams {
    /// When.
    pub mode: WakeMode,
    /// What happened.
    pub text: String,
    /// The conversation; the agent's main one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// When an agent hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// A turn begins.
    Now,
    /// With the next turn: this version has no heartbeat of its own.
    NextHeartbeat,
}

/// `system.info`: what the gateway runs on.
pub enum SystemInfo {}

impl Method for SystemInfo {
    const NAME: &'static str = "system.info";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = SystemInfoReply;
}

/// `payload` of `system.info`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SystemInfoReply {
    /// The host's name.
    pub hostname: String,
    /// Such as `linux`.
    pub platform: String,
    /// Such as `x86_64`.
    pub arch: String,
    /// Processors that it may use.
    pub cpu_count: u64,
    /// Of the process.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// The instance's name.
    pub instance: String,
    /// The port that it listens on.
    pub port: u16,
    /// Milliseconds since it was ready.
    pub uptime_ms: u64,
}

/// `gateway.identity.get`: the key by which this instance can be known again.
pub enum GatewayIdentity {}

impl Method for GatewayIdentity {
    const NAME: &'static str = "gateway.identity.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = GatewayIdentityReply;
}

/// `payload` of `gateway.identity.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GatewayIdentityReply {
    /// SHA-256 of the public key, in hexadecimal.
    pub device_id: String,
    /// Ed25519, base64url without padding.
    pub public_key: String,
}

impl From<Beacon> for Entry {
    fn from(it: Beacon) -> Self {
        Self {
            host: it.host,
            ip: it.ip,
            version: it.version,
            platform: it.platform,
            device_family: it.device_family,
            model_identifier: it.model_identifier,
            mode: it.mode,
            last_input_seconds: it.last_input_seconds,
            reason: it.reason,
            tags: it.tags,
            device_id: it.device_id,
            roles: it.roles,
            scopes: it.scopes,
            instance_id: it.instance_id,
            ..Self::default()
        }
    }
}
