//! What two instances have in common and should not: folders, files, browsers, logins, tokens.
//!
//! Secrets are compared by a keyed hash whose key lives as long as the comparison, and are neither kept nor shown.

use std::path::{Path, PathBuf};

use profile::document;
use profile::{Ambient, Document, Instance};
use ring::{hmac, rand::SystemRandom};
use serde_json::{Map, Value};

use super::places;
use crate::places::real;

/// Keys of a channel's account that are its login; the first that is there counts.
const LOGIN_KEYS: [&str; 3] = ["botToken", "token", "appToken"];
/// Where the secrets of the control plane stand.
const ACCESS: [&str; 2] = ["gateway.auth.token", "gateway.auth.password"];

/// Turns secrets into marks that can be compared.
pub(crate) struct Marker(hmac::Key);

/// What stands for a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Mark(Vec<u8>);

/// What can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Config,
    StateFolder,
    Workspace,
    UserData,
    Browser,
    Login,
    Access,
}

/// What one instance has.
pub(crate) struct Holdings {
    pub(crate) name: String,
    places: Vec<(Thing, String, PathBuf)>,
    browsers: Vec<String>,
    secrets: Vec<(Thing, String, Mark)>,
}

/// What two have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) thing: Thing,
    /// The key or the path here.
    pub(crate) here: String,
    /// The key or the path there.
    pub(crate) there: String,
    /// The other instance.
    pub(crate) other: String,
}

impl Marker {
    /// With a key of its own; `None` where the system gives no random numbers.
    pub(crate) fn new() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    fn mark(&self, service: &str, secret: &str) -> Mark {
        Mark(hmac::sign(&self.0, format!("{service}\n{}", secret.trim()).as_bytes()).as_ref().to_vec())
    }
}

impl Holdings {
    /// Reads them out of a config; without one, what the instance has in any case.
    pub(crate) fn of(
        instance: &Instance,
        document: Option<&Document>,
        ambient: &Ambient,
        marker: &Marker,
    ) -> Self {
        let files = [".env", "keys.env"].map(|it| instance.state_dir.join(it));
        let own = files.iter().fold(ambient.clone(), |all, it| all.with_env_file(it));
        let mut places = vec![
            (Thing::StateFolder, String::new(), real(&instance.state_dir)),
            (Thing::Config, String::new(), real(&instance.config_path)),
        ];
        let workspaces = places::workspaces(instance, document, ambient);
        places.extend(workspaces.into_iter().map(|it| (Thing::Workspace, String::new(), real(&it))));
        let value = document.map_or(&Value::Null, Document::value);
        let profiles = value.pointer("/browser/profiles").and_then(Value::as_object);
        for (name, it) in profiles.into_iter().flatten() {
            if let Some(path) = it["userDataDir"].as_str() {
                let key = format!("browser.profiles.{name}.userDataDir");
                places.push((Thing::UserData, key, real(&ambient.path(path))));
            }
        }
        Self {
            name: instance.name.clone(),
            places,
            browsers: document::cdp_urls(value),
            secrets: secrets(value, &own, marker),
        }
    }
}

/// What the first has in common with each of the others.
pub(crate) fn shared(own: &Holdings, others: &[Holdings]) -> Vec<Shared> {
    let mut found = Vec::new();
    for other in others {
        let mut tell = |thing, here: String, there: String| {
            found.push(Shared { thing, here, there, other: other.name.clone() });
        };
        for (thing, _, here) in &own.places {
            for (their_thing, _, there) in other.places.iter().filter(|it| overlaps(*thing, here, it)) {
                let thing = if *their_thing == Thing::Config { *their_thing } else { *thing };
                tell(thing, here.display().to_string(), there.display().to_string());
            }
        }
        for url in own.browsers.iter().filter(|it| other.browsers.contains(it)) {
            tell(Thing::Browser, shown(url), shown(url));
        }
        for (thing, here, mark) in &own.secrets {
            let same = other.secrets.iter().filter(|(their_thing, _, it)| thing == their_thing && it == mark);
            for (_, there, _) in same {
                tell(*thing, here.clone(), there.clone());
            }
        }
    }
    found
}

/// The same path for the same thing; or a workspace of one inside a workspace or the state folder of the other.
fn overlaps(thing: Thing, here: &Path, (their_thing, _, there): &(Thing, String, PathBuf)) -> bool {
    if thing == *their_thing {
        return here == there;
    }
    let mine_within =
        thing == Thing::Workspace && *their_thing == Thing::StateFolder && here.starts_with(there);
    let theirs_within =
        thing == Thing::StateFolder && *their_thing == Thing::Workspace && there.starts_with(here);
    mine_within || theirs_within
}

/// An address may hold a password and a token.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
}

fn secrets(value: &Value, ambient: &Ambient, marker: &Marker) -> Vec<(Thing, String, Mark)> {
    let mut found = Vec::new();
    for key in ACCESS {
        let text = key.split('.').try_fold(value, |it, key| it.get(key)).and_then(Value::as_str);
        if let Some(text) = text.and_then(|it| resolved(it, ambient)) {
            found.push((Thing::Access, key.to_owned(), marker.mark("", &text)));
        }
    }
    let channels = value.get("channels").and_then(Value::as_object);
    for (service, channel) in channels.into_iter().flatten().filter(|(_, it)| is_on(it)) {
        let mut add = |at: String, section: &Value| {
            let login = LOGIN_KEYS.iter().find_map(|key| Some((*key, section.get(key)?.as_str()?)));
            if let Some((key, text)) = login
                && let Some(text) = resolved(text, ambient)
            {
                found.push((Thing::Login, format!("{at}.{key}"), marker.mark(service, &text)));
            }
        };
        add(format!("channels.{service}"), channel);
        let accounts: Option<&Map<String, Value>> = channel.get("accounts").and_then(Value::as_object);
        for (account, it) in accounts.into_iter().flatten().filter(|(_, it)| is_on(it)) {
            add(format!("channels.{service}.accounts.{account}"), it);
        }
    }
    found
}

fn is_on(section: &Value) -> bool {
    section.get("enabled").and_then(Value::as_bool) != Some(false)
}

/// The text, or what a reference to a variable stands for; `None` where nothing is known of it.
fn resolved(text: &str, ambient: &Ambient) -> Option<String> {
    let found = match text.strip_prefix("${").and_then(|it| it.strip_suffix('}')) {
        Some(name) => ambient.var(name)?.to_owned(),
        None => text.to_owned(),
    };
    (!found.trim().is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings(name: &str, config: &str, marker: &Marker) -> Holdings {
        let ambient = Ambient::of(&[("HOME", "/home/ada"), ("BOT", "77:same")], Path::new("/"));
        let profile = profile::ProfileName::parse(name).expect("a name");
        let instance = Instance::of_profile(&ambient, profile).expect("there is a home");
        let document = Document::parse(&instance.config_path, config.to_owned()).expect("JSON5");
        Holdings::of(&instance, Some(&document), &ambient, marker)
    }

    #[track_caller]
    fn check(mine: &str, theirs: &str, expected: &[(Thing, &str)]) {
        let marker = Marker::new().expect("random numbers");
        let found = shared(&holdings("main", mine, &marker), &[holdings("work", theirs, &marker)]);
        let found: Vec<_> = found.iter().map(|it| (it.thing, it.here.as_str())).collect();
        assert_eq!(found, expected, "{mine} / {theirs}");
    }

    #[test]
    fn what_two_have_in_common_is_found_and_nothing_else() {
        check("{}", "{}", &[]);
        let bot = "{channels: {telegram: {botToken: '77:same'}}}";
        check(
            bot,
            "{channels: {telegram: {accounts: {a: {botToken: '${BOT}'}}}}}",
            &[(Thing::Login, "channels.telegram.botToken")],
        );
        check(bot, "{channels: {telegram: {botToken: '78:other'}}}", &[]);
        check(bot, "{channels: {telegram: {enabled: false, botToken: '77:same'}}}", &[]);
        check(bot, "{channels: {discord: {token: '77:same'}}}", &[]);
        let token = "{gateway: {auth: {token: 'abc'}}}";
        check(token, token, &[(Thing::Access, "gateway.auth.token")]);
        check(token, "{gateway: {auth: {token: 'abd'}}}", &[]);
        let workspace = "{agents: {defaults: {workspace: '/srv/w'}}}";
        check(
            workspace,
            "{agents: {list: [{id: 'a', workspace: '/srv/w/'}]}}",
            &[(Thing::Workspace, "/srv/w")],
        );
        check(
            "{agents: {defaults: {workspace: '~/.openclaw-work/x'}}}",
            "{}",
            &[(Thing::Workspace, "/home/ada/.openclaw-work/x")],
        );
        let browser = "{browser: {cdpUrl: 'http://u:secret@127.0.0.1:9222/?token=x'}}";
        check(browser, browser, &[(Thing::Browser, "http://127.0.0.1:9222")]);
        let data = "{browser: {profiles: {a: {userDataDir: '/srv/chrome'}}}}";
        check(data, data, &[(Thing::UserData, "/srv/chrome")]);
    }
}
