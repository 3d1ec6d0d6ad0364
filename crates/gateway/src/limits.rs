//! Every bound of the control plane, and who has failed to authenticate too often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use protocol::connect::Policy;

/// What `hello-ok` tells a client.
pub(crate) const POLICY: Policy =
    Policy { max_payload: 26_214_400, max_buffered_bytes: 52_428_800, tick_interval_ms: 30_000 };
/// Bytes that a connection may send before it is authenticated.
pub(crate) const BEFORE_AUTH_BYTES: usize = 65_536;
/// How long a connection has for its `connect`.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(15);
/// Connections from one address that are not authenticated yet.
pub(crate) const UNAUTHENTICATED: usize = 32;
/// Between two WebSocket pings; a peer that answers none until the next is gone.
pub(crate) const PING: Duration = Duration::from_secs(25);
/// How long a closed connection may take to say that it has understood.
pub(crate) const GOODBYE: Duration = Duration::from_millis(250);
/// Requests of one connection under way.
pub(crate) const REQUESTS: usize = 256;
/// Bytes of unread answers above which no further request of a connection is read.
pub(crate) const UNREAD: usize = 1024 * 1024;
/// How long one connection may be served without a pause while others wait.
pub(crate) const SLICE: Duration = Duration::from_micros(500);
/// Files that a gateway may open, connections included, where the system allows as many.
pub(crate) const FILES: u64 = 65_536;
/// Those of them that no connection gets: the store, the log, the control socket, models, tools.
pub(crate) const FILES_KEPT: usize = 128;
/// Connections that wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;
/// How long an HTTP client has for its headers.
pub(crate) const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of HTTP headers.
pub(crate) const HEADER_BYTES: usize = 16 * 1024;
/// How long an HTTP client has for its body.
pub(crate) const BODY: Duration = Duration::from_secs(30);
/// Bytes of a body with a whole conversation in it.
pub(crate) const CONVERSATION_BYTES: usize = 20 * 1024 * 1024;
/// Bytes of a body with a tool's arguments in it.
pub(crate) const TOOL_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of the body of a hook.
pub(crate) const HOOK_BYTES: usize = 256 * 1024;
/// How long an HTTP answer under way may take to end at a stop.
pub(crate) const LAST_ANSWER: Duration = Duration::from_secs(1);
/// Bytes of one message of a person.
pub(crate) const MESSAGE_BYTES: usize = 1024 * 1024;
/// Pictures that come with one message.
pub(crate) const ATTACHMENTS: usize = 8;
/// Bytes of one picture.
pub(crate) const ATTACHMENT_BYTES: usize = 5_000_000;
/// Bytes of all pictures of one message.
pub(crate) const ATTACHMENTS_BYTES: usize = 15_000_000;
/// Bytes of a text of a workspace that is looked at from afar.
pub(crate) const WORKSPACE_TEXT_BYTES: usize = 256 * 1024;
/// Turns of one session that wait for their turn.
pub(crate) const QUEUED_RUNS: usize = 20;
/// Ended runs that are remembered for `agent.wait` and for repeated keys.
pub(crate) const REMEMBERED_RUNS: usize = 1000;
/// Between two `chat` deltas of a run; `agent` events are not held back.
pub(crate) const DELTA_PACE: Duration = Duration::from_millis(75);

/// How long a beacon counts as presence, in milliseconds.
pub(crate) const BEACON_MS: u64 = 5 * 60 * 1000;
/// Who is listed as present, at most.
pub(crate) const PRESENT: usize = 200;
/// Calls for which a connection lacks the role or the scope, before it is closed.
pub(crate) const UNAUTHORIZED_CALLS: usize = 10;
/// Calls of one connection, within [`STEERING_SPAN`], of methods that change how the gateway runs.
pub(crate) const STEERING: usize = 30;
/// See [`STEERING`].
pub(crate) const STEERING_SPAN: Duration = Duration::from_secs(60);
/// Conversations that one connection may subscribe to.
pub(crate) const SUBSCRIPTIONS: usize = 1000;
/// How long a person is waited for who should approve something, where the asker names no time.
pub(crate) const APPROVAL: Duration = Duration::from_secs(120);
/// The longest that an asker may have a person waited for.
pub(crate) const LONGEST_APPROVAL: Duration = Duration::from_secs(30 * 60);
/// Approvals that wait for a decision.
pub(crate) const APPROVALS: usize = 64;
/// Approvals that are remembered after their decision, for those who ask for it later.
pub(crate) const REMEMBERED_APPROVALS: usize = 64;
/// Bytes of what a person is shown who should approve something; what is longer is refused and never shortened.
pub(crate) const APPROVAL_BYTES: usize = 64 * 1024;
/// Nodes that are written down.
pub(crate) const NODES: usize = 256;
/// Commands and caps that one node may declare.
pub(crate) const NODE_COMMANDS: usize = 512;
/// How long a node is waited for, where the caller names no time.
pub(crate) const INVOKE: Duration = Duration::from_secs(30);
/// The longest that a caller may wait for a node.
pub(crate) const LONGEST_INVOKE: Duration = Duration::from_secs(10 * 60);
/// Commands of one node under way.
pub(crate) const INVOKES: usize = 32;
/// Bytes of the parameters of a node's command.
pub(crate) const INVOKE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one piece of a node's result under way.
pub(crate) const PROGRESS_BYTES: usize = 16 * 1024;
/// How long something waits for a node that sleeps, in milliseconds, at most.
pub(crate) const NODE_WORK_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a command waits for a node in the background, in milliseconds.
pub(crate) const NODE_ACTION_MS: u64 = 10 * 60 * 1000;
/// Commands that wait for one node in the background; the oldest makes room.
pub(crate) const NODE_ACTIONS: usize = 64;
/// Bytes of an agent's id.
pub(crate) const AGENT_ID_BYTES: usize = 64;
/// Agents that may be made over the control plane.
pub(crate) const AGENTS: usize = 200;
/// Bytes of one of an agent's files.
pub(crate) const AGENT_FILE_BYTES: usize = 1024 * 1024;
/// What is told to one conversation with its next turn, at most; the oldest goes first.
pub(crate) const HAPPENINGS: usize = 20;
/// Bytes of one of them.
pub(crate) const HAPPENING_BYTES: usize = 8 * 1024;
/// Conversations that have something to be told.
pub(crate) const TOLD_SESSIONS: usize = 1000;
/// Paired devices.
pub(crate) const DEVICES: usize = 1000;
/// Devices that wait to be let in; the oldest goes.
pub(crate) const PENDING: usize = 50;
/// The same, of one address.
pub(crate) const PENDING_OF_ADDRESS: usize = 10;
/// How long a device waits to be let in, in milliseconds.
pub(crate) const PAIRING_MS: u64 = 5 * 60 * 1000;
/// How long a device's token is good after its successor was handed out and is not used, in milliseconds.
pub(crate) const TOKEN_GRACE_MS: u64 = 60 * 1000;
/// Setup codes that are remembered.
pub(crate) const SETUP_CODES: usize = 50;
/// How long a setup code is good, in milliseconds.
pub(crate) const SETUP_MS: u64 = 10 * 60 * 1000;

const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
const LOCKOUT: Duration = Duration::from_secs(300);
/// Addresses that are remembered; the oldest is forgotten first.
const ADDRESSES: usize = 4096;

/// Failed authentications by address. Loopback is counted like any other: it is no identity.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<IpAddr, Failures>>, AtomicU64);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
    locked: bool,
}

impl Attempts {
    /// How long the address must wait before it may try again; asked before any credential is looked at.
    pub(crate) fn locked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let it = all.get(&canonical(address))?;
        let span = if it.locked { LOCKOUT } else { WINDOW };
        let left = span.saturating_sub(now.duration_since(it.since));
        if left.is_zero() {
            all.remove(&canonical(address));
            return None;
        }
        it.locked.then_some(left)
    }

    /// All failures since the start.
    pub(crate) fn total(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) {
        self.1.fetch_add(1, Ordering::Relaxed);
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() >= ADDRESSES
            && let Some(oldest) = all.iter().min_by_key(|(_, it)| it.since).map(|(address, _)| *address)
        {
            all.remove(&oldest);
        }
        let it = all.entry(canonical(address)).or_insert(Failures { count: 0, since: now, locked: false });
        it.count += 1;
        if it.count >= FAILURES && !it.locked {
            *it = Failures { count: it.count, since: now, locked: true };
        }
    }
}

/// One bucket an address, whichever way it is written.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ten_failures_lock_also_loopback_and_its_mapped_form() {
        let attempts = Attempts::default();
        let (v4, mapped) = (IpAddr::from(Ipv4Addr::LOCALHOST), Ipv4Addr::LOCALHOST.to_ipv6_mapped().into());
        let now = Instant::now();
        for at in 0..10 {
            assert_eq!(attempts.locked(v4, now), None, "after {at}");
            attempts.failed(if at % 2 == 0 { v4 } else { mapped }, now);
        }
        assert_eq!(attempts.locked(mapped, now), Some(LOCKOUT));
        assert_eq!(attempts.locked(v4, now + LOCKOUT), None);
        assert_eq!(attempts.locked(v4, now), None, "a new beginning");
    }

    #[test]
    fn old_failures_do_not_add_up() {
        let attempts = Attempts::default();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let now = Instant::now();
        for at in 0..20 {
            let later = now + WINDOW * at;
            assert_eq!(attempts.locked(address, later), None);
            attempts.failed(address, later);
        }
    }
}
