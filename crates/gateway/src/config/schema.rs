//! What the types say about the config: its JSON Schema, and its keys as a list.

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

use super::Config;

/// How a secret may be written: itself, with `${NAME}` in it, or as a reference to where it is.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum SecretInput {
    /// The secret, or `${NAME}` for a variable.
    Text(String),
    /// Where it is.
    Reference {
        /// `env`, `file`, `exec` or `systemd`.
        source: String,
        /// One of `secrets.providers`.
        provider: Option<String>,
        /// Its name there.
        id: String,
    },
}

/// One key of the config.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Joined with dots; `*` stands for a name that people choose, `[]` for a place in a list.
    pub path: String,
    /// What may stand there, in a word.
    pub kind: String,
    /// What it is where it is absent.
    pub default: Option<Value>,
    /// The words that may stand there, where they are fixed.
    pub choices: Vec<String>,
    /// What it is for.
    pub about: String,
    /// What a change of it does to a gateway that runs: `nothing`, `hot`, `gateway`, or the unit that is restarted.
    pub reload: String,
    /// Whether it is never shown.
    pub is_secret: bool,
}

/// The JSON Schema (draft 7) of the config.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|it| it.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["title"] = json!("OpenClaw config");
    schema
}

/// Every key, in the order of the types.
pub fn keys() -> Vec<Key> {
    let mut found = Vec::new();
    walk(&schema(), "", "gateway", &mut found);
    found
}

/// The paths of all keys; made once, and only where something is asked about them.
pub(super) fn ours() -> &'static [String] {
    static OURS: LazyLock<Vec<String>> = LazyLock::new(|| keys().into_iter().map(|it| it.path).collect());
    &OURS
}

/// Where objects with named parts belong. Known at once, as every config is looked at for them; a test holds them to
/// the types.
const OBJECTS: &[&str] = &[
    "gateway",
    "gateway.auth",
    "gateway.controlUi",
    "gateway.http",
    "gateway.http.endpoints",
    "gateway.http.endpoints.chatCompletions",
    "gateway.http.endpoints.responses",
    "gateway.tools",
    "gateway.nodes",
    "gateway.reload",
    "gateway.tls",
    "agents",
    "agents.defaults",
    "agents.list.[]",
    "agents.list.[].identity",
    "agents.list.[].tools",
    "agents.entries.*",
    "agents.entries.*.identity",
    "agents.entries.*.tools",
    "models",
    "models.providers.*",
    "models.providers.*.models.[]",
    "models.providers.*.models.[].cost",
    "tools",
    "tools.exec",
    "hooks",
    "hooks.mappings.[]",
    "hooks.mappings.[].match",
    "logging",
    "env",
    "secrets",
];

/// Lists where an object belongs. A type with named parts would be read from a list as well, by their order.
pub(super) fn misplaced_lists(value: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    look_for_lists(value, &mut Vec::new(), &mut found);
    found
}

fn look_for_lists(value: &Value, keys: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if value.is_array() && OBJECTS.iter().any(|it| is_at(it, keys)) {
        found.push(keys.clone());
        return;
    }
    let mut below = |key: String, it: &Value| {
        keys.push(key);
        look_for_lists(it, keys, found);
        keys.pop();
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, it)| below(key.clone(), it)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, it)| below(at.to_string(), it)),
        _ => {}
    }
}

/// Whether keys are those of a path with `*` for any name and `[]` for any place.
fn is_at(path: &str, keys: &[String]) -> bool {
    let is_step = |(step, key): (&str, &String)| match step {
        "*" => true,
        "[]" => key.parse::<usize>().is_ok(),
        _ => step == key,
    };
    path.split('.').count() == keys.len() && path.split('.').zip(keys).all(is_step)
}

fn walk(schema: &Value, path: &str, reload: &str, found: &mut Vec<Key>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, it) in schema["properties"].as_object().into_iter().flatten() {
        visit(it, &below(name), reload, found);
    }
    if let Some(it) = schema.get("additionalProperties").filter(|it| it.is_object()) {
        visit(it, &below("*"), reload, found);
    }
    if let Some(it) = schema.get("items").filter(|it| it.is_object()) {
        visit(it, &format!("{path}[]"), reload, found);
    }
}

fn visit(schema: &Value, path: &str, reload: &str, found: &mut Vec<Key>) {
    let reload = schema["x-reload"].as_str().unwrap_or(reload);
    let is_secret = is_secret(schema);
    let choices = schema["enum"].as_array().into_iter().flatten();
    found.push(Key {
        path: path.to_owned(),
        kind: if is_secret { "secret".to_owned() } else { kind(schema) },
        default: schema.get("default").filter(|it| !it.is_null() && !it.is_object()).cloned(),
        choices: choices.filter_map(Value::as_str).map(str::to_owned).collect(),
        about: schema["description"].as_str().unwrap_or_default().replace('\n', " "),
        reload: reload.to_owned(),
        is_secret,
    });
    if is_secret {
        return;
    }
    walk(schema, path, reload, found);
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        walk(choice, path, reload, found);
    }
}

fn is_secret(schema: &Value) -> bool {
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    let mut all =
        choices.flat_map(|it| std::iter::once(it).chain(it["anyOf"].as_array().into_iter().flatten()));
    all.any(|it| it["properties"]["source"].is_object() && it["properties"]["id"].is_object())
}

fn kind(schema: &Value) -> String {
    let plain = |it: &str| match it {
        "array" => "list",
        "boolean" => "true or false",
        "integer" | "number" => "number",
        "string" => "text",
        _ => "object",
    };
    match &schema["type"] {
        Value::String(it) => plain(it).to_owned(),
        Value::Array(several) => {
            let named = several.iter().filter_map(Value::as_str).filter(|it| *it != "null");
            named.map(plain).collect::<Vec<_>>().join(" or ")
        }
        _ => {
            let choices = schema["anyOf"].as_array().into_iter().flatten();
            let mut kinds: Vec<String> = choices.filter(|it| it["type"] != "null").map(kind).collect();
            kinds.dedup();
            kinds.join(" or ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_for_and_what_its_change_does() {
        let keys = keys();
        for it in keys.iter().filter(|it| !it.path.ends_with(['*', ']'])) {
            assert!(!it.about.is_empty(), "{} has no description", it.path);
            assert!(!it.kind.is_empty(), "{} has no kind", it.path);
        }
        let key = |path: &str| keys.iter().find(|it| it.path == path).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(
            (key("gateway.port").reload.as_str(), key("gateway.port").kind.as_str()),
            ("gateway", "number")
        );
        assert!(key("gateway.auth.token").is_secret && key("models.providers.*.apiKey").is_secret);
        assert_eq!(key("tools.exec.timeoutSec").default, Some(json!(120)));
        assert_eq!(key("gateway.auth.mode").choices, ["token", "password"]);
        assert!(key("agents.defaults.model").kind.contains("text"), "{:?}", key("agents.defaults.model"));
        key("models.providers.*.models[].contextWindow");
    }

    #[test]
    fn the_objects_are_those_of_the_types() {
        let all = keys();
        let has_parts = |it: &&Key| {
            let below = format!("{}.", it.path);
            it.kind == "object"
                && all.iter().any(|other| {
                    other.path.starts_with(&below) && !other.path.starts_with(&format!("{below}*"))
                })
        };
        let mut expected: Vec<String> =
            all.iter().filter(has_parts).map(|it| it.path.replace("[]", ".[]")).collect();
        let mut named: Vec<String> = OBJECTS.iter().map(|it| (*it).to_owned()).collect();
        expected.sort();
        named.sort();
        assert_eq!(named, expected);
    }

    #[test]
    fn the_schema_is_one_that_editors_know() {
        let schema = schema();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(schema["properties"]["gateway"]["properties"]["port"].is_object(), "{schema:#}");
    }
}
