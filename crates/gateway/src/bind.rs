//! `gateway.bind`: the addresses that the gateway listens on.
//!
//! Loopback is listened on in every mode, by both of its addresses, since `localhost` is either: a stranger on one of
//! them would answer in our place.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use profile::activation::{self, Passed};

use crate::config::{Found, GatewaySection};
use crate::limits::BACKLOG;

/// The names of the modes.
const NAMES: &str = "loopback, lan, tailnet, custom or auto";
/// Every address of this machine, as the kernel routes by them.
const ADDRESSES: &str = "/proc/net/fib_trie";

/// Which addresses, in a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// This machine alone.
    #[default]
    Loopback,
    /// All IPv4 addresses of this machine.
    Lan,
    /// The address in the tailnet.
    Tailnet,
    /// The one that `gateway.customBindHost` names.
    Custom,
    /// As loopback: what surrounds a gateway does not widen by itself who reaches it.
    Auto,
}

/// Why a mode cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is no tailnet.
    #[error("gateway.bind is \"tailnet\", but no interface of this machine has an address in 100.64.0.0/10")]
    NoTailnet,
    /// Nothing says which address.
    #[error("gateway.bind is \"custom\", but gateway.customBindHost names no address")]
    NoAddress,
    /// The address is somebody else's.
    #[error("the address {0} that gateway.customBindHost names is none of this machine")]
    NotOurs(IpAddr),
    /// A supervisor has opened another socket.
    #[error(transparent)]
    Passed(#[from] activation::Unusable),
}

/// A mode with the address that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind {
    /// The mode.
    pub mode: Mode,
    /// What is listened on beside loopback, or 127.0.0.1.
    pub address: IpAddr,
}

impl Mode {
    /// As the config has it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Loopback => "loopback",
            Mode::Lan => "lan",
            Mode::Tailnet => "tailnet",
            Mode::Custom => "custom",
            Mode::Auto => "auto",
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Mode::Loopback, Mode::Lan, Mode::Tailnet, Mode::Custom, Mode::Auto];
        let found = all.into_iter().find(|it| it.word() == text);
        found.ok_or_else(|| format!("is \"{text}\"; use {NAMES}"))
    }
}

impl Unusable {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Unusable::NoTailnet => {
                "join the tailnet first (tailscale up), or set gateway.bind to \"loopback\" and reach it by a tunnel"
            }
            Unusable::NoAddress => {
                "name an address of this machine in gateway.customBindHost, or choose another gateway.bind"
            }
            Unusable::NotOurs(_) => "see the addresses of this machine with: ip address",
            Unusable::Passed(activation::Unusable::Port { .. }) => {
                "make ListenStream= of the socket unit and gateway.port agree"
            }
            Unusable::Passed(activation::Unusable::Beyond { .. }) => {
                "write ListenStream=127.0.0.1:PORT in the socket unit, or set gateway.bind to \"lan\""
            }
            Unusable::Passed(activation::Unusable::Control { .. }) => {
                "write the control socket's path in ListenStream=, or leave it to the gateway"
            }
            Unusable::Passed(_) => "pass listening stream sockets alone (ListenStream=, Accept=no)",
        }
    }
}

/// What is wrong with what the config says of it.
pub(crate) fn check(gateway: &GatewaySection, found: &mut Found<'_>) {
    match gateway.bind.as_deref().map_or(Ok(Mode::Loopback), str::parse) {
        Err(words) => found.wrong(&["gateway", "bind"], words),
        Ok(Mode::Custom) if gateway.custom_bind_host.is_none() => {
            let words = "is \"custom\", but gateway.customBindHost names no address";
            found.wrong(&["gateway", "bind"], words);
        }
        Ok(_) => {}
    }
    if let Some(text) = gateway.custom_bind_host.as_deref()
        && let Err(words) = address(text)
    {
        found.wrong(&["gateway", "customBindHost"], words);
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(IpAddr::V6(it)) if it.is_unspecified() => {
            Err("is every IPv6 address; set gateway.bind to \"lan\"".to_owned())
        }
        Ok(it) if it.is_multicast() => Err(format!("is \"{text}\", which nobody can listen on")),
        Ok(it) => Ok(it),
        Err(_) => Err(format!("is \"{text}\"; use an address, such as 192.168.1.10")),
    }
}

impl Bind {
    /// What the config asks for, or a mode that goes before it.
    ///
    /// # Errors
    /// Says what is missing for the mode.
    pub(crate) fn of(gateway: &GatewaySection, flag: Option<Mode>) -> Result<Self, Unusable> {
        let named = gateway.bind.as_deref().and_then(|it| it.parse().ok());
        let mode = flag.or(named).unwrap_or_default();
        let custom = || gateway.custom_bind_host.as_deref().and_then(|it| address(it).ok());
        let address = match mode {
            Mode::Loopback | Mode::Auto => Ipv4Addr::LOCALHOST.into(),
            Mode::Lan => Ipv4Addr::UNSPECIFIED.into(),
            Mode::Tailnet => tailnet().ok_or(Unusable::NoTailnet)?.into(),
            Mode::Custom => custom().ok_or(Unusable::NoAddress)?,
        };
        Ok(Self { mode, address })
    }

    /// Whether others than this machine's own programs can reach it.
    pub(crate) fn is_beyond_loopback(self) -> bool {
        !self.address.is_loopback()
    }

    /// All that is listened on, and whether the gateway does without it where the machine has no such address.
    fn wanted(self) -> Vec<(IpAddr, bool)> {
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let mut wanted = vec![(self.address, false)];
        if !self.address.is_unspecified() && self.address != IpAddr::from(Ipv4Addr::LOCALHOST) {
            wanted.push((Ipv4Addr::LOCALHOST.into(), false));
        }
        if self.address != v6 {
            wanted.push((v6, true));
        }
        wanted
    }

    /// Listens on all of it. The inner error is that somebody else has the port.
    ///
    /// # Errors
    /// When the address is none of this machine's, or the system refuses.
    pub(crate) fn listen(self, port: u16) -> io::Result<Result<Vec<TcpListener>, SocketAddr>> {
        let mut sockets = Vec::new();
        for (address, is_dispensable) in self.wanted() {
            let address = SocketAddr::from((address, port));
            match TcpListener::bind(address) {
                Ok(socket) => {
                    // The standard library lets 128 wait, and those beyond it a second or more.
                    let _ = rustix::net::listen(&socket, BACKLOG);
                    sockets.push(socket);
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => return Ok(Err(address)),
                // Some machines have no IPv6; IPv4 alone is a whole gateway.
                Err(_) if is_dispensable => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(sockets))
    }

    /// Whether this machine has the address at all.
    ///
    /// # Errors
    /// When it has not.
    pub(crate) fn try_address(self) -> Result<(), Unusable> {
        match TcpListener::bind((self.address, 0)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(Unusable::NotOurs(self.address)),
            _ => Ok(()),
        }
    }

    /// Whether sockets that a supervisor has opened are those that would be opened here.
    ///
    /// # Errors
    /// When one of them has another port, or lets in more than the mode does.
    pub(crate) fn check_passed(self, passed: &Passed, port: u16) -> Result<(), Unusable> {
        for address in passed.addresses() {
            if address.port() != port {
                return Err(activation::Unusable::Port { address, port }.into());
            }
            let ip = address.ip().to_canonical();
            if !(ip.is_loopback() || ip == self.address || self.address.is_unspecified()) {
                return Err(activation::Unusable::Beyond { address, bind: self.mode.word() }.into());
            }
        }
        Ok(())
    }
}

/// The address of this machine in 100.64.0.0/10, which tailnets use.
fn tailnet() -> Option<Ipv4Addr> {
    tailnet_in(&std::fs::read_to_string(ADDRESSES).unwrap_or_default())
}

/// `|-- 100.101.102.103`, and below it `/32 host LOCAL`.
fn tailnet_in(table: &str) -> Option<Ipv4Addr> {
    let mut last = None;
    table.lines().find_map(|line| {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        }
        let is_own = line.trim() == "/32 host LOCAL";
        last.filter(|it| is_own && it.octets()[0] == 100 && it.octets()[1] & 0xc0 == 64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(bind: Option<&str>, host: Option<&str>) -> GatewaySection {
        let (bind, custom_bind_host) = (bind.map(str::to_owned), host.map(str::to_owned));
        GatewaySection { bind, custom_bind_host, ..GatewaySection::default() }
    }

    #[track_caller]
    fn check(bind: Option<&str>, host: Option<&str>, expected: &[&str]) {
        let bind = Bind::of(&section(bind, host), None).expect("usable");
        let wanted: Vec<_> = bind.wanted().into_iter().map(|(it, _)| it.to_string()).collect();
        assert_eq!(wanted, expected);
    }

    #[test]
    fn loopback_is_part_of_every_mode() {
        check(None, None, &["127.0.0.1", "::1"]);
        check(Some("auto"), None, &["127.0.0.1", "::1"]);
        check(Some("loopback"), Some("192.168.1.10"), &["127.0.0.1", "::1"]);
        check(Some("lan"), None, &["0.0.0.0", "::1"]);
        check(Some("custom"), Some("0.0.0.0"), &["0.0.0.0", "::1"]);
        check(Some("custom"), Some("127.0.0.1"), &["127.0.0.1", "::1"]);
        check(Some("custom"), Some("192.168.1.10"), &["192.168.1.10", "127.0.0.1", "::1"]);
        check(Some("custom"), Some("::1"), &["::1", "127.0.0.1"]);
        check(Some("custom"), Some("fd00::5"), &["fd00::5", "127.0.0.1", "::1"]);
    }

    #[test]
    fn the_command_line_goes_before_the_config() {
        let bind = Bind::of(&section(Some("lan"), None), Some(Mode::Loopback)).expect("usable");
        assert!(!bind.is_beyond_loopback());
        let error = Bind::of(&section(None, None), Some(Mode::Custom)).expect_err("no address");
        assert!(matches!(error, Unusable::NoAddress));
    }

    #[test]
    fn a_tailnet_is_known_by_an_own_address() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 100.64.0.9\n        /32 link UNICAST\n     |-- 10.0.0.2\n        \
                     /32 host LOCAL\n     |-- 100.128.0.1\n        /32 host LOCAL\n";
        assert_eq!(tailnet_in(table), None);
        let own = format!("{table}     |-- 100.101.102.103\n        /32 host LOCAL\n");
        assert_eq!(tailnet_in(&own), Some(Ipv4Addr::new(100, 101, 102, 103)));
    }
}
