//! `models.*`.

use base::clock;
use protocol::Refusal;
use protocol::catalogues::Nothing;
use protocol::models::{AuthStatusReply, ListParams, ListReply, Model, ProviderAuth};
use protocol::sessions::ThinkingLevel;
use providers::{ModelInfo, vendors};

use crate::models;
use crate::table::Caller;

pub(super) async fn list(caller: Caller, params: ListParams) -> Result<ListReply, Refusal> {
    let gateway = &caller.gateway;
    let agent = gateway.agent(params.agent_id.as_deref())?;
    let choice = gateway.choose_model_of(&agent, None).await?;
    let provider = choice.provider.id();
    let first = ModelInfo {
        id: choice.model.clone(),
        name: choice.model.clone(),
        context_window: choice.context_tokens.map(|it| it as u64),
    };
    let mut models = vec![row(provider, first, choice.is_configured(), "default")];
    let is_of_config = matches!(params.view.as_deref(), Some("configured" | "provider-config"));
    if !is_of_config {
        // A provider that cannot be reached has no list; the choice stands all the same.
        let others = choice.provider.models().await.unwrap_or_default();
        models.extend(others.into_iter().map(|it| row(provider, it, true, "")));
    }
    let force = gateway.force();
    for (id, section) in &force.config.models.providers {
        let why = match models::provider(id, &force.config, &force.ambient) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why),
            None => Some(format!("models.providers.{id}.baseUrl is not set")),
        };
        for it in &section.models {
            let name = it.name.clone().unwrap_or_else(|| it.id.clone());
            let info = ModelInfo { id: it.id.clone(), name, context_window: it.context_window };
            let row = row(id, info, why.is_none(), "configured");
            models.push(Model { unavailable_reason: why.clone(), ..row });
        }
    }
    Ok(ListReply { models: each_once(models) })
}

fn row(provider: &str, it: ModelInfo, available: bool, tag: &str) -> Model {
    Model {
        id: it.id,
        name: it.name,
        provider: provider.to_owned(),
        context_window: it.context_window,
        available,
        unavailable_reason: None,
        thinking_levels: ThinkingLevel::all(),
        thinking_default: ThinkingLevel::DEFAULT.to_owned(),
        tags: Some(tag.to_owned()).filter(|it| !it.is_empty()).into_iter().collect(),
    }
}

/// What is told of one model in several places, in one row.
fn each_once(rows: Vec<Model>) -> Vec<Model> {
    let mut kept: Vec<Model> = Vec::new();
    for it in rows {
        match kept.iter_mut().find(|other| other.id == it.id && other.provider == it.provider) {
            Some(known) => {
                known.context_window = known.context_window.or(it.context_window);
                if known.name == known.id {
                    known.name = it.name;
                }
                known.tags.extend(it.tags);
            }
            None => kept.push(it),
        }
    }
    kept
}

pub(super) async fn auth_status(caller: Caller, _: Nothing) -> Result<AuthStatusReply, Refusal> {
    let force = caller.gateway.force();
    let sections = &force.config.models.providers;
    let auth = |id: &str, source: Option<String>| ProviderAuth {
        provider: id.to_owned(),
        display_name: id.to_owned(),
        status: if source.is_some() { "static" } else { "missing" }.to_owned(),
        source,
        profiles: Vec::new(),
    };
    let variable = |id: &str| {
        let vendor = vendors::by_id(id)?;
        force.ambient.var(vendor.key_name).map(|_| vendor.key_name.to_owned())
    };
    let configured = sections.iter().map(|(id, section)| {
        let own = section.api_key.as_ref().map(|_| "config".to_owned());
        auth(id, own.or_else(|| variable(id)))
    });
    let others = vendors::HOSTED.iter().filter(|it| !sections.contains_key(it.id));
    let found = others.filter_map(|it| Some(auth(it.id, Some(variable(it.id)?))));
    Ok(AuthStatusReply { ts: clock::now_ms(), providers: configured.chain(found).collect() })
}
