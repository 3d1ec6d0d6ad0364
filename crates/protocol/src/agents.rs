//! `agents.*`, `agent.identity.get`: who answers here, and the files that tell them who they are.

mod workspace;

use serde::{Deserialize, Serialize};

use crate::{Method, Scope};

pub use workspace::*;

/// The files of an agent that can be read and written over the control plane.
pub const FILES: [&str; 6] = ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "BOOTSTRAP.md", "MEMORY.md"];

/// `agents.list`: all agents of this gateway.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "agents.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = ListParams;
    type Reply = ListReply;
}

/// `params` of `agents.list`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListParams {}

/// `payload` of `agents.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListReply {
    /// Who is meant where nobody is named.
    pub default_id: String,
    /// What the main conversation of each is called.
    pub main_key: String,
    /// `per-sender`.
    pub scope: String,
    /// As they stand in the config.
    pub agents: Vec<Agent>,
    /// Whether a request must name its agent: there are several, and none is marked as the default.
    #[serde(default)]
    pub selection_required: bool,
}

/// One agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// A slug.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Its folder.
    pub workspace: String,
    /// Whom it asks, where the config says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Whether it is meant where nobody is named.
    pub is_default: bool,
    /// What there is to choose from.
    #[serde(default)]
    pub thinking_levels: Vec<crate::sessions::ThinkingLevel>,
    /// Their ids.
    #[serde(default)]
    pub thinking_options: Vec<String>,
    /// How much its model thinks by itself.
    #[serde(default)]
    pub thinking_default: String,
    /// Whether its folder is a Git repository.
    #[serde(default)]
    pub workspace_git: bool,
}

/// Whom an agent asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Model {
    /// `provider/model`.
    pub primary: String,
}

/// How an agent presents itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Identity {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its character, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// A sign for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

/// `agent.identity.get`: how one agent presents itself.
pub enum GetIdentity {}

impl Method for GetIdentity {
    const NAME: &'static str = "agent.identity.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = GetIdentityParams;
    type Reply = GetIdentityReply;
}

/// `params` of `agent.identity.get`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct GetIdentityParams {
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Or one of its conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// `payload` of `agent.identity.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetIdentityReply {
    /// The agent.
    pub agent_id: String,
    /// What it is called; `Assistant` where nothing says it.
    pub name: String,
    /// Its picture, its sign, or the first letter of its name.
    pub avatar: String,
    /// Where the name is from: `config`, or `default`.
    pub name_source: String,
}

/// `agents.create`: another agent, written into the config.
pub enum Create {}

impl Method for Create {
    const NAME: &'static str = "agents.create";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = CreateParams;
    type Reply = CreateReply;
}

/// `params` of `agents.create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateParams {
    /// For people; the id is made of it.
    pub name: String,
    /// Its folder; one in the state folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A sign for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// `hash` of the config that the caller has read; where it is absent, the change is made on what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// `payload` of `agents.create`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateReply {
    /// True.
    pub ok: bool,
    /// The id.
    pub agent_id: String,
    /// For people.
    pub name: String,
    /// Its folder.
    pub workspace: String,
    /// `provider/model`, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the gateway did with the changed config, for people.
    pub effect: String,
}

/// `agents.update`: change one in the config.
pub enum Update {}

impl Method for Update {
    const NAME: &'static str = "agents.update";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = UpdateParams;
    type Reply = UpdateReply;
}

/// `params` of `agents.update`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpdateParams {
    /// The agent.
    pub agent_id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `provider/model`; null for that of the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    pub model: Option<Option<String>>,
    /// A sign for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_name: Option<String>,
    /// Its character, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// `hash` of the config that the caller has read; where it is absent, the change is made on what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// `payload` of `agents.update`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpdateReply {
    /// True.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// What the gateway did with the changed config, for people.
    pub effect: String,
}

/// `agents.delete`: take one out of the config.
pub enum Delete {}

impl Method for Delete {
    const NAME: &'static str = "agents.delete";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = DeleteParams;
    type Reply = DeleteReply;
}

/// `params` of `agents.delete`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeleteParams {
    /// The agent.
    pub agent_id: String,
    /// Whether its folder goes to the trash of the state folder. Where this is absent, it stays.
    #[serde(default)]
    pub delete_files: bool,
    /// `hash` of the config that the caller has read; where it is absent, the change is made on what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// `payload` of `agents.delete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeleteReply {
    /// True.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// How many of the config's bindings led to it and went with it.
    pub removed_bindings: usize,
    /// Folders that are gone from their place.
    pub removed: Vec<Removed>,
    /// Folders that stay, and why.
    pub failed: Vec<Kept>,
    /// What the gateway did with the changed config, for people.
    pub effect: String,
}

/// A folder that is gone from its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Removed {
    /// Where it was.
    pub path: String,
    /// `trash`, or `missing` where there was none.
    pub method: String,
}

/// A folder that stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kept {
    /// Where it is.
    pub path: String,
    /// For people.
    pub reason: String,
}

/// `agents.files.list`: the files of an agent that can be read here.
pub enum FilesList {}

impl Method for FilesList {
    const NAME: &'static str = "agents.files.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = FilesListParams;
    type Reply = FilesListReply;
}

/// `params` of `agents.files.list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FilesListParams {
    /// The agent.
    pub agent_id: String,
}

/// `payload` of `agents.files.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FilesListReply {
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace: String,
    /// All that may be there.
    pub files: Vec<File>,
}

/// One file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its whole path.
    pub path: String,
    /// Whether it is not there.
    pub missing: bool,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at_ms: Option<u64>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// SHA-256 of the text, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// `agents.files.get`: one file with its text.
pub enum FilesGet {}

impl Method for FilesGet {
    const NAME: &'static str = "agents.files.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = FilesGetParams;
    type Reply = FileReply;
}

/// `params` of `agents.files.get`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FilesGetParams {
    /// The agent.
    pub agent_id: String,
    /// One of the six names.
    pub name: String,
}

/// `payload` of `agents.files.get` and of `agents.files.set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileReply {
    /// True.
    #[serde(default)]
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace: String,
    /// The file.
    pub file: File,
}

/// `agents.files.set`: replace one file, or make it.
pub enum FilesSet {}

impl Method for FilesSet {
    const NAME: &'static str = "agents.files.set";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = FilesSetParams;
    type Reply = FileReply;
}

/// `params` of `agents.files.set`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FilesSetParams {
    /// The agent.
    pub agent_id: String,
    /// One of the six names.
    pub name: String,
    /// The whole text.
    pub content: String,
    /// SHA-256 of the text that the caller has read, in hexadecimal: another text is not written over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_hash: Option<String>,
}

/// A null is told from an absence.
fn told<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}
