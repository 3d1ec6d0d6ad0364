//! Begin, describe, reset and delete a conversation; speak in it, and stop what is under way.

use agent::turn::Stop;
use base::text;
use protocol::chat;
use protocol::sessions::{
    AbortParams, AbortReply, Change, CreateParams, CreateReply, DeleteParams, DeleteReply, PatchParams,
    PatchReply, ResetParams, ResetReply, SendParams, Why,
};
use protocol::{Refusal, Scope};
use serde_json::{Value, json};
use store::{Expected, Session, SessionPatch, StoreError};

use super::traits;
use crate::keys::SessionKey;
use crate::rows::Rows;
use crate::runs::{Ask, Started};
use crate::state::Gateway;
use crate::table::Caller;

/// The longest label, in characters.
const LABEL: usize = 512;
/// How often a conversation is tried to be taken away while others go on speaking in it.
const TRIES: usize = 4;
/// Keys of `sessions.create` that need `operator.admin`, and that nothing here obeys.
const UNSERVED: [&str; 3] = ["incognito", "execNode", "toolOverrides"];

pub(crate) async fn create(caller: Caller, params: CreateParams) -> Result<CreateReply, Refusal> {
    let gateway = &caller.gateway;
    let CreateParams { key, agent_id, label, model, message, task, parent_session_key, .. } = params;
    for name in UNSERVED {
        if params.rest.get(name).is_some_and(|it| !it.is_null() && *it != Value::Bool(false)) {
            caller.need(Scope::Admin)?;
            return Err(Refusal::invalid(format!("sessions.create: {name} is not served by this version")));
        }
    }
    let (traits, is_plain) = traits::read("sessions.create", &params.rest)?;
    if !is_plain {
        caller.need(Scope::Admin)?;
    }
    let key = match key {
        Some(it) => gateway.key_of(&it, agent_id.as_deref())?,
        None => gateway.key_of(&format!("dashboard:{}", uuid::Uuid::new_v4()), agent_id.as_deref())?,
    };
    let parent = parent_session_key.map(|it| gateway.key_of(&it, agent_id.as_deref())).transpose()?;
    let patch = SessionPatch {
        label: label.map(|it| named(&it)).transpose()?.map(Some),
        model: match model {
            Some(it) => Some(Some(gateway.named_model(&it, "model").await?.name())),
            None => None,
        },
        spawned_by: parent.map(|it| Some(it.as_str().to_owned())),
        traits,
        ..SessionPatch::default()
    };
    let session = write(gateway, &key, Expected::default(), patch).await?;
    gateway.tell_changed(&key, "create", None).await;
    let message = message.or(task).filter(|it| !it.trim().is_empty());
    let run_id = match message {
        Some(message) => {
            let run_id = params.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            let ask = Ask::new(run_id.clone(), key.clone(), message);
            match gateway.accept(ask).await? {
                Started::New(_) | Started::UnderWay(_) | Started::Over(_) => Some(run_id),
            }
        }
        None => None,
    };
    let entry = Rows::of(gateway).row(session, false);
    Ok(CreateReply {
        ok: true,
        key: key.as_str().to_owned(),
        session_id: entry.session_id.clone(),
        run_started: run_id.is_some(),
        run_id,
        resolved: json!({"modelProvider": entry.model_provider, "model": entry.model}),
        entry,
    })
}

pub(crate) async fn patch(caller: Caller, params: PatchParams) -> Result<PatchReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, params.agent_id.as_deref())?;
    let (traits, is_plain) = traits::read("sessions.patch", &params.rest)?;
    if !is_plain || !params.spawned_by.is_keep() {
        caller.need(Scope::Admin)?;
    }
    if params.archived == Change::Set(true) && key == SessionKey::main(key.agent()) {
        let text = format!("Cannot archive the main session ({}).", key.as_str());
        return Err(Refusal::invalid(text));
    }
    let patch = SessionPatch {
        label: change(params.label, |it| named(&it))?,
        model: match params.model {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(it) => Some(Some(gateway.named_model(&it, "model").await?.name())),
        },
        spawned_by: change(params.spawned_by, |it| Ok(gateway.key_of(&it, None)?.as_str().to_owned()))?,
        archived: flag(&params.archived),
        pinned: flag(&params.pinned),
        unread: flag(&params.unread),
        traits,
    };
    let revision = params.expected_lifecycle_revision.map(|it| it.parse::<u64>().unwrap_or(u64::MAX));
    let expected = Expected { session_id: params.expected_session_id, revision, last_record: None };
    let session = write(gateway, &key, expected, patch).await?;
    gateway.tell_changed(&key, "patch", None).await;
    let entry = Rows::of(gateway).row(session, false);
    Ok(PatchReply {
        ok: true,
        path: gateway.archive.path().display().to_string(),
        key: key.as_str().to_owned(),
        resolved: json!({"modelProvider": entry.model_provider, "model": entry.model}),
        entry,
    })
}

pub(crate) async fn reset(caller: Caller, params: ResetParams) -> Result<ResetReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, params.agent_id.as_deref())?;
    let expected = Expected { session_id: params.expected_session_id, ..Expected::default() };
    // Before anything is stopped: a caller who is mistaken stops nothing.
    check(gateway, &key, &expected).await?;
    let (name, agent) = (key.as_str().to_owned(), key.agent().to_owned());
    let work = gateway.archive.with(move |store| {
        store.patch_session(&name, &agent, &expected, &SessionPatch::default())?;
        store.reset_session(&name)
    });
    gateway.stop_session(&key);
    let session = gateway
        .alone(&key, work)
        .await
        .map_err(|error| gateway.store_refusal("the conversation was not reset", &error))?;
    let reason = if params.reason == Some(Why::New) { "new" } else { "reset" };
    gateway.tell_changed(&key, reason, None).await;
    gateway.look_at_sessions().await;
    Ok(ResetReply { ok: true, key: key.as_str().to_owned(), entry: Rows::of(gateway).row(session, false) })
}

pub(crate) async fn delete(caller: Caller, params: DeleteParams) -> Result<DeleteReply, Refusal> {
    if !params.archived_only {
        caller.need(Scope::Admin)?;
    }
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, params.agent_id.as_deref())?;
    if key == SessionKey::main(key.agent()) {
        return Err(Refusal::invalid(format!("Cannot delete the main session ({}).", key.as_str())));
    }
    let expected = Expected { session_id: params.expected_session_id, ..Expected::default() };
    let found = check(gateway, &key, &expected).await?;
    if params.archived_only && found.as_ref().is_some_and(|it| it.archived_at.is_none()) {
        let text = format!("session {} is not archived; archivedOnly leaves it", key.as_str());
        return Err(Refusal::invalid(text));
    }
    let transcripts = params.delete_transcript.unwrap_or(true);
    let mut deleted = Err(StoreError::InUse { key: key.as_str().to_owned() });
    for _ in 0..TRIES {
        gateway.stop_session(&key);
        let (name, expected) = (key.as_str().to_owned(), expected.clone());
        let work = gateway.archive.with(move |store| store.delete_session(&name, &expected, transcripts));
        deleted = gateway.alone(&key, work).await;
        if !matches!(deleted, Err(StoreError::InUse { .. })) {
            break;
        }
    }
    let deleted =
        deleted.map_err(|error| gateway.store_refusal("the conversation was not deleted", &error))?;
    if deleted {
        gateway.tell_changed(&key, "delete", None).await;
        gateway.look_at_sessions().await;
    }
    let kept = found.filter(|_| deleted && !transcripts).map(|it| it.session_id);
    let archived = kept.into_iter().collect();
    Ok(DeleteReply { ok: true, key: key.as_str().to_owned(), deleted, archived })
}

pub(crate) async fn send(caller: Caller, params: SendParams) -> Result<chat::SendReply, Refusal> {
    let params = chat::SendParams {
        session_key: params.key,
        message: params.message,
        idempotency_key: params.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        timeout_ms: params.timeout_ms,
        attachments: params.attachments,
        thinking: params.thinking,
        ..chat::SendParams::default()
    };
    crate::methods::chat::send(caller, params).await
}

pub(crate) async fn abort(caller: Caller, params: AbortParams) -> Result<AbortReply, Refusal> {
    let runs = &caller.gateway.runs;
    let key = match (&params.key, &params.run_id) {
        (Some(key), _) => caller.gateway.key_of(key, None)?,
        (None, Some(run_id)) => match runs.active(run_id) {
            Some(run) => run.ask.key.clone(),
            None => {
                return Ok(AbortReply { ok: true, aborted_run_id: None, status: "no-active-run".to_owned() });
            }
        },
        (None, None) => return Err(Refusal::invalid("sessions.abort needs key or runId")),
    };
    let stopped = crate::methods::chat::stop(&caller.gateway, &key, params.run_id.as_deref())?;
    let status = if stopped.aborted { "aborted" } else { "no-active-run" }.to_owned();
    Ok(AbortReply { ok: true, aborted_run_id: stopped.run_ids.into_iter().next(), status })
}

impl Gateway {
    /// Asks every turn of a conversation to stop.
    pub(crate) fn stop_session(&self, key: &SessionKey) {
        for run in self.runs.of_session(key) {
            run.stop(Stop::Asked);
        }
    }
}

/// The session, where it is as expected.
async fn check(gateway: &Gateway, key: &SessionKey, expected: &Expected) -> Result<Option<Session>, Refusal> {
    let name = key.as_str().to_owned();
    let found = gateway.archive.with(move |store| store.session(&name)).await;
    let found = found.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let is_other = match (&expected.session_id, &found) {
        (Some(wanted), Some(it)) => it.session_id != *wanted,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if is_other {
        let found = found.map(|it| it.session_id);
        let error = StoreError::Moved { key: key.as_str().to_owned(), what: "the session id", found };
        return Err(gateway.store_refusal("the conversation was not changed", &error));
    }
    Ok(found)
}

async fn write(
    gateway: &Gateway,
    key: &SessionKey,
    expected: Expected,
    patch: SessionPatch,
) -> Result<Session, Refusal> {
    let (name, agent) = (key.as_str().to_owned(), key.agent().to_owned());
    let written = gateway.archive.with(move |store| store.patch_session(&name, &agent, &expected, &patch));
    written.await.map_err(|error| gateway.store_refusal("the conversation was not changed", &error))
}

fn change(
    wished: Change<String>,
    read: impl FnOnce(String) -> Result<String, Refusal>,
) -> Result<Option<Option<String>>, Refusal> {
    Ok(match wished {
        Change::Keep => None,
        Change::Clear => Some(None),
        Change::Set(it) => Some(Some(read(it)?)),
    })
}

fn flag(wished: &Change<bool>) -> Option<bool> {
    match wished {
        Change::Keep => None,
        Change::Clear => Some(false),
        Change::Set(it) => Some(*it),
    }
}

fn named(label: &str) -> Result<String, Refusal> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > LABEL {
        let text = format!("label: 1 to {LABEL} characters are allowed, not \"{}\"", text::line(label, 40));
        return Err(Refusal::invalid(text));
    }
    Ok(label.to_owned())
}
