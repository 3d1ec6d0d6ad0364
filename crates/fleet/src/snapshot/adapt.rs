//! Fit an unpacked instance to its new place: its workspaces, its config, the secrets that it lacks.

use std::fs;
use std::path::{Path, PathBuf};

use base::file;
use profile::Document;
use profile::document::{Finding, Unreadable};
use serde_json::Value;

use super::config::{self, Kept};
use super::error::failed;
use super::swap::may_go_to;
use super::{About, CONFIG, OUTSIDE, Placed, SnapshotError, Target, path, secrets};

const TOKEN: &str = "gateway.auth.token";
/// The folder of accepted configs.
const HISTORY: &str = "generations";

/// An unpacked instance on its way to its place.
pub(super) struct Arrival<'a> {
    pub(super) about: &'a About,
    pub(super) target: &'a Target,
    /// The staging folder and the state folder in it.
    pub(super) staging: &'a Path,
    pub(super) state: &'a Path,
    /// The state folder of the instance that it replaces.
    pub(super) old: Option<&'a Path>,
    /// The config's secrets, where the sealed ones were opened.
    pub(super) opened: Option<&'a [Kept]>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Adapted {
    pub(super) workspaces: Vec<Placed>,
    pub(super) kept: Vec<String>,
    pub(super) missing: Vec<String>,
    pub(super) has_fresh_token: bool,
    pub(super) unadapted: Option<String>,
    /// Workspaces that go back to where they were: from the staging folder, to their place.
    pub(super) going_back: Vec<(PathBuf, PathBuf)>,
    /// Where what the config names was, and is.
    moves: Vec<(PathBuf, PathBuf)>,
}

impl Arrival<'_> {
    /// Does all of it.
    pub(super) fn adapt(&self) -> Result<Adapted, SnapshotError> {
        let mut done = Adapted::default();
        let is_there = |it: &Path| it.symlink_metadata().is_ok();
        let config = self.state.join(CONFIG);
        if !is_there(&config) {
            self.replace_config(&config, &mut done)?;
        }
        let document = match Document::load(&config) {
            Ok(it) => Some(it),
            Err(Unreadable::Missing(_)) => None,
            Err(error @ Unreadable::Syntax { .. }) => {
                done.unadapted = Some(error.to_string());
                None
            }
            Err(error) => return Err(SnapshotError::Config(error)),
        };
        self.place_default_workspace(document.as_ref(), &mut done)?;
        for (index, was) in self.about.outside.iter().map(|it| (it.index, &it.path)) {
            self.place_workspace(index, was, &mut done)?;
        }
        done.moves.push((self.about.state_dir.clone(), self.target.instance.state_dir.clone()));
        if let Some(mut document) = document {
            self.adapt_config(&mut document, &mut done)?;
            file::replace(&config, document.text().as_bytes())?;
        }
        let name = self.config_name()?;
        if is_there(&config) && name != Path::new(CONFIG) {
            let named = self.state.join(&name);
            named.parent().map_or(Ok(()), file::private_folder)?;
            file::move_new(&config, &named)?;
        }
        if self.opened.is_none() {
            if let Some(old) = self.old {
                done.kept.append(&mut secrets::take_files(old, self.state)?);
            }
            // Old configs are a history, and nothing that anybody could set anew.
            let files = self.about.secrets.files.iter().filter(|it| it.trim_end_matches('/') != HISTORY);
            let gone = files.filter(|it| !is_there(&self.state.join(it.trim_end_matches('/'))));
            done.missing.extend(gone.cloned());
        }
        Ok(done)
    }

    /// The config's path within the state folder.
    fn config_name(&self) -> Result<PathBuf, SnapshotError> {
        config_name(self.target)
    }

    /// A config in the place of one that is secret as a whole, or that a port asks for.
    fn replace_config(&self, to: &Path, done: &mut Adapted) -> Result<(), SnapshotError> {
        let is_lacking = self.about.secrets.is_config_whole && self.opened.is_none();
        let old = match self.old {
            Some(old) if is_lacking => Some(old.join(self.config_name()?)).filter(|it| it.is_file()),
            _ => None,
        };
        if let Some(old) = old {
            let bytes = fs::read(&old).map_err(failed("read", &old))?;
            file::replace(to, &bytes)?;
            done.kept.push(CONFIG.to_owned());
        } else if is_lacking || self.target.port.is_some() {
            file::replace(to, Document::fresh(to).text().as_bytes())?;
            if is_lacking {
                done.missing.push(CONFIG.to_owned());
            }
        }
        Ok(())
    }

    /// The workspace that no config names is called after the profile.
    fn place_default_workspace(
        &self,
        document: Option<&Document>,
        done: &mut Adapted,
    ) -> Result<(), SnapshotError> {
        let named = document.and_then(|it| it.get("agents.defaults.workspace")?.as_str());
        let is_named = named.is_some_and(|it| !it.trim().is_empty());
        let name = self.target.instance.workspace.file_name().unwrap_or_default();
        let was = path::parse(self.about.workspace.as_bytes()).ok().filter(|it| !it.contains('/'));
        let Some(was) = was.filter(|was| !is_named && Path::new(was) != Path::new(name)) else {
            return Ok(());
        };
        let (from, to) = (self.state.join(was), self.state.join(name));
        if from.symlink_metadata().is_ok_and(|it| it.is_dir()) && to.symlink_metadata().is_err() {
            file::move_new(&from, &to)?;
            let is = self.target.instance.state_dir.join(name);
            done.moves.push((self.about.state_dir.join(was), is));
        }
        Ok(())
    }

    /// One that was outside goes back where nothing is in its place, else into the state folder.
    fn place_workspace(&self, index: usize, was: &Path, done: &mut Adapted) -> Result<(), SnapshotError> {
        let from = self.staging.join(OUTSIDE).join(index.to_string());
        if !from.is_dir() {
            return Ok(());
        }
        let state_dir = &self.target.instance.state_dir;
        let home = self.target.ambient.home();
        let is_taken = done.going_back.iter().any(|(_, to)| was.starts_with(to) || to.starts_with(was));
        let is = if self.about.state_dir == *state_dir
            && !is_taken
            && may_go_to(was, self.staging, home.as_deref())
        {
            done.going_back.push((from, was.to_path_buf()));
            was.to_path_buf()
        } else {
            let names = (0..).map(|it| match it {
                0 => format!("workspace-restored-{index}"),
                more => format!("workspace-restored-{index}-{more}"),
            });
            let mut free = names.filter(|it| self.state.join(it).symlink_metadata().is_err());
            let name = free.next().expect("some number is free");
            file::move_new(&from, &self.state.join(&name))?;
            state_dir.join(name)
        };
        done.moves.push((was.to_path_buf(), is.clone()));
        done.workspaces.push(Placed { was: was.to_path_buf(), is });
        Ok(())
    }

    fn adapt_config(&self, document: &mut Document, done: &mut Adapted) -> Result<(), SnapshotError> {
        let (home, ambient) = (self.about.home.as_deref(), &self.target.ambient);
        config::lead(document, &done.moves, home, ambient).map_err(SnapshotError::Unadaptable)?;
        match self.opened {
            Some(kept) => config::put_back(document, kept).map_err(SnapshotError::Unadaptable)?,
            None => self.fill(document, done).map_err(SnapshotError::Unadaptable)?,
        }
        if let Some(port) = self.target.port {
            document.set("gateway.port", &Value::from(port)).map_err(SnapshotError::Unadaptable)?;
        }
        Ok(())
    }

    /// The config's secrets, out of the instance that is replaced; a fresh token where there is none.
    fn fill(&self, document: &mut Document, done: &mut Adapted) -> Result<(), Finding> {
        let old = self.old.and_then(|it| Some(it.join(self.config_name().ok()?)));
        let old = old.and_then(|it| Document::load(&it).ok());
        for way in &self.about.secrets.config {
            let there = old.as_ref().and_then(|old| {
                let is_same = config::is_same_place(document.value(), old.value(), way);
                config::at(old.value(), way).filter(|it| is_same && !it.is_object()).cloned()
            });
            match there {
                Some(value) => {
                    document.set_at(way, &value)?;
                    done.kept.push(way.join("."));
                }
                None => done.missing.push(way.join(".")),
            }
        }
        let mode = document.get("gateway.auth.mode").and_then(Value::as_str);
        let wants_token = mode.is_none_or(|it| it == "token") && document.get(TOKEN).is_none();
        if self.old.is_none() && wants_token {
            document.set(TOKEN, &Value::from(self.target.fresh_token.expose()))?;
            done.missing.retain(|it| it != TOKEN);
            done.has_fresh_token = true;
        }
        Ok(())
    }
}

/// The path of the target's config within its state folder.
pub(super) fn config_name(target: &Target) -> Result<PathBuf, SnapshotError> {
    let (config, state_dir) = (&target.instance.config_path, &target.instance.state_dir);
    let within = config.strip_prefix(state_dir).ok().map(Path::to_path_buf);
    within.ok_or_else(|| SnapshotError::ConfigElsewhere {
        config: config.clone(),
        state_dir: state_dir.clone(),
    })
}
