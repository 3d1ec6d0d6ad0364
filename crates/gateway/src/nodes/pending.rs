//! What waits for a node that sleeps or is in the background: bounded, and gone when its time is over. It is kept in
//! memory only, as a request of yesterday is worth nothing to anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::clock;
use protocol::Refusal;
use protocol::nodes::{
    Acked, Action, Drained, EnqueueParams, Enqueued, NodeError, Priority, ProgressParams, Pulled, Work,
    WorkItem,
};
use serde_json::json;

use super::{check, id};
use crate::audience::Client;
use crate::limits::{NODE_ACTION_MS, NODE_ACTIONS, NODE_WORK_MS, PROGRESS_BYTES};
use crate::state::Gateway;

/// How much a node takes at once where it says nothing else.
const TAKEN: usize = 4;
/// How much it may take at once.
const MOST_TAKEN: usize = 10;
/// The id of what is always asked for.
const BASELINE: &str = "baseline-status";

/// By node.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, Queue>>);

/// What waits for one node.
#[derive(Debug, Default)]
struct Queue {
    revision: u64,
    work: Vec<WorkItem>,
    /// With the key by which a repetition is known.
    actions: Vec<(Action, String)>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node is known no longer.
    pub(super) fn forget(&self, node: &str) {
        self.lock().remove(node);
    }

    /// Does something with what waits for a node, without what is over.
    fn with<T>(&self, node: &str, now: u64, act: impl FnOnce(&mut Queue) -> T) -> T {
        let mut all = self.lock();
        let queue = all.entry(node.to_owned()).or_default();
        queue.forget_old(now);
        let done = act(queue);
        if queue.work.is_empty() && queue.actions.is_empty() && queue.revision == 0 {
            all.remove(node);
        }
        done
    }
}

impl Queue {
    fn forget_old(&mut self, now: u64) {
        let before = self.work.len();
        self.work.retain(|it| it.expires_at_ms.is_none_or(|end| end > now));
        self.revision += u64::from(self.work.len() != before);
        self.actions.retain(|(it, _)| it.enqueued_at_ms + NODE_ACTION_MS > now);
    }

    fn enqueue(&mut self, work: Work, priority: Priority, end: u64, now: u64) -> WorkItem {
        if let Some(waits) = self.work.iter().find(|it| it.work == work) {
            return waits.clone();
        }
        let id = uuid::Uuid::new_v4().to_string();
        let item = WorkItem { id, work, priority, created_at_ms: now, expires_at_ms: Some(end) };
        self.work.push(item.clone());
        self.revision += 1;
        item
    }

    fn drain(&mut self, most: usize, now: u64) -> (Vec<WorkItem>, bool) {
        self.work.sort_by_key(|it| (std::cmp::Reverse(it.priority), it.created_at_ms));
        let asks_status = self.work.iter().any(|it| it.work == Work::Status);
        let mut items: Vec<WorkItem> = self.work.drain(..most.min(self.work.len())).collect();
        self.revision += u64::from(!items.is_empty());
        let has_room = items.len() < most;
        if !asks_status && has_room {
            items.push(WorkItem {
                id: BASELINE.to_owned(),
                work: Work::Status,
                priority: Priority::Default,
                created_at_ms: now,
                expires_at_ms: None,
            });
        }
        (items, !self.work.is_empty() || (!asks_status && !has_room))
    }

    fn put_aside(&mut self, command: &str, params_json: Option<String>, key: &str, now: u64) -> String {
        if let Some((waits, _)) = self.actions.iter().find(|(_, it)| it == key) {
            return waits.id.clone();
        }
        if self.actions.len() >= NODE_ACTIONS {
            self.actions.remove(0);
        }
        let id = uuid::Uuid::new_v4().to_string();
        let action = Action { id: id.clone(), command: command.to_owned(), params_json, enqueued_at_ms: now };
        self.actions.push((action, key.to_owned()));
        id
    }
}

/// Notes what a node should do when it comes.
pub(crate) fn enqueue(gateway: &Gateway, params: EnqueueParams) -> Result<Enqueued, Refusal> {
    let bad = |why: &str| Refusal::invalid(format!("invalid node.pending.enqueue params: at {why}"));
    if params.priority == Some(Priority::Default) {
        return Err(bad("/priority: must be normal or high"));
    }
    let span = params.expires_in_ms.unwrap_or(NODE_WORK_MS);
    if !(1000..=NODE_WORK_MS).contains(&span) {
        return Err(bad(&format!("/expiresInMs: 1000 to {NODE_WORK_MS} are allowed")));
    }
    let node = gateway.node_of(params.node_id.trim())?.about.node_id;
    let (now, priority) = (clock::now_ms(), params.priority.unwrap_or(Priority::Normal));
    let (revision, queued) = gateway.nodes.waiting.with(&node, now, |queue| {
        let item = queue.enqueue(params.work, priority, now + span, now);
        (queue.revision, item)
    });
    Ok(Enqueued { node_id: node, revision, queued, wake_triggered: false })
}

/// The node takes what it should do.
pub(crate) fn drain(gateway: &Gateway, client: &Client, most: Option<usize>) -> Result<Drained, Refusal> {
    let most = most.unwrap_or(TAKEN);
    if !(1..=MOST_TAKEN).contains(&most) {
        let text = format!("invalid node.pending.drain params: at /maxItems: 1 to {MOST_TAKEN} are allowed");
        return Err(Refusal::invalid(text));
    }
    let (node, now) = (known(gateway, client)?, clock::now_ms());
    let (revision, (items, has_more)) = gateway.nodes.waiting.with(&node, now, |queue| {
        let drained = queue.drain(most, now);
        (queue.revision, drained)
    });
    Ok(Drained { node_id: node, revision, items, has_more })
}

/// Commands that the node could not do in the background, as far as it may still be asked for them.
pub(crate) fn pull(gateway: &Gateway, client: &Client) -> Result<Pulled, Refusal> {
    let node = known(gateway, client)?;
    let actions = gateway.nodes.waiting.with(&node, clock::now_ms(), |queue| {
        queue.actions.retain(|(it, _)| check(gateway, client, &it.command).is_ok());
        queue.actions.iter().map(|(it, _)| it.clone()).collect()
    });
    Ok(Pulled { node_id: node, actions })
}

/// The node has done some of them.
pub(crate) fn ack(gateway: &Gateway, client: &Client, ids: Vec<String>) -> Result<Acked, Refusal> {
    if ids.is_empty() {
        return Err(Refusal::invalid("invalid node.pending.ack params: at /ids: at least one is needed"));
    }
    let node = known(gateway, client)?;
    let remaining_count = gateway.nodes.waiting.with(&node, clock::now_ms(), |queue| {
        queue.actions.retain(|(it, _)| !ids.contains(&it.id));
        queue.actions.len()
    });
    Ok(Acked { node_id: node, acked_ids: ids, remaining_count })
}

/// Checks a piece of a result under way.
pub(crate) fn check_progress(client: &Client, params: &ProgressParams) -> Result<(), Refusal> {
    if id(client) != Some(params.node_id.as_str()) {
        return Err(Refusal::invalid("nodeId mismatch"));
    }
    if params.chunk.len() > PROGRESS_BYTES {
        return Err(Refusal::invalid("progress chunk too large"));
    }
    Ok(())
}

/// Puts a command aside that a telephone can do only while its owner looks at it. `None` where the failure is another.
pub(super) fn put_aside(
    gateway: &Gateway,
    node: &Arc<Client>,
    asked: &protocol::nodes::InvokeRequest,
    error: &NodeError,
) -> Option<Refusal> {
    let platform = node.who.client.platform.trim().to_ascii_lowercase();
    let of_foreground = ["canvas.", "camera.", "screen.", "talk."];
    let message = error.message.as_deref().unwrap_or_default().to_ascii_uppercase();
    let is_background = error.code.as_deref() == Some("NODE_BACKGROUND_UNAVAILABLE")
        || message.contains("BACKGROUND_UNAVAILABLE");
    if !(platform.starts_with("ios") || platform.starts_with("ipados"))
        || !of_foreground.iter().any(|it| asked.command.starts_with(it))
        || !is_background
    {
        return None;
    }
    let queued = gateway.nodes.waiting.with(&asked.node_id, clock::now_ms(), |queue| {
        queue.put_aside(&asked.command, asked.params_json.clone(), &asked.idempotency_key, clock::now_ms())
    });
    let details = json!({
        "code": "QUEUED_UNTIL_FOREGROUND", "queuedActionId": queued, "nodeId": asked.node_id,
        "command": asked.command, "wake": {"path": "none", "available": false, "throttled": false},
        "nodeError": error,
    });
    let text = "node command queued until iOS returns to foreground";
    Some(Refusal::unavailable(text).retryable().details(details))
}

/// The id of the node that calls, where it is known and this is its connection.
fn known(gateway: &Gateway, client: &Client) -> Result<String, Refusal> {
    let node = id(client).unwrap_or_default();
    if gateway.nodes.connection(node).is_some_and(|it| it.id == client.id) && gateway.is_approved(client) {
        return Ok(node.to_owned());
    }
    let text = "node pairing changed while pending work was active";
    Err(Refusal::unavailable(text).retryable().details(json!({"code": "PAIRING_CHANGED"})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_once_the_urgent_first_and_not_for_ever() {
        let waiting = Waiting::default();
        let item = |work, priority, end| waiting.with("n", 10, |it| it.enqueue(work, priority, end, 10));
        let location = item(Work::Location, Priority::Normal, 100);
        assert_eq!(item(Work::Location, Priority::High, 200), location, "one of a kind");
        let taken = |now, most| waiting.with("n", now, |it| it.drain(most, now));
        let (items, has_more) = taken(20, 1);
        assert_eq!((items, has_more), (vec![location], true), "the status follows");
        let (items, has_more) = taken(20, 4);
        assert_eq!((items[0].id.as_str(), items.len(), has_more), (BASELINE, 1, false));
        item(Work::Location, Priority::Normal, 100);
        let status = item(Work::Status, Priority::High, 100);
        assert_eq!(taken(20, 1), (vec![status], true));
        assert_eq!(taken(100, 4).0[0].id, BASELINE, "the location's time is over");
    }

    #[test]
    fn what_was_put_aside_is_bounded_and_known_by_its_key() {
        let waiting = Waiting::default();
        let aside = |key: &str, now| waiting.with("n", now, |it| it.put_aside("camera.snap", None, key, now));
        let first = aside("k", 1);
        assert_eq!(aside("k", 2), first);
        for at in 0..NODE_ACTIONS {
            aside(&at.to_string(), 2);
        }
        let ids = |now| {
            waiting.with("n", now, |it| it.actions.iter().map(|(it, _)| it.id.clone()).collect::<Vec<_>>())
        };
        let left = ids(2);
        assert!(left.len() == NODE_ACTIONS && !left.contains(&first), "the oldest went");
        assert!(ids(2 + NODE_ACTION_MS).is_empty());
    }
}
