//! Takes over what the original left in its state folder.
//!
//! An instance has its state folder where the original has it, so that config and workspace are read where they are.
//! What the original keeps in a form of its own (conversations, keys of vendors) is added to files of ours beside it.
//! Nothing of the original's is changed, so that it can go on as before, and an import can be repeated.

mod config;
mod copy;
mod database;
mod keys;
mod message;
mod report;
mod running;
mod sessions;
mod state;
#[cfg(test)]
mod tests;
mod transcript;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use base::file::FileError;
use profile::claims::Refused;
use profile::document::Unreadable;
use profile::folder::{self, BadFolder};
use profile::{Ambient, Claims, Document, Instance};
use store::{Store, StoreError};

pub use report::{Finding, Findings, Imported, Kind, Original, SessionCounts, Verdict};

use database::Database;
use sessions::Agent;

/// The messaging channels that there are here, by the names of the original; what it knows of them comes over.
pub const CHANNELS: &[&str] = &[];

/// Vendors that the original calls by another name than our table.
const OTHER_NAMES: [(&str, &str); 3] = [("google", "gemini"), ("z.ai", "zai"), ("z-ai", "zai")];

/// Where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The instance whose state folder and config the original has.
    pub instance: &'a Instance,
    /// For paths as people write them.
    pub ambient: &'a Ambient,
    /// The vendors that are known here: a provider's id, and the variable that holds its key.
    pub vendors: &'a [(&'a str, &'a str)],
}

/// Where it goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The source's own state folder.
    InPlace,
    /// Another instance, whose folder is missing, empty, or a gateway's.
    Other {
        /// The instance.
        instance: &'a Instance,
        /// Its base port, for a config that is yet to be written.
        port: u16,
    },
}

/// Why nothing was imported, or not all. What was imported is whole, and the next import completes it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no state folder.
    #[error("there is no state folder {}", .0.display())]
    NoState(PathBuf),
    /// Source and target are one.
    #[error("{} is the folder that it comes from", .0.display())]
    SameFolder(PathBuf),
    /// A gateway of ours holds the target's folder.
    #[error(transparent)]
    Running(Refused),
    /// The original runs.
    #[error("the original runs on {} (pid {pid}: {what})", folder.display())]
    OriginalRuns {
        /// The state folder.
        folder: PathBuf,
        /// Its process.
        pid: u32,
        /// By what it was recognised.
        what: String,
    },
    /// The target's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// The config could not be made fit for the target.
    #[error("cannot write {}: {finding}", path.display())]
    Config {
        /// The target's config.
        path: PathBuf,
        /// What and where.
        finding: Box<profile::Finding>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of ours could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file could not be read or made like its original.
    #[error("cannot copy {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ImportError {
    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            ImportError::NoState(_) => {
                Some("name the instance of the original with --profile, or OPENCLAW_STATE_DIR".to_owned())
            }
            ImportError::SameFolder(_) => Some("leave out --as to import in place".to_owned()),
            ImportError::Running(Refused::Held { .. }) => {
                Some("stop that gateway, and import again".to_owned())
            }
            ImportError::OriginalRuns { .. } => Some("stop it: openclaw gateway stop".to_owned()),
            ImportError::Folder(it) => Some(it.remedy()),
            ImportError::Running(_)
            | ImportError::Config { .. }
            | ImportError::Store(_)
            | ImportError::File(_)
            | ImportError::Read { .. } => None,
        }
    }
}

/// Says what would come over and what has no place here, and changes nothing.
///
/// # Errors
/// [`ImportError::NoState`] and [`ImportError::SameFolder`]; what cannot be read is a row.
pub fn look(source: &Source<'_>, target: &Target<'_>) -> Result<Findings, ImportError> {
    let found = Found::of(source, target)?;
    Ok(found.judged(source, target).0)
}

/// Imports. Refused while a gateway runs on either side.
///
/// # Errors
/// [`ImportError::Running`] and [`ImportError::OriginalRuns`] say who is in the way.
pub fn run(source: &Source<'_>, target: &Target<'_>) -> Result<Imported, ImportError> {
    check(source, target)?;
    // Before anything is made; what decides is the look that follows below our own lock.
    let document = config::load(source.instance).ok().flatten();
    refuse_original(source, running::original(source, document.as_ref()).as_ref())?;
    let to = target.instance(source);
    if let Target::Other { instance, .. } = target {
        folder::prepare(&instance.state_dir)?;
    }
    let mut claims = Claims::new(&to.host.claims(), &to.name, &to.state_dir);
    claims.take_folder().map_err(ImportError::Running)?;
    let found = Found::of(source, target)?;
    let (findings, keys, sessions) = found.judged(source, target);
    refuse_original(source, findings.running.as_ref())?;
    let mut files = 0;
    if let Target::Other { instance, .. } = target {
        files += u64::from(config::copy(source, found.document.as_ref(), target)?);
        if let Some(from) = config::workspace(source, found.document.as_ref())
            && !instance.workspace.starts_with(&from)
        {
            files += copy::tree(&from, &instance.workspace)?;
        }
        files += copy::tree(&source.instance.state_dir.join("skills"), &instance.state_dir.join("skills"))?;
    }
    let keys = keys::write(&keys, &to.state_dir)?;
    let mut counts = SessionCounts::default();
    if !sessions.found.is_empty() {
        let mut store = Store::open(&to.state_dir)?;
        for it in &sessions.found {
            it.import(&mut store, &mut counts)?;
        }
    }
    Ok(Imported { findings, sessions: counts, keys, files })
}

/// What was found at the source, opened.
struct Found {
    document: Option<Document>,
    agents: Vec<Agent>,
    shared: Option<Database>,
    rows: Vec<Finding>,
}

impl Target<'_> {
    fn instance<'a>(&'a self, source: &'a Source<'_>) -> &'a Instance {
        match self {
            Target::InPlace => source.instance,
            Target::Other { instance, .. } => instance,
        }
    }
}

impl Found {
    fn of(source: &Source<'_>, target: &Target<'_>) -> Result<Self, ImportError> {
        check(source, target)?;
        let mut rows = Vec::new();
        let document = config::load(source.instance).unwrap_or_else(|error: Unreadable| {
            rows.push(Finding::stays(Kind::Config, "the config", base::text::chain(&error)));
            None
        });
        let state_dir = &source.instance.state_dir;
        // Beside the records of all instances: in no state folder, so that looking changes none.
        let scratch = source.instance.host.claims().with_file_name("scratch");
        let mut open = |path: PathBuf| {
            database::open(&path, &scratch).unwrap_or_else(|why| {
                let what = format!("the database {}", path.display());
                rows.push(Finding::stays(Kind::Sessions, what, format!("cannot be read: {why}")));
                None
            })
        };
        let shared = open(state_dir.join("state/openclaw.sqlite"));
        let mut agents = Vec::new();
        let entries = fs::read_dir(state_dir.join("agents")).map(|it| it.flatten().collect::<Vec<_>>());
        for folder in entries.unwrap_or_default().into_iter().map(|it| it.path()).filter(|it| it.is_dir()) {
            let id =
                folder.file_name().and_then(|it| it.to_str()).filter(|it| !it.contains(char::is_control));
            let Some(id) = id.map(str::to_owned) else { continue };
            let database = open(folder.join("agent/openclaw-agent.sqlite")).map(Rc::new);
            agents.push(Agent { id, folder, database });
        }
        // The main agent's keys go before those of the others.
        agents.sort_by_key(|it| (it.id != "main", it.id.clone()));
        Ok(Self { document, agents, shared, rows })
    }

    /// The rows, the keys that come and the conversations.
    fn judged(
        &self,
        source: &Source<'_>,
        target: &Target<'_>,
    ) -> (Findings, Vec<keys::Key>, sessions::Gathered) {
        let document = self.document.as_ref();
        let to = &target.instance(source).state_dir;
        let mut rows = self.rows.clone();
        if let Some(document) = document {
            rows.extend(config::rows(document, target));
        }
        let (keys, of_keys) = keys::gather(source, &self.agents, self.shared.as_ref(), to);
        rows.extend(of_keys);
        let sessions = sessions::gather(source, document, &self.agents);
        rows.extend(sessions.rows());
        rows.extend(state::rows(source, target, document, self.shared.as_ref()));
        rows.sort_by_key(|it| it.kind);
        let running = running::original(source, document);
        let source = source.instance.state_dir.clone();
        (Findings { source, target: to.clone(), running, rows }, keys, sessions)
    }
}

fn refuse_original(source: &Source<'_>, found: Option<&Original>) -> Result<(), ImportError> {
    let folder = source.instance.state_dir.clone();
    let refused = |it: &Original| ImportError::OriginalRuns { folder, pid: it.pid, what: it.what.clone() };
    found.map_or(Ok(()), |it| Err(refused(it)))
}

/// Our name of a vendor, and the variable of its key.
fn vendor_of<'a>(source: &Source<'a>, provider: &str) -> Option<(&'a str, &'a str)> {
    let provider = provider.trim().to_ascii_lowercase();
    let ours =
        OTHER_NAMES.iter().find(|(theirs, _)| *theirs == provider).map_or(provider.as_str(), |it| it.1);
    source.vendors.iter().copied().find(|(id, variable)| *id == ours && !variable.is_empty())
}

fn check(source: &Source<'_>, target: &Target<'_>) -> Result<(), ImportError> {
    let folder = &source.instance.state_dir;
    if !folder.is_dir() {
        return Err(ImportError::NoState(folder.clone()));
    }
    let real = |it: &Path| fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
    if let Target::Other { instance, .. } = target
        && real(&instance.state_dir) == real(folder)
    {
        return Err(ImportError::SameFolder(folder.clone()));
    }
    Ok(())
}
