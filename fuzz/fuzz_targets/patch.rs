//! A merge patch into a text: what RFC 7396 says, with everything that it does not touch left as it was written.

#![no_main]

use jsonc_parser::ast::{Object, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{SEPARATOR, document};
use serde_json::{Map, Value};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Some((target, patch)) = text.split_once(SEPARATOR) else { return };
    let (Some(mut it), Some(patch)) = (document(target), document(patch)) else { return };
    let (before, patch) = (it.clone(), patch.value().clone());
    if let Err(finding) = it.merge(&patch) {
        assert!(has_twins(before.text()), "{finding:?}: {patch} into {}", before.text());
        return;
    }
    let expected = merged(before.value().clone(), &patch);
    assert_eq!(it.value(), &expected, "{patch} into\n{}\nis\n{}", before.text(), it.text());
    let again = document(it.text()).expect("what was written is a config");
    assert_eq!(again.value(), it.value(), "{}", it.text());
    for untouched in untouched(before.text(), &patch) {
        assert!(it.text().contains(&untouched), "{untouched:?} is gone from {:?}", it.text());
    }
    let once = it.text().to_owned();
    it.merge(&patch).expect("merged before");
    assert_eq!(it.text(), once, "{patch}, the second time");
});

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

/// The text of each key of the document that the patch does not name, with the comments in it.
fn untouched(text: &str, patch: &Value) -> Vec<String> {
    let named = |key: &str| patch.get(key).is_some();
    root(text, |object| {
        let properties = object.properties.iter().filter(|it| !named(it.name.as_str()));
        properties.map(|it| text[it.start()..it.end()].to_owned()).collect()
    })
}

/// Whether a key stands twice in an object: no change of it is possible.
fn has_twins(text: &str) -> bool {
    fn twins(value: &Ast<'_>) -> bool {
        match value {
            Ast::Object(it) => {
                let mut names: Vec<&str> = it.properties.iter().map(|it| it.name.as_str()).collect();
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                names.len() < all || it.properties.iter().any(|it| twins(&it.value))
            }
            Ast::Array(it) => it.elements.iter().any(twins),
            _ => false,
        }
    }
    root(text, |object| vec![twins(&Ast::Object(object.clone()))]).contains(&true)
}

fn root<T>(text: &str, of: impl FnOnce(&Object<'_>) -> Vec<T>) -> Vec<T> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
    match parsed.ok().and_then(|it| it.value) {
        Some(Ast::Object(object)) => of(&object),
        _ => Vec::new(),
    }
}
