//! Whether a supervisor has a unit for an instance: by its file, which needs no supervisor to be asked.

pub mod host;
pub mod judge;
pub mod launchd;
pub mod schtasks;
pub mod socket;
pub mod steps;
pub mod systemd;
pub mod text;
mod xml;

use std::fmt;
use std::path::{Path, PathBuf};

use profile::{Ambient, Instance};
use serde::Serialize;

/// What a supervisor has of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Service {
    /// No unit.
    None,
    /// A unit.
    Installed {
        /// Its file.
        unit: PathBuf,
        /// Whether it is started with the machine or the login.
        enabled: bool,
    },
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::None => "-",
            Service::Installed { enabled: true, .. } => "enabled",
            Service::Installed { enabled: false, .. } => "installed",
        })
    }
}

impl Service {
    /// The unit's file.
    pub fn unit(&self) -> Option<&Path> {
        match self {
            Service::None => None,
            Service::Installed { unit, .. } => Some(unit),
        }
    }
}

/// Looks for the unit of an instance: the user's own, then the machine's.
pub fn of(instance: &Instance, ambient: &Ambient) -> Service {
    let own = systemd::folder(systemd::Scope::User, ambient);
    let folders = own.into_iter().chain(systemd::folder(systemd::Scope::System, ambient));
    let unit = instance.unit();
    let found = folders.into_iter().find(|it| it.join(&unit).is_file());
    found.map_or(Service::None, |folder| {
        let enabled = is_enabled(&folder, Path::new(&unit));
        Service::Installed { unit: folder.join(&unit), enabled }
    })
}

/// Whether the unit of this name is started with the machine or the login, by its link in the folder of units.
pub fn is_enabled(folder: &Path, unit: &Path) -> bool {
    let wanted = ["default.target.wants", "multi-user.target.wants"];
    // One that its first connection starts is enabled by its socket.
    let socket = folder.join("sockets.target.wants").join(unit.with_extension("socket"));
    wanted.iter().map(|it| folder.join(it).join(unit)).chain([socket]).any(|it| it.symlink_metadata().is_ok())
}

/// Whose systemd a unit belongs to, by its file.
pub fn scope(unit: &Path) -> systemd::Scope {
    if unit.starts_with("/etc") { systemd::Scope::System } else { systemd::Scope::User }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_seen_by_its_file_and_enabled_by_its_link() {
        let home = tempfile::tempdir().expect("a folder");
        let text = home.path().display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home.path());
        let instance = Instance::of_profile(&ambient, None).expect("resolves");
        assert_eq!(of(&instance, &ambient), Service::None);
        let units = home.path().join(".config/systemd/user");
        base::file::private_folder(&units.join("default.target.wants")).expect("made");
        let unit = units.join("openclaw-gateway.service");
        base::file::replace(&unit, b"[Service]").expect("written");
        assert_eq!(of(&instance, &ambient).to_string(), "installed");
        let link = units.join("default.target.wants/openclaw-gateway.service");
        std::os::unix::fs::symlink(&unit, link).expect("linked");
        assert_eq!(of(&instance, &ambient).to_string(), "enabled");
        assert_eq!(of(&instance, &ambient).unit(), Some(unit.as_path()));
    }
}
