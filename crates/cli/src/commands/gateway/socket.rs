//! The socket unit that `gateway install --socket` writes beside the service's.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use fleet::service::{socket, text};
use profile::Instance;
use profile::document::Document;

use crate::failure::{Failure, Kind};

/// What stands beside a service's unit then.
pub(super) struct Socket {
    /// The file.
    pub(super) file: PathBuf,
    /// What it says.
    pub(super) text: String,
}

/// The socket unit beside a unit; `None` where nobody asked for one.
pub(super) fn wanted(instance: &Instance, unit: &Path, asked: bool) -> Result<Option<Socket>, Failure> {
    let file = socket::beside(unit);
    if !asked {
        // Without it the service would be started twice over: by the machine, and by whoever comes.
        return if file.is_file() {
            Err(Failure::new(Kind::Held, format!("{} starts it by its first connection", file.display()))
                .hint("to have it so from now on: install with --socket")
                .hint(format!("else take it away first: {} gateway uninstall", instance.command())))
        } else {
            Ok(None)
        };
    }
    let config = Document::load(&instance.config_path)
        .map_err(|error| Failure::new(Kind::Config, base::text::chain(&error)))?;
    let port = config.port().or(instance.default_port).ok_or_else(|| {
        Failure::new(Kind::Config, "the config names no port to listen on")
            .hint(format!("name one: {} config set gateway.port PORT", instance.command()))
    })?;
    let named = |name: &str| config.value()["gateway"][name].as_str();
    let address =
        address(named("bind"), named("customBindHost")).map_err(|words| Failure::new(Kind::Config, words))?;
    let text = socket::text(instance, SocketAddr::new(address, port));
    Ok(Some(Socket { file, text }))
}

impl Socket {
    /// What a person wrote, or another program, is not written over unasked.
    pub(super) fn may_replace(&self, instance: &Instance, force: bool) -> Result<(), Failure> {
        let there = fs::read_to_string(&self.file).ok();
        match there {
            Some(it) if !force && it != self.text && !text::is_untouched(&it) => Err(Failure::new(
                Kind::Held,
                format!("{} is there, and was changed or is not ours", self.file.display()),
            )
            .hint(format!("write over it: {} gateway install --socket --force", instance.command()))),
            _ => Ok(()),
        }
    }
}

/// Where a gateway of this `gateway.bind` listens, as far as one address says it.
fn address(bind: Option<&str>, host: Option<&str>) -> Result<IpAddr, String> {
    match (bind.unwrap_or("loopback"), host) {
        ("loopback" | "auto", _) => Ok(Ipv4Addr::LOCALHOST.into()),
        ("lan", _) => Ok(Ipv4Addr::UNSPECIFIED.into()),
        ("custom", Some(host)) if host.parse::<IpAddr>().is_ok() => {
            Ok(host.parse().expect("it was parsed just now"))
        }
        (other, _) => Err(format!(
            "gateway.bind \"{other}\" has no address that is known before the gateway runs; without --socket it works"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_goes_by_the_bind_mode() {
        for (bind, host, expected) in [
            (None, None, Some("127.0.0.1")),
            (Some("auto"), None, Some("127.0.0.1")),
            (Some("lan"), None, Some("0.0.0.0")),
            (Some("custom"), Some("10.0.0.5"), Some("10.0.0.5")),
            (Some("custom"), None, None),
            (Some("tailnet"), None, None),
        ] {
            let found = address(bind, host).ok().map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{bind:?}");
        }
    }
}
