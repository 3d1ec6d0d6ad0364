//! What the config says of agents.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Found;
use crate::models::ModelChoice;

/// Who answers.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What holds for every agent.
    pub defaults: Defaults,
    /// The agents, where there is more than the one that is always there. The first is the default one, unless another
    /// is marked.
    pub list: Vec<AgentSettings>,
    /// Agents by id, as newer versions of the original write them.
    pub entries: BTreeMap<String, AgentSettings>,
}

/// One agent.
#[derive(Debug, Default, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentSettings {
    /// Its id: small letters, digits and dashes.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Whether it is meant where nobody is named.
    pub default: bool,
    /// The folder of its files; `workspace-<id>` in the state folder where none is named.
    pub workspace: Option<String>,
    /// The model that answers: `provider/model`; that of the defaults where none is named.
    pub model: Option<ModelChoice>,
    /// How it presents itself.
    pub identity: Identity,
    /// What it may use of what all may use.
    pub tools: AgentTools,
}

/// How an agent presents itself.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Identity {
    /// What it is called.
    pub name: Option<String>,
    /// Its character, in a few words.
    pub theme: Option<String>,
    /// A sign for it.
    pub emoji: Option<String>,
    /// A picture: a path in the workspace, an address, or `data:`.
    pub avatar: Option<String>,
}

/// What one agent may use.
#[derive(Debug, Default, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AgentTools {
    /// Only these tools, `*` for all; all when absent.
    pub allow: Option<Vec<String>>,
    /// Not these tools, whatever is allowed.
    pub deny: Vec<String>,
}

impl Settings {
    /// All agents with their ids, those of the list first.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = (String, &AgentSettings)> {
        let listed = self.list.iter().map(|it| (it.id.trim().to_ascii_lowercase(), it));
        let named = self.entries.iter().map(|(id, it)| (id.trim().to_ascii_lowercase(), it));
        listed.chain(named).filter(|(id, _)| !id.is_empty())
    }

    pub(crate) fn check(&self, found: &mut Found<'_>) {
        let mut seen: Vec<String> = Vec::new();
        for (at, it) in self.list.iter().enumerate() {
            let (place, id) = (at.to_string(), it.id.trim().to_ascii_lowercase());
            if id.is_empty() {
                found.odd(&["agents", "list", &place], "has no id, and is left out");
            } else if seen.contains(&id) {
                found.odd(
                    &["agents", "list", &place, "id"],
                    format!("is \"{id}\" a second time, and is left out"),
                );
            }
            seen.push(id);
        }
        for id in self.entries.keys().filter(|it| seen.contains(&it.to_ascii_lowercase())) {
            found.odd(&["agents", "entries", id], "stands in agents.list as well, and is left out here");
        }
    }
}

/// What holds for every agent.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Defaults {
    /// The folder of its files; `~` is the home.
    pub workspace: Option<String>,
    /// The model that answers: `provider/model`. Where none is named, one is looked for on this machine.
    pub model: Option<ModelChoice>,
    /// The most seconds that a turn may take.
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,
    /// Whether a workspace begins empty, without the files that agents are given.
    pub skip_bootstrap: bool,
    /// Of each workspace file, the most characters that go into the context.
    pub bootstrap_max_chars: usize,
    /// The size of the context in tokens where the model's own is not known.
    #[schemars(range(min = 1))]
    pub context_tokens: usize,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            workspace: None,
            model: None,
            timeout_seconds: 600,
            skip_bootstrap: false,
            bootstrap_max_chars: 20_000,
            context_tokens: 128_000,
        }
    }
}
