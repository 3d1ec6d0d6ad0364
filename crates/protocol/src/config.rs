//! `config.*`: the config document.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reload::ReloadReport;
use crate::{Method, Refusal, Scope};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GetParams {}

/// `payload` of `config.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// `hmac-sha256:v1:<base64url>` of the text: the base of a write. Also that of a text that does not parse.
    pub hash: Option<String>,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// What is odd about it.
    pub warnings: Vec<Issue>,
}

/// One thing wrong with the document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Issue {
    /// Keys joined with dots.
    pub path: String,
    /// For people.
    pub message: String,
    /// 1 for the first; 0 where the place is unknown.
    pub line: usize,
    /// In characters, 1 for the first.
    #[serde(default)]
    pub column: usize,
}

/// `config.set`: a text takes the place of the document's.
pub enum Set {}

impl Method for Set {
    const NAME: &'static str = "config.set";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = WriteParams;
    type Reply = WriteReply;
}

/// `config.apply`: as [`Set`], and says what the running gateway does with it.
pub enum Apply {}

impl Method for Apply {
    const NAME: &'static str = "config.apply";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = WriteParams;
    type Reply = WriteReply;
}

/// `config.patch`: a JSON5 merge patch, in which `null` takes a key out.
pub enum Patch {}

impl Method for Patch {
    const NAME: &'static str = "config.patch";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    const STEERS: bool = true;
    type Params = WriteParams;
    type Reply = WriteReply;
}

/// `params` of the three writes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WriteParams {
    /// The whole text, or the patch. A secret that reads [`REDACTED`] is kept as it is.
    pub raw: String,
    /// The [`GetReply::hash`] of the text that this is based on, or its SHA-256 in hex; needed where there is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
    /// What for, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who is to be told once it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// How long a restart that it takes may be put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_delay_ms: Option<u64>,
    /// Of a patch: paths, keys joined with dots, at which it says the whole value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace_paths: Vec<String>,
}

/// `payload` of the three writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WriteReply {
    /// True: what could not be written is refused.
    pub ok: bool,
    /// The file.
    pub path: String,
    /// As it is now, secrets replaced.
    pub config: Value,
    /// The base of the next write.
    pub hash: String,
    /// Keys joined with dots.
    pub changed_paths: Vec<String>,
    /// The generation of the text, where it is in the history already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What the running gateway does with it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Whether it restarts for it; not of `config.set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// What is told to whoever asked, once it is in force; not of `config.set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Value>,
    /// What the gateway did with it, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadReport>,
}

/// `config.schema`: what may stand in a config.
pub enum Schema {}

impl Method for Schema {
    const NAME: &'static str = "config.schema";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = SchemaParams;
    type Reply = SchemaReply;
}

/// `params` of `config.schema`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SchemaParams {}

/// `payload` of `config.schema`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchemaReply {
    /// JSON Schema, draft 7.
    pub schema: Value,
    /// By the path of a key: `{help, sensitive, reloadKind}`.
    pub ui_hints: Map<String, Value>,
    /// Of the program.
    pub version: String,
    /// RFC 3339.
    pub generated_at: String,
}

/// `restart` of a [`WriteReply`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Whether one is under way.
    pub ok: bool,
    /// The gateway.
    pub pid: u32,
    /// How long it is put off.
    pub delay_ms: u64,
    /// The method that asked for it.
    pub reason: String,
    /// `none` where none is under way.
    pub mode: String,
}

/// What a write is refused with that was based on another text than the file's.
pub const CHANGED: &str = "config changed since last load; re-run config.get and retry";
/// What a candidate is refused with that no gateway would run with; the issues are among the details.
pub const INVALID: &str = "invalid config";

/// The issues that a refused write names in its details.
pub fn issues(refusal: &Refusal) -> Vec<Issue> {
    let issues = refusal.details.as_ref().and_then(|it| it.get("issues")).cloned();
    issues.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default()
}

/// `config.schema.lookup`: what is known of one key.
pub enum SchemaLookup {}

impl Method for SchemaLookup {
    const NAME: &'static str = "config.schema.lookup";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = SchemaLookupParams;
    type Reply = SchemaLookupReply;
}

/// `params` of `config.schema.lookup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SchemaLookupParams {
    /// Keys joined with dots; `*` for a name that people choose, `[]` behind a list.
    pub path: String,
}

/// `payload` of `config.schema.lookup`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SchemaLookupReply {
    /// As it was asked for.
    pub path: String,
    /// `{type, description, default, enum}` as far as there are such.
    pub schema: Value,
    /// `{help, sensitive}`.
    pub hint: Value,
    /// What a change of it does to a gateway that runs.
    pub reload_kind: String,
    /// The keys directly below, as `{key, path, type, hasChildren}`.
    pub children: Vec<Value>,
}
