//! `usage.*`, `sessions.usage`: what answers cost.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Method, Scope};

/// `usage.status`: how much of a provider's allowance is used, where it tells.
pub enum Status {}

impl Method for Status {
    const NAME: &'static str = "usage.status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = StatusParams;
    type Reply = StatusReply;
}

/// `params` of `usage.status`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusParams {}

/// `payload` of `usage.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusReply {
    /// Unix milliseconds.
    pub updated_at: u64,
    /// `{provider, displayName, windows}`; empty while no provider that is spoken with tells.
    pub providers: Vec<Value>,
}

/// `usage.cost`: sums by day.
pub enum Cost {}

impl Method for Cost {
    const NAME: &'static str = "usage.cost";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = CostParams;
    type Reply = CostReply;
}

/// `params` of `usage.cost`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CostParams {
    /// How many days up to today; 30 when absent, at most 366.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// The first day, as in `2026-11-23`, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
}

/// `payload` of `usage.cost`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CostReply {
    /// Unix milliseconds.
    pub updated_at: u64,
    /// Days that it is about.
    pub days: u64,
    /// Each of them, the first first.
    pub daily: Vec<Day>,
    /// All of them.
    pub totals: Totals,
}

/// One day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Day {
    /// As in `2026-11-23`, in UTC.
    pub date: String,
    /// What was spent on it.
    #[serde(flatten)]
    pub totals: Totals,
}

/// What was spent: tokens, and money in dollars where the config names the model's price.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read out of a provider's cache: none that is told apart.
    pub cache_read: u64,
    /// Tokens written into it.
    pub cache_write: u64,
    /// All of them.
    pub total_tokens: u64,
    /// Dollars.
    pub total_cost: f64,
    /// Dollars for what was read.
    pub input_cost: f64,
    /// Dollars for what was written.
    pub output_cost: f64,
    /// Dollars for what was read out of a cache.
    pub cache_read_cost: f64,
    /// Dollars for what was written into it.
    pub cache_write_cost: f64,
    /// Answers whose model has no price in the config.
    pub missing_cost_entries: u64,
}

/// `sessions.usage`: sums by conversation.
pub enum Sessions {}

impl Method for Sessions {
    const NAME: &'static str = "sessions.usage";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = SessionsParams;
    type Reply = SessionsReply;
}

/// `params` of `sessions.usage`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionsParams {
    /// Only this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The first day, as in `2026-11-23`, in UTC; 29 days before the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// The last day; today when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    /// How many conversations, those that cost most tokens first; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `payload` of `sessions.usage`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionsReply {
    /// Unix milliseconds.
    pub updated_at: u64,
    /// As in `2026-11-23`.
    pub start_date: String,
    /// As in `2026-11-23`.
    pub end_date: String,
    /// Those that cost most tokens first.
    pub sessions: Vec<SessionUsage>,
    /// All of them, also those beyond the limit.
    pub totals: Totals,
    /// `{byModel, byProvider, daily}` over all of them.
    pub aggregates: Aggregates,
}

/// What one conversation cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionUsage {
    /// Canonical; the conversation may be gone.
    pub key: String,
    /// The name a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The transcript's id, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The agent that answered.
    pub agent_id: String,
    /// What it cost.
    pub usage: SessionTotals,
}

/// What one conversation cost, and when.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionTotals {
    /// What was spent.
    #[serde(flatten)]
    pub totals: Totals,
    /// The first answer, in Unix milliseconds.
    pub first_activity: u64,
    /// The last answer, in Unix milliseconds.
    pub last_activity: u64,
    /// By model.
    pub model_usage: Vec<ModelUsage>,
}

/// What one model cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelUsage {
    /// Its provider.
    pub provider: String,
    /// As the provider names it; absent in a sum by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers.
    pub count: u64,
    /// What was spent.
    pub totals: Totals,
}

/// Sums over all conversations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Aggregates {
    /// By model.
    pub by_model: Vec<ModelUsage>,
    /// By provider.
    pub by_provider: Vec<ModelUsage>,
    /// By day; days on which nothing was spent are left out.
    pub daily: Vec<Day>,
}
