//! `node.*`.

use std::time::Duration;

use base::clock;
use protocol::approvals::{Done, NoParams};
use protocol::nodes::{
    AckParams, Acked, Approved, DrainParams, Drained, EnqueueParams, Enqueued, EventParams, InvokeParams,
    Invoked, ListReply, Node, NodeParams, PairListReply, ProgressParams, Pulled, Rejected, Removed,
    RenameParams, Renamed, RequestParams, ResultParams, Taken,
};
use protocol::{Refusal, Scope};
use serde::Deserialize;
use serde_json::Value;
use tracing::info;

use crate::nodes;
use crate::runs::Ask;
use crate::table::Caller;

/// The most letters of what people call a node.
const LONGEST_NAME: usize = 64;

pub(super) async fn list(caller: Caller, _: NoParams) -> Result<ListReply, Refusal> {
    Ok(ListReply { ts: clock::now_ms(), nodes: caller.gateway.nodes()? })
}

pub(super) async fn describe(caller: Caller, params: NodeParams) -> Result<Node, Refusal> {
    let mut node = caller.gateway.node_of(&params.node_id)?;
    node.ts = Some(clock::now_ms());
    Ok(node)
}

pub(super) async fn rename(caller: Caller, params: RenameParams) -> Result<Renamed, Refusal> {
    let name = params.display_name.trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let text =
            format!("invalid node.rename params: at /displayName: 1 to {LONGEST_NAME} letters, one line");
        return Err(Refusal::invalid(text));
    }
    caller.gateway.rename_node(&params.node_id, &name)?;
    Ok(Renamed { node_id: params.node_id, display_name: name })
}

pub(super) async fn pair_list(caller: Caller, _: NoParams) -> Result<PairListReply, Refusal> {
    let pending = caller.gateway.pending_nodes()?;
    let mut paired = caller.gateway.nodes()?;
    paired.retain(|it| it.approved_at_ms.is_some());
    Ok(PairListReply { pending, paired })
}

pub(super) async fn pair_approve(caller: Caller, params: RequestParams) -> Result<Approved, Refusal> {
    let waits = caller.gateway.pending_nodes()?.into_iter().find(|it| it.request_id == params.request_id);
    for scope in waits.iter().flat_map(|it| &it.required_approve_scopes) {
        if let Some(scope) = Scope::ALL.iter().find(|it| it.name() == scope) {
            caller.need(*scope)?;
        }
    }
    let id = caller.gateway.resolve_node(&params.request_id, true)?;
    Ok(Approved { request_id: params.request_id, node: caller.gateway.node_of(&id)? })
}

pub(super) async fn pair_reject(caller: Caller, params: RequestParams) -> Result<Rejected, Refusal> {
    let node_id = caller.gateway.resolve_node(&params.request_id, false)?;
    Ok(Rejected { request_id: params.request_id, node_id })
}

pub(super) async fn pair_remove(caller: Caller, params: NodeParams) -> Result<Removed, Refusal> {
    caller.gateway.remove_node(&params.node_id)?;
    Ok(Removed { node_id: params.node_id })
}

pub(super) async fn invoke(caller: Caller, params: InvokeParams) -> Result<Invoked, Refusal> {
    nodes::invoke(&caller, params).await
}

pub(super) async fn invoke_result(caller: Caller, params: ResultParams) -> Result<Taken, Refusal> {
    let taken = nodes::take_result(&caller.gateway, &caller.client, params)?;
    Ok(Taken { ok: true, ignored: (!taken).then_some(true) })
}

pub(super) async fn invoke_progress(caller: Caller, params: ProgressParams) -> Result<Taken, Refusal> {
    nodes::check_progress(&caller.client, &params)?;
    Ok(Taken { ok: true, ignored: Some(true) })
}

pub(super) async fn pending_enqueue(caller: Caller, params: EnqueueParams) -> Result<Enqueued, Refusal> {
    nodes::enqueue(&caller.gateway, params)
}

pub(super) async fn pending_drain(caller: Caller, params: DrainParams) -> Result<Drained, Refusal> {
    nodes::drain(&caller.gateway, &caller.client, params.max_items)
}

pub(super) async fn pending_pull(caller: Caller, _: NoParams) -> Result<Pulled, Refusal> {
    nodes::pull(&caller.gateway, &caller.client)
}

pub(super) async fn pending_ack(caller: Caller, params: AckParams) -> Result<Acked, Refusal> {
    nodes::ack(&caller.gateway, &caller.client, params.ids)
}

/// What an event of a node carries, as far as it is understood here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload {
    message: Option<String>,
    text: Option<String>,
    session_key: Option<String>,
    timeout_seconds: Option<u64>,
}

pub(super) async fn event(caller: Caller, params: EventParams) -> Result<Done, Refusal> {
    let gateway = &caller.gateway;
    if !gateway.is_approved(&caller.client) {
        return Err(Refusal::invalid("this node waits for approval: see node.pair.list"));
    }
    let read = params.payload_json.as_deref().and_then(|it| serde_json::from_str::<Value>(it).ok());
    let payload = params.payload.or(read).unwrap_or(Value::Null);
    let payload: Option<Payload> = serde_json::from_value(payload)
        .map_err(|error| Refusal::invalid(format!("invalid node.event params: at /payload: {error}")))?;
    let payload = payload.unwrap_or_default();
    let key = payload.session_key.as_deref().unwrap_or(crate::keys::MAIN);
    let key = caller.gateway.session_key(key)?;
    match params.event.as_str() {
        "chat.subscribe" if !caller.client.subscribe(key.as_str(), true) => {
            return Err(Refusal::unavailable("this node has subscribed to too many conversations"));
        }
        "chat.subscribe" => {}
        "chat.unsubscribe" => {
            caller.client.subscribe(key.as_str(), false);
        }
        "agent.request" | "voice.transcript" => {
            let message = payload.message.or(payload.text).filter(|it| !it.trim().is_empty());
            let message = message.ok_or_else(|| Refusal::invalid("the event has no message"))?;
            let limit = payload.timeout_seconds.filter(|it| *it > 0).map(Duration::from_secs);
            let run_id = uuid::Uuid::new_v4().to_string();
            gateway.accept(Ask { limit, ..Ask::new(run_id, key, message) }).await?;
        }
        "exec.started" | "exec.finished" | "exec.denied" => {
            info!(node = caller.client.who.program, "{}", params.event);
        }
        other => {
            let other = base::text::line(other, 80);
            return Err(Refusal::invalid(format!("this version takes no node event {other}")));
        }
    }
    Ok(Done { ok: true })
}
