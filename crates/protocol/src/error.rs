//! A refusal: what a caller is told when a request cannot be served.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of a refusal, as clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// Bad parameters, an unknown method, a bad credential, the wrong role.
    InvalidRequest,
    /// It could not be done now: a failure at run time, a time-out, not ready yet.
    Unavailable,
    /// A device identity or a pairing is missing.
    NotPaired,
    /// The caller lacks a scope.
    Forbidden,
    /// A code of another version, kept apart so that reading it does not fail.
    #[serde(other)]
    Other,
}

/// `error` of a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The kind.
    pub code: Code,
    /// For people: what was wrong, where, and what to do.
    pub message: String,
    /// For programs: `{code: "…", …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// The caller's mistake.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// Our failure, or somebody's behind us.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A refusal of any kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retryable: None, retry_after_ms: None }
    }

    /// Adds what programs read.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Says that the same request may succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = Some(true);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Why the server closes a connection: the code and the reason of the close frame.
pub mod close {
    /// Nothing came in time, or what came was no JSON.
    pub const NORMAL: u16 = 1000;
    /// No common protocol version.
    pub const PROTOCOL: u16 = 1002;
    /// A refused handshake, or a consumer that is too slow.
    pub const POLICY: u16 = 1008;
    /// A frame over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// An orderly shutdown.
    pub const RESTART: u16 = 1012;
    /// Not ready yet.
    pub const STARTING: u16 = 1013;
    /// What the client was let in by holds no longer.
    pub const AUTH_CHANGED: u16 = 4001;
    /// The most bytes a reason may have.
    pub const REASON_BYTES: usize = 120;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_only_what_is_set_and_reads_codes_of_other_versions() {
        let plain = serde_json::to_value(Refusal::invalid("unknown method: nope")).expect("writes");
        assert_eq!(plain, json!({"code": "INVALID_REQUEST", "message": "unknown method: nope"}));
        let foreign: Refusal =
            serde_json::from_value(json!({"code": "NOT_LINKED", "message": "x"})).expect("reads");
        assert_eq!(foreign.code, Code::Other);
    }
}
