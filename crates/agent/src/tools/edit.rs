//! `edit`: replace one piece of text in a file of the workspace.

use futures_util::future::BoxFuture;
use providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, Risk, Tool, Workbench, arguments, beneath};

/// The tool.
pub(super) struct Edit;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    path: String,
    old_text: String,
    new_text: String,
}

impl Tool for Edit {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "edit".into(),
            description: "Replace one exact piece of text in a file in the workspace.".into(),
            parameters: json!({"type": "object", "required": ["path", "oldText", "newText"], "properties": {
                "path": {"type": "string", "description": "relative to the workspace"},
                "oldText": {"type": "string", "description": "must occur exactly once"},
                "newText": {"type": "string"},
            }}),
        }
    }

    fn risk(&self) -> Risk {
        Risk::Writes
    }

    fn run<'a>(&'a self, call: Value, bench: &'a Workbench) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { edit(call, bench).unwrap_or_else(|outcome| outcome) })
    }
}

fn edit(call: Value, bench: &Workbench) -> Result<Outcome, Outcome> {
    let Arguments { path, old_text, new_text } = arguments(call)?;
    let failed = |why: String| Outcome::failed(format!("cannot edit {path}: {why}"));
    let file = bench.relative(&path);
    let text = beneath::read(&bench.root, file).map_err(|error| failed(error.to_string()))?;
    match text.matches(&old_text).count() {
        _ if old_text.is_empty() => return Err(failed("oldText is empty".to_owned())),
        0 => return Err(failed("oldText does not occur; read the file and copy it exactly".to_owned())),
        1 => {}
        n => return Err(failed(format!("oldText occurs {n} times; take more of the text around it"))),
    }
    let at = text.find(&old_text).unwrap_or_default();
    let changed = text.replacen(&old_text, &new_text, 1);
    beneath::replace(&bench.root, file, &changed).map_err(|error| failed(error.to_string()))?;
    let line = text[..at].matches('\n').count() + 1;
    let mut outcome = Outcome::done(format!("edited {path} at line {line}"));
    outcome.details = json!({"path": path, "line": line});
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    #[test]
    fn edits_what_is_there_once_and_only_that() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("a.txt");
        base::file::replace(&file, b"one\ntwo\ntwo\n").expect("written");
        let bench = bench(home.path());
        let text = |old: &str, new: &str| {
            let call = json!({"path": "a.txt", "oldText": old, "newText": new});
            edit(call, &bench).unwrap_or_else(|it| it).text
        };
        assert!(text("two", "2").contains("occurs 2 times"));
        assert!(text("three", "3").contains("does not occur"));
        assert!(text("", "3").contains("is empty"));
        assert_eq!(text("two\ntwo", "2"), "edited a.txt at line 2");
        assert_eq!(std::fs::read(&file).expect("there"), b"one\n2\n");
    }
}
