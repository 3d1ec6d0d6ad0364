//! The shapes of a gateway's answers and events: one walk through the control plane, and of all that was said the
//! names and types, without any content. By the same walk the original is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::wire::{Wire, connect_params};
use crate::{Script, ScriptedModel};

/// The conversation of the walk.
const SESSION: &str = "agent:main:shapes";
/// How long the original may take for a turn.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is looked at before anything was said.
const LOOKS: [(&str, &str); 33] = [
    ("health", "{}"),
    ("status", "{}"),
    ("system-presence", "{}"),
    ("last-heartbeat", "{}"),
    ("channels.status", "{}"),
    ("models.list", "{}"),
    ("agents.list", "{}"),
    ("agent.identity.get", "{}"),
    ("node.list", "{}"),
    ("device.pair.list", "{}"),
    ("config.get", "{}"),
    ("config.schema.lookup", r#"{"path": "gateway.port"}"#),
    ("cron.list", "{}"),
    ("cron.status", "{}"),
    ("skills.status", "{}"),
    ("logs.tail", "{}"),
    ("commands.list", "{}"),
    ("tools.catalog", "{}"),
    ("gateway.identity.get", "{}"),
    ("voicewake.get", "{}"),
    ("tts.status", "{}"),
    ("tts.providers", "{}"),
    ("usage.status", "{}"),
    ("usage.cost", "{}"),
    ("question.list", "{}"),
    ("plugin.approval.list", "{}"),
    ("exec.approval.list", "{}"),
    ("exec.approvals.get", "{}"),
    ("taskSuggestions.list", "{}"),
    ("update.status", "{}"),
    ("agents.files.list", r#"{"agentId": "main"}"#),
    ("agents.files.get", r#"{"agentId": "main", "name": "AGENTS.md"}"#),
    ("sessions.subscribe", "{}"),
];

/// What is asked once something was said. `SESSION` stands for the conversation.
const AFTER: [(&str, &str); 22] = [
    ("chat.history", r#"{"sessionKey": "SESSION"}"#),
    ("chat.metadata", r#"{"sessionKey": "SESSION"}"#),
    ("chat.inject", r#"{"sessionKey": "SESSION", "message": "injected", "label": "test"}"#),
    ("sessions.list", "{}"),
    ("sessions.describe", r#"{"key": "SESSION"}"#),
    ("sessions.preview", r#"{"keys": ["SESSION"]}"#),
    ("sessions.resolve", r#"{"key": "SESSION"}"#),
    ("sessions.patch", r#"{"key": "SESSION", "label": "a label"}"#),
    ("sessions.usage", r#"{"key": "SESSION"}"#),
    ("sessions.compact", r#"{"key": "SESSION"}"#),
    ("sessions.reset", r#"{"key": "SESSION"}"#),
    ("sessions.messages.unsubscribe", r#"{"key": "SESSION"}"#),
    ("sessions.create", r#"{"label": "made"}"#),
    ("sessions.delete", r#"{"key": "SESSION"}"#),
    ("sessions.unsubscribe", "{}"),
    ("chat.abort", r#"{"sessionKey": "main"}"#),
    ("system-event", r#"{"text": "a beacon", "host": "elsewhere"}"#),
    ("no.such.method", "{}"),
    ("chat.send", r#"{"sessionKey": 7}"#),
    ("sessions.patch", r#"{"key": "SESSION", "label": 5}"#),
    ("agents.files.get", r#"{"agentId": "main", "name": "../x"}"#),
    ("health", r#"{"probe": true}"#),
];

/// Whose content is a person's own, and not the protocol's.
const OWN: [(&str, &str); 4] = [
    ("config.get", "/payload/config/"),
    ("config.get", "/payload/parsed/"),
    ("config.get", "/payload/resolved/"),
    ("config.get", "/payload/sourceConfig/"),
];

/// What a gateway said: of each answer and event its paths, each with the types that it had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes {
    /// By `METHOD`, `METHOD first` (the first of two answers), `METHOD refused`, or `event NAME`.
    pub of: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// The events of one turn in their order, repeated ones once.
    pub order: Vec<String>,
}

/// The answers of the model in the walk.
pub fn script(model: &ScriptedModel) {
    let hello = || Script::new().text("Hello there, this is a reply.");
    let look = Script::new().call("read", json!({"path": "AGENTS.md"})).times(1).then(hello());
    model.otherwise(hello().times(1).then(look));
    model.on_tool_result("", Script::new().text("There it is."));
}

/// Walks: asks one thing after the other, and keeps the shape of all that is said.
#[track_caller]
pub fn record(port: u16, token: &str) -> Shapes {
    let mut shapes = Shapes::default();
    let mut params = connect_params(token);
    params["scopes"] = json!([
        "operator.admin",
        "operator.read",
        "operator.write",
        "operator.approvals",
        "operator.pairing",
        "operator.questions",
        "operator.talk"
    ]);
    let mut wire = Wire::open(port).handshake(params).expect("connected");
    wire.patience(PATIENCE);
    shapes.add("event connect.challenge", wire.challenge());
    shapes.add("connect", &json!({"payload": wire.hello()}));
    let mut heard = Vec::new();
    for (method, params) in LOOKS {
        shapes.ask(&mut wire, method, params);
    }
    shapes.ask(&mut wire, "sessions.messages.subscribe", r#"{"key": "SESSION"}"#);
    for (run, message) in [("shape-1", "hello"), ("shape-2", "look it up")] {
        let params = json!({"sessionKey": SESSION, "message": message, "idempotencyKey": run}).to_string();
        shapes.ask(&mut wire, "chat.send", &params);
        heard.push(wire.next_event(|it| is_end(it, run)));
        shapes.ask(&mut wire, "agent.wait", &json!({"runId": run}).to_string());
    }
    let params = json!({"sessionKey": SESSION, "message": "hello again", "idempotencyKey": "shape-3"});
    let id = wire.send("agent", params);
    shapes.add("agent first", &wire.response_frame(&id));
    shapes.add("agent", &wire.response_frame(&id));
    for (method, params) in AFTER {
        shapes.ask(&mut wire, method, params);
    }
    // The last of a turn had been passed over; all the others are as they came.
    let mut events = wire.take_events();
    let is_first = |it: &Value| it["seq"].as_u64() > heard[0]["seq"].as_u64();
    let at = events.iter().position(is_first).unwrap_or(events.len());
    events.insert(at, heard.remove(0));
    for event in events.iter().chain(&heard) {
        shapes.add(&format!("event {}", name(event)), event);
    }
    for event in events.iter().filter(|it| it["payload"]["runId"] == "shape-1") {
        let name = name(event);
        // What is told of a conversation comes when it is saved, which may be sooner or later.
        if shapes.order.last() != Some(&name) && (name.starts_with("agent") || name.starts_with("chat")) {
            shapes.order.push(name);
        }
    }
    shapes
}

fn is_end(event: &Value, run: &str) -> bool {
    let payload = &event["payload"];
    event["event"] == "chat" && payload["runId"] == run && payload["state"] == "final"
}

/// An event with what tells one kind of it from another.
fn name(event: &Value) -> String {
    let word = |it: &Value| it.as_str().map(|it| format!(":{it}")).unwrap_or_default();
    let payload = &event["payload"];
    let mut name = event["event"].as_str().unwrap_or_default().to_owned();
    if name == "chat" {
        name += &word(&payload["state"]);
    }
    if name == "agent" {
        name += &word(&payload["stream"]);
        if payload["stream"] == "lifecycle" || payload["stream"] == "tool" {
            name += &word(&payload["data"]["phase"]);
        }
    }
    name
}

impl Shapes {
    #[track_caller]
    fn ask(&mut self, wire: &mut Wire, method: &str, params: &str) {
        let params = serde_json::from_str(&params.replace("SESSION", SESSION)).expect("JSON");
        let id = wire.send(method, params);
        let frame = wire.response_frame(&id);
        let refused = if frame["ok"] == false { " refused" } else { "" };
        self.add(&format!("{method}{refused}"), &frame);
    }

    fn add(&mut self, of: &str, frame: &Value) {
        let mut found = BTreeMap::new();
        paths(frame, "", &mut found);
        let own: Vec<&str> = OWN.iter().filter(|it| it.0 == of).map(|it| it.1).collect();
        found.retain(|path: &String, _| !own.iter().any(|it| path.starts_with(it)));
        let all = self.of.entry(of.to_owned()).or_default();
        for (path, types) in found {
            all.entry(path).or_default().extend(types);
        }
    }

    /// Reads what [`Shapes`] prints.
    pub fn parse(text: &str) -> Self {
        let mut shapes = Self::default();
        let mut of = String::new();
        for line in text.lines().filter(|it| !it.is_empty() && !it.starts_with('#')) {
            if let Some(path) = line.strip_prefix("  ") {
                let (path, types) = path.split_once(' ').expect("a path and its types");
                let types = types.split('|').map(str::to_owned).collect();
                shapes.of.entry(of.clone()).or_default().insert(path.to_owned(), types);
            } else if let Some(order) = line.strip_prefix("order: ") {
                shapes.order = order.split(' ').map(str::to_owned).collect();
            } else {
                line.clone_into(&mut of);
            }
        }
        shapes
    }

    /// What `self` says and `other` does not: `OF PATH: why`, with the events of a turn that are missing or out of
    /// order.
    pub fn beyond(&self, other: &Self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        let mut tell = |of: &str, path: &str, why: String| found.push((of.to_owned(), path.to_owned(), why));
        let empty = BTreeMap::new();
        for (of, paths) in &self.of {
            let theirs = other.of.get(of).unwrap_or(&empty);
            if theirs.is_empty() {
                tell(of, "/", "is not said at all".to_owned());
                continue;
            }
            for (path, types) in paths {
                let same = theirs.get(path);
                // Nothing, and a list or an object with nothing in it, say nothing of their shape.
                let says = |it: &str| !matches!(it, "null" | "empty");
                let is_like =
                    |it: &&String| types.contains(*it) || !says(it) || types.iter().any(|it| !says(it));
                if same.is_none() && types.iter().all(|it| it == "null") {
                    continue;
                }
                match same {
                    // Who lacks the whole lacks its parts.
                    None if path
                        .rsplit_once('/')
                        .is_some_and(|(it, _)| !it.is_empty() && !theirs.contains_key(it)) => {}
                    None if is_below_an_empty(path, theirs) => {}
                    None => tell(of, path, "missing".to_owned()),
                    Some(it) if it.iter().any(|it| is_like(&it)) => {}
                    Some(it) => tell(of, path, format!("{it:?}, expected {types:?}")),
                }
            }
        }
        let mut rest = other.order.iter();
        for name in &self.order {
            if !rest.clone().any(|it| it == name) {
                tell("order", name, "missing, or out of order".to_owned());
            } else {
                let _ = rest.by_ref().find(|it| *it == name);
            }
        }
        found
    }
}

/// Whether a path lies in a list or an object that was empty, or null: then nothing is known of it.
fn is_below_an_empty(path: &str, all: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let mut above = path;
    while let Some((parent, _)) = above.rsplit_once('/') {
        above = parent;
        let has_nothing = |it: &BTreeSet<String>| it.iter().all(|it| it == "null" || it == "empty");
        if all.get(above).is_some_and(has_nothing) {
            return true;
        }
    }
    false
}

/// Every path of a value with its type; a list's entries are `[]`, whichever they are.
fn paths(value: &Value, at: &str, into: &mut BTreeMap<String, BTreeSet<String>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(it) if it.is_empty() => "empty",
        Value::Object(it) if it.is_empty() => "empty",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    if !at.is_empty() {
        into.entry(at.to_owned()).or_default().insert(kind.to_owned());
    }
    match value {
        Value::Array(all) => all.iter().for_each(|it| paths(it, &format!("{at}/[]"), into)),
        Value::Object(all) => all.iter().for_each(|(key, it)| paths(it, &format!("{at}/{key}"), into)),
        _ => {}
    }
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "order: {}", self.order.join(" "))?;
        for (of, paths) in &self.of {
            writeln!(f, "{of}")?;
            for (path, types) in paths {
                let types: Vec<&str> = types.iter().map(String::as_str).collect();
                writeln!(f, "  {path} {}", types.join("|"))?;
            }
        }
        Ok(())
    }
}
