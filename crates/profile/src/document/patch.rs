//! Many changes at once: a merge patch, or the value that a place is to have. Only what differs is touched, so that
//! comments and order outlive both.

use serde_json::{Map, Value};

use super::{Document, Finding};

impl Document {
    /// Merges a patch (RFC 7396) into the document: `null` takes a key out, an object is merged into an object,
    /// anything else takes the place of what was there.
    ///
    /// # Errors
    /// When the patch is no object, or the text cannot take a change.
    pub fn merge(&mut self, patch: &Value) -> Result<(), Finding> {
        self.merge_with(patch, &[])
    }

    /// As [`Document::merge`]; what the patch says at one of the `whole` paths (keys joined with dots) is the whole
    /// value there, and is not merged.
    ///
    /// # Errors
    /// As [`Document::merge`]; the document is then as it was.
    pub fn merge_with(&mut self, patch: &Value, whole: &[String]) -> Result<(), Finding> {
        let Some(patch) = patch.as_object() else {
            return Err(Finding::whole("a patch must be an object: { … }".to_owned()));
        };
        let mut merged = self.clone();
        merged.merge_at(&mut Vec::new(), patch, whole)?;
        *self = merged;
        Ok(())
    }

    /// Makes `value` what stands at `keys`, and touches only what is different there.
    ///
    /// # Errors
    /// As [`Document::set_at`].
    pub fn become_at<K: AsRef<str>>(&mut self, keys: &[K], value: &Value) -> Result<(), Finding> {
        let mut keys: Vec<String> = keys.iter().map(|it| it.as_ref().to_owned()).collect();
        self.change(&mut keys, value)
    }

    /// The value at `keys`, which may hold dots themselves; a number leads into a list.
    pub fn at_keys<K: AsRef<str>>(&self, keys: &[K]) -> Option<&Value> {
        keys.iter().try_fold(self.value(), |it, key| match it {
            Value::Array(list) => list.get(key.as_ref().parse::<usize>().ok()?),
            other => other.get(key.as_ref()),
        })
    }

    fn merge_at(
        &mut self,
        path: &mut Vec<String>,
        patch: &Map<String, Value>,
        whole: &[String],
    ) -> Result<(), Finding> {
        for (key, wanted) in patch {
            path.push(key.clone());
            let is_whole = whole.contains(&path.join("."));
            let is_object = self.at_keys(path).is_some_and(Value::is_object);
            match wanted {
                Value::Null => {
                    self.remove_at(path)?;
                }
                Value::Object(inner) if is_object && !is_whole => self.merge_at(path, inner, whole)?,
                Value::Object(_) if !is_whole => self.change(path, &without_nulls(wanted))?,
                other => self.change(path, other)?,
            }
            path.pop();
        }
        Ok(())
    }

    fn change(&mut self, path: &mut Vec<String>, wanted: &Value) -> Result<(), Finding> {
        let now = self.at_keys(path).cloned();
        match (now, wanted) {
            (Some(now), wanted) if now == *wanted => Ok(()),
            (Some(Value::Object(now)), Value::Object(wanted)) => {
                for key in now.keys().filter(|it| !wanted.contains_key(*it)) {
                    path.push(key.clone());
                    self.remove_at(path)?;
                    path.pop();
                }
                self.change_each(path, wanted.iter().map(|(key, it)| (key.clone(), it)))
            }
            (Some(Value::Array(now)), Value::Array(wanted)) if now.len() == wanted.len() => {
                self.change_each(path, wanted.iter().enumerate().map(|(at, it)| (at.to_string(), it)))
            }
            (Some(Value::Array(now)), Value::Array(wanted))
                if !now.is_empty() && wanted.starts_with(&now) =>
            {
                wanted[now.len()..].iter().try_for_each(|it| self.append_at(path, it))
            }
            (_, wanted) => self.set_at(path, wanted),
        }
    }

    fn change_each<'a>(
        &mut self,
        path: &mut Vec<String>,
        entries: impl Iterator<Item = (String, &'a Value)>,
    ) -> Result<(), Finding> {
        for (key, wanted) in entries {
            path.push(key);
            self.change(path, wanted)?;
            path.pop();
        }
        Ok(())
    }
}

/// What a patch leaves where nothing was: in it, `null` means that a key is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(_, it)| !it.is_null());
            Value::Object(kept.map(|(key, it)| (key.clone(), without_nulls(it))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    const TEXT: &str = "// top\n{\n  // a\n  a: { b: 1, /* c */ c: [1, /* two */ 2], 'x.y': 'z' },\n  // gone\n  \
                        list: [\n    // first\n    { id: 'one', n: 1 },\n    // second\n    { id: 'two', n: 2 },\n  ],\n  \
                        unknown: { k: 'v' }, // stays\n}\n";

    fn document(text: &str) -> Document {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5")
    }

    /// What RFC 7396 says that a patch does.
    fn merged(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut object = if let Value::Object(it) = target { it } else { Map::new() };
        for (key, value) in patch {
            if value.is_null() {
                object.shift_remove(key);
            } else {
                let before = object.get(key).cloned().unwrap_or(Value::Null);
                object.insert(key.clone(), merged(before, value));
            }
        }
        Value::Object(object)
    }

    #[track_caller]
    fn check(patch: &Value, kept: &[&str]) {
        let mut it = document(TEXT);
        it.merge(patch).expect("merged");
        assert_eq!(it.value(), &merged(document(TEXT).value().clone(), patch), "{}", it.text());
        for kept in kept {
            assert!(it.text().contains(kept), "{kept} is gone from {}", it.text());
        }
    }

    #[test]
    fn a_patch_that_is_refused_changes_nothing() {
        let text = "{ a: {}, port: 1, port: { b: 2 } }";
        let mut it = Document::parse(Path::new("/x"), text.to_owned()).expect("JSON5");
        it.merge(&json!({"a": {"c": 1}, "port": 5})).expect_err("a key that stands twice");
        assert_eq!(it.text(), text);
    }

    #[test]
    fn a_patch_means_what_its_standard_says_and_touches_only_what_differs() {
        let all = ["// top", "// a", "/* c */", "/* two */", "// first", "// second", "// stays"];
        check(&json!({}), &all);
        check(&json!({"a": {"b": 2, "new": {"deep": null, "d": 1}}}), &all);
        check(&json!({"a": {"b": null, "nothing": null}}), &all[..2]);
        check(&json!({"a": 5}), &["// top", "// first", "// stays"]);
        check(&json!({"a": {"b": {"c": 1, "d": null}}}), &all);
        check(&json!({"list": [{"id": "one", "n": 9}, {"id": "two", "n": 2}]}), &all);
        check(&json!({"list": [{"id": "one", "n": 1}, {"id": "two", "n": 2}, 3]}), &all);
        check(&json!({"list": []}), &["// top", "// stays"]);
        check(&json!({"x.y": 1, "fresh": {"a": [1, {"b": 2}]}}), &all);
        assert_eq!(document(TEXT).merge(&json!([1])).expect_err("a list").path, "");
    }

    #[test]
    fn a_patch_that_says_what_is_there_changes_no_byte() {
        let mut it = document(TEXT);
        let same = it.value().clone();
        it.merge(&same).expect("merged");
        it.become_at(&["a"], &same["a"]).expect("set");
        assert_eq!(it.text(), TEXT);
    }

    #[test]
    fn a_key_that_stands_twice_is_no_silent_change() {
        let mut it = document("{ a: 1, b: 2, a: 3 }");
        assert_eq!(it.set("a", &json!(4)).expect_err("which one?").path, "a");
        assert_eq!(it.text(), "{ a: 1, b: 2, a: 3 }");
        assert!(it.remove_at(&["a"]).expect("both go"));
        assert_eq!(it.value(), &json!({"b": 2}));
    }

    /// Numbers that look random, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }

        fn value(&mut self, depth: u64) -> Value {
            match self.below(if depth == 0 { 5 } else { 9 }) {
                0 => Value::Null,
                1 => json!(self.below(3)),
                2 => json!(self.below(2) == 0),
                3 => json!(
                    ["a", "it's \"b\"", "// c", "*/", "ä\n"][usize::try_from(self.below(5)).expect("small")]
                ),
                4 => json!(-1.5),
                5 => Value::Array((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
                _ => self.object(depth - 1),
            }
        }

        fn object(&mut self, depth: u64) -> Value {
            const KEYS: [&str; 6] = ["a", "b", "c d", "e.f", "0", "id"];
            let entries = (0..self.below(4)).map(|_| {
                (KEYS[usize::try_from(self.below(6)).expect("small")].to_owned(), self.value(depth))
            });
            Value::Object(entries.collect())
        }

        /// The value as somebody might have written it.
        fn text(&mut self, value: &Value) -> String {
            let space = |dice: &mut Self| {
                ["", " ", "\n", " /* x */ ", " // y\n", "\r\n\t"]
                    [usize::try_from(dice.below(6)).expect("small")]
            };
            let (mut text, close) = match value {
                Value::Object(_) => ("{".to_owned(), "}"),
                Value::Array(_) => ("[".to_owned(), "]"),
                other => return format!("{}{other}", space(self)),
            };
            let parts: Vec<(String, &Value)> = match value {
                Value::Object(it) => it.iter().map(|(key, it)| (format!("{}: ", json!(key)), it)).collect(),
                Value::Array(it) => it.iter().map(|it| (String::new(), it)).collect(),
                _ => Vec::new(),
            };
            for (at, (key, it)) in parts.iter().enumerate() {
                let last = at + 1 == parts.len();
                let comma = if last && self.below(2) == 0 { "" } else { "," };
                let inner = self.text(it);
                text += &format!("{}{key}{inner}{}{comma}{}", space(self), space(self), space(self));
            }
            text + space(self) + close
        }
    }

    #[test]
    fn a_thousand_patches_of_a_thousand_texts_mean_what_they_say() {
        let mut dice = Dice(7);
        for round in 0..1000 {
            let (target, patch) = (dice.object(3), dice.object(3));
            let text = dice.text(&target);
            let mut it = document(&text);
            assert_eq!(it.value(), &target, "{text}");
            it.merge(&patch).unwrap_or_else(|error| panic!("round {round}: {error}: {patch} into {text}"));
            assert_eq!(
                it.value(),
                &merged(target, &patch),
                "round {round}: {patch} into\n{text}\nis\n{}",
                it.text()
            );
        }
    }

    #[test]
    fn an_empty_file_a_mark_of_its_bytes_and_foreign_line_ends_are_taken() {
        for text in ["", "// only words\n", "\u{feff}{}\n", "{\r\n  // x\r\n  b: 1,\r\n}\r\n"] {
            let mut it = document(text);
            it.merge(&json!({"a": {"b": 1}})).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(it.get("a.b"), Some(&json!(1)), "{text:?}: {}", it.text());
            assert_eq!(it.text().contains("\r\n  // x\r\n"), text.contains('\r'), "{:?}", it.text());
        }
    }

    #[test]
    fn what_is_given_whole_is_not_merged() {
        let mut it = document(TEXT);
        it.merge_with(&json!({"a": {"b": 7}}), &["a".to_owned()]).expect("merged");
        assert_eq!(it.get("a"), Some(&json!({"b": 7})));
        it.become_at(&["unknown"], &json!({"k": "w", "l": null})).expect("set");
        assert_eq!(it.get("unknown"), Some(&json!({"k": "w", "l": null})));
        assert_eq!(it.at_keys(&["list", "1", "id"]), Some(&json!("two")));
    }
}
