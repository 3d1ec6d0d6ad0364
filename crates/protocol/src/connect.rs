//! `connect`: the first request of a connection, and `hello-ok`, its reply.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::frame::StateVersion;
use crate::presence::Entry;
use crate::{Method, Scope};

/// `connect`: say who you are and what you want. Answered outside the method table, once.
pub enum Connect {}

impl Method for Connect {
    const NAME: &'static str = "connect";
    const SCOPE: Option<Scope> = None;
    type Params = ConnectParams;
    type Reply = HelloOk;
}

/// The client ids that a gateway takes.
pub const CLIENT_IDS: [&str; 17] = [
    "webchat-ui",
    "openclaw-control-ui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-ios",
    "openclaw-android",
    "node-host",
    "test",
    "fingerprint",
    "openclaw-probe",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "openclaw-linux",
    "openclaw-watchos",
    "openclaw-worker",
];

/// The client modes that a gateway takes on its ordinary path.
pub const CLIENT_MODES: [&str; 7] = ["webchat", "cli", "ui", "backend", "node", "probe", "test"];

/// The capability without which a connection gets no tool events.
pub const CAP_TOOL_EVENTS: &str = "tool-events";

/// The capability by which a connection hears of those conversations alone that it has subscribed to.
pub const CAP_SESSION_SCOPED: &str = "session-scoped-events";

/// `params` of `connect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConnectParams {
    /// Lowest version that the client speaks.
    pub min_protocol: u32,
    /// Highest version that the client speaks.
    pub max_protocol: u32,
    /// The program that connects.
    pub client: Client,
    /// `operator` (also when absent) or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The scopes that the client asks for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What the client can do with events.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Of a node: what it can be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Of a node: what its system lets it do.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub permissions: serde_json::Map<String, Value>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Credentials>,
    /// Its device identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// The program that connects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// One of [`CLIENT_IDS`].
    pub id: String,
    /// Free text.
    pub version: String,
    /// Free text, such as `linux`.
    pub platform: String,
    /// One of [`CLIENT_MODES`].
    pub mode: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Such as `iPhone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Such as `iPhone16,1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Stable for one process or tab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

/// What a client proves itself with. `token` and `password` are the two names of the shared secret.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The gateway token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The gateway password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A token that a gateway gave to a paired device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// A setup code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// A device that proves that it holds a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Hex SHA-256 of the raw public key.
    pub id: String,
    /// The raw Ed25519 key, base64url without padding.
    pub public_key: String,
    /// Over the string that the protocol prescribes, base64url.
    pub signature: String,
    /// Unix milliseconds.
    pub signed_at: u64,
    /// The nonce of the challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// `hello-ok`: valid for protocol 3 and 4 alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    /// Always `hello-ok`.
    pub r#type: String,
    /// The negotiated version.
    pub protocol: u32,
    /// Who answers.
    pub server: Server,
    /// What can be asked and heard.
    pub features: Features,
    /// How things stand.
    pub snapshot: Snapshot,
    /// What was granted.
    pub auth: Granted,
    /// The limits.
    pub policy: Policy,
}

/// Who answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Of the program.
    pub version: String,
    /// The instance's name, so that no client takes one gateway for another.
    #[serde(default)]
    pub instance: String,
    /// Process id of the gateway.
    #[serde(default)]
    pub pid: u32,
    /// The base port.
    #[serde(default)]
    pub port: u16,
    /// The host's name; protocol 3 clients show it.
    #[serde(default)]
    pub host: String,
    /// Changes with each start.
    #[serde(default)]
    pub boot_id: String,
    /// This connection.
    pub conn_id: String,
    /// `configured`: the gateway does not own the build of the page that it serves.
    #[serde(default)]
    pub control_ui_build_source: String,
}

/// What can be asked and heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Features {
    /// Methods by name.
    pub methods: Vec<String>,
    /// Events by name.
    pub events: Vec<String>,
}

/// How things stand at the time of the hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Who is connected, the gateway first.
    pub presence: Vec<Entry>,
    /// The reply of `health`.
    pub health: Value,
    /// Of the two above.
    pub state_version: StateVersion,
    /// Since the gateway was ready.
    pub uptime_ms: u64,
    /// The names that session keys are made of.
    pub session_defaults: SessionDefaults,
    /// The config file; for admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// `token` or `password`; for admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
    /// The state folder; for admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
}

/// The names that session keys are made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    /// The agent of a request that names none.
    pub default_agent_id: String,
    /// What `main` stands for in a key.
    pub main_key: String,
    /// The key of the default agent's main session.
    pub main_session_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
    /// Whether somebody chose a model, or a key for one.
    #[serde(default)]
    pub model_configured: bool,
    /// Whether a request has to say which of several agents it means.
    #[serde(default)]
    pub selection_required: bool,
}

/// What was granted.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// How the caller was known: `token`, `password`, `device-token`, `bootstrap-token`, or `local` for the owner on the
    /// control socket.
    pub method: String,
    /// `operator` or `node`.
    pub role: String,
    /// May be fewer than were asked for.
    pub scopes: Vec<String>,
    /// A token that the device is to keep: it is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// When that was made, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
    /// Where a setup code made several, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_tokens: Vec<Issued>,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({} as {}: {:?})", self.method, self.role, self.scopes)
    }
}

/// A token that was made for a device.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// The token.
    pub device_token: String,
    /// What it makes of its holder.
    pub role: crate::Role,
    /// What it lets its holder do.
    pub scopes: Vec<String>,
    /// Unix milliseconds.
    pub issued_at_ms: u64,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({}: {:?})", self.role.name(), self.scopes)
    }
}

/// The limits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Bytes of a frame from the client.
    pub max_payload: usize,
    /// Bytes that may wait for a slow client.
    pub max_buffered_bytes: usize,
    /// Between two ticks.
    pub tick_interval_ms: u64,
}
