//! A response in the shape of the API, whole and as events.

use base::clock;
use hyper::StatusCode;
use providers::ToolCall;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::super::reply::{Answer, json_answer};
use super::super::Problem;
use super::super::sse::Dialect;
use super::super::talk::{Done, End};
use super::Request;

/// What is told of one response.
pub(super) struct Told {
    /// The response, without an output.
    bare: Value,
    message_id: String,
    text: String,
    seq: u64,
}

impl Told {
    pub(super) fn new(id: String, request: &Request) -> Self {
        let or = |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
        let mut bare = json!({
            "id": id, "object": "response", "created_at": clock::now_ms() / 1000, "status": "in_progress",
            "error": null, "incomplete_details": null, "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "model": request.model.as_deref().unwrap_or("openclaw"), "output": [], "parallel_tool_calls": true,
            "previous_response_id": request.previous_response_id, "temperature": null, "top_p": null,
            "tool_choice": or(&request.tool_choice, json!("auto")), "tools": or(&request.tools, json!([])),
            "metadata": or(&request.metadata, json!({})),
        });
        // Absent is another thing than null for these.
        if let Some(user) = &request.user {
            bare["user"] = json!(user);
        }
        Self { bare, message_id: format!("msg_{}", Uuid::new_v4()), text: String::new(), seq: 0 }
    }

    pub(super) fn whole(mut self, text: &str, end: End) -> Result<Answer, Problem> {
        self.text = text.to_owned();
        let (status, calls) = outcome(end.how?);
        Ok(json_answer(StatusCode::OK, &self.response(status, &calls, end.usage)))
    }

    fn response(&self, status: &str, calls: &[ToolCall], usage: (u64, u64)) -> Value {
        let (input, output) = usage;
        let mut response = self.bare.clone();
        response["status"] = json!(status);
        if status == "incomplete" {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        let message = (calls.is_empty() || !self.text.is_empty()).then(|| self.message(status));
        response["output"] =
            message.into_iter().chain(calls.iter().map(|it| call(it, "completed"))).collect();
        response["usage"] = json!({
            "input_tokens": input, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + output,
        });
        response
    }

    fn message(&self, status: &str) -> Value {
        let content = if status == "in_progress" { json!([]) } else { json!([part(&self.text)]) };
        json!({
            "type": "message", "id": self.message_id, "role": "assistant", "content": content,
            "phase": "final_answer", "status": status,
        })
    }

    fn event(&mut self, kind: &str, mut body: Value) -> String {
        body["type"] = json!(kind);
        body["sequence_number"] = json!(self.seq);
        self.seq += 1;
        format!("event: {kind}\ndata: {body}\n\n")
    }

    /// About the text of the message, which is the first part of the first item.
    fn of_text(&mut self, kind: &str, key: &str, value: Value) -> String {
        let mut body = json!({"item_id": self.message_id, "output_index": 0, "content_index": 0});
        body[key] = value;
        if key != "part" {
            body["logprobs"] = json!([]);
        }
        self.event(kind, body)
    }

    fn ends_message(&mut self, status: &str) -> String {
        let (text, whole) = (json!(self.text), part(&self.text));
        let item = self.message(status);
        self.of_text("response.output_text.done", "text", text)
            + &self.of_text("response.content_part.done", "part", whole)
            + &self.event("response.output_item.done", json!({"output_index": 0, "item": item}))
    }

    fn calls(&mut self, at: usize, it: &ToolCall) -> String {
        let done = call(it, "completed");
        let mut begun = call(it, "in_progress");
        begun["arguments"] = json!("");
        let of = |key: &str| json!({"item_id": done["id"], "output_index": at, key: it.arguments});
        let mut named = of("arguments");
        named["name"] = json!(it.name);
        self.event("response.output_item.added", json!({"output_index": at, "item": begun}))
            + &self.event("response.function_call_arguments.delta", of("delta"))
            + &self.event("response.function_call_arguments.done", named)
            + &self.event("response.output_item.done", json!({"output_index": at, "item": done}))
    }
}

impl Dialect for Told {
    fn begins(&mut self) -> String {
        let bare = json!({"response": self.bare});
        self.event("response.created", bare.clone()) + &self.event("response.in_progress", bare)
    }

    fn says(&mut self, text: &str) -> String {
        let mut events = String::new();
        if self.text.is_empty() {
            let item = self.message("in_progress");
            events = self.event("response.output_item.added", json!({"output_index": 0, "item": item}))
                + &self.of_text("response.content_part.added", "part", part(""));
        }
        self.text.push_str(text);
        events + &self.of_text("response.output_text.delta", "delta", json!(text))
    }

    fn ends(&mut self, end: &End) -> String {
        let (status, calls) = match &end.how {
            Ok(Done::Called(calls)) => ("completed", &calls[..]),
            Ok(Done::Answered) => ("completed", &[][..]),
            Ok(Done::Cut) => ("incomplete", &[][..]),
            Err(problem) => {
                let mut failed = self.bare.clone();
                failed["status"] = json!("failed");
                failed["error"] = json!({"code": "server_error", "message": problem.words});
                return self.event("response.failed", json!({"response": failed}));
            }
        };
        // An empty answer is one all the same.
        let begin = if self.text.is_empty() && calls.is_empty() { self.says("") } else { String::new() };
        let is_said = !self.text.is_empty() || calls.is_empty();
        let message = if is_said { self.ends_message(status) } else { String::new() };
        let calls_told: String =
            calls.iter().enumerate().map(|(at, it)| self.calls(at + usize::from(is_said), it)).collect();
        let response = self.response(status, calls, end.usage);
        let last = format!("response.{status}");
        begin + &message + &calls_told + &self.event(&last, json!({"response": response}))
    }
}

fn outcome(done: Done) -> (&'static str, Vec<ToolCall>) {
    match done {
        Done::Answered => ("completed", Vec::new()),
        Done::Cut => ("incomplete", Vec::new()),
        Done::Called(calls) => ("completed", calls),
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn call(it: &ToolCall, status: &str) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{}", it.id), "call_id": it.id, "name": it.name,
        "arguments": it.arguments, "status": status,
    })
}
