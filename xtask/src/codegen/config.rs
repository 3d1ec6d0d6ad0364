//! docs/config.md, from the list of keys that the command prints.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::PROGRAM;

/// The document that is written.
pub(super) const PATH: &str = "docs/config.md";

const HEAD: &str = "\
# Every key of the config

<!-- Written by `cargo xtask codegen` from `openclaw config schema --keys`; `cargo xtask tidy` holds it current. -->

The config of an instance is one JSON5 file: `~/.openclaw/openclaw.json`, with a profile
`~/.openclaw-NAME/openclaw.json`, or the file that `OPENCLAW_CONFIG_PATH` names. These are the places, and these the names
of keys, that OpenClaw has. [The guide](configuration.md) shows a whole one and says how it is written, checked, kept and
reloaded.

`NAME` in a key stands for a name of your choice, `[]` for each entry of a list. A `secret` is a text, a text with
`${VARIABLE}` in it, or [a reference](configuration.md#secrets) to where it is kept. The last column says what a change
does to a gateway that runs:

| change | what it does |
|---|---|
| at once | is in force with the next thing that the gateway does |
| restart | the gateway starts again, after the turns under way; with `gateway.reload.mode: \"hot\"` not by itself |
| nothing | nobody obeys the key |

Of keys that are not listed here, those that OpenClaw knows are kept and have no effect; a few of them still
[name what only one instance may have](configuration.md#what-has-no-effect). `openclaw config validate` says which of yours
these are, and which nobody knows.
";

const TABLE: &str = "\n| key | type | default | what it is for | change |\n|---|---|---|---|---|\n";

/// One key, as the command lists it.
struct Key {
    path: String,
    kind: String,
    default: Option<Value>,
    choices: Vec<String>,
    about: String,
    reload: String,
}

/// The whole document as Markdown: a section for each key at the top, a row for each key below it.
///
/// # Errors
/// When the program cannot list its keys, or lists them in another form.
pub(super) fn text(program: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    // Nothing of this machine may show in the document.
    command.args(["config", "schema", "--keys"]).env_clear().stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{PROGRAM} config schema --keys` failed: {}", complaint.trim());
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).context("the keys are no list")?;
    Ok(document(&listed.iter().map(key).collect::<anyhow::Result<Vec<_>>>()?))
}

fn key(listed: &Value) -> anyhow::Result<Key> {
    let text = |name: &str| {
        let found = listed[name].as_str().map(str::to_owned);
        found.with_context(|| format!("a key has no `{name}`: {listed}"))
    };
    let choices = listed["choices"].as_array().into_iter().flatten();
    Ok(Key {
        path: text("path")?,
        kind: text("kind")?,
        default: listed.get("default").filter(|it| !it.is_null()).cloned(),
        choices: choices.filter_map(Value::as_str).map(str::to_owned).collect(),
        about: text("about")?,
        reload: text("reload")?,
    })
}

fn document(keys: &[Key]) -> String {
    let mut text = HEAD.to_owned();
    let is_alone = |top: &Key| !keys.iter().any(|it| is_below(&it.path, &top.path));
    let tops = || keys.iter().filter(|it| !it.path.contains(['.', '[']));
    for top in tops().filter(|it| !is_alone(it)) {
        text.push_str(&format!("\n## {}\n\n{}\n{TABLE}", top.path, top.about));
        for key in keys.iter().filter(|it| is_below(&it.path, &top.path)) {
            text.push_str(&row(key, keys));
        }
    }
    if tops().any(is_alone) {
        text.push_str(&format!("\n## Others\n{TABLE}"));
    }
    for top in tops().filter(|it| is_alone(it)) {
        text.push_str(&row(top, keys));
    }
    text
}

/// Whether a key is within another one.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|it| it.starts_with(['.', '[']))
}

fn row(key: &Key, keys: &[Key]) -> String {
    let above = above(&key.path);
    let parent = keys.iter().find(|it| Some(it.path.as_str()) == above);
    let about = match parent {
        _ if !key.about.is_empty() => &key.about,
        // It has no row of its own to say it.
        Some(it) if !it.path.contains('.') => &it.about,
        // What nothing is said of is the plain element of the key above, whose row has it.
        _ => return String::new(),
    };
    let element = keys.iter().find(|it| it.about.is_empty() && above_is(&it.path, &key.path));
    let kind = match element {
        Some(it) if it.kind != "object" => format!("{} of {}", key.kind, it.kind),
        _ => key.kind.clone(),
    };
    let kind = if key.choices.is_empty() {
        kind
    } else {
        key.choices.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
    };
    let default = key.default.as_ref().filter(|it| it.as_str() != Some("")).map(|it| format!("`{it}`"));
    let change = match key.reload.as_str() {
        "hot" => "at once".to_owned(),
        "gateway" => "restart".to_owned(),
        "nothing" => "nothing".to_owned(),
        unit => format!("restart of the {unit}"),
    };
    let cells = [
        format!("`{}`", key.path.replace('*', "NAME")),
        kind,
        default.unwrap_or_default(),
        about.clone(),
        change,
    ];
    let cells = cells.map(|it| if it.is_empty() { " ".to_owned() } else { format!(" {} ", cell(&it)) });
    format!("|{}|\n", cells.join("|"))
}

/// The key that one is directly within.
fn above(path: &str) -> Option<&str> {
    path.strip_suffix("[]").or_else(|| path.rsplit_once('.').map(|(above, _)| above))
}

fn above_is(path: &str, expected: &str) -> bool {
    let is_element = path.ends_with("[]") || path.ends_with(".*");
    is_element && above(path) == Some(expected)
}

/// A table ends its cell at a bar, and its row at a line's end.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(path: &str, kind: &str, about: &str) -> Value {
        json!({"path": path, "kind": kind, "default": null, "choices": [], "about": about, "reload": "hot"})
    }

    fn with(mut listed: Value, name: &str, value: Value) -> Value {
        listed[name] = value;
        listed
    }

    #[track_caller]
    fn check(rows: &[Value], expected: &[&str]) {
        let keys: Vec<_> = rows.iter().map(|it| key(it).expect("a key")).collect();
        let text = document(&keys);
        let body = text.strip_prefix(HEAD).expect("the head");
        let is_rule = |it: &&str| it.is_empty() || it.starts_with("| key ") || it.starts_with("|---");
        let found: Vec<_> = body.lines().filter(|it| !is_rule(it)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_key_has_one_row_in_the_section_of_its_top() {
        check(
            &[
                listed("gateway", "object", "The plane."),
                with(listed("gateway.port", "number", "The base."), "reload", json!("gateway")),
                with(listed("meta", "object", "Notes."), "reload", json!("nothing")),
                listed("tools", "object", "Tools."),
                with(listed("tools.deny", "list", "Not these."), "default", json!([])),
                listed("tools.deny[]", "text", ""),
                with(listed("tools.level", "text", "One | two."), "choices", json!(["a", "b"])),
            ],
            &[
                "## gateway",
                "The plane.",
                "| `gateway.port` | number | | The base. | restart |",
                "## tools",
                "Tools.",
                "| `tools.deny` | list of text | `[]` | Not these. | at once |",
                "| `tools.level` | `a`, `b` | | One \\| two. | at once |",
                "## Others",
                "| `meta` | object | | Notes. | nothing |",
            ],
        );
    }

    #[test]
    fn names_of_a_choice_are_told_as_such() {
        check(
            &[
                listed("env", "object", "Variables."),
                listed("env.vars", "object", "By name."),
                listed("env.vars.*", "text", ""),
                listed("env.*", "text", ""),
            ],
            &[
                "## env",
                "Variables.",
                "| `env.vars` | object of text | | By name. | at once |",
                "| `env.NAME` | text | | Variables. | at once |",
            ],
        );
    }

    #[test]
    fn a_list_in_another_form_is_an_error() {
        assert!(key(&json!({"path": "a"})).is_err_and(|it| it.to_string().contains("no `kind`")));
        let error = text(Path::new("false")).expect_err("`false` lists no keys");
        assert!(error.to_string().contains("schema --keys` failed"), "{error}");
    }
}
