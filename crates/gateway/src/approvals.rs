//! Approvals: whether a command runs, whom that is asked, and what was decided. A request waits for its decision by
//! itself: who asked and who might decide may come and go.

mod gate;
mod ledger;
mod policy;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock;
use protocol::approvals::{Asked, Decided, Decision, Pending, Resolved, Resolver};
use protocol::event::Name;
use protocol::{Refusal, Role, Scope};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::audience::Client;
use crate::limits::{APPROVAL, APPROVAL_BYTES, APPROVALS, LONGEST_APPROVAL, REMEMBERED_APPROVALS};
use crate::state::Gateway;
use crate::supervisor::Stage;

pub(crate) use gate::{Held, Wish, guarded};
pub(crate) use ledger::{decide, history, look};

/// The requests of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Approvals {
    all: Mutex<Vec<Arc<Request>>>,
    /// One writer of the document at a time.
    writing: Mutex<()>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    /// What is told of it.
    pub(crate) pending: Pending,
    deadline: Instant,
    settled: watch::Sender<Option<Settled>>,
}

/// How a request ended.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    decision: Option<Decision>,
    reason: &'static str,
    by: Option<String>,
    resolver: Option<Resolver>,
    /// Unix milliseconds.
    at: u64,
}

impl Settled {
    fn nobody(reason: &'static str) -> Self {
        Self { decision: None, reason, by: None, resolver: None, at: clock::now_ms() }
    }

    fn person(decision: Decision, client: &Client) -> Self {
        let (by, resolver) = (Some(client.who.program.clone()), Some(ledger::resolver(client)));
        Self { decision: Some(decision), reason: "user", by, resolver, at: clock::now_ms() }
    }
}

/// What somebody wants to ask.
pub(crate) struct Question {
    /// Its id, where the asker has one.
    pub(crate) id: Option<String>,
    /// What is shown.
    pub(crate) asked: Asked,
    /// How long somebody is waited for.
    pub(crate) patience: Option<Duration>,
    /// The connection that asks: it is not told, and does not count as somebody who might decide.
    pub(crate) asker: Option<String>,
}

/// What somebody decided.
pub(crate) struct Answer<'a> {
    /// Of the request.
    pub(crate) id: &'a str,
    /// The word for it.
    pub(crate) decision: &'a str,
}

impl Request {
    /// Waits for the decision.
    pub(crate) async fn decided(&self) -> Decided {
        let settled = self.settled().await;
        Decided {
            id: self.pending.id.clone(),
            decision: settled.decision,
            created_at_ms: self.pending.created_at_ms,
            expires_at_ms: self.pending.expires_at_ms,
            terminal_reason: settled.reason.to_owned(),
        }
    }

    /// Whether somebody could be asked.
    pub(crate) fn has_route(&self) -> bool {
        self.settled.borrow().as_ref().is_none_or(|it| it.reason != NO_ROUTE)
    }

    fn is_open(&self) -> bool {
        self.settled.borrow().is_none()
    }

    async fn settled(&self) -> Settled {
        let mut watch = self.settled.subscribe();
        let settled = watch.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        settled.unwrap_or_else(|| Settled::nobody(ABORTED))
    }

    /// The first end counts. Says whether this was it.
    fn settle(&self, gateway: &Gateway, settled: Settled) -> bool {
        if !self.settled.send_if_modified(|it| it.is_none().then(|| *it = Some(settled.clone())).is_some()) {
            return false;
        }
        let resolved = Resolved {
            id: self.pending.id.clone(),
            decision: settled.decision,
            terminal_reason: settled.reason.to_owned(),
            resolved_by: settled.by,
            request: self.pending.request.clone(),
            ts: settled.at,
        };
        gateway.audience.tell(Name::ExecApprovalResolved, &resolved);
        true
    }
}

const NO_ROUTE: &str = "no-approval-route";
const EXPIRED: &str = "expired";
const ABORTED: &str = "aborted";

impl Approvals {
    /// What waits for a decision, the oldest first.
    pub(crate) fn open(&self) -> Vec<Arc<Request>> {
        self.lock().iter().filter(|it| it.is_open()).cloned().collect()
    }

    /// One of them, also when it has ended a while ago.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Request>> {
        self.lock().iter().find(|it| it.pending.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: Arc<Request>) -> Result<(), Refusal> {
        let mut all = self.lock();
        if all.iter().any(|it| it.pending.id == request.pending.id) {
            return Err(Refusal::invalid("approval id already pending"));
        }
        if all.iter().filter(|it| it.is_open()).count() >= APPROVALS {
            let text = format!("{APPROVALS} approvals wait for a decision already");
            return Err(Refusal::unavailable(text).retryable());
        }
        if all.len() >= APPROVALS + REMEMBERED_APPROVALS
            && let Some(at) = all.iter().position(|it| !it.is_open())
        {
            all.remove(at);
        }
        all.push(request);
        Ok(())
    }
}

/// Asks whoever may decide. Where there is nobody, that is the end of it.
pub(crate) fn ask(gateway: &Arc<Gateway>, question: Question) -> Result<Arc<Request>, Refusal> {
    let Question { id, asked, patience, asker } = question;
    let length = serde_json::to_string(&asked).map_or(usize::MAX, |it| it.len());
    let id = id.filter(|it| !it.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    // What is shown is shown as a whole, or not at all.
    if length > APPROVAL_BYTES || id.len() > 200 {
        return Err(Refusal::invalid(format!(
            "the command is too long to be shown to a person ({length} bytes; at most {APPROVAL_BYTES})"
        )));
    }
    let patience = patience.unwrap_or(APPROVAL).clamp(Duration::from_millis(1), LONGEST_APPROVAL);
    let created_at_ms = clock::now_ms();
    let pending = Pending {
        id,
        approval_kind: "exec".to_owned(),
        request: asked,
        created_at_ms,
        expires_at_ms: created_at_ms + u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
    };
    let deadline = Instant::now() + patience;
    let request = Arc::new(Request { pending, deadline, settled: watch::Sender::default() });
    gateway.approvals.add(request.clone())?;
    let decides = |it: &Client| may_decide(it) && asker.as_deref() != Some(it.id.as_str());
    if !gateway.audience.all().iter().any(|it| decides(it)) {
        request.settle(gateway, Settled::nobody(NO_ROUTE));
        return Ok(request);
    }
    let slow = Name::ExecApprovalRequested.row().slow;
    let told = |it: &Client| asker.as_deref() != Some(it.id.as_str());
    gateway.audience.tell_those(Name::ExecApprovalRequested, &request.pending, slow, told);
    let (own, waited) = (gateway.clone(), request.clone());
    gateway.supervisor.start(Stage::Work, "an approval", |stop| async move {
        let end = tokio::select! {
            it = timeout_at(waited.deadline, waited.settled()) => it.err().map(|_| EXPIRED),
            () = stop.cancelled() => Some(ABORTED),
        };
        if let Some(reason) = end {
            waited.settle(&own, Settled::nobody(reason));
        }
    });
    Ok(request)
}

/// Whether somebody is there who could decide. A command on the control socket waits for something else.
fn may_decide(client: &Client) -> bool {
    let who = &client.who;
    let is_command = who.address.is_none() && who.client.id == "cli";
    who.role == Role::Operator && client.may(Scope::Approvals) && !is_command
}

/// Takes a decision.
pub(crate) fn resolve(gateway: &Gateway, client: &Client, answer: &Answer<'_>) -> Result<(), Refusal> {
    let found = gateway.approvals.find(answer.id).filter(|it| it.is_open()).ok_or_else(unknown)?;
    let decision = serde_json::from_value::<Decision>(answer.decision.into());
    let decision = decision.map_err(|_| Refusal::invalid("invalid decision"))?;
    check_allowed(&found, decision)?;
    if found.settle(gateway, Settled::person(decision, client)) { Ok(()) } else { Err(unknown()) }
}

/// Whether a decision is one of those that were offered.
fn check_allowed(request: &Request, decision: Decision) -> Result<(), Refusal> {
    let allowed = allowed(&request.pending.request);
    if allowed.contains(&decision) {
        return Ok(());
    }
    let word = serde_json::to_value(decision).unwrap_or_default();
    let text =
        format!("invalid decision: {} is not offered for this command", word.as_str().unwrap_or_default());
    Err(Refusal::invalid(text).details(json!({"allowedDecisions": allowed})))
}

/// The decisions that there are for what is asked.
pub(crate) fn allowed(asked: &Asked) -> Vec<Decision> {
    let all = || vec![Decision::AllowOnce, Decision::AllowAlways, Decision::Deny];
    asked.allowed_decisions.clone().unwrap_or_else(all)
}

/// There is none of that id that waits.
pub(crate) fn unknown() -> Refusal {
    Refusal::invalid("unknown or expired approval id").details(json!({
        "reason": "APPROVAL_NOT_FOUND", "remediation": "list what waits with exec.approval.list",
    }))
}

/// The document, for people and programs.
pub(crate) fn document(gateway: &Gateway) -> Result<protocol::approvals::Policy, Refusal> {
    let it = policy::read(&gateway.instance.state_dir).map_err(Refusal::unavailable)?;
    let defaults = it.document.policy("", gate::of_config(gateway));
    Ok(protocol::approvals::Policy {
        path: it.path.display().to_string(),
        exists: it.exists,
        hash: it.hash.clone(),
        file: it.shown(),
        resolved_defaults: json!({
            "security": defaults.security, "ask": defaults.ask, "askFallback": defaults.fallback,
        }),
    })
}

/// Puts another document in its place, which must be the one that the caller has read.
pub(crate) fn replace_document(
    gateway: &Gateway,
    file: Map<String, Value>,
    base_hash: Option<&str>,
) -> Result<(), Refusal> {
    let _one = gateway.approvals.writing.lock().unwrap_or_else(PoisonError::into_inner);
    let before = policy::read(&gateway.instance.state_dir).map_err(Refusal::unavailable)?;
    match base_hash {
        None if before.exists => {
            return Err(Refusal::invalid(
                "exec approvals base hash required: read them with exec.approvals.get and try again",
            ));
        }
        Some(it) if before.exists && it != before.hash => {
            return Err(Refusal::invalid(
                "exec approvals have changed since they were read: read them with exec.approvals.get and try again",
            ));
        }
        _ => {}
    }
    let after = policy::replaced(&before, file)
        .map_err(|why| Refusal::invalid(format!("invalid exec.approvals.set params: at /file: {why}")))?;
    policy::write(&before.path, &after).map_err(Refusal::unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> Arc<Request> {
        let pending = Pending {
            id: id.to_owned(),
            approval_kind: "exec".to_owned(),
            request: Asked::default(),
            created_at_ms: 0,
            expires_at_ms: 0,
        };
        Arc::new(Request { pending, deadline: Instant::now(), settled: watch::Sender::default() })
    }

    #[tokio::test]
    async fn they_are_bounded_and_the_ended_ones_go_first() {
        let approvals = Approvals::default();
        for at in 0..APPROVALS {
            approvals.add(request(&at.to_string())).expect("room");
        }
        assert_eq!(approvals.add(request("0")).expect_err("twice").message, "approval id already pending");
        assert_eq!(approvals.add(request("more")).expect_err("full").retryable, Some(true));
        for at in 0..(2 * REMEMBERED_APPROVALS) {
            let ended = request(&format!("ended {at}"));
            let first = approvals.open().into_iter().next().expect("one");
            first.settled.send_replace(Some(Settled::nobody(EXPIRED)));
            approvals.add(ended).expect("room");
        }
        assert_eq!(approvals.open().len(), APPROVALS);
        assert_eq!(approvals.lock().len(), APPROVALS + REMEMBERED_APPROVALS);
    }
}
