//! What the steps see: the host as it was found, the instance that was chosen, its config, and the answers so far.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::random;
use profile::document::Unreadable;
use profile::{Ambient, Document, Finding, Instance, ProfileName};
use providers::ModelInfo;
use serde_json::Value;

use super::found::Found;
use super::step::{Answer, Section};
use super::writing;

/// Answers that were given before the walk, by step. A text that is a secret by its step is treated as one.
pub type Given = BTreeMap<String, Value>;

/// What a walk begins with.
pub struct Setting {
    /// The instance that is meant.
    pub instance: Instance,
    /// Whether nothing named it, so that it may be chosen.
    pub is_open: bool,
    /// What surrounds it.
    pub ambient: Ambient,
    /// What is on the host.
    pub found: Found,
    /// Answers out of flags and files.
    pub given: Given,
    /// Only these sections, of a config that is there; none stands for all that are asked for.
    pub only: Option<Vec<Section>>,
    /// Whether models are tried out.
    pub live: bool,
    /// Whether whoever walks can have a service installed at the end: a program of the user's, not the gateway itself.
    pub installs: bool,
}

/// Why there is nothing to walk through.
#[derive(Debug, thiserror::Error)]
pub enum BadStart {
    /// The config cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A gateway could not run with the config.
    #[error("the config file {} is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        findings: Vec<Finding>,
    },
    /// There is no config to change.
    #[error("there is no config file {} yet", .0.display())]
    Nothing(PathBuf),
}

/// What the steps see.
pub(super) struct Scene {
    /// The chosen instance.
    pub(super) instance: Instance,
    /// The environment with what the instance's own files add.
    pub(super) ambient: Ambient,
    pub(super) found: Found,
    /// The instance's config as it is on disk.
    pub(super) existing: Option<Document>,
    /// What the key led to.
    pub(super) models: Option<Vec<ModelInfo>>,
    pub(super) is_open: bool,
    pub(super) only: Option<Vec<Section>>,
    pub(super) live: bool,
    pub(super) installs: bool,
    /// The secret of an instance that has none yet.
    pub(super) token: String,
    given: Given,
    answers: BTreeMap<&'static str, Answer>,
    /// Answers that a step back took away: what is proposed the second time.
    before: BTreeMap<&'static str, Answer>,
    first: Instance,
    surroundings: Ambient,
}

impl Scene {
    pub(super) fn new(setting: Setting) -> Result<Self, BadStart> {
        let Setting { instance, is_open, ambient, found, given, only, live, installs } = setting;
        let mut scene = Self {
            first: instance.clone(),
            surroundings: ambient.clone(),
            instance,
            ambient,
            found,
            existing: None,
            models: None,
            is_open,
            only,
            live,
            installs,
            token: random::hex::<24>(),
            given,
            answers: BTreeMap::new(),
            before: BTreeMap::new(),
        };
        scene.existing = writing::existing(&scene.instance, &scene.own_ambient())?;
        scene.ambient = scene.own_ambient();
        if scene.only.is_some() && scene.existing.is_none() {
            return Err(BadStart::Nothing(scene.instance.config_path.clone()));
        }
        Ok(scene)
    }

    /// The answer to a step.
    pub(super) fn answer(&self, id: &str) -> Option<&Answer> {
        self.answers.get(id)
    }

    /// The text of the answer to a step; empty where it was not asked.
    pub(super) fn text(&self, id: &str) -> &str {
        self.answers.get(id).map_or("", Answer::text)
    }

    pub(super) fn given(&self, id: &str) -> Option<&Value> {
        self.given.get(id)
    }

    /// The names of the answers that were given and not used.
    pub(super) fn unused(&self) -> Vec<String> {
        self.given.keys().filter(|it| !self.answers.contains_key(it.as_str())).cloned().collect()
    }

    pub(super) fn before(&self, id: &str) -> Option<&Answer> {
        self.answers.get(id).or_else(|| self.before.get(id))
    }

    pub(super) fn put(&mut self, id: &'static str, answer: Answer) {
        self.before.remove(id);
        self.answers.insert(id, answer);
        self.settle();
    }

    /// Forgets an answer, but as what is proposed when it is asked again.
    pub(super) fn take(&mut self, id: &'static str) {
        if let Some(answer) = self.answers.remove(id) {
            self.before.insert(id, answer);
        }
        self.settle();
    }

    /// A value of the existing config, unless it is begun anew.
    pub(super) fn config(&self, path: &str) -> Option<&Value> {
        if self.starts_over() { None } else { self.existing.as_ref()?.get(path) }
    }

    /// A text of the existing config.
    pub(super) fn config_text(&self, path: &str) -> Option<&str> {
        self.config(path)?.as_str().filter(|it| !it.is_empty())
    }

    /// Whether the config that is there is put away.
    pub(super) fn starts_over(&self) -> bool {
        self.text("existing") == "over"
    }

    /// Whether the config that is there is kept, so that there is nothing to ask.
    pub(super) fn keeps(&self) -> bool {
        self.text("existing") == "keep"
    }

    /// Whether a step of this section is asked in this walk.
    pub(super) fn walks(&self, section: Section) -> bool {
        match &self.only {
            None => !self.keeps(),
            Some(only) if !only.is_empty() => only.contains(&section),
            Some(_) => match self.answer("sections") {
                Some(Answer::Many(chosen)) => chosen.iter().any(|it| it == section.name()),
                _ => false,
            },
        }
    }

    /// Whether what can be proposed is not asked.
    pub(super) fn is_quick(&self) -> bool {
        self.text("flow") == "quickstart"
    }

    /// The instance that a name stands for.
    pub(super) fn named(&self, name: &str) -> Result<Instance, String> {
        let rule =
            "a name has 1 to 64 letters, numbers, \"_\" and \"-\", and begins with a letter or a number";
        let profile = ProfileName::parse(name).map_err(|_| rule.to_owned())?;
        Instance::of_profile(&self.surroundings, profile).map_err(|error| error.to_string())
    }

    /// Follows what was answered about the instance.
    fn settle(&mut self) {
        let chosen = match self.answers.get("profile") {
            Some(it) => self.named(it.text()).unwrap_or_else(|_| self.first.clone()),
            None => self.first.clone(),
        };
        if chosen.state_dir != self.instance.state_dir {
            self.instance = chosen;
            // What was answered about another one is no proposal for this one.
            self.before.clear();
            self.ambient = self.own_ambient();
            // The check of the step has seen that it can be read.
            self.existing = writing::existing(&self.instance, &self.ambient).unwrap_or_default();
        }
    }

    fn own_ambient(&self) -> Ambient {
        let own = self.surroundings.clone().with_env_file(&self.instance.state_dir.join(".env"));
        own.with_env_file(&self.instance.state_dir.join("keys.env"))
    }
}
