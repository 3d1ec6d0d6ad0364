//! The agents of a config: who there is, where each one works, whom it asks, what it may use. One config, one
//! [`Agents`]; a changed config brings another one.

use std::path::{Path, PathBuf};

use agent::DEFAULT_AGENT;
use agent::tools::{self, Tool};
use profile::{Ambient, Instance};
use protocol::Refusal;

use crate::config::Config;
use crate::driver::{AgentSettings, Identity};
use crate::keys::SessionKey;
use crate::limits::AGENT_ID_BYTES;
use crate::state::Gateway;

/// One agent.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// Its id: a slug.
    pub(crate) id: String,
    /// For people.
    pub(crate) name: Option<String>,
    /// Its folder.
    pub(crate) workspace: PathBuf,
    /// `provider/model`, where it has one of its own.
    pub(crate) model: Option<String>,
    /// How it presents itself.
    pub(crate) identity: Identity,
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

/// All of them, at least one.
#[derive(Debug)]
pub(crate) struct Agents {
    all: Vec<Agent>,
    default: usize,
    /// Whether it is clear who is meant where nobody is named.
    is_clear: bool,
}

impl Agents {
    /// Those of a config; the one agent that is always there where it names none.
    pub(crate) fn of(config: &Config, ambient: &Ambient, instance: &Instance) -> Self {
        let shared = config.workspace(ambient, &instance.workspace);
        let named: Vec<(String, &AgentSettings)> = config.agents.everyone().collect();
        let default = named.iter().position(|(_, it)| it.default);
        let at = default.unwrap_or(0);
        let mut all: Vec<Agent> = Vec::new();
        for (place, (id, it)) in named.iter().enumerate() {
            // The first of two with one id is the one; the config is told of the second.
            if all.iter().any(|other| other.id == *id) {
                continue;
            }
            let own = it.workspace.as_deref().filter(|it| !it.trim().is_empty());
            let workspace = match own {
                Some(own) => ambient.path(own),
                None if place == at => shared.clone(),
                None => beside(instance, &shared, id),
            };
            all.push(Agent {
                id: id.clone(),
                name: it.name.clone(),
                workspace,
                model: it.model.as_ref().and_then(|it| it.primary()).map(str::to_owned),
                identity: it.identity.clone(),
                allow: it.tools.allow.clone(),
                deny: it.tools.deny.clone(),
            });
        }
        if all.is_empty() {
            all.push(Agent {
                id: DEFAULT_AGENT.to_owned(),
                name: None,
                workspace: shared,
                model: None,
                identity: Identity::default(),
                allow: None,
                deny: Vec::new(),
            });
        }
        let wanted = named.get(at).map(|(id, _)| id.clone());
        let found = wanted.and_then(|id| all.iter().position(|it| it.id == id)).unwrap_or(0);
        Self { is_clear: default.is_some() || all.len() == 1, default: found, all }
    }

    /// All of them, as they stand in the config.
    pub(crate) fn all(&self) -> &[Agent] {
        &self.all
    }

    /// The one that is marked as the default, else the first.
    pub(crate) fn default(&self) -> &Agent {
        &self.all[self.default]
    }

    /// Whether it is clear who is meant where nobody is named: there is one agent, or one is marked.
    pub(crate) fn is_clear(&self) -> bool {
        self.is_clear
    }

    /// By id, whatever its case.
    pub(crate) fn find(&self, id: &str) -> Option<&Agent> {
        self.all.iter().find(|it| it.id.eq_ignore_ascii_case(id.trim()))
    }

    /// The folders of all but the default one.
    pub(crate) fn other_workspaces(&self) -> Vec<PathBuf> {
        let own = &self.default().workspace;
        let mut found: Vec<PathBuf> = Vec::new();
        for it in self.all.iter().map(|it| &it.workspace).filter(|it| *it != own) {
            if !found.contains(it) {
                found.push(it.clone());
            }
        }
        found
    }

    /// Who is meant, where somebody may be named.
    ///
    /// # Errors
    /// Where nobody is named and several could be meant.
    pub(crate) fn owner(&self, named: Option<&str>) -> Result<Option<&Agent>, Refusal> {
        match named.map(str::trim).filter(|it| !it.is_empty()) {
            Some(id) => Ok(self.find(id)),
            None if self.is_clear => Ok(Some(self.default())),
            None => {
                let ids: Vec<&str> = self.all.iter().map(|it| it.id.as_str()).collect();
                Err(Refusal::invalid(format!(
                    "Multiple agents are configured, but this operation has no explicit owner. Name one with agentId or \
                     with a session key agent:<id>:main, or mark one with \"default\": true; there are {}",
                    ids.join(", ")
                )))
            }
        }
    }
}

impl Agent {
    /// What it may use: what all may, less what it may not.
    pub(crate) fn tools(&self, shared: &tools::Settings) -> Vec<&'static dyn Tool> {
        let own = tools::allowed(self.allow.as_deref(), &self.deny);
        let mut all = tools::allowed(shared.allow.as_deref(), &shared.deny);
        all.retain(|it| own.iter().any(|other| other.spec().name == it.spec().name));
        all
    }

    /// What people call it.
    pub(crate) fn shown(&self) -> &str {
        let name = self.identity.name.as_deref().or(self.name.as_deref());
        name.map(str::trim).filter(|it| !it.is_empty()).unwrap_or(&self.id)
    }
}

impl Gateway {
    /// Which agent a request is about.
    ///
    /// # Errors
    /// Where it is unknown, or nobody is named and several could be meant.
    pub(crate) fn agent(&self, named: Option<&str>) -> Result<Agent, Refusal> {
        let force = self.force();
        let found = force.agents.owner(named)?;
        found.cloned().ok_or_else(|| not_found(named.unwrap_or_default()))
    }

    /// Which conversation a request means that may say whose it is beside the key.
    ///
    /// # Errors
    /// Where it is no key, or the agent is unknown, or several could be meant.
    pub(crate) fn key_of(&self, text: &str, agent: Option<&str>) -> Result<SessionKey, Refusal> {
        match agent {
            Some(agent) => SessionKey::parse(text, &self.agent(Some(agent))?.id),
            None => self.session_key(text),
        }
    }

    /// Which conversation a key means: one that does not say whose it is, is that of the agent that is meant.
    ///
    /// # Errors
    /// Where it is no key, or several agents could be meant.
    pub(crate) fn session_key(&self, text: &str) -> Result<SessionKey, Refusal> {
        if text.trim_start().starts_with("agent:") {
            return SessionKey::parse(text, DEFAULT_AGENT);
        }
        let force = self.force();
        let owner = force.agents.owner(None)?.map_or(DEFAULT_AGENT, |it| it.id.as_str());
        SessionKey::parse(text, owner)
    }
}

/// Of an id that nobody has.
pub(crate) fn not_found(id: &str) -> Refusal {
    Refusal::invalid(format!("agent \"{}\" not found", base::text::line(id.trim(), 80)))
}

/// A name as an id: small letters, digits and dashes. Empty where nothing is left of it.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for it in name.trim().chars() {
        if it.is_ascii_alphanumeric() || it == '_' {
            slug.push(it.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(AGENT_ID_BYTES);
    slug.trim_end_matches('-').to_owned()
}

/// The folder of an agent that names none: in the state folder, and never that of another one.
pub(crate) fn beside(instance: &Instance, shared: &Path, id: &str) -> PathBuf {
    let folder = instance.state_dir.join(format!("workspace-{id}"));
    // The profile's own workspace may have the name already.
    if folder == shared { instance.state_dir.join(format!("workspace-{id}-agent")) } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn agents(settings: Value) -> Agents {
        let config: Config = serde_json::from_value(json!({"agents": settings})).expect("a config");
        let home = tempfile::tempdir().expect("a folder");
        let ambient = Ambient::of(&[("HOME", &home.path().display().to_string())], home.path());
        let profile = profile::ProfileName::parse("ops").expect("a name");
        let instance = Instance::of_profile(&ambient, profile).expect("resolves");
        Agents::of(&config, &ambient, &instance)
    }

    #[track_caller]
    fn check(settings: Value, expected: &str) {
        let it = agents(settings);
        let ids: Vec<_> = it.all().iter().map(|it| it.id.as_str()).collect();
        let clear = if it.is_clear() { "" } else { "?" };
        assert_eq!(format!("{} > {}{clear}", ids.join(" "), it.default().id), expected);
    }

    #[test]
    fn the_default_is_the_one_that_is_marked_and_else_the_first() {
        check(json!({}), "main > main");
        check(json!({"list": [{"id": "Work"}]}), "work > work");
        check(json!({"list": [{"id": "a"}, {"id": "b", "default": true}]}), "a b > b");
        check(json!({"list": [{"id": "a"}, {"id": "b"}]}), "a b > a?");
        check(json!({"list": [{"id": "a"}, {"id": "A"}, {"name": "nobody"}]}), "a > a");
        check(json!({"entries": {"a": {}, "b": {"default": true}}}), "a b > b");
    }

    #[test]
    fn each_has_a_folder_of_its_own() {
        let it = agents(
            json!({"list": [{"id": "main"}, {"id": "ops"}, {"id": "x"}, {"id": "y", "workspace": "/w"}]}),
        );
        let names: Vec<_> = it.all().iter().map(|it| it.workspace.file_name().expect("a name")).collect();
        assert_eq!(names, ["workspace-ops", "workspace-ops-agent", "workspace-x", "w"]);
        assert_eq!(it.other_workspaces().len(), 3);
    }

    #[test]
    fn who_is_not_named_and_not_clear_is_refused_with_all_names() {
        let it = agents(json!({"list": [{"id": "a"}, {"id": "b"}]}));
        let refusal = it.owner(None).expect_err("unclear");
        assert!(
            refusal
                .message
                .starts_with("Multiple agents are configured, but this operation has no explicit owner.")
        );
        assert!(refusal.message.ends_with("there are a, b"), "{refusal}");
        assert_eq!(it.owner(Some("B")).expect("named").map(|it| it.id.as_str()), Some("b"));
        assert!(it.owner(Some("c")).expect("named").is_none());
    }

    #[test]
    fn an_agents_policy_only_narrows() {
        let it = agents(json!({"list": [{"id": "a", "tools": {"allow": ["read", "exec"]}}]}));
        let names = |shared: Value| {
            let shared: tools::Settings = serde_json::from_value(shared).expect("settings");
            it.default().tools(&shared).iter().map(|it| it.spec().name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(json!({})), "read exec");
        assert_eq!(names(json!({"deny": ["exec"]})), "read");
        assert_eq!(names(json!({"allow": ["write"]})), "");
    }

    #[test]
    fn names_become_slugs() {
        for (name, expected) in [
            ("Research Desk", "research-desk"),
            ("  A  b! ", "a-b"),
            ("É", ""),
            ("x_Y", "x_y"),
            ("../..", ""),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
