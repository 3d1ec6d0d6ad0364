//! `logs.tail`: the end of the gateway's log, and what came since.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Method, Scope};

/// `logs.tail`: lines of the log from a cursor on, or the last ones.
pub enum Tail {}

impl Method for Tail {
    const NAME: &'static str = "logs.tail";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = TailParams;
    type Reply = TailReply;
}

/// `params` of `logs.tail`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TailParams {
    /// Where the last reply ended; the end of the log when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// How many lines at most: 1 to 5000, 500 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many bytes of the log are looked at: 1 to 1 000 000, 250 000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// `payload` of `logs.tail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TailReply {
    /// The file.
    pub file: PathBuf,
    /// Where this reply ends, in bytes.
    pub cursor: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Lines, oldest first: an object each, with `time`, `level`, `subsystem` and `message`.
    pub lines: Vec<String>,
    /// Whether lines before these were left out.
    pub truncated: bool,
    /// Whether the cursor is of a file that was put aside since, and this begins anew.
    pub reset: bool,
}
