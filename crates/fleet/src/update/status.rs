//! How it stands: what is installed, what runs, what is kept, and whether an update was cut off.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use profile::Ambient;
use profile::registry::Host;
use serde::Serialize;

use super::{
    Build, Ended, Notes, UnderWay, UpdateError, candidate, folder, is_own, kept, started_from, target,
};
use crate::look::{self, Seen};
use crate::process;

/// How it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's file.
    pub program: PathBuf,
    /// Its version: of this very program.
    pub version: String,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// The schema of a database that it writes.
    pub schema: u32,
    /// What ran before and can be gone back to.
    pub former: Option<Build>,
    /// The files that are kept.
    pub kept: Vec<PathBuf>,
    /// An update that is under way.
    pub under_way: Option<UnderWay>,
    /// Whether nobody is at it any more.
    pub was_cut_off: bool,
    /// How the last one ended.
    pub last: Option<Ended>,
    /// The instances that run.
    pub instances: Vec<Running>,
}

/// A running instance, and what it runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The version that it says.
    pub version: Option<String>,
    /// The path of its program.
    pub program: Option<PathBuf>,
    /// Whether the file at the program's place is another than it was started from.
    pub restart_pending: bool,
}

/// Looks at how it stands. Nothing is changed.
///
/// # Errors
/// When the notes or the program cannot be read.
pub fn status(host: &Host, ambient: &Ambient, version: &str) -> Result<Status, UpdateError> {
    let folder = folder(host);
    let notes = Notes::read(&folder)?;
    let program = target(&folder, &notes)?;
    let known = look::known(host, ambient);
    let sha256 = candidate::sum_of(&program).map_err(UpdateError::NoProgram)?;
    let seen = look::some(host, ambient, &known);
    let instances = seen.iter().filter_map(|it| running(it, &program, &sha256)).collect();
    let free = || File::open(folder.join("update.lock")).is_ok_and(|it| it.try_lock_shared().is_ok());
    let was_cut_off = notes.under_way.is_some() && free();
    let is_ours = notes.target.as_ref() == Some(&program);
    Ok(Status {
        sha256,
        version: version.to_owned(),
        schema: store::SCHEMA,
        former: notes.former.filter(|_| is_ours),
        kept: kept(&folder).into_iter().map(|it| it.join("openclaw")).collect(),
        under_way: notes.under_way,
        was_cut_off,
        last: notes.last,
        program,
        instances,
    })
}

fn running(seen: &Seen, program: &Path, sum: &str) -> Option<Running> {
    let pid = seen.pid.filter(|it| seen.kind == look::Kind::Ours && is_own(*it))?;
    let path = process::program(pid);
    let is_same = || candidate::sum_of(&started_from(pid)).is_ok_and(|it| it == sum);
    let restart_pending = path.as_deref() == Some(program) && !is_file_of(pid, program) && !is_same();
    let (name, version) = (seen.name.clone(), seen.version.clone());
    Some(Running { name, pid, version, program: path, restart_pending })
}

/// Whether a process was started from the very file at a path.
fn is_file_of(pid: u32, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino()));
    matches!((of(&started_from(pid)), of(path)), (Ok(a), Ok(b)) if a == b)
}
