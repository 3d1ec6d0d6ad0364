//! The machine of one turn: what happens goes in, what is to be done comes out. No clock, no disk, no network.

use providers::{Delta, Effort, Message, ModelError, ModelRequest, StopReason, ToolCall, ToolSpec, Usage};
use serde_json::Value;

use crate::entry::{Answer, Entry};
use crate::tools::Outcome;

/// How often a turn asks the model before it is ended: a model that calls tools for ever costs for ever.
const MOST_ROUNDS: usize = 30;
/// The most bytes that one answer may have.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// What happens to a turn.
#[derive(Debug)]
pub enum Event {
    /// It may begin.
    Begin,
    /// The model said more.
    Said(Delta),
    /// The model's answer broke off, or never came.
    Failed(ModelError),
    /// The tool that was asked for has ended.
    ToolEnded(Outcome),
    /// Somebody wants it to stop.
    Stop(Stop),
}

/// Why a turn is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A person asked for it.
    Asked,
    /// Its time is over.
    TimedOut,
    /// The gateway stops.
    Shutdown,
}

impl Stop {
    /// The wire's word for it.
    pub fn reason(self) -> &'static str {
        match self {
            Stop::Asked => "rpc",
            Stop::TimedOut => "timeout",
            Stop::Shutdown => "shutdown",
        }
    }
}

/// What is to be done for a turn.
#[derive(Debug)]
pub enum Effect {
    /// Ask the model; feed back [`Event::Said`] until [`Delta::Stop`], or [`Event::Failed`].
    AskModel(ModelRequest),
    /// Show what was added to the answer.
    Say(String),
    /// Run a tool; feed back [`Event::ToolEnded`].
    RunTool(ToolCall),
    /// Put this at the end of the transcript.
    Save(Entry),
    /// It is over. Nothing follows.
    End(End),
}

/// How a turn ended.
#[derive(Debug)]
pub enum End {
    /// With an answer.
    Answered(String),
    /// Before its end, with what was said so far.
    Stopped(Stop, String),
    /// With a failure, with what was said so far.
    Failed(ModelError, String),
    /// The model went round in circles.
    TooLong(String),
}

/// A turn under way.
#[derive(Debug)]
pub struct Turn {
    request: ModelRequest,
    provider: String,
    answer: Answer,
    waiting: Vec<ToolCall>,
    rounds: usize,
    spent: Usage,
    over: bool,
}

impl Turn {
    /// A turn that will ask `model` of `provider`. `messages` end with what is to be answered.
    pub fn new(
        provider: &str,
        model: &str,
        system: String,
        messages: Vec<Message>,
        tools: Vec<ToolSpec>,
    ) -> Self {
        let request =
            ModelRequest { model: model.to_owned(), system, messages, tools, max_tokens: None, effort: None };
        Self {
            request,
            provider: provider.to_owned(),
            answer: Answer::default(),
            waiting: Vec::new(),
            rounds: 0,
            spent: Usage::default(),
            over: false,
        }
    }

    /// Bounds each answer, in tokens; without it the provider's own bound holds.
    #[must_use]
    pub fn with_longest_answer(mut self, tokens: Option<u32>) -> Self {
        self.request.max_tokens = tokens;
        self
    }

    /// Says how much the model is to think.
    #[must_use]
    pub fn with_effort(mut self, effort: Option<Effort>) -> Self {
        self.request.effort = effort;
        self
    }

    /// The person says something more, which the next question to the model has at its end. Only while no tool's
    /// result is waited for.
    pub fn hears(&mut self, message: Message) {
        self.request.messages.push(message);
    }

    /// What it cost so far.
    pub fn spent(&self) -> Usage {
        self.spent
    }

    /// What the answer under way says so far.
    pub fn text(&self) -> &str {
        &self.answer.text
    }

    /// Takes what happened and says what is to be done, in that order. After [`Effect::End`] nothing is.
    pub fn on(&mut self, event: Event) -> Vec<Effect> {
        if self.over {
            return Vec::new();
        }
        match event {
            Event::Begin => self.ask(),
            Event::Said(Delta::Text(text)) => self.say(text),
            Event::Said(Delta::Call(call)) => {
                self.answer.calls.push(call);
                Vec::new()
            }
            Event::Said(Delta::Usage(usage)) => {
                self.answer.spent(usage);
                self.spent.input += usage.input;
                self.spent.output += usage.output;
                Vec::new()
            }
            Event::Said(Delta::Stop(reason)) => self.answered(&reason),
            Event::Failed(error) => self.failed(error),
            Event::ToolEnded(outcome) => self.tool_ended(outcome),
            Event::Stop(stop) => self.stopped(stop),
        }
    }

    fn ask(&mut self) -> Vec<Effect> {
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS {
            let text = format!(
                "the turn was ended: the model asked for tools {MOST_ROUNDS} times without an answer"
            );
            return self.end(vec![Effect::Save(Entry::Notice { text: text.clone() })], End::TooLong(text));
        }
        self.answer = Answer {
            provider: self.provider.clone(),
            model: self.request.model.clone(),
            ..Answer::default()
        };
        vec![Effect::AskModel(self.request.clone())]
    }

    fn say(&mut self, text: String) -> Vec<Effect> {
        if text.is_empty() || self.answer.text.len() + text.len() > LONGEST_ANSWER {
            return Vec::new();
        }
        self.answer.text.push_str(&text);
        vec![Effect::Say(text)]
    }

    fn answered(&mut self, reason: &StopReason) -> Vec<Effect> {
        let calls = self.answer.calls.clone();
        self.answer.stop_reason = match reason {
            _ if !calls.is_empty() => "toolUse".to_owned(),
            StopReason::Stop | StopReason::ToolUse => "stop".to_owned(),
            StopReason::Length => "length".to_owned(),
            StopReason::ContentFilter => "refusal".to_owned(),
            StopReason::Other(word) => word.clone(),
        };
        let text = self.answer.text.clone();
        let saved = self.save_answer();
        if calls.is_empty() {
            return self.end(saved, End::Answered(text));
        }
        self.request.messages.push(Message::Assistant { text, calls: calls.clone() });
        self.waiting = calls;
        self.waiting.reverse();
        saved.into_iter().chain(self.next_tool()).collect()
    }

    /// The next tool that can be run. One that cannot is answered at once, so that the model can mend its call.
    fn next_tool(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(call) = self.waiting.last() {
            match serde_json::from_str::<Value>(&call.arguments) {
                Ok(Value::Object(_)) => {
                    effects.push(Effect::RunTool(call.clone()));
                    return effects;
                }
                Ok(_) => {
                    effects.extend(self.result(Outcome::failed("the arguments must be one JSON object")))
                }
                Err(error) => {
                    let text = format!(
                        "the arguments are no valid JSON ({error}); call the tool again with valid ones"
                    );
                    effects.extend(self.result(Outcome::failed(text)));
                }
            }
        }
        effects.extend(self.ask());
        effects
    }

    fn tool_ended(&mut self, outcome: Outcome) -> Vec<Effect> {
        let saved = self.result(outcome);
        saved.into_iter().chain(self.next_tool()).collect()
    }

    /// Answers the call that waits first.
    fn result(&mut self, outcome: Outcome) -> Option<Effect> {
        let call = self.waiting.pop()?;
        self.request.messages.push(Message::Tool { call_id: call.id.clone(), text: outcome.text.clone() });
        Some(Effect::Save(Entry::ToolResult {
            call_id: call.id,
            name: call.name,
            text: outcome.text,
            is_error: outcome.is_error,
            details: outcome.details,
        }))
    }

    fn failed(&mut self, error: ModelError) -> Vec<Effect> {
        self.answer.stop_reason = "error".to_owned();
        self.answer.error = Some(error.to_string());
        self.answer.calls.clear();
        let text = self.answer.text.clone();
        let saved = vec![Effect::Save(Entry::Assistant(std::mem::take(&mut self.answer)))];
        self.end(saved, End::Failed(error, text))
    }

    fn stopped(&mut self, stop: Stop) -> Vec<Effect> {
        let text = self.answer.text.clone();
        let mut saved = Vec::new();
        while !self.waiting.is_empty() {
            saved.extend(self.result(Outcome::failed("stopped before it had ended")));
        }
        if !text.is_empty() {
            self.answer.stop_reason = "aborted".to_owned();
            self.answer.calls.clear();
            saved.extend(self.save_answer());
        }
        self.end(saved, End::Stopped(stop, text))
    }

    fn save_answer(&mut self) -> Vec<Effect> {
        let answer = std::mem::take(&mut self.answer);
        if answer.text.is_empty() && answer.calls.is_empty() {
            return Vec::new();
        }
        vec![Effect::Save(Entry::Assistant(answer))]
    }

    fn end(&mut self, mut effects: Vec<Effect>, end: End) -> Vec<Effect> {
        self.over = true;
        effects.push(Effect::End(end));
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use providers::ErrorKind;

    fn turn() -> Turn {
        Turn::new(
            "p",
            "m",
            String::new(),
            vec![Message::User { text: "hi".into(), images: Vec::new() }],
            Vec::new(),
        )
    }

    fn call(id: &str, arguments: &str) -> Event {
        Event::Said(Delta::Call(ToolCall { id: id.into(), name: "exec".into(), arguments: arguments.into() }))
    }

    fn text(text: &str) -> Event {
        Event::Said(Delta::Text(text.into()))
    }

    fn stop() -> Event {
        Event::Said(Delta::Stop(StopReason::Stop))
    }

    fn error() -> ModelError {
        ModelError {
            kind: ErrorKind::Cut,
            provider: "p".into(),
            status: None,
            retry_after: None,
            words: "cut".into(),
        }
    }

    /// Plays events and writes down the effects, a word each.
    #[track_caller]
    fn check(events: Vec<Event>, expected: &str) {
        let mut turn = turn();
        let effects: Vec<String> =
            events.into_iter().flat_map(|it| turn.on(it)).map(|it| word(&it)).collect();
        assert_eq!(effects.join(" "), expected);
    }

    fn word(effect: &Effect) -> String {
        match effect {
            Effect::AskModel(request) => format!("ask/{}", request.messages.len()),
            Effect::Say(text) => format!("say:{text}"),
            Effect::RunTool(call) => format!("run:{}", call.id),
            Effect::Save(Entry::ToolResult { call_id, is_error, .. }) => format!("save:{call_id}/{is_error}"),
            Effect::Save(Entry::Assistant(it)) => format!("save:{}/{}", it.stop_reason, it.text),
            Effect::Save(other) => format!("save:{}", other.role()),
            Effect::End(End::Answered(text)) => format!("answered:{text}"),
            Effect::End(End::Stopped(why, text)) => format!("stopped:{}:{text}", why.reason()),
            Effect::End(End::Failed(_, text)) => format!("failed:{text}"),
            Effect::End(End::TooLong(_)) => "too-long".to_owned(),
        }
    }

    #[test]
    fn an_answer_is_said_saved_and_over() {
        check(
            vec![Event::Begin, text("a"), text("b"), stop(), text("late"), Event::Stop(Stop::Asked)],
            "ask/1 say:a say:b save:stop/ab answered:ab",
        );
        check(vec![Event::Begin, stop()], "ask/1 answered:");
    }

    #[test]
    fn tools_run_one_by_one_and_the_model_is_asked_again() {
        let done = || Event::ToolEnded(Outcome::done("ok"));
        check(
            vec![
                Event::Begin,
                text("look"),
                call("1", "{}"),
                call("2", "{}"),
                stop(),
                done(),
                done(),
                stop(),
            ],
            "ask/1 say:look save:toolUse/look run:1 save:1/false run:2 save:2/false ask/4 answered:",
        );
    }

    #[test]
    fn a_broken_call_is_answered_and_not_run() {
        check(
            vec![Event::Begin, call("1", "{\"command\": "), call("2", "[]"), call("3", "{}"), stop()],
            "ask/1 save:toolUse/ save:1/true save:2/true run:3",
        );
        check(vec![Event::Begin, call("1", "{"), stop()], "ask/1 save:toolUse/ save:1/true ask/3");
    }

    #[test]
    fn a_stop_saves_what_there_is_and_answers_open_calls() {
        check(vec![Event::Begin, Event::Stop(Stop::Asked)], "ask/1 stopped:rpc:");
        check(
            vec![Event::Begin, text("ab"), Event::Stop(Stop::TimedOut)],
            "ask/1 say:ab save:aborted/ab stopped:timeout:ab",
        );
        check(
            vec![Event::Begin, call("1", "{}"), call("2", "{}"), stop(), Event::Stop(Stop::Asked)],
            "ask/1 save:toolUse/ run:1 save:1/true save:2/true stopped:rpc:",
        );
    }

    #[test]
    fn a_failure_keeps_what_was_said() {
        check(
            vec![Event::Begin, text("ab"), call("1", "{}"), Event::Failed(error())],
            "ask/1 say:ab save:error/ab failed:ab",
        );
    }

    #[test]
    fn circles_end() {
        let mut turn = turn();
        turn.on(Event::Begin);
        let mut last = String::new();
        for _ in 0..MOST_ROUNDS {
            turn.on(call("1", "{}"));
            turn.on(stop());
            last = turn.on(Event::ToolEnded(Outcome::done("ok"))).last().map(word).unwrap_or_default();
        }
        assert_eq!(last, "too-long");
        assert!(turn.on(Event::Begin).is_empty());
    }
}
