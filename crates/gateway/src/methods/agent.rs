//! `agent`, `agent.wait`.

use std::sync::Arc;
use std::time::Duration;

use base::clock;
use protocol::agent::{Payload, RunParams, RunReply, RunResult, WaitParams, WaitReply};
use protocol::{Refusal, Scope};
use serde_json::json;
use tracing::warn;

use super::chat;
use crate::commands;
use crate::keys::SessionKey;
use crate::runs::{Ask, Claimed, Ended, How, Started};
use crate::supervisor::Stage;
use crate::table::Caller;
use crate::teller::{receipt, reply};

/// How long `agent.wait` waits where the caller names no time.
const WAIT: Duration = Duration::from_secs(30);
/// The longest that it waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

pub(super) async fn run(caller: Caller, params: RunParams) -> Result<RunReply, Refusal> {
    let gateway = &caller.gateway;
    if commands::is_reset(&params.message) {
        caller.need(Scope::Admin)?;
    }
    let key = session(&caller, &params).await?;
    let run_id = params.idempotency_key.clone();
    let accepted = |at| RunReply::Accepted {
        run_id: run_id.clone(),
        accepted_at: at,
        session_key: key.as_str().to_owned(),
        agent_id: key.agent().to_owned(),
    };
    if commands::is_command(&params.message) {
        let reply = accepted(clock::now_ms());
        match gateway.runs.claim(&run_id)? {
            Claimed::New => answer_command(&caller, key, params),
            Claimed::UnderWay => {}
            Claimed::Over(ended) => return Ok(ok(&run_id, &ended)),
        }
        return Ok(reply);
    }
    let limit = params.timeout.filter(|it| *it > 0).map(Duration::from_secs);
    crate::methods::sessions::check_level("agent", params.thinking.as_deref())?;
    let images = chat::images("agent", &params.attachments)?;
    let (extra, thinking) = (params.extra_system_prompt, params.thinking);
    let ask = Ask { limit, extra, thinking, images, ..Ask::new(run_id.clone(), key.clone(), params.message) };
    let run = match gateway.accept(ask).await? {
        Started::New(run) | Started::UnderWay(run) => run,
        Started::Over(run) => {
            let known = gateway.runs.over(&run_id).filter(|it| it.how == How::Answered);
            return Ok(known.map_or_else(|| over(&run), |ended| ok(&run_id, &ended)));
        }
    };
    let reply = accepted(run.accepted_at);
    let waiting = caller.clone();
    gateway.supervisor.start(Stage::Clients, &format!("reply to {run_id}"), |_| async move {
        let ended = run.ended().await;
        tell_end(&waiting, &run.ask.run_id, &ended);
    });
    Ok(reply)
}

/// The conversation of a request: by key, by id, or the agent's main one.
async fn session(caller: &Caller, params: &RunParams) -> Result<SessionKey, Refusal> {
    let named = params.agent_id.as_deref();
    if let (None, Some(key)) = (named, &params.session_key) {
        return caller.gateway.session_key(key);
    }
    let force = caller.gateway.force();
    let agent = force.agents.owner(named)?.map(|it| it.id.as_str()).ok_or_else(|| {
        let id = base::text::line(named.unwrap_or_default(), 80);
        Refusal::invalid(format!("invalid agent params: unknown agent id \"{id}\""))
    })?;
    if let Some(key) = &params.session_key {
        let key = SessionKey::parse(key, agent)?;
        if key.agent() != agent {
            let text = format!("invalid agent params: sessionKey belongs to agent \"{}\"", key.agent());
            return Err(Refusal::invalid(text));
        }
        return Ok(key);
    }
    let id = match &params.session_id {
        Some(id) if is_sound(id) => id.clone(),
        Some(_) => {
            return Err(Refusal::invalid(
                "sessionId: use 1 to 128 letters, digits, \"-\", \"_\", \".\" and \":\"",
            ));
        }
        None if params.agent_id.is_some() || params.to.is_some() => return Ok(SessionKey::main(agent)),
        // Nobody was named: a conversation of the run's own.
        None if is_sound(&params.idempotency_key) => params.idempotency_key.clone(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    let gateway = &caller.gateway;
    let key = SessionKey::explicit(agent, &id);
    let (new, owner) = (key.as_str().to_owned(), agent.to_owned());
    let known = gateway.archive.with(move |store| match store.session_by_id(&id)? {
        Some(it) => Ok(it.key),
        None => Ok(store.ensure_session(&new, &owner, Some(&id))?.key),
    });
    let known =
        known.await.map_err(|error| gateway.store_refusal("the conversation was not found", &error))?;
    SessionKey::parse(&known, agent)
}

fn is_sound(id: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.' | b':');
    !id.is_empty() && id.len() <= 128 && id.bytes().all(plain)
}

/// A command is answered by the gateway, after the acknowledgement like any turn.
fn answer_command(caller: &Caller, key: SessionKey, params: RunParams) {
    let waiting = caller.clone();
    caller.gateway.supervisor.start(Stage::Work, "a command", |_| async move {
        let at = clock::now_ms();
        let answer = commands::answer(&waiting.gateway, &key, &params.message).await;
        let ended = Ended::of_command(answer.unwrap_or_else(|| Ok(String::new())), at);
        waiting.gateway.runs.answered(&params.idempotency_key, ended.clone());
        tell_end(&waiting, &params.idempotency_key, &ended);
    });
}

/// The second response to `agent`.
fn tell_end(caller: &Caller, run_id: &str, ended: &Ended) {
    let (reply, error) = match &ended.how {
        How::Answered => (ok(run_id, ended), None),
        How::Stopped(reason) => {
            let (summary, stop_reason) = ("aborted".to_owned(), (*reason).to_owned());
            (RunReply::Timeout { run_id: run_id.to_owned(), summary, stop_reason }, None)
        }
        How::Failed(words) => {
            let reply = RunReply::Error { run_id: run_id.to_owned(), summary: words.clone() };
            (reply, Some(Refusal::unavailable(words.clone())))
        }
    };
    match serde_json::to_value(&reply) {
        Ok(payload) => chat::respond_again(caller, &payload, error.as_ref()),
        Err(error) => warn!("the end of a turn cannot be written: {error}"),
    }
}

fn ok(run_id: &str, ended: &Ended) -> RunReply {
    let (provider, model) = ended.model.split_once('/').unwrap_or(("", &ended.model));
    let (input, output) = ended.usage;
    let payloads = if ended.text.is_empty() {
        Vec::new()
    } else {
        vec![Payload { text: ended.text.clone(), media_url: None }]
    };
    let meta = json!({
        "durationMs": ended.ended_at.saturating_sub(ended.started_at),
        "agentMeta": {
            "sessionId": ended.session_id, "provider": provider, "model": model,
            "usage": {"input": input, "output": output, "total": input + output},
            "terminalReceipt": receipt(run_id, &ended.session_id, (provider, model), &ended.text),
        },
        "aborted": false,
        "stopReason": "stop",
        "livenessState": "working",
        "finalAssistantVisibleText": ended.text,
    });
    let result = RunResult { payloads, meta };
    RunReply::Ok { run_id: run_id.to_owned(), summary: "completed".to_owned(), result }
}

/// A run that ended before this process began, or long ago: what the store knows of it.
fn over(run: &store::Run) -> RunReply {
    let run_id = run.run_id.clone();
    match run.status {
        store::RunStatus::Ok => {
            let result = RunResult { payloads: Vec::new(), meta: json!({"aborted": false}) };
            RunReply::Ok { run_id, summary: "completed".to_owned(), result }
        }
        store::RunStatus::Aborted => {
            RunReply::Timeout { run_id, summary: "aborted".to_owned(), stop_reason: "rpc".to_owned() }
        }
        _ => RunReply::Error { run_id, summary: why(run) },
    }
}

/// Why a run that the store knows has failed.
fn why(run: &store::Run) -> String {
    run.error
        .clone()
        .unwrap_or_else(|| format!("the run was {}: the gateway ended before it did", run.status))
}

pub(super) async fn wait(caller: Caller, params: WaitParams) -> Result<WaitReply, Refusal> {
    let gateway = &caller.gateway;
    let limit = params.timeout_ms.map_or(WAIT, Duration::from_millis).min(LONGEST_WAIT);
    if let Some(ended) = gateway.runs.over(&params.run_id) {
        return Ok(waited(params.run_id, &ended));
    }
    let ended: Option<Arc<Ended>> = match gateway.runs.active(&params.run_id) {
        Some(run) => tokio::time::timeout(limit, run.ended()).await.ok(),
        None => None,
    };
    if let Some(ended) = ended {
        return Ok(waited(params.run_id, &ended));
    }
    let run_id = params.run_id.clone();
    let known = gateway.archive.with(move |store| store.run(&run_id)).await;
    let known = known.map_err(|error| gateway.store_refusal("the run was not found", &error))?;
    let (status, error) = match known.as_ref().map(|it| it.status) {
        Some(store::RunStatus::Ok) => ("ok", None),
        Some(store::RunStatus::Error | store::RunStatus::Interrupted) => ("error", known.as_ref().map(why)),
        _ => ("timeout", None),
    };
    Ok(WaitReply {
        run_id: params.run_id,
        status: status.to_owned(),
        started_at: known.as_ref().and_then(|it| it.started_at),
        ended_at: known.as_ref().and_then(|it| it.ended_at),
        error,
        stop_reason: None,
        liveness_state: None,
        terminal_reply: None,
        terminal_receipt: None,
    })
}

fn waited(run_id: String, ended: &Ended) -> WaitReply {
    let (status, error, stop_reason, liveness) = match &ended.how {
        How::Answered => ("ok", None, Some("stop".to_owned()), "working"),
        How::Stopped(reason) => ("timeout", None, Some((*reason).to_owned()), "abandoned"),
        How::Failed(words) => ("error", Some(words.clone()), None, "blocked"),
    };
    let model = ended.model.split_once('/').unwrap_or(("", &ended.model));
    WaitReply {
        terminal_receipt: Some(receipt(&run_id, &ended.session_id, model, &ended.text)),
        run_id,
        status: status.to_owned(),
        started_at: Some(ended.started_at),
        ended_at: Some(ended.ended_at),
        error,
        liveness_state: Some(liveness.to_owned()),
        terminal_reply: Some(reply(&ended.text)),
        stop_reason,
    }
}
