//! Values as they come on the command line: JSON5, else text; a reference to a secret; or many at once out of a file.

use std::io::{self, Read};
use std::path::Path;

use profile::Document;
use profile::document::Unreadable;
use serde_json::{Value, json};

use super::check;
use crate::app::App;
use crate::failure::{Failure, Kind};

/// The most bytes of a file that is read for a change.
const LARGEST: u64 = 8 * 1024 * 1024;

/// What JSON may be meant by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// What is no JSON5 is a text.
    Text,
    /// A word is a text; what begins like JSON must be some.
    Looks,
    /// JSON alone.
    Json,
}

/// A value: JSON5 where it is some, else the text itself, as far as that may be meant.
pub(crate) fn parse(text: &str, strictness: Strictness) -> Result<Value, Failure> {
    if strictness == Strictness::Json {
        return serde_json::from_str(text).map_err(|error| {
            Failure::new(Kind::Usage, format!("the value is no JSON: {}", plain(&error)))
                .hint("quote a text: '\"like this\"', or leave --strict-json out")
        });
    }
    // A bare word is a text, and no document can be one.
    let whole = Document::parse(Path::new("value"), format!("{{ value: {text}\n}}"));
    let parsed = whole.ok().filter(|it| it.value().as_object().is_some_and(|it| it.len() == 1));
    match parsed.and_then(|it| it.get("value").cloned()) {
        Some(it) => Ok(it),
        None if strictness == Strictness::Looks && text.trim_start().starts_with(['{', '[', '"']) => {
            Err(Failure::new(Kind::Usage, "the value begins like JSON and is none")
                .hint("correct it, or leave --json out to set it as a text"))
        }
        None => Ok(Value::String(text.to_owned())),
    }
}

/// A reference to a secret that is kept elsewhere.
pub(crate) fn reference(
    provider: Option<&str>,
    source: Option<&str>,
    id: Option<&str>,
) -> Result<Option<Value>, Failure> {
    match (source, id) {
        (None, None) if provider.is_none() => Ok(None),
        (Some(source), Some(id)) => {
            Ok(Some(json!({"source": source, "provider": provider.unwrap_or("default"), "id": id})))
        }
        _ => Err(Failure::new(Kind::Usage, "a reference needs --ref-source and --ref-id")
            .hint("like: --ref-source env --ref-id OPENAI_API_KEY")),
    }
}

/// The changes of a batch, in their order: `[{path, value | ref | provider}]`.
pub(crate) fn batch(text: &str) -> Result<Vec<(String, Value)>, Failure> {
    let bad = |words: String| {
        Failure::new(Kind::Usage, words).hint("like: [{\"path\": \"gateway.port\", \"value\": 19001}]")
    };
    let parsed: Value =
        serde_json::from_str(text).map_err(|it| bad(format!("the batch is no JSON: {}", plain(&it))))?;
    let entries = parsed.as_array().filter(|it| !it.is_empty());
    let entries = entries.ok_or_else(|| bad("the batch is no list with something in it".to_owned()))?;
    let read = |(at, entry): (usize, &Value)| {
        let path = entry.get("path").and_then(Value::as_str);
        let value = ["value", "ref", "provider"].iter().find_map(|it| entry.get(*it));
        match (path, value) {
            (Some(path), Some(value)) => Ok((path.to_owned(), value.clone())),
            _ => Err(bad(format!("entry {at} of the batch needs a path, and a value, ref or provider"))),
        }
    };
    entries.iter().enumerate().map(read).collect()
}

/// The text of a file; `-` is standard input.
pub(crate) fn file(app: &App, path: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(Kind::Usage, format!("cannot read {path}: {error}"));
    let mut text = String::new();
    let read = if path == "-" {
        io::stdin().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(app.ambient.path(path))
            .and_then(|it| it.take(LARGEST + 1).read_to_string(&mut text))
    };
    let size = read.map_err(failed)?;
    if size as u64 > LARGEST {
        return Err(Failure::new(Kind::Usage, format!("{path} is larger than {LARGEST} bytes")));
    }
    Ok(text)
}

/// A document out of a file that is not the config itself.
pub(crate) fn document(path: &str, text: String) -> Result<Document, Failure> {
    let shown = if path == "-" { "standard input" } else { path };
    Document::parse(Path::new(shown), text).map_err(|error: Unreadable| {
        check::invalid(
            format!("{shown} does not parse; nothing was changed"),
            &[check::of_unreadable(&error)],
        )
    })
}

/// What a parser says, without the place in a text that fits on one line.
fn plain(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json5_first_and_text_else() {
        for (text, expected) in [
            ("19001", json!(19001)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("0x10", json!(16)),
            ("'a b'", json!("a b")),
            ("{a: [1, 'x',], }", json!({"a": [1, "x"]})),
            ("hello world", json!("hello world")),
            ("openai/gpt-5", json!("openai/gpt-5")),
            ("2h", json!("2h")),
            ("1, other: 2", json!("1, other: 2")),
            ("// words", json!("// words")),
            ("1 // one", json!(1)),
            ("", json!("")),
        ] {
            assert_eq!(parse(text, Strictness::Text).expect(text), expected, "{text}");
        }
        for (text, strictness, expected) in [
            ("\"x\"", Strictness::Json, Some(json!("x"))),
            ("{a: 1}", Strictness::Json, None),
            ("word", Strictness::Json, None),
            ("{a: 1", Strictness::Looks, None),
            ("word", Strictness::Looks, Some(json!("word"))),
        ] {
            assert_eq!(parse(text, strictness).ok(), expected, "{text} {strictness:?}");
        }
    }

    #[test]
    fn a_batch_and_a_reference_are_whole_or_refused() {
        let read =
            batch(r#"[{"path": "a", "value": 1}, {"path": "b.c", "ref": {"id": "X"}}]"#).expect("read");
        assert_eq!(read, [("a".to_owned(), json!(1)), ("b.c".to_owned(), json!({"id": "X"}))]);
        for bad in ["", "{}", "[]", "[{\"path\": \"a\"}]", "[{\"value\": 1}]"] {
            assert_eq!(batch(bad).expect_err(bad).kind, Kind::Usage, "{bad}");
        }
        assert_eq!(reference(None, None, None).expect("none"), None);
        let full = reference(None, Some("env"), Some("KEY")).expect("whole");
        assert_eq!(full, Some(json!({"source": "env", "provider": "default", "id": "KEY"})));
        assert!(reference(Some("x"), None, None).is_err() && reference(None, Some("env"), None).is_err());
    }
}
