//! `system-event`, `wake`, `system.info`, `gateway.identity.get`.

use base::random;
use protocol::Refusal;
use protocol::approvals::NoParams;
use protocol::catalogues::Nothing;
use protocol::presence::Entry;
use protocol::system::{
    Done, GatewayIdentityReply, Preflight, PreflightBlocker, PreflightCounts, RestartParams, RestartReply,
    SystemEventParams, SystemInfoReply, WakeMode, WakeParams,
};

use crate::VERSION;
use crate::identity;
use crate::keys::SessionKey;
use crate::limits::HAPPENING_BYTES;
use crate::runs::Ask;
use crate::table::Caller;
use crate::{reload, restart};

pub(super) async fn restart(caller: Caller, params: RestartParams) -> Result<RestartReply, Refusal> {
    let gateway = &caller.gateway;
    if gateway.is_safe {
        let words = format!(
            "it runs in safe mode: lead it back with `openclaw fleet restart {}`",
            gateway.instance.name
        );
        return Err(Refusal::unavailable(words));
    }
    let key = params.session_key.as_deref().map(|it| gateway.session_key(it)).transpose()?;
    let sentinel = restart::request(gateway, &params, key.as_ref()).map_err(|error| {
        Refusal::unavailable(format!(
            "the restart cannot be noted, and was not begun: {}",
            base::text::chain(&error)
        ))
    })?;
    let turns = gateway.runs.count();
    reload::restart_when_idle(gateway);
    let status = if turns == 0 { "restarting" } else { "deferred" }.to_owned();
    Ok(RestartReply { ok: true, status, turns, sentinel })
}

pub(super) async fn preflight(caller: Caller, _: NoParams) -> Result<Preflight, Refusal> {
    let runs = &caller.gateway.runs;
    // A conversation has one turn at a time: the others in it wait.
    let (total_active, embedded_runs) = (runs.count(), runs.by_session().len());
    let queue_size = total_active.saturating_sub(embedded_runs);
    let counts = PreflightCounts { queue_size, embedded_runs, total_active, ..PreflightCounts::default() };
    let mut blockers = Vec::new();
    for (kind, count, what) in [
        ("embedded-run", embedded_runs, "turn(s) under way"),
        ("queue", queue_size, "message(s) that wait for their turn"),
    ] {
        if count > 0 {
            let message = format!("{count} {what}");
            blockers.push(PreflightBlocker { kind: kind.to_owned(), count, message });
        }
    }
    let name = &caller.gateway.instance.name;
    let reasons: Vec<&str> = blockers.iter().map(|it| it.message.as_str()).collect();
    let summary = if reasons.is_empty() {
        format!("instance {name} would restart at once")
    } else {
        format!("a restart of instance {name} would wait for {}", reasons.join(" and "))
    };
    Ok(Preflight { safe: total_active == 0, counts, blockers, summary })
}

pub(super) async fn event(caller: Caller, params: SystemEventParams) -> Result<Done, Refusal> {
    let gateway = &caller.gateway;
    let text = said(&params.text, "text required")?;
    let key = match params.session_key.as_deref() {
        Some(it) => gateway.session_key(it)?,
        // A beacon of a device is for everybody who listens; the default agent is told of it.
        None => SessionKey::main(&gateway.force().agents.default().id),
    };
    let known = gateway.force().agents.find(key.agent()).is_some();
    if !known {
        return Err(crate::agents::not_found(key.agent()));
    }
    let who = params.who;
    let named =
        [&who.device_id, &who.instance_id, &who.host].into_iter().flatten().find(|it| !it.trim().is_empty());
    // What says of nobody that he is there changes nothing about who is.
    if let Some(named) = named {
        let place = base::text::line(named, 128);
        let entry = Entry { text: Some(text.clone()), ts: base::clock::now_ms(), ..bounded(who).into() };
        gateway.beacon(place, entry);
    }
    queue(&caller, &key, &text)?;
    Ok(Done { ok: true })
}

/// Everything that is told to all is short.
fn bounded(mut who: protocol::system::Beacon) -> protocol::system::Beacon {
    let texts = [
        &mut who.device_id,
        &mut who.instance_id,
        &mut who.host,
        &mut who.ip,
        &mut who.mode,
        &mut who.version,
        &mut who.platform,
        &mut who.device_family,
        &mut who.model_identifier,
        &mut who.reason,
    ];
    texts.into_iter().flatten().for_each(|it| *it = base::text::line(it, 128));
    for list in [&mut who.roles, &mut who.scopes, &mut who.tags] {
        list.truncate(32);
        list.iter_mut().for_each(|it| *it = base::text::line(it, 128));
    }
    who
}

pub(super) async fn wake(caller: Caller, params: WakeParams) -> Result<Done, Refusal> {
    let gateway = &caller.gateway;
    let text = said(&params.text, "text required")?;
    let key = match (&params.session_key, &params.agent_id) {
        (Some(key), _) => gateway.session_key(key)?,
        (None, named) => SessionKey::main(&gateway.agent(named.as_deref())?.id),
    };
    gateway.agent(Some(key.agent()))?;
    match params.mode {
        WakeMode::NextHeartbeat => queue(&caller, &key, &text)?,
        WakeMode::Now => {
            let run_id = format!("wake-{}", random::hex::<8>());
            let ask = Ask::new(run_id, key, format!("System: {text}"));
            gateway.accept(ask).await?;
        }
    }
    Ok(Done { ok: true })
}

fn said(text: &str, absent: &str) -> Result<String, Refusal> {
    let text = text.trim();
    match text.len() {
        0 => Err(Refusal::invalid(absent)),
        1..=HAPPENING_BYTES => Ok(text.to_owned()),
        more => Err(Refusal::invalid(format!(
            "the text has {more} bytes, more than the {HAPPENING_BYTES} allowed"
        ))),
    }
}

fn queue(caller: &Caller, key: &SessionKey, text: &str) -> Result<(), Refusal> {
    if caller.gateway.happenings.add(key.as_str(), text) {
        return Ok(());
    }
    Err(Refusal::unavailable("too many conversations wait to be told something already").retryable())
}

pub(super) async fn info(caller: Caller, _: Nothing) -> Result<SystemInfoReply, Refusal> {
    let gateway = &caller.gateway;
    Ok(SystemInfoReply {
        hostname: crate::handshake::host_name(),
        platform: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu_count: std::thread::available_parallelism().map_or(1, |it| it.get() as u64),
        pid: std::process::id(),
        version: VERSION.to_owned(),
        instance: gateway.instance.name.clone(),
        port: gateway.port,
        uptime_ms: gateway.uptime_ms(),
    })
}

pub(super) async fn identity(caller: Caller, _: Nothing) -> Result<GatewayIdentityReply, Refusal> {
    let own = identity::of(&caller.gateway.instance.state_dir).map_err(Refusal::unavailable)?;
    Ok(GatewayIdentityReply { device_id: own.device_id, public_key: own.public_key })
}
