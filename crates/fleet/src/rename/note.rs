//! What a renaming has still to do, kept in the folder that it moves.

use std::fs;
use std::path::{Path, PathBuf};

use base::file;
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::{Document, ledger};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::RenameError;
use crate::places;
use crate::places::rewrite::Moves;

/// The note's name within the state folder.
const FILE: &str = "moving.json";

/// What is left to do once the folder has moved. Each part of it may be done again, and then changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) from_name: String,
    pub(super) to_name: String,
    /// The config's place within the folder.
    pub(super) config: PathBuf,
    /// How paths in the config follow. The config is rewritten as it then is: a person may have changed it meanwhile,
    /// and its secrets stand in one file only.
    pub(super) moves: Moves,
    /// The port that the config is to name, where it names none.
    pub(super) port: Option<u16>,
    /// The workspace's name in the folder, before and after.
    pub(super) workspace: Option<(PathBuf, PathBuf)>,
    /// The folders of instances that have the old name in their notes.
    pub(super) rescuers: Vec<PathBuf>,
}

/// One part of what is left to do, in the folder as it now is.
type Part = fn(&Note, &Path) -> Result<(), RenameError>;

/// The parts, in this order.
pub(super) const PARTS: [Part; 3] = [Note::move_workspace, Note::rewrite_config, Note::tell_rescuers];

/// Where the note of a state folder is.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

impl Note {
    /// The note in a folder. One that tells nothing was not written by us: ours is whole or not there.
    pub(super) fn read(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(state_dir)).ok()?).ok()
    }

    pub(super) fn write(&self, state_dir: &Path) -> Result<(), RenameError> {
        let text = serde_json::to_vec_pretty(self).expect("paths of instances are text");
        Ok(file::replace(&path(state_dir), &text)?)
    }

    /// The config as it is to be.
    pub(super) fn rewritten(&self, mut document: Document) -> Result<Document, RenameError> {
        let path = document.path().to_path_buf();
        let changed = self.moves.apply(&mut document).and_then(|()| match self.port {
            Some(port) if document.port().is_none() => document.set("gateway.port", &json!(port)),
            _ => Ok(()),
        });
        changed.map_err(|finding| RenameError::Finding { path, finding: Box::new(finding) })?;
        Ok(document)
    }

    /// The workspace goes before the config, so that the config never names a place that is yet to come.
    fn move_workspace(&self, state_dir: &Path) -> Result<(), RenameError> {
        let Some((old, new)) = &self.workspace else { return Ok(()) };
        let (old, new) = (state_dir.join(old), state_dir.join(new));
        let is_there = |it: &Path| it.symlink_metadata().is_ok();
        if is_there(&old) && !is_there(&new) {
            file::move_new(&old, &new)?;
        }
        Ok(())
    }

    fn rewrite_config(&self, state_dir: &Path) -> Result<(), RenameError> {
        let document = match Document::load(&state_dir.join(&self.config)) {
            Ok(it) => it,
            Err(Unreadable::Missing(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let before = document.text().to_owned();
        let document = self.rewritten(document)?;
        if document.text() != before {
            document.save()?;
        }
        Ok(())
    }

    /// One that runs keeps the old name: its notes are its own until it stops.
    fn tell_rescuers(&self, _: &Path) -> Result<(), RenameError> {
        for folder in &self.rescuers {
            let names_old = || ledger::read(folder).rescue_for.as_deref() == Some(self.from_name.as_str());
            if !names_old() {
                continue;
            }
            let name = folder.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            // The claims of other things are not needed here, and so not their folder.
            match places::lock(folder, name.trim_start_matches('.'), folder) {
                Ok(_claims) if names_old() => {
                    ledger::note(folder, |it| it.rescue_for = Some(self.to_name.clone()))?;
                }
                Ok(_) | Err(Refused::Held { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
