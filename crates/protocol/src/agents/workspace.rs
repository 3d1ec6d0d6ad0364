//! `agents.workspace.*`: the files of an agent's workspace, to look at.

use serde::{Deserialize, Serialize};

use crate::{Method, Scope};

/// `agents.workspace.list`: one folder of a workspace.
pub enum WorkspaceList {}

impl Method for WorkspaceList {
    const NAME: &'static str = "agents.workspace.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = WorkspaceListParams;
    type Reply = WorkspaceListReply;
}

/// `agents.workspace.get`: one file of a workspace: a text of at most 256 KiB, or a picture of at most 5 MB.
pub enum WorkspaceGet {}

impl Method for WorkspaceGet {
    const NAME: &'static str = "agents.workspace.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = WorkspaceGetParams;
    type Reply = WorkspaceGetReply;
}

/// `params` of `agents.workspace.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceListParams {
    /// The agent.
    pub agent_id: String,
    /// The folder, from the workspace; the workspace itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many to leave out from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// 1 to 500; 250 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `payload` of `agents.workspace.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceListReply {
    /// The agent.
    pub agent_id: String,
    /// The folder; empty for the workspace itself.
    pub path: String,
    /// The folder above; absent for the workspace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_path: Option<String>,
    /// Folders first, then files, by name. Links and what is neither are left out.
    pub entries: Vec<WorkspaceEntry>,
    /// All of them.
    pub total_entries: usize,
    /// How many were left out from the start.
    pub offset: usize,
}

/// A file or a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceEntry {
    /// From the workspace.
    pub path: String,
    /// Its name.
    pub name: String,
    /// `file`, `directory`.
    pub kind: String,
    /// Of a file: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Unix milliseconds.
    pub updated_at_ms: u64,
}

/// `params` of `agents.workspace.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceGetParams {
    /// The agent.
    pub agent_id: String,
    /// The file, from the workspace.
    pub path: String,
}

/// `payload` of `agents.workspace.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceGetReply {
    /// The agent.
    pub agent_id: String,
    /// The file.
    pub file: WorkspaceFile,
}

/// A file with what is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceFile {
    /// From the workspace.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Unix milliseconds.
    pub updated_at_ms: u64,
    /// `text/plain`, or that of a picture, by its bytes.
    pub mime_type: String,
    /// `utf8`, `base64`.
    pub encoding: String,
    /// All of it.
    pub content: String,
}
