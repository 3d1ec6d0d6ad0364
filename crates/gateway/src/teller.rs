//! Tells the world of one turn: `agent` events step by step, `chat` events as a conversation shows them.

use std::time::Instant;

use base::clock;
use protocol::chat::assistant_text;
use protocol::event::{self, ChatState, Name, WhenSlow};
use providers::{ErrorKind, ModelError, ToolCall};
use serde_json::{Value, json};

use crate::audience::{Audience, Client};
use crate::driver::ShowsTools;
use crate::limits::DELTA_PACE;
use crate::runs::Run;

/// The events of one turn, numbered.
pub(crate) struct Teller<'a> {
    audience: &'a Audience,
    run: &'a Run,
    session_id: String,
    /// Whom it asks.
    provider: String,
    model: String,
    /// How many answers were begun.
    rounds: u64,
    seq: u64,
    /// The whole answer so far, and how much of it `chat` has told.
    text: String,
    told: usize,
    /// Whether `chat` has told a text of an earlier round, which the next one takes the place of.
    replaces: bool,
    last_delta: Option<Instant>,
    shows_tools: ShowsTools,
}

impl<'a> Teller<'a> {
    /// Tells of `run` to all who may hear.
    pub(crate) fn new(audience: &'a Audience, run: &'a Run, session_id: &str) -> Self {
        let session_id = session_id.to_owned();
        let (text, told, replaces) = (String::new(), 0, false);
        let (provider, model) = (String::new(), String::new());
        Self {
            audience,
            run,
            session_id,
            provider,
            model,
            rounds: 0,
            seq: 0,
            text,
            told,
            replaces,
            last_delta: None,
            shows_tools: ShowsTools::default(),
        }
    }

    /// Tells of tools to those as well who have not asked for them.
    #[must_use]
    pub(crate) fn with_tools_shown(mut self, shows_tools: ShowsTools) -> Self {
        self.shows_tools = shows_tools;
        self
    }

    /// The turn begins.
    pub(crate) fn begins(&mut self, at: u64) {
        self.status("preparing_workspace");
        self.status("preparing_context");
        self.step("lifecycle", json!({"phase": "start", "startedAt": at}));
    }

    /// How far it is before anything is said: both kinds of events say it.
    fn status(&mut self, phase: &str) {
        let event = self.agent_event("run_status", json!({"phase": phase}));
        self.chat(ChatState::Status, |it| it.phase = Some(phase.to_owned()));
        self.tell(&event);
    }

    /// A model is asked: what it said before, it has said.
    pub(crate) fn asks(&mut self, provider: &str, model: &str) {
        self.replaces |= self.told > 0;
        self.text.clear();
        self.told = 0;
        self.run.says("");
        (self.provider, self.model) = (provider.to_owned(), model.to_owned());
        if self.rounds == 0 {
            self.status("starting_model");
        }
        self.rounds += 1;
        self.step("lifecycle", json!({"phase": "model", "provider": provider, "model": model}));
    }

    /// The model has answered, with so many tokens in this turn so far.
    pub(crate) fn spent(&mut self, output: u64) {
        self.step("usage", json!({"outputTokens": output}));
    }

    /// The model said more. `agent` tells at once; `chat` holds back what would only be a flicker.
    pub(crate) fn says(&mut self, more: &str) {
        self.text.push_str(more);
        self.run.says(more);
        self.step("assistant", json!({"text": self.text, "delta": more, "itemId": self.item()}));
        if self.last_delta.is_none_or(|it| it.elapsed() >= DELTA_PACE) {
            self.delta();
        }
    }

    /// The name of the answer that is being given, which its events share.
    fn item(&self) -> String {
        format!("{}:{}", self.run.ask.run_id, self.rounds)
    }

    /// A tool is run.
    pub(crate) fn uses(&mut self, call: &ToolCall) {
        self.delta();
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let data = json!({"phase": "start", "name": call.name, "toolCallId": call.id, "args": arguments});
        self.tool_step(data);
    }

    /// A tool has ended.
    pub(crate) fn used(&mut self, call: &ToolCall, outcome: &agent::Outcome) {
        let result = json!({"content": [{"type": "text", "text": outcome.text}], "details": outcome.details});
        let data = json!({
            "phase": "result", "name": call.name, "toolCallId": call.id,
            "isError": outcome.is_error, "result": result,
        });
        self.tool_step(data);
    }

    /// The turn ended with an answer.
    pub(crate) fn answered(&mut self, text: &str, started_at: u64) {
        self.lifecycle_end(started_at, ("stop", false), text);
        self.delta();
        let message = (!text.is_empty()).then(|| assistant_text(text, clock::now_ms()));
        self.chat(ChatState::Final, |it| {
            it.message = message;
            it.stop_reason = Some("stop".to_owned());
        });
    }

    /// The turn was stopped.
    pub(crate) fn stopped(&mut self, reason: &str, text: &str, started_at: u64) {
        self.lifecycle_end(started_at, (reason, true), text);
        self.delta();
        let message = (!text.is_empty()).then(|| assistant_text(text, clock::now_ms()));
        self.chat(ChatState::Aborted, |it| {
            it.message = message;
            it.stop_reason = Some(reason.to_owned());
        });
    }

    /// The turn failed.
    pub(crate) fn failed(&mut self, words: &str, text: &str, cause: Option<&ModelError>) {
        self.step("lifecycle", json!({"phase": "error", "error": words, "endedAt": clock::now_ms()}));
        let message = (!text.is_empty()).then(|| assistant_text(text, clock::now_ms()));
        let detail = cause.map(|it| {
            let words = json!(it.words);
            json!({"provider": it.provider, "httpStatus": it.status, "providerErrorMessagePreview": words})
        });
        self.chat(ChatState::Error, |it| {
            it.message = message;
            it.error_message = Some(words.to_owned());
            it.error_kind = Some(kind(cause).to_owned());
            it.error_detail = detail;
        });
    }

    fn lifecycle_end(&mut self, started_at: u64, (reason, aborted): (&str, bool), text: &str) {
        let liveness = if aborted { "abandoned" } else { "working" };
        let mut data = json!({
            "phase": "finishing", "endedAt": clock::now_ms(), "stopReason": reason, "aborted": aborted,
            "livenessState": liveness,
        });
        self.step("lifecycle", data.clone());
        let mut idle =
            self.agent_event("lifecycle", json!({"phase": "model", "provider": null, "model": null}));
        idle.lane = Some("main".to_owned());
        self.tell(&idle);
        data["phase"] = json!("end");
        data["startedAt"] = json!(started_at);
        data["executionSettled"] = json!(true);
        data["replayInvalid"] = json!(false);
        data["terminalReply"] = reply(text);
        data["terminalReceipt"] =
            receipt(&self.run.ask.run_id, &self.session_id, (&self.provider, &self.model), text);
        self.step("lifecycle", data);
    }

    fn step(&mut self, stream: &str, data: Value) {
        let event = self.agent_event(stream, data);
        self.tell(&event);
    }

    fn tell(&self, event: &event::Agent) {
        self.audience.tell_session(Name::Agent, &event.session_key, event, |_| true);
    }

    fn tool_step(&mut self, data: Value) {
        let event = self.agent_event("tool", data);
        let key = &event.session_key;
        let (slow, shown) = (Name::Agent.row().slow, self.shows_tools != ShowsTools::No);
        let asked = |it: &Client| it.wants_tools() && it.hears_of(key);
        self.audience.tell_those(Name::Agent, &event, slow, asked);
        if shown {
            let mut brief = event.clone();
            if self.shows_tools == ShowsTools::Calls
                && let Some(data) = brief.data.as_object_mut()
            {
                data.remove("result");
            }
            let unasked = |it: &Client| !it.wants_tools() && it.hears_of(key);
            self.audience.tell_those(Name::Agent, &brief, slow, unasked);
            self.audience.tell_nodes(Name::Agent, key, &brief);
        }
        let slow = Name::SessionTool.row().slow;
        let follows = |it: &Client| it.follows(key) && !((shown || it.wants_tools()) && it.hears_of(key));
        self.audience.tell_those(Name::SessionTool, &event, slow, follows);
    }

    fn agent_event(&mut self, stream: &str, data: Value) -> event::Agent {
        self.seq += 1;
        event::Agent {
            run_id: self.run.ask.run_id.clone(),
            stream: stream.to_owned(),
            data,
            seq: self.seq,
            ts: clock::now_ms(),
            session_key: self.run.ask.key.as_str().to_owned(),
            session_id: Some(self.session_id.clone()),
            agent_id: self.run.ask.key.agent().to_owned(),
            is_heartbeat: false,
            lane: None,
        }
    }

    /// Tells what `chat` has not told yet.
    fn delta(&mut self) {
        let more = self.text[self.told..].to_owned();
        if more.is_empty() {
            return;
        }
        self.told = self.text.len();
        self.last_delta = Some(Instant::now());
        let message = assistant_text(&self.text, clock::now_ms());
        let replace = std::mem::take(&mut self.replaces).then_some(true);
        self.chat(ChatState::Delta, |it| {
            it.delta_text = Some(more);
            it.replace = replace;
            it.message = Some(message);
        });
    }

    fn chat(&self, state: ChatState, fill: impl FnOnce(&mut event::Chat)) {
        let mut event = event::Chat {
            run_id: self.run.ask.run_id.clone(),
            session_key: self.run.ask.key.as_str().to_owned(),
            agent_id: self.run.ask.key.agent().to_owned(),
            // Shared with the `agent` event that was told just before.
            seq: self.seq.max(1),
            state,
            phase: None,
            delta_text: None,
            replace: None,
            message: None,
            stop_reason: None,
            error_message: None,
            error_kind: None,
            error_detail: None,
        };
        fill(&mut event);
        // The next delta has all of the text again; nothing has the end again.
        let is_passing = matches!(state, ChatState::Delta | ChatState::Status);
        let slow = if is_passing { WhenSlow::Skip } else { WhenSlow::Close };
        let key = &event.session_key;
        self.audience.tell_those(Name::Chat, &event, slow, |it| it.hears_of(key));
        self.audience.tell_nodes(Name::Chat, key, &event);
    }
}

/// What a turn has said at its end.
pub(crate) fn reply(text: &str) -> Value {
    json!({"disposition": disposition(text), "text": text})
}

fn disposition(text: &str) -> &'static str {
    if text.is_empty() { "silent" } else { "visible" }
}

/// Which turn it was, and who answered. The model that is asked is the one that was wanted: nobody takes its place.
pub(crate) fn receipt(run_id: &str, session_id: &str, (provider, model): (&str, &str), text: &str) -> Value {
    json!({
        "runId": run_id, "sessionId": session_id, "turnId": run_id,
        "requested": {"provider": provider, "model": model},
        "effective": {"provider": provider, "model": model, "responseModel": model}, "rerouted": false,
        "terminalDisposition": disposition(text),
    })
}

fn kind(cause: Option<&ModelError>) -> &'static str {
    match cause.map(|it| it.kind) {
        Some(ErrorKind::TimedOut) => "timeout",
        Some(ErrorKind::RateLimited) => "rate_limit",
        Some(ErrorKind::ContextLength) => "context_length",
        _ => "unknown",
    }
}
