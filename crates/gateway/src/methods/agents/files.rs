//! `agents.files.*`: the files of an agent by name, beneath its workspace and never out of it.

use agent::workspace::persona::{self, Persona};
use data_encoding::HEXLOWER;
use protocol::Refusal;
use protocol::agents::{
    FILES, File, FileReply, FilesGetParams, FilesListParams, FilesListReply, FilesSetParams,
};
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::known;
use crate::agents::Agent;
use crate::limits::AGENT_FILE_BYTES;
use crate::table::Caller;

pub(in super::super) async fn list(
    caller: Caller,
    params: FilesListParams,
) -> Result<FilesListReply, Refusal> {
    let agent = known(&caller.gateway, &params.agent_id)?;
    let row = |name: &&str| {
        let found = read(&agent, name)?;
        Ok(File { content: None, hash: None, ..file(&agent, name, found) })
    };
    let files = FILES.iter().map(row).collect::<Result<_, Refusal>>()?;
    Ok(FilesListReply { workspace: agent.workspace.display().to_string(), agent_id: agent.id, files })
}

pub(in super::super) async fn get(caller: Caller, params: FilesGetParams) -> Result<FileReply, Refusal> {
    let agent = known(&caller.gateway, &params.agent_id)?;
    let name = supported(&params.name)?;
    let found = read(&agent, name)?;
    Ok(reply(&agent, file(&agent, name, found)))
}

pub(in super::super) async fn set(caller: Caller, params: FilesSetParams) -> Result<FileReply, Refusal> {
    let agent = known(&caller.gateway, &params.agent_id)?;
    let name = supported(&params.name)?;
    if params.content.len() > AGENT_FILE_BYTES {
        let text = format!(
            "{name} would have {} bytes, more than the {AGENT_FILE_BYTES} allowed",
            params.content.len()
        );
        return Err(Refusal::invalid(text));
    }
    if let Some(expected) = params.expected_hash.as_deref().map(str::trim) {
        if expected.len() != 64 || !expected.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(Refusal::invalid(
                "invalid agents.files.set params: at /expectedHash: 64 hexadecimal digits",
            ));
        }
        let current = read(&agent, name)?.map(|it| hash(&it.text));
        if !current.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(expected)) {
            return Err(Refusal::invalid(format!("{name} has changed since it was read: read it again"))
                .details(json!({"type": "agent_file_conflict", "name": name, "currentHash": current})));
        }
    }
    base::file::private_folder(&agent.workspace)
        .map_err(|it| unusable(&agent, name, &base::text::chain(&it)))?;
    persona::write(&agent.workspace, name, &params.content)
        .map_err(|it| unusable(&agent, name, &it.to_string()))?;
    let found = read(&agent, name)?;
    Ok(reply(&agent, file(&agent, name, found)))
}

fn supported(name: &str) -> Result<&'static str, Refusal> {
    let found = FILES.into_iter().find(|it| *it == name);
    found.ok_or_else(|| Refusal::invalid(format!("unsupported file \"{}\"", base::text::line(name, 80))))
}

fn read(agent: &Agent, name: &str) -> Result<Option<Persona>, Refusal> {
    persona::read(&agent.workspace, name, AGENT_FILE_BYTES as u64)
        .map_err(|it| unusable(agent, name, &it.to_string()))
}

fn unusable(agent: &Agent, name: &str, why: &str) -> Refusal {
    Refusal::unavailable(format!("{name} of agent {} in {}: {why}", agent.id, agent.workspace.display()))
}

fn reply(agent: &Agent, file: File) -> FileReply {
    FileReply { ok: true, agent_id: agent.id.clone(), workspace: agent.workspace.display().to_string(), file }
}

fn file(agent: &Agent, name: &str, found: Option<Persona>) -> File {
    let path = agent.workspace.join(name).display().to_string();
    let name = name.to_owned();
    match found {
        None => File { name, path, missing: true, ..File::default() },
        Some(it) => File {
            name,
            path,
            missing: false,
            size: Some(it.size),
            updated_at_ms: it.modified_ms,
            hash: Some(hash(&it.text)),
            content: Some(it.text),
        },
    }
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref())
}
