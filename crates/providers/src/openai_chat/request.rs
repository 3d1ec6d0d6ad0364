//! A question, as the dialect writes it.

use serde_json::{Map, Value, json};

use super::quirks::Quirks;
use crate::{Image, Message, ModelRequest, ToolCall, ToolSpec};

/// The tokens that an answer has beside what is thought, where nothing else bounds it.
const ANSWER: u32 = 8192;
/// Fewer tokens to think with are refused by who counts them.
const LEAST_BUDGET: u32 = 1024;

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
    match (request.effort, quirks.thinks_by_tokens) {
        (None, _) => {}
        (Some(effort), false) => body["reasoning_effort"] = effort.word().into(),
        // What is thought counts as answer: the bound must leave room for both.
        (Some(effort), true) => {
            let most = request.max_tokens.unwrap_or(effort.tokens() + ANSWER);
            let budget = effort.tokens().min(most / 2);
            if budget >= LEAST_BUDGET {
                body[quirks.max_tokens] = most.into();
                body["thinking"] = json!({"type": "enabled", "budget_tokens": budget});
            }
        }
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::User { text, images } if images.is_empty() => json!({"role": "user", "content": text}),
        Message::User { text, images } => {
            let words = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
            let parts: Vec<Value> = words.into_iter().chain(images.iter().map(picture)).collect();
            json!({"role": "user", "content": parts})
        }
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

fn picture(image: &Image) -> Value {
    let url = format!("data:{};base64,{}", image.mime, image.data);
    json!({"type": "image_url", "image_url": {"url": url}})
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
    use crate::Effort;

    fn request(messages: Vec<Message>) -> ModelRequest {
        let (model, system) = ("m".to_owned(), String::new());
        ModelRequest { model, system, messages, tools: Vec::new(), max_tokens: None, effort: None }
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
    fn how_much_is_thought_is_said_in_the_vendors_words() {
        let of = |level: &str, most: Option<u32>, quirks: Quirks| {
            let mut request = request(Vec::new());
            (request.effort, request.max_tokens) = (Effort::of_level(level), most);
            let body = body(&request, quirks);
            json!([body["reasoning_effort"], body["thinking"]["budget_tokens"], body["max_tokens"]])
        };
        let by_word = Quirks::default();
        let by_tokens = Quirks { thinks_by_tokens: true, ..by_word };
        assert_eq!(of("high", None, by_word), json!(["high", null, null]));
        assert_eq!(of("max", None, by_word), json!(["xhigh", null, null]));
        for unsaid in ["off", "adaptive", "loud"] {
            assert_eq!(of(unsaid, None, by_word), json!([null, null, null]), "{unsaid}");
            assert_eq!(of(unsaid, None, by_tokens), json!([null, null, null]), "{unsaid}");
        }
        assert_eq!(of("low", None, by_tokens), json!([null, 2048, 10_240]));
        assert_eq!(of("high", Some(4000), by_tokens), json!([null, 2000, 4000]));
        assert_eq!(of("high", Some(1000), by_tokens), json!([null, null, 1000]), "no room to think");
    }

    #[test]
    fn pictures_are_parts_of_their_message() {
        let image = || Image { mime: "image/png".into(), data: "QUJD".into() };
        let part = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
        check(
            Message::User { text: "see".into(), images: vec![image()] },
            json!({"role": "user", "content": [{"type": "text", "text": "see"}, part]}),
        );
        check(
            Message::User { text: String::new(), images: vec![image()] },
            json!({"role": "user", "content": [part]}),
        );
    }

    #[test]
    fn every_kind_of_message_has_its_shape() {
        check(
            Message::User { text: "hi".into(), images: Vec::new() },
            json!({"role": "user", "content": "hi"}),
        );
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
