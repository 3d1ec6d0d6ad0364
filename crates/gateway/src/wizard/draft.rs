//! What the answers come to: a config that is not written yet.

use std::path::PathBuf;

use profile::document::{Change, changes};
use profile::{Document, Finding};
use serde_json::{Value, json};

use super::scene::Scene;
use super::step::Row;
use crate::setup;

/// The config as the answers want it. It holds secrets, so it has no way to be printed.
pub(super) struct Draft {
    pub(super) port: Option<u16>,
    pub(super) workspace: Option<PathBuf>,
    edits: Vec<(Vec<String>, Value)>,
}

/// A config that can be written.
pub(super) struct Whole {
    pub(super) document: Document,
    pub(super) port: u16,
    pub(super) workspace: PathBuf,
}

impl Draft {
    /// What all answers together want, in the order of the rows.
    pub(super) fn of(scene: &Scene, rows: &[&'static Row]) -> Self {
        let mut draft = Self { port: None, workspace: None, edits: Vec::new() };
        for row in rows {
            if let Some(answer) = scene.answer(row.id) {
                (row.effect)(scene, answer, &mut draft);
            }
        }
        draft
    }

    /// Wants a value at a key.
    pub(super) fn set<K: Into<String>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        value: impl Into<Value>,
    ) {
        self.edits.push((keys.into_iter().map(Into::into).collect(), value.into()));
    }

    /// What is wanted at a key.
    fn wanted(&self, keys: &[&str]) -> Option<&Value> {
        self.edits.iter().rev().find(|(it, _)| it == keys).map(|(_, value)| value)
    }

    /// The document with everything that a gateway needs to start. What is there and not asked about stays.
    pub(super) fn whole(&self, scene: &Scene) -> Result<Whole, Finding> {
        let kept = scene.existing.as_ref().filter(|_| !scene.starts_over());
        let port = self.port.or_else(|| kept.and_then(Document::port));
        let port = port.or_else(|| setup::proposed(&scene.instance));
        let port = port.ok_or_else(|| Finding::whole("no base port is free on this host".to_owned()))?;
        let named = || Some(scene.ambient.path(kept?.get("agents.defaults.workspace")?.as_str()?));
        let workspace =
            self.workspace.clone().or_else(named).unwrap_or_else(|| scene.instance.workspace.clone());
        let mut document = match kept {
            Some(it) => it.clone(),
            None => setup::fresh(
                &scene.instance,
                port,
                &workspace,
                self.wanted(&["agents", "defaults", "model"]),
            )?,
        };
        for (keys, value) in &self.edits {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let is_there = keys.iter().try_fold(document.value(), |it, key| it.get(*key)) == Some(value);
            if !is_there {
                document.set_at(&keys, value)?;
            }
        }
        if kept.is_none() && document.get("gateway.auth.mode") == Some(&json!("password")) {
            document.remove_at(&["gateway", "auth", "token"])?;
        }
        let has_secret =
            ["gateway.auth.token", "gateway.auth.password"].iter().any(|it| document.get(it).is_some());
        for (key, value, is_there) in [
            ("gateway.mode", json!("local"), document.get("gateway.mode").is_some()),
            ("gateway.port", json!(port), document.port() == Some(port)),
            ("gateway.auth.token", json!(scene.token), has_secret),
            (
                "agents.defaults.workspace",
                json!(workspace),
                document.get("agents.defaults.workspace").is_some(),
            ),
        ] {
            if !is_there {
                document.set(key, &value)?;
            }
        }
        Ok(Whole { document, port, workspace })
    }
}

impl Whole {
    /// What it says differently from what is on disk, secrets masked.
    pub(super) fn changes(&self, scene: &Scene) -> Vec<Change> {
        let nothing = json!({});
        let before = scene.existing.as_ref().map_or(&nothing, Document::value);
        changes(before, self.document.value())
    }
}
