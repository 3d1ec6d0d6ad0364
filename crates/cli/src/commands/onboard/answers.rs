//! Answers that are given before the walk: a flag for each step, or a file that names the steps.

use std::path::Path;

use gateway::wizard::{self, Given};
use profile::{Ambient, Document};
use serde_json::{Map, Value, json};

use super::provider_keys::Keys;
use crate::app::App;
use crate::commands::gateway::service::check_able;
use crate::failure::{Failure, Kind};

/// A flag for each answer.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Answers {
    /// Ask nothing: every answer comes from a flag, the file of answers, or is the proposed one
    #[arg(long)]
    pub(super) non_interactive: bool,

    /// Answers in a file (JSON5), by the names of the steps
    #[arg(long, value_name = "FILE")]
    answers: Option<String>,

    /// Folder of the default agent's files
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,

    /// Who answers: a provider (openai, anthropic, ollama, …), custom, or skip
    #[arg(long, value_name = "PROVIDER")]
    auth_choice: Option<String>,

    /// The provider's model
    #[arg(long, value_name = "MODEL", alias = "custom-model-id")]
    model: Option<String>,

    #[command(flatten)]
    keys: Keys,

    /// ref: the config refers to the variable that holds the key; plaintext: the key is written into it
    #[arg(long, value_name = "MODE")]
    secret_input_mode: Option<String>,

    /// Address of a server of your own, for --auth-choice custom
    #[arg(long, value_name = "URL")]
    custom_base_url: Option<String>,

    /// Base port
    #[arg(long, value_name = "PORT")]
    gateway_port: Option<String>,

    /// Address to listen on: loopback
    #[arg(long, value_name = "BIND", hide = true)]
    gateway_bind: Option<String>,

    /// How clients show that they may: token or password
    #[arg(long, value_name = "METHOD")]
    gateway_auth: Option<String>,

    /// Token; without it a random one. @FILE, env:NAME or - as for keys
    #[arg(long, value_name = "TOKEN")]
    gateway_token: Option<String>,

    /// Variable that holds the token; the config refers to it
    #[arg(long, value_name = "NAME", conflicts_with = "gateway_token")]
    gateway_token_ref_env: Option<String>,

    /// Password, for --gateway-auth password
    #[arg(long, value_name = "PASSWORD")]
    gateway_password: Option<String>,

    /// Do not try out the model
    #[arg(long)]
    pub(crate) skip_health: bool,

    /// Have the gateway started with the machine: a service
    #[arg(long, overrides_with = "no_install_daemon")]
    pub(super) install_daemon: bool,

    /// Install no service
    #[arg(long, alias = "skip-daemon", overrides_with = "install_daemon")]
    no_install_daemon: bool,

    #[command(flatten)]
    ignored: Ignored,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of the original that mean nothing here.
#[derive(Debug, Default, clap::Args)]
struct Ignored {
    #[arg(long, hide = true, value_name = "RUNTIME")]
    daemon_runtime: Option<String>,
    #[arg(long, hide = true)]
    skip_channels: bool,
    #[arg(long, hide = true)]
    skip_skills: bool,
    #[arg(long, hide = true)]
    skip_ui: bool,
    #[arg(long, hide = true)]
    skip_search: bool,
    #[arg(long, hide = true)]
    skip_hooks: bool,
    #[arg(long, hide = true)]
    suppress_gateway_token_output: bool,
    #[arg(long, hide = true, value_name = "MANAGER")]
    node_manager: Option<String>,
    #[arg(long, hide = true, value_name = "MODE")]
    tailscale: Option<String>,
    #[arg(long, hide = true)]
    tailscale_reset_on_exit: bool,
    #[arg(long, hide = true)]
    classic: bool,
    #[arg(long, hide = true)]
    modern: bool,
    #[arg(long, hide = true)]
    tui: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    agent_name: Option<String>,
    #[arg(long, hide = true, value_name = "DIALECT")]
    custom_compatibility: Option<String>,
}

impl Answers {
    /// The answers by step; those of flags go before those of the file.
    pub(crate) fn given(&self, ambient: &Ambient) -> Result<Given, Failure> {
        let mut given = match &self.answers {
            Some(file) => from_file(&ambient.path(file))?,
            None => Given::new(),
        };
        let mut put = |id: &str, value: &Option<String>| {
            given.extend(value.as_ref().map(|it| (id.to_owned(), json!(it))));
        };
        put("workspace", &self.workspace);
        put("model.name", &self.model);
        put("model.keySource", &self.secret_input_mode);
        put("model.url", &self.custom_base_url);
        put("gateway.port", &self.gateway_port);
        put("access.bind", &self.gateway_bind);
        put("access.mode", &self.gateway_auth);
        put("model.provider", &self.auth_choice.as_deref().map(wizard::provider_of));
        let mut input = Input::default();
        let provider = given.get("model.provider").and_then(Value::as_str).map(str::to_owned);
        let keys = self.keys.given();
        let chosen = match provider.as_deref() {
            Some(id) => keys.iter().find(|it| it.0 == id),
            None => keys.first(),
        };
        if let Some((id, key)) = chosen {
            given.insert("model.provider".to_owned(), json!(id));
            given.insert("model.key".to_owned(), json!(input.secret(key, ambient)?));
            given.entry("model.keySource".to_owned()).or_insert(json!("plaintext"));
        }
        let named = self.gateway_token_ref_env.as_ref().map(|it| format!("env:{it}"));
        for (id, text, mode) in [
            ("access.token", self.gateway_token.as_ref().or(named.as_ref()), "token"),
            ("access.password", self.gateway_password.as_ref(), "password"),
        ] {
            if let Some(text) = text {
                given.insert(id.to_owned(), json!(input.secret(text, ambient)?));
                given.entry("access.mode".to_owned()).or_insert(json!(mode));
            }
        }
        // Where nobody is asked, nothing is started that nobody asked for.
        if self.install_daemon || self.no_install_daemon {
            given.insert("service".to_owned(), json!(self.install_daemon));
        } else if self.non_interactive {
            given.entry("service".to_owned()).or_insert(json!(false));
        }
        if self.ignored.skip_channels {
            given.insert("channels".to_owned(), json!([]));
        }
        Ok(given)
    }

    /// Whether what is asked for beside the config can be done; found out before anything is written.
    pub(crate) fn check(&self, app: &App) -> Result<(), Failure> {
        if self.install_daemon { check_able(app) } else { Ok(()) }
    }

    /// The flags that were given and do nothing here.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        let Ignored { daemon_runtime, skip_skills, skip_ui, skip_search, skip_hooks, .. } = &self.ignored;
        let it = &self.ignored;
        let all = [
            ("--daemon-runtime", daemon_runtime.is_some()),
            ("--skip-skills", *skip_skills),
            ("--skip-ui", *skip_ui),
            ("--skip-search", *skip_search),
            ("--skip-hooks", *skip_hooks),
            ("--suppress-gateway-token-output", it.suppress_gateway_token_output),
            ("--node-manager", it.node_manager.is_some()),
            ("--tailscale", it.tailscale.as_deref().is_some_and(|it| it != "off")),
            ("--tailscale-reset-on-exit", it.tailscale_reset_on_exit),
            ("--classic", it.classic),
            ("--modern", it.modern),
            ("--tui", it.tui),
            ("--agent-name", it.agent_name.is_some()),
            ("--custom-compatibility", it.custom_compatibility.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect()
    }
}

/// Standard input can be read once.
#[derive(Default)]
struct Input {
    is_read: bool,
}

impl Input {
    /// A secret as it was named: out of a file or of standard input, a reference, or itself.
    fn secret(&mut self, text: &str, ambient: &Ambient) -> Result<String, Failure> {
        let whole = match (text, text.strip_prefix('@'), text.strip_prefix("env:")) {
            ("-", ..) if self.is_read => {
                return Err(Failure::new(Kind::Usage, "two secrets are to be read from standard input")
                    .hint("put one of them into a file: @FILE"));
            }
            ("-", ..) => {
                self.is_read = true;
                let mut line = String::new();
                let read = std::io::stdin().read_line(&mut line);
                read.map(|_| line).map_err(|error| Failure::from_error(Kind::Usage, &error))?
            }
            (_, Some(file), _) => read(&ambient.path(file))?,
            (_, _, Some(name)) => format!("${{{name}}}"),
            _ => text.to_owned(),
        };
        let whole = whole.trim().to_owned();
        if whole.is_empty() {
            Err(Failure::new(Kind::Usage, "a secret that was given is empty"))
        } else {
            Ok(whole)
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Kind::Usage, format!("cannot read {}: {error}", path.display())))
}

/// The answers of a file, nested as one likes: `{gateway: {port: 1}}` is `{"gateway.port": 1}`.
fn from_file(path: &Path) -> Result<Given, Failure> {
    let document = Document::parse(path, read(path)?).map_err(|error| {
        crate::failure::unreadable(
            Failure::new(Kind::Usage, format!("the answers in {} do not parse", path.display())),
            &error,
        )
    })?;
    let mut given = Given::new();
    let mut unknown = Vec::new();
    if let Some(object) = document.value().as_object() {
        flatten("", object, &mut given, &mut unknown);
    }
    match unknown.as_slice() {
        [] => Ok(given),
        some => {
            let words = format!("there is no step {} ({})", some.join(", "), path.display());
            Err(Failure::new(Kind::Usage, words)
                .hint(format!("the steps are: {}", wizard::step_ids().join(", "))))
        }
    }
}

fn flatten(at: &str, object: &Map<String, Value>, given: &mut Given, unknown: &mut Vec<String>) {
    let ids = wizard::step_ids();
    for (key, value) in object {
        let id = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match value {
            _ if ids.contains(&id.as_str()) => {
                given.insert(id, value.clone());
            }
            Value::Object(inner) => flatten(&id, inner, given, unknown),
            _ => unknown.push(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        answers: Answers,
    }

    fn given(words: &str) -> Given {
        let line = Line::try_parse_from(std::iter::once("x").chain(words.split(' '))).expect(words);
        let ambient = Ambient::of(&[], Path::new("/"));
        line.answers.given(&ambient).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    #[test]
    fn every_provider_that_wants_a_key_has_a_flag_for_it() {
        for (id, _) in gateway::vendor_keys() {
            let given = given(&format!("--{id}-api-key k-1"));
            assert_eq!(given["model.provider"], id);
            assert_eq!(given["model.key"], "k-1");
        }
    }

    #[test]
    fn flags_say_what_they_say_in_the_original() {
        for (words, id, expected) in [
            ("--auth-choice openai-api-key", "model.provider", "openai"),
            ("--auth-choice apiKey", "model.provider", "anthropic"),
            ("--auth-choice skip", "model.provider", "skip"),
            ("--gateway-token-ref-env TOKEN", "access.token", "${TOKEN}"),
            ("--gateway-password hunter22", "access.mode", "password"),
            ("--anthropic-api-key env:MY_KEY", "model.key", "${MY_KEY}"),
            ("--custom-model-id m", "model.name", "m"),
        ] {
            assert_eq!(given(words).get(id), Some(&json!(expected)), "{words}");
        }
    }
}
