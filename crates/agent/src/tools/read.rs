//! `read`: a text file of the workspace, whole or some lines of it.

use futures_util::future::BoxFuture;
use providers::ToolSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, Risk, Tool, Workbench, arguments, beneath};

/// The most bytes that go to the model at once.
const MOST: usize = 48 * 1024;

/// The tool.
pub(super) struct Read;

#[derive(Deserialize)]
struct Arguments {
    path: String,
    /// From 1.
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

impl Tool for Read {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "read".into(),
            description: "Read a text file in the workspace.".into(),
            parameters: json!({"type": "object", "required": ["path"], "properties": {
                "path": {"type": "string", "description": "relative to the workspace"},
                "offset": {"type": "integer", "minimum": 1, "description": "first line"},
                "limit": {"type": "integer", "minimum": 1, "description": "number of lines"},
            }}),
        }
    }

    fn risk(&self) -> Risk {
        Risk::Reads
    }

    fn run<'a>(&'a self, call: Value, bench: &'a Workbench) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { read(call, bench).unwrap_or_else(|outcome| outcome) })
    }
}

fn read(call: Value, bench: &Workbench) -> Result<Outcome, Outcome> {
    let Arguments { path, offset, limit } = arguments(call)?;
    let text = beneath::read(&bench.root, bench.relative(&path))
        .map_err(|error| Outcome::failed(format!("cannot read {path}: {error}")))?;
    let skip = offset.unwrap_or(1).saturating_sub(1);
    let lines: Vec<&str> = text.split_inclusive('\n').skip(skip).take(limit.unwrap_or(usize::MAX)).collect();
    let wanted = lines.concat();
    let shown = base::text::head(&wanted, MOST);
    let mut outcome = Outcome::done(shown);
    if shown.len() < wanted.len() {
        let next = skip + shown.matches('\n').count() + 1;
        outcome.text.push_str(&format!("\n(cut after {MOST} bytes; go on with offset {next})"));
    }
    outcome.details = json!({"path": path, "bytes": text.len(), "lines": text.lines().count()});
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    #[test]
    fn reads_whole_or_in_part() {
        let home = tempfile::tempdir().expect("a folder");
        base::file::replace(&home.path().join("a.txt"), b"one\ntwo\nthree\n").expect("written");
        let bench = bench(home.path());
        let text = |call| read(call, &bench).unwrap_or_else(|it| it).text;
        assert_eq!(text(json!({"path": "a.txt"})), "one\ntwo\nthree\n");
        assert_eq!(text(json!({"path": "a.txt", "offset": 2, "limit": 1})), "two\n");
        assert_eq!(text(json!({"path": home.path().join("a.txt")})), "one\ntwo\nthree\n");
        assert!(text(json!({"path": "b.txt"})).starts_with("cannot read b.txt: "));
        assert!(text(json!({"file": "a.txt"})).starts_with("bad arguments: missing field `path`"));
    }

    #[test]
    fn says_where_to_go_on() {
        let home = tempfile::tempdir().expect("a folder");
        base::file::replace(&home.path().join("long"), "line\n".repeat(MOST).as_bytes()).expect("written");
        let outcome = read(json!({"path": "long"}), &bench(home.path())).unwrap_or_else(|it| it);
        assert!(
            outcome.text.len() < MOST + 100 && outcome.text.contains("offset 9831"),
            "{}",
            outcome.text.len()
        );
    }
}
