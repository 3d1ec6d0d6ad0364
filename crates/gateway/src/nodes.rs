//! Nodes: which are connected, what each may be asked for, and what they are asked for now.

mod allowed;
mod book;
mod invoke;
mod pending;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::clock;
use protocol::event::Name;
use protocol::nodes::{About, Node, Pending, Resolved, Surface};
use protocol::{Refusal, Role};

use crate::audience::Client;
use crate::limits::NODES;
use crate::state::Gateway;
use book::{Book, Known};

pub(crate) use allowed::Settings;
use invoke::check;
pub(crate) use invoke::{Flights, invoke, take_result};
pub(crate) use pending::{ack, check_progress, drain, enqueue, pull};

/// Those of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// By device, with the time at which it came.
    connected: Mutex<HashMap<String, (Arc<Client>, u64)>>,
    /// What is written down; absent while nobody has asked.
    book: Mutex<Option<Book>>,
    /// What they are asked for now.
    flights: Flights,
    /// What they should do when they come.
    waiting: pending::Waiting,
}

impl Nodes {
    /// The connection of a node.
    pub(crate) fn connection(&self, id: &str) -> Option<Arc<Client>> {
        self.connected().get(id).map(|(client, _)| client.clone())
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<String, (Arc<Client>, u64)>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which node a connection is: the device that it has proved to be.
pub(crate) fn id(client: &Client) -> Option<&str> {
    if client.who.role == Role::Node { client.who.device.as_deref() } else { None }
}

fn declared(client: &Client) -> Surface {
    let mut it = client.who.surface.clone();
    it.caps.clone_from(&client.who.caps);
    for list in [&mut it.caps, &mut it.commands] {
        list.sort();
        list.dedup();
    }
    it
}

fn about(client: &Client, id: &str) -> About {
    let (who, program) = (&client.who, &client.who.client);
    About {
        node_id: id.to_owned(),
        display_name: Some(who.program.clone()),
        platform: Some(program.platform.clone()),
        version: Some(program.version.clone()),
        device_family: program.device_family.clone(),
        model_identifier: program.model_identifier.clone(),
        remote_ip: who.address.map(|it| it.to_string()),
        client_id: Some(program.id.clone()),
        client_mode: Some(program.mode.clone()),
    }
}

impl Gateway {
    /// A node has connected. An older connection of the same one ends.
    pub(crate) fn node_came(&self, client: &Arc<Client>) {
        let Some(id) = id(client) else { return };
        let now = clock::now_ms();
        if let Some((older, _)) = self.nodes.connected().insert(id.to_owned(), (client.clone(), now)) {
            older.close(protocol::error::close::POLICY, "replaced by a newer connection of this node");
        }
        let (about, declared) = (about(client, id), declared(client));
        let noted = self.with_book(|book| book.came(&about, &declared, now));
        match noted {
            Ok(Some(pending)) => self.audience.tell(Name::NodePairRequested, &pending),
            Ok(None) => {}
            Err(refusal) => tracing::warn!(node = id, "a node was not noted: {}", refusal.message),
        }
    }

    /// A node's connection has ended.
    pub(crate) fn node_went(&self, client: &Client) {
        let Some(id) = id(client) else { return };
        let mut connected = self.nodes.connected();
        if connected.get(id).is_some_and(|(it, _)| it.id == client.id) {
            connected.remove(id);
        }
        drop(connected);
        self.nodes.flights.lost(&client.id);
    }

    /// Reads or changes what is written down of nodes. What was changed is on disk, or nothing was.
    fn with_book<T>(&self, act: impl FnOnce(&mut Book) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut guard = self.nodes.book.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &self.instance.state_dir;
        let before = match guard.take() {
            Some(it) => it,
            None => book::read(state).map_err(Refusal::unavailable)?,
        };
        let mut book = before.clone();
        let done = act(&mut book).and_then(|done| {
            if book != before {
                book::write(state, &book).map_err(Refusal::unavailable)?;
            }
            Ok(done)
        });
        *guard = Some(if done.is_ok() { book } else { before });
        done
    }

    /// All of them, those that are connected first.
    pub(crate) fn nodes(&self) -> Result<Vec<Node>, Refusal> {
        let book = self.with_book(|book| Ok(book.clone()))?;
        let mut nodes: Vec<Node> = book.nodes.iter().map(|(id, it)| self.node(id, it, &book)).collect();
        nodes.sort_by_key(|it| !it.connected);
        Ok(nodes)
    }

    /// One of them.
    pub(crate) fn node_of(&self, id: &str) -> Result<Node, Refusal> {
        self.nodes()?.into_iter().find(|it| it.about.node_id == id).ok_or_else(unknown)
    }

    fn node(&self, id: &str, known: &Known, book: &Book) -> Node {
        let since = self.nodes.connected().get(id).map(|(_, since)| *since);
        let pending = book.pending.iter().find(|it| it.about.node_id == id);
        let state = match (pending, &known.approved) {
            (Some(_), _) => "pending-approval",
            (None, Some(_)) => "approved",
            (None, None) => "unapproved",
        };
        let mut about = known.about.clone();
        about.display_name = known.renamed.clone().or(about.display_name);
        Node {
            about,
            surface: known.approved.clone().unwrap_or_default(),
            paired: true,
            connected: since.is_some(),
            approval_state: state.to_owned(),
            pending_request_id: pending.map(|it| it.request_id.clone()),
            pending_declared_caps: pending.map(|it| it.surface.caps.clone()),
            pending_declared_commands: pending.map(|it| it.surface.commands.clone()),
            pending_declared_permissions: pending.map(|it| it.surface.permissions.clone()),
            connected_at_ms: since,
            last_connected_at_ms: Some(known.last_connected_at_ms),
            approved_at_ms: known.approved_at_ms,
            ts: None,
        }
    }

    /// What waits for approval.
    pub(crate) fn pending_nodes(&self) -> Result<Vec<Pending>, Refusal> {
        self.with_book(|book| Ok(book.pending.clone()))
    }

    /// Decides about what a node has declared.
    pub(crate) fn resolve_node(&self, request: &str, approves: bool) -> Result<String, Refusal> {
        let pending = self.with_book(|book| {
            let pending = book.take_pending(request).ok_or_else(|| Refusal::invalid("unknown requestId"))?;
            if approves && let Some(known) = book.nodes.get_mut(&pending.about.node_id) {
                known.approved = Some(pending.surface.clone());
                known.approved_at_ms = Some(clock::now_ms());
            }
            Ok(pending)
        })?;
        let resolved = Resolved {
            request_id: pending.request_id,
            node_id: pending.about.node_id.clone(),
            decision: if approves { "approved" } else { "rejected" }.to_owned(),
            ts: clock::now_ms(),
        };
        self.audience.tell(Name::NodePairResolved, &resolved);
        Ok(pending.about.node_id)
    }

    /// Forgets a node, and ends its connection.
    pub(crate) fn remove_node(&self, id: &str) -> Result<(), Refusal> {
        self.with_book(|book| {
            book.pending.retain(|it| it.about.node_id != id);
            book.nodes.remove(id).map(|_| ()).ok_or_else(unknown)
        })?;
        self.nodes.waiting.forget(id);
        if let Some(client) = self.nodes.connection(id) {
            client.close(protocol::error::close::AUTH_CHANGED, "this node was removed");
        }
        Ok(())
    }

    /// What people call a node.
    pub(crate) fn rename_node(&self, id: &str, name: &str) -> Result<(), Refusal> {
        self.with_book(|book| {
            let known = book.nodes.get_mut(id).ok_or_else(unknown)?;
            known.renamed = Some(name.to_owned());
            Ok(())
        })
    }

    /// What a node may be asked for: what it declares now and somebody has approved.
    pub(crate) fn approved_commands(&self, client: &Client) -> Result<Vec<String>, Refusal> {
        let Some(id) = id(client) else { return Ok(Vec::new()) };
        let approved = self.with_book(|book| Ok(book.nodes.get(id).and_then(|it| it.approved.clone())))?;
        let approved = approved.unwrap_or_default().commands;
        Ok(declared(client).commands.into_iter().filter(|it| approved.contains(it)).collect())
    }

    /// Whether somebody has approved this node at all.
    pub(crate) fn is_approved(&self, client: &Client) -> bool {
        let Some(id) = id(client) else { return false };
        let approved = self.with_book(|book| Ok(book.nodes.get(id).is_some_and(|it| it.approved.is_some())));
        approved.unwrap_or(false)
    }
}

fn unknown() -> Refusal {
    Refusal::invalid("unknown nodeId")
}

fn too_many() -> Refusal {
    Refusal::unavailable(format!("{NODES} nodes are known already: remove one with node.pair.remove"))
}
