//! A script as it is played to one client: events as they come, or one document at the end.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::answer::{After, Played, whole};
use super::http;
use super::script::{Failure, Script, Step, pieces};
use super::state::{Line, Shared};

/// In how many fragments the arguments of a call are streamed.
const FRAGMENTS: usize = 3;
/// A length that no answer reaches: what is sent after it is never the end.
const NEVER: &str = "content-type: application/json\r\ncontent-length: 1000000\r\n\r\n";

/// Plays one script to one client.
pub(super) struct Player<'a> {
    shared: &'a Shared,
    line: &'a Line,
    script: &'a Script,
    body: &'a Value,
    /// Events as they come, or one document at the end.
    streams: bool,
    created: u64,
    n_pieces: usize,
    text: String,
    calls: Vec<Value>,
    is_garbage: bool,
}

impl<'a> Player<'a> {
    pub(super) fn new(shared: &'a Shared, line: &'a Line, body: &'a Value, script: &'a Script) -> Player<'a> {
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Player {
            shared,
            line,
            script,
            body,
            streams: body["stream"] == true,
            created: created.map_or(0, |it| it.as_secs()),
            n_pieces: 0,
            text: String::new(),
            calls: Vec::new(),
            is_garbage: false,
        }
    }

    /// Plays it to its end, or to where it breaks off.
    pub(super) fn play(mut self) -> Played {
        if matches!(self.script.steps.first(), Some(Step::Reset)) {
            return self.give_up(After::Reset);
        }
        if let Some(failure) = &self.script.failure {
            return self.fail(failure);
        }
        if self.streams {
            http::begin_stream(&self.line.stream).map_err(|_| After::Close)?;
            self.delta(&json!({"role": "assistant", "content": "", "refusal": null}), None)?;
        }
        for step in &self.script.steps {
            self.step(step)?;
        }
        if self.script.cut_after.is_some() {
            return self.cut();
        }
        self.end()
    }

    fn step(&mut self, step: &Step) -> Played {
        match step {
            Step::Text { text, pieces: n } => {
                for piece in pieces(text, *n) {
                    self.piece(&json!({"content": piece}))?;
                    self.text.push_str(&piece);
                }
                Ok(())
            }
            Step::Call { name, arguments } => self.call(name, arguments),
            Step::Wait(gate) if self.shared.pass(gate, self.line) => Ok(()),
            Step::Wait(_) => Err(After::Close),
            Step::Garbage if self.streams => {
                http::event(&self.line.stream, "{\"choices\": [oops").map_err(|_| After::Close)
            }
            Step::Garbage => {
                self.is_garbage = true;
                Ok(())
            }
            Step::Hang => {
                if !self.streams {
                    http::send(&self.line.stream, &http::head(200, NEVER)).map_err(|_| After::Close)?;
                }
                self.shared.hang(self.line);
                Err(After::Close)
            }
            Step::Reset => self.give_up(After::Reset),
        }
    }

    fn call(&mut self, name: &str, arguments: &str) -> Played {
        let number = self.shared.change(|state| {
            state.n_calls += 1;
            state.n_calls
        });
        let (index, id) = (self.calls.len(), format!("call_{number:08}"));
        let function = json!({"name": name, "arguments": ""});
        self.piece(
            &json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
        )?;
        for fragment in pieces(arguments, FRAGMENTS) {
            self.piece(&json!({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}))?;
        }
        let function = json!({"name": name, "arguments": arguments});
        self.calls.push(json!({"id": id, "type": "function", "function": function}));
        Ok(())
    }

    fn piece(&mut self, delta: &Value) -> Played {
        if self.script.cut_after == Some(self.n_pieces) {
            return self.cut();
        }
        if self.n_pieces > 0 && !self.script.pace.is_zero() && !self.shared.pause(self.script.pace, self.line)
        {
            return Err(After::Close);
        }
        self.n_pieces += 1;
        if self.streams { self.delta(delta, None) } else { Ok(()) }
    }

    fn delta(&self, delta: &Value, finish: Option<&str>) -> Played {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        self.chunk(&json!([choice]), &Value::Null)
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> Played {
        let mut chunk = self.head("chat.completion.chunk");
        chunk["choices"] = choices.clone();
        if self.wants_usage() {
            chunk["usage"] = usage.clone();
        }
        http::event(&self.line.stream, &chunk.to_string()).map_err(|_| After::Close)
    }

    fn head(&self, object: &str) -> Value {
        json!({
            "id": "chatcmpl-scripted",
            "object": object,
            "created": self.created,
            "model": self.body["model"],
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        })
    }

    fn wants_usage(&self) -> bool {
        self.body["stream_options"]["include_usage"] == true
    }

    /// A rough count, four bytes a token, that is the same for the same request and answer.
    fn usage(&self) -> Value {
        let calls: usize = self.calls.iter().map(|it| it["function"].to_string().len()).sum();
        let prompt = self.body["messages"].to_string().len() / 4 + 1;
        let completion = (self.text.len() + calls) / 4 + 1;
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        })
    }

    fn end(self) -> Played {
        let plain = if self.calls.is_empty() { "stop" } else { "tool_calls" };
        let finish = self.script.finish.as_deref().unwrap_or(plain);
        if self.streams {
            self.delta(&json!({}), Some(finish))?;
            if self.wants_usage() {
                self.chunk(&json!([]), &self.usage())?;
            }
            http::event(&self.line.stream, "[DONE]").map_err(|_| After::Close)?;
            self.line.finish();
            return http::end_stream(&self.line.stream).map_err(|_| After::Close);
        }
        if self.is_garbage {
            self.line.finish();
            return http::respond(&self.line.stream, 200, "", "{\"choices\": [oops")
                .map_err(|_| After::Close);
        }
        let content =
            if self.text.is_empty() && !self.calls.is_empty() { json!(null) } else { json!(self.text) };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls);
        }
        let mut document = self.head("chat.completion");
        document["choices"] =
            json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}]);
        document["usage"] = self.usage();
        whole(self.line, 200, "", &document)
    }

    fn fail(&self, failure: &Failure) -> Played {
        for step in &self.script.steps {
            if let Step::Wait(gate) = step
                && !self.shared.pass(gate, self.line)
            {
                return Err(After::Close);
            }
        }
        let (kind, code, message) = match failure.status {
            401 => {
                ("invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided: sk-scripted.")
            }
            429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests."),
            400..=499 => ("invalid_request_error", None, "The request is refused by the script."),
            _ => ("server_error", None, "The server had an error while processing your request."),
        };
        let code = failure.code.as_deref().or(code);
        let message = failure.message.as_deref().unwrap_or(message);
        let headers = failure.retry_after.as_ref().map(|it| format!("retry-after: {it}\r\n"));
        let error = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        whole(self.line, failure.status, &headers.unwrap_or_default(), &error)
    }

    fn cut(&self) -> Played {
        if !self.streams {
            let head = http::head(200, NEVER);
            http::send(&self.line.stream, &format!("{head}{{\"id\":")).map_err(|_| After::Close)?;
        }
        self.give_up(After::Close)
    }

    fn give_up(&self, after: After) -> Played {
        self.line.finish();
        Err(after)
    }
}
