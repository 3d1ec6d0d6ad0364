//! What every target asks of a config, and what the others ask for.

pub mod checks;

use std::path::Path;

use profile::sources::Reach;
use profile::{Ambient, Document, Finding};
use serde_json::Value;

/// Where the config seems to be; no file of this machine is read.
pub const MAIN: &str = "/x/openclaw.json";
/// Between the parts of an input.
pub const SEPARATOR: char = '\u{1e}';

/// Surroundings with one variable.
pub fn ambient() -> Ambient {
    Ambient::of(&[("KEY", "a-key")], Path::new("/x"))
}

/// As if nothing that is included were there.
pub fn nothing_kept() -> Reach {
    Reach { roots: Vec::new(), kept: Some(Vec::new()) }
}

/// A text as the config, where it is one. One that would start a program or open a file is none.
pub fn document(text: &str) -> Option<Document> {
    Document::parse(Path::new(MAIN), text.to_owned()).ok().filter(|it| !reaches_out(it.value()))
}

/// Whether reading the config would do more than read the config.
pub fn reaches_out(value: &Value) -> bool {
    match value {
        Value::Object(it) => {
            it.get("source").is_some_and(|it| *it == "exec" || *it == "file") || it.values().any(reaches_out)
        }
        Value::Array(it) => it.iter().any(reaches_out),
        _ => false,
    }
}

/// The finding is about a place that its text has.
pub fn check_place(finding: &Finding, text: &str) {
    if finding.line == 0 {
        assert_eq!(finding.column, 0, "{finding:?}");
        return;
    }
    let line = text.split('\n').nth(finding.line - 1);
    let line = line.unwrap_or_else(|| panic!("there is no such line: {finding:?}"));
    assert!(finding.column >= 1 && finding.column <= line.chars().count() + 1, "no such column: {finding:?}");
    // Whatever it is, it can be shown.
    let _ = (finding.pointer(), finding.told(Path::new(MAIN)));
}

/// All that a finding shows.
pub fn shown(finding: &Finding) -> String {
    format!("{finding:?} {}\n{}", finding.told(Path::new(MAIN)), finding.pointer())
}
