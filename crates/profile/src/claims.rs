//! Claims: what only one gateway of a machine may hold, each a kernel lock that lives as long as its process.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base::file::{self, FileError};
use base::{clock, random};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::ports::{Plan, Role};

/// The lock of a state folder, within it.
const FOLDER_LOCK: &str = "gateway.lock";

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

/// One thing that only one gateway may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A TCP port of this machine.
    Port(Role, u16),
    /// A folder with its database.
    StateFolder(PathBuf),
    /// A config file.
    Config(PathBuf),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::Port(role, port) => write!(f, "{role} {port}"),
            Claim::StateFolder(path) => write!(f, "state folder {}", path.display()),
            Claim::Config(path) => write!(f, "config file {}", path.display()),
        }
    }
}

/// A claim that was not granted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else has it.
    #[error("{claim} is held by {}", holder.as_ref().map_or_else(|| "another gateway".to_owned(), ToString::to_string))]
    Held {
        /// The thing.
        claim: Claim,
        /// Who has it; absent while it is only just being taken.
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
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
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
        Self { me, folder: folder.to_path_buf(), held: Vec::new() }
    }

    /// Claims the state folder: the instance's own lock, taken before anything in the folder is touched.
    ///
    /// # Errors
    /// Names who holds it.
    pub fn take_folder(&mut self) -> Result<(), Refused> {
        self.take(Claim::StateFolder(self.me.state_dir.clone()))
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

    /// Claims one thing, at once or not at all.
    ///
    /// # Errors
    /// Says who holds it.
    pub fn take(&mut self, claim: Claim) -> Result<(), Refused> {
        let failed = |source| Refused::File { claim: claim.clone(), source };
        let path = self.lock_path(&claim);
        if let Some(folder) = path.parent() {
            file::private_folder(folder).map_err(failed)?;
        }
        let lock = lock(&path).map_err(failed)?;
        let Some(mut lock) = lock else {
            return Err(Refused::Held { claim, holder: holder(&path).map(Box::new) });
        };
        let text = serde_json::to_string(&self.me).expect("a name, two numbers and a path always write");
        // Only for display: that it cannot be written, say on a full disk, takes nothing from the lock.
        let _ = lock.set_len(0).and_then(|()| lock.write_all(text.as_bytes()));
        self.held.push(Held { path, lock });
        Ok(())
    }

    /// The state folder's lock is in the folder itself: it may be reached from another home, and then by way of
    /// another host folder. What is one file or folder has one lock, whatever path leads to it.
    fn lock_path(&self, claim: &Claim) -> PathBuf {
        match claim {
            Claim::Port(_, port) => self.folder.join(format!("port-{port}")),
            Claim::StateFolder(path) => path.join(FOLDER_LOCK),
            Claim::Config(path) => {
                let sum = digest::digest(&digest::SHA256, real(path).as_os_str().as_encoded_bytes());
                self.folder.join(format!("config-{}", random::hex_of(&sum.as_ref()[..8])))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Removed while it is still locked: who opened it meanwhile sees that it is gone, and tries again.
        let _ = fs::remove_file(&self.path);
        let _ = self.lock.unlock();
    }
}

/// The path with its links followed, also where the file is yet to be made.
fn real(path: &Path) -> PathBuf {
    let folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_path_buf())
}

/// Who holds the state folder, or held it last before it was killed, by its own word.
pub fn holder_of(state_dir: &Path) -> Option<Holder> {
    holder(&state_dir.join(FOLDER_LOCK))
}

/// Who holds the lock at `path`, by its own word.
fn holder(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
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
    fn what_is_released_is_free_and_leaves_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let mut a = claims(home.path(), "a");
        a.take(Claim::Port(Role::Gateway, 20000)).expect("free");
        drop(a);
        assert_eq!(fs::read_dir(home.path().join("host")).expect("list").count(), 0);
        claims(home.path(), "b").take(Claim::Port(Role::Gateway, 20000)).expect("free again");
    }
}
