//! Which commands a node may be asked for, by what it runs on; and who may ask, and approve.

use protocol::Scope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// Commands that nodes may be asked for, beside those of their platform.
    pub allow_commands: Vec<String>,
    /// Commands that no node may be asked for.
    pub deny_commands: Vec<String>,
}

const DEVICE: &[&str] = &[
    "camera.list",
    "camera.snap",
    "camera.clip",
    "screen.record",
    "location.get",
    "device.info",
    "device.status",
    "system.notify",
    "canvas.",
];
const PHONE: &[&str] = &["contacts.search", "calendar.events", "reminders.list", "photos.latest", "motion."];
const HOST: &[&str] = &[
    "system.run",
    "system.run.prepare",
    "system.which",
    "system.notify",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "browser.proxy",
    "fs.listDir",
];

/// Whether only those may ask for it who may do everything.
pub(super) fn is_for_admins(command: &str) -> bool {
    let named = ["system.run", "system.which", "browser.proxy", "fs.listDir"];
    named.contains(&command)
        || ["system.run.", "system.execApprovals."].iter().any(|it| command.starts_with(it))
}

/// What an approver must be allowed to do.
pub(super) fn scopes(commands: &[String]) -> Vec<Scope> {
    match commands {
        [] => vec![Scope::Pairing],
        all if all.iter().any(|it| is_for_admins(it)) => vec![Scope::Pairing, Scope::Admin],
        _ => vec![Scope::Pairing, Scope::Write],
    }
}

/// Whether a node on this platform may be asked for it.
pub(super) fn allows(settings: &Settings, platform: &str, command: &str) -> bool {
    let names = |it: &String| it == command;
    if settings.deny_commands.iter().any(names) {
        return false;
    }
    let platform = platform.trim().to_ascii_lowercase();
    let on = |prefixes: &[&str]| prefixes.iter().any(|it| platform.starts_with(it));
    let lists: &[&[&str]] = match () {
        () if on(&["ios", "ipados"]) => &[DEVICE, PHONE],
        () if on(&["android"]) => &[DEVICE, PHONE],
        () if on(&["mac", "darwin"]) => &[DEVICE, PHONE, HOST],
        () if on(&["linux", "win"]) => &[HOST],
        // What nobody knows gets what can do no harm by itself.
        () => &[DEVICE],
    };
    let fits = |it: &&str| *it == command || (it.ends_with('.') && command.starts_with(it));
    lists.iter().any(|list| list.iter().any(fits)) || settings.allow_commands.iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_platform_and_by_config() {
        let none = Settings::default();
        for (platform, command, expected) in [
            ("linux", "system.run", true),
            ("Linux 6.1", "system.which", true),
            ("win32", "browser.proxy", true),
            ("linux", "camera.snap", false),
            ("ios", "camera.snap", true),
            ("iOS 18", "system.run", false),
            ("android", "canvas.eval", true),
            ("macos", "system.run", true),
            ("toaster", "system.run", false),
            ("linux", "test.echo", false),
            ("linux", "system.runner", false),
        ] {
            assert_eq!(allows(&none, platform, command), expected, "{platform} {command}");
        }
        let own = |it: &str| vec![it.to_owned()];
        let some = Settings { allow_commands: own("test.echo"), deny_commands: own("system.run") };
        assert!(allows(&some, "linux", "test.echo") && !allows(&some, "linux", "system.run"));
        assert!(is_for_admins("system.run.prepare") && !is_for_admins("system.notify"));
    }
}
