//! The copy's config: the source's text with comments and all, without what only one instance may have.

use base::random;
use profile::document::{self, Document, Finding, MASK};
use serde_json::{Value, json};

use super::CloneWishes;
use crate::places::rewrite::Moves;

/// From this length on a secret is looked for in other texts too: shorter ones are words that mean other things.
const TELLING: usize = 16;
/// How else than as a secret the name of a channel's key ends when it is, or leads to, a login.
const LOGIN_ENDINGS: [&str; 4] = ["key", "authdir", "serviceaccount", "cookie"];
/// What only one instance may have of a browser.
const BROWSER_KEYS: [&str; 3] = ["cdpUrl", "cdpPort", "userDataDir"];

/// A config that is complete but for its port.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) document: Document,
    /// The telling secrets that must not be in the copy.
    pub(super) secrets: Vec<String>,
    pub(super) left_behind: Vec<(String, String)>,
}

/// Makes the copy's config out of the source's.
///
/// # Errors
/// Says what has the wrong shape.
pub(super) fn of(document: Document, moves: &Moves, wishes: &CloneWishes) -> Result<Draft, Finding> {
    let mut draft = Draft { document, secrets: Vec::new(), left_behind: Vec::new() };
    draft.channels()?;
    draft.access(wishes)?;
    draft.browsers()?;
    draft.variables()?;
    if draft.take(&["auth"])? {
        draft.leave("auth", "a login serves one instance");
    }
    if draft.document.get("cron").is_some() {
        draft.leave("cron", "its jobs would run twice: they are switched off");
    }
    draft.document.set("cron.enabled", &json!(false))?;
    moves.apply(&mut draft.document)?;
    draft.purge()?;
    for place in moves.mentions(&draft.document) {
        draft.leave(&place, "it speaks of the source's folder and is no path alone: it was copied as it is");
    }
    Ok(draft)
}

/// Whether a variable is a model's key or address, by its name.
pub(super) fn is_for_models(name: &str) -> bool {
    name.ends_with("_API_KEY") || name.ends_with("_BASE_URL")
}

impl Draft {
    /// Takes the logins of channels out, and switches off what had one.
    fn channels(&mut self) -> Result<(), Finding> {
        let mut found = Vec::new();
        if let Some(channels) = self.document.get("channels") {
            logins(channels, &mut vec!["channels".to_owned()], &mut found);
        }
        for keys in found {
            self.take(&keys)?;
            self.leave(&keys.join("."), "a login serves one instance: the channel is switched off");
            let channel = keys.get(..2).filter(|_| keys.len() > 2);
            let account = keys.get(..4).filter(|it| keys.len() > 4 && it[2] == "accounts");
            for owner in [channel, account].into_iter().flatten() {
                let keys: Vec<&str> = owner.iter().map(String::as_str).chain(["enabled"]).collect();
                self.document.set_at(&keys, &json!(false))?;
            }
        }
        Ok(())
    }

    /// Gives the gateway and its hooks secrets of their own.
    fn access(&mut self, wishes: &CloneWishes) -> Result<(), Finding> {
        self.take(&["gateway", "auth", "token"])?;
        let by_password = self.document.get("gateway.auth.mode").is_some_and(|it| it == "password");
        let had_password = self.take(&["gateway", "auth", "password"])?;
        self.document.set("gateway.auth.token", &json!(wishes.token))?;
        if by_password || had_password {
            self.document.set("gateway.auth.mode", &json!("token"))?;
            self.leave("gateway.auth.password", "it has a token of its own");
        }
        if self.document.get("hooks.token").is_some() {
            self.take(&["hooks", "token"])?;
            self.document.set("hooks.token", &json!(random::hex::<24>()))?;
        }
        Ok(())
    }

    fn browsers(&mut self) -> Result<(), Finding> {
        self.drop_key(&["browser", "cdpUrl"])?;
        self.drop_key(&["canvasHost", "port"])?;
        let profiles = self.document.get("browser.profiles").and_then(Value::as_object);
        let names: Vec<String> = profiles.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut changed = false;
            for key in BROWSER_KEYS {
                changed |= self.drop_key(&["browser", "profiles", name.as_str(), key])?;
            }
            let left = self.document.value().pointer("/browser/profiles").and_then(|it| it.get(&name));
            if changed && left.and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
                self.document.remove_at(&["browser", "profiles", name.as_str()])?;
                if self.document.get("browser.defaultProfile").is_some_and(|it| *it == name) {
                    self.drop_key(&["browser", "defaultProfile"])?;
                }
            }
        }
        Ok(())
    }

    /// Variables in the config are treated as those in the files beside it.
    fn variables(&mut self) -> Result<(), Finding> {
        for way in [vec!["env"], vec!["env", "vars"]] {
            let section = self.document.get(&way.join(".")).and_then(Value::as_object);
            let texts = section.into_iter().flatten().filter(|(_, it)| it.is_string());
            let names: Vec<String> = texts.map(|(name, _)| name.clone()).collect();
            for name in names.iter().filter(|it| !is_for_models(it)) {
                let keys: Vec<&str> = way.iter().copied().chain([name.as_str()]).collect();
                self.take(&keys)?;
                self.leave(&keys.join("."), "only keys and addresses of models are copied");
            }
        }
        Ok(())
    }

    /// Takes out whatever else has one of the secrets in it, a comment included.
    fn purge(&mut self) -> Result<(), Finding> {
        for secret in self.secrets.clone() {
            while let Some((keys, _)) =
                self.document.texts().into_iter().find(|(_, text)| text.contains(&secret))
            {
                self.document.remove_at(&keys)?;
                self.leave(&keys.join("."), "it has a secret in it that stays with the source");
            }
            if self.document.text().contains(&secret) {
                let text = self.document.text().replace(&secret, MASK);
                let path = self.document.path().to_path_buf();
                self.document = Document::parse(&path, text).map_err(|it| Finding::whole(it.to_string()))?;
            }
        }
        Ok(())
    }

    /// Takes a secret out and remembers it.
    fn take<K: AsRef<str>>(&mut self, keys: &[K]) -> Result<bool, Finding> {
        let found = keys.iter().try_fold(self.document.value(), |it, key| match it {
            Value::Array(list) => list.get(key.as_ref().parse::<usize>().ok()?),
            other => other.get(key.as_ref()),
        });
        if let Some(value) = found {
            let mut texts = Vec::new();
            leaves(value, &mut texts);
            self.secrets.extend(texts.into_iter().filter(|it| it.len() >= TELLING && !it.starts_with("${")));
        }
        self.document.remove_at(keys)
    }

    fn drop_key(&mut self, keys: &[&str]) -> Result<bool, Finding> {
        let is_dropped = self.document.remove_at(keys)?;
        if is_dropped {
            self.leave(&keys.join("."), "a browser serves one instance");
        }
        Ok(is_dropped)
    }

    fn leave(&mut self, what: &str, why: &str) {
        self.left_behind.push((format!("{what} of the config"), why.to_owned()));
    }
}

/// The keys below `value` that are, or lead to, a login.
fn logins(value: &Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut below = |key: String, it: &Value, is_login: bool| {
        way.push(key);
        if is_login {
            found.push(way.clone());
        } else {
            logins(it, way, found);
        }
        way.pop();
    };
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, it)| below(key.clone(), it, is_login(key, it)))
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(at, it)| below(at.to_string(), it, false)),
        _ => {}
    }
}

/// Groups and accounts may be called anything: of objects, only those that stand for a secret are one.
fn is_login(key: &str, value: &Value) -> bool {
    let is_section =
        value.as_object().is_some_and(|it| !it.contains_key("source") && !it.contains_key("private_key"));
    let says_nothing = value.is_null() || value.is_boolean() || value.as_str() == Some("") || is_section;
    let lower = key.to_ascii_lowercase();
    let bare = lower.strip_suffix("file").or_else(|| lower.strip_suffix("path")).unwrap_or(&lower);
    !says_nothing && (document::is_secret(bare) || LOGIN_ENDINGS.iter().any(|it| bare.ends_with(it)))
}

/// Everything that is said in a value, as texts.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.values().for_each(|it| leaves(it, found)),
        Value::Array(list) => list.iter().for_each(|it| leaves(it, found)),
        Value::String(text) => found.push(text.trim().to_owned()),
        Value::Number(number) => found.push(number.to_string()),
        _ => {}
    }
}
