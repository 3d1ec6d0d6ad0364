//! Talk to a language model: one request in, a stream of deltas out. Knows no session, no channel and no tool,
//! and reads neither the environment nor the disk.

pub mod http;
pub mod offline;
pub mod openai_chat;
pub mod route;
pub mod sse;
pub mod vendors;

mod effort;
mod error;
#[cfg(test)]
mod script;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use effort::Effort;
pub use error::{ErrorKind, ModelError};

/// What comes back while a model answers, in order. Dropping it aborts the request. After an error or
/// [`Delta::Stop`] it ends.
pub type DeltaStream = BoxStream<'static, Result<Delta, ModelError>>;

/// Whatever answers a request: a vendor's API, a server on this machine, or the built-in explanation.
pub trait Provider: Send + Sync {
    /// The name in front of the slash of `provider/model`, as in `openai`.
    fn id(&self) -> &str;

    /// Asks once, without any retry; see [`route::ask`] for those. Nothing is sent before the stream is polled.
    fn ask(&self, request: ModelRequest) -> DeltaStream;

    /// The models that can be asked for here.
    ///
    /// # Errors
    /// When the provider cannot be reached, refuses the key, or does not answer with a list of models.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ModelError>>;
}

/// One question to a model, with everything it should know.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// The model's id as its provider writes it, without the provider's name.
    pub model: String,
    /// The system prompt; nothing is sent for an empty one.
    pub system: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// The longest answer in tokens; the provider's own default when `None`.
    pub max_tokens: Option<u32>,
    /// How much the model is to think; its own measure when `None`.
    pub effort: Option<Effort>,
}

/// One entry of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What a person wrote.
    User {
        /// The words; may be empty when there are pictures.
        text: String,
        /// What the person shows.
        images: Vec<Image>,
    },
    /// What the model answered.
    Assistant {
        /// The words; may be empty when there are calls.
        text: String,
        /// The tools it called.
        calls: Vec<ToolCall>,
    },
    /// What a tool gave back.
    Tool {
        /// The [`ToolCall::id`] this answers.
        call_id: String,
        /// The result as text.
        text: String,
    },
}

/// A picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// Its kind, such as `image/png`.
    pub mime: Cow<'static, str>,
    /// Its bytes in base64. Shared, as a conversation is asked about many times.
    pub data: Arc<str>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {} bytes)", self.mime, self.data.len())
    }
}

/// A tool, as the model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name the model calls it by.
    pub name: Cow<'static, str>,
    /// What it does and when to use it.
    pub description: Cow<'static, str>,
    /// A JSON schema of the arguments.
    pub parameters: serde_json::Value,
}

/// A tool that the model wants to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the result must refer to; made up as `call_<n>` when the provider gave none.
    pub id: String,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// The arguments as the model wrote them; normally a JSON object, but it may be broken JSON.
    pub arguments: String,
}

/// Tokens that a request used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read: the prompt with everything in it.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It had said everything.
    Stop,
    /// It reached the longest answer allowed.
    Length,
    /// It waits for the results of its calls.
    ToolUse,
    /// The provider withheld the rest.
    ContentFilter,
    /// A reason we do not know, in the provider's word.
    Other(String),
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More of the text.
    Text(String),
    /// A call, whole.
    Call(ToolCall),
    /// What the request used; at most once, before the end, and only when the provider tells.
    Usage(Usage),
    /// The end. Nothing follows.
    Stop(StopReason),
}

/// A model that a provider offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// What to put into [`ModelRequest::model`].
    pub id: String,
    /// The name for people; the id when the provider gives no other.
    pub name: String,
    /// How many tokens fit, prompt and answer together, when the provider tells.
    pub context_window: Option<u64>,
}
