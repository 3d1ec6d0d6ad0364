//! Credentials over HTTP: the gateway's secret or the hooks' own, in a header. Whoever failed too often is not even
//! looked at, by the same count as on the WebSocket.

use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use protocol::{Scope, Scopes};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::reply::{Answer, error, text};
use super::routes::Who;
use super::{hooks, once};
use crate::handshake::Peer;
use crate::server::Entry;

/// Another name for the credential of a hook.
const HOOK_TOKEN: HeaderName = HeaderName::from_static("x-openclaw-token");
/// Narrows what the caller may do.
const SCOPES: HeaderName = HeaderName::from_static("x-openclaw-scopes");

/// Somebody who may go on.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Whether a credential was shown, or the kernel says that it is the owner.
    pub(super) is_known: bool,
    /// What may be done.
    pub(super) scopes: Scopes,
    /// Cancelled when the credential is one no longer.
    pub(super) gone: CancellationToken,
}

/// Lets somebody in, or says how they are refused. A credential that is wrong is refused also where none is needed.
pub(super) fn admit(entry: &Entry, headers: &HeaderMap, who: Who) -> Result<Admitted, Box<Answer>> {
    let force = entry.gateway.force();
    let (secret, gone) = match who {
        Who::Anybody | Who::Secret => (Some(&force.access.secret), force.access.gone.clone()),
        // What a hook began goes on when its token is exchanged.
        Who::Hooks => (hooks::token(&force), CancellationToken::new()),
    };
    let refused = || Box::new(unauthorized(who));
    let offered = offered(headers, who).map_err(|()| refused())?;
    if !offered.is_empty() {
        let Peer::Address(address) = entry.peer else {
            let is_right = offered.iter().all(|it| secret.is_some_and(|secret| secret.matches(it)));
            return if is_right { Ok(known(headers, who, gone)) } else { Err(refused()) };
        };
        let now = Instant::now();
        if let Some(left) = entry.gateway.attempts.locked(address, now) {
            return Err(locked_out(left.as_secs().max(1)).into());
        }
        if !offered.iter().all(|it| secret.is_some_and(|secret| secret.matches(it))) {
            entry.gateway.attempts.failed(address, now);
            debug!(peer = ?entry.peer, "a wrong credential was refused");
            return Err(refused());
        }
        return Ok(known(headers, who, gone));
    }
    match (who, entry.peer) {
        (_, Peer::Owner) => Ok(known(headers, who, CancellationToken::new())),
        (Who::Anybody, Peer::Address(_)) => {
            Ok(Admitted { is_known: false, scopes: Scopes::default(), gone: CancellationToken::new() })
        }
        (Who::Secret | Who::Hooks, Peer::Address(_)) => Err(refused()),
    }
}

/// What is offered as a credential; `Err` where that cannot be a right one.
fn offered(headers: &HeaderMap, who: Who) -> Result<Vec<&str>, ()> {
    let mut all = Vec::new();
    if let Some(value) = once(headers, &AUTHORIZATION)? {
        // Of another scheme it is a wrong one, and counted as such.
        all.push(bearer(value).unwrap_or_default());
    }
    if let Some(value) = once(headers, &HOOK_TOKEN)?.filter(|_| who == Who::Hooks) {
        all.push(value.to_str().unwrap_or_default().trim());
    }
    Ok(all)
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who has the secret may do everything, less what a header leaves out. A header with nothing in it leaves nothing.
fn known(headers: &HeaderMap, who: Who, gone: CancellationToken) -> Admitted {
    let names: Vec<String> = if who == Who::Hooks {
        Vec::new()
    } else if headers.contains_key(&SCOPES) {
        let values = headers.get_all(&SCOPES).iter().filter_map(|it| it.to_str().ok());
        values.flat_map(|it| it.split([',', ' '])).map(|it| it.trim().to_owned()).collect()
    } else {
        Scope::ALL.iter().map(|it| it.name().to_owned()).collect()
    };
    Admitted { is_known: true, scopes: Scopes::asked(&names), gone }
}

fn unauthorized(who: Who) -> Answer {
    let mut answer = match who {
        Who::Hooks => text(StatusCode::UNAUTHORIZED, "Unauthorized\n"),
        Who::Anybody | Who::Secret => error(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
    };
    answer.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    answer
}

fn locked_out(seconds: u64) -> Answer {
    let words = "too many failed authentication attempts (retry later)";
    let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "rate_limited", words);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        let mut map = HeaderMap::new();
        for (name, value) in all.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn a_credential_is_read_and_two_are_none() {
        let check = |all: &[(&'static str, &str)], who, expected: Result<&[&str], ()>| {
            assert_eq!(offered(&headers(all), who), expected.map(<[&str]>::to_vec), "{all:?}");
        };
        check(&[], Who::Secret, Ok(&[]));
        check(&[("authorization", "Bearer a b")], Who::Secret, Ok(&["a b"]));
        check(&[("authorization", "bEARER  x ")], Who::Secret, Ok(&["x"]));
        check(&[("authorization", "Basic eDp5")], Who::Secret, Ok(&[""]));
        check(&[("authorization", "")], Who::Secret, Ok(&[""]));
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Who::Secret, Err(()));
        check(&[("x-openclaw-token", "t")], Who::Secret, Ok(&[]));
        check(&[("x-openclaw-token", "t"), ("authorization", "Bearer u")], Who::Hooks, Ok(&["u", "t"]));
    }

    #[test]
    fn a_header_narrows_and_never_widens() {
        let check = |all: &[(&'static str, &str)], who, scope, expected| {
            let admitted = known(&headers(all), who, CancellationToken::new());
            assert_eq!(admitted.scopes.allow(scope), expected, "{all:?} {scope}");
        };
        check(&[], Who::Secret, Scope::Admin, true);
        check(&[("x-openclaw-scopes", "operator.read")], Who::Secret, Scope::Read, true);
        check(&[("x-openclaw-scopes", "operator.read")], Who::Secret, Scope::Write, false);
        check(&[("x-openclaw-scopes", "")], Who::Secret, Scope::Read, false);
        check(&[("x-openclaw-scopes", "nonsense, *")], Who::Secret, Scope::Read, false);
        check(&[("x-openclaw-scopes", "operator.admin")], Who::Hooks, Scope::Read, false);
    }
}
