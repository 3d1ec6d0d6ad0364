//! Another program in the place of this one, for all instances that run it: one first, then the rest, and back when one
//! of them does not get well.
//!
//! The program's file is replaced by a rename and never written to: what runs goes on from the file that it was started
//! with. Copies of it stand in the folder of versions in the host folder, beside the notes that say how far an update
//! is. Every step is noted before it is taken.

pub(crate) mod candidate;
mod error;
mod notes;
mod order;
mod roll;
mod status;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use base::{clock, file};
use profile::registry::Host;
use profile::{Ambient, Instance, claims};
use rustix::process::geteuid;
use serde::Serialize;

use crate::look::{self, Known, Seen, State};
use crate::process;
use candidate::Candidate;
use order::Weight;

pub use candidate::{Probe, own_probe};
pub use error::UpdateError;
pub use notes::{Build, Ended, Notes, Row, Step, UnderWay};
pub use status::{Running, Status, status};

/// How many programs are kept beside the present one and the one before.
const KEPT: usize = 1;

/// One who updates. No other process does so meanwhile.
pub struct Updater<'a> {
    host: &'a Host,
    ambient: &'a Ambient,
    folder: PathBuf,
    target: PathBuf,
    version: &'a str,
    notes: Notes,
    tell: &'a dyn Fn(&str),
    ask: Ask<'a>,
    _lock: File,
}

/// Has a gateway read its database, which it does not open before it is asked for something in it.
pub type Ask<'a> = &'a dyn Fn(&Instance) -> Result<(), String>;

/// What is going to be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The file that is replaced.
    pub target: PathBuf,
    /// What stands there.
    pub from: Build,
    /// What is to stand there.
    pub to: Build,
    /// The instances that are restarted, in this order; all is decided by the first.
    pub restarts: Vec<String>,
    /// Instances that run another program's file, and are left alone.
    pub left: Vec<Left>,
    /// Whether nothing is to be done.
    pub is_current: bool,
    #[serde(skip)]
    rows: Vec<Row>,
    #[serde(skip)]
    candidate: Option<Candidate>,
}

/// An instance that an update does not touch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether what was wanted was done. Otherwise everything is as before, unless an instance says that it is down.
    pub ok: bool,
    /// What failed.
    pub why: Option<String>,
    /// The program that runs no more, or was to.
    pub from: Build,
    /// The program that was to run.
    pub to: Build,
    /// The instances.
    pub instances: Vec<Row>,
    /// Those that were left alone.
    pub left: Vec<Left>,
}

/// The folder of versions.
fn folder(host: &Host) -> PathBuf {
    host.folder().join("versions")
}

/// The file that is replaced: this program's, unless this is one of those that are kept.
fn target(folder: &Path, notes: &Notes) -> Result<PathBuf, UpdateError> {
    let own = Ambient::program().map_err(UpdateError::NoProgram)?;
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    if own.starts_with(&real) {
        return notes.target.clone().ok_or(UpdateError::NoFormer(own));
    }
    Ok(own)
}

fn is_own(pid: u32) -> bool {
    process::user(pid) == Some(geteuid().as_raw())
}

/// The very file that a process was started from, also where its name is another's now.
fn started_from(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

/// The folders of programs that are kept, the oldest first.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|it| it.path().join("openclaw").is_file())
        .filter_map(|it| Some((it.metadata().ok()?.modified().ok()?, it.path())))
        .collect();
    found.sort();
    found.into_iter().map(|it| it.1).collect()
}

impl<'a> Updater<'a> {
    /// Begins. `version` is this program's; `tell` hears what is being done, and `ask` asks a gateway that was
    /// restarted.
    ///
    /// # Errors
    /// When another process updates, or the notes cannot be read.
    pub fn begin(
        host: &'a Host,
        ambient: &'a Ambient,
        version: &'a str,
        tell: &'a dyn Fn(&str),
        ask: Ask<'a>,
    ) -> Result<Self, UpdateError> {
        if Ambient::unit().is_some() || ambient.is_tool() {
            return Err(UpdateError::Inside);
        }
        let folder = folder(host);
        file::private_folder(&folder)?;
        let lock = file::lockable(&folder.join("update.lock"))?;
        lock.try_lock().map_err(|_| UpdateError::Held)?;
        let mut notes = Notes::read(&folder)?;
        let target = target(&folder, &notes)?;
        if notes.target.as_ref() != Some(&target) {
            if let (Some(noted), Some(_)) = (&notes.target, &notes.under_way) {
                return Err(UpdateError::OtherTarget { own: target, target: noted.clone() });
            }
            notes.former = None;
            notes.target = Some(target.clone());
        }
        if rustix::fs::access(target.parent().unwrap_or(&target), rustix::fs::Access::WRITE_OK).is_err() {
            return Err(UpdateError::ReadOnly(target));
        }
        sweep(&folder, "openclaw");
        if let Some((folder, name)) = target.parent().zip(target.file_name()) {
            sweep(folder, &name.to_string_lossy());
        }
        Ok(Self { host, ambient, folder, target, version, notes, tell, ask, _lock: lock })
    }

    /// The update that was cut off.
    pub fn cut_off(&self) -> Option<&UnderWay> {
        self.notes.under_way.as_ref()
    }

    /// Looks at a file and at those that run, and says what will be done. Nothing but a draft is written.
    ///
    /// # Errors
    /// Says why the file is not taken.
    pub fn plan(&self, path: &Path, sum: Option<&str>, canary: Option<&str>) -> Result<Plan, UpdateError> {
        let candidate = candidate::take(path, sum, &self.target, &self.folder)?;
        let Probe { version, schema, .. } = candidate.probe.clone();
        let to = self.build(version, candidate.sha256.clone(), schema);
        let from = match &self.notes.under_way {
            Some(it) if it.to.sha256 == to.sha256 => it.from.clone(),
            _ => self.present()?,
        };
        let known = look::known(self.host, self.ambient);
        if to.schema < store::SCHEMA {
            let (whose, found) = ("this version".to_owned(), store::SCHEMA);
            return Err(UpdateError::Older { version: to.version, schema: to.schema, whose, found });
        }
        self.check_databases(&known, &to)?;
        let mut plan = self.planned(&known, from, to, canary)?;
        self.check_configs(&known, &plan, &candidate.draft)?;
        plan.candidate = Some(candidate);
        Ok(plan)
    }

    /// What will be done to go back to the version before.
    ///
    /// # Errors
    /// When none is kept, or it could not read what is there.
    pub fn plan_back(&self, canary: Option<&str>, databases: bool) -> Result<Plan, UpdateError> {
        let none = || UpdateError::NoFormer(self.target.clone());
        let to = self.notes.former.clone().ok_or_else(none)?;
        if !candidate::sum_of(&to.file).is_ok_and(|it| it == to.sha256) {
            return Err(UpdateError::Changed(to.file));
        }
        let known = look::known(self.host, self.ambient);
        if !databases {
            self.check_databases(&known, &to)?;
        }
        self.planned(&known, self.present()?, to, canary)
    }

    /// The program that stands there.
    fn present(&self) -> Result<Build, UpdateError> {
        let sum = candidate::sum_of(&self.target).map_err(UpdateError::NoProgram)?;
        // This program may be one that is kept, or have been replaced since it was started.
        let probe = match candidate::ask(&self.target, &["update", "probe", "--json"], &[]) {
            Ok(said) => serde_json::from_str(&said).unwrap_or_else(|_| own_probe(self.version)),
            Err(_) => own_probe(self.version),
        };
        Ok(self.build(probe.version, sum, probe.schema))
    }

    fn build(&self, version: String, sha256: String, schema: u32) -> Build {
        let name = format!("{version}-{}", base::text::head(&sha256, 12));
        let file = self.folder.join(name).join("openclaw");
        Build { version, sha256, schema, file }
    }

    fn check_databases(&self, known: &[Known], to: &Build) -> Result<(), UpdateError> {
        for it in known {
            let name = it.instance.name.clone();
            // One that cannot be looked at is no better with this version.
            let Ok(Some(found)) = store::schema_of(&it.instance.state_dir) else { continue };
            if found > to.schema {
                let (version, schema) = (to.version.clone(), to.schema);
                let whose = format!("the database of instance {name}");
                return Err(UpdateError::Older { version, schema, whose, found });
            }
        }
        Ok(())
    }

    /// No running gateway is taken down for a program that would not start with its config.
    fn check_configs(&self, known: &[Known], plan: &Plan, draft: &Path) -> Result<(), UpdateError> {
        for row in &plan.rows {
            let instance = row.instance(known, self.host);
            let address = instance.address(self.ambient);
            let mut words: Vec<&str> = address.arguments.iter().map(String::as_str).collect();
            words.extend(["config", "validate", "--json"]);
            let Err(why) = candidate::ask(draft, &words, &address.environment) else { continue };
            if candidate::ask(&self.target, &words, &address.environment).is_ok() {
                let (version, name) = (plan.to.version.clone(), row.name.clone());
                return Err(UpdateError::Config { version, name, why });
            }
        }
        Ok(())
    }

    fn planned(
        &self,
        known: &[Known],
        from: Build,
        to: Build,
        canary: Option<&str>,
    ) -> Result<Plan, UpdateError> {
        let (mut rows, mut weights, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let seen = look::some(self.host, self.ambient, known);
        for seen in &seen {
            let Some(pid) = seen.pid else { continue };
            if let Some(why) = self.is_left(pid) {
                left.push(Left { name: seen.name.clone(), why });
                continue;
            }
            if candidate::sum_of(&started_from(pid)).is_ok_and(|it| it == to.sha256) {
                continue;
            }
            rows.push(Row::of(&seen.instance, seen.state == State::Ready));
            weights.push(weight(seen));
        }
        // Those that were being restarted when an update was cut off ran when it began.
        for row in self.notes.under_way.iter().flat_map(|it| &it.rows) {
            let runs = claims::holder_now(&row.state_dir).is_some();
            if !runs && matches!(row.step, Step::Restarting | Step::Down) {
                weights.push(Weight {
                    name: row.name.clone(),
                    is_rescue: false,
                    is_main: false,
                    is_enabled: false,
                    sessions: 0,
                });
                rows.push(Row { step: Step::Waiting, error: None, ..row.clone() });
            }
        }
        let order = order::order(&weights, canary.filter(|_| !rows.is_empty()))?;
        let rows: Vec<Row> = order.into_iter().map(|at| rows[at].clone()).collect();
        let stands = candidate::sum_of(&self.target).is_ok_and(|it| it == to.sha256);
        Ok(Plan {
            target: self.target.clone(),
            is_current: rows.is_empty() && stands && self.notes.under_way.is_none(),
            restarts: rows.iter().map(|it| it.name.clone()).collect(),
            from,
            to,
            left,
            rows,
            candidate: None,
        })
    }

    fn is_left(&self, pid: u32) -> Option<String> {
        if !is_own(pid) {
            return Some("another user runs it".to_owned());
        }
        match process::program(pid) {
            Some(it) if it == self.target || it.starts_with(&self.folder) => None,
            Some(it) => Some(format!("it runs {}", it.display())),
            None => Some("its program is not known".to_owned()),
        }
    }

    /// Keeps both programs, and makes the notes say that the update is under way.
    fn note(&mut self, plan: &mut Plan) -> Result<(), UpdateError> {
        let from = plan.from.file.clone();
        if !candidate::sum_of(&from).is_ok_and(|it| it == plan.from.sha256) {
            let mut source = File::open(&self.target).map_err(UpdateError::NoProgram)?;
            let draft = self.folder.join(format!(".openclaw.{}.tmp", base::random::hex::<6>()));
            if candidate::copy(&mut source, &draft)? != plan.from.sha256 {
                return Err(UpdateError::Changed(self.target.clone()));
            }
            place(&draft, &from)?;
        }
        if let Some(it) = plan.candidate.take() {
            place(&it.draft, &plan.to.file)?;
        }
        // Those that run it already since an update that was cut off go back with the others, if they do.
        let before = self.notes.under_way.take().map(|it| it.rows).unwrap_or_default();
        let planned = |it: &Row| plan.rows.iter().any(|row| row.state_dir == it.state_dir);
        let mut rows: Vec<Row> =
            before.into_iter().filter(|it| it.step != Step::Waiting && !planned(it)).collect();
        for it in &mut rows {
            it.step = Step::Updated;
        }
        rows.extend(plan.rows.iter().cloned());
        self.notes.under_way = Some(UnderWay {
            since: clock::now_ms(),
            from: plan.from.clone(),
            to: plan.to.clone(),
            returning: None,
            rows,
        });
        Ok(self.notes.write(&self.folder)?)
    }
}

fn weight(seen: &Seen) -> Weight {
    Weight {
        name: seen.name.clone(),
        is_rescue: seen.rescue_for.is_some(),
        is_main: is_main(&seen.instance),
        is_enabled: matches!(seen.service, crate::service::Service::Installed { enabled: true, .. }),
        sessions: seen.sessions.unwrap_or_default(),
    }
}

fn is_main(instance: &Instance) -> bool {
    instance.profile.is_none() || instance.name == "main"
}

/// Gives a copy its place among the versions.
fn place(draft: &Path, to: &Path) -> Result<(), file::FileError> {
    file::private_folder(to.parent().unwrap_or(to))?;
    file::put_over(draft, to)?;
    file::sync_folder_of(to)?;
    file::sync_folder_of(to.parent().unwrap_or(to))
}

/// Removes drafts of a program's file, which those left who were killed.
fn sweep(folder: &Path, of: &str) {
    let begins = format!(".{of}.");
    for it in fs::read_dir(folder).into_iter().flatten().flatten() {
        if it.file_name().to_str().is_some_and(|it| file::is_draft(it) && it.starts_with(&begins)) {
            let _ = file::remove(&it.path());
        }
    }
}
