//! A restart that somebody asked for: it waits for the turns under way, and the conversation that it was asked for in is
//! told when it is through, once, however this process ends in between.

use std::path::PathBuf;
use std::sync::Arc;

use base::file::{self, FileError};
use base::{clock, random};
use protocol::chat::assistant_text;
use protocol::system::RestartParams;
use serde_json::{Value, json};
use store::{Record, StoreError};
use tracing::{info, warn};

use crate::keys::SessionKey;
use crate::state::Gateway;

/// What is to be told after the restart, within the state folder.
const FILE: &str = "restart-sentinel.json";
/// Among so many of the newest messages the notice is looked for before it is written.
const NEWEST: usize = 50;

/// Keeps what is to be told, and has the gateway begin again once no turn is under way. Returns what is kept.
///
/// # Errors
/// When it cannot be kept; nothing is restarted then.
pub(crate) fn request(
    gateway: &Gateway,
    params: &RestartParams,
    key: Option<&SessionKey>,
) -> Result<Value, FileError> {
    let mut payload = json!({
        "kind": "restart",
        "status": "ok",
        "ts": clock::now_ms(),
        "message": params.note,
        "stats": {"mode": "gateway.restart", "reason": params.reason},
    });
    if let Some(key) = key {
        payload["sessionKey"] = json!(key.as_str());
    }
    let sentinel = keep(gateway, payload)?;
    info!(turns = gateway.runs.count(), "a restart was asked for");
    gateway.reload.ask_restart();
    Ok(sentinel)
}

/// Keeps what is to be told after the next start: the `payload` of the answers that announce a restart. Returns what is
/// kept.
///
/// # Errors
/// When it cannot be kept.
pub(crate) fn keep(gateway: &Gateway, mut payload: Value) -> Result<Value, FileError> {
    payload["stats"]["id"] = json!(random::hex::<8>());
    let sentinel = json!({"version": 1, "payload": payload});
    file::replace(&path(gateway), sentinel.to_string().as_bytes())?;
    Ok(sentinel)
}

/// There is no restart after all.
pub(crate) fn forget(gateway: &Gateway) {
    if let Err(error) = file::remove(&path(gateway)) {
        warn!("{}", base::text::chain(&error));
    }
}

/// Tells what the restart before this start left to be told.
pub(crate) async fn tell(gateway: Arc<Gateway>) {
    let path = path(&gateway);
    let Ok(text) = std::fs::read(&path) else { return };
    let sentinel: Value = serde_json::from_slice(&text).unwrap_or_default();
    if let Err(error) = deliver(&gateway, &sentinel["payload"]).await {
        warn!("a conversation was not told of the restart: {}", base::text::chain(&error));
        return;
    }
    if let Err(error) = file::remove(&path) {
        warn!("{}", base::text::chain(&error));
    }
}

async fn deliver(gateway: &Gateway, payload: &Value) -> Result<(), StoreError> {
    let (Some(key), Some(id)) = (payload["sessionKey"].as_str(), payload["stats"]["id"].as_str()) else {
        return Ok(());
    };
    let mut message = assistant_text(&words(gateway, payload), clock::now_ms());
    message["stopReason"] = json!("injected");
    message["restart"] = json!(id);
    let record = Record { role: "assistant".to_owned(), message, at: clock::now_ms() };
    let (key, id) = (key.to_owned(), id.to_owned());
    let name = key.clone();
    let told = gateway.archive.with(move |store| {
        // The process may have ended after it was written and before that was noted.
        if store.history(&name, NEWEST)?.iter().any(|it| it.message["restart"] == id) {
            return Ok(None);
        }
        match store.append_one(&name, &record) {
            Ok(it) => Ok(Some(it)),
            // It was deleted meanwhile: there is nobody to tell.
            Err(StoreError::NoSuchSession { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    });
    if let (Some(record), Ok(key)) = (told.await?, gateway.session_key(&key)) {
        let row = gateway.row(&key).await;
        gateway.tell_record(&key, record, row);
        gateway.tell_changed(&key, "message", None).await;
    }
    Ok(())
}

fn words(gateway: &Gateway, payload: &Value) -> String {
    let name = &gateway.instance.name;
    let why = if payload["kind"] == "restart" { "as was asked for" } else { "for a change of its config" };
    let mut text =
        format!("The gateway of {name} was restarted, {why}, and is ready (PID {}).", std::process::id());
    for (what, said) in [("Reason", &payload["stats"]["reason"]), ("Note", &payload["message"])] {
        if let Some(said) = said.as_str().filter(|it| !it.trim().is_empty()) {
            text.push_str(&format!("\n{what}: {said}"));
        }
    }
    text
}

fn path(gateway: &Gateway) -> PathBuf {
    gateway.instance.state_dir.join(FILE)
}
