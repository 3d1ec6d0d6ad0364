//! Any bytes as a config: read or refused, with findings at places that are there, and no secret in any of them.

#![no_main]

use std::path::Path;

use gateway::config;
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{MAIN, ambient, check_place, document, nothing_kept, shown};
use profile::document::{Unreadable, is_secret};
use profile::{Document, Finding};
use serde_json::{Value, json};

/// A secret that no input has by itself.
const SECRET: &str = "pl4nted-s3cret";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data).into_owned();
    if text.contains(SECRET) {
        return;
    }
    if let Some(finding) = refused(&text) {
        check_place(&finding, text.trim_start_matches('\u{feff}'));
        return;
    }
    let Some(mut document) = document(&text) else { return };
    check(&document);
    plant(&mut document);
    check(&document);
    // Cut off anywhere, it shows no secret either.
    let whole = document.text();
    let mut end = whole.len() * usize::from(data.last().copied().unwrap_or(0)) / 256;
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    if let Some(finding) = refused(&whole[..end]) {
        check_place(&finding, &whole[..end]);
        assert!(!shown(&finding).contains(SECRET), "{finding:?} of {}", &whole[..end]);
    }
});

fn refused(text: &str) -> Option<Finding> {
    match Document::parse(Path::new(MAIN), text.to_owned()) {
        Err(Unreadable::Syntax { finding, .. }) => Some(*finding),
        Err(other) => panic!("a text is not read: {other}"),
        Ok(_) => None,
    }
}

fn check(document: &Document) {
    let read = config::read(document.clone(), &nothing_kept(), &ambient());
    for finding in &read.findings {
        assert_eq!(finding.file, Path::new(MAIN), "{finding:?}");
        check_place(finding, document.text());
        assert!(!shown(finding).contains(SECRET), "{finding:?} of {}", document.text());
    }
    // What programs have noted is shown as it is.
    let it = &read.config;
    let printed = format!("{:?} {:?} {:?} {:?}", it.gateway, it.models, it.env, it.secrets);
    assert!(!printed.contains(SECRET), "{printed}");
}

/// Puts the secret wherever one belongs.
fn plant(document: &mut Document) {
    let mut places = Vec::new();
    secret_places(document.value(), &mut Vec::new(), &mut places);
    for place in places {
        // A key that stands twice takes no change.
        let _ = document.set_at(&place, &json!(SECRET));
    }
}

fn secret_places(value: &Value, keys: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(it) => it.iter().map(|(key, it)| (key.clone(), it)).collect(),
        Value::Array(it) => it.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect(),
        _ => return,
    };
    let is_object = value.is_object();
    for (key, it) in below {
        keys.push(key);
        if is_object && keys.last().is_some_and(|it| is_secret(it)) {
            found.push(keys.clone());
        } else {
            secret_places(it, keys, found);
        }
        keys.pop();
    }
}
