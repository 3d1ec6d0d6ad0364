//! A set of files that include each other: read to an end, each circle told, nothing from outside the set.

#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{MAIN, SEPARATOR, check_place, document};
use profile::Sources;
use profile::sources::Reach;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data).into_owned();
    let mut parts = text.split(SEPARATOR);
    let Some(main) = parts.next().and_then(document) else { return };
    // The first line of a part is its name.
    let kept: Vec<(PathBuf, String)> = parts
        .filter_map(|it| it.split_once('\n'))
        .map(|(name, text)| (Path::new("/x").join(name.trim()), text.to_owned()))
        .collect();
    let reach = Reach { roots: Vec::new(), kept: Some(kept.clone()) };
    let (sources, findings) = Sources::of(main.clone(), &reach);
    assert!(sources.included().len() <= kept.len());
    for it in sources.included() {
        assert!(kept.iter().any(|(path, _)| path == it.path()), "{} was not given", it.path().display());
    }
    for finding in &findings {
        let is_main = finding.file == Path::new(MAIN);
        let of_file = kept.iter().find(|(path, _)| *path == finding.file);
        let text = if is_main { main.text() } else { of_file.map_or("", |(_, it)| it.as_str()) };
        check_place(finding, text.trim_start_matches('\u{feff}'));
    }
    assert!(!mentions(sources.value(), "$include") || !findings.is_empty(), "{}", sources.value());
    if includes_itself(main.value()) {
        let told = findings.iter().any(|it| it.message.contains("in a circle"));
        assert!(told, "nothing of a circle in {findings:?}");
    }
    // Every key of the whole has its place in one of the files.
    for keys in paths(sources.value()) {
        let (owner, within) = sources.owner(&keys);
        assert_eq!(owner.at_keys(&within).is_some(), at(sources.value(), &keys).is_some(), "{keys:?}");
        check_place(&sources.finding(&keys, "x"), owner.text());
    }
});

fn mentions(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Object(it) => it.iter().any(|(key, it)| key == wanted || mentions(it, wanted)),
        Value::Array(it) => it.iter().any(|it| mentions(it, wanted)),
        _ => false,
    }
}

/// The plainest circle, which can be seen without following anything.
fn includes_itself(value: &Value) -> bool {
    value["$include"].as_str() == Some("openclaw.json")
}

fn at<'a>(value: &'a Value, keys: &[String]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |it, key| match it {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

/// Some of the keys, those of the first levels.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for (key, below) in value.as_object().into_iter().flatten().take(8) {
        found.push(vec![key.clone()]);
        let inner = below.as_object().into_iter().flatten().take(4);
        found.extend(inner.map(|(it, _)| vec![key.clone(), it.clone()]));
    }
    found
}
