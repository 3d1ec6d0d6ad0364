//! `system-presence`, and the event `presence`: who is connected.

use serde::{Deserialize, Serialize};

use crate::{Method, Scope};

/// `system-presence`: who is connected, the gateway first.
pub enum SystemPresence {}

impl Method for SystemPresence {
    const NAME: &'static str = "system-presence";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = PresenceParams;
    type Reply = Vec<Entry>;
}

/// `params` of `system-presence`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceParams {}

/// The event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Presence {
    /// All of them, the gateway first.
    pub presence: Vec<Entry>,
}

/// One that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// What it calls itself, or the host that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where it connects from; absent for what is on the control socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
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
    /// Which kind of program: `webchat`, `ui`, `node`, …; `gateway` for the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Since a person last did something there, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_input_seconds: Option<u64>,
    /// Why it is told: `self`, `connect`, `disconnect`, or what a beacon says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// All of it in one line, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it was last heard of, in Unix milliseconds.
    pub ts: u64,
    /// The device identity that it proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// `operator`, `node`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Stable for one process or tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The client's id, such as `openclaw-tui`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it connected, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_since: Option<u64>,
}
