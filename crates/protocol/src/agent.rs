//! `agent`, `agent.wait`: run one turn and hear how it ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Method, Scope};

/// `agent`: run a turn. Answered twice under one id: first [`RunReply::Accepted`], then how it ended.
pub enum Run {}

impl Method for Run {
    const NAME: &'static str = "agent";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = RunParams;
    type Reply = RunReply;
}

/// `params` of `agent`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunParams {
    /// What the person says.
    pub message: String,
    /// Names the run.
    pub idempotency_key: String,
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The conversation by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Somebody to talk to, by address: the agent's main conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The conversation by id; made when it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Ends the turn after this many seconds; 0 for the config's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Put after the system prompt, for this turn only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_system_prompt: Option<String>,
    /// As that of `chat.send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// As those of `chat.send`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<crate::chat::Attachment>,
}

/// `payload` of `agent`; which of the two is told by `status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum RunReply {
    /// The message is on disk; the turn begins.
    Accepted {
        /// Equals the idempotency key.
        run_id: String,
        /// Unix milliseconds.
        accepted_at: u64,
        /// Canonical.
        session_key: String,
        /// The agent that answers.
        agent_id: String,
    },
    /// The turn ended with an answer.
    Ok {
        /// The run.
        run_id: String,
        /// `completed`.
        summary: String,
        /// What was said, and at what cost.
        result: RunResult,
    },
    /// The turn was stopped, by a person or by its time limit.
    Timeout {
        /// The run.
        run_id: String,
        /// `aborted`.
        summary: String,
        /// `rpc`, `stop` or `timeout`.
        stop_reason: String,
    },
    /// The turn failed; the response's `error` says the same.
    Error {
        /// The run.
        run_id: String,
        /// For people.
        summary: String,
    },
}

/// What was said, and at what cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunResult {
    /// The answers.
    pub payloads: Vec<Payload>,
    /// `{durationMs, agentMeta: {sessionId, provider, model, usage}, aborted}`.
    pub meta: Value,
}

/// One answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// What the agent says.
    pub text: String,
    /// Always absent here; clients expect the key.
    pub media_url: Option<String>,
}

/// `agent.wait`: wait until a run has ended.
pub enum Wait {}

impl Method for Wait {
    const NAME: &'static str = "agent.wait";
    const SCOPE: Option<Scope> = Some(Scope::Write);
    type Params = WaitParams;
    type Reply = WaitReply;
}

/// `params` of `agent.wait`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaitParams {
    /// The run.
    pub run_id: String,
    /// 30000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// `payload` of `agent.wait`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaitReply {
    /// The run.
    pub run_id: String,
    /// `ok`, `error`, or `timeout` also where the run is unknown.
    pub status: String,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// `working` where it ended with an answer, `abandoned` where it was stopped, `blocked` where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_state: Option<String>,
    /// `{disposition, text}`: what was said at its end; `visible` or `silent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_reply: Option<Value>,
    /// Which turn it was, and who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_receipt: Option<Value>,
}
