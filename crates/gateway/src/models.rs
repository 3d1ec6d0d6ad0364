//! Which model a turn asks: what the session or the config names, else what is found on this machine.

mod settings;

use std::sync::{Arc, Mutex, PoisonError};

use profile::Ambient;
use protocol::Refusal;
use protocol::health::ModelStatus;
use providers::offline::Offline;
use providers::openai_chat::{OpenAiChat, Settings};
use providers::{ModelInfo, Provider, vendors};
use tracing::info;

use crate::agents::Agent;
use crate::config::Config;
use crate::state::Gateway;

pub(crate) use settings::{ModelChoice, ProviderSettings, Settings as ModelsSettings};

/// The provider of the built-in model.
const OFFLINE: &str = "offline";
/// The variable that names the address of a server with OpenAI's dialect.
const BASE_URL: &str = "OPENAI_BASE_URL";

/// A model that can be asked.
#[derive(Clone)]
pub(crate) struct Choice {
    /// Who answers.
    pub(crate) provider: Arc<dyn Provider>,
    /// As the provider names it.
    pub(crate) model: String,
    /// Where the choice came from, for people.
    pub(crate) source: String,
    /// Tokens, where it is known.
    pub(crate) context_tokens: Option<usize>,
}

impl Choice {
    /// `provider/model`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.provider.id(), self.model)
    }

    /// Whether it is more than the built-in explanation.
    pub(crate) fn is_configured(&self) -> bool {
        self.provider.id() != OFFLINE
    }
}

/// Finds models, and remembers what it found where nothing is named.
pub(crate) struct Models {
    offline: Arc<dyn Provider>,
    found: Mutex<Option<Choice>>,
}

impl Models {
    /// Nothing is looked for yet.
    pub(crate) fn new(instance: &str) -> Self {
        Self { offline: Arc::new(Offline::new(instance)), found: Mutex::new(None) }
    }

    fn remembered(&self) -> Option<Choice> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, choice: &Choice) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(choice.clone());
    }

    /// Looks again at the next message.
    pub(crate) fn forget(&self) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn offline(&self) -> Choice {
        let source = "no model is configured".to_owned();
        Choice { provider: self.offline.clone(), model: OFFLINE.to_owned(), source, context_tokens: None }
    }
}

impl Gateway {
    /// The model of a new turn: the session's own, else the config's, else what is found.
    pub(crate) async fn choose_model(&self, session: Option<&str>) -> Result<Choice, Refusal> {
        if let Some(name) = session {
            return self.named_model(name, "chosen in this session with /model").await;
        }
        if let Some(name) =
            self.force().config.agents.defaults.model.as_ref().and_then(|it| it.primary()).map(str::to_owned)
        {
            return self.named_model(&name, "agents.defaults.model in the config").await;
        }
        Ok(self.found_model().await)
    }

    /// The model of a new turn of one agent: the session's own, else the agent's, else as for all.
    pub(crate) async fn choose_model_of(
        &self,
        agent: &Agent,
        session: Option<&str>,
    ) -> Result<Choice, Refusal> {
        match (session, &agent.model) {
            (None, Some(own)) => {
                self.named_model(own, &format!("the model of agent {} in the config", agent.id)).await
            }
            _ => self.choose_model(session).await,
        }
    }

    /// The choice as it is known now, without asking anybody.
    pub(crate) fn model_status(&self) -> ModelStatus {
        let named =
            self.force().config.agents.defaults.model.as_ref().and_then(|it| it.primary()).map(str::to_owned);
        if let Some(name) = named {
            let source = "agents.defaults.model in the config".to_owned();
            return ModelStatus { primary: name, source, configured: true, reach: None };
        }
        let known =
            self.models.remembered().or_else(|| keyed_model(&self.force().config, &self.force().ambient));
        let choice = known.unwrap_or_else(|| self.models.offline());
        let (primary, configured) = (choice.name(), choice.is_configured());
        let unsure = if configured { "" } else { "; local servers are looked for at the next message" };
        ModelStatus { primary, source: format!("{}{unsure}", choice.source), configured, reach: None }
    }

    /// `provider/model`, by the config or by the vendors that are known.
    pub(crate) async fn named_model(&self, name: &str, source: &str) -> Result<Choice, Refusal> {
        let (id, model) = name
            .split_once('/')
            .filter(|(id, model)| !id.is_empty() && !model.is_empty())
            .ok_or_else(|| {
                Refusal::invalid(format!(
                    "\"{name}\" ({source}) is no model: write provider/model, as in openai/gpt-5"
                ))
            })?;
        if id == OFFLINE {
            return Ok(Choice { source: source.to_owned(), ..self.models.offline() });
        }
        let force = self.force();
        let provider = provider(id, &force.config, &force.ambient).ok_or_else(|| {
            Refusal::invalid(format!(
                "there is no provider \"{id}\" ({source}): add models.providers.{id}.baseUrl to {}",
                self.instance.config_path.display()
            ))
        })?;
        let provider = provider.map_err(Refusal::invalid)?;
        let section = force.config.models.providers.get(id);
        let window = section.and_then(|it| it.models.iter().find(|it| it.id == model)?.context_window);
        let context_tokens = window.and_then(|it| usize::try_from(it).ok());
        Ok(Choice { provider, model: model.to_owned(), source: source.to_owned(), context_tokens })
    }

    /// Where nothing is named: a provider of the config with a model, a key in the environment, a server on
    /// this machine, and at last the built-in explanation. What was found is kept; offline is looked past again
    /// at the next message.
    async fn found_model(&self) -> Choice {
        if let Some(choice) = self.models.remembered() {
            return choice;
        }
        let force = self.force();
        let choice = unnamed_model(&force.config, &force.ambient).await;
        let Some(choice) = choice else { return self.models.offline() };
        info!(model = choice.name(), source = choice.source, "model found");
        self.models.remember(&choice);
        choice
    }
}

/// A provider by the name in front of the slash, or why what the config says of it is none.
pub(crate) fn provider(
    id: &str,
    config: &Config,
    ambient: &Ambient,
) -> Option<Result<Arc<dyn Provider>, String>> {
    let section = config.models.providers.get(id);
    if let Some(api) = section.and_then(ProviderSettings::unspoken) {
        return Some(Err(format!(
            "models.providers.{id}.api is \"{api}\"; this version speaks \"openai-completions\""
        )));
    }
    let settings = match (section, vendors::by_id(id)) {
        (Some(ProviderSettings { base_url: Some(url), api_key, .. }), _) => {
            Settings::new(id, url, api_key.clone())
        }
        (section, Some(vendor)) => {
            let configured = section.and_then(|it| it.api_key.clone());
            let url = base_url(vendor.id, ambient).unwrap_or(vendor.base_url);
            Settings::new(id, url, configured.or_else(|| ambient.secret(vendor.key_name)))
        }
        (_, None) => return None,
    };
    let provider = OpenAiChat::new(settings).map(|it| Arc::new(it) as Arc<dyn Provider>);
    Some(provider.map_err(|error| format!("models.providers.{id}.baseUrl: {error}")))
}

/// What is found where the config names no model.
pub(crate) async fn unnamed_model(config: &Config, ambient: &Ambient) -> Option<Choice> {
    match configured_model(config, ambient).or_else(|| keyed_model(config, ambient)) {
        Some(choice) => Some(choice),
        None => local_model(ambient).await,
    }
}

fn configured_model(config: &Config, ambient: &Ambient) -> Option<Choice> {
    config.models.providers.iter().find_map(|(id, section)| {
        let model = section.models.first()?;
        let provider = provider(id, config, ambient)?.ok()?;
        let context_tokens = model.context_window.and_then(|it| usize::try_from(it).ok());
        let source = format!("models.providers.{id} in the config");
        Some(Choice { provider, model: model.id.clone(), source, context_tokens })
    })
}

/// A vendor whose key is in the environment. An address without a key is looked for later, as a server.
fn keyed_model(config: &Config, ambient: &Ambient) -> Option<Choice> {
    vendors::HOSTED.iter().find_map(|vendor| {
        ambient.var(vendor.key_name)?;
        // Behind an address of the person's own, the vendor's default model may be unknown.
        if base_url(vendor.id, ambient).is_some() {
            return None;
        }
        let provider = provider(vendor.id, config, ambient)?.ok()?;
        let source = format!("{} in the environment", vendor.key_name);
        Some(Choice { provider, model: vendor.default_model.to_owned(), source, context_tokens: None })
    })
}

async fn local_model(ambient: &Ambient) -> Option<Choice> {
    if let Some(url) = ambient.var(BASE_URL) {
        let settings = Settings::new("openai", url, ambient.secret("OPENAI_API_KEY"));
        let models = vendors::probe(settings.clone()).await.ok()?;
        return served(settings, &models, format!("{BASE_URL} in the environment"));
    }
    let (settings, models) = vendors::local().await?;
    let source = format!("a local server at {}", settings.base_url);
    served(settings, &models, source)
}

/// The first model that a server has.
fn served(settings: Settings, models: &[ModelInfo], source: String) -> Option<Choice> {
    let model = models.first()?;
    let provider = Arc::new(OpenAiChat::new(settings).ok()?);
    let context_tokens = model.context_window.and_then(|it| usize::try_from(it).ok());
    Some(Choice { provider, model: model.id.clone(), source, context_tokens })
}

/// The address that the environment puts in the place of OpenAI's own.
fn base_url<'a>(vendor: &str, ambient: &'a Ambient) -> Option<&'a str> {
    (vendor == "openai").then(|| ambient.var(BASE_URL)).flatten()
}
