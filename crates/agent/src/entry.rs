//! One entry of a transcript, and the message that stands for it on disk and on the wire.

use providers::{Image, Message, ToolCall, Usage};
use serde_json::{Value, json};

/// The role of a message that the gateway wrote by itself; no model sees it.
pub const NOTICE: &str = "notice";

/// What a transcript is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// What the person said.
    User {
        /// As it came.
        text: String,
        /// What came with it.
        images: Vec<Image>,
    },
    /// What the model said, and which tools it called.
    Assistant(Answer),
    /// What a tool brought back.
    ToolResult {
        /// The call that it answers.
        call_id: String,
        /// The tool.
        name: String,
        /// For the model.
        text: String,
        /// Whether it failed.
        is_error: bool,
        /// For programs: exit code and the like.
        details: Value,
    },
    /// What the gateway has to tell the person.
    Notice {
        /// For people.
        text: String,
    },
}

/// What the model said in one round.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The words.
    pub text: String,
    /// The tools that it wants run.
    pub calls: Vec<ToolCall>,
    /// Who said it.
    pub provider: String,
    /// Who said it.
    pub model: String,
    /// What it cost.
    pub usage: Option<(u64, u64)>,
    /// `stop`, `toolUse`, `length`, `aborted`, `error`.
    pub stop_reason: String,
    /// With `error`: why, for people.
    pub error: Option<String>,
}

impl Answer {
    /// Notes what it cost.
    pub fn spent(&mut self, usage: Usage) {
        self.usage = Some((usage.input, usage.output));
    }
}

impl Entry {
    /// What the person said, and nothing with it.
    pub fn user(text: impl Into<String>) -> Self {
        Entry::User { text: text.into(), images: Vec::new() }
    }

    /// `user`, `assistant`, `toolResult` or `notice`.
    pub fn role(&self) -> &'static str {
        match self {
            Entry::User { .. } => "user",
            Entry::Assistant(_) => "assistant",
            Entry::ToolResult { .. } => "toolResult",
            Entry::Notice { .. } => NOTICE,
        }
    }

    /// The message, as the control plane's `chat.history` carries it. `at` in Unix milliseconds.
    pub fn to_message(&self, at: u64) -> Value {
        match self {
            Entry::User { text, images } => {
                let words =
                    (!text.is_empty() || images.is_empty()).then(|| json!({"type": "text", "text": text}));
                let shown =
                    images.iter().map(|it| json!({"type": "image", "mimeType": it.mime, "data": &*it.data}));
                let content: Vec<Value> = words.into_iter().chain(shown).collect();
                json!({"role": "user", "content": content, "timestamp": at})
            }
            Entry::Assistant(it) => assistant(it, at),
            Entry::ToolResult { call_id, name, text, is_error, details } => json!({
                "role": "toolResult", "toolCallId": call_id, "toolName": name, "content": parts(text),
                "isError": is_error, "details": details, "timestamp": at,
            }),
            // Clients know no such role: for them the gateway speaks as the assistant does.
            Entry::Notice { text } => json!({
                "role": "assistant", "content": parts(text), "provider": "gateway", "model": NOTICE,
                "stopReason": "error", "errorMessage": text, "timestamp": at,
            }),
        }
    }

    /// Reads a stored message; `None` for a role that no model is shown.
    pub fn read(role: &str, message: &Value) -> Option<Self> {
        let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        match role {
            "user" => Some(Entry::User { text: text_of(message), images: images_of(message) }),
            "assistant" => Some(Entry::Assistant(Answer {
                text: text_of(message),
                calls: calls_of(message),
                provider: word("provider"),
                model: word("model"),
                usage: None,
                stop_reason: word("stopReason"),
                error: message["errorMessage"].as_str().map(str::to_owned),
            })),
            "toolResult" => Some(Entry::ToolResult {
                call_id: word("toolCallId"),
                name: word("toolName"),
                text: text_of(message),
                is_error: message["isError"].as_bool().unwrap_or_default(),
                details: message["details"].clone(),
            }),
            _ => None,
        }
    }

    /// What the model is shown of it; `None` for an empty answer.
    pub(crate) fn for_model(self) -> Option<Message> {
        match self {
            Entry::User { text, images } => Some(Message::User { text, images }),
            Entry::Assistant(it) if it.text.is_empty() && it.calls.is_empty() => None,
            Entry::Assistant(it) => Some(Message::Assistant { text: it.text, calls: it.calls }),
            Entry::ToolResult { call_id, text, .. } => Some(Message::Tool { call_id, text }),
            Entry::Notice { .. } => None,
        }
    }
}

fn parts(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

fn assistant(it: &Answer, at: u64) -> Value {
    let words = (!it.text.is_empty()).then(|| json!({"type": "text", "text": it.text}));
    let calls = it.calls.iter().map(|call| {
        // What is no JSON is kept as the model wrote it.
        let arguments = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!(call.arguments));
        json!({"type": "toolCall", "id": call.id, "name": call.name, "arguments": arguments})
    });
    let content: Vec<Value> = words.into_iter().chain(calls).collect();
    let mut message = json!({
        "role": "assistant", "content": content, "api": "openai-completions", "provider": it.provider,
        "model": it.model, "stopReason": it.stop_reason, "timestamp": at,
    });
    if let Some((input, output)) = it.usage {
        message["usage"] = json!({"input": input, "output": output, "totalTokens": input + output});
    }
    if let Some(error) = &it.error {
        message["errorMessage"] = json!(error);
    }
    message
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn images_of(message: &Value) -> Vec<Image> {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let images = parts.iter().filter(|it| it["type"] == "image");
    images
        .filter_map(|it| {
            Some(Image {
                mime: it["mimeType"].as_str()?.to_owned().into(),
                data: it["data"].as_str()?.into(),
            })
        })
        .collect()
}

fn calls_of(message: &Value) -> Vec<ToolCall> {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let calls = parts.iter().filter(|it| it["type"] == "toolCall");
    calls
        .map(|it| ToolCall {
            id: it["id"].as_str().unwrap_or_default().to_owned(),
            name: it["name"].as_str().unwrap_or_default().to_owned(),
            arguments: match &it["arguments"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_message() {
        let call = ToolCall { id: "c1".into(), name: "exec".into(), arguments: r#"{"command":"ls"}"#.into() };
        let answer = Answer {
            text: "let me look".into(),
            calls: vec![call],
            provider: "p".into(),
            model: "m".into(),
            stop_reason: "toolUse".into(),
            ..Answer::default()
        };
        let result = Entry::ToolResult {
            call_id: "c1".into(),
            name: "exec".into(),
            text: "a\nb".into(),
            is_error: false,
            details: json!({"exitCode": 0}),
        };
        let image = Image { mime: "image/png".into(), data: "QUJD".into() };
        let shows = |text: &str| Entry::User { text: text.into(), images: vec![image.clone()] };
        for entry in [Entry::user("hi"), shows("see"), shows(""), Entry::Assistant(answer), result] {
            assert_eq!(Entry::read(entry.role(), &entry.to_message(1)), Some(entry));
        }
    }

    #[test]
    fn a_notice_is_for_people_and_not_for_the_model() {
        let notice = Entry::Notice { text: "interrupted".into() };
        assert_eq!(notice.to_message(1)["errorMessage"], "interrupted");
        assert_eq!(Entry::read(notice.role(), &notice.to_message(1)), None);
    }

    #[test]
    fn broken_arguments_are_kept_as_they_were() {
        let call = ToolCall { id: "c".into(), name: "read".into(), arguments: "{\"path\": ".into() };
        let entry = Entry::Assistant(Answer { calls: vec![call.clone()], ..Answer::default() });
        let Some(Entry::Assistant(read)) = Entry::read("assistant", &entry.to_message(1)) else {
            panic!("reads")
        };
        assert_eq!(read.calls, [call]);
    }
}
