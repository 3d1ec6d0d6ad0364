//! `sessions.*`.

use agent::DEFAULT_AGENT;
use base::clock;
use protocol::Refusal;
use protocol::sessions::{ListParams, ListReply, Row};
use serde_json::{Value, json};
use store::{Session, SessionQuery};

use crate::keys::SessionKey;
use crate::state::Gateway;
use crate::table::Caller;

/// Rows of a reply where the caller names no number.
const ROWS: usize = 100;
/// The most rows of a reply.
const MOST_ROWS: usize = 1000;

pub(super) async fn list(caller: Caller, params: ListParams) -> Result<ListReply, Refusal> {
    let gateway = &caller.gateway;
    let now = clock::now_ms();
    let limit = params.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let offset = params.offset.unwrap_or(0);
    let query = SessionQuery {
        limit,
        offset,
        agent_id: params.agent_id,
        search: params.search,
        active_since: params.active_minutes.map(|it| now.saturating_sub(it.saturating_mul(60_000))),
    };
    let page = gateway.archive.with(move |store| store.sessions(&query)).await;
    let page = page.map_err(|error| gateway.store_refusal("the conversations were not read", &error))?;
    let rows: Vec<Row> =
        page.sessions.into_iter().map(|it| row(gateway, it, params.include_last_message)).collect();
    let next = offset + rows.len();
    let has_more = (next as u64) < page.total;
    Ok(ListReply {
        ts: now,
        path: gateway.archive.path().display().to_string(),
        count: rows.len(),
        total_count: page.total,
        has_more,
        next_offset: has_more.then_some(next),
        defaults: defaults(gateway),
        sessions: rows,
    })
}

/// What holds for a session that says nothing else.
pub(super) fn defaults(gateway: &Gateway) -> Value {
    let model = gateway.model_status();
    let (provider, name) = model.primary.split_once('/').unwrap_or(("", &model.primary));
    json!({"modelProvider": provider, "model": name, "contextTokens": gateway.force().config.agents.defaults.context_tokens})
}

/// A conversation as clients list it.
pub(super) fn row(gateway: &Gateway, session: Session, last_message: bool) -> Row {
    let model = session.model.unwrap_or_else(|| gateway.model_status().primary);
    let (provider, name) = model.split_once('/').unwrap_or(("", &model));
    let key = SessionKey::parse(&session.key, DEFAULT_AGENT).ok();
    let running = key.is_some_and(|it| !gateway.runs.of_session(&it).is_empty());
    Row {
        kind: "direct".to_owned(),
        is_main: session.key == SessionKey::main(&session.agent_id).as_str(),
        session_id: session.session_id,
        agent_id: session.agent_id,
        label: session.label,
        created_at: session.created_at,
        updated_at: session.updated_at,
        status: if running { "running" } else { "done" }.to_owned(),
        aborted_last_run: session.aborted_last_run,
        input_tokens: session.input_tokens,
        output_tokens: session.output_tokens,
        total_tokens: session.input_tokens + session.output_tokens,
        model_provider: provider.to_owned(),
        model: name.to_owned(),
        last_message_preview: session.last_message.filter(|_| last_message),
        key: session.key,
    }
}
