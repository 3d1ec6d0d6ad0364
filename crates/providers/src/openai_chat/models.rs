//! The list of models that a provider offers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use serde_json::Value;

use super::Endpoint;
use crate::{ErrorKind, ModelError, ModelInfo};

/// Where servers write how many tokens fit, as JSON pointers.
const WINDOWS: &[&str] = &[
    "/context_length",
    "/context_window",
    "/max_context_length",
    "/max_model_len",
    "/max_input_tokens",
    "/meta/n_ctx_train",
];

/// Asks for the list.
pub(super) async fn list(endpoint: &Endpoint) -> Result<Vec<ModelInfo>, ModelError> {
    let mut head = endpoint.head(Method::GET, &endpoint.models)?;
    head.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    if endpoint.quirks.lists_like_anthropic {
        let version = HeaderName::from_static("anthropic-version");
        head.headers_mut().insert(version, HeaderValue::from_static("2023-06-01"));
    }
    let answer = endpoint.send(head.map(|()| Full::new(Bytes::new()))).await?;
    let body = answer.body.whole(endpoint.settings.idle).await.map_err(|it| endpoint.failed(&it))?;
    parse(&body).ok_or_else(|| endpoint.error(ErrorKind::Garbage, "it did not answer with a list of models"))
}

/// `{"data": [...]}`, or the bare list that Together sends. Ollama without models sends `null` for the list.
fn parse(body: &[u8]) -> Option<Vec<ModelInfo>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    match value.get("data").unwrap_or(&value) {
        Value::Array(rows) => Some(rows.iter().filter_map(model).collect()),
        Value::Null if value.get("object").is_some() => Some(Vec::new()),
        _ => None,
    }
}

fn model(row: &Value) -> Option<ModelInfo> {
    let id = row.get("id")?.as_str()?;
    // Google lists `models/gemini-…` and is asked for `gemini-…`.
    let id = id.strip_prefix("models/").unwrap_or(id).to_owned();
    let name = ["display_name", "name"].iter().find_map(|it| row.get(it)?.as_str()).unwrap_or(&id).to_owned();
    let context_window = WINDOWS.iter().find_map(|it| row.pointer(it)?.as_u64());
    Some(ModelInfo { id, name, context_window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<&[(&str, &str, Option<u64>)]>) {
        let found = parse(body.as_bytes());
        let found: Option<Vec<_>> = found
            .as_ref()
            .map(|all| all.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.context_window)).collect());
        assert_eq!(found.as_deref(), expected, "{body}");
    }

    #[test]
    fn reads_the_lists_that_servers_write() {
        check(r#"{"object":"list","data":[{"id":"a"},{"noid":1}]}"#, Some(&[("a", "a", None)]));
        check(r#"{"data":[{"id":"a","display_name":"A","context_length":9}]}"#, Some(&[("a", "A", Some(9))]));
        check(r#"{"data":[{"id":"models/g"}]}"#, Some(&[("g", "g", None)]));
        check(r#"{"data":[{"id":"q","meta":{"n_ctx_train":7}}]}"#, Some(&[("q", "q", Some(7))]));
        check(r#"[{"id":"a","name":"A","context_window":5}]"#, Some(&[("a", "A", Some(5))]));
        check(r#"{"object":"list","data":null}"#, Some(&[]));
        check(r#"{"data":null}"#, None);
        check(r#"{"hello":"world"}"#, None);
        check("<html>", None);
    }
}
