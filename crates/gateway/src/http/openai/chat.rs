//! `POST /v1/chat/completions`.

use base::clock;
use hyper::StatusCode;
use providers::ToolCall;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::Asked;
use super::super::reply::{Answer, json_answer};
use super::conversation::{Conversation, Item, text};
use super::sse::{self, Dialect};
use super::talk::{Done, End, Talk, Wanted};
use super::tools::{self, ClientTools};
use super::{Problem, target};

const MISSING: &str = "Missing user message in `messages`.";

/// The body. What is not read here has no effect.
#[derive(Debug, Deserialize)]
struct Request {
    model: Option<String>,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    user: Option<String>,
    n: Option<u64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Call {
    id: String,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// Answers.
pub(crate) async fn answer(asked: Asked) -> Answer {
    attempt(&asked).await.unwrap_or_else(|problem| problem.answer())
}

/// What a body says.
pub(super) fn said(bytes: &[u8]) -> Result<(Conversation, ClientTools), Problem> {
    let request: Request = super::read(bytes)?;
    request.said()
}

impl Request {
    fn said(&self) -> Result<(Conversation, ClientTools), Problem> {
        let items = self.messages.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        let conversation = Conversation::of(items, MISSING)?;
        if self.n.is_some_and(|it| it != 1) {
            return Err(Problem::bad("`n`: an agent gives one answer"));
        }
        let tokens = [self.max_tokens, self.max_completion_tokens];
        if tokens.contains(&Some(0)) {
            return Err(Problem::bad("`max_tokens` and `max_completion_tokens` must be at least 1"));
        }
        let tools = ClientTools::of(&self.tools, &self.tool_choice)?;
        Ok((conversation, tools))
    }
}

async fn attempt(asked: &Asked) -> Result<Answer, Problem> {
    let request: Request = super::read(&asked.body)?;
    let agent = target::agent(asked, request.model.as_deref())?;
    let (conversation, tools) = request.said()?;
    let key = target::session(asked, &agent, "openai", request.user.as_deref())?;
    let id = format!("chatcmpl_{}", Uuid::new_v4());
    let wanted = Wanted {
        run_id: id.clone(),
        key,
        conversation,
        model: target::model(asked).await?,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        tools,
    };
    let talk = Talk::begin(asked, wanted).await?;
    let has_usage = request.stream_options.is_some_and(|it| it.include_usage == Some(true));
    let model = request.model.unwrap_or_else(|| "openclaw".to_owned());
    let it = Completion { id, model, created: clock::now_ms() / 1000, has_usage };
    if request.stream == Some(true) {
        return Ok(sse::answer(talk, it));
    }
    let (text, end) = talk.whole().await;
    it.whole(&text, end)
}

fn item(message: &Message) -> Result<Item, Problem> {
    let text = text(&message.content)?;
    Ok(match message.role.as_str() {
        "system" | "developer" => Item::System(text),
        "user" => Item::User(text),
        "assistant" => {
            let call = |it: &Call| {
                Ok(ToolCall {
                    id: it.id.clone(),
                    name: tools::sound_name(&it.function.name)?,
                    arguments: it.function.arguments.clone(),
                })
            };
            let calls = message.tool_calls.iter().flatten().map(call).collect::<Result<_, Problem>>()?;
            Item::Assistant(text, calls)
        }
        "tool" | "function" => {
            let id = message.tool_call_id.as_ref().or(message.name.as_ref());
            let id = id.ok_or_else(|| Problem::bad("a message of role \"tool\" needs `tool_call_id`"))?;
            Item::Result(id.clone(), text)
        }
        other => {
            let role = base::text::line(other, 40);
            return Err(Problem::bad(format!("unknown role \"{role}\" in `messages`")));
        }
    })
}

/// One answer, in the shape of the API.
struct Completion {
    id: String,
    model: String,
    created: u64,
    has_usage: bool,
}

impl Completion {
    fn whole(&self, text: &str, end: End) -> Result<Answer, Problem> {
        let (reason, calls) = match end.how? {
            Done::Answered => ("stop", Vec::new()),
            Done::Cut => ("length", Vec::new()),
            Done::Called(calls) => ("tool_calls", calls),
        };
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = calls.iter().map(call).collect();
        }
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason});
        Ok(json_answer(
            StatusCode::OK,
            &json!({
                "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
                "choices": [choice], "usage": usage(end.usage),
            }),
        ))
    }

    fn chunk(&self, choices: Value, usage: Option<Value>) -> String {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if self.has_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    }

    fn delta(&self, delta: Value, reason: Option<&str>) -> String {
        self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]), None)
    }
}

impl Dialect for Completion {
    fn begins(&mut self) -> String {
        self.delta(json!({"role": "assistant", "content": ""}), None)
    }

    fn says(&mut self, text: &str) -> String {
        self.delta(json!({"content": text}), None)
    }

    fn ends(&mut self, end: &End) -> String {
        let (calls, reason) = match &end.how {
            Ok(Done::Answered) => (&[][..], "stop"),
            Ok(Done::Cut) => (&[][..], "length"),
            Ok(Done::Called(calls)) => (&calls[..], "tool_calls"),
            Err(problem) => {
                let error = json!({"error": {"message": problem.words, "type": problem.kind}});
                return format!("data: {error}\n\n");
            }
        };
        let calls = calls.iter().enumerate().map(|(at, it)| {
            let mut call = call(it);
            call["index"] = json!(at);
            self.delta(json!({"tool_calls": [call]}), None)
        });
        let mut text: String = calls.collect();
        text += &self.delta(json!({}), Some(reason));
        if self.has_usage {
            text += &self.chunk(json!([]), Some(usage(end.usage)));
        }
        text
    }
}

fn call(it: &ToolCall) -> Value {
    json!({"id": it.id, "type": "function", "function": {"name": it.name, "arguments": it.arguments}})
}

fn usage((input, output): (u64, u64)) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}
