//! `${NAME}` in the texts of a config: replaced from the surroundings, never written back.

use serde_json::Value;

use crate::ambient::Ambient;
use crate::document::is_secret;

/// A variable that a config names and the surroundings do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The keys that lead to the text.
    pub keys: Vec<String>,
    /// The variable.
    pub name: String,
}

/// Replaces `${NAME}` in every text; `$${NAME}` stands for `${NAME}` itself, and a secret may be written `$NAME`. A
/// value with a name that is not set is taken out, so that whoever needs it finds it missing and not wrong.
pub fn put_in(value: &mut Value, ambient: &Ambient) -> Vec<Missing> {
    let mut missing = Vec::new();
    walk(value, &mut Vec::new(), ambient, &mut missing);
    missing
}

fn walk(value: &mut Value, keys: &mut Vec<String>, ambient: &Ambient, missing: &mut Vec<Missing>) {
    let is_secret = keys.last().is_some_and(|it| is_secret(it));
    match value {
        Value::String(text) if text.contains('$') => match substituted(text, is_secret, ambient) {
            Ok(whole) => *text = whole,
            Err(name) => {
                missing.push(Missing { keys: keys.clone(), name });
                *value = Value::Null;
            }
        },
        Value::Object(object) => {
            let before = missing.len();
            // In the order of the object, so that taking them out takes one walk, however many they are.
            let mut gone = Vec::new();
            for (key, it) in object.iter_mut() {
                keys.push(key.clone());
                let was_null = it.is_null();
                walk(it, keys, ambient, missing);
                gone.push(it.is_null() && !was_null);
                keys.pop();
            }
            if missing.len() > before {
                let mut gone = gone.into_iter();
                object.retain(|_, _| !gone.next().unwrap_or_default());
            }
        }
        Value::Array(items) => {
            for (at, it) in items.iter_mut().enumerate() {
                keys.push(at.to_string());
                walk(it, keys, ambient, missing);
                keys.pop();
            }
        }
        _ => {}
    }
}

fn substituted(text: &str, is_secret: bool, ambient: &Ambient) -> Result<String, String> {
    if let Some(name) = text.strip_prefix('$').filter(|it| is_secret && is_variable(it)) {
        return ambient.var(name).map(str::to_owned).ok_or_else(|| name.to_owned());
    }
    let mut whole = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let name_end = after.find('}').unwrap_or(0);
        let name = after.get(2..name_end).unwrap_or_default();
        if !is_variable(name) {
            whole.push_str(before);
            whole.push_str("${");
            rest = &after[2..];
            continue;
        }
        match before.strip_suffix('$') {
            Some(before) => {
                whole.push_str(before);
                whole.push_str(&after[..=name_end]);
            }
            None => {
                whole.push_str(before);
                whole.push_str(ambient.var(name).ok_or_else(|| name.to_owned())?);
            }
        }
        rest = &after[name_end + 1..];
    }
    whole.push_str(rest);
    Ok(whole)
}

/// `[A-Z_][A-Z0-9_]*`, as in the original.
pub(crate) fn is_variable(name: &str) -> bool {
    let mut letters = name.bytes();
    let first = letters.next().is_some_and(|it| it.is_ascii_uppercase() || it == b'_');
    first && letters.all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_put_in_by_the_originals_rules() {
        let ambient = Ambient::of(&[("A", "1"), ("B_2", "two"), ("EMPTY", "")], Path::new("/"));
        for (text, expected) in [
            ("x${A}y${B_2}", Ok("x1ytwo")),
            ("$${A}", Ok("${A}")),
            ("${a} ${", Ok("${a} ${")),
            ("${A", Ok("${A")),
            ("$A", Ok("$A")),
            ("${C}", Err("C")),
            ("${EMPTY}", Err("EMPTY")),
        ] {
            let found = substituted(text, false, &ambient);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
        assert_eq!(substituted("$A", true, &ambient).as_deref(), Ok("1"));
    }

    #[test]
    fn what_is_not_set_is_taken_out_and_told() {
        let ambient = Ambient::of(&[("A", "1")], Path::new("/"));
        let mut value = json!({"a": {"token": "${NO}", "b": "${A}"}, "list": ["${NO}", "x"], "n": null});
        let missing = put_in(&mut value, &ambient);
        assert_eq!(value, json!({"a": {"b": "1"}, "list": [null, "x"], "n": null}));
        let told: Vec<_> = missing.iter().map(|it| it.keys.join(".")).collect();
        assert_eq!(told, ["a.token", "list.0"]);
    }
}
