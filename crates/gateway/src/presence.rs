//! Who is there: the gateway itself, who is connected, and who says so by a beacon. Everybody who may see it is told when it changes.

use std::sync::{Mutex, PoisonError};

use base::clock;
use protocol::Role;
use protocol::event::Name;
use protocol::frame::StateVersion;
use protocol::presence::{Entry, Presence};

use crate::VERSION;
use crate::audience::Client;
use crate::limits::{BEACON_MS, PRESENT};
use crate::state::Gateway;

/// Who is there, and how often that has changed.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    entries: Vec<Present>,
    version: u64,
}

#[derive(Debug)]
struct Present {
    /// The device, else the process or tab, else the connection.
    key: String,
    entry: Entry,
    /// Connections that it is there by; none for a beacon.
    connections: Vec<String>,
}

/// One command that comes and goes is nobody's news.
fn is_passing(client: &Client) -> bool {
    matches!(client.who.client.mode.as_str(), "cli" | "probe")
}

fn key(client: &Client) -> String {
    let named = client.who.device.as_ref().or(client.who.client.instance_id.as_ref());
    named.unwrap_or(&client.id).clone()
}

impl Gateway {
    /// A client has said hello.
    pub(crate) fn came(&self, client: &Client) {
        if is_passing(client) {
            return;
        }
        let key = key(client);
        self.roster.change(|listed| {
            let before = listed.take(&key);
            let mut connections = before.map(|it| it.connections).unwrap_or_default();
            connections.push(client.id.clone());
            listed.put(Present { key, entry: entry(client, "connect"), connections });
        });
        self.tell_presence();
    }

    /// A client is gone.
    pub(crate) fn went(&self, client: &Client) {
        if is_passing(client) {
            return;
        }
        let key = key(client);
        self.roster.change(|listed| {
            let Some(mut present) = listed.take(&key) else { return };
            present.connections.retain(|it| *it != client.id);
            if !present.connections.is_empty() {
                listed.put(present);
            }
        });
        self.tell_presence();
    }

    /// Somebody says that it is there, without a connection of its own that would tell.
    pub(crate) fn beacon(&self, key: String, entry: Entry) {
        self.roster.change(|listed| {
            let connections = listed.take(&key).map(|it| it.connections).unwrap_or_default();
            listed.put(Present { key, entry, connections });
        });
        self.tell_presence();
    }

    /// Who is there, the gateway first.
    pub(crate) fn present(&self) -> Vec<Entry> {
        let mut listed = self.roster.lock();
        listed.forget(clock::now_ms());
        let others = listed.entries.iter().map(|it| it.entry.clone());
        std::iter::once(self.itself()).chain(others).collect()
    }

    /// How often the snapshots have changed.
    pub(crate) fn state_version(&self) -> StateVersion {
        StateVersion { presence: self.roster.lock().version + 1, health: self.health_version() }
    }

    fn tell_presence(&self) {
        self.audience
            .tell_version(Name::Presence, self.state_version(), || Presence { presence: self.present() });
    }

    fn itself(&self) -> Entry {
        let host = crate::handshake::host_name();
        let text = format!("Gateway: {} on {host} · {VERSION} · port {}", self.instance.name, self.port);
        Entry {
            host: Some(host),
            version: Some(VERSION.to_owned()),
            platform: Some(std::env::consts::OS.to_owned()),
            device_family: Some("Linux".to_owned()),
            instance_id: Some(self.boot_id.clone()),
            mode: Some("gateway".to_owned()),
            reason: Some("self".to_owned()),
            text: Some(text),
            ts: clock::now_ms(),
            online_since: Some(self.since),
            ..Entry::default()
        }
    }
}

impl Roster {
    fn lock(&self) -> std::sync::MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Listed)) {
        let mut listed = self.lock();
        change(&mut listed);
        listed.forget(clock::now_ms());
        listed.version += 1;
    }
}

impl Listed {
    fn take(&mut self, key: &str) -> Option<Present> {
        let at = self.entries.iter().position(|it| it.key == key)?;
        Some(self.entries.remove(at))
    }

    fn put(&mut self, present: Present) {
        self.entries.push(present);
    }

    /// Beacons fade; who is connected is there. The oldest go first where there are too many.
    fn forget(&mut self, now: u64) {
        self.entries.retain(|it| !it.connections.is_empty() || now.saturating_sub(it.entry.ts) < BEACON_MS);
        let over = self.entries.len().saturating_sub(PRESENT);
        self.entries.drain(..over);
    }
}

fn entry(client: &Client, reason: &str) -> Entry {
    let who = &client.who;
    let now = clock::now_ms();
    let mode = who.client.mode.clone();
    let text = format!("{} · {} · {mode} · {reason}", who.program, who.client.version);
    Entry {
        host: Some(who.program.clone()),
        ip: who.address.map(|it| it.to_string()),
        version: Some(who.client.version.clone()),
        platform: Some(who.client.platform.clone()),
        device_family: who.client.device_family.clone(),
        model_identifier: who.client.model_identifier.clone(),
        mode: Some(mode),
        reason: Some(reason.to_owned()),
        text: Some(text),
        ts: now,
        device_id: who.device.clone(),
        roles: vec![who.role.name().to_owned()],
        scopes: if who.role == Role::Operator { who.scopes.names() } else { Vec::new() },
        instance_id: who.client.instance_id.clone(),
        client_id: Some(who.client.id.clone()),
        online_since: Some(now),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(key: &str, ts: u64, connections: &[&str]) -> Present {
        let connections = connections.iter().map(|it| (*it).to_owned()).collect();
        Present { key: key.to_owned(), entry: Entry { ts, ..Entry::default() }, connections }
    }

    #[test]
    fn beacons_fade_and_who_is_connected_stays() {
        let mut listed = Listed::default();
        listed.put(present("beacon", 1000, &[]));
        listed.put(present("tab", 1000, &["c1"]));
        listed.forget(1000 + BEACON_MS - 1);
        assert_eq!(listed.entries.len(), 2);
        listed.forget(1000 + BEACON_MS);
        assert_eq!(listed.entries.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["tab"]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut listed = Listed::default();
        for at in 0..PRESENT + 3 {
            listed.put(present(&at.to_string(), 1000, &["c"]));
        }
        listed.forget(1000);
        assert_eq!((listed.entries.len(), listed.entries[0].key.as_str()), (PRESENT, "3"));
    }
}
