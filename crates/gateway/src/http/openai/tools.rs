//! Tools of the caller: the model may call them, and the caller runs them.

use agent::tools::ALL;
use providers::ToolSpec;
use serde_json::{Value, json};

use super::Problem;

/// As many as one request may bring.
const MOST: usize = 128;

/// The tools of one request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ClientTools {
    /// What the model is shown.
    pub(super) specs: Vec<ToolSpec>,
    /// Whether one of them must be called.
    pub(super) must: bool,
}

impl ClientTools {
    /// `tools` and `tool_choice`, as either of the APIs writes them.
    pub(super) fn of(tools: &Value, choice: &Value) -> Result<Self, Problem> {
        let list = match tools {
            Value::Null => &[][..],
            Value::Array(list) => list,
            _ => return Err(Problem::bad("`tools` must be a list")),
        };
        if list.len() > MOST {
            return Err(Problem::bad(format!("`tools` has {} entries, more than {MOST}", list.len())));
        }
        let specs = list.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
        match choice {
            Value::Null => Ok(Self { specs, must: false }),
            Value::String(word) if word == "auto" => Ok(Self { specs, must: false }),
            Value::String(word) if word == "none" => Ok(Self::default()),
            Value::String(word) if word == "required" && !specs.is_empty() => Ok(Self { specs, must: true }),
            Value::String(word) if word == "required" => {
                Err(Problem::bad("`tool_choice` is required, and there are no `tools`"))
            }
            Value::Object(_) if choice["type"] == "function" => {
                let name =
                    choice["function"]["name"].as_str().or(choice["name"].as_str()).unwrap_or_default();
                let specs: Vec<_> = specs.into_iter().filter(|it| it.name == name).collect();
                if specs.is_empty() {
                    let name = base::text::line(name, 80);
                    return Err(Problem::bad(format!(
                        "`tool_choice` names \"{name}\", which is not in `tools`"
                    )));
                }
                Ok(Self { specs, must: true })
            }
            _ => Err(Problem::bad("`tool_choice`: use auto, none, required or one function")),
        }
    }

    /// What the model is told, where it must call one.
    pub(super) fn demand(&self) -> Option<String> {
        let names: Vec<&str> = self.specs.iter().map(|it| it.name.as_ref()).collect();
        self.must.then(|| format!("Call one of these tools before you answer: {}.", names.join(", ")))
    }
}

fn spec(tool: &Value) -> Result<ToolSpec, Problem> {
    if tool["type"] != "function" {
        return Err(Problem::bad("`tools`: only tools of type \"function\" are taken"));
    }
    // Chat completions nest it, responses do not.
    let function = if tool["function"].is_object() { &tool["function"] } else { tool };
    let name = sound_name(function["name"].as_str().unwrap_or_default())?;
    if ALL.iter().any(|it| it.spec().name == name) {
        return Err(Problem::bad(format!(
            "`tools`: the agent has a tool \"{name}\" of its own: name yours differently"
        )));
    }
    let parameters = match &function["parameters"] {
        Value::Null => json!({"type": "object", "properties": {}}),
        it @ Value::Object(_) => it.clone(),
        _ => {
            return Err(Problem::bad(format!("`tools`: the parameters of \"{name}\" must be a JSON Schema")));
        }
    };
    let description = function["description"].as_str().unwrap_or_default();
    Ok(ToolSpec { name: name.into(), description: description.to_owned().into(), parameters })
}

/// A function's name, where it is one. Whoever names a function that was called may not say more than a name either: it
/// is said again with each result.
pub(super) fn sound_name(name: &str) -> Result<String, Problem> {
    let is_sound = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_sound) {
        return Err(Problem::bad("a function's name has 1 to 64 letters, digits, \"_\" and \"-\""));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tools: Value, choice: Value, expected: Result<(&[&str], bool), &str>) {
        let found = ClientTools::of(&tools, &choice);
        let found = found.as_ref().map_err(|it| it.words.as_str());
        match (found, expected) {
            (Ok(it), Ok((names, must))) => {
                assert_eq!(it.specs.iter().map(|it| it.name.as_ref()).collect::<Vec<&str>>(), names);
                assert_eq!(it.must, must);
            }
            (Err(words), Err(part)) => assert!(words.contains(part), "{words}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn functions_are_taken_in_both_writings_and_chosen_among() {
        let two =
            || json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "name": "b"}]);
        check(Value::Null, Value::Null, Ok((&[], false)));
        check(two(), json!("auto"), Ok((&["a", "b"], false)));
        check(two(), json!("none"), Ok((&[], false)));
        check(two(), json!("required"), Ok((&["a", "b"], true)));
        check(two(), json!({"type": "function", "function": {"name": "b"}}), Ok((&["b"], true)));
        check(two(), json!({"type": "function", "name": "c"}), Err("not in `tools`"));
        check(two(), json!({"type": "allowed_tools"}), Err("`tool_choice`"));
        check(json!([]), json!("required"), Err("there are no `tools`"));
        check(json!("x"), Value::Null, Err("must be a list"));
        check(json!([{"type": "web_search"}]), Value::Null, Err("of type \"function\""));
        check(json!([{"type": "function", "function": {}}]), Value::Null, Err("1 to 64"));
        check(json!([{"type": "function", "name": "exec"}]), Value::Null, Err("of its own"));
        check(json!([{"type": "function", "name": "a", "parameters": 5}]), Value::Null, Err("JSON Schema"));
    }
}
