//! The rest of `chat.*`: what a page asks for at its start, one message, and a message without a model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{HistoryParams, HistoryReply};
use crate::{Method, Scope};

/// `chat.startup`: as `chat.history`, for a page that begins.
pub enum Startup {}

impl Method for Startup {
    const NAME: &'static str = "chat.startup";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = HistoryParams;
    type Reply = HistoryReply;
}

/// `chat.metadata`: what can be chosen in a conversation.
pub enum Metadata {}

impl Method for Metadata {
    const NAME: &'static str = "chat.metadata";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = MetadataParams;
    type Reply = MetadataReply;
}

/// `params` of `chat.metadata`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MetadataParams {
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// `payload` of `chat.metadata`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetadataReply {
    /// As `models.list` has them.
    pub models: Vec<crate::models::Model>,
    /// The slash commands.
    pub commands: Vec<Command>,
}

/// A slash command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Without the slash.
    pub name: String,
    /// For people.
    pub description: String,
    /// Every way to write it, with the slash.
    pub text_aliases: Vec<String>,
    /// `native`: the gateway answers it.
    pub source: String,
    /// `both`: in a chat and wherever else messages come from.
    pub scope: String,
    /// Whether something may follow it.
    pub accepts_args: bool,
}

/// `chat.message.get`: one message in full.
pub enum MessageGet {}

impl Method for MessageGet {
    const NAME: &'static str = "chat.message.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = MessageGetParams;
    type Reply = MessageGetReply;
}

/// `params` of `chat.message.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessageGetParams {
    /// `main` or a canonical key.
    pub session_key: String,
    /// As `__openclaw.id` of the message has it.
    pub message_id: String,
    /// The most characters of each of its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<usize>,
}

/// `payload` of `chat.message.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessageGetReply {
    /// Whether it is there.
    pub ok: bool,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// `not_found` where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_reason: Option<String>,
}

/// `chat.inject`: put a message of the assistant into a transcript, without a model.
pub enum Inject {}

impl Method for Inject {
    const NAME: &'static str = "chat.inject";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = InjectParams;
    type Reply = InjectReply;
}

/// `params` of `chat.inject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InjectParams {
    /// `main` or a canonical key; of a session that exists.
    pub session_key: String,
    /// What it says.
    pub message: String,
    /// At most 100 characters; stands in front of it in brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// `payload` of `chat.inject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InjectReply {
    /// Always true.
    pub ok: bool,
    /// Its id in the transcript.
    pub message_id: String,
}
