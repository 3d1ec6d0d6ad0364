//! Snapshots through their own doors, with instances on a real disk.

mod broken;
mod places;
mod round;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::random::hex_of;
use base::{Secret, file};
use profile::{Ambient, Document, Instance, ProfileName};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use store::Store;
use tempfile::TempDir;

use super::{Restored, SnapshotError, Source, Taken, Target, restore, take};
use crate::places::stagings_in;

/// What no snapshot without a passphrase may hold.
const TELLTALE: &str = "hunter";

/// A home with instances in it.
struct Scene {
    home: TempDir,
}

impl Scene {
    /// A home with the instance `work`: files, links, a database, secrets of every kind, and a workspace at
    /// `~/desk`.
    fn new() -> Self {
        let scene = Self { home: tempfile::tempdir().expect("a folder") };
        let config = "{\n  // the door\n  gateway: { port: 19001, auth: { mode: 'token', token: 'hunter-token' } },\n  \
                      agents: {\n    defaults: { workspace: '~/.openclaw-work/workspace-work' },\n    \
                      list: [{ id: 'desk', workspace: '~/desk' /* outside */ }],\n  },\n  \
                      channels: { telegram: { botToken: '42:hunter-bot' } },\n}\n";
        for (at, text) in [
            (".openclaw-work/openclaw.json", config),
            (".openclaw-work/openclaw.json.bak", "hunter"),
            (".openclaw-work/.env", "KEY=hunter-env"),
            (".openclaw-work/credentials/a/b.json", "hunter-credential"),
            (".openclaw-work/agents/main/agent/auth-profiles.json", "hunter-profile"),
            (".openclaw-work/skills/x/SKILL.md", "# a skill"),
            (".openclaw-work/workspace-work/notes/a.md", "a note"),
            (".openclaw-work/logs/gateway.log", "hunter in a log"),
            ("desk/plan.md", "a plan"),
        ] {
            scene.write(at, text.as_bytes());
        }
        scene.write(".openclaw-work/workspace-work/large.bin", &noise(300_000));
        scene.link("notes/a.md", ".openclaw-work/workspace-work/latest");
        scene.link("../outside-of-it", ".openclaw-work/escaping");
        let run = scene.at(".openclaw-work/skills/x/run.sh");
        scene.write(".openclaw-work/skills/x/run.sh", b"#!/bin/sh");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).expect("made executable");
        let mut store = Store::open(&scene.at(".openclaw-work")).expect("a store");
        store.ensure_session("agent:main:main", "main", None).expect("made");
        scene
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let at = self.at(path);
        file::private_folder(at.parent().expect("has one")).expect("made");
        file::replace(&at, bytes).expect("written");
    }

    fn link(&self, place: &str, at: &str) {
        std::os::unix::fs::symlink(place, self.at(at)).expect("linked");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn ambient(&self) -> Ambient {
        Ambient::of(&[("HOME", self.home.path().to_str().expect("UTF-8"))], Path::new("/"))
    }

    fn instance(&self, name: &str) -> Instance {
        let profile = ProfileName::parse(name).expect("a name");
        Instance::of_profile(&self.ambient(), profile).expect("a home")
    }

    fn take(&self, to: &str, passphrase: Option<&str>) -> Result<Taken, SnapshotError> {
        let (instance, ambient) = (self.instance("work"), self.ambient());
        let source = Source { instance: &instance, ambient: &ambient, version: "1.2.3" };
        take(&source, &self.at(to), passphrase.map(secret).as_ref(), &mut |_| {})
    }

    fn target(&self, name: &str) -> Target {
        let (instance, ambient) = (self.instance(name), self.ambient());
        Target { instance, ambient, port: None, fresh_token: secret("fresh") }
    }

    fn restore(&self, from: &str, name: &str, passphrase: Option<&str>) -> Result<Restored, SnapshotError> {
        let mut far = 0;
        let restored =
            restore(&self.at(from), &self.target(name), passphrase.map(secret).as_ref(), &mut |progress| {
                assert!(progress.done >= far && Some(progress.done) <= progress.total, "{progress:?}");
                far = progress.done;
            });
        assert!(stagings_in(self.home.path()).is_empty(), "nothing is left over");
        restored
    }

    fn config(&self, name: &str) -> Value {
        let path = self.at(&format!(".openclaw-{name}/openclaw.json"));
        Document::load(&path).expect("a config").value().clone()
    }

    /// Every path below with its mode and what it holds.
    fn tree(&self, path: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        grow(&self.at(path), "", &mut found);
        found
    }

    fn sessions(&self, name: &str) -> u64 {
        let count = store::count_sessions(&self.at(&format!(".openclaw-{name}"))).expect("counted");
        count.expect("a database")
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("not empty")
}

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).expect("eight bits")
    };
    (0..length).map(next).collect()
}

fn grow(folder: &Path, at: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("list").flatten() {
        let path = format!("{at}/{}", entry.file_name().display());
        let stat = entry.path().symlink_metadata().expect("looked at");
        let text = match stat.file_type() {
            it if it.is_dir() => String::new(),
            it if it.is_symlink() => fs::read_link(entry.path()).expect("read").display().to_string(),
            _ => {
                let bytes = fs::read(entry.path()).expect("read");
                hex_of(digest(&SHA256, &bytes).as_ref())
            }
        };
        found.insert(path.clone(), format!("{:o} {text}", stat.mode()));
        if stat.is_dir() {
            grow(&entry.path(), &path, found);
        }
    }
}

/// Everything in a snapshot, unpacked.
fn inflated(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(fs::File::open(file).expect("opened"));
    decoder.read_to_end(&mut bytes).expect("inflated");
    bytes
}
