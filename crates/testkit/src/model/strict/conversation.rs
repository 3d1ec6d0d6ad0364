//! The messages of a request: roles, content, and the order of calls and answers.

use serde_json::{Map, Value};

use super::{Checked, Refused, empty_array, missing, name, only, refuse, text, wrong_type};

const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];

/// Checks the messages one by one, and that calls and their answers match.
pub(super) fn messages(fields: &Map<String, Value>) -> Checked {
    let messages = match fields.get("messages") {
        None => return missing("messages"),
        Some(Value::Array(messages)) if messages.is_empty() => return empty_array("messages"),
        Some(Value::Array(messages)) => messages,
        Some(other) => return wrong_type("messages", "an array of objects", other),
    };
    // The calls of the last assistant message that no tool message answered yet.
    let mut open: Vec<&str> = Vec::new();
    let mut called: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let place = format!("messages[{at}]");
        let Some(message) = message.as_object() else { return wrong_type(&place, "an object", message) };
        let role = text(message, "role", &place)?;
        if role == "tool" {
            let id = text(message, "tool_call_id", &place)?;
            if !called.contains(&id) {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding \
                               message with 'tool_calls'.";
                return refuse(&format!("messages.[{at}].role"), None, message);
            }
            open.retain(|it| *it != id);
        } else {
            answered(&open, at)?;
            called = one(message, role, &place)?;
            open = called.clone();
            continue;
        }
        one(message, role, &place)?;
    }
    answered(&open, messages.len())
}

fn answered(open: &[&str], at: usize) -> Checked {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    refuse(&format!("messages.[{at}].role"), None, message)
}

/// Checks one message by its role, and returns the ids of its calls.
fn one<'a>(message: &'a Map<String, Value>, role: &str, place: &str) -> Result<Vec<&'a str>, Refused> {
    let keys: &[&str] = match role {
        "assistant" => &["role", "content", "name", "refusal", "audio", "tool_calls", "function_call"],
        "tool" => &["role", "content", "tool_call_id"],
        _ => &["role", "content", "name"],
    };
    if !ROLES.contains(&role) {
        let message = format!(
            "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
             'developer'."
        );
        refuse(&format!("{place}.role"), Some("invalid_value"), message)?;
    }
    only(message, keys, place)?;
    let calls = match message.get("tool_calls") {
        None => Vec::new(),
        Some(Value::Array(calls)) if calls.is_empty() => {
            return empty_array(&format!("{place}.tool_calls")).map(|()| Vec::new());
        }
        Some(Value::Array(calls)) => calls
            .iter()
            .enumerate()
            .map(|(at, it)| call(it, &format!("{place}.tool_calls[{at}]")))
            .collect::<Result<_, _>>()?,
        Some(other) => {
            return wrong_type(&format!("{place}.tool_calls"), "an array of objects", other)
                .map(|()| Vec::new());
        }
    };
    content(message.get("content"), role, !calls.is_empty(), &format!("{place}.content"))?;
    Ok(calls)
}

fn call<'a>(call: &'a Value, place: &str) -> Result<&'a str, Refused> {
    let Some(call) = call.as_object() else {
        return wrong_type(place, "an object", call).map(|()| "");
    };
    only(call, &["id", "type", "function"], place)?;
    let id = text(call, "id", place)?;
    let kind = text(call, "type", place)?;
    if kind != "function" {
        let message = format!("Invalid value: '{kind}'. Supported values are: 'function' and 'custom'.");
        refuse(&format!("{place}.type"), Some("invalid_value"), message)?;
    }
    let place = format!("{place}.function");
    let Some(function) = call.get("function").and_then(Value::as_object) else {
        return missing(&place).map(|()| "");
    };
    only(function, &["name", "arguments"], &place)?;
    name(text(function, "name", &place)?, &format!("{place}.name"))?;
    text(function, "arguments", &place)?;
    Ok(id)
}

fn content(content: Option<&Value>, role: &str, has_calls: bool, param: &str) -> Checked {
    match content {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) if role == "assistant" && has_calls => Ok(()),
        None => missing(param),
        Some(Value::Null) => {
            let message = "Invalid value for 'content': expected a string, got null.";
            refuse(param, None, message)
        }
        Some(Value::Array(parts)) if parts.is_empty() => empty_array(param),
        Some(Value::Array(parts)) => {
            parts.iter().enumerate().try_for_each(|(at, it)| part(it, role, &format!("{param}[{at}]")))
        }
        Some(other) => wrong_type(param, "one of a string or array of objects", other),
    }
}

fn part(part: &Value, role: &str, place: &str) -> Checked {
    let Some(part) = part.as_object() else { return wrong_type(place, "an object", part) };
    let kind = text(part, "type", place)?;
    let supported: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    if !supported.contains(&kind) {
        let message = format!("Invalid value: '{kind}'. Supported values are: '{}'.", supported.join("', '"));
        return refuse(&format!("{place}.type"), Some("invalid_value"), message);
    }
    only(part, &["type", kind], place)?;
    match kind {
        "text" | "refusal" => text(part, kind, place).map(|_| ()),
        _ if part.get(kind).is_some_and(Value::is_object) => Ok(()),
        _ => missing(&format!("{place}.{kind}")),
    }
}
