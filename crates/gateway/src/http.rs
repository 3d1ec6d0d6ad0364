//! HTTP on the gateway's port and on the control socket: the guard, the table of routes, who may, how much, and then
//! the page. In this order, in one place.

pub mod body;
mod guard;
mod hooks;
mod metrics;
mod openai;
mod page;
mod probes;
mod reply;
mod routes;
mod secret;
mod tools;
mod upgrade;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use protocol::Scopes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::limits::BODY;
use crate::server::Entry;
use crate::state::Gateway;

pub use hooks::Settings as HooksSettings;
pub use openai::Settings as HttpSettings;
pub use routes::{ROUTES, Route, Who};
pub use tools::Settings as ToolsOverHttp;

pub(crate) use hooks::SHARED_HOOK_TOKEN;
pub(crate) use metrics::Counters;
pub(crate) use reply::Answer;
use reply::{error, text};
use routes::{Open, Page};
use secret::Admitted;

/// The page.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUi {
    /// Origins of other pages that may connect, as in `https://ops.example`; nobody else's page may.
    pub allowed_origins: Vec<String>,
}

/// A request that was let in, with its whole body.
struct Asked {
    entry: Arc<Entry>,
    /// What follows the route's path, where it has a part that is free.
    rest: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it came with a credential, or from the owner.
    is_known: bool,
    scopes: Scopes,
    /// Cancelled when the credential that it came with is one no longer.
    gone: CancellationToken,
}

impl Asked {
    fn gateway(&self) -> &Arc<Gateway> {
        &self.entry.gateway
    }

    fn header(&self, name: &str) -> Option<&str> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// Answers one request.
pub(crate) async fn serve(entry: Arc<Entry>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let _busy = entry.busy.clone();
    let answer = match guard::check(&entry, &request) {
        Err(status) => text(status, guard::WORDS),
        Ok(()) if upgrade::is_asked(&request) => return Ok(upgrade::answer(&entry, request)),
        // Apart, so that a connection that becomes a WebSocket has no room for it.
        Ok(()) => Box::pin(routed(&entry, request)).await.unwrap_or_else(|refused| *refused),
    };
    entry.gateway.counters.answered(answer.status());
    Ok(answer)
}

async fn routed(entry: &Arc<Entry>, request: Request<Incoming>) -> Result<Answer, Box<Answer>> {
    let gateway = &entry.gateway;
    if has_token(request.uri()) {
        return Err(text(
            StatusCode::BAD_REQUEST,
            "a token does not belong into an address: send it as a header\n",
        )
        .into());
    }
    let force = gateway.force();
    let found = routes::find(request.uri().path(), &force.config.hooks.path);
    let Some((route, rest)) = found.filter(|(route, _)| is_open(route.open, &force)) else {
        return Err(
            text(StatusCode::NOT_FOUND, "not found: this is an OpenClaw gateway; GET / says more\n").into()
        );
    };
    drop(force);
    let rest = rest.to_owned();
    if !route.methods.contains(&request.method().as_str()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        let allowed = HeaderValue::from_str(&route.methods.join(", ")).expect("methods are words");
        answer.headers_mut().insert(ALLOW, allowed);
        return Err(answer.into());
    }
    let Admitted { is_known, scopes, gone } = secret::admit(entry, request.headers(), route.who)?;
    if let Some(scope) = route.scope.filter(|it| !scopes.allow(*it)) {
        let words = format!("missing scope: {scope}");
        return Err(error(StatusCode::FORBIDDEN, "forbidden", &words).into());
    }
    let (head, body) = request.into_parts();
    let body = read(body, route.body_limit).await?;
    let headers = head.headers;
    let asked = Asked { entry: entry.clone(), rest, headers, body, is_known, scopes, gone };
    Ok(open(route.page, asked).await)
}

async fn open(page: Page, asked: Asked) -> Answer {
    match page {
        Page::Root => page::root(&asked),
        Page::Style => page::style(),
        Page::Live => probes::live(),
        Page::Ready => probes::ready(&asked).await,
        Page::Started => probes::started(&asked),
        Page::Metrics => metrics::page(&asked),
        Page::Chat => openai::chat(asked).await,
        Page::Responses => openai::responses(asked).await,
        Page::Models => openai::models(&asked),
        Page::Model => openai::model(&asked),
        Page::Tool => tools::invoke(asked).await,
        Page::Wake => hooks::wake(asked).await,
        Page::HookAgent => hooks::agent(asked).await,
        Page::HookMapped => hooks::mapped(asked).await,
    }
}

/// Whether a page is there at all, by the config.
fn is_open(open: Open, force: &crate::force::Force) -> bool {
    let endpoints = &force.config.gateway.http.endpoints;
    match open {
        Open::Always => true,
        Open::Chat => endpoints.chat_completions.enabled,
        Open::Responses => endpoints.responses.enabled,
        Open::Models => endpoints.chat_completions.enabled || endpoints.responses.enabled,
        Open::Hooks => hooks::token(force).is_some(),
    }
}

/// Addresses end up in histories and logs.
fn has_token(uri: &Uri) -> bool {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .map(|it| it.split_once('=').map_or(it, |(name, _)| name))
        .any(|it| decoded(it).eq_ignore_ascii_case("token"))
}

/// `%41` is `A`. What is no such escape stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let byte = escape.filter(|it| !it.starts_with('+')).and_then(|it| u8::from_str_radix(it, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The whole body, or that it is too large or too slow. A length that is announced is looked at first.
async fn read(body: Incoming, limit: usize) -> Result<Bytes, Box<Answer>> {
    let too_large = || {
        let words = format!("the body has more than the {limit} bytes that are allowed");
        let mut answer = error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", &words);
        // What was not read is not waited for.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Box::new(answer)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            Err(error(StatusCode::BAD_REQUEST, "invalid_request_error", "the body broke off").into())
        }
        Err(_) => {
            let mut answer =
                error(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", "the body took too long");
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Err(answer.into())
        }
    }
}

/// Whether a body may be an object. A type with named parts would be read from a list as well, by their order.
/// A header that is there once; `Err` where it is there twice, as two readers would then disagree.
fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() { Err(()) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_address_is_seen_however_it_is_written() {
        let check = |uri: &str, expected: bool| {
            assert_eq!(has_token(&uri.parse().expect("an address")), expected, "{uri}");
        };
        for uri in ["/?token=x", "/a?b=1&token", "/?TOKEN=", "/?%74oken=x", "/?to%6Ben=x"] {
            check(uri, true);
        }
        for uri in ["/", "/token", "/?q=token", "/?tokens=1", "/?%2574oken=x"] {
            check(uri, false);
        }
    }

    #[test]
    fn escapes_are_read_and_nothing_else() {
        for (text, plain) in
            [("a%2Fb", "a/b"), ("100%", "100%"), ("%+1", "%+1"), ("%zz", "%zz"), ("%C3%A9", "é")]
        {
            assert_eq!(decoded(text), plain);
        }
    }
}
