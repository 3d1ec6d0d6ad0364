//! By what somebody comes in: the shared secret, a device that is paired, a setup code, or the owner's own door.

use std::net::IpAddr;
use std::time::Instant;

use base::clock;
use protocol::connect::{ConnectParams, Credentials, Issued};
use protocol::event::Name;
use protocol::{Code, Refusal, Role, Scopes};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Peer, Refused};
use crate::audience::Ending;
use crate::devices::{Asking, Broken, Hand, Lack, No, Waiting};
use crate::state::Gateway;

/// What a client may do next: as the protocol names it.
pub(super) const WAIT: &str = "wait_then_retry";
const CREDENTIALS: &str = "update_auth_credentials";
const DEVICE_TOKEN: &str = "retry_with_device_token";
const REVIEW: &str = "review_auth_configuration";

/// The part that a broken store is told of as.
const PART: &str = "devices";

/// By what it came in, and what it may do.
pub(super) struct Entered {
    pub(super) method: &'static str,
    pub(super) scopes: Scopes,
    pub(super) gone: CancellationToken,
    pub(super) leash: Ending,
    pub(super) issued: Vec<Issued>,
}

/// Decides who comes in.
pub(super) async fn enter(
    gateway: &Gateway,
    peer: Peer,
    params: &ConnectParams,
    role: Role,
) -> Result<Entered, Refused> {
    let asked = Scopes::asked(&params.scopes);
    let (hand, gone) = match peer {
        Peer::Owner => (Hand { authority: Some("local"), ..Hand::default() }, CancellationToken::new()),
        Peer::Address(address) => look(gateway, address, params)?,
    };
    if let Some(device) = &params.device {
        let asking = Asking::new(device, &params.client, role, &asked, peer.address());
        return by_device(gateway, asking, hand, gone).await;
    }
    match hand.authority {
        _ if role == Role::Node => {
            let details = json!({"code": "DEVICE_IDENTITY_REQUIRED"});
            Err(Refusal::new(Code::NotPaired, "device identity required").details(details).into())
        }
        Some(method) => {
            Ok(Entered { method, scopes: asked, gone, leash: Ending::default(), issued: Vec::new() })
        }
        None => Err(missing(gateway).into()),
    }
}

/// Sorts what was offered. What is wrong whoever offers it is refused here.
fn look(
    gateway: &Gateway,
    address: IpAddr,
    params: &ConnectParams,
) -> Result<(Hand, CancellationToken), Refusal> {
    let force = gateway.force();
    let access = &force.access;
    let has_device = params.device.is_some();
    let auth = params.auth.clone().unwrap_or_default();
    let Credentials { token, password, device_token, bootstrap_token } = auth;
    let failed = |refusal: Refusal| {
        gateway.attempts.failed(address, Instant::now());
        refusal
    };
    let mut hand = Hand::default();
    let mut gone = CancellationToken::new();
    for (offered, is_token) in [(token, true), (password, false)] {
        match offered {
            Some(it) if access.secret.matches(&it) => {
                hand.authority = Some(access.method);
                gone = access.gone.clone();
            }
            // Old clients offer the token of their device under the name of the shared one.
            Some(it) if is_token && has_device && !it.is_empty() => hand.tokens.push((it, false)),
            Some(_) => return Err(failed(mismatch(gateway, has_device))),
            None => {}
        }
    }
    match device_token {
        Some(_) if !has_device => return Err(failed(bad_device_token())),
        it => hand.tokens.extend(it.map(|it| (it, true))),
    }
    match bootstrap_token {
        Some(_) if !has_device => return Err(failed(bad_code())),
        it => hand.code = it,
    }
    Ok((hand, gone))
}

async fn by_device(
    gateway: &Gateway,
    asking: Asking,
    hand: Hand,
    gone: CancellationToken,
) -> Result<Entered, Refused> {
    let (device, address) = (asking.device.clone(), asking.address);
    let now = clock::now_ms();
    let role = asking.role;
    let scopes = asking.scopes.names();
    let settled =
        gateway.devices.with(move |store| (store.settle(&asking, &hand, now), store.trouble())).await;
    let settled = match settled {
        Ok((settled, trouble)) => {
            gateway.note(PART, trouble);
            settled
        }
        Err(Broken(words)) => Err(No::Broken(words)),
    };
    let no = match settled {
        Ok(yes) => {
            if let Some(resolved) = &yes.resolved {
                gateway.audience.tell(Name::DeviceResolved, resolved);
            }
            let method = yes.method;
            return Ok(Entered { method, scopes: yes.scopes, gone, leash: yes.leash, issued: yes.issued });
        }
        Err(no) => no,
    };
    let failed = |refusal: Refusal| {
        if let Some(address) = address {
            gateway.attempts.failed(address, Instant::now());
        }
        Refused::from(refusal)
    };
    Err(match no {
        No::Token { is_device_token: true } => failed(bad_device_token()),
        No::Token { is_device_token: false } => failed(mismatch(gateway, true)),
        No::Code => failed(bad_code()),
        No::Scopes(waiting) => {
            gateway.audience.tell(Name::DeviceRequested, &waiting.told());
            let text = "device token scope mismatch (re-pair or approve scope upgrade)";
            let mut refusal = unauthorized(text, "AUTH_SCOPE_MISMATCH", REVIEW);
            if let Some(Value::Object(details)) = &mut refusal.details {
                details.insert("requestId".to_owned(), json!(waiting.id));
            }
            refusal.into()
        }
        No::Pairing { lack, waiting, roles, scopes: approved } => {
            gateway.audience.tell(Name::DeviceRequested, &waiting.told());
            let details = json!({
                "deviceId": device, "requestedRole": role, "requestedScopes": scopes,
                "approvedRoles": roles, "approvedScopes": approved,
            });
            pairing_required(lack, &waiting, details)
        }
        No::Broken(words) => {
            gateway.note(PART, Some(words));
            // What is wrong names a path: that is for the owner, and health has it.
            let text = format!("the paired devices of instance {} cannot be read", gateway.instance.name);
            Refusal::unavailable(text).into()
        }
    })
}

fn pairing_required(lack: Lack, waiting: &Waiting, mut details: Value) -> Refused {
    let (reason, sentence, hint) = match lack {
        Lack::NotPaired => (
            "not-paired",
            "device is not approved yet",
            "Approve this device from the pending pairing requests.",
        ),
        Lack::Scopes => (
            "scope-upgrade",
            "device is asking for more scopes than currently approved",
            "Review the requested scopes, then approve the pending upgrade.",
        ),
        Lack::Role => (
            "role-upgrade",
            "device is asking for a higher role than currently approved",
            "Review the requested role upgrade, then approve the pending request.",
        ),
        Lack::Metadata => (
            "metadata-upgrade",
            "device identity changed and must be re-approved",
            "Review the refreshed device details, then approve the pending request.",
        ),
    };
    if let Value::Object(details) = &mut details {
        for (key, value) in [
            ("code", "PAIRING_REQUIRED"),
            ("reason", reason),
            ("requestId", &waiting.id),
            ("remediationHint", hint),
            ("recommendedNextStep", WAIT),
        ] {
            details.insert(key.to_owned(), json!(value));
        }
    }
    let text = format!("pairing required: {sentence}");
    let mut refused = Refused::from(Refusal::new(Code::NotPaired, text.clone()).details(details));
    refused.reason = Some(format!("{text} (requestId: {})", waiting.id));
    refused
}

fn missing(gateway: &Gateway) -> Refusal {
    let name = gateway.force().access.method;
    let text = format!(
        "gateway {name} missing (pass the value of gateway.auth.{name} of instance {})",
        gateway.instance.name
    );
    let code = if name == "token" { "AUTH_TOKEN_MISSING" } else { "AUTH_PASSWORD_MISSING" };
    unauthorized(&text, code, CREDENTIALS)
}

/// A device may have a token of its own to try.
fn mismatch(gateway: &Gateway, has_device: bool) -> Refusal {
    let name = gateway.force().access.method;
    let text = format!("gateway {name} mismatch (use this gateway's gateway.auth.{name} or pair the device)");
    let code = if name == "token" { "AUTH_TOKEN_MISMATCH" } else { "AUTH_PASSWORD_MISMATCH" };
    let mut refusal = unauthorized(&text, code, if has_device { DEVICE_TOKEN } else { CREDENTIALS });
    if let (true, Some(Value::Object(details))) = (has_device, &mut refusal.details) {
        details.insert("canRetryWithDeviceToken".to_owned(), json!(true));
    }
    refusal
}

fn bad_device_token() -> Refusal {
    let text = "device token mismatch (rotate/reissue device token)";
    unauthorized(text, "AUTH_DEVICE_TOKEN_MISMATCH", CREDENTIALS)
}

fn bad_code() -> Refusal {
    let text = "setup code invalid, expired, revoked, or already used (ask for a new one)";
    unauthorized(text, "AUTH_BOOTSTRAP_TOKEN_INVALID", CREDENTIALS)
}

pub(super) fn unauthorized(text: &str, code: &str, next: &str) -> Refusal {
    let reason = code.trim_start_matches("AUTH_").to_ascii_lowercase();
    Refusal::new(Code::InvalidRequest, format!("unauthorized: {text}")).details(json!({
        "code": code, "authReason": reason, "canRetryWithDeviceToken": false, "recommendedNextStep": next,
    }))
}
