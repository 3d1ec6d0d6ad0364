//! docs/protocol.md and docs/protocol.schema.json, from the types of the control plane.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use protocol::event::{Hears, Name};
use protocol::methods::{self, Described};
use protocol::{Callers, VERSIONS};
use serde_json::{Map, Value, json};

use super::bounds;

/// The document that is written.
pub(super) const PATH: &str = "docs/protocol.md";
/// The same for programs.
pub(super) const SCHEMA: &str = "docs/protocol.schema.json";

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/protocol");

const HEAD: &str = "\
# The control plane

<!-- Written by `cargo xtask codegen` from the types of the protocol; `cargo xtask tidy` holds it current. -->

Frames are JSON texts on a WebSocket: `{type: \"req\", id, method, params}`, `{type: \"res\", id, ok, payload, error}` and
`{type: \"event\", event, payload, seq}`. Parameters that a method does not know are ignored, those of a wrong type are
refused with `invalid METHOD params: at /PATH: ...`. [The same as JSON Schema](protocol.schema.json).
";

/// The whole document as Markdown.
///
/// # Errors
/// When the sources cannot be read.
pub(super) fn text(_: &Path) -> anyhow::Result<String> {
    let about = about()?;
    let mut methods = methods::described();
    methods.sort_by_key(|it| it.name);
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "\nVersions {} to {} are spoken.\n\n## Methods", VERSIONS.0, VERSIONS.1);
    for it in &methods {
        describe(it, about.get(it.name).map_or("", String::as_str), &mut text);
    }
    text.push_str("\n## Events\n\n| event | who hears it |\n|---|---|\n");
    for row in Name::TABLE {
        let who = match row.hears {
            Hears::Everybody => "everybody".to_owned(),
            Hears::With(scope) => format!("`{}`", scope.name()),
            Hears::OneAlone => "the one that it is about".to_owned(),
        };
        let _ = writeln!(text, "| `{}` | {who} |", row.name.name());
    }
    ends(&mut text)?;
    limits(&mut text)?;
    text.push_str("\n## What is not served\n\nThese are answered with `unknown method: NAME (REASON)`.\n\n| method | reason |\n|---|---|\n");
    let list = std::fs::read_to_string(Path::new(SOURCES).join("coverage.txt")).context("no coverage.txt")?;
    for (name, why) in
        list.lines().filter(|it| !it.starts_with('#')).filter_map(|it| it.split_once(" refused: "))
    {
        let _ = writeln!(text, "| `{name}` | {why} |");
    }
    Ok(text)
}

/// All methods as one JSON document.
///
/// # Errors
/// None.
pub(super) fn schema(_: &Path) -> anyhow::Result<String> {
    let mut methods = methods::described();
    methods.sort_by_key(|it| it.name);
    let rows = methods.into_iter().map(|it| {
        let about = json!({"scope": it.scope, "callers": callers(it.callers), "params": it.params, "reply": it.reply});
        (it.name.to_owned(), about)
    });
    let all = json!({"versions": [VERSIONS.0, VERSIONS.1], "methods": rows.collect::<Map<_, _>>()});
    Ok(format!("{}\n", serde_json::to_string_pretty(&all)?))
}

/// What the type of each method says of it.
fn about() -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut paths = vec![Path::new(SOURCES).join("src")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path).context("no sources")? {
                paths.push(entry?.path());
            }
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((name, first)) = line.strip_prefix("/// `").and_then(|it| it.split_once("`: ")) else {
                continue;
            };
            let mut words = first.to_owned();
            while let Some(more) = lines.next_if(|it| it.starts_with("///")) {
                let _ = write!(words, " {}", more.trim_start_matches('/').trim());
            }
            if lines.peek().is_some_and(|it| it.starts_with("pub enum") && it.ends_with("{}")) {
                found.insert(name.to_owned(), words);
            }
        }
    }
    Ok(found)
}

/// The codes by which the gateway closes a connection.
fn ends(text: &mut String) -> anyhow::Result<()> {
    let source = Path::new(SOURCES).join("src/error.rs");
    let source = std::fs::read_to_string(source).context("no error.rs")?;
    let codes =
        source.split_once("pub mod close {").and_then(|it| it.1.split_once("\n}")).context("no codes")?.0;
    text.push_str("\n## How a connection ends\n\n| code | when |\n|---|---|\n");
    for it in bounds::constants(codes).iter().filter(|it| !it.name.ends_with("_BYTES")) {
        let _ = writeln!(text, "| {} | {} |", it.shown()?, it.about);
    }
    Ok(())
}

/// Every bound that the gateway keeps to.
fn limits(text: &mut String) -> anyhow::Result<()> {
    let source = std::fs::read_to_string(Path::new(SOURCES).join("../gateway/src/limits.rs"));
    let source = source.context("no limits.rs")?;
    let policy = "`hello-ok` says the largest frame, the most bytes that wait for a slow reader, and how often it ticks.";
    let _ = write!(text, "\n## Limits\n\n{policy}\n\n| what | bound |\n|---|---|\n");
    // What stands as the protocol's own type is told by `hello-ok`; what refers to another is told with it.
    let told = |it: &&bounds::Constant| it.name != "POLICY" && !it.about.starts_with("See ");
    for it in bounds::constants(&source).iter().filter(told) {
        let about = it.about.replace(['[', ']'], "").trim_end_matches('.').to_owned();
        let _ = writeln!(text, "| {about} | {} |", it.shown()?);
    }
    Ok(())
}

fn callers(it: Callers) -> &'static str {
    match it {
        Callers::Operators => "operators",
        Callers::Nodes => "nodes",
        Callers::Both => "operators and nodes",
    }
}

fn describe(it: &Described, about: &str, text: &mut String) {
    let scope = it.scope.map_or("nothing".to_owned(), |it| format!("`{it}`"));
    let steers = if it.steers { " Its calls are bounded for each connection." } else { "" };
    let _ = writeln!(
        text,
        "\n### `{}`\n\n{about}\n\nFor {}; needs {scope}.{steers}",
        it.name,
        callers(it.callers)
    );
    fields("parameter", &it.params, text);
    fields("reply", &it.reply, text);
}

fn fields(what: &str, schema: &Value, text: &mut String) {
    let mut rows = Vec::new();
    gather(schema, &mut rows);
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n| {what} | type | what it is |\n|---|---|---|");
    for (name, kind, about) in rows {
        let about = about.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "| `{name}` | {kind} | {about} |");
    }
}

/// The fields of an object, those of its shapes where it has several.
fn gather(schema: &Value, rows: &mut Vec<(String, String, String)>) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, it) in schema["properties"].as_object().into_iter().flatten() {
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        let row =
            (format!("{name}{mark}"), kind(it), it["description"].as_str().unwrap_or_default().to_owned());
        if !rows.iter().any(|(known, ..)| *known == row.0) {
            rows.push(row);
        }
    }
    for shape in ["anyOf", "oneOf", "allOf"] {
        schema[shape].as_array().into_iter().flatten().for_each(|it| gather(it, rows));
    }
    if schema["type"] == "array" {
        gather(&schema["items"], rows);
    }
}

fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(it) if it == "array" => format!("array of {}", kind(&schema["items"])),
        Value::String(it) => it.clone(),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => {
            let shapes = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
            let mut kinds: Vec<_> = shapes.into_iter().flatten().map(kind).collect();
            kinds.dedup();
            if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" or ") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_described_with_its_fields() {
        let text = text(Path::new("")).expect("a document");
        for part in
            ["### `agents.create`", "| `agentId` | string | ", "| `name` | string | ", "| `update.run` | "]
        {
            assert!(text.contains(part), "{part}");
        }
        let about = about().expect("sources");
        let silent: Vec<_> = methods::names().into_iter().filter(|it| !about.contains_key(*it)).collect();
        assert!(silent.is_empty(), "no word of {silent:?}");
    }
}
