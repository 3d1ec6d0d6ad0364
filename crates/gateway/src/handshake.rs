//! `connect`: who may come in, as whom, and with which scopes. In the protocol's order of decisions.

mod entry;

use std::net::IpAddr;
use std::time::Instant;

use base::clock;
use protocol::connect::{
    CLIENT_IDS, CLIENT_MODES, ConnectParams, Features, Granted, HelloOk, Issued, Server, SessionDefaults,
    Snapshot,
};
use protocol::error::close;
use protocol::event::Name;
use protocol::{Refusal, Role, Scope, VERSIONS, negotiate};
use serde_json::{json, value::RawValue};
use tokio_util::sync::CancellationToken;

use crate::VERSION;
use crate::audience::{Ending, Who};
use crate::device;
use crate::keys::SessionKey;
use crate::limits::POLICY;
use crate::methods::known;
use crate::state::Gateway;
use crate::table;

/// The most bytes that are kept of what a client calls itself.
const LONGEST_NAME: usize = 80;

/// Where a connection comes from, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of our own user on the control socket.
    Owner,
    /// An address. Loopback is one like any other.
    Address(IpAddr),
}

impl Peer {
    /// The address, where there is one.
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Peer::Owner => None,
            Peer::Address(it) => Some(it),
        }
    }
}

/// A connection that is let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The version that is spoken.
    pub(crate) protocol: u32,
    /// Who it is.
    pub(crate) who: Who,
    /// How it was known.
    pub(crate) method: &'static str,
    /// Cancelled when what it was let in by holds no longer.
    pub(crate) gone: CancellationToken,
    /// Ends it when its device is let in no longer.
    pub(crate) leash: Ending,
    /// Tokens for its device to keep.
    pub(crate) issued: Vec<Issued>,
}

/// A connection that is not: what it is told, and how it is closed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The error of the response.
    pub(crate) refusal: Box<Refusal>,
    /// The code of the close frame.
    pub(crate) close: u16,
    /// The reason of the close frame, where it says more than the error does.
    pub(crate) reason: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), close: close::POLICY, reason: None }
    }
}

/// Decides about a `connect`.
pub(crate) async fn admit(
    gateway: &Gateway,
    peer: Peer,
    nonce: &str,
    params: Option<&RawValue>,
) -> Result<Admitted, Refused> {
    let params = read(params)?;
    let role = params.role.as_deref().map_or(Some(Role::Operator), Role::parse);
    let protocol = spoken(&params, role)?;
    let role = role.ok_or_else(|| Refusal::invalid("invalid role"))?;
    if let Peer::Address(address) = peer {
        not_locked(gateway, address)?;
    }
    if let Some(device) = &params.device {
        let checked = device::check(&params, device, nonce, clock::now_ms(), peer == Peer::Owner);
        checked.map_err(|it| {
            Refusal::invalid(it.message).details(json!({"code": it.code, "reason": it.reason}))
        })?;
    }
    let entered = entry::enter(gateway, peer, &params, role).await?;
    let called = params.client.display_name.as_deref().filter(|it| !it.trim().is_empty());
    let who = Who {
        program: base::text::line(called.unwrap_or(&params.client.id), LONGEST_NAME),
        role,
        scopes: entered.scopes,
        caps: params.caps,
        surface: protocol::nodes::Surface {
            caps: Vec::new(),
            commands: params.commands,
            permissions: params.permissions,
        },
        device: params.device.map(|it| it.id),
        address: peer.address(),
        client: params.client,
    };
    let entry::Entered { method, gone, leash, issued, .. } = entered;
    Ok(Admitted { protocol, who, method, gone, leash, issued })
}

/// The version that is spoken: the highest in common; a probe may be ahead of us, and a node host is told ours.
fn spoken(params: &ConnectParams, role: Option<Role>) -> Result<u32, Refused> {
    let (min, max) = (params.min_protocol, params.max_protocol);
    let mode = params.client.mode.as_str();
    let common = negotiate(min, max);
    let is_node = role == Some(Role::Node) && mode == "node";
    match common {
        Some(_) if is_node => Ok(VERSIONS.1),
        Some(it) => Ok(it),
        None if mode == "probe" && max >= VERSIONS.0 && min <= max => Ok(VERSIONS.1),
        None => Err(mismatch(min, max)),
    }
}

/// Whoever failed too often is not even looked at.
fn not_locked(gateway: &Gateway, address: IpAddr) -> Result<(), Refusal> {
    let Some(left) = gateway.attempts.locked(address, Instant::now()) else { return Ok(()) };
    let mut refusal = entry::unauthorized(
        "too many failed authentication attempts (retry later)",
        "AUTH_RATE_LIMITED",
        entry::WAIT,
    );
    refusal.retry_after_ms = u64::try_from(left.as_millis()).ok();
    Err(refusal)
}

fn read(params: Option<&RawValue>) -> Result<ConnectParams, Refusal> {
    let invalid = |words: &str| Refusal::invalid(format!("invalid connect params: {words}"));
    let params: ConnectParams = table::read("connect", params)?;
    if !CLIENT_IDS.contains(&params.client.id.as_str()) {
        return Err(invalid("at /client/id: must be equal to one of the allowed values"));
    }
    if !CLIENT_MODES.contains(&params.client.mode.as_str()) {
        return Err(invalid("at /client/mode: must be equal to one of the allowed values"));
    }
    Ok(params)
}

fn mismatch(min: u32, max: u32) -> Refused {
    let refusal = Refusal::invalid("protocol mismatch").details(json!({
        "code": "PROTOCOL_MISMATCH", "clientMinProtocol": min, "clientMaxProtocol": max,
        "expectedProtocol": VERSIONS.1, "minimumProbeProtocol": VERSIONS.0,
    }));
    Refused { refusal: Box::new(refusal), close: close::PROTOCOL, reason: None }
}

/// What a client is told that was let in.
pub(crate) fn hello(gateway: &Gateway, admitted: &Admitted, connection: &str, methods: &[&str]) -> HelloOk {
    let admin = admitted.who.scopes.allow(Scope::Admin);
    let path = |it: &std::path::Path| admin.then(|| it.display().to_string());
    let force = gateway.force();
    let agent = force.agents.default().id.as_str();
    let instance = &gateway.instance;
    HelloOk {
        r#type: "hello-ok".to_owned(),
        protocol: admitted.protocol,
        server: Server {
            version: VERSION.to_owned(),
            instance: instance.name.clone(),
            pid: std::process::id(),
            port: gateway.port,
            host: host_name(),
            boot_id: gateway.boot_id.clone(),
            conn_id: connection.to_owned(),
            control_ui_build_source: "configured".to_owned(),
        },
        features: Features {
            methods: methods.iter().map(|it| (*it).to_owned()).collect(),
            events: Name::TABLE.iter().map(|it| it.wire.to_owned()).collect(),
        },
        snapshot: Snapshot {
            presence: gateway.present(),
            health: known(gateway),
            state_version: gateway.state_version(),
            uptime_ms: gateway.uptime_ms(),
            session_defaults: SessionDefaults {
                default_agent_id: agent.to_owned(),
                main_key: crate::keys::MAIN.to_owned(),
                main_session_key: SessionKey::main(agent).as_str().to_owned(),
                scope: "per-sender".to_owned(),
                model_configured: gateway.model_status().configured,
                selection_required: !force.agents.is_clear(),
            },
            auth_mode: admin.then(|| force.access.method.to_owned()),
            config_path: path(&instance.config_path),
            state_dir: path(&instance.state_dir),
        },
        auth: Granted {
            method: admitted.method.to_owned(),
            role: admitted.who.role.name().to_owned(),
            scopes: admitted.who.scopes.names(),
            device_token: admitted.issued.first().map(|it| it.device_token.clone()),
            issued_at_ms: admitted.issued.first().map(|it| it.issued_at_ms),
            device_tokens: if admitted.issued.len() > 1 { admitted.issued.clone() } else { Vec::new() },
        },
        policy: POLICY,
    }
}

/// What the host calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
