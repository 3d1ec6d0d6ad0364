//! What is written down of nodes: who they are, and what somebody has approved.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base::file;
use protocol::Refusal;
use protocol::nodes::{About, Pending, Surface};
use serde::{Deserialize, Serialize};

use super::{allowed, too_many};
use crate::limits::{NODE_COMMANDS, NODES};

/// Its name in the state folder.
const NAME: &str = "nodes.json";

/// All of it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Book {
    version: u32,
    /// By device.
    pub(super) nodes: BTreeMap<String, Known>,
    /// What waits for approval, one a node.
    pub(super) pending: Vec<Pending>,
}

/// One node.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Known {
    /// What it says of itself.
    pub(super) about: About,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) renamed: Option<String>,
    /// What it may be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approved: Option<Surface>,
    /// Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approved_at_ms: Option<u64>,
    /// Unix milliseconds.
    pub(super) last_connected_at_ms: u64,
}

/// Reads it; none is an empty one.
pub(super) fn read(state: &Path) -> Result<Book, String> {
    let path = state.join(NAME);
    let bad = |why: String| format!("{} cannot be used: {why}", path.display());
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book { version: 1, ..Book::default() }),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// Writes it.
pub(super) fn write(state: &Path, book: &Book) -> Result<(), String> {
    let text = serde_json::to_string_pretty(book).map_err(|error| error.to_string())?;
    file::replace(&state.join(NAME), text.as_bytes()).map_err(|error| base::text::chain(&error))
}

impl Book {
    /// A node has come, and declares what it can do. What is new in that waits for approval.
    pub(super) fn came(
        &mut self,
        about: &About,
        declared: &Surface,
        now: u64,
    ) -> Result<Option<Pending>, Refusal> {
        let id = &about.node_id;
        if declared.commands.len() + declared.caps.len() > NODE_COMMANDS {
            return Err(Refusal::invalid(format!("a node may declare {NODE_COMMANDS} commands and caps")));
        }
        if !self.nodes.contains_key(id) && self.nodes.len() >= NODES {
            return Err(too_many());
        }
        let known = self.nodes.entry(id.clone()).or_default();
        known.about = about.clone();
        known.last_connected_at_ms = now;
        let before = known.approved.clone();
        let is_within = |it: &Surface| {
            declared.caps.iter().all(|cap| it.caps.contains(cap))
                && declared.commands.iter().all(|command| it.commands.contains(command))
        };
        if before.as_ref().is_some_and(is_within) {
            self.pending.retain(|it| it.about.node_id != *id);
            return Ok(None);
        }
        if self.pending.iter().any(|it| it.about.node_id == *id && it.surface == *declared) {
            return Ok(None);
        }
        self.pending.retain(|it| it.about.node_id != *id);
        let pending = Pending {
            request_id: uuid::Uuid::new_v4().to_string(),
            about: about.clone(),
            surface: declared.clone(),
            is_repair: before.is_some(),
            required_approve_scopes: allowed::scopes(&declared.commands)
                .iter()
                .map(ToString::to_string)
                .collect(),
            ts: now,
        };
        self.pending.push(pending.clone());
        Ok(Some(pending))
    }

    /// Takes out what waits.
    pub(super) fn take_pending(&mut self, request: &str) -> Option<Pending> {
        let at = self.pending.iter().position(|it| it.request_id == request)?;
        Some(self.pending.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_waits_and_what_was_approved_does_not() {
        let mut book = Book::default();
        let about = About { node_id: "n".into(), ..About::default() };
        let of = |commands: &[&str]| Surface {
            commands: commands.iter().map(|it| (*it).to_owned()).collect(),
            ..Surface::default()
        };
        let first = book.came(&about, &of(&["a"]), 1).expect("room").expect("it waits");
        assert_eq!(book.came(&about, &of(&["a"]), 2).expect("room"), None, "asked already");
        let second = book.came(&about, &of(&["a", "b"]), 3).expect("room").expect("more");
        assert_eq!(book.take_pending(&first.request_id), None, "it asks for something else now");
        assert_eq!(book.take_pending(&second.request_id).as_ref(), Some(&second));
        book.nodes.get_mut("n").expect("known").approved = Some(second.surface);
        assert_eq!(book.came(&about, &of(&["b"]), 4).expect("room"), None);
        let third = book.came(&about, &of(&["system.run"]), 5).expect("room").expect("more");
        assert!(third.is_repair && third.required_approve_scopes.contains(&"operator.admin".to_owned()));
        let many: Vec<String> = (0..=NODE_COMMANDS).map(|it| it.to_string()).collect();
        assert!(book.came(&about, &Surface { commands: many, ..Surface::default() }, 6).is_err());
    }
}
