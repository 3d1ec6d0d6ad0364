//! Whose address counts: the socket's, or the one that a proxy tells of.
//!
//! Anybody can send a forwarding header. Only what comes from an address in `gateway.trustedProxies` is believed; all
//! others stay who they are, and that they tried is counted. An address gives no privilege in either case.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;

use crate::config::{Found, GatewaySection};

/// Set by proxies; `x-forwarded-` and what follows it, too.
const HEADERS: [&str; 6] =
    ["forwarded", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip", "tailscale-user-login"];
/// The addresses of one header that are read.
const HOPS: usize = 32;

/// An address, or all that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Net {
    address: IpAddr,
    bits: u32,
}

/// Who a request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The other end of the socket; it says nothing of anybody else.
    Direct,
    /// The other end of the socket, whatever it says: it is no proxy that is believed.
    Unbelieved,
    /// Somebody behind a proxy that is believed.
    Behind(IpAddr),
}

/// Says which entries are of no use, and which believe everybody.
pub(crate) fn check(gateway: &GatewaySection, found: &mut Found<'_>) {
    for (at, text) in gateway.trusted_proxies.iter().enumerate() {
        let keys = ["gateway", "trustedProxies", &at.to_string()].map(str::to_owned);
        match text.parse::<Net>() {
            Err(words) => found.odd(&keys, format!("{words}, so that it names nobody")),
            Ok(it) if it.bits == 0 => found.odd(&keys, "believes everybody what they say of their address"),
            Ok(_) => {}
        }
    }
}

/// Who a request is from, as its headers and the config say.
pub(crate) fn origin(peer: IpAddr, headers: &HeaderMap, gateway: &GatewaySection) -> Origin {
    let is_forwarded =
        headers.keys().any(|it| HEADERS.contains(&it.as_str()) || it.as_str().starts_with("x-forwarded-"));
    if !is_forwarded {
        return Origin::Direct;
    }
    let nets: Vec<Net> = gateway.trusted_proxies.iter().filter_map(|it| it.parse().ok()).collect();
    let is_trusted = |address: IpAddr| nets.iter().any(|it| it.has(address));
    if !is_trusted(peer) {
        return Origin::Unbelieved;
    }
    let chain = headers.get_all("x-forwarded-for");
    let mut hops: Vec<&str> =
        chain.iter().map(|it| it.to_str().unwrap_or("?")).flat_map(|it| it.split(',')).collect();
    if hops.is_empty() && gateway.allow_real_ip_fallback {
        hops.extend(headers.get("x-real-ip").and_then(|it| it.to_str().ok()));
    }
    // The last was written by the nearest. What is before the first that is not believed, that one may have made up.
    let client = hops.into_iter().rev().take(HOPS).map(address).find(|it| !it.is_some_and(is_trusted));
    match client.flatten() {
        // Nobody is behind a proxy on this very machine by its own address.
        Some(it) if !it.is_loopback() => Origin::Behind(it),
        _ => Origin::Unbelieved,
    }
}

/// An address as proxies write it, a port behind it left out.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse().ok().map(|it: IpAddr| it.to_canonical())
}

impl Net {
    fn has(self, address: IpAddr) -> bool {
        let shift = |width: u32| width - self.bits;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(it)) => {
                (own.to_bits() ^ it.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(it)) => {
                (own.to_bits() ^ it.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = || format!("is \"{text}\"; use an address or a net, such as 10.0.0.1 or 10.0.0.0/8");
        let (address, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(a, b)| (a, Some(b)));
        let address = address.parse::<IpAddr>().map_err(|_| odd())?.to_canonical();
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |it| it.parse().map_err(|_| odd()))?;
        if bits > width { Err(odd()) } else { Ok(Self { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    #[track_caller]
    fn check(peer: &str, headers: &[(&str, &str)], expected: Origin) {
        let trusted_proxies = ["10.0.0.1", "172.16.0.0/12", "127.0.0.1", "::1", "fd00::/8", "nonsense"];
        let gateway = GatewaySection {
            trusted_proxies: trusted_proxies.map(str::to_owned).to_vec(),
            allow_real_ip_fallback: true,
            ..GatewaySection::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let peer = peer.parse().expect("an address");
        assert_eq!(origin(peer, &map, &gateway), expected, "{peer} {headers:?}");
    }

    fn behind(address: &str) -> Origin {
        Origin::Behind(address.parse().expect("an address"))
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let one = [("x-forwarded-for", "203.0.113.7")];
        check("192.168.1.1", &[], Origin::Direct);
        check("192.168.1.1", &one, Origin::Unbelieved);
        check("127.0.0.2", &one, Origin::Unbelieved);
        check("10.0.0.1", &one, behind("203.0.113.7"));
        check("::ffff:10.0.0.1", &one, behind("203.0.113.7"));
        check("172.31.255.255", &one, behind("203.0.113.7"));
        check("172.32.0.0", &one, Origin::Unbelieved);
        check("fd12::1", &one, behind("203.0.113.7"));
        for name in
            ["forwarded", "x-real-ip", "x-forwarded-host", "x-forwarded-proto", "tailscale-user-login"]
        {
            check("192.168.1.1", &[(name, "203.0.113.7")], Origin::Unbelieved);
        }
    }

    #[test]
    fn the_last_that_is_not_trusted_is_the_client() {
        let forwarded = |it: &'static str| [("x-forwarded-for", it)];
        check("127.0.0.1", &forwarded("6.6.6.6, 203.0.113.7, 10.0.0.1"), behind("203.0.113.7"));
        check("127.0.0.1", &forwarded("203.0.113.7:4711"), behind("203.0.113.7"));
        check("127.0.0.1", &forwarded("\"[2001:db8::1]:4711\""), behind("2001:db8::1"));
        check("127.0.0.1", &forwarded("::ffff:203.0.113.7"), behind("203.0.113.7"));
        check(
            "127.0.0.1",
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")],
            behind("203.0.113.7"),
        );
        for made_up in ["", "unknown", "127.0.0.9", "6.6.6.6, nonsense", "6.6.6.6, 127.0.0.9", "10.0.0.1"] {
            check("127.0.0.1", &forwarded(made_up), Origin::Unbelieved);
        }
        check("127.0.0.1", &[("x-real-ip", "203.0.113.7")], behind("203.0.113.7"));
        let both = [("x-real-ip", "6.6.6.6"), ("x-forwarded-for", "nonsense")];
        check("127.0.0.1", &both, Origin::Unbelieved);
    }
}
