//! What the config says of hooks.

use base::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access;
use crate::config::{Found, SecretInput};

/// Why a token that opens more opens no hook.
pub(crate) const SHARED_HOOK_TOKEN: &str =
    "is the gateway's own secret; no hook is taken until it is another one";

/// What other programs may tell the agent.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// Whether hooks are taken; they need a `token`.
    pub enabled: bool,
    /// What a program must know that sends hooks. Not that of the gateway.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<SecretInput>")]
    pub token: Option<Secret>,
    /// The path below which they are.
    pub path: String,
    /// The agents that hooks may speak to; all when absent.
    pub allowed_agent_ids: Option<Vec<String>>,
    /// The conversation of a hook that names none.
    pub default_session_key: Option<String>,
    /// Whether a request may name its conversation.
    pub allow_request_session_key: bool,
    /// What the names of conversations must begin with; anything when empty.
    pub allowed_session_key_prefixes: Vec<String>,
    /// What becomes of other paths below `path`. The first that fits is taken.
    pub mappings: Vec<Mapping>,
}

/// What becomes of a hook.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mapping {
    /// For people.
    pub id: Option<String>,
    /// Which hooks it is for; all when absent.
    #[serde(rename = "match")]
    pub fits: Match,
    /// `agent`: a turn of its own; `wake`: said in the main conversation.
    #[schemars(extend("enum" = ["agent", "wake"]))]
    pub action: Option<String>,
    /// What the agent is told. `{{a.b[0]}}` is a part of the body, `{{headers.x}}` a header, `{{path}}` the path, `{{now}}`
    /// the time.
    pub message_template: Option<String>,
    /// As `messageTemplate`, for `wake`.
    pub text_template: Option<String>,
    /// What the hook is called; a template.
    pub name: Option<String>,
    /// The agent.
    pub agent_id: Option<String>,
    /// The conversation; a template.
    pub session_key: Option<String>,
    /// `isolated`: each a conversation of its own; `persistent`: one conversation.
    #[schemars(extend("enum" = ["isolated", "persistent"]))]
    pub session_mode: Option<String>,
    /// `provider/model`; a template.
    pub model: Option<String>,
    /// The most seconds that the turn may take.
    pub timeout_seconds: Option<u64>,
    /// A program of the original. A mapping that has one is not taken.
    pub transform: Option<Map<String, Value>>,
    /// One hook for each part of a list, in the original. A mapping that has it is not taken.
    pub for_each: Option<String>,
}

/// Which hooks a mapping is for.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Match {
    /// What follows `hooks.path`.
    pub path: Option<String>,
    /// The `source` in the body.
    pub source: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            token: None,
            path: "/hooks".to_owned(),
            allowed_agent_ids: None,
            default_session_key: None,
            allow_request_session_key: false,
            allowed_session_key_prefixes: Vec::new(),
            mappings: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether the path is one, and not the whole port.
    pub(crate) fn path_is_sound(&self) -> bool {
        self.path.starts_with('/') && !self.path.trim_matches('/').is_empty()
    }

    /// Whether a conversation may be called so.
    pub(super) fn allows_key(&self, name: &str) -> bool {
        let mut prefixes =
            self.allowed_session_key_prefixes.iter().map(|it| it.trim()).filter(|it| !it.is_empty());
        let name = name.to_ascii_lowercase();
        prefixes.clone().next().is_none() || prefixes.any(|it| name.starts_with(&it.to_ascii_lowercase()))
    }

    pub(crate) fn check(&self, auth: &access::Settings, found: &mut Found<'_>) {
        if !self.path_is_sound() {
            found.odd(&["hooks", "path"], "must begin with \"/\" and be more than that; no hook is taken");
        }
        if self.enabled && self.token.is_none() {
            found.odd(&["hooks", "enabled"], "is set without hooks.token; no hook is taken");
        }
        let is_known = |it: &Secret| {
            [&auth.token, &auth.password].into_iter().flatten().any(|own| own.matches(it.expose()))
        };
        if self.token.as_ref().is_some_and(is_known) {
            found.odd(&["hooks", "token"], SHARED_HOOK_TOKEN);
        }
        for (at, mapping) in self.mappings.iter().enumerate() {
            let at = at.to_string();
            for (key, is_set) in
                [("transform", mapping.transform.is_some()), ("forEach", mapping.for_each.is_some())]
            {
                if is_set {
                    found.odd(
                        &["hooks", "mappings", &at, key],
                        "is not done here, so that this mapping is not taken",
                    );
                }
            }
        }
    }
}
