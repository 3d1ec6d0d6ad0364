//! `config.*`.

use data_encoding::BASE64URL_NOPAD;
use profile::Finding;
use profile::document::{self, Document, Unreadable, Weight};
use protocol::Refusal;
use protocol::config::{GetParams, GetReply, Issue, REDACTED};
use ring::hmac;
use serde_json::Value;

use crate::config;
use crate::state::Gateway;
use crate::table::Caller;

pub(super) async fn get(caller: Caller, _: GetParams) -> Result<GetReply, Refusal> {
    let gateway = &caller.gateway;
    let path = gateway.instance.config_path.display().to_string();
    let (document, issues, warnings) = match Document::load(&gateway.instance.config_path) {
        Ok(it) => {
            let found = config::findings(&gateway.instance, &gateway.ambient, it.text());
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
        hash: document.map(|it| hash(gateway, it.text())),
        issues: issues.into_iter().map(issue).collect(),
        warnings: warnings.into_iter().map(issue).collect(),
    })
}

fn whole(error: &Unreadable) -> Finding {
    match error {
        Unreadable::Syntax { finding, .. } => (**finding).clone(),
        other => Finding::whole(base::text::chain(other)),
    }
}

fn issue(finding: Finding) -> Issue {
    Issue { path: finding.path, message: finding.message, line: finding.line }
}

/// The base of a write. Keyed, so that it tells nothing of a secret in the text.
fn hash(gateway: &Gateway, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, gateway.force().access.secret.expose().as_bytes());
    let sum = hmac::sign(&key, text.as_bytes());
    format!("hmac-sha256:v1:{}", BASE64URL_NOPAD.encode(sum.as_ref()))
}
