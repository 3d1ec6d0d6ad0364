//! Trying out what was answered, against the world: the list of models, and a first answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::text;
use futures_util::StreamExt;
use providers::openai_chat::{OpenAiChat, Settings};
use providers::{Delta, Message, ModelInfo, ModelRequest, Provider, vendors};

/// How long a list of models may take.
const LIST: Duration = Duration::from_secs(15);
/// How long a first answer may take; a local model may have to be loaded first.
const ANSWER: Duration = Duration::from_secs(90);
/// What is asked.
const HELLO: &str = "Say hello in one short sentence.";

/// Something to be tried out. It holds a key, so it has no way to be printed.
pub enum Probe {
    /// Whether the key is taken, by the models that it leads to.
    Models(Settings),
    /// Whether the model answers.
    Hello {
        /// Where.
        settings: Settings,
        /// Which.
        model: String,
    },
}

/// What came of it.
pub struct Worked {
    /// For people.
    pub said: String,
    /// The models, where they were asked for.
    pub models: Option<Vec<ModelInfo>>,
}

impl Probe {
    /// What is being done, for people.
    pub fn what(&self) -> String {
        match self {
            Probe::Models(it) => format!("asking {} for its models", it.id),
            Probe::Hello { settings, model } => format!("asking {}/{model} for a first answer", settings.id),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Says in one line what went wrong, without the key.
    pub async fn run(self) -> Result<Worked, String> {
        let secret = match &self {
            Probe::Models(it) | Probe::Hello { settings: it, .. } => it.api_key.clone(),
        };
        let outcome = match self {
            Probe::Models(settings) => models(settings).await,
            Probe::Hello { settings, model } => hello(settings, model).await,
        };
        // A server may quote the key that it refuses.
        let clean =
            |words: String| secret.map_or_else(|| words.clone(), |it| words.replace(it.expose(), "***"));
        match outcome {
            Ok(it) => Ok(Worked { said: clean(it.said), models: it.models }),
            Err(words) => Err(clean(words)),
        }
    }

    /// As [`Probe::run`], where nothing else is to be done meanwhile.
    ///
    /// # Errors
    /// As [`Probe::run`].
    pub fn run_blocking(self) -> Result<Worked, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| format!("cannot make a runtime: {error}"))?.block_on(self.run())
    }
}

async fn models(settings: Settings) -> Result<Worked, String> {
    let id = settings.id.clone();
    let began = Instant::now();
    let asked = tokio::time::timeout(LIST, vendors::probe(settings)).await;
    let models = asked.map_err(|_| late(&id, LIST))?.map_err(|error| error.to_string())?;
    let count = models.len();
    let plural = if count == 1 { "" } else { "s" };
    let said = format!("{id} answers: {count} model{plural}, in {}", took(began));
    Ok(Worked { said, models: Some(models) })
}

async fn hello(settings: Settings, model: String) -> Result<Worked, String> {
    let id = settings.id.clone();
    let provider = OpenAiChat::new(settings).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let said = tokio::time::timeout(ANSWER, said(Arc::new(provider), &model)).await;
    let said = said.map_err(|_| late(&id, ANSWER))??;
    if said.trim().is_empty() {
        return Err(format!("{id}/{model} ended its answer without a word"));
    }
    let said = format!("{id}/{model} says, after {}: {}", took(began), text::line(&said, 200));
    Ok(Worked { said, models: None })
}

async fn said(provider: Arc<OpenAiChat>, model: &str) -> Result<String, String> {
    let messages = vec![Message::User { text: HELLO.to_owned(), images: Vec::new() }];
    let (model, system) = (model.to_owned(), String::new());
    let mut answer = provider.ask(ModelRequest {
        model,
        system,
        messages,
        tools: Vec::new(),
        max_tokens: None,
        effort: None,
    });
    let mut whole = String::new();
    while let Some(delta) = answer.next().await {
        match delta.map_err(|error| error.to_string())? {
            Delta::Text(piece) => whole.push_str(&piece),
            Delta::Call(_) | Delta::Usage(_) => {}
            Delta::Stop(_) => break,
        }
        // The rest of a model that does not stop is of no interest.
        if whole.len() > 2000 {
            break;
        }
    }
    Ok(whole)
}

fn late(id: &str, limit: Duration) -> String {
    format!("{id} did not answer within {} s", limit.as_secs())
}

fn took(began: Instant) -> String {
    let took = began.elapsed();
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}
