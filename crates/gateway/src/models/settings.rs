//! What the config says of models.

use std::collections::BTreeMap;

use base::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Found, SecretInput};

/// Dialects of the original. A provider that speaks another one than the first is there and is not asked.
const DIALECTS: [&str; 9] = [
    "openai-completions",
    "openai-responses",
    "openai-codex-responses",
    "azure-openai-responses",
    "anthropic-messages",
    "google-generative-ai",
    "github-copilot",
    "bedrock-converse-stream",
    "ollama",
];

/// Who is asked.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Providers by the name that stands in front of the slash in `provider/model`.
    pub providers: BTreeMap<String, ProviderSettings>,
}

/// One provider of models.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProviderSettings {
    /// Where it answers, as in `http://127.0.0.1:11434/v1`; that of the vendor when absent.
    pub base_url: Option<String>,
    /// Its key. Where it is absent, the variable that the vendor names is used.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<SecretInput>")]
    pub api_key: Option<Secret>,
    /// The dialect that it speaks. One that speaks another than `openai-completions` is not asked.
    pub api: Option<String>,
    /// Its models; the first is the one that is taken where none is named.
    pub models: Vec<ModelSettings>,
}

/// One model of a provider.
#[derive(Debug, Default, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelSettings {
    /// As the provider names it.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// The most tokens that it can take in.
    pub context_window: Option<u64>,
    /// What it costs; without it usage is counted in tokens alone.
    pub cost: Option<Price>,
}

/// What a model costs, in dollars for a million tokens.
#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Price {
    /// For what it reads.
    pub input: f64,
    /// For what it writes.
    pub output: f64,
}

/// A model by name, in either of the two ways that people write it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelChoice {
    /// `provider/model`.
    Name(String),
    /// With a name for the first choice.
    Choice {
        /// `provider/model`.
        primary: Option<String>,
    },
}

impl ModelChoice {
    /// `provider/model`.
    pub fn primary(&self) -> Option<&str> {
        match self {
            ModelChoice::Name(it) => Some(it),
            ModelChoice::Choice { primary } => primary.as_deref(),
        }
    }
}

impl ProviderSettings {
    /// Its dialect, where it is one that is not spoken here.
    pub(crate) fn unspoken(&self) -> Option<&str> {
        self.api.as_deref().filter(|it| *it != "openai-completions")
    }
}

impl Settings {
    pub(crate) fn check(&self, found: &mut Found<'_>) {
        for (id, provider) in &self.providers {
            let at = |key| ["models", "providers", id, key];
            if let Some(api) = provider.unspoken() {
                if !DIALECTS.contains(&api) {
                    found.wrong(
                        &at("api"),
                        format!("is \"{api}\"; this version speaks \"openai-completions\""),
                    );
                    continue;
                }
                let words = format!(
                    "is \"{api}\"; this version speaks \"openai-completions\", and does not ask this provider"
                );
                found.odd(&at("api"), words);
            }
            if id.contains('/') {
                found.wrong(&["models", "providers", id], "a provider's name must not hold a slash");
            }
        }
    }
}
