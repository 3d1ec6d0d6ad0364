//! `agents.workspace.*`.

use std::path::{Path, PathBuf};

use agent::workspace::browse::{self, Content};
use data_encoding::BASE64;
use protocol::Refusal;
use protocol::agents::{
    WorkspaceEntry, WorkspaceFile, WorkspaceGetParams, WorkspaceGetReply, WorkspaceListParams,
    WorkspaceListReply,
};
use serde_json::{Value, json};

use crate::agents::Agent;
use crate::limits::{ATTACHMENT_BYTES, WORKSPACE_TEXT_BYTES};
use crate::methods::chat::kind;
use crate::table::Caller;

/// Entries of a reply where the caller names no number, and the most.
const ENTRIES: (usize, usize) = (250, 500);

pub(in crate::methods) async fn list(
    caller: Caller,
    params: WorkspaceListParams,
) -> Result<WorkspaceListReply, Refusal> {
    let agent = caller.gateway.agent(Some(&params.agent_id))?;
    let folder = place(params.path.as_deref().unwrap_or_default())?;
    let path = shown(&folder);
    if params.limit == Some(0) {
        return Err(Refusal::invalid("invalid agents.workspace.list params: at /limit: must be at least 1"));
    }
    let workspace = agent.workspace.clone();
    let found = blocking(&agent, move || browse::list(&workspace, &folder)).await?;
    let found =
        found.ok_or_else(|| refused("workspace_path_not_found", "workspace directory not found", &path))?;
    let total_entries = found.len();
    let offset = params.offset.unwrap_or(0).min(total_entries);
    let entries = found.into_iter().skip(offset).take(params.limit.unwrap_or(ENTRIES.0).min(ENTRIES.1));
    let entry = |it: browse::Found| WorkspaceEntry {
        path: if path.is_empty() { it.name.clone() } else { format!("{path}/{}", it.name) },
        name: it.name,
        kind: if it.size.is_some() { "file" } else { "directory" }.to_owned(),
        size: it.size,
        updated_at_ms: it.modified_ms,
    };
    Ok(WorkspaceListReply {
        agent_id: agent.id.clone(),
        parent_path: Path::new(&path).parent().map(shown),
        entries: entries.map(entry).collect(),
        path,
        total_entries,
        offset,
    })
}

pub(in crate::methods) async fn get(
    caller: Caller,
    params: WorkspaceGetParams,
) -> Result<WorkspaceGetReply, Refusal> {
    let agent = caller.gateway.agent(Some(&params.agent_id))?;
    let file = place(&params.path)?;
    let path = shown(&file);
    let is_picture = file
        .extension()
        .and_then(|it| it.to_str())
        .is_some_and(|it| ["png", "jpg", "jpeg", "gif", "webp"].contains(&it.to_ascii_lowercase().as_str()));
    let most = if is_picture { ATTACHMENT_BYTES } else { WORKSPACE_TEXT_BYTES } as u64;
    let workspace = agent.workspace.clone();
    let found = blocking(&agent, move || browse::read(&workspace, &file, most)).await?;
    let (bytes, updated_at_ms) = match found {
        Some(Content::Whole(bytes, modified)) => (bytes, modified),
        Some(Content::TooLarge(size)) => {
            let details =
                json!({"type": "workspace_file_too_large", "maxBytes": most, "path": path, "size": size});
            return Err(Refusal::invalid("workspace file is too large to preview").details(details));
        }
        None => return Err(refused("workspace_file_not_found", "workspace file not found", &path)),
    };
    let size = bytes.len() as u64;
    let (mime, encoding, content) = match (is_picture, kind(&bytes)) {
        (true, Some(mime)) => (mime, "base64", Some(BASE64.encode(&bytes))),
        (true, None) => ("", "", None),
        (false, _) => ("text/plain", "utf8", String::from_utf8(bytes).ok()),
    };
    let why = "workspace file is not UTF-8 text or a supported image";
    let content = content.ok_or_else(|| refused("workspace_file_unsupported", why, &path))?;
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (mime_type, encoding) = (mime.to_owned(), encoding.to_owned());
    let file = WorkspaceFile { path, name, size, updated_at_ms, mime_type, encoding, content };
    Ok(WorkspaceGetReply { agent_id: agent.id, file })
}

fn place(path: &str) -> Result<PathBuf, Refusal> {
    let is_absolute = path.starts_with(['/', '\\']);
    browse::beneath(path).ok_or_else(|| {
        let why =
            if is_absolute { "path must be workspace-relative" } else { "path escapes the agent workspace" };
        refused("workspace_path_invalid", why, path)
    })
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn refused(kind: &str, why: &str, path: &str) -> Refusal {
    let details: Value = json!({"type": kind, "path": base::text::line(path, 400)});
    Refusal::invalid(why).details(details)
}

/// Reads on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    agent: &Agent,
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).flatten();
    done.map_err(|error| {
        let place = agent.workspace.display();
        Refusal::unavailable(format!(
            "the workspace of agent {} in {place} cannot be read: {error}",
            agent.id
        ))
    })
}
