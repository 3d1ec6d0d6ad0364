//! Claims: what only one gateway of a machine may hold, each a kernel lock that lives as long as its process.

mod kind;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::clock;
use base::file::{self, FileError};
use serde::{Deserialize, Serialize};

use crate::control;
use crate::locks;
use crate::ports::Plan;

pub use kind::Claim;

/// The lock of a state folder, within it.
const FOLDER_LOCK: &str = "gateway.lock";
/// How long a holder may take to write its name after it took the lock.
const NAMELESS: Duration = Duration::from_millis(50);

/// Who holds a claim. Written into the lock's file for those who are refused; the lock itself is the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The instance's name.
    pub instance: String,
    /// Its process.
    pub pid: u32,
    /// Unix milliseconds.
    pub since: u64,
    /// Its state folder.
    pub state_dir: PathBuf,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { instance, pid, since, .. } = self;
        write!(f, "instance {instance} (pid {pid}, since {})", clock::rfc3339(*since))
    }
}

/// What stands in a lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The thing. Absent in files of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Who holds it.
    #[serde(flatten)]
    pub holder: Holder,
    /// The number by which the holder has the file open, to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<i32>,
}

/// A claim that was not granted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else has it.
    #[error("{claim} is held by {}", holder.as_ref().map_or_else(|| "another gateway".to_owned(), ToString::to_string))]
    Held {
        /// The thing.
        claim: Claim,
        /// Who has it; absent where it says no name.
        holder: Option<Box<Holder>>,
    },
    /// The lock's file could not be used.
    #[error("cannot claim {claim}")]
    File {
        /// The thing.
        claim: Claim,
        /// What went wrong.
        source: FileError,
    },
}

/// The claims of one gateway. Dropping it releases them all; so does the end of the process, however it ends.
#[derive(Debug)]
pub struct Claims {
    me: Holder,
    folder: PathBuf,
    held: Vec<Lease>,
    before: Option<Holder>,
}

/// One claim that is held. Dropping it releases it.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    lock: File,
}

impl Claims {
    /// No claims yet. `folder` holds the locks of what is host-wide.
    pub fn new(folder: &Path, instance: &str, state_dir: &Path) -> Self {
        let me = Holder {
            instance: instance.to_owned(),
            pid: std::process::id(),
            since: clock::now_ms(),
            state_dir: state_dir.to_path_buf(),
        };
        Self { me, folder: folder.to_path_buf(), held: Vec::new(), before: None }
    }

    /// Claims the state folder: the instance's own lock, taken before anything in the folder is touched.
    ///
    /// # Errors
    /// Names who holds it.
    pub fn take_folder(&mut self) -> Result<(), Refused> {
        let before = holder_of(&self.me.state_dir);
        self.take(Claim::StateFolder(self.me.state_dir.clone()))?;
        self.before = before;
        Ok(())
    }

    /// Who held the state folder before and did not release it: it was killed, or the power failed.
    pub fn cut_off(&self) -> Option<&Holder> {
        self.before.as_ref()
    }

    /// Follows the state folder to where it was moved under its lock, so that what is released is the lock there.
    pub fn follow(&mut self, state_dir: &Path) {
        for it in &mut self.held {
            if let Ok(within) = it.path.strip_prefix(&self.me.state_dir) {
                it.path = state_dir.join(within);
            }
        }
        self.me.state_dir = state_dir.to_path_buf();
    }

    /// Claims the config file and the ports of the plan.
    ///
    /// # Errors
    /// Names the first thing that another gateway holds, and who that is. What was claimed before it is
    /// released with this value.
    pub fn take_config_and_ports(&mut self, config: &Path, plan: &Plan) -> Result<(), Refused> {
        self.take(Claim::Config(config.to_path_buf()))?;
        plan.fixed().into_iter().try_for_each(|(role, port)| self.take(Claim::Port(role, port)))
    }

    /// Claims one thing, at once or not at all, for as long as this value lives. What it has already is granted
    /// again.
    ///
    /// # Errors
    /// Says who holds it.
    pub fn take(&mut self, claim: Claim) -> Result<(), Refused> {
        let path = self.lock_path(&claim);
        if self.held.iter().any(|it| it.path == path) {
            return Ok(());
        }
        let lease = self.lease(claim)?;
        self.held.push(lease);
        Ok(())
    }

    /// Whether this value holds it.
    pub fn has(&self, claim: &Claim) -> bool {
        let path = self.lock_path(claim);
        self.held.iter().any(|it| it.path == path)
    }

    /// Releases everything.
    pub fn release_all(&mut self) {
        self.held.clear();
    }

    /// Releases one thing before all others.
    pub fn release(&mut self, claim: &Claim) {
        let path = self.lock_path(claim);
        self.held.retain(|it| it.path != path);
    }

    /// Claims one thing, at once or not at all, to be released by itself.
    ///
    /// # Errors
    /// Says who holds it, also when that is this gateway.
    pub fn lease(&self, claim: Claim) -> Result<Lease, Refused> {
        let failed = |source| Refused::File { claim: claim.clone(), source };
        if let Claim::Workspace(it) | Claim::UserData(it) = &claim {
            // A folder has no identity until it is there: made later, it would be somebody else's to claim again.
            let _ = file::private_folder(it);
        }
        let path = self.lock_path(&claim);
        if let Some(folder) = path.parent() {
            file::private_folder(folder).map_err(failed)?;
        }
        let mut lock = match settled_lock(&path).map_err(failed)? {
            Ok(it) => it,
            Err(holder) => return Err(Refused::Held { claim, holder: holder.map(Box::new) }),
        };
        let descriptor = Some(lock.as_raw_fd());
        let text = Held { claim: Some(claim.public()), holder: self.me.clone(), descriptor };
        let text = serde_json::to_string(&text).expect("names, numbers and paths always write");
        // Only for display: that it cannot be written, say on a full disk, takes nothing from the lock.
        let _ = lock.set_len(0).and_then(|()| lock.write_all(text.as_bytes()));
        Ok(Lease { path, lock })
    }

    /// The state folder's lock is in the folder itself: it may be reached from another home, and then by way of
    /// another host folder. What is one file or folder has one lock, whatever path leads to it.
    fn lock_path(&self, claim: &Claim) -> PathBuf {
        match claim {
            Claim::StateFolder(path) => path.join(FOLDER_LOCK),
            other => self.folder.join(other.file_name()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Removed while it is still locked: who opened it meanwhile sees that it is gone, and tries again.
        let _ = fs::remove_file(&self.path);
        let _ = self.lock.unlock();
    }
}

/// Who holds the state folder, or held it last before it was killed, by its own word.
pub fn holder_of(state_dir: &Path) -> Option<Holder> {
    holder(&state_dir.join(FOLDER_LOCK))
}

/// Who holds the state folder now, by the kernel's word.
pub fn holder_now(state_dir: &Path) -> Option<Holder> {
    let lock = state_dir.join(FOLDER_LOCK);
    match held(&lock) {
        Some(it) => Some(it.holder).filter(|holder| locks::is_held(&lock, holder.pid, it.descriptor)),
        None => nameless(state_dir, &lock),
    }
}

/// Who holds a lock whose file says nothing, as on a full disk: whoever answers for the state folder, if it is they.
fn nameless(state_dir: &Path, lock: &Path) -> Option<Holder> {
    let about = fs::metadata(lock).ok()?;
    let stream = control::connect_at_once(state_dir).ok()?;
    let pid = u32::try_from(control::peer_pid(&stream).ok()?.as_raw_nonzero().get()).ok()?;
    let since = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let instance = state_dir.file_name()?.to_string_lossy().into_owned();
    let since = u64::try_from(since.as_millis()).ok()?;
    let holder = Holder { instance, pid, since, state_dir: state_dir.to_path_buf() };
    locks::is_held(lock, pid, None).then_some(holder)
}

/// Every claim of the folder of claims that is held now, in the order of the files' names.
pub fn held_now(folder: &Path) -> Vec<Held> {
    files(folder).iter().filter_map(|it| held_by(it)).collect()
}

/// Every file of the folder of claims: what it says, and whether the process that says it holds it.
pub fn all(folder: &Path) -> Vec<(Option<Held>, bool)> {
    let look = |path: &PathBuf| {
        let said = held(path);
        let is_held = said.as_ref().is_some_and(|it| locks::is_held(path, it.holder.pid, it.descriptor));
        (said, is_held)
    };
    files(folder).iter().map(look).collect()
}

/// Every gateway that runs, by its claim on a config file: who it is, and the config.
pub fn running(folder: &Path) -> Vec<(Holder, PathBuf)> {
    let is_config =
        |it: &&PathBuf| it.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"config-"));
    let all = files(folder);
    let held = all.iter().filter(is_config).filter_map(|it| held_by(it));
    held.filter_map(|it| match it.claim {
        Some(Claim::Config(config)) => Some((it.holder, config)),
        _ => None,
    })
    .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut paths: Vec<PathBuf> = found.into_iter().map(|it| it.path()).collect();
    paths.sort();
    paths
}

/// What a lock's file says, where the process that says it does hold it.
fn held_by(path: &Path) -> Option<Held> {
    held(path).filter(|it| locks::is_held(path, it.holder.pid, it.descriptor))
}

/// Removes what the locks of dead processes left behind. Returns how many files that were.
pub fn sweep(folder: &Path) -> usize {
    let is_left = |path: &PathBuf| match lock(path) {
        Ok(Some(lock)) => {
            drop(Lease { path: path.clone(), lock });
            true
        }
        _ => false,
    };
    files(folder).iter().filter(|it| is_left(it)).count()
}

/// Who holds the lock at `path`, by its own word.
fn holder(path: &Path) -> Option<Holder> {
    held(path).map(|it| it.holder)
}

fn held(path: &Path) -> Option<Held> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Locks the file at `path`, or says who has it. A lock may be held for a moment by somebody who only sweeps, or have
/// been taken so recently that its holder is still writing its name: a refusal waits for the file and the kernel to
/// name the same process.
fn settled_lock(path: &Path) -> Result<Result<File, Option<Holder>>, FileError> {
    let deadline = Instant::now() + NAMELESS;
    loop {
        if let Some(lock) = lock(path)? {
            return Ok(Ok(lock));
        }
        if let Some(it) = held_by(path) {
            return Ok(Err(Some(it.holder)));
        }
        if Instant::now() > deadline {
            return Ok(Err(holder(path)));
        }
        std::thread::yield_now();
    }
}

/// Locks the file at `path`; `None` when somebody else has.
fn lock(path: &Path) -> Result<Option<File>, FileError> {
    loop {
        let file = file::lockable(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => {
                return Err(FileError { what: "lock", path: path.to_path_buf(), source });
            }
        }
        // The last holder removes the file as it leaves. A lock on a removed file excludes nobody.
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        if let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path))
            && same(&ours, &there)
        {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Role;

    fn claims(home: &Path, name: &str) -> Claims {
        let state = home.join(name);
        file::private_folder(&state).expect("made");
        Claims::new(&home.join("host"), name, &state)
    }

    #[test]
    fn a_second_claimant_is_told_who_holds_what() {
        let home = tempfile::tempdir().expect("a folder");
        let plan = Plan::of(20000).expect("good");
        let mut main = claims(home.path(), "main");
        main.take_folder().expect("free");
        main.take_config_and_ports(&home.path().join("main.json"), &plan).expect("all free");

        let near = Plan::of(20002).expect("good");
        let mut rescue = claims(home.path(), "rescue");
        let refused =
            rescue.take_config_and_ports(&home.path().join("rescue.json"), &near).expect_err("overlaps");
        let text = refused.to_string();
        assert!(text.starts_with("gateway port 20002 is held by instance main (pid "), "{text}");

        let mut twin = claims(home.path(), "main");
        let text = twin.take_folder().expect_err("one folder").to_string();
        assert!(text.starts_with("state folder ") && text.contains("held by instance main"), "{text}");
    }

    #[test]
    fn a_link_to_a_config_is_the_same_config() {
        let home = tempfile::tempdir().expect("a folder");
        let (real, link) = (home.path().join("a.json"), home.path().join("b.json"));
        file::replace(&real, b"{}").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let (mut a, mut b) = (claims(home.path(), "a"), claims(home.path(), "b"));
        a.take(Claim::Config(real)).expect("free");
        assert!(matches!(b.take(Claim::Config(link)), Err(Refused::Held { .. })));
    }

    #[test]
    fn a_folder_is_the_same_by_every_path_to_it() {
        let home = tempfile::tempdir().expect("a folder");
        let (real, link) = (home.path().join("work"), home.path().join("link"));
        file::private_folder(&real).expect("made");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let (mut a, mut b) = (claims(home.path(), "a"), claims(home.path(), "b"));
        a.take(Claim::Workspace(real.clone())).expect("free");
        a.take(Claim::Workspace(real.join("../work"))).expect("its own");
        let text = b.take(Claim::Workspace(link)).expect_err("the same").to_string();
        assert!(text.starts_with("workspace ") && text.contains("held by instance a (pid "), "{text}");
    }

    #[test]
    fn no_secret_is_shown_or_kept() {
        let home = tempfile::tempdir().expect("a folder");
        let mut a = claims(home.path(), "a");
        let login = Claim::Login("telegram".into(), "default".into(), "0123abcd".into());
        let url = Claim::CdpUrl("wss://user:pass@browsers.example/k3y?token=t0k".into());
        assert_eq!(url.to_string(), "browser at wss://browsers.example");
        assert_eq!(login.to_string(), "telegram login of account default");
        a.take(url).expect("free");
        a.take(login).expect("free");
        let host = home.path().join("host");
        let kept: Vec<_> = held_now(&host);
        assert_eq!(kept.len(), 2);
        for file in fs::read_dir(&host).expect("list").flatten() {
            let text = fs::read_to_string(file.path()).expect("read");
            assert!(!["pass", "k3y", "t0k"].iter().any(|it| text.contains(it)), "{text}");
        }
        drop(a);
        assert!(held_now(&host).is_empty());
    }

    #[test]
    fn who_was_cut_off_is_known_to_the_next() {
        let home = tempfile::tempdir().expect("a folder");
        let mut first = claims(home.path(), "a");
        first.take_folder().expect("free");
        let state = home.path().join("a");
        let left = fs::read(state.join(FOLDER_LOCK)).expect("written");
        assert_eq!(holder_now(&state).map(|it| it.pid), Some(std::process::id()));
        drop(first);
        let mut clean = claims(home.path(), "a");
        clean.take_folder().expect("free");
        assert_eq!(clean.cut_off(), None);
        drop(clean);
        // What a process that was killed leaves: the file, and no lock.
        file::replace(&state.join(FOLDER_LOCK), &left).expect("written");
        assert_eq!(holder_now(&state), None);
        let mut next = claims(home.path(), "a");
        next.take_folder().expect("free");
        assert_eq!(next.cut_off().map(|it| it.pid), Some(std::process::id()));
    }

    #[test]
    fn what_dead_processes_left_is_swept_and_what_is_held_stays() {
        let home = tempfile::tempdir().expect("a folder");
        let host = home.path().join("host");
        let mut a = claims(home.path(), "a");
        a.take(Claim::Unit("a.service".into())).expect("free");
        file::replace(&host.join("port-20000"), b"{}").expect("written");
        assert_eq!(sweep(&host), 1);
        assert_eq!(fs::read_dir(&host).expect("list").count(), 1);
    }

    #[test]
    fn a_folder_that_is_yet_to_be_made_has_one_holder() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("work");
        let (mut a, mut b) = (claims(home.path(), "a"), claims(home.path(), "b"));
        a.take(Claim::Workspace(folder.clone())).expect("free");
        file::private_folder(&folder).expect("made");
        assert!(matches!(b.take(Claim::Workspace(folder)), Err(Refused::Held { .. })));
    }

    #[test]
    fn a_folder_that_moves_under_its_lock_is_left_without_one() {
        let home = tempfile::tempdir().expect("a folder");
        let mut a = claims(home.path(), "a");
        a.take_folder().expect("free");
        let there = home.path().join("b");
        file::move_new(&home.path().join("a"), &there).expect("moved");
        a.follow(&there);
        assert!(matches!(claims(home.path(), "b").take_folder(), Err(Refused::Held { .. })));
        drop(a);
        assert_eq!(fs::read_dir(&there).expect("list").count(), 0);
    }

    #[test]
    fn what_is_released_is_free_and_leaves_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let mut a = claims(home.path(), "a");
        a.take(Claim::Port(Role::Gateway, 20000)).expect("free");
        drop(a);
        assert_eq!(fs::read_dir(home.path().join("host")).expect("list").count(), 0);
        claims(home.path(), "b").take(Claim::Port(Role::Gateway, 20000)).expect("free again");
    }
}
