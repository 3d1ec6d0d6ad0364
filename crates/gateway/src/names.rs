//! The names by which a gateway is reached, and the pages that are its own.
//!
//! A browser says which name it believes to talk to. Whoever owns a name may have it lead to this machine (rebinding),
//! so that only addresses and names that the config knows are answered.

use std::net::IpAddr;

use crate::state::Gateway;

/// What a request must name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    /// The gateway's port.
    pub(crate) port: u16,
    /// The address that the connection came to, where that is not loopback.
    pub(crate) local: Option<IpAddr>,
    /// Whether it came by TLS.
    pub(crate) is_tls: bool,
    /// Pages of elsewhere that may connect; their hosts lead here by way of a proxy.
    pub(crate) allowed: &'a [String],
    /// Where a proxy shows this gateway.
    pub(crate) public: Option<&'a str>,
}

/// Origins in the config: the hosts in them are names of this gateway.
pub(crate) fn check(gateway: &crate::config::GatewaySection, found: &mut crate::config::Found<'_>) {
    let Some(origin) = gateway.public_origin.as_deref() else { return };
    if authority(origin).is_none() {
        let words = format!("is \"{origin}\"; use an origin, such as https://claw.example");
        found.odd(&["gateway", "publicOrigin"], words);
    }
}

impl Names<'_> {
    /// Whether `Host` names this gateway.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.is_own(&host) || self.is_of_config(&host)
    }

    /// Whether a page with this origin is one of ours, or one that the config lets in.
    pub(crate) fn is_own_page(&self, origin: &str) -> bool {
        let scheme = if self.is_tls { "https://" } else { "http://" };
        let lower = origin.to_ascii_lowercase();
        let own = lower.strip_prefix(scheme).is_some_and(|it| self.is_own(it));
        let is_listed = |it: &str| it.trim_end_matches('/').eq_ignore_ascii_case(origin);
        own || self.allowed.iter().any(|it| is_listed(it)) || self.public.is_some_and(is_listed)
    }

    /// By loopback's names, or the address that the connection came to: an address cannot be rebound.
    fn is_own(&self, host: &str) -> bool {
        let own = |name: &str| {
            let port = host.strip_prefix(name).map(|it| it.strip_prefix(':'));
            match port {
                Some(Some(port)) => port == self.port.to_string(),
                Some(None) => host.len() == name.len() && self.port == if self.is_tls { 443 } else { 80 },
                None => false,
            }
        };
        let local = self.local.map(|it| match it {
            IpAddr::V4(it) => it.to_string(),
            IpAddr::V6(it) => format!("[{it}]"),
        });
        ["localhost", "127.0.0.1", "[::1]"].into_iter().chain(local.as_deref()).any(own)
    }

    fn is_of_config(&self, host: &str) -> bool {
        let origins = self.allowed.iter().map(String::as_str).chain(self.public);
        origins.filter_map(authority).any(|(own, default_port)| {
            let own = own.to_ascii_lowercase();
            host == own || host.strip_suffix(default_port) == Some(own.as_str())
        })
    }
}

/// The host of an origin, its port included where it says one, and the port that it need not say.
fn authority(origin: &str) -> Option<(&str, &'static str)> {
    let origin = origin.trim_end_matches('/');
    let (host, port) = match origin.split_once("://")? {
        ("https", it) => (it, ":443"),
        ("http", it) => (it, ":80"),
        _ => return None,
    };
    let is_plain = !host.is_empty() && !host.contains(['/', '*', '@', '?', '#', ' ']);
    is_plain.then_some((host, port))
}

/// What the config in force says, for one connection.
pub(crate) fn of<'a>(
    gateway: &Gateway,
    section: &'a crate::config::GatewaySection,
    local: Option<IpAddr>,
) -> Names<'a> {
    Names {
        port: gateway.port,
        local,
        is_tls: gateway.door.tls.is_some(),
        allowed: &section.control_ui.allowed_origins,
        public: section.public_origin.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &str = "https://panel.example";

    #[track_caller]
    fn check(local: Option<&str>, host: &str, expected: bool) {
        let allowed = [ALLOWED.to_owned(), "*".to_owned(), "https://*.example".to_owned()];
        let local = local.map(|it| it.parse().expect("an address"));
        let public = Some("https://claw.example:8443/");
        let names = Names { port: 18789, local, is_tls: false, allowed: &allowed, public };
        assert_eq!(names.is_own_host(host), expected, "{host}");
    }

    #[test]
    fn a_host_is_an_address_of_the_listener_or_a_name_of_the_config() {
        for host in
            ["localhost:18789", "127.0.0.1:18789", "[::1]:18789", "panel.example", "Panel.Example:443"]
        {
            check(None, host, true);
            check(Some("192.168.1.5"), host, true);
        }
        check(None, "claw.example:8443", true);
        check(Some("192.168.1.5"), "192.168.1.5:18789", true);
        check(Some("fd00::5"), "[fd00::5]:18789", true);
        for host in [
            "",
            "192.168.1.6:18789",
            "192.168.1.5",
            "192.168.1.5:80",
            "evil.test",
            "evil.test:18789",
            "panel.example:18789",
            "claw.example",
            "*",
            "x.example",
            "*.example",
            "192.168.1.5.evil.test:18789",
            "localhost",
            "127.0.0.1",
        ] {
            check(Some("192.168.1.5"), host, false);
        }
        check(None, "192.168.1.5:18789", false);
    }

    #[test]
    fn a_page_is_ours_by_the_scheme_that_we_speak() {
        let names = Names { port: 443, local: None, is_tls: true, allowed: &[], public: Some(ALLOWED) };
        assert!(names.is_own_page("https://localhost") && names.is_own_page("https://127.0.0.1:443"));
        assert!(names.is_own_page(ALLOWED) && names.is_own_host("localhost"));
        for origin in ["http://localhost", "https://localhost:80", "null", "", "https://evil.test"] {
            assert!(!names.is_own_page(origin), "{origin}");
        }
    }
}
