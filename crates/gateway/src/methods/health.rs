//! `health`, `status`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::clock;
use protocol::Refusal;
use protocol::health::{
    AgentHealth, ChannelStatus, ConfigStatus, HealthParams, HealthReply, Readiness, RecentSession,
    SessionsHealth, SessionsStatus, StatusParams, StatusReply,
};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use store::SessionQuery;

use crate::VERSION;
use crate::agents::Agent;
use crate::keys::SessionKey;
use crate::reach;
use crate::rows::Rows;
use crate::state::Gateway;
use crate::table::Caller;

/// Sessions that `status` shows.
const RECENT: usize = 10;

/// The health as it was last written, and what it was written of. Many ask, and little changes.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Option<(Instant, u64, Box<RawValue>)>>);

/// How old what is told may be. What is wrong is never told late: it makes another version.
const FRESH: Duration = Duration::from_secs(1);

pub(super) async fn health(caller: Caller, params: HealthParams) -> Result<Box<RawValue>, Refusal> {
    let gateway = &caller.gateway;
    if params.probe || gateway.overview().is_none() {
        gateway.look_at_sessions().await;
    }
    let version = gateway.health_version();
    let mut written = gateway.written_health.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, of, body)) = &*written
        && *of == version
        && at.elapsed() < FRESH
        && !params.probe
    {
        return Ok(body.clone());
    }
    let body = to_raw_value(&snapshot(gateway)).expect("health always writes");
    *written = Some((Instant::now(), version, body.clone()));
    Ok(body)
}

/// The health as it is known, without looking; `{}` while nobody has looked, as the protocol allows.
pub(crate) fn known(gateway: &Gateway) -> Value {
    gateway.overview().map_or_else(|| json!({}), |_| json!(snapshot(gateway)))
}

/// The health as it is known.
fn snapshot(gateway: &Gateway) -> HealthReply {
    let now = clock::now_ms();
    let overview = gateway.overview().unwrap_or_default();
    let recent = overview.recent.into_iter();
    let recent = recent.map(|(key, updated_at)| RecentSession {
        key,
        updated_at,
        age: now.saturating_sub(updated_at),
    });
    let sessions = SessionsHealth {
        path: gateway.archive.path().display().to_string(),
        count: overview.count,
        recent: recent.collect(),
    };
    let problems = gateway.problems();
    let is_watched = gateway.force().config.gateway.reload.mode != "off";
    HealthReply {
        ok: problems.is_empty(),
        ts: now,
        duration_ms: clock::now_ms().saturating_sub(now),
        instance: gateway.info(),
        channels: Map::new(),
        channel_order: Vec::new(),
        channel_labels: Map::new(),
        heartbeat_seconds: 0,
        default_agent_id: gateway.force().agents.default().id.clone(),
        agents: agents(gateway, &sessions),
        sessions,
        problems,
        config_reload: json!({"hotReloadStatus": if is_watched { "active" } else { "disabled" }}),
    }
}

/// Each agent with those of the newest conversations that are its own; one alone has all of them.
fn agents(gateway: &Gateway, sessions: &SessionsHealth) -> Vec<AgentHealth> {
    let force = gateway.force();
    let (all, default) = (force.agents.all(), force.agents.default());
    let row = |it: &Agent| {
        let mut own = sessions.clone();
        if all.len() > 1 {
            own.recent.retain(|recent| recent.key.starts_with(&format!("agent:{}:", it.id)));
            own.count = own.recent.len() as u64;
        }
        AgentHealth {
            agent_id: it.id.clone(),
            is_default: it.id == default.id,
            heartbeat: json!({"enabled": false, "every": "disabled", "everyMs": null}),
            sessions: own,
        }
    };
    all.iter().map(row).collect()
}

/// How it is, for those who look at many gateways at once. The database is not opened for it.
pub(crate) async fn readiness(gateway: &Gateway) -> Readiness {
    let sessions = sessions_now(gateway).await;
    let problems = gateway.problems();
    Readiness {
        ok: problems.is_empty(),
        failing: problems.len(),
        problems,
        conflicts: gateway.conflicts(),
        instance: gateway.info(),
        state_dir: gateway.instance.state_dir.display().to_string(),
        uptime_ms: gateway.uptime_ms(),
        sessions,
        channels: Vec::new(),
        generation: gateway.force().generation,
        bind: Some(gateway.door.bind.mode.word().to_owned()),
    }
}

/// How many conversations there are: as of the last stop, until the database was opened or where nothing is known.
pub(crate) async fn sessions_now(gateway: &Gateway) -> Option<u64> {
    if gateway.sessions_before.is_none() || gateway.archive.is_open() {
        gateway.look_at_sessions().await;
        return gateway.overview().map(|it| it.count);
    }
    gateway.sessions_before
}

fn config_status(gateway: &Gateway) -> ConfigStatus {
    let (force, refused) = (gateway.force(), gateway.reload.refused());
    ConfigStatus {
        generation: force.generation,
        in_force: refused.is_none(),
        refused: refused.map(|it| it.why).unwrap_or_default(),
        findings: force.findings.iter().map(|it| it.told(&gateway.instance.config_path)).collect(),
        looks: gateway.reload.looks(),
        last: gateway.reload.last(),
    }
}

pub(super) async fn status(caller: Caller, params: StatusParams) -> Result<StatusReply, Refusal> {
    let gateway = &caller.gateway;
    let mut model = gateway.model_status();
    if params.deep {
        model.reach = reach::of_choice(gateway).await;
    }
    let query = SessionQuery { limit: RECENT, ..SessionQuery::default() };
    let page = gateway.archive.with(move |store| store.sessions(&query)).await;
    let page = page.map_err(|error| gateway.store_refusal("the conversations were not read", &error))?;
    let path = gateway.archive.path().display().to_string();
    let shown = Rows::of(gateway);
    let rows = page.sessions.into_iter().map(|it| shown.row(it, false));
    let recent: Vec<_> = rows.map(|it| json!(it)).collect();
    let force = gateway.force();
    let default = force.agents.default().id.as_str();
    let alone = force.agents.all().len() == 1;
    let by_agent = force.agents.all().iter().map(|it| {
        let own: Vec<_> = recent.iter().filter(|row| alone || row["agentId"] == it.id).cloned().collect();
        let count = if alone { page.total } else { own.len() as u64 };
        json!({"agentId": it.id, "path": path, "count": count, "recent": own})
    });
    let by_agent: Vec<_> = by_agent.collect();
    let hearts: Vec<_> =
        force.agents.all().iter().map(|it| json!({"agentId": it.id, "enabled": false})).collect();
    Ok(StatusReply {
        runtime_version: VERSION.to_owned(),
        instance: gateway.info(),
        uptime_ms: gateway.uptime_ms(),
        heartbeat: json!({"defaultAgentId": default, "agents": hearts}),
        channel_summary: Vec::new(),
        queued_system_events: gateway.happenings.waiting(SessionKey::main(default).as_str()),
        sessions: SessionsStatus {
            paths: vec![path],
            count: page.total,
            defaults: shown.defaults(),
            recent,
            by_agent,
        },
        model,
        config: config_status(gateway),
        listening: gateway.door.listening(),
        connections: gateway.audience.count() as u64,
        active_runs: gateway.runs.count() as u64,
        channels: vec![ChannelStatus {
            id: "webchat".to_owned(),
            label: "WebChat".to_owned(),
            connected: true,
            last_received_at: gateway.runs.received_at(),
        }],
        problems: gateway.problems(),
        conflicts: gateway.conflicts(),
    })
}
