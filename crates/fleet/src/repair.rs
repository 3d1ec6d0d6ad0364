//! What a kill, a power cut or a person's own hand left half done, put right out of what is on the disk.
//!
//! Nothing is done to a folder whose lock is held. Of an instance that runs, only its record is corrected.

mod found;
mod litter;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use base::file;
use profile::claims;
use profile::folder;
use profile::instance;
use profile::registry::{Host, Record};
use profile::{Ambient, Instance};

use self::found::Found;
use crate::places;
use crate::rename;

/// One thing that is to be put right, or was. Its `Display` says what is to be done; [`Repair::done`] says it of what
/// was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// A renaming was cut off after the folder had moved, or before.
    Rename {
        /// The folder.
        folder: PathBuf,
    },
    /// An instance has no record.
    Write {
        /// Its name.
        name: String,
        /// Its state folder.
        folder: PathBuf,
        /// Its base port.
        port: u16,
    },
    /// A record says something else than the disk.
    Correct {
        /// The instance's name.
        name: String,
        /// Its state folder.
        folder: PathBuf,
        /// What was wrong, as in `port 20000 is 20020`.
        what: String,
    },
    /// A record is of a folder that is gone.
    Forget {
        /// The instance's name.
        name: String,
        /// Where it was.
        folder: PathBuf,
    },
    /// A second record is of a folder that has one.
    Duplicate {
        /// The instance's name.
        name: String,
        /// Its state folder.
        folder: PathBuf,
        /// The second record's file.
        file: PathBuf,
    },
    /// A file among the records is none.
    Torn {
        /// The file.
        file: PathBuf,
    },
    /// Dead processes left the files of their locks.
    Locks {
        /// How many.
        count: usize,
    },
    /// Somebody was cut off who made, restored or removed an instance.
    Staging {
        /// The folder that was left.
        folder: PathBuf,
    },
    /// Somebody was cut off who wrote files, long ago.
    Drafts {
        /// How many.
        count: usize,
    },
    /// One of the others could not be done.
    Failed {
        /// Which.
        what: Box<Repair>,
        /// What the system said.
        why: String,
    },
}

impl Repair {
    /// The same as a thing that was done.
    pub fn done(&self) -> String {
        self.words(true)
    }

    fn words(&self, is_done: bool) -> String {
        let verb = |to_do: &'static str, done: &'static str| if is_done { done } else { to_do };
        match self {
            Repair::Rename { folder } => {
                let verb = verb("finish", "finished");
                format!("{verb} the renaming of {}, which was cut off", folder.display())
            }
            Repair::Write { name, folder, port } => {
                let verb = verb("record", "recorded");
                format!("{verb} instance {name} at {} with base port {port}", folder.display())
            }
            Repair::Correct { name, folder, what } => {
                let verb = verb("correct", "corrected");
                format!("{verb} the record of instance {name} at {}: {what}", folder.display())
            }
            Repair::Forget { name, folder } => {
                let verb = verb("forget", "forgot");
                format!("{verb} instance {name}: its folder {} is gone", folder.display())
            }
            Repair::Duplicate { name, folder, file } => {
                let (verb, file, folder) = (verb("remove", "removed"), file.display(), folder.display());
                format!("{verb} {file}, a second record of instance {name} at {folder}")
            }
            Repair::Torn { file } => {
                format!("{} {}, which is no record", verb("remove", "removed"), file.display())
            }
            Repair::Locks { count: 1 } => {
                format!("{} the lock file of a process that is gone", verb("remove", "removed"))
            }
            Repair::Locks { count } => {
                format!("{} {count} lock files of processes that are gone", verb("remove", "removed"))
            }
            Repair::Staging { folder } => {
                let verb = verb("remove", "removed");
                format!("{verb} {}, left by somebody who was cut off", folder.display())
            }
            Repair::Drafts { count } => {
                let (verb, s) = (verb("remove", "removed"), if *count == 1 { "" } else { "s" });
                format!("{verb} {count} draft{s} of somebody who was cut off")
            }
            Repair::Failed { what, why } => format!("could not {what}: {why}"),
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(false))
    }
}

/// What there is to put right, and nothing is changed.
pub fn look(host: &Host, ambient: &Ambient) -> Vec<Repair> {
    let tasks = renames(host, ambient).into_iter().chain(others(host, ambient));
    tasks.map(|it| it.repair).collect()
}

/// Puts right what there is to put right, and returns what was done and what could not be. `version` is this
/// program's, for records.
pub fn run(host: &Host, ambient: &Ambient, version: &str) -> Vec<Repair> {
    // Who makes an instance holds it until the record is there. Without it, writing fails too, and says why.
    let _choosing = host.choosing();
    let mut repairs: Vec<Repair> =
        renames(host, ambient).into_iter().filter_map(|it| act(host, it, version)).collect();
    repairs.extend(others(host, ambient).into_iter().filter_map(|it| act(host, it, version)));
    repairs
}

struct Task {
    repair: Repair,
    action: Action,
}

enum Action {
    Finish(Instance),
    Write(Record),
    Forget(Record),
    RemoveFile(PathBuf),
    RemoveTorn(PathBuf),
    Sweep,
    Clear(PathBuf),
    RemoveDrafts(Vec<PathBuf>),
}

fn act(host: &Host, Task { repair, action }: Task, version: &str) -> Option<Repair> {
    let failed = |why: &dyn std::error::Error| {
        let why = base::text::chain(why);
        Some(Repair::Failed { what: Box::new(repair.clone()), why })
    };
    let acted = match action {
        Action::Finish(it) => {
            let Ok(_claims) = places::lock(&it.host.claims(), &it.name, &it.state_dir) else { return None };
            match rename::finish(&it.state_dir) {
                Ok(_) => Ok(()),
                Err(error) => return failed(&error),
            }
        }
        Action::Write(record) => host.write(&Record { version: version.to_owned(), ..record }),
        Action::Forget(record) => host.forget(&record),
        Action::RemoveFile(path) => file::remove(&path),
        // One that stood where a record belongs has been replaced by that.
        Action::RemoveTorn(path) if !host.unreadable().contains(&path) => return None,
        Action::RemoveTorn(path) => file::remove(&path),
        Action::RemoveDrafts(paths) => paths.iter().try_for_each(|it| litter::remove(it)),
        Action::Sweep => match claims::sweep(&host.claims()) {
            0 => return None,
            count => return Some(Repair::Locks { count }),
        },
        Action::Clear(path) => match places::remove_unused(&path) {
            Ok(false) => return None,
            other => other.map(|_| ()),
        },
    };
    match acted {
        Ok(()) => Some(repair),
        Err(error) => failed(&error),
    }
}

/// The renamings that were cut off: first, as they decide what the records are to say.
fn renames(host: &Host, ambient: &Ambient) -> Vec<Task> {
    let cut_off =
        |it: &Instance| rename::is_unfinished(&it.state_dir) && claims::holder_now(&it.state_dir).is_none();
    let task = |it: Instance| Task {
        repair: Repair::Rename { folder: it.state_dir.clone() },
        action: Action::Finish(it),
    };
    let found = Found::look(host, ambient);
    found.instances().into_iter().filter(cut_off).map(task).collect()
}

fn others(host: &Host, ambient: &Ambient) -> Vec<Task> {
    let found = Found::look(host, ambient);
    let mut tasks = records(&found, host);
    tasks.extend(files(&found, host, &tasks));
    let count = found.stale_locks();
    if count > 0 {
        tasks.push(Task { repair: Repair::Locks { count }, action: Action::Sweep });
    }
    tasks.extend(litter::stagings(&found, host, ambient));
    tasks.extend(litter::drafts(&found, host));
    tasks
}

/// The records that are missing or wrong.
fn records(found: &Found<'_>, host: &Host) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut planned = Vec::new();
    for instance in found.instances() {
        let folder = instance.state_dir.clone();
        let old = host.read(&folder).filter(|it| instance::same(&it.state_dir, &folder));
        let Some(record) = found.record_of(&instance, old.as_ref(), &planned) else { continue };
        planned.extend(record.neighbour());
        let repair = match &old {
            None => Repair::Write { name: record.name.clone(), folder, port: record.port },
            Some(old) => match difference(old, &record) {
                Some(what) => Repair::Correct { name: record.name.clone(), folder, what },
                None => continue,
            },
        };
        tasks.push(Task { repair, action: Action::Write(record) });
    }
    tasks
}

/// The files among the records that should not be there. What could be known from them is written by then, and what
/// is `written` takes the place of what stands there.
fn files(found: &Found<'_>, host: &Host, written: &[Task]) -> Vec<Task> {
    let writes = |it: &Task, file: &PathBuf| match &it.action {
        Action::Write(record) => host.place(&record.state_dir) == *file,
        _ => false,
    };
    let is_written = |file: &PathBuf| written.iter().any(|it| writes(it, file));
    let mut tasks = Vec::new();
    let mut forgotten = BTreeSet::new();
    for record in host.all() {
        let folder = record.state_dir.clone();
        if is_gone(&folder) && !found.runs(&folder) && forgotten.insert(folder.clone()) {
            let repair = Repair::Forget { name: record.name.clone(), folder };
            tasks.push(Task { repair, action: Action::Forget(record) });
        }
    }
    for (file, record) in host.misplaced() {
        if !forgotten.contains(&record.state_dir) {
            let repair =
                Repair::Duplicate { name: record.name, folder: record.state_dir, file: file.clone() };
            tasks.push(Task { repair, action: Action::RemoveFile(file) });
        }
    }
    for file in host.unreadable().into_iter().filter(|it| !is_written(it)) {
        let action = Action::RemoveTorn(file.clone());
        tasks.push(Task { repair: Repair::Torn { file }, action });
    }
    tasks
}

/// What the record says that is not so; `None` where all of it is.
fn difference(old: &Record, new: &Record) -> Option<String> {
    let mut wrong = Vec::new();
    let none = || "none".to_owned();
    if old.name != new.name {
        wrong.push(format!("name {} is {}", old.name, new.name));
    }
    if old.profile != new.profile {
        let words = |it: &Record| it.profile.clone().unwrap_or_else(none);
        wrong.push(format!("profile {} is {}", words(old), words(new)));
    }
    if old.config_path != new.config_path {
        wrong.push(format!("config {} is {}", old.config_path.display(), new.config_path.display()));
    }
    if old.port != new.port {
        wrong.push(format!("port {} is {}", old.port, new.port));
    }
    if old.pinned != new.pinned {
        wrong.push("other browser ports are pinned".to_owned());
    }
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// Whether nothing is there: a disk that cannot be asked may still have it.
fn is_gone(folder: &Path) -> bool {
    folder.metadata().is_err_and(|it| it.kind() == std::io::ErrorKind::NotFound)
        && !folder::is_state_folder(folder)
}

#[cfg(test)]
mod tests;
