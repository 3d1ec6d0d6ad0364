//! Files that others may read or write.

use std::path::Path;

use super::{Exposure, Fact, Role, Severity};

/// Parts of paths that a program copies to other machines.
const SYNCED: [&str; 8] = [
    "dropbox",
    "onedrive",
    "google drive",
    "googledrive",
    "com~apple~clouddocs",
    "icloud",
    "nextcloud",
    "syncthing",
];

/// What is exposed by these files, for the user `me`.
pub(super) fn exposures(facts: &[Fact], me: u32) -> Vec<Exposure> {
    facts.iter().flat_map(|it| of_one(it, me)).collect()
}

fn of_one(fact: &Fact, me: u32) -> Vec<Exposure> {
    let mut found = Vec::new();
    let path = fact.path.display();
    match fact.role {
        Role::ConfigFolder => {
            // In a folder with the sticky bit, nobody replaces what is another's.
            if fact.mode & 0o022 != 0 && fact.mode & 0o1000 == 0 {
                let it = judged(
                    fact,
                    "fs.config_folder",
                    "perms_writable",
                    Severity::Critical,
                    "The config's folder",
                );
                found.push(it.remedy(format!("chmod go-w {path}, or move the config")));
            }
        }
        Role::Unit => found.extend(unit(fact)),
        Role::CommonLogs if fact.owner == me && fact.mode & 0o044 != 0 => {
            let it = judged(
                fact,
                "fs.shared_tmp_logs",
                "",
                Severity::Warn,
                "A log in a folder that all users share",
            );
            found.push(it.remedy(format!("rm -r {path}; logs of this program are in the state folder")));
        }
        Role::CommonLogs => {}
        _ => found.extend(modes(fact, me)),
    }
    if matches!(fact.role, Role::StateFolder | Role::Config) {
        found.extend(place(fact));
    }
    found
}

/// Everything of an instance is its owner's alone.
fn modes(fact: &Fact, me: u32) -> Option<Exposure> {
    use Severity::{Critical, Warn};
    let mode = fact.mode;
    let (prefix, title) = match fact.role {
        Role::StateFolder => ("fs.state_dir", "The state folder"),
        Role::Config => ("fs.config", "The config"),
        Role::Include => ("fs.config_include", "A file that the config includes"),
        Role::Credentials => ("fs.credentials_dir", "Logins"),
        Role::AuthProfiles => ("fs.auth_profiles", "Keys of model vendors"),
        Role::Sessions => ("fs.sessions_store", "Conversations"),
        Role::Log => ("fs.log_file", "The log"),
        Role::Environment => ("fs.env_file", "Variables with keys"),
        Role::Generation => ("fs.generations", "Earlier configs"),
        Role::Snapshot => ("fs.snapshots", "A kept snapshot"),
        Role::ConfigFolder | Role::Unit | Role::CommonLogs => return None,
    };
    let holds_secrets = matches!(
        fact.role,
        Role::Config
            | Role::Include
            | Role::Credentials
            | Role::AuthProfiles
            | Role::Environment
            | Role::Generation
    );
    let (kind, severity) = match fact.role {
        Role::StateFolder if mode & 0o002 != 0 => ("perms_world_writable", Critical),
        Role::StateFolder if mode & 0o020 != 0 => ("perms_group_writable", Warn),
        _ if mode & 0o022 != 0 => ("perms_writable", Critical),
        Role::Config | Role::Include if mode & 0o004 != 0 => ("perms_world_readable", Critical),
        Role::Config | Role::Include if mode & 0o040 != 0 => ("perms_group_readable", Warn),
        _ if mode & 0o004 != 0 && holds_secrets => ("perms_readable", Critical),
        _ if mode & 0o055 != 0 => ("perms_readable", Warn),
        _ => return None,
    };
    let private = mode & 0o700;
    let mut it = judged(fact, prefix, kind, severity, title);
    it.remediation = Some(format!("chmod {private:o} {}", fact.path.display()));
    // What belongs to somebody else, or is only led to, is theirs to change.
    it.mode = (fact.owner == me && !fact.is_link).then(|| (fact.path.clone(), private));
    Some(it)
}

fn judged(fact: &Fact, prefix: &str, kind: &str, severity: Severity, title: &str) -> Exposure {
    let id = if kind.is_empty() { prefix.to_owned() } else { format!("{prefix}.{kind}") };
    let may = match (fact.mode & 0o022 != 0, fact.mode & 0o007 != 0) {
        (true, true) => "may be changed by every user",
        (true, false) => "may be changed by its group",
        (false, true) => "may be read by every user",
        (false, false) => "may be read by its group",
    };
    let detail = format!("{} has mode {:04o}", fact.path.display(), fact.mode);
    Exposure::new(&id, severity, &format!("{title} {may}"), detail)
}

/// A unit is read by every user: a secret in it is none.
fn unit(fact: &Fact) -> Option<Exposure> {
    let names = fact.secrets.join(", ");
    let severity = if fact.mode & 0o044 != 0 { Severity::Critical } else { Severity::Warn };
    let detail = format!("{} (mode {:04o}) sets {names}", fact.path.display(), fact.mode);
    let it =
        Exposure::new("service.unit_holds_secret", severity, "The service's unit holds a secret", detail);
    let remedy = "take it out of the unit: the gateway reads it from the config or from .env in the state folder; then \
                  replace the secret";
    (!fact.secrets.is_empty()).then(|| it.remedy(remedy))
}

/// Links, and folders that are copied elsewhere.
fn place(fact: &Fact) -> Vec<Exposure> {
    let (prefix, what) = match fact.role {
        Role::StateFolder => ("fs.state_dir", "state folder"),
        _ => ("fs.config", "config"),
    };
    let mut found = Vec::new();
    if fact.is_link {
        let detail = format!("{} is a link", fact.path.display());
        let title = format!("The {what} is a link");
        let it = Exposure::new(&format!("{prefix}.symlink"), Severity::Warn, &title, detail);
        found.push(it.remedy("make sure that only you can change where it leads to"));
    }
    if is_synced(&fact.path) {
        let detail = format!("{} looks like a folder that is copied to other machines", fact.path.display());
        let title = format!("The {what} is in a synced folder");
        let it = Exposure::new("fs.synced_dir", Severity::Warn, &title, detail);
        found.push(
            it.remedy("move it, or exclude it from what is synced: it holds tokens, and a copy is no backup"),
        );
    }
    found
}

fn is_synced(path: &Path) -> bool {
    let text = path.to_string_lossy().to_ascii_lowercase();
    text.split('/').any(|part| SYNCED.iter().any(|it| part == *it || part.starts_with(&format!("{it} "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;

    fn fact(role: Role, path: &str, mode: u32) -> Fact {
        Fact { role, path: path.into(), mode, owner: ME, is_link: false, secrets: Vec::new() }
    }

    #[track_caller]
    fn check(fact: &Fact, expected: &[(&str, Severity)]) {
        let found = of_one(fact, ME);
        let found: Vec<_> = found.iter().map(|it| (it.check_id.as_str(), it.severity)).collect();
        assert_eq!(found, expected, "{fact:?}");
    }

    #[test]
    fn each_kind_of_file_is_judged_by_its_mode() {
        use Severity::{Critical, Warn};
        for (role, mode, expected) in [
            (Role::StateFolder, 0o700, None),
            (Role::StateFolder, 0o707, Some(("fs.state_dir.perms_world_writable", Critical))),
            (Role::StateFolder, 0o770, Some(("fs.state_dir.perms_group_writable", Warn))),
            (Role::StateFolder, 0o755, Some(("fs.state_dir.perms_readable", Warn))),
            (Role::Config, 0o600, None),
            (Role::Config, 0o666, Some(("fs.config.perms_writable", Critical))),
            (Role::Config, 0o644, Some(("fs.config.perms_world_readable", Critical))),
            (Role::Config, 0o640, Some(("fs.config.perms_group_readable", Warn))),
            (Role::Include, 0o644, Some(("fs.config_include.perms_world_readable", Critical))),
            (Role::Credentials, 0o644, Some(("fs.credentials_dir.perms_readable", Critical))),
            (Role::Credentials, 0o640, Some(("fs.credentials_dir.perms_readable", Warn))),
            (Role::AuthProfiles, 0o606, Some(("fs.auth_profiles.perms_writable", Critical))),
            (Role::Sessions, 0o644, Some(("fs.sessions_store.perms_readable", Warn))),
            (Role::Log, 0o604, Some(("fs.log_file.perms_readable", Warn))),
            (Role::Environment, 0o604, Some(("fs.env_file.perms_readable", Critical))),
            (Role::Generation, 0o604, Some(("fs.generations.perms_readable", Critical))),
            (Role::Snapshot, 0o640, Some(("fs.snapshots.perms_readable", Warn))),
            (Role::ConfigFolder, 0o777, Some(("fs.config_folder.perms_writable", Critical))),
            (Role::ConfigFolder, 0o1777, None),
            (Role::ConfigFolder, 0o755, None),
            (Role::CommonLogs, 0o644, Some(("fs.shared_tmp_logs", Warn))),
            (Role::CommonLogs, 0o600, None),
            (Role::Unit, 0o644, None),
        ] {
            check(&fact(role, "/home/ada/x", mode), expected.as_slice());
        }
    }

    #[test]
    fn a_unit_that_holds_a_secret_is_as_bad_as_it_is_readable() {
        let unit = |mode| Fact {
            secrets: vec!["OPENCLAW_GATEWAY_TOKEN".to_owned()],
            ..fact(Role::Unit, "/home/ada/.config/systemd/user/x.service", mode)
        };
        check(&unit(0o644), &[("service.unit_holds_secret", Severity::Critical)]);
        check(&unit(0o600), &[("service.unit_holds_secret", Severity::Warn)]);
    }

    #[test]
    fn links_and_synced_folders_are_told() {
        let link = Fact { is_link: true, ..fact(Role::Config, "/home/ada/.openclaw/openclaw.json", 0o600) };
        check(&link, &[("fs.config.symlink", Severity::Warn)]);
        for (path, expected) in [
            ("/home/ada/Dropbox/claw", true),
            ("/home/ada/OneDrive - Work/claw", true),
            ("/home/ada/.openclaw-dropbox-bot", false),
        ] {
            assert_eq!(is_synced(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn only_what_is_ours_and_no_link_is_offered_a_mode() {
        let ours = fact(Role::Config, "/a", 0o644);
        let link = Fact { is_link: true, ..ours.clone() };
        let theirs = Fact { owner: 0, ..ours.clone() };
        let mode = |it: &Fact| modes(it, ME).and_then(|it| it.mode).map(|it| it.1);
        assert_eq!((mode(&ours), mode(&link), mode(&theirs)), (Some(0o600), None, None));
    }
}
