//! What the config says of agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::models::ModelChoice;

/// Who answers.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What holds for every agent.
    pub defaults: Defaults,
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
