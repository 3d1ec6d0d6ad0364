//! What became of a changed config.

use serde::{Deserialize, Serialize};

/// What a gateway did with a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReloadReport {
    /// In one word.
    pub how: ReloadHow,
    /// What changed, key by key, and what each change asks for.
    #[serde(default)]
    pub plan: Vec<ReloadStep>,
    /// Why it was refused, or what is left to do; for people.
    #[serde(default)]
    pub why: Vec<String>,
    /// The generation that is in force.
    pub generation: Option<u64>,
    /// Unix milliseconds.
    pub at: u64,
}

/// What a gateway did with a config, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ReloadHow {
    /// It says what is in force already.
    Unchanged,
    /// It is in force.
    Applied,
    /// It will be in force once the gateway has restarted, which waits for the turns under way.
    Restarting,
    /// It is not in force: the one before is.
    Refused,
    /// It is not looked at: `gateway.reload.mode` is `off`.
    Off,
}

impl ReloadHow {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            ReloadHow::Unchanged => "nothing changed",
            ReloadHow::Applied => "in force",
            ReloadHow::Restarting => "in force after the restart that was begun",
            ReloadHow::Refused => "refused: the config before it is in force",
            ReloadHow::Off => "not in force: gateway.reload.mode is off",
        }
    }
}

/// One key that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReloadStep {
    /// Keys joined with dots.
    pub path: String,
    /// The value as JSON, secrets masked; absent where it was not set.
    pub before: Option<String>,
    /// The value as JSON, secrets masked; absent where it is not set.
    pub after: Option<String>,
    /// `nothing`, `hot`, `gateway`, or the unit that is restarted, as in `channel telegram`.
    pub kind: String,
}
