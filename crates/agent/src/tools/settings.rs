//! What the config says of tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which tools agents may use, and how.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Only these tools, `*` for all; all when absent.
    pub allow: Option<Vec<String>>,
    /// Not these tools, whatever is allowed.
    pub deny: Vec<String>,
    /// Commands of the `exec` tool.
    pub exec: Exec,
}

/// How commands are run.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Exec {
    /// The seconds that a command gets which names no time limit.
    #[schemars(range(min = 1))]
    pub timeout_sec: u64,
    /// Which commands may run: none (`deny`), those on the list of approvals (`allowlist`), all (`full`). What
    /// `openclaw approvals` says can only be stricter.
    #[schemars(with = "String", extend("enum" = ["deny", "allowlist", "full"]))]
    pub security: Security,
    /// When a person is asked: never (`off`), for what is not on the list (`on-miss`), each time (`always`).
    #[schemars(with = "String", extend("enum" = ["off", "on-miss", "always"]))]
    pub ask: Ask,
    /// What holds where a person should be asked and nobody answers.
    #[schemars(with = "String", extend("enum" = ["deny", "allowlist", "full"]))]
    pub ask_fallback: Security,
}

/// Which commands may run. The stricter is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// None.
    Deny,
    /// Those on the list.
    Allowlist,
    /// All.
    Full,
}

/// When a person is asked. The stricter is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Never.
    Off,
    /// For what is not on the list.
    OnMiss,
    /// Each time.
    Always,
}

impl Default for Exec {
    fn default() -> Self {
        Self { timeout_sec: 120, security: Security::Full, ask: Ask::Off, ask_fallback: Security::Deny }
    }
}
