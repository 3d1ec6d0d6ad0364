//! `device.*`. Nobody gives more than they hold, and a device looks after itself alone unless it is an administrator's.

use std::collections::HashSet;

use base::clock;
use data_encoding::BASE64URL_NOPAD;
use protocol::devices::{
    ApproveReply, Changed, DeviceParams, DeviceReply, ListParams, ListReply, RejectReply, RenameParams,
    RenameReply, RequestParams, Resolved, RevokeReply, RotateParams, RotateReply, SetupCodeParams,
    SetupCodeReply, SetupStatusParams, SetupStatusReply, TokenParams,
};
use protocol::error::close;
use protocol::event::Name;
use protocol::{Code, Refusal, Role, Scope, Scopes};
use serde_json::json;

use crate::audience::Ending;
use crate::devices::{Broken, Lack};
use crate::table::Caller;

/// The longest label, in characters.
const LABEL: usize = 64;

pub(super) async fn list(caller: Caller, _: ListParams) -> Result<ListReply, Refusal> {
    let connected = connected(&caller);
    let now = clock::now_ms();
    let listed = caller.gateway.devices.with(move |store| {
        let pending = store.waiting(now).iter().map(crate::devices::Waiting::told).collect();
        store.book().map(|book| ListReply { pending, paired: book.told(&connected) })
    });
    listed.await.and_then(|it| it).map_err(|it| broken(&caller, it))
}

pub(super) async fn approve(caller: Caller, params: RequestParams) -> Result<ApproveReply, Refusal> {
    let (who, connected) = (caller.client.who.clone(), connected(&caller));
    let now = clock::now_ms();
    let id = params.request_id.clone();
    let done = caller.gateway.devices.with(move |store| {
        let waiting = store.take(&id, now).ok_or_else(|| Refusal::invalid("unknown requestId"))?;
        let asking = &waiting.asking;
        let own = who.device.as_ref() == Some(&asking.device) && !who.scopes.allow(Scope::Admin);
        let may = if own {
            Err(Refusal::new(Code::Forbidden, "a device cannot approve its own request"))
        } else {
            held(&who.scopes, &asking.scopes)
        };
        if let Err(refusal) = may {
            store.put_back(waiting);
            return Err(refusal);
        }
        let by = who.device.as_deref().unwrap_or(&who.program);
        let written = store.change(|book| {
            let paired = book.pair(asking, "owner", Some(by), now);
            if waiting.lack == Lack::NotPaired && paired {
                // It has none, or has lost it: it is handed a new one when it comes.
                let scopes = book.token_scopes(&asking.device, asking.role);
                book.rotate(&asking.device, asking.role, &scopes, now);
            }
            paired.then(|| book.one(&asking.device, &connected)).flatten()
        });
        match written {
            Ok(Some(device)) => Ok(device),
            Ok(None) => Err(Refusal::unavailable("there are too many paired devices; remove one")),
            Err(Broken(words)) => {
                store.put_back(waiting);
                Err(Refusal::unavailable(words))
            }
        }
    });
    let device = done.await.map_err(|it| broken(&caller, it))??;
    resolved(&caller, &params.request_id, &device.device_id, "approved");
    Ok(ApproveReply { request_id: params.request_id, device })
}

pub(super) async fn reject(caller: Caller, params: RequestParams) -> Result<RejectReply, Refusal> {
    let (id, now) = (params.request_id.clone(), clock::now_ms());
    let taken = caller.gateway.devices.with(move |store| store.take(&id, now)).await;
    let waiting = taken.map_err(|it| broken(&caller, it))?;
    let device_id = waiting.ok_or_else(|| Refusal::invalid("unknown requestId"))?.asking.device;
    resolved(&caller, &params.request_id, &device_id, "rejected");
    Ok(RejectReply { request_id: params.request_id, device_id })
}

pub(super) async fn remove(caller: Caller, params: DeviceParams) -> Result<DeviceReply, Refusal> {
    let id = params.device_id;
    own_or_admin(&caller, &id)?;
    let device = id.clone();
    let done = caller.gateway.devices.with(move |store| {
        let found = store.change(|book| book.remove(&device))?;
        Ok((found, store.cut(&device, None)))
    });
    let (found, endings) = done.await.and_then(|it| it).map_err(|it| broken(&caller, it))?;
    if !found {
        return Err(Refusal::invalid("unknown deviceId"));
    }
    changed(&caller, &id, "removed");
    end(endings, "device removed");
    Ok(DeviceReply { device_id: id })
}

pub(super) async fn rename(caller: Caller, params: RenameParams) -> Result<RenameReply, Refusal> {
    let label = params.label.trim().to_owned();
    if label.is_empty() || label.chars().count() > LABEL || label.chars().any(char::is_control) {
        let text = format!("invalid device.pair.rename params: at /label: must have 1 to {LABEL} characters");
        return Err(Refusal::invalid(text));
    }
    own_or_admin(&caller, &params.device_id)?;
    let (device, name) = (params.device_id.clone(), label.clone());
    let done = caller.gateway.devices.with(move |store| store.change(|book| book.rename(&device, name)));
    if !done.await.and_then(|it| it).map_err(|it| broken(&caller, it))? {
        return Err(Refusal::invalid("unknown deviceId"));
    }
    changed(&caller, &params.device_id, "renamed");
    Ok(RenameReply { device_id: params.device_id, label })
}

pub(super) async fn rotate(caller: Caller, params: RotateParams) -> Result<RotateReply, Refusal> {
    let RotateParams { device_id, role, scopes } = params;
    own_or_admin(&caller, &device_id)?;
    let own = caller.client.who.device.as_ref() == Some(&device_id);
    let holds = caller.client.who.scopes.clone();
    let (device, now) = (device_id.clone(), clock::now_ms());
    let done = caller.gateway.devices.with(move |store| {
        let book = store.book().map_err(|it| Refusal::unavailable(it.0))?;
        if !book.has_token(&device, role) {
            return Err(Refusal::invalid("unknown deviceId/role"));
        }
        let wanted = match scopes {
            Some(names) => Scopes::asked(&names),
            None => book.token_scopes(&device, role),
        };
        let approved = book.approved(&device, role);
        if !approved.cover(&wanted) {
            return Err(Refusal::invalid("scopes: more than the device is approved for"));
        }
        held(&holds, &wanted)?;
        let token = store.change(|book| {
            book.rotate(&device, role, &wanted, now);
            if own { book.mint(&device, role, now) } else { None }
        });
        let token = token.map_err(|it| Refusal::unavailable(it.0))?;
        let endings = if own { Vec::new() } else { store.cut(&device, Some(role)) };
        Ok((token, wanted, endings))
    });
    let (token, scopes, endings) = done.await.map_err(|it| broken(&caller, it))??;
    changed(&caller, &device_id, "token-rotated");
    end(endings, "device token rotated");
    let token_delivery = token.is_none().then(|| "withheld-cross-device".to_owned());
    Ok(RotateReply { device_id, role, token, token_delivery, scopes: scopes.names(), rotated_at_ms: now })
}

pub(super) async fn revoke(caller: Caller, params: TokenParams) -> Result<RevokeReply, Refusal> {
    let TokenParams { device_id, role } = params;
    own_or_admin(&caller, &device_id)?;
    let (device, now) = (device_id.clone(), clock::now_ms());
    let done = caller.gateway.devices.with(move |store| {
        let found = store.change(|book| book.revoke(&device, role, now))?;
        Ok((found, store.cut(&device, Some(role))))
    });
    let (found, endings) = done.await.and_then(|it| it).map_err(|it| broken(&caller, it))?;
    if !found {
        return Err(Refusal::invalid("unknown deviceId/role"));
    }
    changed(&caller, &device_id, "token-revoked");
    end(endings, "device token revoked");
    Ok(RevokeReply { device_id, role, revoked_at_ms: now })
}

pub(super) async fn setup_code(caller: Caller, params: SetupCodeParams) -> Result<SetupCodeReply, Refusal> {
    let access = params.access.unwrap_or_else(|| "full".to_owned());
    let all = || Scope::ALL.into_iter();
    let (roles, scopes): (_, Vec<Scope>) = match access.as_str() {
        "full" => (vec![Role::Operator, Role::Node], all().collect()),
        "limited" => (
            vec![Role::Operator, Role::Node],
            all().filter(|it| !matches!(it, Scope::Admin | Scope::Pairing | Scope::TalkSecrets)).collect(),
        ),
        "node" => (vec![Role::Node], Vec::new()),
        _ => {
            let text = "invalid device.pair.setupCode params: at /access: must be full, limited or node";
            return Err(Refusal::invalid(text));
        }
    };
    let names: Vec<String> = scopes.iter().map(|it| it.name().to_owned()).collect();
    let scopes = Scopes::asked(&names);
    let now = clock::now_ms();
    let issued = caller.gateway.devices.with(move |store| store.issue(roles, scopes, now)).await;
    let (code, secret) = issued.map_err(|it| broken(&caller, it))?;
    let gateway_url = format!("ws://127.0.0.1:{}", caller.gateway.port);
    let text = json!({"url": gateway_url, "bootstrapToken": secret}).to_string();
    Ok(SetupCodeReply {
        setup_id: code.id,
        setup_code: BASE64URL_NOPAD.encode(text.as_bytes()),
        gateway_url,
        auth: caller.gateway.force().access.method.to_owned(),
        access,
        expires_at_ms: code.expires,
    })
}

pub(super) async fn setup_status(
    caller: Caller,
    params: SetupStatusParams,
) -> Result<SetupStatusReply, Refusal> {
    let id = params.setup_id.clone();
    let found = caller.gateway.devices.with(move |store| store.code(&id).cloned()).await;
    let found = found.map_err(|it| broken(&caller, it))?;
    let code = found.ok_or_else(|| Refusal::invalid("unknown setupId"))?;
    let status = match &code.used_by {
        Some(_) => "used",
        None if clock::now_ms() >= code.expires => "expired",
        None => "pending",
    };
    Ok(SetupStatusReply {
        setup_id: code.id,
        status: status.to_owned(),
        device_id: code.used_by,
        expires_at_ms: code.expires,
    })
}

/// Whoever is no administrator looks after its own device alone.
fn own_or_admin(caller: &Caller, device: &str) -> Result<(), Refusal> {
    if caller.client.who.device.as_deref() == Some(device) { Ok(()) } else { caller.need(Scope::Admin) }
}

/// Nobody gives more than they hold.
fn held(holds: &Scopes, wanted: &Scopes) -> Result<(), Refusal> {
    if holds.cover(wanted) {
        return Ok(());
    }
    let names = wanted.names();
    let lacking = names.iter().find(|it| !holds.cover(&Scopes::asked(std::slice::from_ref(*it))));
    let lacking = lacking.cloned().unwrap_or_default();
    Err(Refusal::new(Code::Forbidden, format!("missing scope: {lacking}"))
        .details(json!({"code": "MISSING_SCOPE", "missingScope": lacking, "requiredScopes": names})))
}

fn connected(caller: &Caller) -> HashSet<String> {
    caller.gateway.audience.all().iter().filter_map(|it| it.who.device.clone()).collect()
}

fn resolved(caller: &Caller, request: &str, device: &str, decision: &str) {
    let told = Resolved {
        request_id: request.to_owned(),
        device_id: device.to_owned(),
        decision: decision.to_owned(),
        ts: clock::now_ms(),
    };
    caller.gateway.audience.tell(Name::DeviceResolved, &told);
}

fn changed(caller: &Caller, device: &str, reason: &str) {
    let told = Changed { device_id: device.to_owned(), reason: reason.to_owned(), ts: clock::now_ms() };
    caller.gateway.audience.tell(Name::DeviceChanged, &told);
}

/// The last that a handler does: the answer to a device that ends its own connection still goes out.
fn end(endings: Vec<Ending>, reason: &str) {
    for ending in endings {
        ending.end(close::AUTH_CHANGED, &format!("client invalidated: {reason}"));
    }
}

fn broken(caller: &Caller, Broken(words): Broken) -> Refusal {
    caller.gateway.note("devices", Some(words.clone()));
    Refusal::unavailable(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gives_more_than_they_hold() {
        let all: Vec<String> = Scope::ALL.iter().map(|it| it.name().to_owned()).collect();
        let subset = |bits: u32| {
            let names: Vec<String> =
                all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|it| it.1.clone()).collect();
            Scopes::asked(&names)
        };
        let sets: Vec<Scopes> = (0..1_u32 << all.len()).map(subset).collect();
        for holds in &sets {
            for wanted in &sets {
                let more = Scope::ALL.into_iter().any(|it| wanted.allow(it) && !holds.allow(it));
                assert_eq!(held(holds, wanted).is_err(), more, "{holds:?} gives {wanted:?}");
            }
        }
    }
}
