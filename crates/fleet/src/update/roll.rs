//! The doing: the program is exchanged, then the instances are restarted one after the other, each until it is well.
//! When one does not get well, everything goes back.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base::{clock, file, random, text};
use profile::{Instance, claims};

use super::candidate::{copy, sum_of};
use super::{
    Build, Ended, KEPT, Left, Plan, Report, Row, Step, UnderWay, UpdateError, Updater, kept, started_from,
};
use crate::look::{self, Known, State};
use crate::service::{self, systemd};
use crate::start::{self, Started};

/// How long an instance may take to get well after it was started.
const WELL: Duration = Duration::from_secs(20);
/// How long is waited between two looks; the end of the process ends the wait.
const PAUSE: Duration = Duration::from_millis(100);

impl Updater<'_> {
    /// Does what was planned. The report says whether it is done or everything went back.
    ///
    /// # Errors
    /// When a file could not be written. What is noted says how far it is.
    pub fn roll(&mut self, mut plan: Plan) -> Result<Report, UpdateError> {
        self.note(&mut plan)?;
        let known = look::known(self.host, self.ambient);
        let to = plan.to.clone();
        (self.tell)(&format!("{} becomes version {to}", self.target.display()));
        if let Err(error) = self.switch(&to) {
            // Nothing was changed, unless an update that was cut off is gone on with.
            if self.under_way().rows.iter().all(|it| it.step == Step::Waiting) {
                self.notes.under_way = None;
                self.notes.write(&self.folder)?;
            }
            return Err(error);
        }
        let first = self.under_way().rows.iter().position(|it| it.step == Step::Waiting);
        for at in first.unwrap_or(usize::MAX)..self.under_way().rows.len() {
            self.step(at, Step::Restarting, None)?;
            let row = self.under_way().rows[at].clone();
            let which = if Some(at) == first { " first, to see whether it gets well" } else { "" };
            (self.tell)(&format!("{}: is restarted{which}", row.name));
            match self.restart(at, &known, &to) {
                Ok(()) => self.step(at, Step::Updated, None)?,
                Err(why) => {
                    (self.tell)(&format!("{}: {why}", row.name));
                    self.step(at, Step::Restarting, Some(why.clone()))?;
                    self.under_way().returning = Some(format!("instance {}: {why}", row.name));
                    self.notes.write(&self.folder)?;
                    return self.undo(plan.left);
                }
            }
        }
        let done = self.end(None)?;
        Ok(Report {
            ok: true,
            why: None,
            from: done.from,
            to: done.to,
            instances: done.rows,
            left: plan.left,
        })
    }

    /// Takes back an update that is under way.
    ///
    /// # Errors
    /// As [`Updater::roll`].
    pub fn undo(&mut self, left: Vec<Left>) -> Result<Report, UpdateError> {
        let known = look::known(self.host, self.ambient);
        let under_way = self.under_way();
        let why = under_way.returning.get_or_insert_with(|| "it was cut off".to_owned()).clone();
        let (from, rows) = (under_way.from.clone(), under_way.rows.clone());
        self.notes.write(&self.folder)?;
        (self.tell)(&format!("back to version {from}"));
        self.switch(&from)?;
        for (at, row) in rows.iter().enumerate().rev() {
            if matches!(row.step, Step::Waiting | Step::Returned) {
                continue;
            }
            (self.tell)(&format!("{}: goes back", row.name));
            match self.back(row, &known, &from) {
                Ok(()) => self.step(at, Step::Returned, row.error.clone())?,
                Err(error) => {
                    (self.tell)(&format!("{}: {error}", row.name));
                    self.step(at, Step::Down, Some(error))?;
                }
            }
        }
        let all_back = self.under_way().rows.iter().all(|it| it.step != Step::Down);
        let done = if all_back { self.end(Some(why.clone()))? } else { self.under_way().clone() };
        Ok(Report { ok: false, why: Some(why), from: done.from, to: done.to, instances: done.rows, left })
    }

    fn under_way(&mut self) -> &mut UnderWay {
        self.notes.under_way.as_mut().expect("it was noted before its first step")
    }

    fn step(&mut self, at: usize, step: Step, error: Option<String>) -> Result<(), UpdateError> {
        let row = &mut self.under_way().rows[at];
        (row.step, row.error) = (step, error);
        Ok(self.notes.write(&self.folder)?)
    }

    /// Puts a kept program in its place, in one step.
    fn switch(&self, to: &Build) -> Result<(), UpdateError> {
        if sum_of(&self.target).is_ok_and(|it| it == to.sha256) {
            return Ok(());
        }
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let draft = self.target.with_file_name(format!(".{name}.{}.tmp", random::hex::<6>()));
        let switched = (|| {
            let mut source = File::open(&to.file).map_err(|_| UpdateError::Changed(to.file.clone()))?;
            if copy(&mut source, &draft)? != to.sha256 {
                return Err(UpdateError::Changed(to.file.clone()));
            }
            if let Ok(there) = fs::metadata(&self.target) {
                // Of whoever may run it; that a mode cannot be given changes nothing for its owner.
                let _ = fs::set_permissions(&draft, there.permissions());
                let _ = std::os::unix::fs::chown(&draft, Some(there.uid()), Some(there.gid()));
            }
            file::put_over(&draft, &self.target)?;
            Ok(file::sync_folder_of(&self.target)?)
        })();
        if switched.is_err() {
            let _ = file::remove(&draft);
        }
        switched
    }

    fn restart(&mut self, at: usize, known: &[Known], to: &Build) -> Result<(), String> {
        let row = self.under_way().rows[at].clone();
        let instance = row.instance(known, self.host);
        self.stop(&instance)?;
        let schema = store::schema_of(&instance.state_dir).ok().flatten();
        // It has no writer now.
        if row.copy.is_none() && schema.is_some_and(|it| at == 0 || it != to.schema) {
            let copy = self.copy_of(at);
            let made = file::private_folder(copy.parent().unwrap_or(&copy)).map_err(|it| text::chain(&it));
            made.and_then(|()| store::copy_to(&instance.state_dir, &copy).map_err(|it| text::chain(&it)))?;
            let row = &mut self.under_way().rows[at];
            (row.copy, row.schema) = (Some(copy), schema);
            self.notes.write(&self.folder).map_err(|it| text::chain(&it))?;
        }
        self.restore(&instance, None, to)?;
        self.start(&instance, &row, to)
    }

    fn copy_of(&mut self, at: usize) -> PathBuf {
        let since = self.under_way().since;
        self.folder.join("databases").join(format!("{since}-{at}-{}.sqlite", random::hex::<3>()))
    }

    fn back(&self, row: &Row, known: &[Known], from: &Build) -> Result<(), String> {
        let instance = row.instance(known, self.host);
        if let Some(holder) = claims::holder_now(&instance.state_dir) {
            if sum_of(&started_from(holder.pid)).is_ok_and(|it| it == from.sha256) {
                // It was not stopped yet, or is back already.
                return Ok(());
            }
            self.stop(&instance)?;
        }
        self.restore(&instance, Some(row), from)?;
        self.start(&instance, row, from)
    }

    /// Puts the copy of a database back that the program cannot read, or that is not of the schema that it had.
    fn restore(&self, instance: &Instance, row: Option<&Row>, to: &Build) -> Result<(), String> {
        let schema = store::schema_of(&instance.state_dir).map_err(|it| text::chain(&it))?;
        let Some(schema) = schema else { return Ok(()) };
        let copied = row.and_then(|it| Some((it.schema?, it.copy.clone()?)));
        if copied.as_ref().map_or(schema <= to.schema, |it| it.0 == schema) {
            return Ok(());
        }
        let before = || {
            let all = store::copies(&instance.state_dir);
            all.into_iter().find(|it| it.0 > to.schema).map(|it| it.1)
        };
        let copy = copied.map(|it| it.1).or_else(before);
        let copy = copy.ok_or("its database was migrated, and there is no copy from before")?;
        let _lock = crate::places::lock(&instance.host.claims(), &instance.name, &instance.state_dir)
            .map_err(|it| text::chain(&it))?;
        (self.tell)(&format!("{}: its database is put back as it was", instance.name));
        store::put_back(&instance.state_dir, &copy).map_err(|it| text::chain(&it))
    }

    /// Puts back the databases that the version before cannot read; for a person who asked for it. What was said since
    /// is lost, so none of them may be in use.
    ///
    /// # Errors
    /// Names the instance that is in the way.
    pub fn restore_all(&self, to: &Build) -> Result<(), (String, String)> {
        for it in look::known(self.host, self.ambient) {
            let schema = store::schema_of(&it.instance.state_dir).ok().flatten();
            if schema.is_some_and(|it| it > to.schema) {
                self.restore(&it.instance, None, to).map_err(|why| (it.instance.name.clone(), why))?;
            }
        }
        Ok(())
    }

    /// The unit that runs it, where one does.
    fn unit(&self, instance: &Instance, pid: Option<u32>) -> Option<(systemd::Scope, String)> {
        let installed = service::of(instance, self.ambient);
        let (scope, unit) = (service::scope(installed.unit()?), instance.unit());
        let shown = systemd::show(scope, self.ambient, &unit).ok()?;
        let main = shown.iter().find(|it| it.0 == "MainPID").and_then(|it| it.1.parse::<u32>().ok());
        (pid.is_none() || main == pid).then_some((scope, unit))
    }

    fn stop(&self, instance: &Instance) -> Result<(), String> {
        let pid = claims::holder_now(&instance.state_dir).map(|it| it.pid);
        if let Some((scope, unit)) = self.unit(instance, pid) {
            // Also where it does not run at this moment: its supervisor may be about to start it again.
            return systemd::tell(scope, self.ambient, &["stop", &unit])
                .map(drop)
                .map_err(|it| it.to_string());
        }
        start::stop(instance, false).map(drop).map_err(|it| text::chain(&it))
    }

    fn start(&self, instance: &Instance, row: &Row, build: &Build) -> Result<(), String> {
        let log = || format!("its log: {}", instance.state_dir.join("logs/gateway.log").display());
        if let Some((scope, unit)) = self.unit(instance, None) {
            // One that failed too often is let off: the program is another now.
            let _ = systemd::tell(scope, self.ambient, &["reset-failed", &unit]);
            let told = systemd::tell(scope, self.ambient, &["start", &unit]);
            told.map_err(|it| format!("{it}; {}", log()))?;
        } else {
            let begun = start::start(&[instance], self.ambient, &self.target).remove(0);
            match begun.map_err(|it| format!("{}; {}", text::chain(&it), log()))? {
                Started::Now { .. } | Started::Already { .. } => {}
            }
        }
        self.await_well(instance, row, build).map_err(|why| format!("{why}; {}", log()))
    }

    /// Waits until the instance answers, can read its database, and is no worse than it was.
    fn await_well(&self, instance: &Instance, row: &Row, build: &Build) -> Result<(), String> {
        let deadline = Instant::now() + WELL;
        let known = [Known { instance: instance.clone(), record: None }];
        loop {
            let seen = look::some(self.host, self.ambient, &known).remove(0);
            let Some(pid) = seen.pid else { return Err("it ended after it was ready".to_owned()) };
            let well = seen.state == State::Ready
                || (seen.state == State::Degraded && !row.was_well && seen.sessions.is_some());
            if well {
                (self.ask)(instance)?;
                let is_it = sum_of(&started_from(pid)).is_ok_and(|it| it == build.sha256);
                let other = || format!("it runs another program than {}", self.target.display());
                return if is_it { Ok(()) } else { Err(other()) };
            }
            if Instant::now() > deadline {
                let found = seen.findings.join("; ");
                let state = seen.state.word();
                return Err(format!("it is {state} after {} s: {found}", WELL.as_secs()));
            }
            if start::pidfd(pid).is_ok_and(|it| start::ended_within(&it, PAUSE)) {
                return Err("it ended after it was ready".to_owned());
            }
        }
    }

    /// Notes the end, and removes what is no longer needed.
    fn end(&mut self, why: Option<String>) -> Result<UnderWay, UpdateError> {
        let done = self.notes.under_way.take().expect("it was noted before its first step");
        let (from, to) = (done.from.to_string(), done.to.to_string());
        self.notes.last = Some(Ended { at: clock::now_ms(), ok: why.is_none(), from, to, why });
        if self.notes.last.as_ref().is_some_and(|it| it.ok) {
            self.notes.former = Some(done.from.clone()).filter(|it| it.sha256 != done.to.sha256);
        }
        self.notes.write(&self.folder)?;
        let present = sum_of(&self.target).unwrap_or_default();
        let needed = |it: &PathBuf| {
            let former = self.notes.former.as_ref().is_some_and(|former| former.file.starts_with(it));
            former || it.to_string_lossy().ends_with(text::head(&present, 12))
        };
        let spare: Vec<_> = kept(&self.folder).into_iter().filter(|it| !needed(it)).collect();
        for it in spare.iter().rev().skip(KEPT) {
            // What is left takes room, and nothing else.
            let _ = file::remove(&it.join("openclaw")).map(|()| fs::remove_dir(it));
        }
        for it in fs::read_dir(self.folder.join("databases")).into_iter().flatten().flatten() {
            if !done.rows.iter().any(|row| row.copy.as_ref() == Some(&it.path())) {
                let _ = file::remove(&it.path());
            }
        }
        Ok(done)
    }
}
