//! Redaction marks that come back: whoever was shown a config without its secrets and writes it again keeps them.

use serde_json::Value;

use super::{Document, Finding, MASK, is_secret};

/// What a secret reads as on the control plane; sent back in a write it means "keep the secret".
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

impl Document {
    /// Puts the secrets of `base` where this document has a redaction mark in their place. A place is found by its
    /// keys; in a list, an object with an `id` is found by it and anything else by its position. Returns how many
    /// were put back.
    ///
    /// # Errors
    /// A finding for each mark that stands where `base` has no secret to keep; nothing was changed then.
    pub fn keep_secrets(&mut self, base: &Document) -> Result<usize, Vec<Finding>> {
        let mut marks = Marks::default();
        marks.walk(&mut Vec::new(), self.value(), Some(base.value()));
        if !marks.lost.is_empty() {
            let words = "is masked, and there is no stored secret to keep here: write the secret itself, or \
                         take the key out";
            return Err(marks.lost.iter().map(|it| self.finding(&it.join("."), words)).collect());
        }
        let mut kept = self.clone();
        for (path, secret) in &marks.found {
            kept.set_at(path, secret).map_err(|it| vec![it])?;
        }
        *self = kept;
        Ok(marks.found.len())
    }
}

#[derive(Default)]
struct Marks {
    found: Vec<(Vec<String>, Value)>,
    lost: Vec<Vec<String>>,
}

impl Marks {
    fn walk(&mut self, path: &mut Vec<String>, value: &Value, base: Option<&Value>) {
        match value {
            Value::String(text) if is_mark(path, text) => {
                let secret = base.and_then(Value::as_str);
                match secret.filter(|it| !it.is_empty() && !is_mark(path, it)) {
                    Some(it) => self.found.push((path.clone(), Value::String(it.to_owned()))),
                    None => self.lost.push(path.clone()),
                }
            }
            Value::Object(object) => {
                for (key, it) in object {
                    path.push(key.clone());
                    self.walk(path, it, base.and_then(|base| base.get(key)));
                    path.pop();
                }
            }
            Value::Array(list) => {
                let base = base.and_then(Value::as_array);
                for (at, it) in list.iter().enumerate() {
                    path.push(at.to_string());
                    self.walk(path, it, base.and_then(|base| counterpart(it, at, base)));
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

fn is_mark(path: &[String], text: &str) -> bool {
    text == REDACTED || (text == MASK && path.last().is_some_and(|it| is_secret(it)))
}

/// A secret must not move to another account because a list was sorted: who has an `id` is found by it alone.
fn counterpart<'a>(value: &Value, at: usize, base: &'a [Value]) -> Option<&'a Value> {
    let id = |it: &Value| it.get("id").cloned();
    match id(value) {
        Some(wanted) => base.iter().find(|it| id(it).as_ref() == Some(&wanted)),
        None => base.get(at).filter(|it| id(it).is_none()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::document::redacted;

    fn document(text: &str) -> Document {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5")
    }

    const BASE: &str = "{ gateway: { auth: { token: 'one' } }, accounts: [{ id: 'a', botToken: 'A' }, { id: 'b', \
                        botToken: 'B' }], plain: [{ apiKey: 'first' }, { apiKey: 'second' }], list: ['***'] }";

    #[test]
    fn what_was_read_without_its_secrets_is_written_with_them() {
        let base = document(BASE);
        for mark in [REDACTED, MASK] {
            let shown = redacted(base.value(), mark).to_string();
            assert!(!shown.contains("one") && !shown.contains("first"));
            let mut it = document(&shown);
            assert_eq!(it.keep_secrets(&base), Ok(5));
            assert_eq!(it.value(), base.value());
        }
    }

    #[test]
    fn a_secret_follows_its_id_and_comments_stay() {
        let base = document(BASE);
        let mut it = document(&format!(
            "{{ // mine\n accounts: [{{ id: 'b', botToken: '{REDACTED}' /* B */ }}, {{ id: 'c', botToken: 'C' }}] }}"
        ));
        assert_eq!(it.keep_secrets(&base), Ok(1));
        assert_eq!(
            it.value(),
            &json!({"accounts": [{"id": "b", "botToken": "B"}, {"id": "c", "botToken": "C"}]})
        );
        assert!(it.text().contains("// mine") && it.text().contains("/* B */"), "{}", it.text());
    }

    #[test]
    fn a_mark_without_a_secret_is_a_finding_with_its_place() {
        let base = document(BASE);
        let text = format!(
            "{{\n  accounts: [{{ id: 'z', botToken: '{REDACTED}' }}],\n  gateway: {{ auth: {{ password: '***' }} }},\n}}"
        );
        let mut it = document(&text);
        let lost = it.keep_secrets(&base).expect_err("nothing to keep");
        let places: Vec<_> = lost.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(places, [("accounts.0.botToken", 2), ("gateway.auth.password", 3)]);
        assert_eq!(it.text(), text);
    }
}
