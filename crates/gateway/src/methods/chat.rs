//! `chat.*`.

use std::sync::Arc;
use std::time::Duration;

use agent::DEFAULT_AGENT;
use agent::turn::Stop;
use base::clock;
use protocol::chat::{
    AbortParams, AbortReply, HistoryParams, HistoryReply, SendParams, SendReply, assistant_text,
};
use protocol::event::{self, ChatState, Name};
use protocol::{Refusal, frame};
use serde_json::{Value, json};
use store::StoredRecord;

use crate::commands;
use crate::keys::SessionKey;
use crate::runs::{Ask, Started, word_of};
use crate::state::Gateway;
use crate::supervisor::Stage;
use crate::table::Caller;

/// Messages of a reply where the caller names no number.
const MESSAGES: usize = 200;
/// The most messages of a reply.
const MOST_MESSAGES: usize = 1000;
/// The most bytes of messages of a reply; the oldest go first.
const MOST_BYTES: usize = 6 * 1024 * 1024;

pub(super) async fn send(caller: Caller, params: SendParams) -> Result<SendReply, Refusal> {
    let gateway = &caller.gateway;
    let key = SessionKey::parse(&params.session_key, DEFAULT_AGENT)?;
    if !params.attachments.is_empty() {
        return Err(Refusal::invalid("this version takes no attachments: send the text alone"));
    }
    if commands::is_stop(&params.message) {
        return Ok(SendReply::Stopped(stop(gateway, &key, None)?));
    }
    let run_id = params.idempotency_key.clone();
    if commands::is_command(&params.message) {
        let (own, id) = (gateway.clone(), run_id.clone());
        // In a task of its own, so that the acknowledgement goes out before the answer.
        gateway.supervisor.start(Stage::Work, "a command", |_| async move {
            if let Some(answer) = commands::answer(&own, &key, &params.message).await {
                tell_answer(&own, &key, &id, answer);
            }
        });
        return Ok(SendReply::Run { run_id, status: "started".to_owned() });
    }
    let limit = params.timeout_ms.filter(|it| *it > 0).map(Duration::from_millis);
    let ask = Ask { run_id: run_id.clone(), key, message: params.message, limit, extra: None };
    let status = match gateway.accept(ask).await? {
        Started::New(_) => "started",
        Started::UnderWay(_) => "in_flight",
        Started::Over(run) => word_of(run.status),
    };
    Ok(SendReply::Run { run_id, status: status.to_owned() })
}

/// A command's answer, as a conversation shows it: one event, and no turn.
fn tell_answer(gateway: &Gateway, key: &SessionKey, run_id: &str, answer: Result<String, Refusal>) {
    let text = answer.unwrap_or_else(|refusal| refusal.message);
    let event = event::Chat {
        run_id: run_id.to_owned(),
        session_key: key.as_str().to_owned(),
        agent_id: key.agent().to_owned(),
        seq: 1,
        state: ChatState::Final,
        delta_text: None,
        replace: None,
        message: Some(assistant_text(&text, clock::now_ms())),
        stop_reason: Some("stop".to_owned()),
        error_message: None,
        error_kind: None,
        error_detail: None,
    };
    gateway.audience.tell_session(Name::Chat, &event.session_key, &event, |_| true);
}

pub(super) async fn abort(caller: Caller, params: AbortParams) -> Result<AbortReply, Refusal> {
    let key = SessionKey::parse(&params.session_key, DEFAULT_AGENT)?;
    stop(&caller.gateway, &key, params.run_id.as_deref())
}

fn stop(gateway: &Gateway, key: &SessionKey, run_id: Option<&str>) -> Result<AbortReply, Refusal> {
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

pub(super) async fn history(caller: Caller, params: HistoryParams) -> Result<HistoryReply, Refusal> {
    let gateway = &caller.gateway;
    let key = SessionKey::parse(&params.session_key, DEFAULT_AGENT)?;
    let limit = params.limit.unwrap_or(MESSAGES).clamp(1, MOST_MESSAGES);
    let name = key.as_str().to_owned();
    let read = gateway.archive.with(move |store| {
        Ok((store.session(&name)?, store.history(&name, limit)?, store.history_total(&name)?))
    });
    let (session, records, total) =
        read.await.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let messages = newest(records);
    Ok(HistoryReply {
        session_key: key.as_str().to_owned(),
        session_id: session.map(|it| it.session_id),
        has_more: (messages.len() as u64) < total,
        total_messages: total,
        messages,
        in_flight_run: in_flight(gateway, &key),
    })
}

/// The messages with their places, as many of the newest as the reply has room for.
fn newest(records: Vec<StoredRecord>) -> Vec<Value> {
    let mut bytes = 0;
    let messages = records.into_iter().map(|it| {
        let mut message = it.message;
        message["__openclaw"] =
            json!({"id": it.id, "seq": it.seq, "recordTimestampMs": it.at, "runId": it.run_id});
        message
    });
    let messages: Vec<Value> = messages.collect();
    let fits = messages.iter().rev().take_while(|it| {
        bytes += it.to_string().len();
        bytes <= MOST_BYTES
    });
    let count = fits.count();
    let from = messages.len() - count;
    messages.into_iter().skip(from).collect()
}

fn in_flight(gateway: &Arc<Gateway>, key: &SessionKey) -> Option<Value> {
    let run = gateway.runs.of_session(key).into_iter().next()?;
    Some(json!({"runId": run.ask.run_id, "text": run.text(), "startedAt": run.accepted_at}))
}

/// Sends a second response to a request that was answered before.
pub(super) fn respond_again(caller: &Caller, payload: &Value, error: Option<&Refusal>) {
    let body = serde_json::value::to_raw_value(payload).expect("a value always writes");
    caller.client.respond(frame::write_response(&caller.request_id, Some(&body), error));
}
