//! The host folder: one record an instance, and the locks of what is host-wide. A record outlives a stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use base::{Secret, random};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use crate::ambient::{Ambient, HOST_VARIABLE};
use crate::claims;
use crate::document::Document;
use crate::instance::Instance;
use crate::ledger::Ended;
use crate::listener;
use crate::name::ProfileName;
use crate::ports::{self, Neighbour, Overlap, Plan};

/// The records of all instances of one user on this machine. Never inside a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(PathBuf);

/// What is known of one instance, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its profile, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Where it keeps everything.
    pub state_dir: PathBuf,
    /// Its config document.
    pub config_path: PathBuf,
    /// The base port that it last ran with, or was set up for.
    pub port: u16,
    /// Ports that its config pins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<u16>,
    /// Of the program that wrote this.
    pub version: String,
}

impl Record {
    /// The record of an instance.
    pub fn of(instance: &Instance, port: u16, pinned: Vec<u16>, version: &str) -> Self {
        Self {
            name: instance.name.clone(),
            profile: instance.profile.as_ref().map(ToString::to_string),
            state_dir: instance.state_dir.clone(),
            config_path: instance.config_path.clone(),
            port,
            pinned,
            version: version.to_owned(),
        }
    }

    /// The instance that it tells of.
    pub fn instance(&self, host: &Host) -> Instance {
        let profile = self.profile.as_deref().and_then(|it| ProfileName::parse(it).ok().flatten());
        Instance::at(
            host.clone(),
            self.name.clone(),
            profile,
            self.state_dir.clone(),
            self.config_path.clone(),
        )
    }

    /// Its ports as others must mind them; `None` where the port is none.
    pub fn neighbour(&self) -> Option<Neighbour> {
        let plan = Plan::of(self.port).ok()?;
        Some(Neighbour { name: self.name.clone(), plan, pinned: self.pinned.clone() })
    }

    /// Its ports as its config has them now, where the config can be read and it does not run on others: a person
    /// may have given it another port since it was recorded.
    fn confirmed(&self) -> Option<Neighbour> {
        let runs = claims::holder_now(&self.state_dir).is_some();
        let document = Document::load(&self.config_path).ok().filter(|_| !runs);
        let Some(document) = document else { return self.neighbour() };
        let plan = Plan::of(document.port().unwrap_or(self.port)).ok()?;
        Some(Neighbour { name: self.name.clone(), plan, pinned: document.pinned_ports() })
    }
}

impl Host {
    /// The host folder: `OPENCLAW_HOST_DIR`, else `$XDG_STATE_HOME/openclaw`, else `~/.local/state/openclaw`.
    /// Without any home, a folder beside the state folder.
    pub fn of(ambient: &Ambient, state_dir: &Path) -> Self {
        let named = ambient.var(HOST_VARIABLE).map(|it| ambient.path(it));
        let state_home = || ambient.var("XDG_STATE_HOME").map(|it| ambient.path(it).join("openclaw"));
        let home = || ambient.home().map(|it| it.join(".local/state/openclaw"));
        let beside = || state_dir.with_extension("host");
        Self(named.or_else(state_home).or_else(home).unwrap_or_else(beside))
    }

    /// The folder of the locks.
    pub fn claims(&self) -> PathBuf {
        self.0.join("claims")
    }

    /// Waits until no other process of this host chooses ports, and keeps others from it until it is dropped: who
    /// proposes a base must have recorded it before the next one looks.
    ///
    /// # Errors
    /// When the host folder cannot be written.
    pub fn choosing(&self) -> Result<File, FileError> {
        file::private_folder(&self.0)?;
        let path = self.0.join("choosing.lock");
        let lock = file::lockable(&path)?;
        lock.lock().map_err(|source| FileError { what: "lock", path, source })?;
        Ok(lock)
    }

    /// Writes the record of an instance, whole or not at all, unless it stands there already.
    ///
    /// # Errors
    /// When the host folder cannot be written.
    pub fn write(&self, record: &Record) -> Result<(), FileError> {
        if self.read(&record.state_dir).as_ref() == Some(record) {
            return Ok(());
        }
        let folder = self.instances();
        file::private_folder(&folder)?;
        let text = serde_json::to_vec_pretty(record).expect("names, paths and numbers always write");
        file::replace(&self.place(&record.state_dir), &text)
    }

    /// Removes the record of the instance with this state folder, which need not be there any more.
    ///
    /// # Errors
    /// When the host folder cannot be written.
    pub fn forget(&self, record: &Record) -> Result<(), FileError> {
        for path in self.files() {
            let found: Option<Record> = fs::read(&path).ok().and_then(|it| serde_json::from_slice(&it).ok());
            if found.is_some_and(|it| it.state_dir == record.state_dir) {
                file::remove(&path)?;
            }
        }
        Ok(())
    }

    /// The files of records that tell nothing: torn by a power cut, or written by nobody of ours.
    pub fn unreadable(&self) -> Vec<PathBuf> {
        let is_record = |it: &PathBuf| {
            fs::read(it).ok().and_then(|it| serde_json::from_slice::<Record>(&it).ok()).is_some()
        };
        self.files().into_iter().filter(|it| !is_record(it)).collect()
    }

    /// The files of records that do not stand where the record of their state folder belongs, with what they say: a
    /// link on the way to the folder leads elsewhere since, or somebody copied the file.
    pub fn misplaced(&self) -> Vec<(PathBuf, Record)> {
        let files = self.files().into_iter();
        let read = |path: PathBuf| {
            let record: Record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            (path.file_name()?.to_str()? != key(&record.state_dir)).then_some((path, record))
        };
        files.filter_map(read).collect()
    }

    /// The record of the instance with this state folder.
    pub fn read(&self, state_dir: &Path) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.place(state_dir)).ok()?).ok()
    }

    /// The file in which the record of the instance with this state folder belongs.
    pub fn place(&self, state_dir: &Path) -> PathBuf {
        self.instances().join(key(state_dir))
    }

    /// The lock of whoever looks after the instance with this state folder, where that folder itself may take none.
    pub fn rescue_lock(&self, state_dir: &Path) -> PathBuf {
        self.rescues().join(key(state_dir)).with_extension("lock")
    }

    fn rescues(&self) -> PathBuf {
        self.0.join("rescue")
    }

    /// Every folder that the host's own files are in.
    pub fn folders(&self) -> [PathBuf; 5] {
        [self.0.clone(), self.instances(), self.refusals(), self.snapshots(), self.rescues()]
    }

    /// All records, by name. One that cannot be read is left out.
    pub fn all(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self
            .files()
            .into_iter()
            .filter_map(|it| serde_json::from_slice(&fs::read(it).ok()?).ok())
            .collect();
        records.sort_by(|a, b| (&a.name, &a.state_dir).cmp(&(&b.name, &b.state_dir)));
        records
    }

    /// The ports of all instances but the one with this state folder. A record whose folder is gone needs none.
    pub fn neighbours(&self, state_dir: &Path) -> Vec<Neighbour> {
        self.others(state_dir).filter_map(|it| it.neighbour()).collect()
    }

    /// As [`Host::neighbours`], each looked up in its config, which takes longer.
    pub fn confirmed_neighbours(&self, state_dir: &Path) -> Vec<Neighbour> {
        self.others(state_dir).filter_map(|it| it.confirmed()).collect()
    }

    /// Whether a base port, and what the config pins, can be had beside all other instances. The records decide
    /// where they see nothing; where they see an overlap, it is confirmed first.
    ///
    /// # Errors
    /// Names both sides, and a base that is free.
    pub fn check_ports(&self, state_dir: &Path, plan: &Plan, pinned: &[u16]) -> Result<(), Box<Overlap>> {
        if ports::overlap(plan, pinned, &self.neighbours(state_dir)).is_none() {
            return Ok(());
        }
        let others = self.confirmed_neighbours(state_dir);
        let Some(mut found) = ports::overlap(plan, pinned, &others) else { return Ok(()) };
        found.better = ports::nearest(plan.base, &others, listener::is_bound);
        Err(Box::new(found))
    }

    /// What stands for a secret where it must be compared and not be kept: a keyed hash, with a key that never
    /// leaves this host.
    ///
    /// # Errors
    /// When the key is yet to be made and the host folder cannot be written.
    pub fn fingerprint(&self, service: &str, secret: &Secret) -> Result<String, FileError> {
        file::private_folder(&self.0)?;
        let path = self.0.join("host.key");
        let failed = |source| FileError { what: "read", path: path.clone(), source };
        // Two that make it at once: the one whose link comes second takes what is there.
        if !path.exists() {
            file::create_new(&path, random::hex::<32>().as_bytes())?;
        }
        let key = fs::read(&path).map_err(failed)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let text = format!("{service}\n{}", secret.expose().trim());
        Ok(random::hex_of(&hmac::sign(&key, text.as_bytes()).as_ref()[..16]))
    }

    /// Notes why a start was refused: here, as nothing of the instance may be touched by it. Lost where the host folder
    /// cannot be written.
    pub fn note_refusal(&self, state_dir: &Path, refusal: &Ended) {
        let text = serde_json::to_vec(refusal).expect("texts and numbers always write");
        let folder = self.refusals();
        let _ = file::private_folder(&folder)
            .and_then(|()| file::replace_advisory(&folder.join(key(state_dir)), &text));
    }

    /// Why the last start was refused, if one ever was.
    pub fn refusal(&self, state_dir: &Path) -> Option<Ended> {
        serde_json::from_slice(&fs::read(self.refusals().join(key(state_dir))).ok()?).ok()
    }

    /// The folder of the snapshots that are kept of removed instances.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Told apart by the names of the files, so that no folder but one's own is looked up.
    fn others(&self, state_dir: &Path) -> impl Iterator<Item = Record> {
        let mine = key(state_dir);
        let files = self.files().into_iter().filter(move |it| it.file_name() != Some(mine.as_ref()));
        let read = |it: PathBuf| serde_json::from_slice::<Record>(&fs::read(it).ok()?).ok();
        files.filter_map(read).filter(|it| it.state_dir.is_dir())
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.instances()).map(|it| it.flatten().collect::<Vec<_>>());
        let paths = files.unwrap_or_default().into_iter().map(|it| it.path());
        paths.filter(|it| it.extension().is_some_and(|it| it == "json")).collect()
    }

    fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    fn refusals(&self) -> PathBuf {
        self.0.join("refusals")
    }
}

/// A record's file: named after the real state folder, so that two paths to it are one record.
fn key(state_dir: &Path) -> String {
    let real = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_path_buf());
    let sum = digest::digest(&digest::SHA256, real.as_os_str().as_encoded_bytes());
    format!("{}.json", random::hex_of(&sum.as_ref()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(home: &Path, name: &str, port: u16) -> Record {
        let state_dir = home.join(name);
        file::private_folder(&state_dir).expect("made");
        let config_path = state_dir.join("openclaw.json");
        Record {
            name: name.into(),
            profile: None,
            state_dir,
            config_path,
            port,
            pinned: Vec::new(),
            version: "1".into(),
        }
    }

    #[test]
    fn records_come_back_and_a_torn_one_hides_none_of_the_others() {
        let home = tempfile::tempdir().expect("a folder");
        let host = Host(home.path().join("host"));
        let (b, a) = (record(home.path(), "b", 20020), record(home.path(), "a", 20000));
        for it in [&b, &a] {
            host.write(it).expect("written");
        }
        file::replace(&host.instances().join("torn.json"), b"{\"name\": \"c").expect("written");
        assert_eq!(host.all(), [a.clone(), b.clone()]);
        assert_eq!(host.read(&home.path().join("b/../b")), Some(b.clone()));
        let bases = |of: &Path| host.neighbours(of).iter().map(|it| it.plan.base).collect::<Vec<_>>();
        assert_eq!(bases(&a.state_dir), [20020]);
        assert_eq!(host.unreadable().len(), 1);
        assert!(host.misplaced().is_empty());
        let copied = host.instances().join("copy.json");
        file::replace(&copied, &serde_json::to_vec(&b).expect("text")).expect("written");
        assert_eq!(host.misplaced(), [(copied.clone(), b.clone())]);
        file::remove(&copied).expect("removed");
        fs::remove_dir(&b.state_dir).expect("removed");
        assert_eq!(bases(&a.state_dir), [0_u16; 0], "an instance that is gone needs no port");
        host.forget(&b).expect("forgotten");
        assert_eq!(host.all(), [a]);
    }

    #[test]
    fn an_overlap_is_refused_and_a_config_that_was_changed_since_is_believed() {
        let home = tempfile::tempdir().expect("a folder");
        let host = Host(home.path().join("host"));
        let (a, b) = (record(home.path(), "a", 20000), record(home.path(), "b", 20002));
        host.write(&a).expect("written");
        let plan = Plan::of(b.port).expect("good");
        let text = host.check_ports(&b.state_dir, &plan, &[]).expect_err("overlaps").to_string();
        let expected = "base port 20002 overlaps instance a, which has base port 20000: 20002 would be the gateway \
                        port here, and is the browser control port there; the nearest good base port is ";
        assert!(text.starts_with(expected), "{text}");
        assert!(host.check_ports(&a.state_dir, &plan, &[]).is_ok(), "its own record");
        file::replace(&a.config_path, b"{ gateway: { port: 21000 } }").expect("written");
        assert!(host.check_ports(&b.state_dir, &plan, &[]).is_ok(), "a has moved");
        file::replace(&a.config_path, b"{ browser: { profiles: { x: { cdpPort: 20006 } } } }")
            .expect("written");
        let refused = host.check_ports(&b.state_dir, &plan, &[]).expect_err("pinned");
        assert_eq!((refused.port, refused.their_role), (20002, ports::Role::Control));
    }

    #[test]
    fn a_fingerprint_is_the_hosts_own() {
        let home = tempfile::tempdir().expect("a folder");
        let (a, b) = (Host(home.path().join("a")), Host(home.path().join("b")));
        let secret = Secret::new("123:abc").expect("a secret");
        let one = a.fingerprint("telegram", &secret).expect("made");
        assert_eq!(a.fingerprint("telegram", &secret).expect("made"), one);
        assert_ne!(a.fingerprint("discord", &secret).expect("made"), one);
        assert_ne!(b.fingerprint("telegram", &secret).expect("made"), one);
        assert_eq!(one.len(), 32);
    }

    #[test]
    fn the_host_folder_is_in_no_profile() {
        for (variables, expected) in [
            (vec![("HOME", "/h")], "/h/.local/state/openclaw"),
            (vec![("HOME", "/h"), ("XDG_STATE_HOME", "/x")], "/x/openclaw"),
            (vec![("HOME", "/h"), ("XDG_STATE_HOME", "/x"), ("OPENCLAW_HOST_DIR", "/y")], "/y"),
            (vec![], "/data/acme.host"),
        ] {
            let ambient = Ambient::of(&variables, Path::new("/"));
            assert_eq!(Host::of(&ambient, Path::new("/data/acme")).0, Path::new(expected));
        }
    }
}
