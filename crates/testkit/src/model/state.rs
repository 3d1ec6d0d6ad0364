//! What the threads of a scripted model share: the rules, the gates, and the record.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::script::Script;
use super::{Recorded, content_text};
use crate::lock;

/// Longer than any test; the tests' own waits have limits.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) key: Option<String>,
    pub(super) models: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) tool_rules: Vec<Rule>,
    pub(super) otherwise: Option<Rule>,
    pub(super) gates: HashMap<String, Gate>,
    pub(super) requests: Vec<Recorded>,
    pub(super) disconnects: usize,
    pub(super) disconnects_awaited: usize,
    pub(super) n_calls: usize,
    pub(super) stopping: bool,
    pub(super) lines: Vec<Weak<Line>>,
}

/// A sequence of scripts for requests that contain a text.
pub(super) struct Rule {
    needle: String,
    sequence: Vec<Script>,
    n_served: usize,
}

#[derive(Default)]
pub(super) struct Gate {
    pub(super) arrived: usize,
    pub(super) awaited: usize,
    pub(super) open: bool,
}

/// One connection. The reader of the requests is the only one who notices that the client is gone.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    /// True from a whole request until the end of its answer.
    busy: AtomicBool,
    gone: AtomicBool,
}

impl Rule {
    pub(super) fn new(needle: &str, script: Script) -> Rule {
        Rule { needle: needle.to_owned(), sequence: script.sequence(), n_served: 0 }
    }

    fn next(&mut self) -> Script {
        let mut before = 0;
        let at = self.sequence.iter().position(|it| {
            before += it.times;
            self.n_served < before
        });
        self.n_served += 1;
        self.sequence[at.unwrap_or(self.sequence.len() - 1)].clone()
    }
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> Arc<Line> {
        Arc::new(Line { stream, busy: AtomicBool::new(false), gone: AtomicBool::new(false) })
    }

    /// A request came: until [`Line::finish`] the client has no reason to go.
    pub(super) fn begin(&self) {
        self.busy.store(true, Ordering::SeqCst);
    }

    /// The rest of the answer is about to be sent, or is withheld on purpose: the client may go now.
    pub(super) fn finish(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds something. `None` when the time is up.
    pub(super) fn wait<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|it| it.into_inner()).0;
        }
    }

    /// The client of this connection went away.
    pub(super) fn left(&self, line: &Line) {
        self.change(|state| {
            line.gone.store(true, Ordering::SeqCst);
            state.disconnects += usize::from(line.busy.swap(false, Ordering::SeqCst));
        });
    }

    /// Lets a request wait at a gate. False when its client goes away, or the server stops, before it opens.
    pub(super) fn pass(&self, gate: &str, line: &Line) -> bool {
        self.change(|state| state.gates.entry(gate.to_owned()).or_default().arrived += 1);
        self.wait(FOREVER, |state| {
            let is_open = state.gates.get(gate).is_some_and(|it| it.open);
            if state.stopping || line.is_gone() { Some(false) } else { is_open.then_some(true) }
        })
        .unwrap_or(false)
    }

    /// Pauses. False when the client goes away, or the server stops, before the end of it.
    pub(super) fn pause(&self, pause: Duration, line: &Line) -> bool {
        self.wait(pause, |state| (state.stopping || line.is_gone()).then_some(())).is_none()
    }

    /// Waits until the client goes away, or the server stops.
    pub(super) fn hang(&self, line: &Line) {
        self.pause(FOREVER, line);
    }
}

impl State {
    /// The script for a request that was checked.
    pub(super) fn pick(&mut self, body: &Value) -> Script {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let asked = messages.iter().rev().find(|it| it["role"] == "user");
        let asked = asked.map(|it| content_text(&it["content"])).unwrap_or_default();
        let Some(last) = messages.last().filter(|it| it["role"] == "tool") else {
            let rule = self.rules.iter_mut().rev().find(|it| asked.contains(&it.needle));
            return match rule.or(self.otherwise.as_mut()) {
                Some(rule) => rule.next(),
                None => Script::new().text(format!("echo: {asked}")),
            };
        };
        let result = content_text(&last["content"]);
        if let Some(rule) = self.tool_rules.iter_mut().rev().find(|it| result.contains(&it.needle)) {
            return rule.next();
        }
        // A script without a sequence would call its tool again and again.
        let going_on =
            self.rules.iter_mut().rev().find(|it| asked.contains(&it.needle) && it.sequence.len() > 1);
        match going_on {
            Some(rule) => rule.next(),
            None => Script::new().text(format!("tool said: {result}")),
        }
    }
}
