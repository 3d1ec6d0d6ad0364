//! The config as the gateway obeys it: typed, variables and secrets put in, everything that is wrong gathered.
//!
//! The type of each section stands beside the code that obeys it. Defaults, documentation, the JSON Schema and the
//! completions come from those types.

mod found;
mod known;
mod schema;
mod shape;

use std::path::{Path, PathBuf};

use base::Secret;
use profile::document::{Unreadable, Weight};
use profile::sources::Reach;
use profile::{Ambient, Document, Finding, Instance, Sources, generations, secrets, variables};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use found::Found;
pub use schema::{Key, SecretInput, keys, schema};

use crate::force::Force;
use crate::holdings::Holdings;
use crate::{access, bind, driver, http, log, models, names, nodes, proxies, reload, tls};

/// The whole config.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The control plane.
    pub gateway: GatewaySection,
    /// Who answers.
    #[schemars(extend("x-reload" = "hot"))]
    pub agents: driver::Settings,
    /// Who is asked.
    #[schemars(extend("x-reload" = "hot"))]
    pub models: models::ModelsSettings,
    /// What agents may use.
    #[schemars(extend("x-reload" = "hot"))]
    pub tools: agent::tools::Settings,
    /// What other programs may tell the agent.
    #[schemars(extend("x-reload" = "hot"))]
    pub hooks: http::HooksSettings,
    /// What is written down.
    #[schemars(extend("x-reload" = "hot"))]
    pub logging: log::Settings,
    /// Variables that are set where the environment does not set them.
    #[schemars(extend("x-reload" = "hot"))]
    pub env: EnvSection,
    /// Where secrets come from that the config only refers to.
    #[schemars(extend("x-reload" = "hot"))]
    pub secrets: SecretsSection,
    /// What programs have noted about the file; nobody obeys it.
    #[schemars(extend("x-reload" = "nothing"))]
    pub meta: Option<Map<String, Value>>,
    /// What a wizard has noted about its last run; nobody obeys it.
    #[schemars(extend("x-reload" = "nothing"))]
    pub wizard: Option<Map<String, Value>>,
    /// The schema that editors check the file by.
    #[serde(rename = "$schema")]
    #[schemars(extend("x-reload" = "nothing"))]
    pub schema: Option<String>,
}

/// `gateway`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewaySection {
    /// The base port: browser control is 2 above it, the canvas host 4.
    #[schemars(range(min = 1))]
    #[schemars(extend("x-reload" = "gateway"))]
    pub port: Option<u16>,
    /// `local`: a gateway runs here. With `remote` none does.
    #[schemars(extend("enum" = ["local", "remote"], "x-reload" = "gateway"))]
    pub mode: Option<String>,
    /// Which addresses it listens on: `loopback`, this machine alone; `lan`, all IPv4 addresses; `tailnet`, the one in
    /// 100.64.0.0/10; `custom`, that of `customBindHost`; `auto` is `loopback`. Loopback is part of each.
    #[schemars(extend("enum" = ["loopback", "lan", "tailnet", "custom", "auto"], "x-reload" = "gateway"))]
    pub bind: Option<String>,
    /// The address of `custom`.
    #[schemars(extend("x-reload" = "gateway"))]
    pub custom_bind_host: Option<String>,
    /// TLS on the port.
    #[schemars(extend("x-reload" = "gateway"))]
    pub tls: tls::Settings,
    /// Addresses and nets of proxies that are believed whom they speak for: `10.0.0.1`, `10.0.0.0/8`.
    #[schemars(extend("x-reload" = "hot"))]
    pub trusted_proxies: Vec<String>,
    /// Whether a trusted proxy may say it by `X-Real-IP` where it sends no `X-Forwarded-For`.
    #[schemars(extend("x-reload" = "hot"))]
    pub allow_real_ip_fallback: bool,
    /// Where a proxy shows this gateway, as in `https://claw.example`.
    #[schemars(extend("x-reload" = "hot"))]
    pub public_origin: Option<String>,
    /// Who may connect.
    #[schemars(extend("x-reload" = "hot"))]
    pub auth: access::Settings,
    /// The page.
    #[schemars(extend("x-reload" = "hot"))]
    pub control_ui: http::ControlUi,
    /// What is served over HTTP beside the WebSocket.
    #[schemars(extend("x-reload" = "hot"))]
    pub http: http::HttpSettings,
    /// Which tools are to be had over HTTP.
    #[schemars(extend("x-reload" = "hot"))]
    pub tools: http::ToolsOverHttp,
    /// What a change of the config does to the gateway that runs.
    #[schemars(extend("x-reload" = "hot"))]
    pub reload: reload::Settings,
    /// What nodes may be asked for.
    #[schemars(extend("x-reload" = "hot"))]
    pub nodes: nodes::Settings,
}

/// `env`: a variable may also stand beside `vars`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvSection {
    /// Variables by name. One that would move the instance (`OPENCLAW_…`) is ignored.
    #[serde(skip_serializing)]
    pub vars: std::collections::BTreeMap<String, String>,
    /// Of the original: the login shell is asked for keys. It has no effect here.
    pub shell_env: Option<Map<String, Value>>,
    /// Variables beside `vars`.
    #[serde(flatten, skip_serializing)]
    pub others: std::collections::BTreeMap<String, String>,
}

/// `secrets`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SecretsSection {
    /// Sources by name: `{source: "env", allowlist}`, `{source: "file", path, mode, maxBytes}`, `{source: "exec",
    /// command, args, env, passEnv, timeoutMs, maxOutputBytes, jsonOnly, trustedDirs}`.
    pub providers: std::collections::BTreeMap<String, Map<String, Value>>,
    /// The name that is taken for each source where a reference names none.
    pub defaults: std::collections::BTreeMap<String, String>,
}

/// A config that was read, and what is to be said of it.
#[derive(Debug)]
pub struct Read {
    /// Typed. Where something is of the wrong type, it has its default.
    pub config: Config,
    /// The files.
    pub sources: Sources,
    /// All that is to be said: errors, warnings and notes, in the order of the files.
    pub findings: Vec<Finding>,
    /// The environment with what the config adds to it.
    pub ambient: Ambient,
    /// All that must not be shown.
    pub secrets: Vec<Secret>,
    /// What only one instance may hold.
    pub(crate) holdings: Holdings,
    /// What the config says, everything put in. It holds secrets.
    pub(crate) value: Secretive,
}

/// A value that does not print: there are secrets in it.
#[derive(Clone)]
pub(crate) struct Secretive(pub(crate) Value);

impl std::fmt::Debug for Secretive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl std::fmt::Debug for EnvSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values hold keys.
        let names: Vec<&String> = self.vars.keys().chain(self.others.keys()).collect();
        f.debug_struct("EnvSection").field("names", &names).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SecretsSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A program that hands out secrets may be given one.
        f.debug_struct("SecretsSection").field("providers", &self.providers.keys()).finish_non_exhaustive()
    }
}

impl Read {
    /// Those of the findings that keep a gateway from running by it.
    pub fn errors(&self) -> Vec<Finding> {
        self.findings.iter().filter(|it| it.weight == Weight::Error).cloned().collect()
    }
}

/// Reads an instance's config file, with all that it includes and refers to.
///
/// # Errors
/// When the file is missing, cannot be read or does not parse.
pub fn load(instance: &Instance, ambient: &Ambient) -> Result<Read, Unreadable> {
    let document = Document::load(&instance.config_path)?;
    Ok(read(document, &Reach::of(ambient), &with_keys(ambient, &instance.state_dir)))
}

/// All that is to be said of a text in the place of an instance's config.
pub fn findings(instance: &Instance, ambient: &Ambient, text: &str) -> Vec<Finding> {
    match Document::parse(&instance.config_path, text.to_owned()) {
        Ok(it) => read(it, &Reach::of(ambient), &with_keys(ambient, &instance.state_dir)).findings,
        Err(Unreadable::Syntax { finding, .. }) => vec![*finding],
        Err(other) => vec![Finding::whole(base::text::chain(&other))],
    }
}

/// As [`findings`], with what else would keep a gateway from starting by that text: no mode, no secret.
pub fn judged(instance: &Instance, ambient: &Ambient, text: &str) -> Vec<Finding> {
    let Ok(document) = Document::parse(&instance.config_path, text.to_owned()) else {
        return findings(instance, ambient, text);
    };
    let read = read(document, &Reach::of(ambient), &with_keys(ambient, &instance.state_dir));
    let mut rest = read.findings.clone();
    rest.retain(|it| it.weight != Weight::Error);
    let errors = Force::of(read, instance, None).err().unwrap_or_default();
    errors.into_iter().chain(rest).collect()
}

/// What a change of the text breaks: errors that it has and the text before it did not have. A file with several
/// errors can be mended one by one.
pub fn broken_by(instance: &Instance, ambient: &Ambient, before: Option<&str>, after: &str) -> Vec<Finding> {
    let errors = |text: &str| {
        let mut found = judged(instance, ambient, text);
        found.retain(|it| it.weight == Weight::Error);
        found
    };
    let known = before.map(errors).unwrap_or_default();
    let is_known = |it: &Finding| known.iter().any(|old| old.path == it.path && old.message == it.message);
    errors(after).into_iter().filter(|it| !is_known(it)).collect()
}

/// Reads the newest generation that a gateway can run by, without anything that it includes being there. Its number.
pub fn last_accepted(instance: &Instance, ambient: &Ambient) -> Option<(Read, u64)> {
    let kept = generations::all(&instance.state_dir);
    kept.into_iter().rev().find_map(|it| {
        let document = Document::parse(&instance.config_path, it.text().ok()?).ok()?;
        let reach = Reach { kept: Some(it.includes.clone()), ..Reach::of(ambient) };
        let read = read(document, &reach, &with_keys(ambient, &instance.state_dir));
        read.errors().is_empty().then_some((read, it.number))
    })
}

/// The surroundings with the keys that are kept for one instance alone.
pub(crate) fn with_keys(ambient: &Ambient, state_dir: &Path) -> Ambient {
    let own = ambient.clone().with_env_file(&state_dir.join(".env"));
    own.with_env_file(&state_dir.join("keys.env"))
}

/// Reads a document. Everything that is to be said of it is found at once.
pub fn read(document: Document, reach: &Reach, ambient: &Ambient) -> Read {
    let (sources, problems) = Sources::of(document, reach);
    let mut found = Found::new(&sources, problems);
    let mut value = sources.value().clone();
    let ambient = with_variables(&value, ambient);
    put_in(&mut value, &ambient, &mut found);
    let resolved = secrets::resolve(&mut value, &ambient);
    for it in &resolved.unresolved {
        found.unset(&it.keys, format!("this refers to a secret that cannot be had: {}", it.words));
    }
    let mut secrets = resolved.secrets;
    secrets.extend(profile::document::secrets(&value).into_iter().filter_map(|(_, it)| Secret::new(it)));
    let given = ambient.everything().filter(|(name, _)| profile::document::is_secret(name));
    secrets.extend(given.filter_map(|(_, it)| Secret::new(it)));
    let holdings = Holdings::of(&value, &ambient);
    let shaped = shape::shape::<Config>(&value);
    for (keys, words) in &shaped.wrong {
        found.wrong(keys, words.clone());
    }
    for keys in schema::misplaced_lists(&value) {
        if !shaped.wrong.iter().any(|(it, _)| *it == keys) {
            found.wrong(&keys, "is a list, expected an object");
        }
    }
    found.unknown(&shaped.ignored, &value);
    check(&shaped.config, &mut found);
    let findings = found.into_list();
    Read { config: shaped.config, findings, ambient, secrets, holdings, value: Secretive(value), sources }
}

/// The variables that the config itself sets, where nothing else does.
fn with_variables(value: &Value, ambient: &Ambient) -> Ambient {
    let section = value.get("env").and_then(Value::as_object);
    let beside = section.into_iter().flatten();
    let named = section.and_then(|it| it.get("vars")).and_then(Value::as_object).into_iter().flatten();
    let all = named.chain(beside).filter_map(|(name, it)| Some((name.as_str(), it.as_str()?)));
    ambient.clone().with_variables(all)
}

fn put_in(value: &mut Value, ambient: &Ambient, found: &mut Found<'_>) {
    for it in variables::put_in(value, ambient) {
        found.unset(&it.keys, format!("the environment has no variable {}, so this is not set", it.name));
    }
}

fn keys_below_logging(key: &str) -> Vec<&str> {
    std::iter::once("logging").chain(key.split('.')).collect()
}

/// What keeps a gateway from running although each value is of its type.
fn check(config: &Config, found: &mut Found<'_>) {
    let mode = config.gateway.mode.as_deref();
    match mode {
        Some("remote") => {
            found.odd(&["gateway", "mode"], "is \"remote\": no gateway runs here by this config")
        }
        Some("local") | None => {}
        Some(other) => {
            found.wrong(&["gateway", "mode"], format!("is \"{other}\"; a gateway runs here with \"local\""));
        }
    }
    bind::check(&config.gateway, found);
    config.gateway.tls.check(found);
    proxies::check(&config.gateway, found);
    names::check(&config.gateway, found);
    config.gateway.auth.check(found);
    config.gateway.reload.check(found);
    config.hooks.check(&config.gateway.auth, found);
    config.agents.check(found);
    config.models.check(found);
    if config.env.shell_env.is_some() {
        found.without_effect(&["env", "shellEnv"]);
    }
    for (key, words) in config.logging.wrong() {
        found.wrong(&keys_below_logging(&key), words);
    }
    for (key, words) in config.logging.unusable_patterns() {
        found.odd(&keys_below_logging(&key), words);
    }
}

impl Config {
    /// The workspace of the default agent.
    pub fn workspace(&self, ambient: &Ambient, default: &Path) -> PathBuf {
        let named = self.agents.defaults.workspace.as_deref().filter(|it| !it.trim().is_empty());
        named.map_or_else(|| default.to_path_buf(), |it| ambient.path(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let ambient = Ambient::of(&[("KEY", "k-1")], Path::new("/"));
        let document = Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5");
        let read = read(document, &Reach::default(), &ambient);
        let said: Vec<_> = read.findings.iter().map(|it| format!("{} {it}", it.weight.word())).collect();
        assert_eq!(said.join("; "), expected);
    }

    #[test]
    fn says_all_that_is_wrong_and_where() {
        check("{gateway: {mode: 'local'}}", "");
        check(
            "{gateway: {mode: 'far', bind: 'all'},\n logging: {level: 'loud'}}",
            "error line 1, column 12: gateway.mode: is \"far\"; a gateway runs here with \"local\"; error line 1, \
             column 25: gateway.bind: is \"all\"; use loopback, lan, tailnet, custom or auto; error line 2, column 12: \
             logging.level: is \"loud\"; use silent, fatal, error, warn, info, debug or trace",
        );
        check(
            "{gateway: {mode: 'local', port: 'x', auth: 'hunter2'},\n tools: {deny: 'exec', exec: {timeoutSec: -1}}, \
             agents: {defaults: {model: 5}}}",
            "error line 1, column 27: gateway.port: is a string, expected a number from 0 to 65535; \
             error line 1, column 38: gateway.auth: is a string, expected an object; \
             error line 2, column 10: tools.deny: is a string, expected a list; \
             error line 2, column 31: tools.exec.timeoutSec: is -1, expected a whole number; \
             error line 2, column 69: agents.defaults.model: expected \"provider/model\" or { primary: \"provider/model\" }",
        );
        check(
            "{gateway: {mode: 'local', auth: {token: 1234}}}",
            "error line 1, column 34: gateway.auth.token: is a number, expected a string",
        );
        check(
            "{gateway: {mode: 'local', auth: {token: '${NOPE}'}}}",
            "error line 1, column 34: gateway.auth.token: the environment has no variable NOPE, so this is not set",
        );
        check(
            "{gateway: {mode: 'local'}, models: {providers: {x: {apiKey: '${NOPE}'}}}}",
            "warning line 1, column 53: models.providers.x.apiKey: the environment has no variable NOPE, so this is \
             not set",
        );
        check(
            "{gateway: {mode: 'local', auth: {token: {source: 'env', id: 'NOPE'}}}}",
            "error line 1, column 34: gateway.auth.token: this refers to a secret that cannot be had: the environment \
             has no variable NOPE",
        );
    }

    #[test]
    fn a_list_is_no_object() {
        check("{gateway: []}", "error line 1, column 2: gateway: is a list, expected an object");
        check(
            "{gateway: {mode: 'local', auth: ['token', 'abc']}, models: {providers: {x: {models: [['a']]}}}}",
            "error line 1, column 27: gateway.auth: is a list, expected an object; error line 1, column 86: \
             models.providers.x.models.0: is a list, expected an object",
        );
    }

    #[test]
    fn no_variable_of_the_config_prints() {
        let text =
            "{env: {vars: {KEY: 'abc-1'}, OTHER: 'abc-2'}, secrets: {providers: {x: {env: {A: 'abc-3'}}}}}";
        let document = Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5");
        let read = read(document, &Reach::default(), &Ambient::of(&[], Path::new("/")));
        assert!(!format!("{:?}", read.config).contains("abc-"), "{:?}", read.config);
    }

    #[test]
    fn places_in_lists_stay_those_of_the_file() {
        check(
            "{gateway: {mode: 'local'}, models: {providers: {x: {models: [5, {id: 'a'}, {id: 7}, 'b']}}}}",
            "error line 1, column 62: models.providers.x.models.0: is a number, expected an object; error line 1, \
             column 77: models.providers.x.models.2.id: is a number, expected a string; error line 1, column 85: \
             models.providers.x.models.3: is a string, expected an object",
        );
    }

    #[test]
    fn a_name_of_digits_is_no_place_in_a_list() {
        check(
            "{gateway: {mode: 'local'}, env: {vars: {'06': [], '5': [], '7': 'x', '6': {}}}}",
            "error line 1, column 41: env.vars.06: is a list, expected a string; error line 1, column 51: env.vars.5: is \
             a list, expected a string; error line 1, column 70: env.vars.6: is an object, expected a string",
        );
    }

    #[test]
    fn variables_and_references_are_put_in_and_kept_from_sight() {
        let ambient = Ambient::of(&[("KEY", "k-123456")], Path::new("/"));
        let text = "{gateway: {mode: 'local', auth: {token: {source: 'env', id: 'KEY'}}}, env: {vars: {OWN: 'o-1'}, \
                    KEY: 'other'}, models: {providers: {x: {apiKey: '${OWN}'}}}}";
        let document = Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5");
        let read = read(document, &Reach::default(), &ambient);
        assert!(read.findings.is_empty(), "{:?}", read.findings);
        let token = read.config.gateway.auth.token.as_ref().expect("is set");
        assert_eq!(token.expose(), "k-123456", "the environment goes before the config");
        let key = read.config.models.providers["x"].api_key.as_ref().expect("is set");
        assert_eq!(key.expose(), "o-1");
        let shown = format!("{read:?}");
        assert!(!shown.contains("k-123456") && !shown.contains("o-1"), "{shown}");
        let hidden: Vec<_> = read.secrets.iter().map(Secret::expose).collect();
        assert!(
            hidden.contains(&"k-123456") && hidden.contains(&"o-1"),
            "what is kept from sight is known by its value"
        );
    }
}
