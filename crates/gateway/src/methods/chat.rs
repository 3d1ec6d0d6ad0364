//! `chat.*`.

mod attachments;
mod history;

use std::sync::Arc;
use std::time::Duration;

use agent::turn::Stop;
use base::clock;
use protocol::chat::{
    AbortParams, AbortReply, HistoryParams, HistoryReply, InjectParams, InjectReply, MetadataParams,
    MetadataReply, QueueMode, SendParams, SendReply, assistant_text,
};
use protocol::event::{self, ChatState, Name};
use protocol::{Refusal, frame};
use serde_json::{Value, json};
use store::{Expected, Record, StoreError};

use crate::commands;
use crate::keys::SessionKey;
use crate::limits::MESSAGE_BYTES;
use crate::runs::{Ask, Claimed, Ended, Joins, Started, word_of};
use crate::state::Gateway;
use crate::supervisor::Stage;
use crate::table::Caller;

pub(super) use attachments::{images, kind};
pub(super) use history::{history, message, within};

/// The longest label of a message that is put in, in characters.
const LABEL: usize = 100;
/// Number and reason of the event of a command's answer, and of a message that was put in.
const COMMAND: (u64, &str) = (1, "stop");
/// See [`COMMAND`].
const INJECTED: (u64, &str) = (0, "injected");

pub(super) async fn send(caller: Caller, params: SendParams) -> Result<SendReply, Refusal> {
    let gateway = &caller.gateway;
    let key = caller.gateway.session_key(&params.session_key)?;
    let images = images("chat.send", &params.attachments)?;
    super::sessions::check_level("chat.send", params.thinking.as_deref())?;
    if commands::is_stop(&params.message) {
        return Ok(SendReply::Stopped(stop(gateway, &key, None)?));
    }
    let run_id = params.idempotency_key.clone();
    if !params.suppress_command_interpretation && commands::is_command(&params.message) {
        let status = match gateway.runs.claim(&run_id)? {
            Claimed::New => {
                answer_command(gateway, key, run_id.clone(), params.message);
                "started"
            }
            Claimed::UnderWay => "in_flight",
            Claimed::Over(_) => "ok",
        };
        return Ok(SendReply::Run { run_id, status: status.to_owned() });
    }
    let joins = match queue_mode(gateway, &key, params.queue_mode).await {
        QueueMode::Followup => Joins::Nobody,
        QueueMode::Steer => Joins::TheTurnUnderWay,
        QueueMode::Collect => Joins::ThoseThatWait,
        // Not for a message that is known already: it would stop itself.
        QueueMode::Interrupt => {
            if gateway.runs.active(&run_id).is_none() {
                gateway.stop_session(&key);
            }
            Joins::Nobody
        }
    };
    let limit = params.timeout_ms.filter(|it| *it > 0).map(Duration::from_millis);
    let expected = Expected {
        session_id: params.session_id,
        revision: None,
        last_record: params.expected_leaf_entry_id,
    };
    let thinking = params.thinking;
    let ask =
        Ask { limit, expected, images, thinking, joins, ..Ask::new(run_id.clone(), key, params.message) };
    let status = match gateway.accept(ask).await? {
        Started::New(_) => "started",
        Started::UnderWay(_) => "in_flight",
        Started::Over(run) => word_of(run.status),
    };
    Ok(SendReply::Run { run_id, status: status.to_owned() })
}

/// What becomes of a turn under way: as the message says, or else the conversation.
async fn queue_mode(gateway: &Gateway, key: &SessionKey, wished: Option<QueueMode>) -> QueueMode {
    if let Some(mode) = wished {
        return mode;
    }
    // Where nothing is under way, it is all the same, and nothing is read for it.
    if gateway.runs.of_session(key).is_empty() {
        return QueueMode::Followup;
    }
    let name = key.as_str().to_owned();
    let session = gateway.archive.with(move |store| store.session(&name)).await.ok().flatten();
    let traits = session.and_then(|it| it.traits).and_then(|it| serde_json::from_str::<Value>(&it).ok());
    let mode = traits.and_then(|it| serde_json::from_value(it["queueMode"].clone()).ok());
    mode.unwrap_or(QueueMode::Followup)
}

/// Answers a command in a task of its own, so that the acknowledgement goes out before the answer.
fn answer_command(gateway: &Arc<Gateway>, key: SessionKey, run_id: String, message: String) {
    let own = gateway.clone();
    gateway.supervisor.start(Stage::Work, "a command", |_| async move {
        let started_at = clock::now_ms();
        let answer = commands::answer(&own, &key, &message).await;
        let answer = answer.unwrap_or_else(|| Ok(String::new()));
        let text = answer.as_ref().map_or_else(|refusal| refusal.message.clone(), Clone::clone);
        let ended = Ended::of_command(answer, started_at);
        own.runs.answered(&run_id, ended);
        tell_final(&own, &key, &run_id, &text, COMMAND);
    });
}

/// What the gateway says by itself, as a conversation shows it: one event, and no turn. Its number and its reason say
/// which it is.
fn tell_final(gateway: &Gateway, key: &SessionKey, run_id: &str, text: &str, how: (u64, &str)) {
    let event = event::Chat {
        run_id: run_id.to_owned(),
        session_key: key.as_str().to_owned(),
        agent_id: key.agent().to_owned(),
        seq: how.0,
        state: ChatState::Final,
        phase: None,
        delta_text: None,
        replace: None,
        message: Some(assistant_text(text, clock::now_ms())),
        stop_reason: Some(how.1.to_owned()),
        error_message: None,
        error_kind: None,
        error_detail: None,
    };
    gateway.audience.tell_session(Name::Chat, &event.session_key, &event, |_| true);
}

pub(super) async fn abort(caller: Caller, params: AbortParams) -> Result<AbortReply, Refusal> {
    let key = caller.gateway.session_key(&params.session_key)?;
    stop(&caller.gateway, &key, params.run_id.as_deref())
}

pub(super) fn stop(gateway: &Gateway, key: &SessionKey, run_id: Option<&str>) -> Result<AbortReply, Refusal> {
    if let Some(run) = run_id.and_then(|it| gateway.runs.active(it))
        && run.ask.key != *key
    {
        return Err(Refusal::invalid("runId does not match sessionKey"));
    }
    let runs = gateway.runs.of_session(key).into_iter();
    let wanted = runs.filter(|it| run_id.is_none_or(|id| it.ask.run_id == id));
    let run_ids: Vec<String> =
        wanted.filter(|it| it.stop(Stop::Asked)).map(|it| it.ask.run_id.clone()).collect();
    Ok(AbortReply { ok: true, aborted: !run_ids.is_empty(), run_ids })
}

pub(super) async fn startup(caller: Caller, params: HistoryParams) -> Result<HistoryReply, Refusal> {
    history(caller, params).await
}

pub(super) async fn metadata(caller: Caller, params: MetadataParams) -> Result<MetadataReply, Refusal> {
    let wanted = protocol::models::ListParams { agent_id: params.agent_id, ..Default::default() };
    let models = super::models::list(caller, wanted).await?.models;
    Ok(MetadataReply { models, commands: commands::known() })
}

pub(super) async fn inject(caller: Caller, params: InjectParams) -> Result<InjectReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.session_key(&params.session_key)?;
    if params.message.trim().is_empty() || params.message.len() > MESSAGE_BYTES {
        return Err(Refusal::invalid(format!("the message must have 1 to {MESSAGE_BYTES} bytes")));
    }
    if params.label.as_ref().is_some_and(|it| it.chars().count() > LABEL) {
        return Err(Refusal::invalid(
            "invalid chat.inject params: at /label: at most 100 characters are allowed",
        ));
    }
    let text = match &params.label {
        Some(label) => format!("[{label}]\n\n{}", params.message),
        None => params.message,
    };
    let at = clock::now_ms();
    let mut message = assistant_text(&text, at);
    message["stopReason"] = json!("injected");
    let record = Record { role: "assistant".to_owned(), message, at };
    let name = key.as_str().to_owned();
    let appended = gateway.archive.with(move |store| store.append_one(&name, &record)).await;
    let record = appended.map_err(|error| match error {
        StoreError::NoSuchSession { .. } => Refusal::invalid("session not found"),
        error => gateway.store_refusal("the message was not put into the conversation", &error),
    })?;
    let message_id = record.id.clone();
    let run_id = format!("inject-{}", base::random::hex::<4>());
    tell_final(gateway, &key, &run_id, &text, INJECTED);
    let row = gateway.row(&key).await;
    gateway.tell_record(&key, record, row);
    gateway.tell_changed(&key, "message", None).await;
    Ok(InjectReply { ok: true, message_id })
}

/// Sends a second response to a request that was answered before.
pub(super) fn respond_again(caller: &Caller, payload: &Value, error: Option<&Refusal>) {
    let body = serde_json::value::to_raw_value(payload).expect("a value always writes");
    caller.client.respond(frame::write_response(&caller.request_id, Some(&body), error));
}
