//! Approvals as they stand, and those that have ended: what is remembered of them while the gateway runs.

use std::cmp::Reverse;

use protocol::Refusal;
use protocol::approvals::{
    DecideParams, DecideReply, Ended, HistoryParams, HistoryReply, Kind, Presentation, Resolver, Snapshot,
    Source, Status,
};
use serde_json::json;

use super::{ABORTED, EXPIRED, NO_ROUTE, Request, Settled, allowed};
use crate::audience::Client;
use crate::state::Gateway;

/// How many a page has where nothing else is asked for.
const PAGE: usize = 50;
/// How many it may have.
const LONGEST_PAGE: usize = 100;

/// One, while it waits and after.
pub(crate) fn look(gateway: &Gateway, id: &str) -> Result<Snapshot, Refusal> {
    gateway.approvals.find(id).map(|it| snapshot(&it)).ok_or_else(none)
}

/// Takes a decision, or says which one was taken before.
pub(crate) fn decide(
    gateway: &Gateway,
    client: &Client,
    params: &DecideParams,
) -> Result<DecideReply, Refusal> {
    if params.grant_expires_in_days.is_some() {
        let text = "invalid approval.resolve params: at /grantExpiresInDays: what is always allowed has no end \
                    here; take it back with exec.approvals.set";
        return Err(Refusal::invalid(text));
    }
    let found = gateway.approvals.find(&params.id);
    let found = found.filter(|_| params.kind == Kind::Exec && params.reviewer.is_none()).ok_or_else(none)?;
    if !found.is_open() {
        return Ok(DecideReply { applied: false, approval: snapshot(&found) });
    }
    super::check_allowed(&found, params.decision)?;
    let applied = found.settle(gateway, Settled::person(params.decision, client));
    Ok(DecideReply { applied, approval: snapshot(&found) })
}

/// Those that have ended, the last one first.
pub(crate) fn history(gateway: &Gateway, params: &HistoryParams) -> Result<HistoryReply, Refusal> {
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        let text = format!("invalid approval.history params: at /limit: 1 to {LONGEST_PAGE} are allowed");
        return Err(Refusal::invalid(text));
    }
    let after = params.cursor.as_deref().map(place).transpose()?;
    if params.kind.is_some_and(|it| it != Kind::Exec) {
        return Ok(HistoryReply { items: Vec::new(), next_cursor: None });
    }
    let ended = gateway.approvals.lock().iter().filter(|it| !it.is_open()).map(|it| snapshot(it)).collect();
    Ok(page(ended, after.as_ref(), limit))
}

fn page(mut ended: Vec<Snapshot>, after: Option<&(u64, String)>, limit: usize) -> HistoryReply {
    let place_of = |it: &Snapshot| (it.end.as_ref().map_or(0, |end| end.resolved_at_ms), it.id.clone());
    ended.sort_by_cached_key(|it| Reverse(place_of(it)));
    ended.retain(|it| after.is_none_or(|after| place_of(it) < *after));
    let has_more = ended.len() > limit;
    ended.truncate(limit);
    let last = ended.last().filter(|_| has_more).map(place_of);
    HistoryReply { items: ended, next_cursor: last.map(|(at, id)| format!("{at}.{id}")) }
}

/// When and which one was the last of a page.
fn place(cursor: &str) -> Result<(u64, String), Refusal> {
    let read = cursor.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    read.ok_or_else(|| Refusal::invalid("invalid approval.history cursor"))
}

fn snapshot(request: &Request) -> Snapshot {
    let pending = &request.pending;
    let asked = &pending.request;
    let text = asked.command.clone().unwrap_or_default();
    let presentation = Presentation {
        kind: Kind::Exec,
        command_preview: Some(text.clone()),
        command_text: text,
        warning_text: asked.warning_text.clone(),
        host: asked.host.clone(),
        node_id: asked.node_id.clone(),
        agent_id: asked.agent_id.clone(),
        allowed_decisions: allowed(asked),
    };
    let settled = request.settled.borrow().clone();
    let source = Source { agent_id: asked.agent_id.clone(), session_key: asked.session_key.clone() };
    Snapshot {
        id: pending.id.clone(),
        status: settled.as_ref().map_or(Status::Pending, status),
        presentation,
        url_path: format!("/approve/{}", escaped(&pending.id)),
        created_at_ms: pending.created_at_ms,
        expires_at_ms: pending.expires_at_ms,
        end: settled.map(|it| Ended {
            resolved_at_ms: it.at,
            reason: reason(it.reason).to_owned(),
            decision: it.decision,
            source,
            resolver: it.resolver,
        }),
    }
}

fn status(settled: &Settled) -> Status {
    use protocol::approvals::Decision::{AllowAlways, AllowOnce, Deny};
    match settled.decision {
        Some(AllowOnce | AllowAlways) => Status::Allowed,
        Some(Deny) => Status::Denied,
        None if settled.reason == NO_ROUTE => Status::Denied,
        None if settled.reason == EXPIRED => Status::Expired,
        None => Status::Cancelled,
    }
}

/// The word that this family of methods has for it.
fn reason(word: &'static str) -> &'static str {
    match word {
        NO_ROUTE => "no-route",
        EXPIRED => "timeout",
        ABORTED => "run-aborted",
        other => other,
    }
}

/// Who decides, as it is remembered.
pub(super) fn resolver(client: &Client) -> Resolver {
    match &client.who.device {
        Some(id) => Resolver { kind: "device".to_owned(), id: id.clone() },
        None => Resolver { kind: "runtime".to_owned(), id: client.who.client.id.clone() },
    }
}

/// An id may be anything that its asker liked: in a path it is letters, digits, dashes and what stands for the rest.
fn escaped(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

fn none() -> Refusal {
    Refusal::invalid("approval not found").details(json!({"reason": "APPROVAL_NOT_FOUND"}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::approvals::{Asked, Pending};
    use tokio::sync::watch;
    use tokio::time::Instant;

    fn ended(id: &str, at: u64) -> Snapshot {
        let pending = Pending {
            id: id.to_owned(),
            approval_kind: "exec".to_owned(),
            request: Asked::default(),
            created_at_ms: 0,
            expires_at_ms: 0,
        };
        let settled = Settled { at, ..Settled::nobody(EXPIRED) };
        let settled = watch::Sender::new(Some(settled));
        snapshot(&Request { pending, deadline: Instant::now(), settled })
    }

    #[tokio::test]
    async fn pages_have_every_one_once_the_last_first() {
        let all = || vec![ended("a", 1), ended("b", 3), ended("c", 2), ended("d", 2)];
        let ids = |it: &HistoryReply| it.items.iter().map(|it| it.id.clone()).collect::<Vec<_>>().join(" ");
        let first = page(all(), None, 2);
        assert_eq!((ids(&first).as_str(), first.next_cursor.as_deref()), ("b d", Some("2.d")));
        let after = place(first.next_cursor.as_deref().expect("more")).expect("a place");
        let second = page(all(), Some(&after), 2);
        assert_eq!((ids(&second).as_str(), second.next_cursor), ("c a", None));
        for bad in ["", "x", "x.y"] {
            assert_eq!(place(bad).expect_err(bad).message, "invalid approval.history cursor");
        }
    }

    #[tokio::test]
    async fn each_end_has_its_status_and_reason() {
        for (word, expected) in
            [(NO_ROUTE, "denied no-route"), (EXPIRED, "expired timeout"), (ABORTED, "cancelled run-aborted")]
        {
            let told = format!("{:?} {}", status(&Settled::nobody(word)), reason(word)).to_lowercase();
            assert_eq!(told, expected);
        }
        assert_eq!(escaped("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
