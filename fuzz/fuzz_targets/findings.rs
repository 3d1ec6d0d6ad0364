//! A config that is sound, with values of the wrong type and odd keys put in: each is found, at its place.

#![no_main]

use std::sync::LazyLock;

use gateway::config;
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{ambient, check_place, document, nothing_kept, reaches_out};
use profile::document::Weight;
use serde_json::{Value, json};

/// Sound configs of different shape.
const CONFIGS: [&str; 6] = [
    "{}",
    include_str!("../../crates/gateway/tests/configs/03-json5-liberties.json5"),
    include_str!("../../crates/gateway/tests/configs/04-first-chat.json5"),
    include_str!("../../crates/gateway/tests/configs/17-several-agents.json5"),
    include_str!("../../crates/gateway/tests/configs/30-vendors-and-fallbacks.json5"),
    include_str!("../../crates/gateway/tests/configs/37-tools.json5"),
];
/// As many as are still told one by one.
const MOST: usize = 20;

static KEYS: LazyLock<Vec<config::Key>> = LazyLock::new(config::keys);

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let text = CONFIGS[usize::from(*first) % CONFIGS.len()];
    let mut document = document(text).expect("an example is JSON5");
    let mut wrong: Vec<Vec<String>> = Vec::new();
    let mut rest = rest;
    while let [high, low, how, length, tail @ ..] = rest {
        let (name, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let name = String::from_utf8_lossy(name).into_owned();
        let key = &KEYS[usize::from(u16::from_be_bytes([*high, *low])) % KEYS.len()];
        let Some(mut keys) = place(&key.path, &name) else { continue };
        let value = if how % 4 == 3 {
            // An odd key beside it.
            keys.pop();
            keys.push(name);
            json!(1)
        } else {
            let Some(it) = not_of_kind(&key.kind, *how) else { continue };
            it
        };
        if document.set_at(&keys, &value).is_err() {
            continue;
        }
        wrong.retain(|it| !it.starts_with(&keys) && !keys.starts_with(it));
        if how % 4 != 3 {
            wrong.push(keys);
        }
        if wrong.len() >= MOST {
            break;
        }
    }
    if reaches_out(document.value()) {
        return;
    }
    let read = config::read(document.clone(), &nothing_kept(), &ambient());
    for it in &read.findings {
        check_place(it, document.text());
    }
    for keys in wrong.iter().filter(|it| document.at_keys(it).is_some()) {
        let path = keys.join(".");
        let found = read.findings.iter().find(|it| it.path == path && it.weight == Weight::Error);
        let found = found
            .unwrap_or_else(|| panic!("nothing about {path} in {:#?}\n{}", read.findings, document.text()));
        let line = document.text().split('\n').nth(found.line - 1).expect("a line");
        let place: String = line.chars().skip(found.column - 1).collect();
        let last = keys.last().expect("a key");
        let is_element = last.parse::<usize>().is_ok();
        let is_there = place.starts_with(last.as_str())
            || place.get(1..).is_some_and(|it| it.starts_with(last.as_str()));
        let is_escaped = last.contains(char::is_control)
            || serde_json::to_string(last).is_ok_and(|it| it[1..it.len() - 1] != **last);
        assert!(is_element || is_escaped || is_there, "{found:?} is not about {path}: {place:?}");
    }
});

/// Keys as somebody might have them, where `*` is a name that is chosen.
fn place(path: &str, name: &str) -> Option<Vec<String>> {
    if path.contains("[]") {
        return None;
    }
    let keys = path.split('.').map(|it| if it == "*" { name.to_owned() } else { it.to_owned() });
    // What is added to `env` beside its own keys may hide one of them.
    Some(keys.collect()).filter(|_| path != "env.*")
}

/// A value that no key of this kind takes.
fn not_of_kind(kind: &str, how: u8) -> Option<Value> {
    Some(match (kind, how % 4) {
        ("number", 0) => json!("many"),
        ("number", 1) => json!(-1.5),
        ("true or false", 0) => json!("yes"),
        ("true or false", 1) => json!(1),
        ("text" | "secret", 0) => json!(5),
        ("text" | "secret", 1) => json!([]),
        ("list", 0) => json!("one"),
        ("list", 1) => json!({}),
        ("object", 0) => json!(5),
        ("object", 1) => json!("one"),
        ("number" | "true or false" | "text" | "list" | "object" | "secret", _) => json!([[5]]),
        _ => return None,
    })
    .filter(|it| kind != "list" || !it.is_array())
}
