//! What a node is asked for: sent to it alone, waited for, bounded, and called off when nobody waits any longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::event::Name;
use protocol::nodes::{InvokeCancel, InvokeParams, InvokeRequest, Invoked, NodeError, ResultParams};
use protocol::{Refusal, Scope};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{allowed, id, pending};
use crate::audience::Client;
use crate::limits::{INVOKE, INVOKE_BYTES, INVOKES, LONGEST_INVOKE};
use crate::state::Gateway;
use crate::table::Caller;

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Flight>>);

#[derive(Debug)]
struct Flight {
    /// The connection that was asked.
    connection: String,
    done: oneshot::Sender<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Done(Value, Option<String>),
    Failed(NodeError),
    Lost,
}

impl Flights {
    /// A connection is gone: nothing more comes by it.
    pub(super) fn lost(&self, connection: &str) {
        let mut flights = self.lock();
        let gone: Vec<String> =
            flights.iter().filter(|(_, it)| it.connection == connection).map(|(id, _)| id.clone()).collect();
        for flight in gone.iter().filter_map(|id| flights.remove(id)) {
            // The caller may be gone as well.
            let _ = flight.done.send(Outcome::Lost);
        }
    }

    fn begin(&self, request: &str, node: &Client) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let mut flights = self.lock();
        if flights.values().filter(|it| it.connection == node.id).count() >= INVOKES {
            let text = format!("{INVOKES} commands of this node are under way");
            return Err(Refusal::unavailable(text).retryable());
        }
        let (done, outcome) = oneshot::channel();
        flights.insert(request.to_owned(), Flight { connection: node.id.clone(), done });
        Ok(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose caller waits. Where it ends without an answer, the node is told to stop.
struct Open<'a> {
    gateway: &'a Gateway,
    node: Arc<Client>,
    id: String,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.gateway.nodes.flights.lock().remove(&self.id).is_some() {
            let node_id = id(&self.node).unwrap_or_default().to_owned();
            let cancel = InvokeCancel { invoke_id: self.id.clone(), node_id };
            self.node.tell_alone(Name::NodeInvokeCancel, &cancel);
        }
    }
}

/// Asks a node, and waits for what comes of it.
pub(crate) async fn invoke(caller: &Caller, params: InvokeParams) -> Result<Invoked, Refusal> {
    let gateway = &caller.gateway;
    if allowed::is_for_admins(&params.command) {
        caller.need(Scope::Admin)?;
    }
    let node = gateway.nodes.connection(&params.node_id).ok_or_else(not_connected)?;
    check(gateway, &node, &params.command)?;
    let span = params.timeout_ms.map_or(INVOKE, Duration::from_millis).min(LONGEST_INVOKE);
    let request = InvokeRequest {
        id: uuid::Uuid::new_v4().to_string(),
        node_id: params.node_id.clone(),
        command: params.command.clone(),
        params_json: params.params.as_ref().map(ToString::to_string),
        timeout_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        idempotency_key: params.idempotency_key,
    };
    if request.params_json.as_ref().is_some_and(|it| it.len() > INVOKE_BYTES) {
        return Err(Refusal::invalid(format!("the params of a node command may have {INVOKE_BYTES} bytes")));
    }
    let outcome = gateway.nodes.flights.begin(&request.id, &node)?;
    let open = Open { gateway, node: node.clone(), id: request.id.clone() };
    node.tell_alone(Name::NodeInvokeRequest, &request);
    let outcome = timeout(span, outcome).await;
    drop(open);
    match outcome {
        Ok(Ok(Outcome::Done(payload, payload_json))) => {
            let (node_id, command) = (params.node_id, params.command);
            Ok(Invoked { ok: true, node_id, command, payload, payload_json })
        }
        Ok(Ok(Outcome::Failed(error))) => {
            Err(pending::put_aside(gateway, &node, &request, &error).unwrap_or_else(|| failed(&error)))
        }
        Ok(Ok(Outcome::Lost) | Err(_)) => Err(not_connected()),
        Err(_) => {
            let error = json!({"code": "TIMEOUT", "message": "node invoke timed out"});
            let details = json!({"nodeError": error, "nodeCommandDispatched": true});
            Err(Refusal::unavailable("TIMEOUT: node invoke timed out").details(details))
        }
    }
}

/// Takes what came of it. False where nobody waits for it any longer.
pub(crate) fn take_result(gateway: &Gateway, client: &Client, params: ResultParams) -> Result<bool, Refusal> {
    if id(client) != Some(params.node_id.as_str()) {
        return Err(Refusal::invalid("nodeId mismatch"));
    }
    let mut flights = gateway.nodes.flights.lock();
    // Only who was asked may answer.
    if flights.get(&params.id).is_none_or(|it| it.connection != client.id) {
        return Ok(false);
    }
    let Some(flight) = flights.remove(&params.id) else { return Ok(false) };
    drop(flights);
    let outcome = if params.ok {
        let read = params.payload_json.as_deref().and_then(|it| serde_json::from_str(it).ok());
        Outcome::Done(params.payload.or(read).unwrap_or_default(), params.payload_json)
    } else {
        Outcome::Failed(params.error.unwrap_or_default())
    };
    Ok(flight.done.send(outcome).is_ok())
}

/// Whether a node may be asked for it now.
pub(super) fn check(gateway: &Gateway, node: &Client, command: &str) -> Result<(), Refusal> {
    let reason = if !node.who.surface.commands.iter().any(|it| it == command) {
        "command not declared by node"
    } else if !gateway.approved_commands(node)?.iter().any(|it| it == command) {
        "command not approved: see node.pair.list"
    } else if !allowed::allows(&gateway.force().config.gateway.nodes, &node.who.client.platform, command) {
        "command not allowlisted"
    } else {
        return Ok(());
    };
    let details = json!({"reason": reason, "command": base::text::line(command, 200)});
    Err(Refusal::invalid("node command not allowed").details(details))
}

fn failed(error: &NodeError) -> Refusal {
    let code = error.code.as_deref().unwrap_or("UNAVAILABLE");
    let message = error.message.as_deref().unwrap_or("the node could not do it");
    let text = base::text::line(&format!("{code}: {message}"), 2000);
    let details = json!({"nodeError": {"code": code, "message": message}, "nodeCommandDispatched": true});
    Refusal::unavailable(text).details(details)
}

fn not_connected() -> Refusal {
    Refusal::unavailable("node not connected").details(json!({"code": "NOT_CONNECTED"}))
}
