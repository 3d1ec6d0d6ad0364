//! `config.*`.

mod write;

use base::clock;
use data_encoding::BASE64URL_NOPAD;
use profile::document::{self, Document, Unreadable, Weight};
use profile::{Finding, writing};
use protocol::Refusal;
use protocol::config::{
    GetParams, GetReply, Issue, REDACTED, SchemaLookupParams, SchemaLookupReply, SchemaParams, SchemaReply,
    WriteParams, WriteReply,
};
use ring::hmac;
use serde_json::{Value, json};

use self::write::Kind;
pub(super) use self::write::{Changed, change};
use crate::VERSION;
use crate::config;
use crate::state::Gateway;
use crate::table::Caller;

pub(super) async fn get(caller: Caller, _: GetParams) -> Result<GetReply, Refusal> {
    let gateway = &caller.gateway;
    let path = gateway.instance.config_path.display().to_string();
    let (document, issues, warnings) = match Document::load(&gateway.instance.config_path) {
        Ok(it) => {
            let found = config::judged(&gateway.instance, &gateway.ambient, it.text());
            let (issues, warnings) = found.into_iter().partition(|it| it.weight == Weight::Error);
            (Some(it), issues, warnings)
        }
        Err(error) => (None, vec![whole(&error)], Vec::new()),
    };
    let shown = document.as_ref().map_or(Value::Null, |it| document::redacted(it.value(), REDACTED));
    Ok(GetReply {
        path,
        exists: gateway.instance.config_path.exists(),
        raw: None,
        config: shown.clone(),
        parsed: shown,
        valid: issues.is_empty(),
        hash: hash_on_disk(gateway),
        issues: issues.into_iter().map(issue).collect(),
        warnings: warnings.into_iter().map(issue).collect(),
    })
}

pub(super) async fn set(caller: Caller, params: WriteParams) -> Result<WriteReply, Refusal> {
    write::serve(caller, params, Kind::Set).await
}

pub(super) async fn apply(caller: Caller, params: WriteParams) -> Result<WriteReply, Refusal> {
    write::serve(caller, params, Kind::Apply).await
}

pub(super) async fn patch(caller: Caller, params: WriteParams) -> Result<WriteReply, Refusal> {
    write::serve(caller, params, Kind::Patch).await
}

pub(super) async fn schema(_: Caller, _: SchemaParams) -> Result<SchemaReply, Refusal> {
    let hints = config::keys().into_iter().map(|it| {
        let hint = json!({"help": it.about, "sensitive": it.is_secret, "reloadKind": it.reload});
        (it.path, hint)
    });
    Ok(SchemaReply {
        schema: config::schema(),
        ui_hints: hints.collect(),
        version: VERSION.to_owned(),
        generated_at: clock::rfc3339(clock::now_ms()),
    })
}

pub(super) async fn lookup(_: Caller, params: SchemaLookupParams) -> Result<SchemaLookupReply, Refusal> {
    let path = params.path.trim();
    let keys = config::keys();
    let found = keys.iter().find(|it| it.path == path).ok_or_else(|| {
        Refusal::invalid(format!("config schema path not found: {}", base::text::line(path, 200)))
    })?;
    let below = |it: &&config::Key| {
        let rest = it.path.strip_prefix(path)?.strip_prefix('.')?;
        (!rest.contains('.') && !rest.ends_with("[]")).then(|| rest.to_owned())
    };
    let has_below = |of: &str| {
        keys.iter().any(|it| it.path.strip_prefix(of).is_some_and(|it| it.starts_with(['.', '['])))
    };
    let children = keys.iter().filter_map(|it| {
        let key = below(&it)?;
        Some(json!({"key": key, "path": it.path, "type": it.kind, "hasChildren": has_below(&it.path)}))
    });
    let schema = json!({
        "type": found.kind, "description": found.about, "default": found.default, "enum": found.choices,
    });
    Ok(SchemaLookupReply {
        path: path.to_owned(),
        schema,
        hint: json!({"help": found.about, "sensitive": found.is_secret}),
        reload_kind: found.reload.clone(),
        children: children.collect(),
    })
}

fn whole(error: &Unreadable) -> Finding {
    match error {
        Unreadable::Syntax { finding, .. } => (**finding).clone(),
        other => Finding::whole(base::text::chain(other)),
    }
}

fn issue(finding: Finding) -> Issue {
    Issue { path: finding.path, message: finding.message, line: finding.line, column: finding.column }
}

fn hash_on_disk(gateway: &Gateway) -> Option<String> {
    let text = writing::current(&gateway.instance).ok()?.text;
    text.map(|it| hash(gateway, &it))
}

/// The base of a write. Keyed, so that it tells nothing of a secret in the text.
fn hash(gateway: &Gateway, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, gateway.force().access.secret.expose().as_bytes());
    let sum = hmac::sign(&key, text.as_bytes());
    format!("hmac-sha256:v1:{}", BASE64URL_NOPAD.encode(sum.as_ref()))
}
