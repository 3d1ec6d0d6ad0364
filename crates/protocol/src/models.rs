//! `models.list`: what can be asked.

use serde::{Deserialize, Serialize};

use crate::{Method, Scope};

/// `models.list`: the models that a turn can use now.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "models.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = ListParams;
    type Reply = ListReply;
}

/// `params` of `models.list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListParams {
    /// Whose models; the default agent's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// `configured` or `provider-config`: those of the config alone, and nobody is asked. All when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}

/// `payload` of `models.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListReply {
    /// The model that is asked by default comes first.
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// As the provider names it.
    pub id: String,
    /// For people.
    pub name: String,
    /// The provider's id.
    pub provider: String,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Whether a turn can use it.
    pub available: bool,
    /// Why it cannot, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_reason: Option<String>,
    /// What there is to choose from.
    #[serde(default)]
    pub thinking_levels: Vec<crate::sessions::ThinkingLevel>,
    /// How much it thinks by itself.
    #[serde(default)]
    pub thinking_default: String,
    /// `default` for the one that is asked where none is named, `configured` for those of the config.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// `models.authStatus`: which providers there are keys for. No key is shown.
pub enum AuthStatus {}

impl Method for AuthStatus {
    const NAME: &'static str = "models.authStatus";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = crate::catalogues::Nothing;
    type Reply = AuthStatusReply;
}

/// `payload` of `models.authStatus`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuthStatusReply {
    /// Unix milliseconds.
    pub ts: u64,
    /// Those of the config, and those that the environment has a key for.
    pub providers: Vec<ProviderAuth>,
}

/// Whether there is a key for one provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProviderAuth {
    /// The provider's id.
    pub provider: String,
    /// For people.
    pub display_name: String,
    /// `static`: there is a key that does not end; `missing`: there is none, which a local server does not need.
    pub status: String,
    /// Where the key is from: `config`, or the variable's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Empty: nobody signs in here.
    pub profiles: Vec<serde_json::Value>,
}
