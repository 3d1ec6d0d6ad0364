//! `exec.approval.*` and `exec.approvals.*`.

use std::time::Duration;

use protocol::Refusal;
use protocol::approvals::{
    Accepted, DecideParams, DecideReply, Decided, Done, Found, HistoryParams, HistoryReply, IdParams,
    NoParams, NodePolicyParams, NodePolicySetParams, Pending, Policy, PolicyParams, RequestParams,
    RequestReply, ResolveParams, Shown,
};
use protocol::nodes::InvokeParams;
use serde_json::{Value, json};

use crate::approvals::{self, Answer, Question};
use crate::nodes;
use crate::table::Caller;

pub(super) async fn request(caller: Caller, params: RequestParams) -> Result<RequestReply, Refusal> {
    let mut asked = params.request;
    let is_empty = asked.command.as_deref().is_none_or(|it| it.trim().is_empty());
    if is_empty && asked.command_argv.as_ref().is_none_or(Vec::is_empty) {
        return Err(Refusal::invalid("invalid exec.approval.request params: at /command: must not be empty"));
    }
    if is_empty {
        asked.command = asked.command_argv.as_ref().map(|it| it.join(" "));
    }
    let question = Question {
        id: params.id,
        asked,
        patience: params.timeout_ms.map(Duration::from_millis),
        asker: Some(caller.client.id.clone()),
    };
    let request = approvals::ask(&caller.gateway, question)?;
    if params.two_phase != Some(true) {
        return Ok(RequestReply::Decided(request.decided().await));
    }
    Ok(RequestReply::Accepted(Accepted {
        status: "accepted".to_owned(),
        id: request.pending.id.clone(),
        delivery_route: if request.has_route() { "operator" } else { "none" }.to_owned(),
        created_at_ms: request.pending.created_at_ms,
        expires_at_ms: request.pending.expires_at_ms,
    }))
}

pub(super) async fn wait_decision(caller: Caller, params: IdParams) -> Result<Decided, Refusal> {
    let found = caller.gateway.approvals.find(&params.id).ok_or_else(approvals::unknown)?;
    Ok(found.decided().await)
}

pub(super) async fn resolve(caller: Caller, params: ResolveParams) -> Result<Done, Refusal> {
    let answer = Answer { id: &params.id, decision: &params.decision };
    approvals::resolve(&caller.gateway, &caller.client, &answer)?;
    Ok(Done { ok: true })
}

pub(super) async fn list(caller: Caller, _: NoParams) -> Result<Vec<Pending>, Refusal> {
    Ok(caller.gateway.approvals.open().iter().map(|it| it.pending.clone()).collect())
}

pub(super) async fn get(caller: Caller, params: IdParams) -> Result<Shown, Refusal> {
    let open = caller.gateway.approvals.open();
    let pending = &open.iter().find(|it| it.pending.id == params.id).ok_or_else(approvals::unknown)?.pending;
    let text = pending.request.command.clone().unwrap_or_default();
    Ok(Shown {
        id: pending.id.clone(),
        command_preview: text.clone(),
        command_text: text,
        allowed_decisions: approvals::allowed(&pending.request),
        host: pending.request.host.clone(),
        node_id: pending.request.node_id.clone(),
        agent_id: pending.request.agent_id.clone(),
        expires_at_ms: pending.expires_at_ms,
    })
}

pub(super) async fn policy_get(caller: Caller, _: NoParams) -> Result<Policy, Refusal> {
    approvals::document(&caller.gateway)
}

pub(super) async fn policy_set(caller: Caller, params: PolicyParams) -> Result<Policy, Refusal> {
    approvals::replace_document(&caller.gateway, params.file, params.base_hash.as_deref())?;
    approvals::document(&caller.gateway)
}

pub(super) async fn find(caller: Caller, params: IdParams) -> Result<Found, Refusal> {
    Ok(Found { approval: approvals::look(&caller.gateway, &params.id)? })
}

pub(super) async fn decide(caller: Caller, params: DecideParams) -> Result<DecideReply, Refusal> {
    approvals::decide(&caller.gateway, &caller.client, &params)
}

pub(super) async fn history(caller: Caller, params: HistoryParams) -> Result<HistoryReply, Refusal> {
    approvals::history(&caller.gateway, &params)
}

pub(super) async fn node_policy_get(caller: Caller, params: NodePolicyParams) -> Result<Value, Refusal> {
    let policy = ask_node(&caller, params.node_id, "system.execApprovals.get", json!({})).await?;
    if policy.is_object() {
        return Ok(policy);
    }
    Err(Refusal::unavailable("the node answered with something that is no approvals document"))
}

pub(super) async fn node_policy_set(caller: Caller, params: NodePolicySetParams) -> Result<Value, Refusal> {
    let wished = match (params.file, params.native, &params.base_hash) {
        (Some(file), None, _) => json!({"file": file, "baseHash": params.base_hash}),
        (None, Some(native), Some(hash)) => {
            let mut wished = Value::Object(native);
            wished["baseHash"] = json!(hash);
            wished
        }
        _ => {
            let text = "invalid exec.approvals.node.set params: needs file, or native with baseHash";
            return Err(Refusal::invalid(text));
        }
    };
    ask_node(&caller, params.node_id, "system.execApprovals.set", wished).await
}

async fn ask_node(caller: &Caller, node_id: String, command: &str, params: Value) -> Result<Value, Refusal> {
    let invoke = InvokeParams {
        node_id,
        command: command.to_owned(),
        params: Some(params),
        timeout_ms: None,
        idempotency_key: uuid::Uuid::new_v4().to_string(),
    };
    Ok(nodes::invoke(caller, invoke).await?.payload)
}
