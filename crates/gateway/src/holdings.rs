//! What a config names that only one instance may hold, and the claims on it.

use std::path::PathBuf;

use base::Secret;
use profile::claims::{Claim, Refused};
use profile::document;
use profile::ports::Role;
use profile::{Ambient, Claims, Instance};
use serde_json::{Map, Value};
use tracing::warn;

/// Keys of a channel's account that are its login.
const LOGIN_KEYS: [&str; 3] = ["botToken", "token", "appToken"];

/// Everything of that kind in one config.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    /// Folders of agents other than the default one.
    pub(crate) workspaces: Vec<PathBuf>,
    /// Ports that stand in the config.
    pub(crate) pinned: Vec<u16>,
    cdp_urls: Vec<String>,
    user_data: Vec<PathBuf>,
    logins: Vec<Login>,
}

#[derive(Debug)]
struct Login {
    service: String,
    account: String,
    secret: Secret,
}

impl Holdings {
    /// Reads them out of a config in which the variables are put in.
    pub(crate) fn of(config: &Value, ambient: &Ambient) -> Self {
        let list = config.pointer("/agents/list").and_then(Value::as_array);
        let workspaces = list.into_iter().flatten().filter_map(|it| it["workspace"].as_str());
        let profiles = config.pointer("/browser/profiles").and_then(Value::as_object);
        let user_data =
            profiles.into_iter().flat_map(Map::values).filter_map(|it| it["userDataDir"].as_str());
        Self {
            workspaces: workspaces.map(|it| ambient.path(it)).collect(),
            pinned: document::pinned_ports(config),
            cdp_urls: document::cdp_urls(config),
            user_data: user_data.map(|it| ambient.path(it)).collect(),
            logins: logins(config),
        }
    }

    /// What a gateway cannot run without.
    pub(crate) fn needed(&self, workspace: PathBuf) -> impl Iterator<Item = Claim> {
        let workspaces = std::iter::once(workspace).chain(self.workspaces.iter().cloned());
        workspaces
            .map(Claim::Workspace)
            .chain(self.pinned.iter().map(|it| Claim::Port(Role::Pinned, *it)))
            .chain(self.cdp_urls.iter().cloned().map(Claim::CdpUrl))
            .chain(self.user_data.iter().cloned().map(Claim::UserData))
    }

    /// The messaging logins. One that another instance holds keeps its account from connecting, and not the gateway
    /// from running.
    pub(crate) fn logins(&self, instance: &Instance) -> Vec<Claim> {
        let mut claims = Vec::new();
        for Login { service, account, secret } in &self.logins {
            match instance.host.fingerprint(service, secret) {
                Ok(it) => claims.push(Claim::Login(service.clone(), account.clone(), it)),
                Err(error) => {
                    warn!(service, account, "the login cannot be claimed: {}", base::text::chain(&error));
                }
            }
        }
        claims
    }

    /// Claims the messaging logins. Returns what to tell of those that another instance holds.
    pub(crate) fn claim_logins(&self, claims: &mut Claims, instance: &Instance) -> Vec<String> {
        let taken = self.logins(instance).into_iter().map(|it| claims.take(it));
        taken.filter_map(Result::err).map(|error| conflict(&error)).collect()
    }
}

/// What to tell of a login that another instance holds.
pub(crate) fn conflict(error: &Refused) -> String {
    format!("{error}: it stays with that instance, and is not used here")
}

/// The logins of every channel that is not switched off: those of the channel itself, and those of its accounts.
fn logins(config: &Value) -> Vec<Login> {
    let mut found = Vec::new();
    let channels = config.get("channels").and_then(Value::as_object);
    for (service, channel) in channels.into_iter().flatten().filter(|(_, it)| is_on(it)) {
        add_login(&mut found, service, "default", channel);
        let accounts = channel.get("accounts").and_then(Value::as_object);
        for (account, it) in accounts.into_iter().flatten().filter(|(_, it)| is_on(it)) {
            add_login(&mut found, service, account, it);
        }
    }
    found
}

fn is_on(section: &Value) -> bool {
    section.get("enabled").and_then(Value::as_bool) != Some(false)
}

fn add_login(found: &mut Vec<Login>, service: &str, account: &str, section: &Value) {
    // The first key is the login; a second token belongs to the same one.
    let secret = LOGIN_KEYS.iter().find_map(|it| section.get(it).and_then(Value::as_str));
    if let Some(secret) = secret.and_then(Secret::new) {
        found.push(Login { service: service.to_owned(), account: account.to_owned(), secret });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn finds_what_only_one_instance_may_hold() {
        let config = json!({
            "agents": {"list": [{"id": "a", "workspace": "~/a"}, {"id": "b"}]},
            "browser": {"cdpUrl": "http://127.0.0.1:9222", "profiles": {
                "x": {"cdpPort": 18805}, "y": {"userDataDir": "/data/chrome"}}},
            "channels": {
                "telegram": {"botToken": "1:a", "accounts": {"second": {"botToken": "2:b"}, "off": {"enabled": false,
                             "botToken": "3:c"}}},
                "slack": {"enabled": false, "botToken": "xoxb"},
                "webchat": {},
            },
        });
        let ambient = Ambient::of(&[("HOME", "/home/ada")], Path::new("/"));
        let it = Holdings::of(&config, &ambient);
        assert_eq!(it.workspaces, [Path::new("/home/ada/a")]);
        assert_eq!(it.pinned, [9222, 18805]);
        assert_eq!((it.cdp_urls.len(), it.user_data.len()), (1, 1));
        let logins: Vec<_> = it.logins.iter().map(|it| (it.service.as_str(), it.account.as_str())).collect();
        assert_eq!(logins, [("telegram", "default"), ("telegram", "second")]);
        assert!(!format!("{it:?}").contains("1:a"), "a login is never shown");
    }

    #[test]
    fn a_login_has_one_instance_and_the_other_is_told_whose_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let text = home.path().display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home.path());
        let config = json!({"channels": {"telegram": {"botToken": "1:a"}}});
        let of = |name: &str| {
            let profile = profile::ProfileName::parse(name).expect("a name");
            let instance = Instance::of_profile(&ambient, profile).expect("resolves");
            let claims = Claims::new(&instance.host.claims(), name, &instance.state_dir);
            (instance, claims)
        };
        let holdings = Holdings::of(&config, &ambient);
        let ((a, mut first), (b, mut second)) = (of("a"), of("b"));
        assert!(holdings.claim_logins(&mut first, &a).is_empty());
        let told = holdings.claim_logins(&mut second, &b);
        assert!(
            told[0].starts_with("telegram login of account default is held by instance a (pid "),
            "{told:?}"
        );
        drop(first);
        assert!(holdings.claim_logins(&mut second, &b).is_empty());
    }
}
