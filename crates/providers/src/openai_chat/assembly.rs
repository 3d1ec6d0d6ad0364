//! Chunks in, deltas out: puts split calls together and tells whether the answer was whole. No IO.

use std::collections::VecDeque;

use serde_json::Value;

use crate::{Delta, StopReason, ToolCall, Usage};

/// How many calls one answer may make.
const MOST_CALLS: usize = 128;
/// How many bytes of arguments the calls of one answer may have together.
const MOST_ARGUMENTS: usize = 4 << 20;

/// The calls of one answer are more, or larger, than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyCalls;

/// An answer so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    calls: Vec<Partial>,
    arguments: usize,
    spoke: bool,
    stop: Option<StopReason>,
    usage: Option<Usage>,
}

/// A call so far.
#[derive(Debug, Default)]
struct Partial {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Takes a chunk, or a whole completion, and appends what can be delivered at once to `ready`.
    pub(super) fn take(&mut self, chunk: &Value, ready: &mut VecDeque<Delta>) -> Result<(), TooManyCalls> {
        if let Some(usage) = chunk.get("usage").and_then(usage) {
            // Some servers count up with every chunk: the last one is right.
            self.usage = Some(usage);
        }
        let Some(choice) = chunk.pointer("/choices/0") else { return Ok(()) };
        // A whole completion has `message`. Some streams repeat everything in one at the end.
        let said = match choice.get("delta").filter(|it| it.is_object()) {
            Some(delta) => Some(delta),
            None => choice.get("message").filter(|_| !self.spoke && self.calls.is_empty()),
        };
        if let Some(said) = said {
            self.listen(said, ready)?;
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str).filter(|it| !it.is_empty())
        {
            self.stop = Some(stop_reason(reason));
        }
        Ok(())
    }

    /// Whether the model has said that it is done; usage may still follow.
    pub(super) fn is_finished(&self) -> bool {
        self.stop.is_some()
    }

    /// Ends the answer. `done`: the stream said so itself. False when the answer was cut.
    pub(super) fn end(&mut self, done: bool, ready: &mut VecDeque<Delta>) -> bool {
        let stop = match self.stop.take() {
            Some(stop) => stop,
            None if done => StopReason::Stop,
            None => return false,
        };
        // What was cut by the length or by a filter must not run with half of its arguments.
        let is_cut = matches!(stop, StopReason::Length | StopReason::ContentFilter);
        let mut calls: Vec<_> =
            self.calls.drain(..).enumerate().filter_map(|(n, it)| it.whole(n + 1)).collect();
        if is_cut {
            calls.retain(|it| serde_json::from_str::<Value>(&it.arguments).is_ok());
        }
        let stop = if stop == StopReason::Stop && !calls.is_empty() { StopReason::ToolUse } else { stop };
        ready.extend(calls.into_iter().map(Delta::Call));
        ready.extend(self.usage.take().map(Delta::Usage));
        ready.push_back(Delta::Stop(stop));
        true
    }

    fn listen(&mut self, said: &Value, ready: &mut VecDeque<Delta>) -> Result<(), TooManyCalls> {
        for name in ["content", "refusal"] {
            let text = said.get(name).map(text_of).unwrap_or_default();
            if !text.is_empty() {
                self.spoke = true;
                ready.push_back(Delta::Text(text));
            }
        }
        let calls = said.get("tool_calls").and_then(Value::as_array);
        calls.into_iter().flatten().try_for_each(|it| self.hear_call(it))
    }

    fn hear_call(&mut self, piece: &Value) -> Result<(), TooManyCalls> {
        let word = |pointer: &str| piece.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (id, name) = (word("/id"), word("/function/name"));
        let index = piece.get("index").and_then(Value::as_u64);
        let arguments = match piece.pointer("/function/arguments") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        self.arguments += arguments.len() + name.len() + id.len();
        let at = match self.place(index, id, name) {
            Some(at) => at,
            None => {
                self.calls.push(Partial { index, ..Partial::default() });
                self.calls.len() - 1
            }
        };
        if self.calls.len() > MOST_CALLS || self.arguments > MOST_ARGUMENTS {
            return Err(TooManyCalls);
        }
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        call.arguments.push_str(&arguments);
        Ok(())
    }

    /// The call that a piece continues; `None` when it begins one.
    fn place(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let found = match index {
            Some(_) => self.calls.iter().rposition(|it| it.index == index),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => return self.calls.iter().rposition(|it| it.id == id),
        }?;
        let call = &self.calls[found];
        // Some servers give every call the index 0, or none: another id, or a name again, is another call.
        let is_other = if !id.is_empty() && !call.id.is_empty() {
            call.id != id
        } else {
            index.is_none() && !name.is_empty() && !call.name.is_empty()
        };
        (!is_other).then_some(found)
    }
}

impl Partial {
    /// The call, with an id made of its place `n` if it has none. `None` when there is nothing in it.
    fn whole(self, n: usize) -> Option<ToolCall> {
        if self.name.is_empty() && self.arguments.is_empty() {
            return None;
        }
        let id = if self.id.is_empty() { format!("call_{n}") } else { self.id };
        let arguments = if self.arguments.is_empty() { "{}".to_owned() } else { self.arguments };
        Some(ToolCall { id, name: self.name, arguments })
    }
}

/// A string, or the text parts of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|it| it.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let count = |names: [&str; 2]| names.iter().find_map(|it| value.get(it)?.as_u64());
    let (input, output) =
        (count(["prompt_tokens", "input_tokens"]), count(["completion_tokens", "output_tokens"]));
    (input.is_some() || output.is_some())
        .then(|| Usage { input: input.unwrap_or_default(), output: output.unwrap_or_default() })
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "stop" | "end_turn" | "eos" | "stop_sequence" => StopReason::Stop,
        "length" | "max_tokens" => StopReason::Length,
        "tool_calls" | "tool_use" | "function_call" => StopReason::ToolUse,
        "content_filter" => StopReason::ContentFilter,
        other => StopReason::Other(base::text::line(other, 64)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"delta": delta}]})
    }

    fn calls(pieces: Value) -> Value {
        delta(json!({"tool_calls": pieces}))
    }

    fn finish(reason: &str) -> Value {
        json!({"choices": [{"delta": {}, "finish_reason": reason}]})
    }

    /// Ends with what the chunks say, and gives texts, calls as `id name arguments`, and the stop.
    fn check(chunks: &[Value], expected: &[&str]) {
        let (mut assembly, mut ready) = (Assembly::default(), VecDeque::new());
        for chunk in chunks {
            assembly.take(chunk, &mut ready).expect("few calls");
        }
        let whole = assembly.end(false, &mut ready);
        let mut found: Vec<_> = ready
            .iter()
            .map(|it| match it {
                Delta::Text(text) => text.clone(),
                Delta::Call(it) => format!("{} {} {}", it.id, it.name, it.arguments),
                Delta::Usage(it) => format!("{}+{}", it.input, it.output),
                Delta::Stop(it) => format!("{it:?}"),
            })
            .collect();
        if !whole {
            found.push("cut".to_owned());
        }
        assert_eq!(found, expected, "{chunks:?}");
    }

    #[test]
    fn text_usage_and_stop() {
        check(&[delta(json!({"role": "assistant", "content": ""})), finish("stop")], &["Stop"]);
        check(
            &[
                delta(json!({"content": "a"})),
                finish("length"),
                json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
            ],
            &["a", "3+1", "Length"],
        );
        check(
            &[delta(json!({"content": [{"type": "text", "text": "a"}]})), finish("odd")],
            &["a", "Other(\"odd\")"],
        );
        check(&[delta(json!({"content": "a"}))], &["a", "cut"]);
        check(
            &[json!({"choices": [{"delta": null, "finish_reason": "content_filter"}]})],
            &["ContentFilter"],
        );
        let whole = json!({"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}]});
        check(std::slice::from_ref(&whole), &["all", "Stop"]);
        check(&[delta(json!({"content": "all"})), whole], &["all", "Stop"]);
    }

    #[test]
    fn calls_are_put_together_however_they_are_told() {
        let begin = |index: u64, id: &str| {
            calls(json!([{"index": index, "id": id, "function": {"name": "f", "arguments": "{\"a\""}}]))
        };
        let more = |index: u64| calls(json!([{"index": index, "function": {"arguments": ":1}"}}]));
        let one = "x f {\"a\":1}";
        let two = "y f {\"a\":1}";
        check(&[begin(0, "x"), more(0), finish("tool_calls")], &[one, "ToolUse"]);
        check(&[begin(0, "x"), begin(1, "y"), more(0), more(1), finish("stop")], &[one, two, "ToolUse"]);
        let unnumbered = |id: &str, arguments: Value| {
            calls(json!([{"id": id, "function": {"name": "f", "arguments": arguments}}]))
        };
        let whole = || json!({"a": 1});
        check(&[unnumbered("x", whole()), unnumbered("y", whole()), finish("stop")], &[one, two, "ToolUse"]);
        check(
            &[unnumbered("", whole()), unnumbered("", whole()), finish("stop")],
            &["call_1 f {\"a\":1}", "call_2 f {\"a\":1}", "ToolUse"],
        );
        // Every call has the index 0.
        check(&[begin(0, "x"), more(0), begin(0, "y"), more(0), finish("stop")], &[one, two, "ToolUse"]);
        // Id and name are repeated with every piece.
        check(
            &[unnumbered("x", json!("{")), unnumbered("x", json!("}")), finish("stop")],
            &["x f {}", "ToolUse"],
        );
        check(
            &[calls(json!([{"index": 0, "id": "x", "function": {"name": "f"}}])), finish("stop")],
            &["x f {}", "ToolUse"],
        );
    }

    #[test]
    fn a_call_that_the_length_cut_does_not_run() {
        let call = |id: &str, arguments: &str| {
            calls(json!([{"id": id, "function": {"name": "f", "arguments": arguments}}]))
        };
        check(&[call("x", "{}"), call("y", "{\"path\": \"/"), finish("length")], &["x f {}", "Length"]);
        check(&[call("y", "{\"path\": "), finish("tool_calls")], &["y f {\"path\": ", "ToolUse"]);
        check(&[call("x", "{}")], &["cut"]);
    }

    #[test]
    fn calls_are_bounded() {
        let (mut assembly, mut ready) = (Assembly::default(), VecDeque::new());
        let chunk = calls(json!([{"index": 0, "function": {"arguments": "x".repeat(MOST_ARGUMENTS / 2)}}]));
        assert_eq!(assembly.take(&chunk, &mut ready), Ok(()));
        assert_eq!(assembly.take(&chunk, &mut ready), Ok(()));
        assert_eq!(assembly.take(&chunk, &mut ready), Err(TooManyCalls));
        let many: Vec<_> =
            (0..=MOST_CALLS).map(|it| json!({"index": it, "function": {"name": "f"}})).collect();
        assert_eq!(Assembly::default().take(&calls(many.into()), &mut ready), Err(TooManyCalls));
    }
}
