//! The socket unit that starts a gateway by its first connection, as text.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use profile::Instance;

use super::text;

/// The name of an instance's socket unit: systemd starts the service of the same name.
pub fn name(instance: &Instance) -> String {
    let unit = instance.unit();
    format!("{}.socket", unit.strip_suffix(".service").unwrap_or(&unit))
}

/// The socket unit beside a service's.
pub fn beside(unit: &Path) -> PathBuf {
    unit.with_extension("socket")
}

/// Its text: where systemd listens until somebody comes.
pub fn text(instance: &Instance, address: SocketAddr) -> String {
    let name = instance.name.replace('%', "%%");
    let lines = [
        format!("[Unit]\nDescription=OpenClaw gateway {name}, by its first connection\n"),
        format!("[Socket]\nListenStream={address}"),
        // A gateway that fails at its start leaves the connection waiting, which would start it again at once.
        "TriggerLimitIntervalSec=60\nTriggerLimitBurst=5\n".to_owned(),
        "[Install]\nWantedBy=sockets.target\n".to_owned(),
    ];
    text::marked(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use profile::Ambient;

    use super::*;

    #[test]
    fn it_has_the_services_name_and_listens_on_one_address() {
        let ambient = Ambient::of(&[("HOME", "/home/ada")], Path::new("/"));
        let profile = profile::ProfileName::parse("main").expect("a name");
        let instance = Instance::of_profile(&ambient, profile).expect("resolves");
        assert_eq!(name(&instance), "openclaw-gateway-main.socket");
        let unit = Path::new("/u/openclaw-gateway-main.service");
        assert_eq!(beside(unit), Path::new("/u/openclaw-gateway-main.socket"));
        let text = text(&instance, "127.0.0.1:20000".parse().expect("an address"));
        assert!(text.contains("\n[Socket]\nListenStream=127.0.0.1:20000\nTriggerLimit"), "{text}");
        assert!(text::is_ours(&text) && text::is_untouched(&text), "{text}");
    }
}
