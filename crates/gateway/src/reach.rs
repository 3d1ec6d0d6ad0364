//! Whether the model answers: its provider is asked for its list, which costs nothing and needs the key to be right.

use std::time::{Duration, Instant};

use profile::sources::Reach;
use profile::{Ambient, Document, Instance};
use protocol::health::{ModelReach, ModelStatus};
use providers::Provider;

use crate::config;
use crate::models::{provider, unnamed_model};
use crate::state::Gateway;

/// How long a running gateway waits for a model that it is asked about.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the model that a gateway of this instance would ask, without one. `None` where the config keeps a gateway from
/// running. Blocks.
///
/// # Errors
/// When the system gives no runtime.
pub fn model(
    instance: &Instance,
    document: &Document,
    ambient: &Ambient,
    limit: Duration,
) -> std::io::Result<Option<ModelStatus>> {
    let ambient = config::with_keys(ambient, &instance.state_dir);
    let read = config::read(document.clone(), &Reach::of(&ambient), &ambient);
    if !read.errors().is_empty() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(Some(runtime.block_on(status(&read.config, &read.ambient, limit))))
}

/// Asks the model of a new turn of a running gateway; `None` where there is only the built-in one.
pub(crate) async fn of_choice(gateway: &Gateway) -> Option<ModelReach> {
    let choosing = gateway.choose_model(None);
    let choice = match tokio::time::timeout(PATIENCE, choosing).await {
        Ok(Ok(it)) => it,
        Ok(Err(refusal)) => return Some(failed(Duration::ZERO, refusal.message)),
        Err(_) => return Some(failed(PATIENCE, late(PATIENCE))),
    };
    if !choice.is_configured() {
        return None;
    }
    Some(ask(choice.provider.as_ref(), PATIENCE).await)
}

async fn status(config: &config::Config, ambient: &Ambient, limit: Duration) -> ModelStatus {
    let named = config.agents.defaults.model.as_ref().and_then(|it| it.primary());
    if let Some(name) = named {
        let source = "agents.defaults.model in the config".to_owned();
        if name.starts_with("offline/") {
            return ModelStatus { primary: name.to_owned(), source, configured: false, reach: None };
        }
        let found = name.split_once('/').and_then(|(id, _)| provider(id, config, ambient));
        let reach = match found {
            Some(Ok(it)) => ask(it.as_ref(), limit).await,
            Some(Err(words)) => failed(Duration::ZERO, words),
            None => failed(Duration::ZERO, format!("there is no provider for \"{name}\"")),
        };
        return ModelStatus { primary: name.to_owned(), source, configured: true, reach: Some(reach) };
    }
    match tokio::time::timeout(limit, unnamed_model(config, ambient)).await {
        Ok(Some(choice)) => {
            let reach = Some(ask(choice.provider.as_ref(), limit).await);
            ModelStatus { primary: choice.name(), source: choice.source, configured: true, reach }
        }
        Ok(None) | Err(_) => {
            let source = "no model is configured, and none was found".to_owned();
            ModelStatus { primary: "offline/offline".to_owned(), source, configured: false, reach: None }
        }
    }
}

async fn ask(provider: &dyn Provider, limit: Duration) -> ModelReach {
    let began = Instant::now();
    match tokio::time::timeout(limit, provider.models()).await {
        Ok(Ok(_)) => ModelReach { ok: true, latency_ms: millis(began.elapsed()), error: None },
        Ok(Err(error)) => failed(began.elapsed(), error.to_string()),
        Err(_) => failed(limit, late(limit)),
    }
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f32())
}

fn failed(took: Duration, words: String) -> ModelReach {
    ModelReach { ok: false, latency_ms: millis(took), error: Some(words) }
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
