//! From a hook of any shape to what the agent is told, by the config's templates. They are data: nothing is run.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::settings::{Mapping, Settings};
use super::{Message, Refused, bad};

/// What a mapping makes of a hook.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) is_wake: bool,
    pub(super) message: Message,
    /// Whether something of the request stands in the conversation's name.
    pub(super) is_key_from_outside: bool,
}

/// What a template may name.
struct Scene<'a> {
    path: &'a str,
    headers: &'a HeaderMap,
    payload: &'a Value,
}

/// What the first mapping that fits makes of a hook; `None` where none does.
pub(super) fn action(
    hooks: &Settings,
    path: &str,
    headers: &HeaderMap,
    payload: &Value,
) -> Result<Option<Action>, Refused> {
    let path = path.trim_matches('/');
    let Some(mapping) = hooks.mappings.iter().find(|it| fits(it, path, payload)) else { return Ok(None) };
    if mapping.transform.is_some() || mapping.for_each.is_some() {
        let words = "this mapping has a transform or forEach, which this version does not do";
        return Err(Refused(StatusCode::NOT_IMPLEMENTED, words.to_owned()));
    }
    let scene = Scene { path, headers, payload };
    let is_wake = match mapping.action.as_deref() {
        None | Some("agent") => false,
        Some("wake") => true,
        Some(_) => return Err(bad("this mapping's action is neither agent nor wake")),
    };
    let template = if is_wake { &mapping.text_template } else { &mapping.message_template };
    let fill = |it: &Option<String>| it.as_deref().map(|it| filled(it, &scene));
    let session_key = fill(&mapping.session_key);
    if session_key.as_ref().is_some_and(|it| it.trim().is_empty()) {
        return Err(bad("the sessionKey of this mapping came out empty"));
    }
    let is_key_from_outside = mapping.session_key.as_ref().is_some_and(|it| it.contains("{{"));
    let message = Message {
        message: fill(template).unwrap_or_default(),
        name: fill(&mapping.name).or_else(|| mapping.id.clone()),
        agent_id: mapping.agent_id.clone(),
        session_key,
        session_mode: mapping.session_mode.clone(),
        model: fill(&mapping.model).filter(|it| !it.trim().is_empty()),
        idempotency_key: payload["idempotencyKey"].as_str().map(str::to_owned),
        timeout_seconds: mapping.timeout_seconds.and_then(|it| u32::try_from(it).ok()).map(f64::from),
        ..Message::default()
    };
    Ok(Some(Action { is_wake, message, is_key_from_outside }))
}

fn fits(mapping: &Mapping, path: &str, payload: &Value) -> bool {
    let wanted = mapping.fits.path.as_deref().map(|it| it.trim_matches('/'));
    let source = mapping.fits.source.as_deref();
    wanted.is_none_or(|it| it == path) && source.is_none_or(|it| payload["source"] == it)
}

/// A template, filled. What is put in is not looked at again.
fn filled(template: &str, scene: &Scene<'_>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            text.push_str("{{");
            rest = after;
            continue;
        };
        text.push_str(&value(name.trim(), scene));
        rest = after;
    }
    text + rest
}

fn value(name: &str, scene: &Scene<'_>) -> String {
    match name {
        "path" => return scene.path.to_owned(),
        "now" => return base::clock::rfc3339(base::clock::now_ms()),
        _ => {}
    }
    if let Some(header) = name.strip_prefix("headers.") {
        return scene.headers.get(header).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    }
    let name = name.strip_prefix("payload.").unwrap_or(name);
    let plain = name.replace('[', ".").replace(']', "");
    let found = plain.split('.').filter(|it| !it.is_empty()).try_fold(scene.payload, |it, key| match it {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    });
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => json!(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once() {
        let mut headers = HeaderMap::new();
        headers.insert("x-event", "push".parse().expect("a value"));
        let payload = json!({"a": {"b": [{"c": "{{path}}"}, 2]}, "n": null});
        let scene = Scene { path: "git/hub", headers: &headers, payload: &payload };
        for (template, expected) in [
            ("plain", "plain"),
            ("{{path}}: {{headers.x-event}}", "git/hub: push"),
            ("{{a.b[0].c}}|{{ payload.a.b[1] }}", "{{path}}|2"),
            ("{{a.b}}", "[{\"c\":\"{{path}}\"},2]"),
            ("<{{n}}{{none.at.all}}{{a.b[9]}}{{__proto__}}>", "<>"),
            ("{{open {{path}}", ""),
            ("a {{ b", "a {{ b"),
        ] {
            let found = filled(template, &scene);
            assert_eq!(found, expected, "{template}");
        }
    }

    #[test]
    fn the_first_that_fits_is_taken() {
        let mapping = |path: Option<&str>, source: Option<&str>, text: &str| json!({"match": {"path": path, "source": source}, "messageTemplate": text});
        let hooks: Settings = serde_json::from_value(json!({"mappings": [
            mapping(Some("/a/"), None, "one"), mapping(None, Some("s"), "two"), mapping(Some("t"), None, ""),
            {"match": {"path": "w"}, "action": "wake", "textTemplate": "three {{x}}", "sessionKey": "hook:{{x}}"},
            {"match": {"path": "f"}, "transform": {"module": "x.js"}},
        ]}))
        .expect("settings");
        let of = |path: &str, payload: Value| action(&hooks, path, &HeaderMap::new(), &payload);
        let said = |path: &str, payload: Value| {
            of(path, payload)
                .expect("taken")
                .map(|it| (it.is_wake, it.message.message, it.is_key_from_outside))
        };
        assert_eq!(said("a", json!({})), Some((false, "one".to_owned(), false)));
        assert_eq!(said("b", json!({"source": "s"})), Some((false, "two".to_owned(), false)));
        assert_eq!(said("w", json!({"x": 1})), Some((true, "three 1".to_owned(), true)));
        assert_eq!(said("b", json!({"source": "other"})), None);
        assert!(of("f", json!({})).is_err(), "a transform is not run");
    }
}
