//! What was said in a conversation, page by page, and one message of it.

use std::sync::Arc;

use base::text;
use protocol::Refusal;
use protocol::chat::{HistoryParams, HistoryReply, MessageGetParams, MessageGetReply, PendingInputs};
use serde_json::{Value, json};
use store::StoredRecord;

use crate::keys::SessionKey;
use crate::rows::{Rows, shown};
use crate::state::Gateway;
use crate::table::Caller;

/// Messages of a reply where the caller names no number, and the most.
const MESSAGES: (usize, usize) = (200, 1000);
/// The most bytes of messages of a reply; the oldest go first.
const MOST_BYTES: usize = 6 * 1024 * 1024;
/// The least that a caller may allow.
const LEAST_BYTES: usize = 1024;

pub(crate) async fn history(caller: Caller, params: HistoryParams) -> Result<HistoryReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.session_key, params.agent_id.as_deref())?;
    let bad =
        |place: &str, why: &str| Refusal::invalid(format!("invalid chat.history params: at /{place}: {why}"));
    if params.max_bytes.is_some_and(|it| it < LEAST_BYTES) {
        return Err(bad("maxBytes", "must be at least 1024"));
    }
    if params.max_chars == Some(0) {
        return Err(bad("maxChars", "must be at least 1"));
    }
    let cursor = match params.cursor.as_deref().map(str::parse::<u64>) {
        Some(Err(_)) => return Err(bad("cursor", "is none that this gateway gave")),
        Some(Ok(it)) => Some(it),
        None => None,
    };
    let limit = params.limit.unwrap_or(MESSAGES.0).clamp(1, MESSAGES.1);
    let offset = params.offset.unwrap_or(0);
    let (name, message_id) = (key.as_str().to_owned(), params.message_id.clone());
    let read = gateway.archive.with(move |store| {
        let upto = match message_id {
            Some(id) => match store.record(&name, &id)? {
                Some(it) => Some(it.seq + 1),
                None => return Ok((store.session(&name)?, None)),
            },
            None => cursor,
        };
        let mut records = store.records_before(&name, upto, limit.saturating_add(offset))?;
        records.truncate(records.len().saturating_sub(offset));
        let from = records.len().saturating_sub(limit);
        Ok((store.session(&name)?, Some(records.split_off(from))))
    });
    let (session, records) =
        read.await.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let Some(mut records) = records else {
        return Err(bad("messageId", "there is no such message in the conversation"));
    };
    let session = session.filter(|it| params.session_id.as_ref().is_none_or(|id| it.session_id == *id));
    if session.is_none() {
        records.clear();
    }
    reply(gateway, &key, session, records, &params).await
}

async fn reply(
    gateway: &Arc<Gateway>,
    key: &SessionKey,
    session: Option<store::Session>,
    records: Vec<StoredRecord>,
    params: &HistoryParams,
) -> Result<HistoryReply, Refusal> {
    let total = session.as_ref().map_or(0, |it| it.message_count);
    let last = records.last().map(|it| it.seq);
    let read = records.len();
    let cut = params.max_chars;
    let messages: Vec<Value> = records.into_iter().map(|it| shortened(shown(it), cut)).collect();
    let messages = within(messages, params.max_bytes);
    let first = messages.first().and_then(|it| it["__openclaw"]["seq"].as_u64());
    // A single message that is larger than a reply may be is passed by, and not in the way for good.
    let next = first.or(last);
    let has_more = match next {
        Some(place) => !older(gateway, key, place).await?.is_empty(),
        None => false,
    };
    let offset = params.offset.unwrap_or(0) + if first.is_some() { messages.len() } else { read.min(1) };
    let rows = Rows::of(gateway);
    let session_info = session.map(|it| rows.row(it, true));
    Ok(HistoryReply {
        session_key: key.as_str().to_owned(),
        session_id: session_info.as_ref().map(|it| it.session_id.clone()),
        has_more,
        next_offset: has_more.then_some(offset as u64),
        next_cursor: next.filter(|_| has_more).map(|it| it.to_string()),
        total_messages: total,
        messages,
        pending_inputs: pending(gateway, key),
        defaults: rows.defaults(),
        thinking_level: session_info.as_ref().and_then(|it| it.traits.get("thinkingLevel").cloned()),
        session_info,
        in_flight_run: in_flight(gateway, key),
    })
}

async fn older(gateway: &Gateway, key: &SessionKey, place: u64) -> Result<Vec<StoredRecord>, Refusal> {
    let name = key.as_str().to_owned();
    let read = gateway.archive.with(move |store| store.records_before(&name, Some(place), 1)).await;
    read.map_err(|error| gateway.store_refusal("the conversation was not read", &error))
}

pub(crate) async fn message(caller: Caller, params: MessageGetParams) -> Result<MessageGetReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.session_key, None)?;
    let id = params.message_id;
    let read = gateway.archive.with(move |store| store.record(key.as_str(), &id)).await;
    let found = read.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let message = found.map(|it| shortened(shown(it), params.max_chars));
    let unavailable_reason = message.is_none().then(|| "not_found".to_owned());
    Ok(MessageGetReply { ok: message.is_some(), message, unavailable_reason })
}

/// As many of the newest messages as a reply has room for.
pub(crate) fn within(mut messages: Vec<Value>, bytes: Option<usize>) -> Vec<Value> {
    let most = bytes.unwrap_or(MOST_BYTES).min(MOST_BYTES);
    let mut room = 0;
    let fits = messages.iter().rev().take_while(|it| {
        room += it.to_string().len() + 1;
        room <= most
    });
    let from = messages.len() - fits.count();
    messages.split_off(from)
}

/// A message of which each text has at most so many characters.
fn shortened(mut message: Value, chars: Option<usize>) -> Value {
    let Some(chars) = chars else { return message };
    let mut is_cut = false;
    let mut cut = |it: &mut Value| {
        if let Value::String(text) = it
            && let Some((at, _)) = text.char_indices().nth(chars)
        {
            *it = Value::String(format!("{}\n...(truncated)...", text::head(text, at)));
            is_cut = true;
        }
    };
    match message.get_mut("content") {
        Some(Value::Array(parts)) => parts.iter_mut().filter_map(|it| it.get_mut("text")).for_each(&mut cut),
        Some(it) => cut(it),
        None => {}
    }
    if is_cut {
        message["__openclaw"]["truncated"] = json!(true);
    }
    message
}

/// The run that is under way, with what it has said so far.
fn in_flight(gateway: &Gateway, key: &SessionKey) -> Option<Value> {
    let run = gateway.runs.of_session(key).into_iter().next()?;
    Some(json!({"runId": run.ask.run_id, "text": run.text(), "startedAt": run.accepted_at, "events": []}))
}

/// Messages that wait until the run before them has ended.
fn pending(gateway: &Gateway, key: &SessionKey) -> PendingInputs {
    let waiting = gateway.runs.of_session(key).into_iter().skip(1).filter(|it| !it.waits.has_joined());
    let items: Vec<Value> = waiting
        .map(|it| json!({"runId": it.ask.run_id, "text": it.ask.message, "acceptedAt": it.accepted_at}))
        .collect();
    PendingInputs { total: items.len(), items }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_is_no_room_and_long_texts_are_cut_between_characters() {
        let message = |text: &str| json!({"content": [{"type": "text", "text": text}], "__openclaw": {}});
        let all: Vec<_> = (0..10).map(|it| message(&it.to_string().repeat(200))).collect();
        let some = within(all.clone(), Some(1024));
        assert_eq!(some, all[10 - some.len()..], "the newest, in their order");
        assert!(!some.is_empty() && some.len() < 10, "{}", some.len());
        let cut = shortened(message("äöü"), Some(2));
        assert_eq!(cut["content"][0]["text"], "äö\n...(truncated)...");
        assert_eq!(cut["__openclaw"]["truncated"], true);
        assert_eq!(shortened(message("äöü"), Some(3)), message("äöü"));
    }
}
