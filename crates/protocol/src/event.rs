//! Events: their names, who may hear them, and the payloads of a turn.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Scope;

/// What happened, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Still here; every connection, at the policy's interval.
    Tick,
    /// The health snapshot changed.
    Health,
    /// Who is connected changed.
    Presence,
    /// The gateway stops.
    Shutdown,
    /// A turn's steps: lifecycle, text, tools.
    Agent,
    /// A turn as a conversation shows it.
    Chat,
    /// A person is asked whether a command may run.
    ExecApprovalRequested,
    /// That question has ended.
    ExecApprovalResolved,
    /// A node has declared what nobody has approved yet.
    NodePairRequested,
    /// Somebody has decided about that.
    NodePairResolved,
    /// A node is asked to do something.
    NodeInvokeRequest,
    /// Nobody waits for that any longer.
    NodeInvokeCancel,
    /// What can be chosen in a conversation changed.
    ChatMetadataChanged,
    /// A conversation changed, as lists show it.
    SessionsChanged,
    /// Something was said, as the transcript has it.
    SessionMessage,
    /// A tool's step, for those who follow the conversation without taking the run's own steps.
    SessionTool,
    /// A device wants to be let in.
    DeviceRequested,
    /// It is, or is not.
    DeviceResolved,
    /// A paired device, or a token of it, changed.
    DeviceChanged,
}

/// How a slow client is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenSlow {
    /// The event is left out; the client sees a gap in `seq`.
    Skip,
    /// The connection is closed: without this event the client would be wrong for good.
    Close,
}

/// Who hears an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Every connection, nodes as well.
    Everybody,
    /// Operators with this scope.
    With(Scope),
    /// The one connection that it is for.
    OneAlone,
}

/// One line of the table of events.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub name: Name,
    /// The name on the wire.
    pub wire: &'static str,
    /// Who hears it.
    pub hears: Hears,
    /// What becomes of it where a client is slow.
    pub slow: WhenSlow,
}

const fn row(name: Name, wire: &'static str, hears: Hears, slow: WhenSlow) -> Row {
    Row { name, wire, hears, slow }
}

impl Name {
    /// Every event there is, in the order in which `hello-ok` lists them, and in that of [`Name`].
    pub const TABLE: &[Row] = &[
        row(Name::Tick, "tick", Hears::Everybody, WhenSlow::Skip),
        row(Name::Health, "health", Hears::Everybody, WhenSlow::Close),
        row(Name::Presence, "presence", Hears::With(Scope::Read), WhenSlow::Skip),
        row(Name::Shutdown, "shutdown", Hears::Everybody, WhenSlow::Close),
        row(Name::Agent, "agent", Hears::With(Scope::Read), WhenSlow::Close),
        row(Name::Chat, "chat", Hears::With(Scope::Read), WhenSlow::Close),
        row(
            Name::ExecApprovalRequested,
            "exec.approval.requested",
            Hears::With(Scope::Approvals),
            WhenSlow::Close,
        ),
        row(
            Name::ExecApprovalResolved,
            "exec.approval.resolved",
            Hears::With(Scope::Approvals),
            WhenSlow::Close,
        ),
        row(Name::NodePairRequested, "node.pair.requested", Hears::With(Scope::Pairing), WhenSlow::Close),
        row(Name::NodePairResolved, "node.pair.resolved", Hears::With(Scope::Pairing), WhenSlow::Close),
        row(Name::NodeInvokeRequest, "node.invoke.request", Hears::OneAlone, WhenSlow::Close),
        row(Name::NodeInvokeCancel, "node.invoke.cancel", Hears::OneAlone, WhenSlow::Close),
        row(Name::ChatMetadataChanged, "chat.metadata.changed", Hears::With(Scope::Read), WhenSlow::Skip),
        row(Name::SessionsChanged, "sessions.changed", Hears::With(Scope::Read), WhenSlow::Skip),
        row(Name::SessionMessage, "session.message", Hears::With(Scope::Read), WhenSlow::Close),
        row(Name::SessionTool, "session.tool", Hears::With(Scope::Read), WhenSlow::Skip),
        row(Name::DeviceRequested, "device.pair.requested", Hears::With(Scope::Pairing), WhenSlow::Close),
        row(Name::DeviceResolved, "device.pair.resolved", Hears::With(Scope::Pairing), WhenSlow::Close),
        row(Name::DeviceChanged, "device.pair.changed", Hears::With(Scope::Pairing), WhenSlow::Close),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        self.row().wire
    }

    /// Its line.
    pub fn row(self) -> &'static Row {
        &Self::TABLE[self as usize]
    }
}

/// The event before any other: `{nonce, ts}`.
pub const CHALLENGE: &str = "connect.challenge";

/// `chat`: a turn as a conversation shows it. One terminal state a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// The run; equals the caller's idempotency key.
    pub run_id: String,
    /// Canonical.
    pub session_key: String,
    /// The agent that answers.
    pub agent_id: String,
    /// Counts the run's events, shared with `agent`.
    pub seq: u64,
    /// How far it is.
    pub state: ChatState,
    /// With `status`: `preparing_workspace`, `preparing_context` or `starting_model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// With `delta`: what was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_text: Option<String>,
    /// With `delta`: true where the text begins anew, so that what was shown before is to be forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// The assistant's message so far, or as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// With `final` and `aborted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// With `error`: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// With `error`: `timeout`, `rate_limit`, `context_length`, `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// With `error`: provider, model, HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<Value>,
}

/// `sessions.changed`: a conversation, as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionsChanged {
    /// Canonical.
    pub session_key: String,
    /// The agent that answers.
    pub agent_id: String,
    /// `create`, `patch`, `new`, `reset`, `delete`, `compact`, `message`, `start` or `end`.
    pub reason: String,
    /// With `start` and `end`: the same word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// With `start` and `end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Unix milliseconds.
    pub ts: u64,
    /// As it is now; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<crate::sessions::Row>,
    /// The same once more, without its key and its agent: not all clients look into `session`.
    #[serde(flatten)]
    pub same: Map<String, Value>,
}

/// `session.message`: something was said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionMessage {
    /// Canonical.
    pub session_key: String,
    /// The agent that answers.
    pub agent_id: String,
    /// As `chat.history` has it.
    pub message: Value,
    /// Its id.
    pub message_id: String,
    /// Its place in the transcript.
    pub message_seq: u64,
    /// The conversation as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<crate::sessions::Row>,
    /// The same once more, without its key and its agent: not all clients look into `session`.
    #[serde(flatten)]
    pub same: Map<String, Value>,
}

/// How far a turn is, as a conversation shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChatState {
    /// It is under way, and nothing is said yet.
    Status,
    /// More text.
    Delta,
    /// Done.
    Final,
    /// Stopped by somebody.
    Aborted,
    /// Failed.
    Error,
    /// A state of a newer gateway.
    #[serde(other)]
    Other,
}

impl ChatState {
    /// Whether nothing follows in this run.
    pub fn is_terminal(self) -> bool {
        matches!(self, ChatState::Final | ChatState::Aborted | ChatState::Error)
    }
}

/// `agent`: one step of a turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The run.
    pub run_id: String,
    /// `lifecycle`, `run_status`, `assistant`, `usage`, `tool`.
    pub stream: String,
    /// Of the stream's shape.
    pub data: Value,
    /// From 1, by one, within the run.
    pub seq: u64,
    /// Unix milliseconds.
    pub ts: u64,
    /// Canonical.
    pub session_key: String,
    /// The transcript's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The agent that answers.
    pub agent_id: String,
    /// Whether nobody asked for this turn.
    pub is_heartbeat: bool,
    /// With `lifecycle` when no model is asked any more: the queue that the turn was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_names() {
        for (at, row) in Name::TABLE.iter().enumerate() {
            assert_eq!(row.name as usize, at, "{}", row.wire);
            assert_eq!(row.name.row().wire, row.wire);
        }
    }
}
