//! The built-in model `offline/offline`: it answers every question with how to get a real model.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use crate::{Delta, DeltaStream, ModelError, ModelInfo, ModelRequest, Provider, StopReason, vendors};

/// Id of the provider and of its only model.
pub const ID: &str = "offline";

/// The model that is there when no other is.
#[derive(Debug, Clone)]
pub struct Offline {
    instance: String,
}

impl Offline {
    /// `instance` is the gateway's name, so that a person with several knows which one lacks a model.
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned() }
    }

    /// What it always says.
    fn answer(&self) -> String {
        let servers: Vec<_> =
            vendors::LOCAL.iter().map(|it| format!("- {}: {}\n", it.name, it.base_url)).collect();
        format!(
            "No language model is configured for the gateway \"{}\" yet, so nobody can answer you.\n\n\
             To get one, do any of these and restart the gateway:\n\
             - set a key in its environment, such as OPENAI_API_KEY or ANTHROPIC_API_KEY\n\
             - set OPENAI_BASE_URL to any OpenAI-compatible server\n\
             - describe the server under models.providers in the config\n\n\
             Or start a local server; it is found by itself at one of these addresses:\n{}\n\
             Slash commands work without a model: try /help.",
            self.instance,
            servers.concat()
        )
    }
}

impl Provider for Offline {
    fn id(&self) -> &str {
        ID
    }

    fn ask(&self, _request: ModelRequest) -> DeltaStream {
        let answer = self.answer();
        let lines: Vec<_> = answer.split_inclusive('\n').map(|it| Delta::Text(it.to_owned())).collect();
        stream::iter(lines.into_iter().chain([Delta::Stop(StopReason::Stop)]).map(Ok)).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ModelError>> {
        let only = ModelInfo { id: ID.to_owned(), name: "No model".to_owned(), context_window: None };
        async move { Ok(vec![only]) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_which_gateway_lacks_a_model_and_every_way_to_get_one() {
        let request = ModelRequest {
            model: ID.to_owned(),
            system: String::new(),
            messages: Vec::new(),
            tools: Vec::new(),
            max_tokens: None,
            effort: None,
        };
        let deltas: Vec<_> =
            Offline::new("work").ask(request).map(|it| it.expect("never fails")).collect().await;
        let mut said = String::new();
        for delta in &deltas {
            if let Delta::Text(text) = delta {
                said.push_str(text);
            }
        }
        for part in ["\"work\"", "OPENAI_API_KEY", "OPENAI_BASE_URL", "models.providers", "/help", "restart"]
        {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        for part in ["Ollama", ":11434", "llama.cpp", ":8080", "LM Studio", ":1234"] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        assert_eq!(deltas.last(), Some(&Delta::Stop(StopReason::Stop)));
        assert!(deltas.len() > 3, "it streams");
        assert_eq!(Offline::new("x").models().await.expect("one")[0].id, ID);
    }
}
