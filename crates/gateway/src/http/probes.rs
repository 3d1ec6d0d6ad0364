//! Liveness, readiness, start.

use hyper::StatusCode;
use protocol::Scope;
use serde_json::json;

use super::Asked;
use super::reply::{Answer, json_answer};
use crate::{VERSION, methods};

/// That this is answered is what it says.
pub(super) fn live() -> Answer {
    json_answer(StatusCode::OK, &json!({"ok": true, "status": "live"}))
}

/// What is wrong may name folders: that is for those who may see. Others are told how much is.
pub(super) async fn ready(asked: &Asked) -> Answer {
    let readiness = methods::readiness(asked.gateway()).await;
    let status = if readiness.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = if asked.scopes.allow(Scope::Read) {
        let mut told = json!(readiness);
        told["ready"] = json!(readiness.ok);
        told
    } else {
        json!({"ready": readiness.ok, "ok": readiness.ok, "failing": readiness.failing})
    };
    json_answer(status, &told)
}

/// Nobody can ask before it is so. Since when, and which version, is for those who are known.
pub(super) fn started(asked: &Asked) -> Answer {
    let mut told = json!({"ok": true, "status": "started"});
    if asked.is_known {
        told["version"] = json!(VERSION);
        told["uptimeMs"] = json!(asked.gateway().uptime_ms());
    }
    json_answer(StatusCode::OK, &told)
}
