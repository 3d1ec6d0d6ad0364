//! From HTTP to the WebSocket.

use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use super::reply::{Answer, text};
use crate::connection;
use crate::server::Entry;
use crate::supervisor::Stage;

/// Whether a request asks for it.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|it| it.to_str().ok());
    upgrade.is_some_and(|it| it.eq_ignore_ascii_case("websocket"))
}

/// Agrees to it, and serves the connection.
pub(super) fn answer(entry: &Arc<Entry>, mut request: Request<Incoming>) -> Answer {
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
        // What only the beginning needs is not kept for as long as the connection lives.
        let begun = Box::pin(async {
            match socket.await {
                Ok(socket) => connection::begin(&entry, socket, pass, &stop).await,
                Err(error) => {
                    debug!("an upgrade did not come about: {error}");
                    None
                }
            }
        });
        if let Some(begun) = begun.await {
            connection::talk(&entry, begun, &stop).await;
        }
    });
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header's value"));
    answer
}
