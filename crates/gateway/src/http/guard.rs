//! The guard: browsers say where a page comes from, and which name it believes to talk to. Only our own are let in,
//! on every route and before any credential is looked at.

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::{Request, StatusCode};
use tracing::debug;

use super::once;
use crate::handshake::Peer;
use crate::names::{self, Names};
use crate::server::Entry;

/// What a stranger is told.
pub(super) const WORDS: &str = "this address or this page may not talk to the gateway\n";

/// Says whether a request comes from a page of the same origin; set by browsers alone.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses foreign names and foreign pages.
pub(super) fn check(entry: &Entry, request: &Request<Incoming>) -> Result<(), StatusCode> {
    let header = |name: HeaderName| match once(request.headers(), &name) {
        Ok(it) => Ok(it.map(|it| it.to_str().unwrap_or("?"))),
        Err(()) => Err(StatusCode::BAD_REQUEST),
    };
    let (host, origin, site) = (header(HOST)?, header(ORIGIN)?, header(FETCH_SITE)?);
    // A target that names a host beside the header may be read in two ways.
    if request.uri().authority().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let force = entry.gateway.force();
    let names = names::of(&entry.gateway, &force.config.gateway, entry.local);
    // A page's plain GET carries no origin; browsers then say in another way that a page of elsewhere asks.
    let from_elsewhere = site.is_some_and(|it| !matches!(it, "same-origin" | "none"));
    let named = origin.or(from_elsewhere.then_some("null"));
    let verdict = check_names(names, entry.peer, host, named);
    if verdict.is_err() {
        debug!(host, origin, "a foreign name was refused");
    }
    verdict
}

fn check_names(
    names: Names<'_>,
    peer: Peer,
    host: Option<&str>,
    origin: Option<&str>,
) -> Result<(), StatusCode> {
    if matches!(peer, Peer::Address(_)) && !host.is_some_and(|it| names.is_own_host(it)) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    origin.is_none_or(|it| names.is_own_page(it)).then_some(()).ok_or(StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn names(allowed: &[String]) -> Names<'_> {
        Names { port: 18789, local: None, is_tls: false, allowed, public: None }
    }

    #[track_caller]
    fn check(host: Option<&str>, origin: Option<&str>, expected: Option<u16>) {
        let tcp = Peer::Address(Ipv4Addr::LOCALHOST.into());
        let allowed = ["https://panel.example".to_owned()];
        let found = check_names(names(&allowed), tcp, host, origin);
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
        let owner = check_names(names(&[]), Peer::Owner, Some("x"), Some("http://evil.test"));
        assert_eq!(owner, Err(StatusCode::FORBIDDEN), "the control socket takes no pages either");
    }
}
