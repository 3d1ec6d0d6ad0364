//! What is done to an instance in the name of another: by one rescuer at a time, and each deed noted in the state folder
//! of the one that it is done to, before it is begun and when it is through.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::file::{self, FileError};
use base::{clock, random};
use profile::{Instance, claims, generations, locks, writing};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// The history's name within the state folder.
const FILE: &str = "rescue.jsonl";
/// The lock's.
const LOCK: &str = "rescue.lock";
/// Bytes from which a history is put aside for a new one.
const LARGEST: u64 = 1024 * 1024;
/// How many of those are kept.
const KEPT: usize = 2;
/// How long a rescuer waits for another.
const PATIENCE: Duration = Duration::from_secs(2);

/// One deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// Its own name within the history.
    pub id: String,
    /// Unix milliseconds of its beginning.
    pub at: u64,
    /// The instance in whose name it was done.
    pub by: String,
    /// The one that it was done to.
    pub ward: String,
    /// The user, by number.
    pub uid: u32,
    /// The process.
    pub pid: u32,
    /// The command, without its values: they may be secrets.
    pub action: String,
    /// How the ward was.
    pub before: Moment,
    /// How it ended; absent where it is under way, or was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// The end of a deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// Unix milliseconds.
    pub at: u64,
    /// Whether it succeeded.
    pub ok: bool,
    /// How the ward is then.
    pub after: Moment,
}

/// How an instance is, in few words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// The beginning of the SHA-256 of its config file; absent where that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The config that was accepted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The process of its gateway; absent where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<u32>,
}

/// A line of the file: a beginning, or an end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Begun(Deed),
    Ended { id: String, end: End },
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// Somebody else is at it.
    #[error("{ward} is being looked after already{}", .who.as_ref().map(|it| format!(" by {it}")).unwrap_or_default())]
    Busy {
        /// Whom.
        ward: String,
        /// By whom: the instance and the process.
        who: Option<String>,
    },
    /// Nobody can be kept from it meanwhile.
    #[error("{ward} can be locked neither in its folder nor on this host")]
    NotLocked {
        /// Whom.
        ward: String,
        /// Why not.
        source: FileError,
    },
    /// It can be noted nowhere.
    #[error("the deed can be noted neither with {ward} nor with {by}")]
    NotNoted {
        /// Whom.
        ward: String,
        /// By whom.
        by: String,
        /// Why not.
        source: FileError,
    },
}

/// A deed under way. The ward is this rescuer's alone until it ends.
#[derive(Debug)]
pub struct Underway {
    deed: Deed,
    /// What was noted before.
    past: Vec<Deed>,
    ward: Instance,
    /// Where it is noted.
    history: PathBuf,
    /// Whether that is with the rescuer, since the ward's folder takes nothing.
    pub is_elsewhere: bool,
    _locks: Vec<File>,
}

/// Begins a deed. `action` says which, without values.
///
/// # Errors
/// When another rescuer is at work, or nothing can be written anywhere: nothing is to be done then.
pub fn begin(ward: &Instance, by: &Instance, action: &str) -> Result<Underway, NotBegun> {
    let locks = locks(ward, by)?;
    let deed = Deed {
        id: random::hex::<8>(),
        at: clock::now_ms(),
        by: by.name.clone(),
        ward: ward.name.clone(),
        uid: geteuid().as_raw(),
        pid: std::process::id(),
        action: action.to_owned(),
        before: Moment::of(ward),
        end: None,
    };
    let line = Line::Begun(deed.clone());
    let own = path(&ward.state_dir);
    let past = self::history(&ward.state_dir);
    let (history, is_elsewhere) = match note(&own, &line) {
        Ok(()) => (own, false),
        // A full disk or a lost permission is what there is to be repaired.
        Err(_) => {
            let other = path(&by.state_dir);
            let not_noted =
                |source| NotBegun::NotNoted { ward: ward.name.clone(), by: by.name.clone(), source };
            note(&other, &line).map_err(not_noted)?;
            (other, true)
        }
    };
    Ok(Underway { deed, past, ward: ward.clone(), history, is_elsewhere, _locks: locks })
}

impl Underway {
    /// Notes how it ended.
    ///
    /// # Errors
    /// When that cannot be written; the deed is done all the same, and looks cut off.
    pub fn end(self, ok: bool) -> Result<(), FileError> {
        if !self.is_elsewhere {
            // A snapshot that was put back has the history of its own time.
            let there = history(&self.ward.state_dir);
            for deed in self.past.iter().chain([&self.deed]) {
                match there.iter().find(|it| it.id == deed.id) {
                    None => note(&self.history, &Line::Begun(deed.clone()))?,
                    Some(it) if it.end.is_none() => {
                        let again = |end: &End| Line::Ended { id: deed.id.clone(), end: end.clone() };
                        deed.end.as_ref().map_or(Ok(()), |end| note(&self.history, &again(end)))?;
                    }
                    Some(_) => {}
                }
            }
        }
        let end = End { at: clock::now_ms(), ok, after: Moment::of(&self.ward) };
        note(&self.history, &Line::Ended { id: self.deed.id, end })
    }
}

impl Moment {
    fn of(instance: &Instance) -> Self {
        let config = writing::current(instance).ok().filter(|it| it.text.is_some());
        Self {
            config: config.map(|it| base::text::head(&it.sum, 12).to_owned()),
            generation: generations::last(&instance.state_dir).map(|it| it.number),
            gateway: claims::holder_now(&instance.state_dir).map(|it| it.pid),
        }
    }
}

/// Where the history of a state folder is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// All that is noted in a state folder, oldest first. A line that makes no sense, the torn last one most likely, is
/// left out.
pub fn history(state_dir: &Path) -> Vec<Deed> {
    let own = path(state_dir);
    let files = (1..=KEPT).rev().map(|it| file::aside(&own, it)).chain([own.clone()]);
    let texts: Vec<String> = files.filter_map(|it| fs::read_to_string(it).ok()).collect();
    let mut deeds: Vec<Deed> = Vec::new();
    for line in texts.iter().flat_map(|it| it.lines()) {
        match serde_json::from_str(line) {
            Ok(Line::Begun(deed)) => deeds.push(deed),
            Ok(Line::Ended { id, end }) => {
                if let Some(deed) = deeds.iter_mut().rev().find(|it| it.id == id) {
                    deed.end = Some(end);
                }
            }
            Err(_) => {}
        }
    }
    deeds
}

fn note(path: &Path, line: &Line) -> Result<(), FileError> {
    if fs::metadata(path).is_ok_and(|it| it.len() > LARGEST) {
        file::put_aside(path, KEPT)?;
    }
    let failed = |source| FileError { what: "write", path: path.to_path_buf(), source };
    let is_new = !path.exists();
    let mut history = file::append(path)?;
    let mut text = serde_json::to_string(line).expect("texts and numbers always write");
    // Behind a line that a kill has torn a new one begins.
    if history.seek(SeekFrom::End(0)).map_err(failed)? > 0 {
        text.insert(0, '\n');
    }
    history.write_all(text.as_bytes()).and_then(|()| history.sync_data()).map_err(failed)?;
    if is_new { file::sync_folder_of(path) } else { Ok(()) }
}

/// The lock of the host, and that of the ward's folder for those who have another host folder. A folder that takes none
/// may be what there is to be repaired: one of the two is enough.
fn locks(ward: &Instance, by: &Instance) -> Result<Vec<File>, NotBegun> {
    let of_host = ward.host.rescue_lock(&ward.state_dir);
    let _ = of_host.parent().map(file::private_folder);
    let mut held = Vec::new();
    let mut refused = None;
    for path in [of_host, ward.state_dir.join(LOCK)] {
        match lock(&path, ward, by)? {
            Ok(it) => held.push(it),
            Err(error) => refused = Some(error),
        }
    }
    match refused.filter(|_| held.is_empty()) {
        Some(source) => Err(NotBegun::NotLocked { ward: ward.name.clone(), source }),
        None => Ok(held),
    }
}

fn lock(path: &Path, ward: &Instance, by: &Instance) -> Result<Result<File, FileError>, NotBegun> {
    match locks::wait(path, PATIENCE) {
        Ok(Some(mut lock)) => {
            // For whoever finds it taken; nothing depends on it.
            let words = format!("{} (pid {})", by.name, std::process::id());
            let _ = lock.set_len(0).and_then(|()| lock.write_all(words.as_bytes()));
            Ok(Ok(lock))
        }
        Ok(None) => {
            let who = fs::read_to_string(path).ok().filter(|it| !it.is_empty());
            Err(NotBegun::Busy { ward: ward.name.clone(), who: who.map(|it| base::text::line(&it, 80)) })
        }
        Err(error) => Ok(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use profile::{Ambient, ProfileName};

    use super::*;

    fn instance(home: &Path, name: &str) -> Instance {
        let text = home.display().to_string();
        let ambient = Ambient::of(&[("HOME", &text)], home);
        let profile = ProfileName::parse(name).expect("a name");
        let instance = Instance::of_profile(&ambient, profile).expect("resolves");
        file::private_folder(&instance.state_dir).expect("made");
        instance
    }

    #[test]
    fn a_deed_is_noted_when_it_begins_and_when_it_ends() {
        let home = tempfile::tempdir().expect("a folder");
        let (ward, by) = (instance(home.path(), "main"), instance(home.path(), "rescue"));
        file::replace(&ward.config_path, b"{}").expect("written");
        let deed = begin(&ward, &by, "config rollback").expect("begun");
        let [begun] = &history(&ward.state_dir)[..] else { panic!("one deed") };
        assert_eq!(
            (begun.by.as_str(), begun.action.as_str(), &begun.end),
            ("rescue", "config rollback", &None)
        );
        file::replace(&ward.config_path, b"{gateway: {}}").expect("written");
        deed.end(true).expect("noted");
        let [ended] = &history(&ward.state_dir)[..] else { panic!("one deed") };
        let end = ended.end.as_ref().expect("an end");
        assert!(end.ok && end.after.config.is_some() && end.after.config != ended.before.config);
    }

    #[test]
    fn a_torn_line_takes_no_other_with_it() {
        let home = tempfile::tempdir().expect("a folder");
        let (ward, by) = (instance(home.path(), "main"), instance(home.path(), "rescue"));
        begin(&ward, &by, "one").expect("begun").end(true).expect("noted");
        let mut torn = file::append(&path(&ward.state_dir)).expect("open");
        torn.write_all(b"\n{\"id\":\"x\",\"at\":1").expect("written");
        begin(&ward, &by, "two").expect("begun").end(false).expect("noted");
        let deeds = history(&ward.state_dir);
        let told: Vec<_> =
            deeds.iter().map(|it| (it.action.as_str(), it.end.as_ref().map(|it| it.ok))).collect();
        assert_eq!(told, [("one", Some(true)), ("two", Some(false))]);
    }

    #[test]
    fn one_rescuer_at_a_time() {
        let home = tempfile::tempdir().expect("a folder");
        let (ward, by) = (instance(home.path(), "main"), instance(home.path(), "rescue"));
        let first = begin(&ward, &by, "one").expect("begun");
        let refused = begin(&ward, &instance(home.path(), "other"), "two").expect_err("taken");
        assert!(
            refused.to_string().contains("main is being looked after already by rescue (pid "),
            "{refused}"
        );
        assert_eq!(history(&ward.state_dir).len(), 1);
        drop(first);
        let _ = begin(&ward, &by, "three").expect("free again");
    }

    #[test]
    fn a_ward_whose_folder_takes_no_lock_is_still_one_rescuers_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let (ward, by) = (instance(home.path(), "main"), instance(home.path(), "rescue"));
        // A folder in the place of the file is refused to every user.
        file::private_folder(&ward.state_dir.join(LOCK)).expect("made");
        let _first = begin(&ward, &by, "one").expect("begun");
        let other = instance(home.path(), "other");
        assert!(matches!(begin(&ward, &other, "two"), Err(NotBegun::Busy { .. })));
        file::private_folder(&ward.host.rescue_lock(&other.state_dir)).expect("made");
        file::private_folder(&other.state_dir.join(LOCK)).expect("made");
        let refused = begin(&other, &by, "three").expect_err("nothing can be locked");
        assert_eq!(refused.to_string(), "other can be locked neither in its folder nor on this host");
        assert_eq!(history(&other.state_dir), []);
    }

    #[test]
    fn where_the_ward_takes_nothing_the_rescuer_keeps_the_note() {
        let home = tempfile::tempdir().expect("a folder");
        let (ward, by) = (instance(home.path(), "main"), instance(home.path(), "rescue"));
        // A folder in the place of the file is refused to every user.
        file::private_folder(&path(&ward.state_dir)).expect("made");
        let deed = begin(&ward, &by, "one").expect("begun");
        assert!(deed.is_elsewhere);
        deed.end(true).expect("noted");
        assert_eq!(history(&by.state_dir)[0].ward, "main");
    }
}
