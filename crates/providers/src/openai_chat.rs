//! The dialect that nearly everybody speaks: OpenAI's chat completions, streamed.

mod answer;
mod assembly;
mod models;
mod quirks;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};

use crate::http::{self, Failure, Http};
use crate::{DeltaStream, ErrorKind, ModelError, ModelInfo, ModelRequest, Provider};
use answer::Reading;
use quirks::Quirks;

/// How long to wait for the words of an error, whose status is known already.
const ERROR: Duration = Duration::from_secs(10);

/// Where a provider is, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The provider's id, such as `openai`.
    pub id: String,
    /// Where the API begins, with or without a trailing slash; normally ends in `/v1`.
    pub base_url: String,
    /// The key; servers on this machine often want none.
    pub api_key: Option<Secret>,
    /// How long until an answer begins, normally [`http::FIRST_BYTE`].
    pub first_byte: Duration,
    /// How long an answer may be silent, normally [`http::IDLE`].
    pub idle: Duration,
}

/// A base URL that no request can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the base URL of {provider} {problem}; it should look like https://api.example.com/v1")]
pub struct BadUrl {
    /// The provider's id.
    pub provider: String,
    /// What is wrong with the URL. The URL itself is not told, as somebody may have put a secret into it.
    pub problem: &'static str,
}

/// A provider that speaks this dialect.
#[derive(Clone)]
pub struct OpenAiChat(Arc<Endpoint>);

impl Settings {
    /// Settings with the usual patience.
    pub fn new(id: impl Into<String>, base_url: impl Into<String>, api_key: Option<Secret>) -> Self {
        let (id, base_url) = (id.into(), base_url.into());
        Self { id, base_url, api_key, first_byte: http::FIRST_BYTE, idle: http::IDLE }
    }
}

impl OpenAiChat {
    /// Checks the URL; no connection is made.
    ///
    /// # Errors
    /// When the base URL is not an absolute `http` or `https` URL, or carries credentials or a query.
    pub fn new(settings: Settings) -> Result<Self, BadUrl> {
        Self::with_connect(settings, http::CONNECT)
    }

    /// Like [`OpenAiChat::new`], with a bound of its own for the time that a connection may take.
    pub(crate) fn with_connect(settings: Settings, connect: Duration) -> Result<Self, BadUrl> {
        let base = check_url(&settings.base_url)
            .map_err(|problem| BadUrl { provider: settings.id.clone(), problem })?;
        let url = |path: &str| {
            format!("{base}{path}")
                .parse::<Uri>()
                .map_err(|_| BadUrl { provider: settings.id.clone(), problem: "is not a URL" })
        };
        let (chat, models) = (url("/chat/completions")?, url("/models")?);
        let quirks = Quirks::of(&chat);
        Ok(Self(Arc::new(Endpoint { chat, models, quirks, settings, http: Http::new(connect) })))
    }
}

impl Provider for OpenAiChat {
    fn id(&self) -> &str {
        &self.0.settings.id
    }

    fn ask(&self, request: ModelRequest) -> DeltaStream {
        let first = Step::Ask(Arc::clone(&self.0), request);
        stream::unfold(first, |step| async move {
            let mut reading = match step {
                Step::Over => return None,
                Step::Read(reading) => reading,
                Step::Ask(endpoint, request) => match endpoint.begin(&request).await {
                    Ok(reading) => reading,
                    Err(error) => return Some((Err(error), Step::Over)),
                },
            };
            match reading.next().await {
                Ok(Some(delta)) => Some((Ok(delta), Step::Read(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), Step::Over)),
            }
        })
        .boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ModelError>> {
        models::list(&self.0).boxed()
    }
}

/// Where the stream of an answer stands.
enum Step {
    Ask(Arc<Endpoint>, ModelRequest),
    Read(Box<Reading>),
    Over,
}

/// Settings that were checked, and the connections.
struct Endpoint {
    settings: Settings,
    chat: Uri,
    models: Uri,
    quirks: Quirks,
    http: Http,
}

impl Endpoint {
    /// Sends the question and waits for the head of the answer.
    async fn begin(self: &Arc<Self>, request: &ModelRequest) -> Result<Box<Reading>, ModelError> {
        let body = request::body(request, self.quirks).to_string();
        let mut head = self.head(Method::POST, &self.chat)?;
        head.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.send(head.map(|()| Full::from(body))).await?;
        Reading::begin(Arc::clone(self), answer).await
    }

    /// A request without a body, with the key.
    fn head(&self, method: Method, url: &Uri) -> Result<Request<()>, ModelError> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        let agent = HeaderValue::from_static(concat!("openclaw/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        if let Some(key) = &self.settings.api_key {
            let (name, value) = self.credential(url, key.expose().trim());
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| self.error(ErrorKind::Auth, "the key has characters that no key can have"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    /// The header that carries the key.
    fn credential(&self, url: &Uri, key: &str) -> (HeaderName, String) {
        if self.quirks.lists_like_anthropic && *url == self.models {
            return (HeaderName::from_static("x-api-key"), key.to_owned());
        }
        (AUTHORIZATION, format!("Bearer {key}"))
    }

    /// The answer when its status is a success, and the provider's words as the error when it is not.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Answer, ModelError> {
        let sent = self.http.send(request, self.settings.first_byte).await;
        let answer = sent.map_err(|it| self.failed(&it))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let (status, headers) = (answer.status, answer.headers);
        let body = answer.body.start(self.settings.idle.min(ERROR)).await;
        let refusal = refusal::of_answer(status, &headers, &body);
        let mut error = self.error(refusal.kind, &refusal.words);
        error.status = Some(status.as_u16());
        error.retry_after = refusal.retry_after;
        Err(error)
    }

    fn failed(&self, failure: &Failure) -> ModelError {
        // The system says "Connection refused", and not by whom.
        let place = self.chat.authority().filter(|_| failure.kind == ErrorKind::Unreachable);
        let place = place.map(|it| format!("{it}: ")).unwrap_or_default();
        self.error(failure.kind, &format!("{place}{}", failure.words))
    }

    /// An error in `words`, with the key taken out of them before they are cut.
    fn error(&self, kind: ErrorKind, words: &str) -> ModelError {
        let id = &self.settings.id;
        match &self.settings.api_key {
            Some(key) => ModelError::new(kind, id, &words.replace(key.expose().trim(), "***")),
            None => ModelError::new(kind, id, words),
        }
    }
}

/// The base URL without a trailing slash, or what is wrong with it.
fn check_url(text: &str) -> Result<&str, &'static str> {
    let base = text.trim().trim_end_matches('/');
    let uri: Uri = base.parse().map_err(|_| "is not a URL")?;
    let Some(authority) = uri.authority() else { return Err("is not an absolute URL") };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("is neither http nor https");
    }
    if authority.as_str().contains('@') {
        return Err("carries a user name or password, which belong into the API key");
    }
    if uri.query().is_some() || base.contains('#') {
        return Err("has a query or a fragment");
    }
    Ok(base)
}
