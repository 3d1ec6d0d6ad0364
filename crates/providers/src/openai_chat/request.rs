//! A question, as the dialect writes it.

use serde_json::{Map, Value, json};

use super::quirks::Quirks;
use crate::{Message, ModelRequest, ToolCall, ToolSpec};

/// The JSON body of a chat completion.
pub(super) fn body(request: &ModelRequest, quirks: Quirks) -> Value {
    let system = (!request.system.is_empty()).then(|| json!({"role": "system", "content": request.system}));
    let messages: Vec<Value> = system.into_iter().chain(request.messages.iter().map(message)).collect();
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "stream": true,
    });
    if quirks.asks_for_usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    // Some servers refuse an empty list of tools.
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(tokens) = request.max_tokens {
        body[quirks.max_tokens] = tokens.into();
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::User { text } => json!({"role": "user", "content": text}),
        Message::Tool { call_id, text } => json!({"role": "tool", "tool_call_id": call_id, "content": text}),
        Message::Assistant { text, calls } if calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Message::Assistant { text, calls } => {
            let content = if text.is_empty() { Value::Null } else { text.as_str().into() };
            let calls: Vec<Value> = calls.iter().map(call).collect();
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": arguments(&call.arguments)});
    json!({"id": call.id, "type": "function", "function": function})
}

/// Arguments that every server can read. Many refuse the whole conversation, for ever, when an old call in it
/// has arguments that are no JSON object.
fn arguments(text: &str) -> String {
    if text.trim().is_empty() {
        return "{}".to_owned();
    }
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(_) => text.to_owned(),
        Err(_) => json!({"unreadable": text}).to_string(),
    }
}

fn tool(tool: &ToolSpec) -> Value {
    let function = json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    json!({"type": "function", "function": function})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(messages: Vec<Message>) -> ModelRequest {
        let (model, system) = ("m".to_owned(), String::new());
        ModelRequest { model, system, messages, tools: Vec::new(), max_tokens: None }
    }

    fn plain(request: &ModelRequest) -> Value {
        body(request, Quirks::default())
    }

    fn check(message: Message, expected: Value) {
        assert_eq!(plain(&request(vec![message]))["messages"], json!([expected]));
    }

    #[test]
    fn leaves_out_what_is_not_asked_for() {
        let expected = json!({
            "model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true},
        });
        assert_eq!(plain(&request(Vec::new())), expected);
    }

    #[test]
    fn says_everything_that_is_asked_for() {
        let mut request = request(Vec::new());
        request.system = "be kind".to_owned();
        request.max_tokens = Some(9);
        request.tools = vec![ToolSpec {
            name: "read".into(),
            description: "d".into(),
            parameters: json!({"type": "object"}),
        }];
        let body = plain(&request);
        assert_eq!(body["messages"][0], json!({"role": "system", "content": "be kind"}));
        assert_eq!(body["max_tokens"], 9);
        assert_eq!(
            body["tools"],
            json!([{
                "type": "function",
                "function": {"name": "read", "description": "d", "parameters": {"type": "object"}},
            }])
        );
    }

    #[test]
    fn quirks_change_the_fields() {
        let mut request = request(Vec::new());
        request.max_tokens = Some(9);
        let quirks = Quirks { asks_for_usage: false, max_tokens: "other", ..Quirks::default() };
        let expected = json!({"model": "m", "messages": [], "stream": true, "other": 9});
        assert_eq!(body(&request, quirks), expected);
    }

    #[test]
    fn every_kind_of_message_has_its_shape() {
        check(Message::User { text: "hi".into() }, json!({"role": "user", "content": "hi"}));
        check(
            Message::Tool { call_id: "c1".into(), text: "ok".into() },
            json!({"role": "tool", "tool_call_id": "c1", "content": "ok"}),
        );
        check(
            Message::Assistant { text: String::new(), calls: Vec::new() },
            json!({"role": "assistant", "content": ""}),
        );
        for (written, sent) in [
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
            ("", "{}"),
            (r#"{"a": "#, r#"{"unreadable":"{\"a\": "}"#),
            ("[1]", r#"{"unreadable":"[1]"}"#),
        ] {
            let call = ToolCall { id: "c1".into(), name: "read".into(), arguments: written.into() };
            let function = json!({"name": "read", "arguments": sent});
            check(
                Message::Assistant { text: String::new(), calls: vec![call] },
                json!({
                    "role": "assistant",
                    "content": null,
                    "tool_calls": [{"id": "c1", "type": "function", "function": function}],
                }),
            );
        }
    }
}
