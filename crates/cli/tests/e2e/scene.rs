//! A gateway with a scripted model behind it, and a person who talks to it.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Base, Gateway, Sandbox, ScriptedModel, Wire, free_base};

use crate::support::sandbox;

/// What a client on TCP must know.
pub(crate) const TOKEN: &str = "0123456789abcdef-token-of-the-test";
/// What the model wants to see.
pub(crate) const KEY: &str = "sk-test";
/// The profile of a scene.
pub(crate) const MAIN: &str = "main";
/// The model that a scene's gateway asks.
pub(crate) const MODEL: &str = "scripted/scripted-1";

/// How long a fact that nobody tells of may take to come about.
const LIMIT: Duration = Duration::from_secs(20);

/// One gateway, profile `main`, and the model that it asks.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) model: ScriptedModel,
    pub(crate) sandbox: Sandbox,
    pub(crate) base: Base,
}

/// One connection, and one message after the other.
pub(crate) struct Person {
    pub(crate) wire: Wire,
}

impl Scene {
    #[track_caller]
    pub(crate) fn new() -> Scene {
        Scene::with(|_| {})
    }

    /// With a config that was changed.
    #[track_caller]
    pub(crate) fn with(change: impl FnOnce(&mut Value)) -> Scene {
        Scene::of(sandbox(), ScriptedModel::start().key(KEY), change)
    }

    #[track_caller]
    pub(crate) fn of(sandbox: Sandbox, model: ScriptedModel, change: impl FnOnce(&mut Value)) -> Scene {
        let base = free_base();
        configure(&sandbox, MAIN, &model.base_url(), change);
        let gateway = sandbox.start(&["--profile", MAIN], base.port());
        Scene { gateway, model, sandbox, base }
    }

    /// Starts the gateway again, after it has ended.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        assert!(!self.gateway.is_running(), "the gateway still runs");
        self.gateway = self.sandbox.start(&["--profile", MAIN], self.base.port());
    }

    /// Somebody who may do everything.
    #[track_caller]
    pub(crate) fn person(&self) -> Person {
        Person { wire: Wire::connect(self.gateway.port(), TOKEN) }
    }

    /// Somebody who connects with parameters that were changed.
    #[track_caller]
    pub(crate) fn person_with(&self, change: impl FnOnce(&mut Value)) -> Person {
        let mut params = testkit::wire::connect_params(TOKEN);
        change(&mut params);
        let wire = Wire::try_connect(self.gateway.port(), params);
        Person { wire: wire.unwrap_or_else(|it| panic!("refused: {it:?}")) }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.sandbox.state(Some(MAIN))
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.state().join("workspace-main")
    }

    /// `openclaw --profile main <args>`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.sandbox.command(&[&["--profile", MAIN], args].concat())
    }
}

impl Person {
    /// Sends a message, which must be accepted as a new one. Returns its run.
    #[track_caller]
    pub(crate) fn say(&mut self, session: &str, message: &str) -> String {
        let run = new_run();
        let params = json!({"sessionKey": session, "message": message, "idempotencyKey": run});
        let ack = self.wire.request("chat.send", params);
        assert_eq!(ack, Ok(json!({"runId": run, "status": "started"})));
        run
    }

    /// Waits for the end of a run: the payload of its last `chat` event. Earlier events are kept.
    #[track_caller]
    pub(crate) fn hear(&mut self, run: &str) -> Value {
        self.wire.next_event(|it| is_end(it, run))["payload"].clone()
    }

    /// All events up to the end of a run, and that one.
    #[track_caller]
    pub(crate) fn watch(&mut self, run: &str) -> Vec<Value> {
        let mut events = Vec::new();
        while !events.last().is_some_and(|it| is_end(it, run)) {
            events.push(self.wire.next_event(|_| true));
        }
        events
    }

    /// Sends a message and waits for the end of its run.
    #[track_caller]
    pub(crate) fn ask(&mut self, session: &str, message: &str) -> Value {
        let run = self.say(session, message);
        self.hear(&run)
    }

    /// Asks the echoing model and checks its answer: the session and the gateway are as good as new.
    #[track_caller]
    pub(crate) fn check_goes_on(&mut self, session: &str) {
        let end = self.ask(session, "are you there?");
        assert_eq!(said(&end), "final: echo: are you there?", "{end}");
    }

    /// Waits for the text so far, of a run under way, to contain `needle`.
    #[track_caller]
    pub(crate) fn wait_said(&mut self, run: &str, needle: &str) {
        self.wire.next_event(|it| {
            let payload = &it["payload"];
            let text = payload["data"]["text"].as_str().unwrap_or_default();
            payload["runId"] == run && payload["stream"] == "assistant" && text.contains(needle)
        });
    }

    /// A conversation, a line each; see [`line`].
    #[track_caller]
    pub(crate) fn history(&mut self, session: &str) -> Vec<String> {
        self.messages(session).iter().map(line).collect()
    }

    /// A conversation as it is sent.
    #[track_caller]
    pub(crate) fn messages(&mut self, session: &str) -> Vec<Value> {
        let history = self.wire.request("chat.history", json!({"sessionKey": session}));
        let history = history.expect("a history");
        history["messages"].as_array().expect("messages").clone()
    }
}

/// Writes the config of a profile: a gateway that asks the model at `base_url`.
pub(crate) fn configure(sandbox: &Sandbox, profile: &str, base_url: &str, change: impl FnOnce(&mut Value)) {
    let mut config = json!({
        "gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}},
        "models": {"providers": {"scripted": {
            "baseUrl": base_url, "apiKey": KEY,
            "models": [{"id": "scripted-1", "contextWindow": 32_000}],
        }}},
        "agents": {"defaults": {"model": MODEL}},
    });
    change(&mut config);
    let state = sandbox.state(Some(profile));
    fs::create_dir_all(&state).expect("the home is writable");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("ours");
    write(&state.join("openclaw.json"), &config.to_string());
}

/// Writes a file, for its owner alone.
pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}

/// A key that no other run of this process has.
pub(crate) fn new_run() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("run-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether an event is the last `chat` event of a run.
pub(crate) fn is_end(event: &Value, run: &str) -> bool {
    let (payload, state) = (&event["payload"], event["payload"]["state"].as_str().unwrap_or_default());
    event["event"] == "chat" && payload["runId"] == run && ["final", "aborted", "error"].contains(&state)
}

/// The payload of a `chat` event in one line: its state and its text.
pub(crate) fn said(payload: &Value) -> String {
    format!("{}: {}", payload["state"].as_str().unwrap_or_default(), text(&payload["message"]))
}

/// A message of a history in one line: the role, what is special about it in brackets, calls, the text.
pub(crate) fn line(message: &Value) -> String {
    let role = message["role"].as_str().unwrap_or_default();
    let mark = match message["stopReason"].as_str().unwrap_or("stop") {
        "stop" if message["isError"] == true => "[failed]".to_owned(),
        "stop" => String::new(),
        other => format!("[{other}]"),
    };
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let calls = parts.iter().filter(|it| it["type"] == "toolCall");
    let calls: String = calls.map(|it| format!(" ({})", it["name"].as_str().unwrap_or_default())).collect();
    let words = text(message);
    let space = if words.is_empty() { "" } else { " " };
    format!("{role}{mark}:{calls}{space}{words}")
}

/// The text of a message.
pub(crate) fn text(message: &Value) -> String {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
}

/// Looks again and again for a fact that nobody tells of.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} in {LIMIT:?}");
        std::thread::yield_now();
    }
}

/// Starts the gateways of these profiles beside each other. The bases are held as long as they are kept.
pub(crate) fn start_all(sandbox: &Sandbox, profiles: &[&str]) -> (Vec<Base>, Vec<Gateway>) {
    let bases: Vec<Base> = profiles.iter().map(|_| free_base()).collect();
    let start = |(name, base): (&&str, &Base)| sandbox.start(&["--profile", name], base.port());
    let gateways = profiles.iter().zip(&bases).map(start).collect();
    (bases, gateways)
}
