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
}

impl Default for Exec {
    fn default() -> Self {
        Self { timeout_sec: 120 }
    }
}
