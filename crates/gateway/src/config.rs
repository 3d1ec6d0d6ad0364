//! The config document as the gateway obeys it: typed, variables put in, everything wrong gathered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::Secret;
use profile::{Ambient, Document, Finding};
use serde::Deserialize;
use serde_json::Value;

use crate::holdings::Holdings;

/// The whole document. Keys that are not named here are none of our business and stay in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The control plane.
    pub gateway: GatewaySection,
    /// Who answers.
    pub agents: AgentsSection,
    /// Who is asked.
    pub models: ModelsSection,
    /// What agents may use.
    pub tools: ToolsSection,
    /// What is written down.
    pub logging: LoggingSection,
}

/// `gateway`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewaySection {
    /// The base port.
    pub port: Option<u16>,
    /// `local`: run a gateway here.
    pub mode: Option<String>,
    /// Which addresses it listens on: `loopback` or `auto`, which is the same here.
    pub bind: Option<String>,
    /// Who may connect.
    pub auth: AuthSection,
    /// The page.
    pub control_ui: ControlUiSection,
}

/// `gateway.auth`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthSection {
    /// `token` or `password`; by default the one that is set.
    pub mode: Option<String>,
    /// The shared secret.
    pub token: Option<Secret>,
    /// The shared secret, typed by people.
    pub password: Option<Secret>,
}

/// `gateway.controlUi`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUiSection {
    /// Pages of other origins that may connect.
    pub allowed_origins: Vec<String>,
}

/// `agents`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AgentsSection {
    /// What holds for every agent.
    pub defaults: AgentDefaults,
}

/// `agents.defaults`.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDefaults {
    /// Where its files are; `~` is the home.
    pub workspace: Option<String>,
    /// `provider/model`, or `{primary: "provider/model"}`.
    pub model: Option<ModelChoice>,
    /// The most a turn may take.
    pub timeout_seconds: u64,
    /// Of each workspace file, what goes into the context.
    pub bootstrap_max_chars: usize,
    /// The size of the context where the model's own is not known.
    pub context_tokens: usize,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        Self {
            workspace: None,
            model: None,
            timeout_seconds: 600,
            bootstrap_max_chars: 20_000,
            context_tokens: 128_000,
        }
    }
}

/// A model by name, in either of the two ways that people write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ModelChoice {
    /// `provider/model`.
    Name(String),
    /// With a name for the first choice.
    Choice {
        /// `provider/model`.
        primary: Option<String>,
    },
}

impl ModelChoice {
    /// `provider/model`.
    pub fn primary(&self) -> Option<&str> {
        match self {
            ModelChoice::Name(it) => Some(it),
            ModelChoice::Choice { primary } => primary.as_deref(),
        }
    }
}

/// `models`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelsSection {
    /// By the name in front of the slash.
    pub providers: BTreeMap<String, ProviderSection>,
}

/// `models.providers.<id>`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProviderSection {
    /// Where it answers, as in `http://127.0.0.1:11434/v1`.
    pub base_url: Option<String>,
    /// Its key.
    pub api_key: Option<Secret>,
    /// `openai-completions`, the one dialect that is spoken here.
    pub api: Option<String>,
    /// Its models.
    pub models: Vec<ModelSection>,
}

/// One of `models.providers.<id>.models`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelSection {
    /// As the provider names it.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Tokens.
    pub context_window: Option<u64>,
}

/// `tools`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ToolsSection {
    /// Only these; all when absent.
    pub allow: Option<Vec<String>>,
    /// Not these.
    pub deny: Vec<String>,
    /// Commands.
    pub exec: ExecSection,
}

/// `tools.exec`.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExecSection {
    /// What a command gets that names no time limit.
    pub timeout_sec: u64,
}

impl Default for ExecSection {
    fn default() -> Self {
        Self { timeout_sec: 120 }
    }
}

/// `logging`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct LoggingSection {
    /// `silent`, `fatal`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for LoggingSection {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

/// The config in force, and what is odd about it.
#[derive(Debug)]
pub struct Read {
    /// Typed.
    pub config: Config,
    /// What does not keep the gateway from running.
    pub warnings: Vec<Finding>,
    /// What only one instance may hold.
    pub(crate) holdings: Holdings,
}

/// Reads a document. Everything that is wrong is found at once.
///
/// # Errors
/// The findings that keep a gateway from running.
pub fn read(document: &Document, ambient: &Ambient) -> Result<Read, Vec<Finding>> {
    let mut value = document.value().clone();
    let mut warnings = Vec::new();
    put_in_variables(&mut value, &mut Vec::new(), ambient, &mut |path, name| {
        let message = format!("the environment has no variable {name}, so this is not set");
        warnings.push(document.finding(path, message));
    });
    let holdings = Holdings::of(&value, ambient);
    let config: Config = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string().trim_start_matches('.').to_owned();
        let path = if path == "." { String::new() } else { path };
        vec![document.finding(&path, plain(&error.inner().to_string()))]
    })?;
    let found = check(&config, document);
    if found.is_empty() { Ok(Read { config, warnings, holdings }) } else { Err(found) }
}

/// A type error in a person's words, and without the value that has the wrong type: it may be a secret in the
/// wrong place.
fn plain(words: &str) -> String {
    if words.contains("untagged enum ModelChoice") {
        return "expected \"provider/model\" or { primary: \"provider/model\" }".to_owned();
    }
    let cut = |mark: char| Some((words.split_once(mark)?.0, words.rsplit_once(mark)?.1));
    let found = match words.strip_prefix("invalid type: ").and_then(|_| cut('"').or_else(|| cut('`'))) {
        Some((before, after)) => format!("{}{after}", before.trim_end()),
        None => words.to_owned(),
    };
    let Some((is, expected)) = found.rsplit_once(", expected ") else { return found };
    let expected = match expected {
        "u16" => "a number from 0 to 65535",
        "u64" | "usize" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        it if it.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{}, expected {expected}", is.replace("invalid type: sequence", "invalid type: list"))
}

/// What keeps a gateway from running although each value is of its type.
fn check(config: &Config, document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut wrong = |path: &str, message: String| found.push(document.finding(path, message));
    match config.gateway.mode.as_deref() {
        Some("local") => {}
        Some(other) => wrong("gateway.mode", format!("is \"{other}\"; a gateway runs here with \"local\"")),
        None => wrong("gateway.mode", "is not set; a gateway runs here with \"local\"".to_owned()),
    }
    if let Some(bind) = config.gateway.bind.as_deref().filter(|it| !matches!(*it, "loopback" | "auto")) {
        wrong("gateway.bind", format!("is \"{bind}\"; this version listens on \"loopback\" only"));
    }
    if let Some(mode) = config.gateway.auth.mode.as_deref().filter(|it| !matches!(*it, "token" | "password"))
    {
        wrong("gateway.auth.mode", format!("is \"{mode}\"; use \"token\" or \"password\""));
    }
    for (id, provider) in &config.models.providers {
        let at = format!("models.providers.{id}");
        if let Some(api) = provider.api.as_deref().filter(|it| *it != "openai-completions") {
            wrong(&format!("{at}.api"), format!("is \"{api}\"; this version speaks \"openai-completions\""));
        }
        if id.contains('/') {
            wrong(&at, "a provider's name must not hold a slash".to_owned());
        }
    }
    if let Err(words) = level(&config.logging.level) {
        wrong("logging.level", words);
    }
    found
}

/// The log's level.
///
/// # Errors
/// Names the words that there are.
pub fn level(word: &str) -> Result<tracing::level_filters::LevelFilter, String> {
    use tracing::level_filters::LevelFilter;
    Ok(match word.to_ascii_lowercase().as_str() {
        "silent" => LevelFilter::OFF,
        "fatal" | "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        other => {
            return Err(format!("is \"{other}\"; use silent, fatal, error, warn, info, debug or trace"));
        }
    })
}

impl Config {
    /// The workspace of the default agent.
    pub fn workspace(&self, ambient: &Ambient, default: &std::path::Path) -> PathBuf {
        let named = self.agents.defaults.workspace.as_deref().filter(|it| !it.trim().is_empty());
        named.map_or_else(|| default.to_path_buf(), |it| ambient.path(it))
    }
}

/// Replaces `${NAME}` in every string; `$${NAME}` stands for the text itself. A value with a name that is not
/// set is taken out, so that whoever needs it finds it missing and not wrong.
fn put_in_variables(
    value: &mut Value,
    path: &mut Vec<String>,
    ambient: &Ambient,
    missing: &mut dyn FnMut(&str, &str),
) {
    match value {
        Value::String(text) if text.contains("${") => match substituted(text, ambient) {
            Ok(whole) => *text = whole,
            Err(name) => {
                missing(&path.join("."), &name);
                *value = Value::Null;
            }
        },
        Value::Object(object) => {
            for (key, it) in object.iter_mut() {
                path.push(key.clone());
                put_in_variables(it, path, ambient, missing);
                path.pop();
            }
            object.retain(|_, it| !it.is_null());
        }
        Value::Array(items) => {
            for (at, it) in items.iter_mut().enumerate() {
                path.push(at.to_string());
                put_in_variables(it, path, ambient, missing);
                path.pop();
            }
        }
        _ => {}
    }
}

fn substituted(text: &str, ambient: &Ambient) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let name_end = after.find('}').unwrap_or(0);
        let name = after.get(2..name_end).unwrap_or_default();
        if !is_variable(name) {
            whole.push_str(before);
            whole.push_str("${");
            rest = &after[2..];
            continue;
        }
        match before.strip_suffix('$') {
            Some(before) => {
                whole.push_str(before);
                whole.push_str(&after[..=name_end]);
            }
            None => {
                whole.push_str(before);
                whole.push_str(ambient.var(name).ok_or_else(|| name.to_owned())?);
            }
        }
        rest = &after[name_end + 1..];
    }
    whole.push_str(rest);
    Ok(whole)
}

fn is_variable(name: &str) -> bool {
    let mut letters = name.bytes();
    let first = letters.next().is_some_and(|it| it.is_ascii_uppercase() || it == b'_');
    first && letters.all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn document(text: &str) -> Document {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5")
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let ambient = Ambient::of(&[("KEY", "k-1")], Path::new("/"));
        let said = match read(&document(text), &ambient) {
            Ok(it) => it.warnings,
            Err(found) => found,
        };
        assert_eq!(said.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), expected);
    }

    #[test]
    fn says_all_that_is_wrong_and_where() {
        check("{gateway: {mode: 'local'}}", "");
        check(
            "{gateway: {mode: 'remote', bind: 'lan'},\n logging: {level: 'loud'}}",
            "line 1, column 12: gateway.mode: is \"remote\"; a gateway runs here with \"local\"; line 1, column 28: \
             gateway.bind: is \"lan\"; this version listens on \"loopback\" only; line 2, column 12: logging.level: is \
             \"loud\"; use silent, fatal, error, warn, info, debug or trace",
        );
        check(
            "{gateway: {mode: 'local', port: 'x'}}",
            "line 1, column 27: gateway.port: invalid type: string, expected a number from 0 to 65535",
        );
        check(
            "{gateway: {mode: 'local', auth: 'hunter2'}}",
            "line 1, column 27: gateway.auth: invalid type: string, expected an object",
        );
        check(
            "{gateway: {mode: 'local', auth: {token: 1234}}}",
            "line 1, column 34: gateway.auth.token: invalid type: integer, expected a string",
        );
        check(
            "{gateway: {mode: 'local'}, agents: {defaults: {model: 5}}}",
            "line 1, column 48: agents.defaults.model: expected \"provider/model\" or { primary: \"provider/model\" }",
        );
        check(
            "{gateway: {mode: 'local'}, tools: {deny: 'exec'}}",
            "line 1, column 36: tools.deny: invalid type: string, expected a list",
        );
        check(
            "{gateway: {mode: 'local', auth: {token: '${NOPE}'}}}",
            "line 1, column 34: gateway.auth.token: the environment has no variable NOPE, so this is not set",
        );
    }

    #[test]
    fn variables_are_put_in_by_the_originals_rules() {
        let ambient = Ambient::of(&[("A", "1"), ("B_2", "two")], Path::new("/"));
        for (text, expected) in [
            ("x${A}y${B_2}", Ok("x1ytwo")),
            ("$${A}", Ok("${A}")),
            ("${a} ${", Ok("${a} ${")),
            ("${A", Ok("${A")),
            ("${C}", Err("C")),
        ] {
            let found = substituted(text, &ambient);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
