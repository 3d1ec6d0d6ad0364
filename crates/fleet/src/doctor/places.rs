//! The folders that an instance's config leads to.

use std::path::PathBuf;

use profile::{Ambient, Document, Instance};

use crate::places;

/// The workspaces: the default agent's first, each once.
pub(crate) fn workspaces(
    instance: &Instance,
    document: Option<&Document>,
    ambient: &Ambient,
) -> Vec<PathBuf> {
    let named = document.map(|it| places::workspaces(it, ambient)).unwrap_or_default();
    let has_default = named.first().is_some_and(|(id, _)| id.is_none());
    let default = (!has_default).then(|| instance.workspace.clone());
    let mut found: Vec<PathBuf> = Vec::new();
    for path in default.into_iter().chain(named.into_iter().map(|(_, it)| it)) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}
