//! What OpenAI's chat completions refuse, in its words and shape. A client that passes here passes there.

mod conversation;

use serde_json::{Map, Value, json};

/// All parameters of a request that are known.
const PARAMETERS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const MOST_TOOLS: usize = 128;

/// A request that is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

type Checked = Result<(), Refused>;

/// Checks the body of a request. `models` are the ids that exist.
pub(super) fn check(body: &Value, models: &[String]) -> Checked {
    let Some(fields) = body.as_object() else {
        return refuse("", None, "We could not parse the JSON body of your request: an object is expected.");
    };
    only(fields, PARAMETERS, "")?;
    match fields.get("model") {
        None => return refuse("", None, "you must provide a model parameter"),
        Some(Value::String(name)) if models.contains(name) => {}
        Some(Value::String(name)) => {
            let message = format!("The model `{name}` does not exist or you do not have access to it.");
            return Err(Refused { status: 404, message, param: None, code: Some("model_not_found") });
        }
        Some(other) => return wrong_type("model", "a string", other),
    }
    scalars(fields)?;
    tools(fields)?;
    conversation::messages(fields)
}

impl Refused {
    /// OpenAI's error document.
    pub(super) fn document(&self) -> Value {
        let kind = if self.status >= 500 { "server_error" } else { "invalid_request_error" };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

fn refuse(param: &str, code: Option<&'static str>, message: impl Into<String>) -> Checked {
    let param = Some(param.to_owned()).filter(|it| !it.is_empty());
    Err(Refused { status: 400, message: message.into(), param, code })
}

fn wrong_type(param: &str, wanted: &str, found: &Value) -> Checked {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{param}': expected {wanted}, but got {found} instead.");
    refuse(param, Some("invalid_type"), message)
}

fn missing(param: &str) -> Checked {
    refuse(param, Some("missing_required_parameter"), format!("Missing required parameter: '{param}'."))
}

fn only(fields: &Map<String, Value>, known: &[&str], place: &str) -> Checked {
    match fields.keys().find(|it| !known.contains(&it.as_str())) {
        None => Ok(()),
        Some(name) => {
            let param = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            refuse(&param, Some("unknown_parameter"), format!("Unknown parameter: '{param}'."))
        }
    }
}

/// The text under `name`, which must be there.
fn text<'a>(fields: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a str, Refused> {
    let param = format!("{place}.{name}");
    let wrong = match fields.get(name) {
        Some(Value::String(text)) => return Ok(text),
        None => missing(&param),
        Some(other) => wrong_type(&param, "a string", other),
    };
    Err(wrong.expect_err("both refuse"))
}

fn scalars(fields: &Map<String, Value>) -> Checked {
    for name in ["stream", "store", "logprobs", "parallel_tool_calls"] {
        match fields.get(name) {
            None | Some(Value::Bool(_)) => {}
            Some(Value::Null) if name != "parallel_tool_calls" => {}
            Some(other) => return wrong_type(name, "a boolean", other),
        }
    }
    for (name, least, most) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
    ] {
        match fields.get(name).filter(|it| !it.is_null()).map(|it| (it, it.as_f64())) {
            None => {}
            Some((_, Some(value))) if (least..=most).contains(&value) => {}
            Some((_, Some(value))) => {
                let bound = if value < least { ("min", ">=", least) } else { ("max", "<=", most) };
                let message = format!(
                    "Invalid '{name}': decimal {} value. Expected a value {} {}, but got {value} instead.",
                    if bound.0 == "min" { "below minimum" } else { "above maximum" },
                    bound.1,
                    bound.2
                );
                let code =
                    if bound.0 == "min" { "decimal_below_min_value" } else { "decimal_above_max_value" };
                return refuse(name, Some(code), message);
            }
            Some((other, None)) => return wrong_type(name, "a decimal", other),
        }
    }
    for name in ["max_tokens", "max_completion_tokens", "n"] {
        match fields.get(name).filter(|it| !it.is_null()) {
            None => {}
            Some(value) if value.as_u64().is_some_and(|it| it > 0) => {}
            Some(value) if value.is_number() => {
                let message = format!(
                    "Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
                );
                return refuse(name, Some("integer_below_min_value"), message);
            }
            Some(other) => return wrong_type(name, "an integer", other),
        }
    }
    stream_options(fields)
}

fn stream_options(fields: &Map<String, Value>) -> Checked {
    let Some(options) = fields.get("stream_options").filter(|it| !it.is_null()) else { return Ok(()) };
    if fields.get("stream") != Some(&Value::Bool(true)) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return refuse("stream_options", None, message);
    }
    match options {
        Value::Object(options) => only(options, &["include_usage", "include_obfuscation"], "stream_options"),
        other => wrong_type("stream_options", "an object", other),
    }
}

fn tools(fields: &Map<String, Value>) -> Checked {
    let tools = match fields.get("tools") {
        None | Some(Value::Null) => {
            return match ["tool_choice", "parallel_tool_calls"].iter().find(|it| fields.contains_key(**it)) {
                None => Ok(()),
                Some(name) => {
                    refuse(name, None, format!("'{name}' is only allowed when 'tools' are specified."))
                }
            };
        }
        Some(Value::Array(tools)) => tools,
        Some(other) => return wrong_type("tools", "an array of objects", other),
    };
    if tools.is_empty() {
        return empty_array("tools");
    }
    if tools.len() > MOST_TOOLS {
        let message = format!(
            "Invalid 'tools': array too long. Expected an array with maximum length {MOST_TOOLS}, but got an array \
             with length {} instead.",
            tools.len()
        );
        return refuse("tools", Some("array_above_max_length"), message);
    }
    for (at, tool) in tools.iter().enumerate() {
        self::tool(tool, &format!("tools[{at}]"))?;
    }
    match fields.get("tool_choice") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(Value::String(it)) if matches!(it.as_str(), "none" | "auto" | "required") => Ok(()),
        Some(other) => {
            let message =
                format!("Invalid value: {other}. Supported values are: 'none', 'auto', and 'required'.");
            refuse("tool_choice", Some("invalid_value"), message)
        }
    }
}

fn tool(tool: &Value, place: &str) -> Checked {
    let Some(tool) = tool.as_object() else { return wrong_type(place, "an object", tool) };
    only(tool, &["type", "function"], place)?;
    match text(tool, "type", place)? {
        "function" => {}
        other => {
            let message = format!("Invalid value: '{other}'. Supported values are: 'function' and 'custom'.");
            return refuse(&format!("{place}.type"), Some("invalid_value"), message);
        }
    }
    let place = format!("{place}.function");
    let Some(function) = tool.get("function").and_then(Value::as_object) else { return missing(&place) };
    only(function, &["name", "description", "parameters", "strict"], &place)?;
    name(text(function, "name", &place)?, &format!("{place}.name"))?;
    if let Some(description) = function.get("description").filter(|it| !it.is_string()) {
        return wrong_type(&format!("{place}.description"), "a string", description);
    }
    match function.get("parameters") {
        None => Ok(()),
        Some(Value::Object(schema)) if schema.get("type") == Some(&json!("object")) => {
            if schema.get("properties").is_none_or(Value::is_object) {
                return Ok(());
            }
            schema_refused(function, &place, "'properties' is not an object.")
        }
        Some(Value::Object(schema)) => {
            let found = schema.get("type").map_or("None".to_owned(), Value::to_string);
            schema_refused(
                function,
                &place,
                &format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: {found}'."),
            )
        }
        Some(other) => wrong_type(&format!("{place}.parameters"), "an object", other),
    }
}

fn schema_refused(function: &Map<String, Value>, place: &str, why: &str) -> Checked {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let message = format!("Invalid schema for function '{name}': {why}");
    refuse(&format!("{place}.parameters"), Some("invalid_function_parameters"), message)
}

fn name(name: &str, param: &str) -> Checked {
    let fits = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if name.is_empty() {
        let message = format!(
            "Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead."
        );
        return refuse(param, Some("empty_string"), message);
    }
    if name.len() > 64 {
        let message = format!(
            "Invalid '{param}': string too long. Expected a string with maximum length 64, but got a string with \
             length {} instead.",
            name.len()
        );
        return refuse(param, Some("string_above_max_length"), message);
    }
    if !name.chars().all(fits) {
        let message = format!(
            "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        );
        return refuse(param, Some("invalid_value"), message);
    }
    Ok(())
}

fn empty_array(param: &str) -> Checked {
    let message = format!(
        "Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    );
    refuse(param, Some("empty_array"), message)
}
