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
#[serde(rename_all = "camelCase")]
pub struct ListParams {
    /// Whose models; the default agent's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// `payload` of `models.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListReply {
    /// The model that is asked by default comes first.
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
}
