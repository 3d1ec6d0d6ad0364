//! Take a snapshot: look at everything, then write it once, from the first entry to the last.

use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base::{Secret, clock, file, random};
use profile::Document;
use profile::document::Unreadable;

use super::config::{self, Kept};
use super::contents::{self, Contents, Item, Tree, What};
use super::error::failed;
use super::gzip::Gzip;
use super::pack::{Meter, Packer};
use super::{
    ABOUT, About, CONFIG, FORMAT, LeftOut, MANIFEST, OUTSIDE, Outside, Progress, SEALED, STATE, Secrets,
    SnapshotError, Source, Taken, secrets,
};

/// What is written at once.
const BLOCK: usize = 256 * 1024;

/// Takes a snapshot of an instance, running or not, to the new file `to` (mode 0600): it is there whole or not at
/// all. Without a passphrase the secrets are left out; an empty passphrase is no [`Secret`].
///
/// # Errors
/// When `to` exists or is inside what it is to hold, when there is no such instance, its database cannot be copied,
/// or a disk fails.
pub fn take(
    source: &Source<'_>,
    to: &Path,
    passphrase: Option<&Secret>,
    said: &mut dyn FnMut(Progress<'_>),
) -> Result<Taken, SnapshotError> {
    let mut found = Found::look(source, passphrase.is_some())?;
    found.check_destination(to)?;
    let drafts = Drafts::beside(to)?;
    said(Progress { done: 0, total: None, path: "state/gateway.sqlite" });
    found.copy_database(&drafts.0)?;
    let sealed = drafts.0.join(SEALED);
    let mut notes = Contents::default();
    if let Some(passphrase) = passphrase {
        secrets::seal(&sealed, passphrase, &found, &mut notes)?;
    }
    let bytes_sealed = fs::metadata(&sealed).map(|it| it.len()).unwrap_or_default();
    let mut meter = Meter { done: 0, total: Some(found.bytes() + bytes_sealed), said };

    let draft = drafts.0.join("snapshot");
    let written = BufWriter::with_capacity(BLOCK, file::new_file(&draft)?);
    let gzip = Gzip::begin(written).map_err(failed("write", &draft))?;
    let mut packer = Packer::new(gzip, &draft);
    found.write(&mut packer, &mut meter, &mut notes)?;
    if passphrase.is_some() {
        let item = private(SEALED, &sealed, bytes_sealed);
        packer.item("", &item, &mut meter, &mut notes)?;
    }
    let manifest = serde_json::to_vec(&packer.manifest()).expect("names and numbers always write");
    packer.bytes(MANIFEST, file::PRIVATE_FILE, &manifest)?;
    let entries = packer.len();
    let whole = packer.finish()?.finish().map_err(failed("write", &draft))?;
    let whole = whole.into_inner().map_err(|it| failed("write", &draft)(it.into_error()))?;
    let size = whole.metadata().map_err(failed("look at", &draft))?.len();
    file::move_into_place(&draft, to).map_err(|error| match error.source.kind() {
        std::io::ErrorKind::AlreadyExists => SnapshotError::Exists(to.to_path_buf()),
        _ => error.into(),
    })?;
    let mut left_out = found.left_out();
    left_out.append(&mut notes.left_out);
    Ok(Taken { about: found.about, size, entries, left_out })
}

/// Everything that is to be written.
pub(super) struct Found {
    about: About,
    pub(super) state: Contents,
    /// The config without its secrets, and its mode.
    config: Option<(String, u32)>,
    /// The config's secrets.
    pub(super) kept: Vec<Kept>,
    /// The config as it is, where it is secret as a whole.
    pub(super) whole_config: Option<Item>,
    outside: Vec<(PathBuf, Contents)>,
    left_out: Vec<LeftOut>,
    database: Option<Item>,
    root: PathBuf,
}

impl Found {
    fn look(source: &Source<'_>, within: bool) -> Result<Self, SnapshotError> {
        let instance = source.instance;
        let root = fs::canonicalize(&instance.state_dir).ok().filter(|it| it.is_dir());
        let root = root.ok_or_else(|| SnapshotError::NoInstance {
            name: instance.name.clone(),
            state_dir: instance.state_dir.clone(),
        })?;
        // The links on the way to the config are followed, so that it is known again where it is met.
        let config_path = fs::canonicalize(&instance.config_path).ok();
        let document = match Document::load(&instance.config_path) {
            Ok(it) => Some(Some(it)),
            Err(Unreadable::Missing(_)) => None,
            Err(Unreadable::Syntax { .. }) => Some(None),
            Err(error @ Unreadable::Io { .. }) => return Err(SnapshotError::Config(error)),
        };
        let has_config = document.is_some();
        let mut document = document.flatten();
        let named = document.as_ref().map(|it| config::workspaces(it, source.ambient)).unwrap_or_default();
        let port = document.as_ref().and_then(Document::port);
        let kept = document.as_mut().map(config::strip).transpose();
        // One that cannot be parted from its secrets is one secret.
        let (document, kept) = kept.map_or((None, Vec::new()), |kept| (document, kept.unwrap_or_default()));
        let mode = config_path.as_deref().and_then(mode_of).unwrap_or(file::PRIVATE_FILE);

        let mut left_out = Vec::new();
        let (inside, outside) = sort_workspaces(named, &root, source, &mut left_out);
        let config_at = config_path.clone().unwrap_or_else(|| instance.config_path.clone());
        let state = contents::look(&root, Tree::State { config: &config_at, workspaces: &inside })?;
        let is_config_whole = has_config && document.is_none();
        let secrets = Secrets {
            within,
            config: kept.iter().map(|it| it.path.clone()).collect(),
            files: state.secrets.clone(),
            is_config_whole,
        };
        let about = About {
            format: FORMAT,
            instance: instance.name.clone(),
            profile: instance.profile.as_ref().map(ToString::to_string),
            version: source.version.to_owned(),
            created_at: clock::rfc3339(clock::now_ms()),
            state_dir: instance.state_dir.clone(),
            home: source.ambient.home(),
            port: port
                .or_else(|| Some(instance.host.read(&instance.state_dir)?.port))
                .or(instance.default_port),
            workspace: instance.workspace.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            has_config,
            outside: outside
                .iter()
                .enumerate()
                .map(|(index, (path, _))| Outside { index, path: path.clone() })
                .collect(),
            secrets,
        };
        let outside = outside.into_iter().map(|(_, real)| {
            let contents = contents::look(&real, Tree::Workspace)?;
            Ok((real, contents))
        });
        Ok(Self {
            about,
            state,
            config: document.map(|it| (it.text().to_owned(), mode)),
            kept,
            whole_config: config_path.filter(|_| is_config_whole).map(|it| private(CONFIG, &it, 0)),
            outside: outside.collect::<Result<_, SnapshotError>>()?,
            left_out,
            database: None,
            root,
        })
    }

    fn check_destination(&self, to: &Path) -> Result<(), SnapshotError> {
        if to.symlink_metadata().is_ok() {
            return Err(SnapshotError::Exists(to.to_path_buf()));
        }
        let folder = parent_of(to);
        let folder = fs::canonicalize(folder).map_err(failed("open the folder", folder))?;
        let roots = std::iter::once(&self.root).chain(self.outside.iter().map(|(root, _)| root));
        match roots.into_iter().find(|it| folder.starts_with(it)) {
            Some(root) => Err(SnapshotError::Inside { file: to.to_path_buf(), folder: root.clone() }),
            None => Ok(()),
        }
    }

    fn copy_database(&mut self, drafts: &Path) -> Result<(), SnapshotError> {
        let copy = drafts.join(store::FILE);
        if store::copy_to(&self.root, &copy).map_err(SnapshotError::Database)? {
            let size = fs::metadata(&copy).map_err(failed("look at", &copy))?.len();
            self.database = Some(private(store::FILE, &copy, size));
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let sealed: u64 = self.state.items.iter().filter(|it| it.is_secret).map(size_of).sum();
        let database = self.database.as_ref().map_or(0, size_of);
        let outside: u64 = self.outside.iter().map(|(_, it)| it.bytes()).sum();
        self.state.bytes() - sealed + outside + database
    }

    fn write<W: std::io::Write>(
        &self,
        packer: &mut Packer<W>,
        meter: &mut Meter<'_>,
        notes: &mut Contents,
    ) -> Result<(), SnapshotError> {
        let about = serde_json::to_vec_pretty(&self.about).expect("names and numbers always write");
        packer.bytes(ABOUT, file::PRIVATE_FILE, &about)?;
        packer.folder(STATE, file::PRIVATE_FOLDER)?;
        if let Some((text, mode)) = &self.config {
            packer.bytes(&format!("{STATE}/{CONFIG}"), *mode, text.as_bytes())?;
        }
        for item in self.database.iter().chain(self.state.items.iter().filter(|it| !it.is_secret)) {
            packer.item(STATE, item, meter, notes)?;
        }
        if !self.outside.is_empty() {
            packer.folder(OUTSIDE, file::PRIVATE_FOLDER)?;
        }
        for (index, (root, contents)) in self.outside.iter().enumerate() {
            let tree = format!("{OUTSIDE}/{index}");
            packer.folder(&tree, mode_of(root).unwrap_or(file::PRIVATE_FOLDER))?;
            contents.items.iter().try_for_each(|it| packer.item(&tree, it, meter, notes))?;
        }
        Ok(())
    }

    fn left_out(&mut self) -> Vec<LeftOut> {
        let mut all = std::mem::take(&mut self.left_out);
        all.append(&mut self.state.left_out);
        self.outside.iter_mut().for_each(|(_, it)| all.append(&mut it.left_out));
        all
    }
}

/// The folder of the drafts, beside the snapshot; it goes with the value.
struct Drafts(PathBuf);

impl Drafts {
    fn beside(to: &Path) -> Result<Self, SnapshotError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let folder = parent_of(to).join(format!(".{name}.{}.tmp", random::hex::<6>()));
        file::private_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        // Ours alone; that it cannot be removed changes nothing for the caller.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The workspaces inside the state folder, and those outside, each as the config has it and as it is.
fn sort_workspaces(
    named: Vec<PathBuf>,
    root: &Path,
    source: &Source<'_>,
    left_out: &mut Vec<LeftOut>,
) -> (Vec<PathBuf>, Vec<(PathBuf, PathBuf)>) {
    let home = source.ambient.home().and_then(|it| fs::canonicalize(it).ok());
    let (mut inside, mut outside) = (Vec::new(), Vec::<(PathBuf, PathBuf)>::new());
    for path in named {
        let Some(real) = fs::canonicalize(&path).ok().filter(|it| it.is_dir()) else { continue };
        if real.starts_with(root) {
            inside.push(real);
        } else if root.starts_with(&real) || home.as_ref().is_some_and(|it| it.starts_with(&real)) {
            let reason = "it is a workspace that holds more than one: a home, or the state folder".to_owned();
            left_out.push(LeftOut { path, reason });
        } else {
            outside.push((path, real));
        }
    }
    // One in another goes with it; what two paths lead to goes twice, since each must lead somewhere again.
    let all = outside.clone();
    let is_part = |(path, real): &(PathBuf, PathBuf)| {
        all.iter().any(|(that, it)| real.starts_with(it) && path.starts_with(that) && real != it)
    };
    outside.retain(|it| !is_part(it));
    (inside, outside)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn mode_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|it| it.permissions().mode() & 0o777)
}

fn size_of(item: &Item) -> u64 {
    if let What::File(size) = item.what { size } else { 0 }
}

/// A file of ours, as an item.
fn private(path: &str, from: &Path, size: u64) -> Item {
    let (path, from) = (path.to_owned(), from.to_path_buf());
    let modified = clock::now_ms() / 1000;
    Item { path, from, what: What::File(size), mode: file::PRIVATE_FILE, modified, is_secret: false }
}
