//! The book of paired devices: what is written down of each, and what a token of it is worth. No IO.

use std::collections::{BTreeMap, HashSet};

use base::random;
use data_encoding::BASE64URL_NOPAD;
use protocol::devices::{Paired, TokenInfo};
use protocol::{Role, Scopes};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::Asking;
use crate::limits::{DEVICES, TOKEN_GRACE_MS};

/// The version of the file.
pub(super) const VERSION: u32 = 1;

/// All paired devices, by their ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(super) version: u32,
    pub(super) devices: BTreeMap<String, Record>,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, devices: BTreeMap::new() }
    }
}

/// One device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(super) public_key: String,
    #[serde(default)]
    pub(super) label: Option<String>,
    #[serde(default)]
    pub(super) display_name: Option<String>,
    #[serde(default)]
    pub(super) platform: Option<String>,
    #[serde(default)]
    pub(super) device_family: Option<String>,
    #[serde(default)]
    pub(super) client_id: Option<String>,
    #[serde(default)]
    pub(super) client_mode: Option<String>,
    /// What it may do as an operator.
    pub(super) scopes: Vec<String>,
    pub(super) created_at_ms: u64,
    pub(super) approved_at_ms: u64,
    pub(super) approved_via: String,
    #[serde(default)]
    pub(super) approved_by: Option<String>,
    #[serde(default)]
    pub(super) last_seen_at_ms: Option<u64>,
    #[serde(default)]
    pub(super) remote_ip: Option<String>,
    /// One for each role that it may have.
    pub(super) tokens: BTreeMap<Role, Token>,
}

/// A token: never itself, only what it is known by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// SHA-256, hex; absent where it has not been handed out yet, and where it is revoked.
    #[serde(default)]
    hash: Option<String>,
    /// The one before, which is good for a while.
    #[serde(default)]
    before: Option<Before>,
    pub(super) scopes: Vec<String>,
    pub(super) created_at_ms: u64,
    #[serde(default)]
    rotated_at_ms: Option<u64>,
    #[serde(default)]
    last_used_at_ms: Option<u64>,
    #[serde(default)]
    revoked_at_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Before {
    hash: String,
    /// Absent while the new one is not handed out.
    until_ms: Option<u64>,
}

/// Why a device may not come in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// It is not known, or its token is revoked.
    NotPaired,
    /// It is known as something else.
    Role,
    /// It may do less.
    Scopes,
    /// It says that it is another kind of device.
    Metadata,
}

/// What an offered token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is the token.
    Good,
    /// It was, until now, and a new one waits to be handed out.
    Renew,
    /// Nothing.
    Nothing,
}

impl Book {
    /// What the device lacks to come in as it asks.
    pub(crate) fn lack(&self, asking: &Asking) -> Option<Lack> {
        let Some(record) = self.devices.get(&asking.device) else { return Some(Lack::NotPaired) };
        let Some(token) = record.tokens.get(&asking.role) else { return Some(Lack::Role) };
        if token.revoked_at_ms.is_some() {
            return Some(Lack::NotPaired);
        }
        if asking.role == Role::Operator && !Scopes::asked(&record.scopes).cover(&asking.scopes) {
            return Some(Lack::Scopes);
        }
        let changed = |pinned: &Option<String>, now: &Option<String>| pinned.is_some() && pinned != now;
        let other = changed(&record.platform, &asking.platform)
            || changed(&record.device_family, &asking.device_family);
        other.then_some(Lack::Metadata)
    }

    /// Writes down that the device may come in as it asks: its role is one of its roles, and its scopes grow by what it
    /// asks. False where there are too many devices.
    pub(crate) fn pair(&mut self, asking: &Asking, via: &str, by: Option<&str>, now: u64) -> bool {
        if self.devices.len() >= DEVICES && !self.devices.contains_key(&asking.device) {
            return false;
        }
        let record = self.devices.entry(asking.device.clone()).or_insert_with(|| Record {
            public_key: asking.public_key.clone(),
            created_at_ms: now,
            ..Record::default()
        });
        record.display_name.clone_from(&asking.display_name);
        record.platform.clone_from(&asking.platform);
        record.device_family.clone_from(&asking.device_family);
        record.client_id = Some(asking.client_id.clone());
        record.client_mode = Some(asking.client_mode.clone());
        record.remote_ip = asking.address.map(|it| it.to_string());
        record.approved_at_ms = now;
        via.clone_into(&mut record.approved_via);
        record.approved_by = by.map(str::to_owned);
        let mut scopes = Scopes::default();
        if asking.role == Role::Operator {
            scopes = Scopes::asked(&record.scopes).and(&asking.scopes);
            record.scopes = scopes.names();
        }
        let token = record
            .tokens
            .entry(asking.role)
            .or_insert_with(|| Token { created_at_ms: now, ..Token::default() });
        // A token that was revoked stays so: what is approved anew gets a new one.
        if token.revoked_at_ms.take().is_some() {
            (token.hash, token.before) = (None, None);
            token.scopes.clear();
        }
        token.scopes = Scopes::asked(&token.scopes).and(&scopes.granted(&asking.scopes)).names();
        true
    }

    /// What a token that the device offers is worth.
    pub(crate) fn worth(&self, device: &str, role: Role, offered: &str, now: u64) -> Worth {
        let Some(token) = self.devices.get(device).and_then(|it| it.tokens.get(&role)) else {
            return Worth::Nothing;
        };
        let offered = fingerprint(offered);
        if token.revoked_at_ms.is_some() {
            return Worth::Nothing;
        }
        if token.hash.as_deref().is_some_and(|it| same(it, &offered)) {
            return Worth::Good;
        }
        match &token.before {
            Some(before) if same(&before.hash, &offered) => match before.until_ms {
                None => Worth::Renew,
                Some(until) if now < until => Worth::Good,
                Some(_) => Worth::Nothing,
            },
            _ => Worth::Nothing,
        }
    }

    /// Whether a token was approved that has not been handed out yet.
    pub(crate) fn waits_for_token(&self, device: &str, role: Role) -> bool {
        self.token(device, role).is_some_and(|it| it.hash.is_none() && it.revoked_at_ms.is_none())
    }

    /// What the token lets its holder do.
    pub(crate) fn token_scopes(&self, device: &str, role: Role) -> Scopes {
        self.token(device, role).map(|it| Scopes::asked(&it.scopes)).unwrap_or_default()
    }

    /// Whether the device has a token that is not revoked.
    pub(crate) fn has_token(&self, device: &str, role: Role) -> bool {
        self.token(device, role).is_some_and(|it| it.revoked_at_ms.is_none())
    }

    /// What the device may do in this role.
    pub(crate) fn approved(&self, device: &str, role: Role) -> Scopes {
        match (role, self.devices.get(device)) {
            (Role::Operator, Some(record)) => Scopes::asked(&record.scopes),
            _ => Scopes::default(),
        }
    }

    /// All of them, as they are listed.
    pub(crate) fn told(&self, connected: &HashSet<String>) -> Vec<Paired> {
        self.devices.iter().map(|(id, it)| it.told(id, connected.contains(id))).collect()
    }

    /// One of them, as it is listed.
    pub(crate) fn one(&self, device: &str, connected: &HashSet<String>) -> Option<Paired> {
        self.devices.get(device).map(|it| it.told(device, connected.contains(device)))
    }

    /// Forgets a device. False where it is not known.
    pub(crate) fn remove(&mut self, device: &str) -> bool {
        self.devices.remove(device).is_some()
    }

    /// What people call a device. False where it is not known.
    pub(crate) fn rename(&mut self, device: &str, label: String) -> bool {
        let Some(record) = self.devices.get_mut(device) else { return false };
        record.label = Some(label);
        true
    }

    /// Makes the token that has not been handed out yet.
    pub(crate) fn mint(&mut self, device: &str, role: Role, now: u64) -> Option<String> {
        let token = self.token_mut(device, role)?;
        let (text, hash) = new_token();
        token.hash = Some(hash);
        if let Some(before) = &mut token.before {
            before.until_ms = Some(now + TOKEN_GRACE_MS);
        }
        Some(text)
    }

    /// Exchanges a token: the new one is made with [`Self::mint`], when it is handed out.
    pub(crate) fn rotate(&mut self, device: &str, role: Role, scopes: &Scopes, now: u64) {
        let Some(token) = self.token_mut(device, role) else { return };
        if let Some(hash) = token.hash.take() {
            token.before = Some(Before { hash, until_ms: None });
        }
        token.scopes = scopes.names();
        token.rotated_at_ms = Some(now);
    }

    /// The token holds no longer. False where there is none.
    pub(crate) fn revoke(&mut self, device: &str, role: Role, now: u64) -> bool {
        let Some(token) = self.token_mut(device, role) else { return false };
        (token.hash, token.before, token.revoked_at_ms) = (None, None, Some(now));
        true
    }

    /// Notes a use: in memory, and on disk with the next change. True where the disk must know at once, since a token
    /// from before ends by it.
    pub(crate) fn used(&mut self, asking: &Asking, offered: Option<&str>, now: u64) -> bool {
        let Some(record) = self.devices.get_mut(&asking.device) else { return false };
        record.last_seen_at_ms = Some(now);
        record.remote_ip = asking.address.map(|it| it.to_string());
        let Some(token) = record.tokens.get_mut(&asking.role) else { return false };
        token.last_used_at_ms = Some(now);
        let is_new = offered.map(fingerprint).is_some_and(|it| token.hash.as_deref() == Some(&*it));
        is_new && token.before.take().is_some()
    }

    fn token(&self, device: &str, role: Role) -> Option<&Token> {
        self.devices.get(device)?.tokens.get(&role)
    }

    fn token_mut(&mut self, device: &str, role: Role) -> Option<&mut Token> {
        self.devices.get_mut(device)?.tokens.get_mut(&role)
    }
}

impl Record {
    /// As it is listed.
    fn told(&self, id: &str, connected: bool) -> Paired {
        let roles: Vec<Role> = self.tokens.keys().copied().collect();
        let told = |(role, it): (&Role, &Token)| TokenInfo {
            role: *role,
            scopes: it.scopes.clone(),
            created_at_ms: it.created_at_ms,
            rotated_at_ms: it.rotated_at_ms,
            revoked_at_ms: it.revoked_at_ms,
            last_used_at_ms: it.last_used_at_ms,
        };
        Paired {
            device_id: id.to_owned(),
            public_key: self.public_key.clone(),
            display_name: self.label.clone().or_else(|| self.display_name.clone()),
            label: self.label.clone(),
            platform: self.platform.clone(),
            device_family: self.device_family.clone(),
            client_id: self.client_id.clone(),
            client_mode: self.client_mode.clone(),
            role: roles.first().copied().unwrap_or_default(),
            roles,
            scopes: self.scopes.clone(),
            created_at_ms: self.created_at_ms,
            approved_at_ms: self.approved_at_ms,
            approved_via: self.approved_via.clone(),
            last_seen_at_ms: self.last_seen_at_ms,
            remote_ip: self.remote_ip.clone(),
            connected,
            tokens: self.tokens.iter().map(told).collect(),
        }
    }
}

/// A new secret, and what it is known by.
pub(super) fn new_token() -> (String, String) {
    let text = BASE64URL_NOPAD.encode(&random::bytes::<32>());
    let hash = fingerprint(&text);
    (text, hash)
}

/// What a secret is known by. It has 256 random bits: nothing is found by hashing guesses.
pub(super) fn fingerprint(secret: &str) -> String {
    random::hex_of(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Hashes of what nobody can choose: how long a comparison takes tells nothing of the secret.
pub(super) fn same(known: &str, offered: &str) -> bool {
    known == offered
}
