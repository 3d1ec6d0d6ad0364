//! `agents.list`, `agent.identity.get`, and the making, changing and taking out of agents.

mod entries;
pub(super) mod files;
pub(super) mod workspace;

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use base::clock;
use profile::claims::Claim;
use protocol::Refusal;
use protocol::agents::{
    Agent as Row, CreateParams, CreateReply, DeleteParams, DeleteReply, GetIdentityParams, GetIdentityReply,
    Identity, Kept, ListParams, ListReply, Model, Removed, UpdateParams, UpdateReply,
};
use protocol::sessions::ThinkingLevel;

use super::config::{Changed, change};
use crate::agents::{Agent, beside, not_found, slug};
use crate::driver;
use crate::keys::MAIN;
use crate::limits::AGENTS;
use crate::state::Gateway;
use crate::table::Caller;
use entries::Wanted;

/// Ids that mean something else in session keys and logs.
const RESERVED: [&str; 6] = ["global", "unknown", "system", "openclaw", "explicit", "cron"];
/// What an agent is called that nothing names.
const ASSISTANT: &str = "Assistant";

pub(super) async fn list(caller: Caller, _: ListParams) -> Result<ListReply, Refusal> {
    let force = caller.gateway.force();
    let agents = &force.agents;
    let row = |it: &Agent| Row {
        id: it.id.clone(),
        name: it.name.clone(),
        identity: Some(shown(&it.identity)).filter(|it| *it != Identity::default()),
        workspace: it.workspace.display().to_string(),
        model: it.model.clone().map(|primary| Model { primary }),
        is_default: it.id == agents.default().id,
        thinking_levels: ThinkingLevel::all(),
        thinking_options: ThinkingLevel::ids(),
        thinking_default: ThinkingLevel::DEFAULT.to_owned(),
        workspace_git: it.workspace.join(".git").exists(),
    };
    Ok(ListReply {
        default_id: agents.default().id.clone(),
        main_key: MAIN.to_owned(),
        scope: "per-sender".to_owned(),
        agents: agents.all().iter().map(row).collect(),
        selection_required: !agents.is_clear(),
    })
}

fn shown(it: &driver::Identity) -> Identity {
    let driver::Identity { name, theme, emoji, avatar } = it.clone();
    Identity { name, theme, emoji, avatar }
}

pub(super) async fn identity(caller: Caller, params: GetIdentityParams) -> Result<GetIdentityReply, Refusal> {
    let gateway = &caller.gateway;
    let agent = match (&params.agent_id, &params.session_key) {
        (None, Some(key)) => gateway.agent(Some(gateway.session_key(key)?.agent()))?,
        (named, _) => gateway.agent(named.as_deref())?,
    };
    let is_named = agent.identity.name.is_some() || agent.name.is_some();
    let name = if is_named { agent.shown().to_owned() } else { ASSISTANT.to_owned() };
    let first = || name.chars().next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    let avatar = agent.identity.avatar.clone().or_else(|| agent.identity.emoji.clone()).unwrap_or_else(first);
    let name_source = if is_named { "config" } else { "default" }.to_owned();
    Ok(GetIdentityReply { agent_id: agent.id, name, avatar, name_source })
}

pub(super) async fn create(caller: Caller, params: CreateParams) -> Result<CreateReply, Refusal> {
    let gateway = &caller.gateway;
    let name = base::text::line(&params.name, 200);
    let id = slug(&name);
    if id.is_empty() {
        return Err(Refusal::invalid(
            "invalid agents.create params: at /name: an id needs a letter or a digit",
        ));
    }
    if RESERVED.contains(&id.as_str()) {
        return Err(Refusal::invalid(format!("\"{id}\" is reserved")));
    }
    let force = gateway.force();
    if force.agents.find(&id).is_some() {
        return Err(Refusal::invalid(format!("agent \"{id}\" already exists")));
    }
    if force.agents.all().len() >= AGENTS {
        return Err(Refusal::invalid(format!("there are {AGENTS} agents already")));
    }
    check_model(gateway, params.model.as_deref()).await?;
    let own = params.workspace.as_deref().filter(|it| !it.trim().is_empty());
    let workspace = match own {
        Some(own) => gateway.ambient.path(own),
        None => beside(&gateway.instance, &force.agents.default().workspace, &id),
    };
    check_workspace(gateway, &workspace)?;
    let wanted = Wanted {
        name: Some(name.clone()),
        workspace: Some(workspace.display().to_string()),
        model: params.model.clone().map(Some),
        emoji: params.emoji,
        avatar: params.avatar,
        ..Wanted::default()
    };
    let why = format!("agents.create {id}");
    let first = force.agents.default().id.clone();
    let new = id.clone();
    let Changed { effect, .. } =
        change(&caller, params.base_hash, why, move |document| entries::add(document, &new, &first, &wanted))
            .await?;
    let workspace = workspace.display().to_string();
    Ok(CreateReply { ok: true, agent_id: id, name, workspace, model: params.model, effect })
}

pub(super) async fn update(caller: Caller, params: UpdateParams) -> Result<UpdateReply, Refusal> {
    let gateway = &caller.gateway;
    let id = known(gateway, &params.agent_id)?.id;
    check_model(gateway, params.model.as_ref().and_then(|it| it.as_deref())).await?;
    let workspace = params.workspace.filter(|it| !it.trim().is_empty());
    let workspace = workspace.map(|it| gateway.ambient.path(&it));
    if let Some(it) = &workspace {
        check_workspace(gateway, it)?;
    }
    let wanted = Wanted {
        name: params.name,
        workspace: workspace.map(|it| it.display().to_string()),
        model: params.model,
        emoji: params.emoji,
        avatar: params.avatar,
        identity_name: params.identity_name,
        theme: params.theme,
    };
    let (why, changed) = (format!("agents.update {id}"), id.clone());
    let Changed { effect, .. } =
        change(&caller, params.base_hash, why, move |document| entries::update(document, &changed, &wanted))
            .await?;
    Ok(UpdateReply { ok: true, agent_id: id, effect })
}

pub(super) async fn delete(caller: Caller, params: DeleteParams) -> Result<DeleteReply, Refusal> {
    let gateway = &caller.gateway;
    let agent = known(gateway, &params.agent_id)?;
    let force = gateway.force();
    if force.agents.all().len() < 2 {
        return Err(Refusal::invalid(format!(
            "agent \"{}\" is the only one, and cannot be deleted",
            agent.id
        )));
    }
    let is_shared = force.agents.all().iter().any(|it| it.id != agent.id && it.workspace == agent.workspace);
    drop(force);
    let (why, id) = (format!("agents.delete {}", agent.id), agent.id.clone());
    let Changed { told, effect } =
        change(&caller, params.base_hash, why, move |document| entries::remove(document, &id)).await?;
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    if params.delete_files {
        let path = agent.workspace.display().to_string();
        let gone =
            if is_shared { Err("another agent works in it".to_owned()) } else { discard(gateway, &agent) };
        match gone {
            Ok(method) => removed.push(Removed { path, method: method.to_owned() }),
            Err(reason) => failed.push(Kept { path, reason }),
        }
    }
    Ok(DeleteReply { ok: true, agent_id: agent.id, removed_bindings: told, removed, failed, effect })
}

/// Moves the folder of an agent that is gone to the trash of the state folder.
fn discard(gateway: &Gateway, agent: &Agent) -> Result<&'static str, String> {
    let state = &gateway.instance.state_dir;
    let Ok(about) = agent.workspace.symlink_metadata() else { return Ok("missing") };
    if gateway.force().agents.find(&agent.id).is_some() {
        return Err("the changed config is not in force".to_owned());
    }
    let is_ours = agent.workspace.parent() == Some(state.as_path()) && about.is_dir();
    if !is_ours {
        return Err(format!("it is no folder directly in {}: remove it yourself", state.display()));
    }
    let trash = state.join("trash");
    let place = trash.join(format!("workspace-{}-{}", agent.id, clock::now_ms()));
    let moved =
        base::file::private_folder(&trash).and_then(|()| base::file::move_new(&agent.workspace, &place));
    moved.map(|()| "trash").map_err(|error| base::text::chain(&error))
}

fn known(gateway: &Gateway, id: &str) -> Result<Agent, Refusal> {
    gateway.force().agents.find(id).cloned().ok_or_else(|| not_found(id))
}

/// A model that could not be asked is not written.
async fn check_model(gateway: &Gateway, name: Option<&str>) -> Result<(), Refusal> {
    match name {
        Some(name) => gateway.named_model(name, "the model of the agent").await.map(|_| ()),
        None => Ok(()),
    }
}

/// A folder that another instance works in is told of before anything is written.
fn check_workspace(gateway: &Gateway, path: &Path) -> Result<(), Refusal> {
    if !path.is_absolute() {
        return Err(Refusal::invalid("at /workspace: write a whole path"));
    }
    let claim = Claim::Workspace(PathBuf::from(path));
    let claims = gateway.claims.lock().unwrap_or_else(PoisonError::into_inner);
    if claims.has(&claim) {
        return Ok(());
    }
    // Given back at once: it is taken again when the config is in force.
    claims.lease(claim).map(|_| ()).map_err(|error| Refusal::invalid(base::text::chain(&error)))
}
