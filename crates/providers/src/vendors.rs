//! The vendors whose API is OpenAI-compatible, a row each, and the servers that may run on this machine.

use std::time::Duration;

use futures_util::future;

use crate::openai_chat::{OpenAiChat, Settings};
use crate::{ErrorKind, ModelError, ModelInfo, Provider};

/// How long a server on this machine may take to accept a connection.
const LOCAL_CONNECT: Duration = Duration::from_millis(300);
/// How long it may take to list its models.
const LOCAL_ANSWER: Duration = Duration::from_secs(1);

/// What there is to know about a vendor before anybody asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// The provider id, the part before the slash of `provider/model`.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// Where its API begins, without a trailing slash.
    pub base_url: &'static str,
    /// The environment variable that holds the key by convention; empty when no key is needed. Data only:
    /// nothing in this crate reads it.
    pub key_name: &'static str,
    /// The model to begin with; empty when only the server can tell.
    pub default_model: &'static str,
}

/// Vendors that want a key.
pub const HOSTED: &[Vendor] = &[
    row("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-5.1"),
    row("anthropic", "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "claude-sonnet-4-5"),
    row(
        "gemini",
        "Google Gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        "gemini-2.5-flash",
    ),
    row("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter/auto"),
    row("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
    row("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral-large-latest"),
    row("deepseek", "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek-chat"),
    row("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", "grok-4"),
    row(
        "together",
        "Together AI",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ),
    row(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        "accounts/fireworks/models/llama-v3p3-70b-instruct",
    ),
    row("cerebras", "Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "llama-3.3-70b"),
    row("moonshot", "Moonshot AI", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "kimi-k2-0905-preview"),
    row("zai", "Z.AI", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "glm-4.6"),
    row(
        "nvidia",
        "NVIDIA",
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_API_KEY",
        "meta/llama-3.3-70b-instruct",
    ),
    row("huggingface", "Hugging Face", "https://router.huggingface.co/v1", "HF_TOKEN", "openai/gpt-oss-120b"),
];

/// Servers that may run on this machine and want no key, in the order in which they are preferred.
pub const LOCAL: &[Vendor] = &[
    row("ollama", "Ollama", "http://127.0.0.1:11434/v1", "", ""),
    row("llamacpp", "llama.cpp", "http://127.0.0.1:8080/v1", "", ""),
    row("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", "", ""),
];

/// The row of a vendor, hosted or local.
pub fn by_id(id: &str) -> Option<&'static Vendor> {
    HOSTED.iter().chain(LOCAL).find(|it| it.id == id)
}

/// The first server of [`LOCAL`] that runs and has a model, with its models. All are asked at once; the order
/// of the table decides. Takes about a second at most.
pub async fn local() -> Option<(Settings, Vec<ModelInfo>)> {
    first_of(LOCAL).await
}

/// The models that `settings` lead to: the check that URL and key are right.
///
/// # Errors
/// As [`Provider::models`]; a base URL that is none is [`ErrorKind::Unreachable`].
pub async fn probe(settings: Settings) -> Result<Vec<ModelInfo>, ModelError> {
    let id = settings.id.clone();
    match OpenAiChat::new(settings) {
        Ok(it) => it.models().await,
        Err(bad) => Err(ModelError::new(ErrorKind::Unreachable, &id, &bad.to_string())),
    }
}

const fn row(
    id: &'static str,
    name: &'static str,
    base_url: &'static str,
    key_name: &'static str,
    default_model: &'static str,
) -> Vendor {
    Vendor { id, name, base_url, key_name, default_model }
}

async fn first_of(rows: &[Vendor]) -> Option<(Settings, Vec<ModelInfo>)> {
    let answers = future::join_all(rows.iter().map(running)).await;
    answers.into_iter().flatten().next()
}

async fn running(row: &Vendor) -> Option<(Settings, Vec<ModelInfo>)> {
    let settings = Settings::new(row.id, row.base_url, None);
    let server = OpenAiChat::with_connect(settings.clone(), LOCAL_CONNECT).ok()?;
    let models = tokio::time::timeout(LOCAL_ANSWER, server.models()).await.ok()?.ok()?;
    (!models.is_empty()).then_some((settings, models))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::script::{Script, whole};

    #[test]
    fn every_row_is_complete_and_its_id_its_own() {
        let ids: HashSet<_> = HOSTED.iter().chain(LOCAL).map(|it| it.id).collect();
        assert_eq!(ids.len(), HOSTED.len() + LOCAL.len());
        let keys: HashSet<_> = HOSTED.iter().map(|it| it.key_name).collect();
        assert_eq!(keys.len(), HOSTED.len());
        for row in HOSTED.iter().chain(LOCAL) {
            assert!(row.id.bytes().all(|it| it.is_ascii_lowercase()), "{}", row.id);
            assert!(!row.name.is_empty(), "{}", row.id);
            assert!(row.base_url.contains("/v") && !row.base_url.ends_with('/'), "{}", row.base_url);
            assert!(OpenAiChat::new(Settings::new(row.id, row.base_url, None)).is_ok(), "{}", row.base_url);
            assert_eq!(by_id(row.id), Some(row));
        }
        for row in HOSTED {
            assert!(row.base_url.starts_with("https://"), "{}", row.base_url);
            assert!(
                row.key_name.ends_with("_API_KEY") || row.key_name.ends_with("_TOKEN"),
                "{}",
                row.key_name
            );
            assert!(!row.default_model.is_empty(), "{}", row.id);
        }
        for row in LOCAL {
            assert!(row.base_url.starts_with("http://127.0.0.1:") && row.key_name.is_empty(), "{}", row.id);
        }
        assert_eq!(by_id("nobody"), None);
    }

    /// A row of a server that runs for the time of a test.
    fn row_of(id: &'static str, script: &Script) -> Vendor {
        row(id, "", Box::leak(script.url().into_boxed_str()), "", "")
    }

    #[tokio::test]
    async fn the_first_row_with_models_is_taken_and_strangers_are_passed_over() {
        let answer = |body: &str| whole("200 OK", "content-type: application/json\r\n", body);
        let (page, empty, list) =
            (answer("<html>"), answer("{\"data\":[]}"), answer("{\"data\":[{\"id\":\"a\"}]}"));
        let [stranger, bare, first, second, gone] = [
            Script::new().await,
            Script::new().await,
            Script::new().await,
            Script::new().await,
            Script::new().await,
        ];
        let rows = [
            row_of("gone", &gone),
            row_of("stranger", &stranger),
            row_of("bare", &bare),
            row_of("first", &first),
            row_of("second", &second),
        ];
        drop(gone);
        let (found, ..) = tokio::join!(
            first_of(&rows),
            stranger.answer(&[&page]),
            bare.answer(&[&empty]),
            first.answer(&[&list]),
            second.answer(&[&list])
        );
        let (settings, models) = found.expect("one runs");
        assert_eq!((settings.id.as_str(), models[0].id.as_str()), ("first", "a"));
        assert_eq!(settings.idle, crate::http::IDLE);
        assert!(first_of(&rows[..1]).await.is_none());
    }
}
