//! The config in a snapshot: its secrets taken out and put back, its paths led to another place.

use std::path::{Component, Path, PathBuf};

use profile::document::{self, Finding, MASK};
use profile::{Ambient, Document};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A secret that is shorter is not looked for elsewhere in the text: it may be any word.
const SHORTEST_SOUGHT: usize = 6;
/// A secret of a config and the way to it. It has no `Debug`, on purpose.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The keys; the places of a list count as keys.
    pub(super) path: Vec<String>,
    /// What is there.
    pub(super) value: Value,
}

/// Takes the secrets out of a config. Comments stay, and say `***` where they told a secret.
pub(super) fn strip(document: &mut Document) -> Result<Vec<Kept>, Finding> {
    let mut kept = Vec::new();
    named(document.value(), &mut Vec::new(), &mut kept);
    for it in &kept {
        document.remove_at(&it.path)?;
    }
    let sought: Vec<String> = kept
        .iter()
        .filter_map(|it| it.value.as_str().filter(|it| it.len() >= SHORTEST_SOUGHT))
        .map(str::to_owned)
        .collect();
    // The same text under a harmless key, such as an address with a token in it.
    for (path, text) in document.texts() {
        if sought.iter().any(|it| text.contains(it.as_str())) {
            document.set_at(&path, &Value::from(MASK))?;
            kept.push(Kept { path, value: Value::from(text) });
        }
    }
    let masked = sought.iter().fold(document.text().to_owned(), |text, it| text.replace(it.as_str(), MASK));
    if masked != document.text() {
        let clean = Document::parse(document.path(), masked).map_err(|it| Finding::whole(it.to_string()))?;
        if clean.value() != document.value() {
            return Err(Finding::whole("a key is named like a secret".to_owned()));
        }
        *document = clean;
    }
    Ok(kept)
}

/// Puts secrets back where they were.
pub(super) fn put_back(document: &mut Document, kept: &[Kept]) -> Result<(), Finding> {
    kept.iter().try_for_each(|it| document.set_at(&it.path, &it.value))
}

/// The value at a way of keys.
pub(super) fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |it, key| match it {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key.as_str()),
    })
}

/// Whether the way leads to the same thing in both: an element of a list is the same when it is at the same place
/// and has the same id.
pub(super) fn is_same_place(one: &Value, other: &Value, path: &[String]) -> bool {
    (1..path.len()).all(|end| {
        let (Some(a), Some(b)) = (at(one, &path[..end]), at(other, &path[..end])) else { return true };
        ["id", "name"].iter().all(|key| a.get(key) == b.get(key)) || path[end - 1].parse::<usize>().is_err()
    })
}

/// Leads every path in the config that is within one of `moves` to where that went, the longest first. `home` is
/// what `~` meant.
pub(super) fn lead(
    document: &mut Document,
    moves: &[(PathBuf, PathBuf)],
    home: Option<&Path>,
    ambient: &Ambient,
) -> Result<(), Finding> {
    let mut moves: Vec<_> = moves.iter().collect();
    moves.sort_by_key(|(was, _)| std::cmp::Reverse(was.components().count()));
    for (path, text) in document.texts() {
        let Some(place) = absolute(&text, home) else { continue };
        let led = moves.iter().find_map(|(was, is)| Some(is.join(place.strip_prefix(was).ok()?)));
        // `join` of nothing ends with a slash.
        let Some(led) = led.map(|it| it.components().collect::<PathBuf>()) else { continue };
        let is = if text.starts_with('~') { ambient.short(&led) } else { led.display().to_string() };
        if is != text {
            document.set_at(&path, &Value::from(is))?;
        }
    }
    Ok(())
}

/// The workspaces that a config names.
pub(super) fn workspaces(document: &Document, ambient: &Ambient) -> Vec<PathBuf> {
    let list = document.get("agents.list").and_then(Value::as_array);
    let of_agents = list.into_iter().flatten().filter_map(|it| it.get("workspace"));
    let named = document.get("agents.defaults.workspace").into_iter().chain(of_agents);
    let texts = named.filter_map(Value::as_str).filter(|it| !it.trim().is_empty());
    let mut found: Vec<PathBuf> = texts.map(|it| ambient.path(it).components().collect()).collect();
    found.sort();
    found.dedup();
    found
}

fn absolute(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    let place = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => home?.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    };
    let is_plain = !place.components().any(|it| it == Component::ParentDir);
    (place.is_absolute() && is_plain).then_some(place)
}

fn named(value: &Value, path: &mut Vec<String>, found: &mut Vec<Kept>) {
    let is_reference = |it: &str| it.is_empty() || (it.starts_with("${") && it.ends_with('}'));
    match value {
        Value::Object(object) => {
            for (key, it) in object {
                path.push(key.clone());
                let is_secret = match it {
                    Value::String(text) => document::is_secret(key) && !is_reference(text),
                    Value::Number(_) | Value::Array(_) => document::is_secret(key),
                    _ => false,
                };
                if is_secret {
                    found.push(Kept { path: path.clone(), value: it.clone() });
                } else {
                    named(it, path, found);
                }
                path.pop();
            }
        }
        Value::Array(list) => {
            for (number, it) in list.iter().enumerate() {
                path.push(number.to_string());
                named(it, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Document {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5")
    }

    #[test]
    fn secrets_go_and_come_back_and_comments_tell_none() {
        let text = "{\n  // mine; it was hunter-2 once\n  gateway: { auth: { token: 'hunter-2' }, port: 1 },\n  \
                    list: [{ id: 'a', botToken: '42:abcdef', url: 'https://x/42:abcdef/y' }, 'x-hunter-2'],\n  \
                    env: { OPENAI_API_KEY: 'sk-12345', LANG: 'C' }, // keys\n  password: 1234,\n  \
                    ref: { apiKey: '${KEY}', maxTokens: 'many' },\n}\n";
        let mut document = parse(text);
        let was = document.value().clone();
        let kept = strip(&mut document).expect("stripped");
        let ways: Vec<String> = kept.iter().map(|it| it.path.join(".")).collect();
        let first = ["gateway.auth.token", "list.0.botToken", "env.OPENAI_API_KEY", "password"];
        assert_eq!(ways, [&first[..], &["list.0.url", "list.1"]].concat());
        for told in ["hunter-2", "abcdef", "sk-12345", "1234"] {
            assert!(!document.text().contains(told), "{told} is in {}", document.text());
        }
        for stays in ["// mine; it was *** once", "// keys", "${KEY}", "maxTokens", "port: 1"] {
            assert!(document.text().contains(stays), "{stays} is gone from {}", document.text());
        }
        put_back(&mut document, &kept).expect("put back");
        assert_eq!(document.value(), &was);
    }

    #[test]
    fn paths_are_led_to_their_new_place_and_others_stay() {
        let text = "{ a: '/h/.openclaw-x/w', b: '~/.openclaw-x', c: '/h/.openclaw-xy', d: '~/w/deep', e: '/h/w', \
                    f: ['/h/.openclaw-x/../w', 'h', '~', ''], }";
        let mut document = parse(text);
        let to = |from: &str, to: &str| (PathBuf::from(from), PathBuf::from(to));
        let moves =
            [to("/h/.openclaw-x", "/k/.openclaw-y"), to("/h/w", "/k/.openclaw-y/workspace-restored-0")];
        let ambient = Ambient::of(&[("HOME", "/k")], Path::new("/"));
        lead(&mut document, &moves, Some(Path::new("/h")), &ambient).expect("led");
        let expected = json!({"a": "/k/.openclaw-y/w", "b": "~/.openclaw-y", "c": "/h/.openclaw-xy",
            "d": "~/.openclaw-y/workspace-restored-0/deep", "e": "/k/.openclaw-y/workspace-restored-0",
            "f": ["/h/.openclaw-x/../w", "h", "~", ""]});
        assert_eq!(document.value(), &expected);
    }

    #[test]
    fn an_element_of_a_list_is_the_same_by_its_place_and_its_id() {
        let one =
            json!({"list": [{"id": "a", "token": "1"}, {"id": "b", "token": "2"}], "x": {"token": "3"}});
        let other =
            json!({"list": [{"id": "a", "token": "4"}, {"id": "c", "token": "5"}], "x": {"name": "n"}});
        for (way, expected) in [("list.0.token", true), ("list.1.token", false), ("x.token", true)] {
            let way: Vec<String> = way.split('.').map(str::to_owned).collect();
            assert_eq!(is_same_place(&one, &other, &way), expected, "{way:?}");
        }
    }
}
