//! Who is connected, and how events reach them: written once, queued for each, bounded for each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::event::{Name, WhenSlow};
use protocol::{Scopes, frame};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::POLICY;

/// One connection that has said hello, as the rest of the gateway sees it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names the connection.
    pub(crate) id: String,
    /// What it calls itself.
    pub(crate) program: String,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Whether it wants the steps of tools.
    pub(crate) tool_events: bool,
    queue: mpsc::UnboundedSender<String>,
    queued: Arc<AtomicUsize>,
    seq: AtomicU64,
    too_slow: CancellationToken,
}

/// The other end of a client's queue, for the task that writes to its socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: mpsc::UnboundedReceiver<String>,
    queued: Arc<AtomicUsize>,
    /// Cancelled when the client reads too slowly to be kept.
    pub(crate) too_slow: CancellationToken,
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
    pub(crate) fn new(id: &str, program: &str, scopes: Scopes, tool_events: bool) -> (Arc<Self>, Outbox) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let too_slow = CancellationToken::new();
        let outbox = Outbox { waiting, queued: queued.clone(), too_slow: too_slow.clone() };
        let seq = AtomicU64::new(0);
        let (id, program) = (id.to_owned(), program.to_owned());
        let client = Self { id, program, scopes, tool_events, queue, queued, seq, too_slow };
        (Arc::new(client), outbox)
    }

    /// Queues a response. A client that leaves too much unread is closed.
    pub(crate) fn respond(&self, text: String) {
        if self.is_full() {
            self.too_slow.cancel();
            return;
        }
        self.push(text);
    }

    /// Queues an event, and counts it.
    pub(crate) fn tell(&self, name: &str, body: &RawValue, slow: WhenSlow) {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        match (self.is_full(), slow) {
            (false, _) => self.push(frame::write_event(name, body, Some(seq), None)),
            (true, WhenSlow::Skip) => {}
            (true, WhenSlow::Close) => self.too_slow.cancel(),
        }
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
pub(crate) struct Audience(Mutex<HashMap<String, Arc<Client>>>);

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

    /// Tells everybody who may hear it.
    pub(crate) fn tell(&self, name: Name, payload: &impl Serialize, slow: WhenSlow) {
        self.tell_those(name, payload, slow, |_| true);
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
        for client in clients.values().filter(|it| name.scope().is_none_or(|scope| it.scopes.allow(scope))) {
            if !wants(client) {
                continue;
            }
            // Written only once somebody hears it, and once for all of them.
            let body =
                body.get_or_insert_with(|| to_raw_value(payload).expect("an event's payload always writes"));
            client.tell(name.name(), body, slow);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Client>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn client(id: &str, scopes: &[&str]) -> (Arc<Client>, Outbox) {
        let scopes: Vec<_> = scopes.iter().map(|it| (*it).to_owned()).collect();
        Client::new(id, "test", Scopes::asked(&scopes), false)
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
        audience.tell(Name::Chat, &json!({"n": 1}), WhenSlow::Close);
        audience.tell(Name::Tick, &json!({"ts": 2}), WhenSlow::Skip);
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
        slow.tell("tick", &body, WhenSlow::Skip);
        assert!(!outbox.too_slow.is_cancelled());
        slow.tell("chat", &body, WhenSlow::Close);
        assert!(outbox.too_slow.is_cancelled());
        outbox.ready().expect("the long one");
        slow.tell("tick", &body, WhenSlow::Skip);
        assert_eq!(frames(&mut outbox)[0]["seq"], 3, "the gap tells that two were lost");
    }
}
