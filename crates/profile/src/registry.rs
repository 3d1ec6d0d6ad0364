//! The host folder: one record an instance, and the locks of what is host-wide. A record outlives a stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use base::random;
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::ambient::{Ambient, HOST_VARIABLE};
use crate::control;
use crate::ports::Plan;

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
    /// The last process; absent before the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Unix milliseconds of the last start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Of the program that wrote this.
    pub version: String,
}

impl Record {
    /// Whether a gateway answers on the instance's control socket now. The kernel's word, not the record's.
    pub fn is_running(&self) -> bool {
        control::connect(&self.state_dir).is_ok()
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

    /// Writes the record of an instance, whole or not at all.
    ///
    /// # Errors
    /// When the host folder cannot be written.
    pub fn write(&self, record: &Record) -> Result<(), FileError> {
        let folder = self.instances();
        file::private_folder(&folder)?;
        let text = serde_json::to_vec_pretty(record).expect("names, paths and numbers always write");
        file::replace_advisory(&folder.join(key(&record.state_dir)), &text)
    }

    /// The record of the instance with this state folder.
    pub fn read(&self, state_dir: &Path) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.instances().join(key(state_dir))).ok()?).ok()
    }

    /// All records, by name. One that cannot be read is left out.
    pub fn all(&self) -> Vec<Record> {
        let files =
            fs::read_dir(self.instances()).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let mut records: Vec<Record> = files
            .into_iter()
            .filter(|it| it.path().extension().is_some_and(|it| it == "json"))
            .filter_map(|it| serde_json::from_slice(&fs::read(it.path()).ok()?).ok())
            .collect();
        records.sort_by(|a, b| (&a.name, &a.state_dir).cmp(&(&b.name, &b.state_dir)));
        records
    }

    /// The plans of all instances but the one with this state folder.
    pub fn plans_of_others(&self, state_dir: &Path) -> Vec<Plan> {
        let mine = key(state_dir);
        let others = self.all().into_iter().filter(|it| key(&it.state_dir) != mine);
        others.filter_map(|it| Plan::of(it.port).ok()).collect()
    }

    fn instances(&self) -> PathBuf {
        self.0.join("instances")
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
            pid: None,
            since: None,
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
        assert_eq!(host.read(&home.path().join("b/../b")), Some(b));
        let plans: Vec<_> = host.plans_of_others(&a.state_dir).iter().map(|it| it.base).collect();
        assert_eq!(plans, [20020]);
        assert!(!a.is_running());
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
