//! A home with instances in it, for tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base::file;
use profile::registry::Record;
use profile::{Ambient, Instance, ProfileName};
use tempfile::TempDir;

/// A folder of a test's own, as somebody's home.
pub(crate) struct Home {
    folder: TempDir,
    pub(crate) ambient: Ambient,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = fs::canonicalize(folder.path()).expect("it is there").display().to_string();
        let ambient = Ambient::of(&[("HOME", &home)], Path::new("/"));
        Self { folder, ambient }
    }

    pub(crate) fn path(&self, within: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).expect("it is there").join(within)
    }

    /// The instance of a profile, or `default`.
    pub(crate) fn instance(&self, name: &str) -> Instance {
        let profile = ProfileName::parse(name).expect("a name");
        Instance::of_profile(&self.ambient, profile).expect("there is a home")
    }

    /// Writes a file with the folders on the way to it.
    pub(crate) fn write(&self, within: &str, text: &str) {
        let path = self.path(within);
        file::private_folder(path.parent().expect("below the home")).expect("made");
        file::replace(&path, text.as_bytes()).expect("written");
    }

    /// An instance with a config, a workspace and a record.
    pub(crate) fn with(&self, name: &str, config: &str, port: u16) -> Instance {
        let it = self.instance(name);
        file::private_folder(&it.workspace).expect("made");
        file::replace(&it.config_path, config.as_bytes()).expect("written");
        file::replace(&it.workspace.join("MEMORY.md"), b"remembers").expect("written");
        it.host.write(&Record::of(&it, port, Vec::new(), "1")).expect("written");
        it
    }

    /// The names in a folder, sorted.
    pub(crate) fn names(&self, within: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(within)).map(|it| it.flatten().collect::<Vec<_>>());
        let names = entries.unwrap_or_default().into_iter().map(|it| it.file_name());
        let mut names: Vec<String> = names.map(|it| it.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Everything below a folder: the place, the mode and the bytes of each file.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(it) = folders.pop() {
        for entry in fs::read_dir(&it).expect("list").flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let mode = entry.metadata().expect("there").permissions().mode();
            let bytes = match kind {
                _ if kind.is_dir() => {
                    folders.push(path.clone());
                    Vec::new()
                }
                _ if kind.is_file() => fs::read(&path).expect("read"),
                _ => Vec::new(),
            };
            found.insert(path, (mode, bytes));
        }
    }
    found
}
