//! The guard: browsers say where a page comes from, and which name it believes to talk to. Only our own are let in,
//! on every route and before any credential is looked at.

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::{Request, StatusCode};
use tracing::debug;

use super::once;
use crate::handshake::Peer;
use crate::state::Gateway;

/// What a stranger is told.
pub(super) const WORDS: &str = "this address or this page may not talk to the gateway\n";

/// Says whether a request comes from a page of the same origin; set by browsers alone.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses foreign names and foreign pages.
pub(super) fn check(gateway: &Gateway, peer: Peer, request: &Request<Incoming>) -> Result<(), StatusCode> {
    let header = |name: HeaderName| match once(request.headers(), &name) {
        Ok(it) => Ok(it.map(|it| it.to_str().unwrap_or("?"))),
        Err(()) => Err(StatusCode::BAD_REQUEST),
    };
    let (host, origin, site) = (header(HOST)?, header(ORIGIN)?, header(FETCH_SITE)?);
    let force = gateway.force();
    let allowed = &force.config.gateway.control_ui.allowed_origins;
    // A page's plain GET carries no origin; browsers then say in another way that a page of elsewhere asks.
    let from_elsewhere = site.is_some_and(|it| !matches!(it, "same-origin" | "none"));
    let named = origin.or(from_elsewhere.then_some("null"));
    // An address may stand in the first line too, and then goes before the header.
    let authority = request.uri().authority().map(|it| it.as_str());
    let hosts = [authority, host];
    let hosts = if authority.is_some() { &hosts[..] } else { &hosts[1..] };
    let verdict = hosts.iter().try_for_each(|it| check_names(gateway.port, peer, *it, named, allowed));
    if verdict.is_err() {
        debug!(host, origin, "a foreign name was refused");
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
