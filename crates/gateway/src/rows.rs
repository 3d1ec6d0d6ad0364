//! Conversations as lists show them, and the events that tell of their changes.

use std::collections::{HashMap, HashSet};

use base::clock;
use protocol::chat::text_of;
use protocol::event::{Name, SessionMessage, SessionsChanged};
use protocol::sessions::{Row, ThinkingLevel};
use serde_json::{Map, Value, json};
use store::{Session, StoredRecord};

use crate::audience::Client;
use crate::keys::SessionKey;
use crate::runs::Run;
use crate::state::Gateway;

/// The role of a record that stands for those that a compaction took out.
pub(crate) const SUMMARY: &str = "summary";
/// Records that are told in one go.
const TOLD: usize = 1000;
/// What a message does that comes while a turn is under way, where nothing else is said.
const QUEUE: &str = "followup";
/// What the places of a transcript count in.
const SOURCE: &str = "sqlite";

/// What rows need to know beside their sessions, found out once for all of them.
pub(crate) struct Rows {
    model: String,
    context_tokens: usize,
    running: HashMap<String, Vec<String>>,
    now: u64,
}

impl Rows {
    /// As things are now.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self {
            model: gateway.model_status().primary,
            context_tokens: gateway.force().config.agents.defaults.context_tokens,
            running: gateway.runs.by_session(),
            now: clock::now_ms(),
        }
    }

    /// Keys of the conversations with a turn under way.
    pub(crate) fn running(&self) -> HashSet<String> {
        self.running.keys().cloned().collect()
    }

    /// What holds for a session that says nothing else.
    pub(crate) fn defaults(&self) -> Value {
        let (provider, name) = self.model.split_once('/').unwrap_or(("", &self.model));
        json!({
            "modelProvider": provider, "model": name, "contextTokens": self.context_tokens,
            "thinkingLevels": ThinkingLevel::all(), "thinkingOptions": ThinkingLevel::IDS,
            "thinkingDefault": ThinkingLevel::DEFAULT,
        })
    }

    /// A conversation as clients list it.
    pub(crate) fn row(&self, session: Session, last_message: bool) -> Row {
        let model = session.model.as_deref().unwrap_or(&self.model);
        let (provider, name) = model.split_once('/').unwrap_or(("", model));
        let rest = session.key.splitn(3, ':').nth(2).unwrap_or_default();
        let is_group = rest.contains(":group:") || rest.contains(":channel:");
        let traits: Option<Map<String, Value>> =
            session.traits.as_deref().and_then(|it| serde_json::from_str(it).ok());
        let queue = traits.as_ref().and_then(|it| it.get("queueMode")?.as_str()).unwrap_or(QUEUE);
        let kind = if is_group { "group" } else { "direct" }.to_owned();
        let runs = self.running.get(&session.key);
        Row {
            chat_type: kind.clone(),
            classification: kind.clone(),
            kind,
            has_active_run: runs.is_some(),
            active_run_ids: runs.cloned().unwrap_or_default(),
            active_model_provider: runs.map(|_| provider.to_owned()),
            active_model: runs.map(|_| name.to_owned()),
            last_activity_at: session.updated_at,
            snapshot_at: self.now,
            system_sent: session.message_count > 0,
            total_tokens_fresh: true,
            model_override_source: session.model.as_ref().map(|_| "user".to_owned()),
            effective_queue_mode: queue.to_owned(),
            is_main: rest == crate::keys::MAIN,
            session_id: session.session_id,
            agent_id: session.agent_id,
            label: session.label,
            created_at: session.created_at,
            updated_at: session.updated_at,
            status: if runs.is_some() { "running" } else { "done" }.to_owned(),
            aborted_last_run: session.aborted_last_run,
            input_tokens: session.input_tokens,
            output_tokens: session.output_tokens,
            total_tokens: session.input_tokens + session.output_tokens,
            model_provider: provider.to_owned(),
            model: name.to_owned(),
            context_tokens: self.context_tokens,
            message_count: session.message_count,
            last_message_preview: session.last_message.filter(|_| last_message),
            derived_title: session.first_message,
            spawned_by: session.spawned_by,
            archived: session.archived_at.is_some(),
            archived_at: session.archived_at,
            pinned: session.pinned_at.is_some(),
            pinned_at: session.pinned_at,
            unread: session.unread,
            lifecycle_revision: session.revision.to_string(),
            traits: traits.unwrap_or_default(),
            key: session.key,
        }
    }
}

/// A record as clients see it: the message, and where it stands.
pub(crate) fn shown(record: StoredRecord) -> Value {
    let mut message = record.message;
    let mut place = json!({
        "id": record.id, "seq": record.seq, "recordTimestampMs": record.at,
        "transcriptPosition": {"source": SOURCE, "rawSeq": record.seq}, "runId": record.run_id,
    });
    if record.role == SUMMARY {
        place["kind"] = json!("compaction");
    }
    if let Some(run) = record.run_id.as_deref().filter(|_| record.role == "user") {
        let key = json!(format!("{run}:user"));
        place["idempotencyKey"] = key.clone();
        message["idempotencyKey"] = key;
    }
    message["__openclaw"] = place;
    leave_out_pictures(&mut message);
    message
}

/// A row as events have it beside `session`.
fn same(row: Option<&Row>) -> Map<String, Value> {
    let value = row.and_then(|it| serde_json::to_value(it).ok());
    let Some(Value::Object(mut all)) = value else { return Map::new() };
    // What the event itself says under these names goes first.
    for name in ["key", "agentId"] {
        all.remove(name);
    }
    all
}

/// Of a picture, what it is and how large: its bytes would fill every page of a history.
fn leave_out_pictures(message: &mut Value) {
    let parts = message.get_mut("content").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        if part.get("type").is_some_and(|it| it == "image")
            && let Some(Value::String(data)) = part.remove("data")
        {
            part.insert("omitted".to_owned(), json!(true));
            part.insert("bytes".to_owned(), json!(data.len() / 4 * 3));
        }
    }
}

/// The message that stands for what a compaction took out.
pub(crate) fn summary(text: &str, at: u64) -> Value {
    json!({"role": "system", "content": [{"type": "text", "text": text}], "timestamp": at})
}

/// What the model is told of what was taken out.
pub(crate) fn for_model(message: &Value) -> String {
    format!("[What was said before, summed up:]\n{}", text_of(message))
}

impl Gateway {
    /// Tells those who follow the list of conversations that one changed.
    pub(crate) async fn tell_changed(&self, key: &SessionKey, reason: &str, run_id: Option<&str>) {
        if !self.audience.all().iter().any(|it| it.wants_list()) {
            return;
        }
        let session = self.row(key).await;
        let changed = SessionsChanged {
            session_key: key.as_str().to_owned(),
            agent_id: key.agent().to_owned(),
            phase: run_id.map(|_| reason.to_owned()),
            reason: reason.to_owned(),
            run_id: run_id.map(str::to_owned),
            ts: clock::now_ms(),
            same: same(session.as_ref()),
            session,
        };
        let slow = Name::SessionsChanged.row().slow;
        self.audience.tell_those(Name::SessionsChanged, &changed, slow, Client::wants_list);
    }

    /// Tells what a turn has put into the transcript since this was last asked.
    pub(crate) async fn tell_said(&self, run: &Run) {
        let key = run.ask.key.as_str().to_owned();
        if !self.audience.all().iter().any(|it| it.follows(&key)) {
            return;
        }
        let after = run.told();
        let records = self.archive.with(move |store| store.records_after(&key, after, TOLD)).await;
        // What cannot be read now is told of when it is saved.
        let Ok(records) = records else { return };
        let Some(last) = records.last() else { return };
        run.tells(last.seq);
        let session = self.row(&run.ask.key).await;
        for record in records {
            if record.run_id.as_deref() == Some(&run.ask.run_id) {
                self.tell_record(&run.ask.key, record, session.clone());
            }
        }
    }

    /// Tells of one record.
    pub(crate) fn tell_record(&self, key: &SessionKey, record: StoredRecord, session: Option<Row>) {
        let said = SessionMessage {
            session_key: key.as_str().to_owned(),
            agent_id: key.agent().to_owned(),
            message_id: record.id.clone(),
            message_seq: record.seq,
            message: shown(record),
            same: same(session.as_ref()),
            session,
        };
        let slow = Name::SessionMessage.row().slow;
        self.audience.tell_those(Name::SessionMessage, &said, slow, |it| it.follows(key.as_str()));
    }

    /// A conversation as it is now; `None` where there is none, or it cannot be read.
    pub(crate) async fn row(&self, key: &SessionKey) -> Option<Row> {
        let name = key.as_str().to_owned();
        let session = self.archive.with(move |store| store.session(&name)).await.ok().flatten()?;
        Some(Rows::of(self).row(session, false))
    }
}
