//! A model server that says what the test told it to, and is as strict as the one it stands for: OpenAI's chat
//! completions, on 127.0.0.1, with every way to fail that a network has.

mod answer;
mod http;
mod play;
mod script;
mod state;
mod strict;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use script::Script;
use state::{Line, Rule, Shared};

/// The id of the model that is always there.
pub const MODEL: &str = "scripted-1";

/// How long the waits of a test may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A running server. It answers by the rules it was given; the newest that fits goes first. Without a rule it says
/// `echo: <last user message>`, and after a tool's result `tool said: <result>`.
pub struct ScriptedModel {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

/// A request as it came, also one that was refused.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// `POST`, in the client's writing.
    pub method: String,
    /// The target, with its query.
    pub path: String,
    /// In the client's order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// When all of it had come.
    pub at: Instant,
    /// Why it was refused, when it was refused for its form and not by a script.
    pub refusal: Option<String>,
}

impl ScriptedModel {
    /// Starts a server on a free port, with one model, [`MODEL`], and without a key.
    pub fn start() -> ScriptedModel {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        shared.change(|state| state.models.push(MODEL.to_owned()));
        let ours = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &ours));
        ScriptedModel { shared, address, accepting: Some(accepting) }
    }

    /// Refuses requests without this key from now on.
    #[must_use]
    pub fn key(self, key: &str) -> ScriptedModel {
        self.shared.change(|state| state.key = Some(key.to_owned()));
        self
    }

    /// Offers a further model of this id.
    #[must_use]
    pub fn model(self, id: &str) -> ScriptedModel {
        self.shared.change(|state| state.models.push(id.to_owned()));
        self
    }

    /// Answers requests whose last user message contains `needle`. After a tool's result the rule goes on only when
    /// it is a sequence and no rule of [`ScriptedModel::on_tool_result`] fits.
    pub fn on(&self, needle: &str, script: Script) -> &ScriptedModel {
        self.shared.change(|state| state.rules.push(Rule::new(needle, script)));
        self
    }

    /// Answers requests whose last message is a tool's result that contains `needle`.
    pub fn on_tool_result(&self, needle: &str, script: Script) -> &ScriptedModel {
        self.shared.change(|state| state.tool_rules.push(Rule::new(needle, script)));
        self
    }

    /// Answers requests that no rule of [`ScriptedModel::on`] fits, instead of the echo.
    pub fn otherwise(&self, script: Script) -> &ScriptedModel {
        self.shared.change(|state| state.otherwise = Some(Rule::new("", script)));
        self
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far, of every path, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.state().requests.clone()
    }

    /// Waits until `n` requests came in all, and returns all that came.
    #[track_caller]
    pub fn wait_requests(&self, n: usize) -> Vec<Recorded> {
        let came =
            self.shared.wait(LIMIT, |state| (state.requests.len() >= n).then(|| state.requests.clone()));
        came.unwrap_or_else(|| self.fail(&format!("fewer than {n} requests came")))
    }

    /// Why requests were refused for their form, in order. Empty for a client that does all right.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.state().requests.iter().filter_map(|it| it.refusal.clone()).collect()
    }

    /// Waits until a request waits at the gate; a second call waits for a second request.
    #[track_caller]
    pub fn reached(&self, gate: &str) {
        let reached = self.shared.wait(LIMIT, |state| {
            let gate = state.gates.entry(gate.to_owned()).or_default();
            let is_new = gate.arrived > gate.awaited;
            gate.awaited += usize::from(is_new);
            is_new.then_some(())
        });
        reached.unwrap_or_else(|| self.fail(&format!("no request reached the gate {gate}")));
    }

    /// Opens the gate, for all that wait there and for all that come.
    pub fn open(&self, gate: &str) {
        self.shared.change(|state| state.gates.entry(gate.to_owned()).or_default().open = true);
    }

    /// How many clients went away before their answer was complete.
    pub fn disconnects(&self) -> usize {
        self.shared.state().disconnects
    }

    /// Waits until a client goes away before its answer is complete; a second call waits for a second one.
    #[track_caller]
    pub fn wait_disconnect(&self) {
        let gone = self.shared.wait(LIMIT, |state| {
            let is_new = state.disconnects > state.disconnects_awaited;
            state.disconnects_awaited += usize::from(is_new);
            is_new.then_some(())
        });
        gone.unwrap_or_else(|| self.fail("no client went away"));
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{what} in {LIMIT:?}; the requests so far: {:#?}", self.requests())
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        let lines = self.shared.change(|state| {
            state.stopping = true;
            std::mem::take(&mut state.lines)
        });
        for line in lines.iter().filter_map(Weak::upgrade) {
            // It may be closed already.
            let _ = line.stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts; when nobody accepts any more, there is nothing to wake.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Recorded {
    /// The first header of this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }

    /// The messages of a chat completion; none for other requests.
    pub fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The text of the last user message; empty when there is none.
    pub fn last_user(&self) -> String {
        let last = self.messages().iter().rev().find(|it| it["role"] == "user");
        last.map(|it| content_text(&it["content"])).unwrap_or_default()
    }

    /// What could not be read as HTTP.
    fn broken(why: &str) -> Recorded {
        Recorded {
            method: String::new(),
            path: String::new(),
            headers: Vec::new(),
            body: Value::Null,
            at: Instant::now(),
            refusal: Some(why.to_owned()),
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.state().stopping {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Without it small pieces would wait for each other.
        let _ = stream.set_nodelay(true);
        let line = Line::new(stream);
        shared.state().lines.push(Arc::downgrade(&line));
        let ours = Arc::clone(shared);
        thread::spawn(move || answer::serve(line, &ours));
    }
}

/// The text of a message's content, which is a string or an array of parts.
fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
