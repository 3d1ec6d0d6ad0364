//! `connect`: who may come in, as whom, and with which scopes. In the protocol's order of decisions.

use std::net::IpAddr;
use std::time::Instant;

use base::clock;
use protocol::connect::{
    CLIENT_IDS, CLIENT_MODES, ConnectParams, Credentials, Features, Granted, HelloOk, Server,
    SessionDefaults, Snapshot,
};
use protocol::error::close;
use protocol::event::Name;
use protocol::{Code, Refusal, Role, Scope, Scopes, VERSIONS, negotiate};
use serde_json::{json, value::RawValue};
use tokio_util::sync::CancellationToken;

use crate::VERSION;
use crate::audience::Who;
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
}

/// A connection that is not: what it is told, and how it is closed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The error of the response.
    pub(crate) refusal: Box<Refusal>,
    /// The code of the close frame.
    pub(crate) close: u16,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), close: close::POLICY }
    }
}

/// Decides about a `connect`.
pub(crate) fn admit(
    gateway: &Gateway,
    peer: Peer,
    nonce: &str,
    params: Option<&RawValue>,
) -> Result<Admitted, Refused> {
    let params = read(params)?;
    let (min, max) = (params.min_protocol, params.max_protocol);
    let protocol = negotiate(min, max).ok_or_else(|| mismatch(min, max))?;
    let role = match params.role.as_deref() {
        None | Some("operator") => Role::Operator,
        // The smallest admission of a node: a device that proves itself, and the shared secret as for everybody.
        Some("node") if params.device.is_some() => Role::Node,
        Some("node") => {
            let refusal = Refusal::new(Code::InvalidRequest, "device identity required");
            return Err(refusal.details(json!({"code": "DEVICE_IDENTITY_REQUIRED"})).into());
        }
        _ => return Err(Refusal::invalid("invalid role").into()),
    };
    if let Some(device) = &params.device {
        device::check(&params, device, nonce, clock::now_ms()).map_err(|it| {
            Refusal::invalid(it.message).details(json!({"code": it.code, "reason": it.reason}))
        })?;
    }
    let method = match peer {
        Peer::Owner => ("local", CancellationToken::new()),
        Peer::Address(address) => authenticate(gateway, address, &params.auth.unwrap_or_default())?,
    };
    let (method, gone) = method;
    let called = params.client.display_name.as_deref().filter(|it| !it.trim().is_empty());
    let who = Who {
        program: base::text::line(called.unwrap_or(&params.client.id), LONGEST_NAME),
        role,
        scopes: Scopes::asked(if role == Role::Node { &[] } else { &params.scopes }),
        caps: params.caps,
        surface: protocol::nodes::Surface {
            caps: Vec::new(),
            commands: params.commands,
            permissions: params.permissions,
        },
        device: params.device.map(|it| it.id),
        address: match peer {
            Peer::Owner => None,
            Peer::Address(it) => Some(it),
        },
        client: params.client,
    };
    Ok(Admitted { protocol, who, method, gone })
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
    Refused { refusal: Box::new(refusal), close: close::PROTOCOL }
}

/// The shared secret, under either of its names. Whoever failed too often is not even looked at.
fn authenticate(
    gateway: &Gateway,
    address: IpAddr,
    auth: &Credentials,
) -> Result<(&'static str, CancellationToken), Refusal> {
    let now = Instant::now();
    if let Some(left) = gateway.attempts.locked(address, now) {
        let mut refusal = unauthorized(
            "too many failed authentication attempts (retry later)",
            "AUTH_RATE_LIMITED",
            "wait_then_retry",
        );
        refusal.retry_after_ms = u64::try_from(left.as_millis()).ok();
        return Err(refusal);
    }
    let force = gateway.force();
    let access = &force.access;
    let offered: Vec<&str> = [&auth.token, &auth.password, &auth.device_token, &auth.bootstrap_token]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let name = access.method;
    if offered.is_empty() {
        let text = format!(
            "gateway {name} missing (pass the value of gateway.auth.{name} of instance {})",
            gateway.instance.name
        );
        let code = if name == "token" { "AUTH_TOKEN_MISSING" } else { "AUTH_PASSWORD_MISSING" };
        return Err(unauthorized(&text, code, "update_auth_credentials"));
    }
    // Whatever is offered must be right: one good credential does not excuse a bad one beside it.
    if offered.iter().all(|it| access.secret.matches(it)) {
        return Ok((name, access.gone.clone()));
    }
    gateway.attempts.failed(address, now);
    let text = format!("gateway {name} mismatch (use this gateway's gateway.auth.{name} or pair the device)");
    let code = if name == "token" { "AUTH_TOKEN_MISMATCH" } else { "AUTH_PASSWORD_MISMATCH" };
    Err(unauthorized(&text, code, "update_auth_credentials"))
}

fn unauthorized(text: &str, code: &str, next: &str) -> Refusal {
    let reason = code.trim_start_matches("AUTH_").to_ascii_lowercase();
    Refusal::new(Code::InvalidRequest, format!("unauthorized: {text}")).details(json!({
        "code": code, "authReason": reason, "canRetryWithDeviceToken": false, "recommendedNextStep": next,
    }))
}

/// What a client is told that was let in.
pub(crate) fn hello(gateway: &Gateway, admitted: &Admitted, connection: &str, methods: &[&str]) -> HelloOk {
    let admin = admitted.who.scopes.allow(Scope::Admin);
    let path = |it: &std::path::Path| admin.then(|| it.display().to_string());
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
                default_agent_id: gateway.force().agents.default().id.clone(),
                main_key: crate::keys::MAIN.to_owned(),
                main_session_key: SessionKey::main(&gateway.force().agents.default().id).as_str().to_owned(),
                scope: "per-sender".to_owned(),
            },
            config_path: path(&instance.config_path),
            state_dir: path(&instance.state_dir),
        },
        auth: Granted {
            method: admitted.method.to_owned(),
            role: admitted.who.role.name().to_owned(),
            scopes: admitted.who.scopes.names(),
        },
        policy: POLICY,
    }
}

/// What the host calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
