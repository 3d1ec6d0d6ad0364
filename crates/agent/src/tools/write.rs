//! `write`: make or replace a text file of the workspace.

use futures_util::future::BoxFuture;
use providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, Risk, Tool, Workbench, arguments, beneath};

/// The tool.
pub(super) struct Write;

#[derive(Deserialize)]
struct Arguments {
    path: String,
    content: String,
}

impl Tool for Write {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "write".into(),
            description: "Create or replace a text file in the workspace.".into(),
            parameters: json!({"type": "object", "required": ["path", "content"], "properties": {
                "path": {"type": "string", "description": "relative to the workspace"},
                "content": {"type": "string", "description": "the whole new content"},
            }}),
        }
    }

    fn risk(&self) -> Risk {
        Risk::Writes
    }

    fn run<'a>(&'a self, call: Value, bench: &'a Workbench) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { write(call, bench).unwrap_or_else(|outcome| outcome) })
    }
}

fn write(call: Value, bench: &Workbench) -> Result<Outcome, Outcome> {
    let Arguments { path, content } = arguments(call)?;
    if content.len() as u64 > beneath::LARGEST {
        return Err(Outcome::failed(format!("cannot write {path}: more than {} bytes", beneath::LARGEST)));
    }
    beneath::replace(&bench.root, bench.relative(&path), &content)
        .map_err(|error| Outcome::failed(format!("cannot write {path}: {error}")))?;
    let mut outcome = Outcome::done(format!("wrote {} bytes to {path}", content.len()));
    outcome.details = json!({"path": path, "bytes": content.len()});
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    #[test]
    fn writes_and_says_what() {
        let home = tempfile::tempdir().expect("a folder");
        let bench = bench(home.path());
        let outcome = write(json!({"path": "n/a.txt", "content": "hi"}), &bench).unwrap_or_else(|it| it);
        assert_eq!(outcome.text, "wrote 2 bytes to n/a.txt");
        assert_eq!(std::fs::read(home.path().join("n/a.txt")).expect("there"), b"hi");
        let outcome = write(json!({"path": "../a.txt", "content": "hi"}), &bench).unwrap_or_else(|it| it);
        assert!(outcome.is_error && outcome.text.starts_with("cannot write ../a.txt: "), "{outcome:?}");
    }
}
