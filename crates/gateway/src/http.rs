//! HTTP on the gateway's port and on the control socket: the guard before everything, the upgrade, two probes.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use crate::connection;
use crate::handshake::Peer;
use crate::methods;
use crate::server::Entry;
use crate::state::Gateway;
use crate::supervisor::Stage;

type Answer = Response<Full<Bytes>>;

/// Says whether a request comes from a page of the same origin; set by browsers alone.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The page.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUi {
    /// Origins of other pages that may connect, as in `https://ops.example`; nobody else's page may.
    pub allowed_origins: Vec<String>,
}

/// Answers one request.
pub(crate) async fn serve(entry: Arc<Entry>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    let answer = match guard(&entry.gateway, entry.peer, &request) {
        Err(status) => text(status, "this address or this page may not talk to the gateway\n"),
        Ok(()) if is_upgrade(&request) => upgrade(&entry, request),
        Ok(()) => match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/health" | "/healthz") => {
                json_answer(StatusCode::OK, &json!({"ok": true, "status": "live"}))
            }
            (&Method::GET | &Method::HEAD, "/ready" | "/readyz") => ready(&entry).await,
            (_, "/health" | "/healthz" | "/ready" | "/readyz") => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                answer
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "this is an OpenClaw gateway: connect a WebSocket client here, or look at /healthz\n",
            ),
        },
    };
    Ok(answer)
}

/// Browsers send where a page comes from, and which name it believes to talk to. Only our own are let in, on
/// every route and before any credential is looked at.
fn guard(gateway: &Gateway, peer: Peer, request: &Request<Incoming>) -> Result<(), StatusCode> {
    let header = |name: HeaderName| request.headers().get(name).map(|it| it.to_str().unwrap_or("?"));
    let force = gateway.force();
    let allowed = &force.config.gateway.control_ui.allowed_origins;
    // A page's plain GET carries no origin; browsers then say in another way that a page of elsewhere asks.
    let from_elsewhere = header(FETCH_SITE).is_some_and(|it| !matches!(it, "same-origin" | "none"));
    let named = header(ORIGIN).or(from_elsewhere.then_some("null"));
    let verdict = check_names(gateway.port, peer, header(HOST), named, allowed);
    if verdict.is_err() {
        debug!(host = header(HOST), origin = header(ORIGIN), "a foreign name was refused");
    }
    verdict
}

fn check_names(
    port: u16,
    peer: Peer,
    host: Option<&str>,
    origin: Option<&str>,
    allowed: &[String],
) -> Result<(), StatusCode> {
    let own_hosts = ["localhost", "127.0.0.1", "[::1]"];
    let is_own = |it: &str| {
        own_hosts
            .iter()
            .any(|own| it.strip_prefix(own).and_then(|it| it.strip_prefix(':')) == Some(&port.to_string()))
    };
    if matches!(peer, Peer::Address(_)) && !host.is_some_and(|it| is_own(&it.to_ascii_lowercase())) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    let Some(origin) = origin else { return Ok(()) };
    let own_page = origin.to_ascii_lowercase().strip_prefix("http://").is_some_and(is_own);
    let listed = allowed.iter().any(|it| it.trim_end_matches('/').eq_ignore_ascii_case(origin));
    (own_page || listed).then_some(()).ok_or(StatusCode::FORBIDDEN)
}

/// What is wrong may name folders: that is for the owner, on the control socket. Others are told how much is.
async fn ready(entry: &Entry) -> Answer {
    let readiness = methods::readiness(&entry.gateway).await;
    let status = if readiness.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = match entry.peer {
        Peer::Owner => json!(readiness),
        Peer::Address(_) => json!({"ok": readiness.ok, "failing": readiness.failing}),
    };
    json_answer(status, &told)
}

fn is_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|it| it.to_str().ok());
    upgrade.is_some_and(|it| it.eq_ignore_ascii_case("websocket"))
}

fn upgrade(entry: &Arc<Entry>, mut request: Request<Incoming>) -> Answer {
    let headers = request.headers();
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|it| it == "13");
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|_| version && request.method() == Method::GET)
    else {
        let mut answer = text(StatusCode::UPGRADE_REQUIRED, "use the WebSocket protocol, version 13\n");
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return answer;
    };
    let Some(pass) = entry.gateway_pass() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many connections wait to be authenticated\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    let socket = hyper::upgrade::on(&mut request);
    let entry = entry.clone();
    let gateway = entry.gateway.clone();
    gateway.supervisor.start(Stage::Clients, "connection", |stop| async move {
        match socket.await {
            Ok(socket) => connection::serve(&entry, socket, pass, stop).await,
            Err(error) => debug!("an upgrade did not come about: {error}"),
        }
    });
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header's value"));
    answer
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    answer(status, "application/json", Bytes::from(body.to_string()))
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[track_caller]
    fn check(host: Option<&str>, origin: Option<&str>, expected: Option<u16>) {
        let tcp = Peer::Address(Ipv4Addr::LOCALHOST.into());
        let allowed = ["https://panel.example".to_owned()];
        let found = check_names(18789, tcp, host, origin, &allowed);
        assert_eq!(found.err().map(|it| it.as_u16()), expected, "{host:?} {origin:?}");
    }

    #[test]
    fn only_our_own_names_come_in() {
        for host in ["127.0.0.1:18789", "LocalHost:18789", "[::1]:18789"] {
            check(Some(host), None, None);
        }
        for host in [None, Some("evil.test"), Some("evil.test:18789"), Some("127.0.0.1"), Some("127.0.0.1:1")]
        {
            check(host, None, Some(421));
        }
        check(Some("127.0.0.1.evil.test:18789"), None, Some(421));
    }

    #[test]
    fn only_our_own_pages_come_in() {
        let host = Some("127.0.0.1:18789");
        check(host, Some("http://127.0.0.1:18789"), None);
        check(host, Some("http://localhost:18789"), None);
        check(host, Some("https://panel.example"), None);
        for origin in
            ["http://127.0.0.1:19001", "http://evil.test", "null", "", "https://127.0.0.1:18789", "file://"]
        {
            check(host, Some(origin), Some(403));
        }
        let owner = check_names(18789, Peer::Owner, Some("x"), Some("http://evil.test"), &[]);
        assert_eq!(owner, Err(StatusCode::FORBIDDEN), "the control socket takes no pages either");
    }
}
