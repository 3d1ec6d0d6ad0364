//! Who is connected, and how events reach them: written once, queued for each, bounded for each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use protocol::connect::{CAP_SESSION_SCOPED, CAP_TOOL_EVENTS};
use protocol::error::close;
use protocol::event::{Hears, Name, WhenSlow};
use protocol::frame::StateVersion;
use protocol::{Role, Scope, Scopes, frame};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::{POLICY, SUBSCRIPTIONS};

const TOO_SLOW: &str = "slow consumer";

/// Who is at the other end, as the handshake found out.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// What it calls itself, for people and for the log.
    pub(crate) program: String,
    /// The program, in its own words.
    pub(crate) client: protocol::connect::Client,
    /// What it is.
    pub(crate) role: Role,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// What it can do with events; of a node, what it can do.
    pub(crate) caps: Vec<String>,
    /// Of a node: what it has declared beside those.
    pub(crate) surface: protocol::nodes::Surface,
    /// The id of the device that it has proved to be.
    pub(crate) device: Option<String>,
    /// Where it comes from; absent on the control socket.
    pub(crate) address: Option<IpAddr>,
}

/// One connection that has said hello, as the rest of the gateway sees it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names the connection.
    pub(crate) id: String,
    /// Who is at the other end.
    pub(crate) who: Who,
    /// What it has done so far, where that is bounded.
    pub(crate) conduct: Mutex<Conduct>,
    wants: Wants,
    queue: mpsc::UnboundedSender<String>,
    queued: Arc<AtomicUsize>,
    seq: AtomicU64,
    ending: Ending,
}

/// What is counted of a connection.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// Calls that it had no right to.
    pub(crate) unauthorized: usize,
    /// When it last steered, the oldest first.
    pub(crate) steered: VecDeque<Instant>,
}

/// What a connection wants to hear, beside what it may.
#[derive(Debug, Default)]
struct Wants {
    tools: bool,
    /// Of conversations only those that it has named.
    only_named: bool,
    /// That the list of conversations changes.
    list: AtomicBool,
    named: Mutex<HashSet<String>>,
}

/// Ends a connection from elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    token: CancellationToken,
    why: Arc<OnceLock<(u16, String)>>,
}

impl Ending {
    /// Ends it; the first reason counts.
    pub(crate) fn end(&self, code: u16, reason: &str) {
        let _ = self.why.set((code, reason.to_owned()));
        self.token.cancel();
    }

    /// Waits for the end: code and reason of the close frame.
    pub(crate) async fn ended(&self) -> (u16, String) {
        self.token.cancelled().await;
        self.why.get().cloned().unwrap_or_default()
    }
}

/// The other end of a client's queue, for the task that writes to its socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: mpsc::UnboundedReceiver<String>,
    queued: Arc<AtomicUsize>,
    /// Comes when the connection is to be closed.
    pub(crate) ending: Ending,
}

impl Outbox {
    /// The next frame to write.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let text = self.waiting.recv().await?;
        self.queued.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }

    /// The next frame, if there is one now.
    pub(crate) fn ready(&mut self) -> Option<String> {
        let text = self.waiting.try_recv().ok()?;
        self.queued.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }
}

impl Client {
    /// A client and its outbox.
    pub(crate) fn new(id: &str, who: Who) -> (Arc<Self>, Outbox) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let ending = Ending::default();
        let outbox = Outbox { waiting, queued: queued.clone(), ending: ending.clone() };
        let can = |cap: &str| who.caps.iter().any(|it| it == cap);
        let wants =
            Wants { tools: can(CAP_TOOL_EVENTS), only_named: can(CAP_SESSION_SCOPED), ..Wants::default() };
        let (id, seq, conduct) = (id.to_owned(), AtomicU64::new(0), Mutex::default());
        (Arc::new(Self { id, who, conduct, wants, queue, queued, seq, ending }), outbox)
    }

    /// Whether it may do what asks for `scope`.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.who.scopes.allow(scope)
    }

    /// Bytes that wait to be written to it.
    pub(crate) fn waiting(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether what it was told goes out as it comes.
    pub(crate) fn is_keeping_up(&self) -> bool {
        !self.is_full()
    }

    /// Closes the connection.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.ending.end(code, reason);
    }

    /// Whether it wants the steps of tools.
    pub(crate) fn wants_tools(&self) -> bool {
        self.wants.tools
    }

    /// Whether it wants to hear that the list of conversations changes.
    pub(crate) fn wants_list(&self) -> bool {
        self.wants.list.load(Ordering::Relaxed)
    }

    /// It wants to hear, or no longer, that the list of conversations changes.
    pub(crate) fn subscribe_list(&self, wanted: bool) {
        self.wants.list.store(wanted, Ordering::Relaxed);
    }

    /// Whether it has asked for the messages of this conversation.
    pub(crate) fn has_named(&self, key: &str) -> bool {
        self.named().contains(key)
    }

    /// It wants to hear the messages of a conversation, or no longer. False where it has named too many.
    pub(crate) fn subscribe(&self, key: &str, wanted: bool) -> bool {
        let mut named = self.named();
        if !wanted {
            named.remove(key);
        } else if !named.contains(key) {
            if named.len() >= SUBSCRIPTIONS {
                return false;
            }
            named.insert(key.to_owned());
        }
        true
    }

    /// Whether what happens in this conversation is for it.
    pub(crate) fn hears_of(&self, key: &str) -> bool {
        !self.wants.only_named || self.has_named(key)
    }

    /// Whether it follows what is said in this conversation: by its name, or with the list of all.
    pub(crate) fn follows(&self, key: &str) -> bool {
        self.has_named(key) || (self.wants_list() && self.hears_of(key))
    }

    fn hears(&self, name: Name) -> bool {
        match name.row().hears {
            Hears::Everybody => true,
            Hears::With(scope) => self.may(scope),
            Hears::OneAlone => false,
        }
    }

    fn named(&self) -> MutexGuard<'_, HashSet<String>> {
        self.wants.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a response. A client that leaves too much unread is closed.
    pub(crate) fn respond(&self, text: String) {
        if self.is_full() {
            self.close(close::POLICY, TOO_SLOW);
            return;
        }
        self.push(text);
    }

    /// Queues an event that is for this connection alone, uncounted.
    pub(crate) fn tell_alone(&self, name: Name, payload: &impl Serialize) {
        let body = to_raw_value(payload).expect("an event's payload always writes");
        self.respond(frame::write_event(name.row().wire, &body, None, None));
    }

    /// Queues an event, and counts it. False where it was dropped.
    pub(crate) fn tell(
        &self,
        name: Name,
        body: &RawValue,
        slow: WhenSlow,
        versions: Option<StateVersion>,
    ) -> bool {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let is_full = self.is_full();
        match (is_full, slow) {
            (false, _) => self.push(frame::write_event(name.row().wire, body, Some(seq), versions)),
            (true, WhenSlow::Skip) => {}
            (true, WhenSlow::Close) => self.close(close::POLICY, TOO_SLOW),
        }
        !is_full
    }

    fn is_full(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > POLICY.max_buffered_bytes
    }

    fn push(&self, text: String) {
        self.queued.fetch_add(text.len(), Ordering::Relaxed);
        // A connection that has just gone takes nothing more.
        let _ = self.queue.send(text);
    }
}

/// Everybody who has said hello.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    clients: Mutex<HashMap<String, Arc<Client>>>,
    dropped: AtomicU64,
}

impl Audience {
    /// Lets a client in.
    pub(crate) fn join(&self, client: Arc<Client>) {
        self.lock().insert(client.id.clone(), client);
    }

    /// Lets it go.
    pub(crate) fn leave(&self, id: &str) {
        self.lock().remove(id);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Those connections, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// Tells everybody who may hear it.
    pub(crate) fn tell(&self, name: Name, payload: &impl Serialize) {
        self.tell_those(name, payload, name.row().slow, |_| true);
    }

    /// Tells those whom a conversation concerns.
    pub(crate) fn tell_session(
        &self,
        name: Name,
        key: &str,
        payload: &impl Serialize,
        wants: impl Fn(&Client) -> bool,
    ) {
        self.tell_those(name, payload, name.row().slow, |it| it.hears_of(key) && wants(it));
        self.tell_nodes(name, key, payload);
    }

    /// Tells nodes, which hear of the conversations that they have named and of nothing else.
    pub(crate) fn tell_nodes(&self, name: Name, key: &str, payload: &impl Serialize) {
        for node in self.lock().values().filter(|it| it.who.role == Role::Node && it.has_named(key)) {
            node.tell_alone(name, payload);
        }
    }

    /// Tells those among them that `wants` picks.
    pub(crate) fn tell_those(
        &self,
        name: Name,
        payload: &impl Serialize,
        slow: WhenSlow,
        wants: impl Fn(&Client) -> bool,
    ) {
        let clients = self.lock();
        let mut body: Option<Box<RawValue>> = None;
        for client in clients.values().filter(|it| it.hears(name) && wants(it)) {
            // Written only once somebody hears it, and once for all of them.
            let body =
                body.get_or_insert_with(|| to_raw_value(payload).expect("an event's payload always writes"));
            self.note(client.tell(name, body, slow, None));
        }
    }

    /// Tells everybody who may hear it of a snapshot that has changed; it is made only where somebody does.
    pub(crate) fn tell_version<T: Serialize>(
        &self,
        name: Name,
        versions: StateVersion,
        snapshot: impl FnOnce() -> T,
    ) {
        let hearers: Vec<_> = self.lock().values().filter(|it| it.hears(name)).cloned().collect();
        if hearers.is_empty() {
            return;
        }
        let body = to_raw_value(&snapshot()).expect("an event's payload always writes");
        for client in hearers {
            self.note(client.tell(name, &body, name.row().slow, Some(versions)));
        }
    }

    fn note(&self, is_told: bool) {
        self.dropped.fetch_add(u64::from(!is_told), Ordering::Relaxed);
    }

    /// Events that did not reach somebody who reads too slowly.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn client(id: &str, scopes: &[&str]) -> (Arc<Client>, Outbox) {
        let scopes: Vec<_> = scopes.iter().map(|it| (*it).to_owned()).collect();
        Client::new(id, who(Scopes::asked(&scopes), &[]))
    }

    fn who(scopes: Scopes, caps: &[&str]) -> Who {
        let text = |it: &str| it.to_owned();
        Who {
            program: text("test"),
            client: protocol::connect::Client {
                id: text("test"),
                version: text("1"),
                platform: text("linux"),
                mode: text("test"),
                display_name: None,
                device_family: None,
                model_identifier: None,
                instance_id: None,
            },
            role: Role::Operator,
            scopes,
            caps: caps.iter().map(|it| text(it)).collect(),
            surface: protocol::nodes::Surface::default(),
            device: None,
            address: None,
        }
    }

    fn frames(outbox: &mut Outbox) -> Vec<Value> {
        std::iter::from_fn(|| outbox.ready()).map(|it| serde_json::from_str(&it).expect("JSON")).collect()
    }

    #[test]
    fn an_event_reaches_those_who_may_hear_it_counted_for_each() {
        let audience = Audience::default();
        let (reader, mut heard) = client("a", &["operator.read"]);
        let (nobody, mut silent) = client("b", &[]);
        audience.join(reader);
        audience.join(nobody);
        audience.tell(Name::Chat, &json!({"n": 1}));
        audience.tell(Name::Tick, &json!({"ts": 2}));
        let heard = frames(&mut heard);
        assert_eq!(heard.iter().map(|it| it["seq"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert_eq!(heard[0]["payload"], json!({"n": 1}));
        let silent = frames(&mut silent);
        assert_eq!((silent.len(), &silent[0]["event"], &silent[0]["seq"]), (1, &json!("tick"), &json!(1)));
        audience.leave("a");
        assert_eq!(audience.count(), 1);
    }

    #[test]
    fn who_reads_too_slowly_misses_what_may_be_missed_and_is_closed_at_the_rest() {
        let (slow, mut outbox) = client("a", &["operator.read"]);
        slow.respond("x".repeat(POLICY.max_buffered_bytes + 1));
        let body = to_raw_value(&json!({})).expect("JSON");
        slow.tell(Name::Tick, &body, WhenSlow::Skip, None);
        assert!(!outbox.ending.token.is_cancelled());
        slow.tell(Name::Chat, &body, WhenSlow::Close, None);
        assert_eq!(outbox.ending.why.get(), Some(&(close::POLICY, TOO_SLOW.to_owned())));
        outbox.ready().expect("the long one");
        slow.tell(Name::Tick, &body, WhenSlow::Skip, None);
        assert_eq!(frames(&mut outbox)[0]["seq"], 3, "the gap tells that two were lost");
    }

    #[test]
    fn who_wants_to_hear_of_named_conversations_alone_hears_of_no_other() {
        let audience = Audience::default();
        let scopes = Scopes::asked(&["operator.read".to_owned()]);
        let (client, mut outbox) = Client::new("a", who(scopes, &[CAP_SESSION_SCOPED]));
        audience.join(client.clone());
        let tell = |key: &str| audience.tell_session(Name::Chat, key, &json!({"key": key}), |_| true);
        tell("one");
        assert!(client.subscribe("one", true));
        tell("one");
        tell("two");
        assert!(client.subscribe("one", false));
        tell("one");
        let heard = frames(&mut outbox);
        assert_eq!(
            (heard.len(), &heard[0]["payload"]["key"], &heard[0]["seq"]),
            (1, &json!("one"), &json!(1))
        );
        for at in 0..SUBSCRIPTIONS {
            assert!(client.subscribe(&at.to_string(), true));
        }
        assert!(!client.subscribe("one more", true) && client.subscribe("0", true));
    }
}
