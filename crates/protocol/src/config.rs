//! `config.*`: the config document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Method, Scope};

/// `config.get`: the document as it is on disk, without its secrets.
pub enum Get {}

impl Method for Get {
    const NAME: &'static str = "config.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = GetParams;
    type Reply = GetReply;
}

/// What a secret reads as; sent back in a write it means "keep the secret".
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// `params` of `config.get`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GetParams {}

/// `payload` of `config.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetReply {
    /// The file.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Its text; `null`, since it may hold secrets.
    pub raw: Option<String>,
    /// As it was read, secrets replaced by [`REDACTED`].
    pub parsed: Value,
    /// Whether the gateway accepts it.
    pub valid: bool,
    /// As it is in force, secrets replaced.
    pub config: Value,
    /// `hmac-sha256:v1:<base64url>` of the text: the base of a write.
    pub hash: Option<String>,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// What is odd about it.
    pub warnings: Vec<Issue>,
}

/// One thing wrong with the document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issue {
    /// Keys joined with dots.
    pub path: String,
    /// For people.
    pub message: String,
    /// 1 for the first; 0 where the place is unknown.
    pub line: usize,
}
