//! `sessions.*`: what there is, and who is told of it.

mod change;
mod compact;
pub(super) mod groups;
mod many;
mod traits;
pub(super) use traits::check_level;

use base::{clock, text};
use protocol::Refusal;
use protocol::sessions::{
    Archived, DescribeParams, DescribeReply, GetParams, GetReply, ListParams, ListReply, MessagesParams,
    MessagesReply, PreviewItem, PreviewParams, PreviewReply, ResolveParams, ResolveReply, Row,
    SessionPreview, SortBy, SubscribeParams, SubscribeReply,
};
use store::{Session, SessionOrder, SessionQuery, StoredRecord};

use crate::keys::SessionKey;
use crate::limits::SUBSCRIPTIONS;
use crate::rows::{Rows, shown};
use crate::state::Gateway;
use crate::table::Caller;

pub(super) use change::{abort, create, delete, patch, reset, send};
pub(super) use compact::compact;
pub(super) use many::{patch_many, search};

/// Rows of a reply where the caller names no number.
const ROWS: usize = 100;
/// The most rows of a reply.
const MOST_ROWS: usize = 1000;
/// Messages of a reply where the caller names no number, and the most.
const MESSAGES: (usize, usize) = (200, 1000);
/// The most conversations of a preview.
const MOST_PREVIEWS: usize = 64;

pub(super) async fn list(caller: Caller, params: ListParams) -> Result<ListReply, Refusal> {
    page(&caller.gateway, params).await
}

async fn page(gateway: &Gateway, params: ListParams) -> Result<ListReply, Refusal> {
    let now = clock::now_ms();
    let limit = params.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let offset = params.offset.unwrap_or(0);
    let rows = Rows::of(gateway);
    let (query, last_message) = (query(&params, limit, offset, now), params.include_last_message);
    let running = params.active_only.then(|| rows.running().clone());
    let page = gateway.archive.with(move |store| match running {
        None => store.sessions(&query).map(|it| (it.sessions, it.total)),
        // Few: each is looked up by itself.
        Some(keys) => {
            let found: Result<Vec<_>, _> = keys.iter().map(|it| store.session(it)).collect();
            let mut found: Vec<Session> = found?.into_iter().flatten().collect();
            found.sort_by_key(|it| std::cmp::Reverse(it.updated_at));
            let total = found.len() as u64;
            Ok((found.into_iter().skip(offset).take(limit).collect(), total))
        }
    });
    let (sessions, total) =
        page.await.map_err(|error| gateway.store_refusal("the conversations were not read", &error))?;
    let sessions: Vec<Row> = sessions.into_iter().map(|it| rows.row(it, last_message)).collect();
    let next = offset + sessions.len();
    let has_more = (next as u64) < total && !sessions.is_empty();
    Ok(ListReply {
        ts: now,
        path: gateway.archive.path().display().to_string(),
        count: sessions.len(),
        total_count: total,
        limit_applied: limit,
        has_more,
        next_offset: has_more.then_some(next),
        defaults: rows.defaults(),
        sessions,
    })
}

fn query(params: &ListParams, limit: usize, offset: usize, now: u64) -> SessionQuery {
    SessionQuery {
        limit,
        offset,
        agent_id: params.agent_id.clone(),
        search: params.search.clone(),
        active_since: params.active_minutes.map(|it| now.saturating_sub(it.saturating_mul(60_000))),
        label: params.label.clone(),
        spawned_by: params.spawned_by.clone(),
        category: params.group.clone(),
        archived: match params.archived {
            None => Some(false),
            Some(Archived::Are(it)) => Some(it),
            Some(Archived::Any(_)) => None,
        },
        pinned: params.pinned,
        no_subagents: params.exclude_subagents,
        no_cron: params.exclude_cron,
        order: match params.sort_by {
            None | Some(SortBy::Updated) => SessionOrder::Updated,
            Some(SortBy::Created) => SessionOrder::Created,
            Some(SortBy::Name) => SessionOrder::Name,
        },
        first_messages: params.include_derived_titles,
    }
}

pub(super) async fn describe(caller: Caller, params: DescribeParams) -> Result<DescribeReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, params.agent_id.as_deref())?;
    let (name, titled) = (key.as_str().to_owned(), params.include_derived_titles);
    let read = gateway
        .archive
        .with(move |store| if titled { store.session_with_title(&name) } else { store.session(&name) });
    let found = read.await.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let session = found.map(|it| Rows::of(gateway).row(it, params.include_last_message));
    Ok(DescribeReply { session })
}

pub(super) async fn preview(caller: Caller, params: PreviewParams) -> Result<PreviewReply, Refusal> {
    if params.keys.is_empty() || params.keys.len() > MOST_PREVIEWS {
        return Err(Refusal::invalid(format!(
            "invalid sessions.preview params: at /keys: 1 to {MOST_PREVIEWS} keys are allowed"
        )));
    }
    if params.max_chars.is_some_and(|it| it < 20) {
        return Err(Refusal::invalid("invalid sessions.preview params: at /maxChars: must be at least 20"));
    }
    let (limit, chars) =
        (params.limit.unwrap_or(12).clamp(1, 100), params.max_chars.unwrap_or(240).min(4000));
    let mut previews = Vec::new();
    for asked in params.keys {
        let (status, items) = match caller.gateway.key_of(&asked, None) {
            Ok(key) => one_preview(&caller.gateway, &key, limit, chars).await,
            Err(_) => ("error", Vec::new()),
        };
        previews.push(SessionPreview { key: asked, status: status.to_owned(), items });
    }
    Ok(PreviewReply { ts: clock::now_ms(), previews })
}

async fn one_preview(
    gateway: &Gateway,
    key: &SessionKey,
    limit: usize,
    chars: usize,
) -> (&'static str, Vec<PreviewItem>) {
    let name = key.as_str().to_owned();
    let read = gateway.archive.with(move |store| Ok((store.session(&name)?, store.history(&name, limit)?)));
    match read.await {
        Ok((Some(_), records)) if records.is_empty() => ("empty", Vec::new()),
        Ok((Some(_), records)) => ("ok", records.iter().filter_map(|it| preview_item(it, chars)).collect()),
        Ok((None, _)) => ("missing", Vec::new()),
        Err(_) => ("error", Vec::new()),
    }
}

fn preview_item(record: &StoredRecord, chars: usize) -> Option<PreviewItem> {
    let said = protocol::chat::text_of(&record.message);
    let line: String = text::line(&said, chars * 4).chars().take(chars).collect();
    let role = match record.role.as_str() {
        "user" | "assistant" => &record.role,
        "toolResult" => "tool",
        agent::entry::NOTICE | crate::rows::SUMMARY => "system",
        _ => "other",
    };
    (!line.is_empty()).then(|| PreviewItem { role: role.to_owned(), text: line })
}

pub(super) async fn resolve(caller: Caller, params: ResolveParams) -> Result<ResolveReply, Refusal> {
    let gateway = &caller.gateway;
    let ResolveParams { key, session_id, label, agent_id, spawned_by, allow_missing } = params;
    let asked = match (&key, &session_id, &label) {
        (Some(it), None, None) | (None, Some(it), None) | (None, None, Some(it)) => it.clone(),
        (None, None, None) => return Err(Refusal::invalid("Either key, sessionId or label is required")),
        _ => return Err(Refusal::invalid("Provide either key, sessionId or label (not both)")),
    };
    let key = key.map(|it| gateway.key_of(&it, agent_id.as_deref())).transpose()?;
    let query = SessionQuery { limit: 2, label, agent_id: agent_id.clone(), ..SessionQuery::default() };
    let read = gateway.archive.with(move |store| match (key, session_id) {
        (Some(key), _) => Ok(store.session(key.as_str())?.into_iter().collect()),
        (None, Some(id)) => Ok(store.session_by_id(&id)?.into_iter().collect()),
        (None, None) => store.sessions(&query).map(|it| it.sessions),
    });
    let mut found: Vec<Session> =
        read.await.map_err(|error| gateway.store_refusal("the conversation was not found", &error))?;
    found.retain(|it| agent_id.as_ref().is_none_or(|id| it.agent_id == *id));
    found.retain(|it| spawned_by.as_ref().is_none_or(|key| it.spawned_by.as_ref() == Some(key)));
    match found.pop() {
        Some(it) => Ok(ResolveReply { ok: true, key: Some(it.key), agent_id: Some(it.agent_id) }),
        None if allow_missing => Ok(ResolveReply { ok: false, key: None, agent_id: None }),
        None => Err(Refusal::invalid(format!("No session found: {}", text::line(&asked, 200)))),
    }
}

pub(super) async fn get(caller: Caller, params: GetParams) -> Result<GetReply, Refusal> {
    let gateway = &caller.gateway;
    let key = gateway.key_of(&params.key, None)?;
    let limit = params.limit.unwrap_or(MESSAGES.0).clamp(1, MESSAGES.1);
    let read = gateway.archive.with(move |store| store.history(key.as_str(), limit));
    let records =
        read.await.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    Ok(GetReply { messages: super::chat::within(records.into_iter().map(shown).collect(), None) })
}

pub(super) async fn subscribe(caller: Caller, params: SubscribeParams) -> Result<SubscribeReply, Refusal> {
    // First, so that nothing falls between the list and what is told after it.
    caller.client.subscribe_list(true);
    let list = match params.list {
        Some(it) => Some(page(&caller.gateway, it).await?),
        None => None,
    };
    Ok(SubscribeReply { subscribed: true, list })
}

pub(super) async fn messages_subscribe(
    caller: Caller,
    params: MessagesParams,
) -> Result<MessagesReply, Refusal> {
    let key = caller.gateway.key_of(&params.key, params.agent_id.as_deref())?;
    if !caller.client.subscribe(key.as_str(), true) {
        return Err(Refusal::invalid(format!(
            "this connection follows {SUBSCRIPTIONS} conversations already, and no more are allowed"
        )));
    }
    Ok(MessagesReply { subscribed: true, key: key.as_str().to_owned() })
}

pub(super) async fn messages_unsubscribe(
    caller: Caller,
    params: MessagesParams,
) -> Result<MessagesReply, Refusal> {
    let key = caller.gateway.key_of(&params.key, params.agent_id.as_deref())?;
    caller.client.subscribe(key.as_str(), false);
    Ok(MessagesReply { subscribed: false, key: key.as_str().to_owned() })
}
