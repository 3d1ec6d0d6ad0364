//! What two configs say differently, and a config as it may be shown.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{MASK, is_secret};

/// One key that two documents have differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Keys joined with dots.
    pub path: String,
    /// The value as JSON, secrets masked; absent where it is not set.
    pub before: Option<String>,
    /// The value as JSON, secrets masked; absent where it is not set.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |it: &Option<String>| it.clone().unwrap_or_else(|| "not set".to_owned());
        write!(f, "{}: {} → {}", self.path, shown(&self.before), shown(&self.after))
    }
}

/// What two documents say differently, in the order of the keys.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: &mut Vec<String>, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let objects = (before.and_then(Value::as_object), after.and_then(Value::as_object));
    let keys: BTreeSet<&String> = match objects {
        (Some(a), Some(b)) => a.keys().chain(b.keys()).collect(),
        (Some(it), None) if after.is_none() && !it.is_empty() => it.keys().collect(),
        (None, Some(it)) if before.is_none() && !it.is_empty() => it.keys().collect(),
        _ => {
            let shown = |it: Option<&Value>| it.map(|it| shown(path, it));
            found.push(Change { path: path.join("."), before: shown(before), after: shown(after) });
            return;
        }
    };
    for key in keys {
        path.push(key.clone());
        compare(path, objects.0.and_then(|it| it.get(key)), objects.1.and_then(|it| it.get(key)), found);
        path.pop();
    }
}

fn shown(path: &[String], value: &Value) -> String {
    if path.last().is_some_and(|it| is_secret(it)) {
        return MASK.to_owned();
    }
    base::text::line(&redacted(value, MASK).to_string(), 120)
}

/// A value without its secrets: each reads as `mark`.
pub fn redacted(value: &Value, mark: &str) -> Value {
    match value {
        Value::Object(object) => {
            let entries = object.iter().map(|(key, it)| {
                let hidden = is_secret(key) && it.as_str().is_some_and(|it| !it.is_empty());
                let value = if hidden { Value::String(mark.to_owned()) } else { redacted(it, mark) };
                (key.clone(), value)
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|it| redacted(it, mark)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let shown = redacted(
            &json!({"gateway": {"auth": {"token": "abc"}}, "models": {"providers": {"x": {"apiKey": "k"}}},
                    "list": [{"botToken": "b", "name": "n"}], "token": ""}),
            "***",
        );
        let text = shown.to_string();
        assert!(!text.contains("abc") && !text.contains("\"k\"") && !text.contains("\"b\""), "{text}");
        assert!(text.contains("\"name\":\"n\"") && text.contains("\"token\":\"\""), "{text}");
    }

    #[test]
    fn changes_are_told_key_by_key_without_secrets() {
        let before = json!({"a": {"b": 1, "token": "x"}, "gone": [1], "same": true});
        let after = json!({"a": {"b": 2, "token": "y", "new": {"deep": "v"}}, "same": true});
        let told: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["a.b: 1 → 2", "a.new.deep: not set → \"v\"", "a.token: *** → ***", "gone: [1] → not set"]
        );
        assert!(changes(&before, &before).is_empty());
    }
}
