//! What a folder holds, to be compared before and after.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Every path below `folder`, relative to it, with its kind, its mode and a hash of its content. Two results of one
/// test process can be compared; a hash means nothing outside of it. A folder that is missing is an empty tree.
///
/// # Panics
/// When something below it cannot be read.
#[track_caller]
pub fn hash(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut tree = BTreeMap::new();
    if folder.exists() {
        add(folder, Path::new(""), &mut tree);
    }
    tree
}

fn add(root: &Path, below: &Path, tree: &mut BTreeMap<PathBuf, String>) {
    let folder = root.join(below);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let name = entry.expect("the folder was just opened").file_name();
        let relative = below.join(&name);
        tree.insert(relative.clone(), describe(&root.join(&relative)));
        if root.join(&relative).symlink_metadata().is_ok_and(|it| it.is_dir()) {
            add(root, &relative, tree);
        }
    }
}

fn describe(path: &Path) -> String {
    let readable = "what a test compares is readable and stands still";
    let about = path.symlink_metadata().expect(readable);
    let mode = about.permissions().mode() & 0o7777;
    if about.is_dir() {
        format!("folder {mode:o}")
    } else if about.is_symlink() {
        format!("link to {}", fs::read_link(path).expect(readable).display())
    } else if about.is_file() {
        let mut hasher = DefaultHasher::new();
        fs::read(path).expect(readable).hash(&mut hasher);
        format!("file {mode:o} {:016x}", hasher.finish())
    } else {
        // A socket or a pipe has no content of its own.
        format!("special {mode:o}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn tells_content_modes_links_and_additions_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("a")).expect("new");
        fs::write(path("a/b"), "one").expect("writable");
        symlink("a/b", path("link")).expect("new");
        let before = hash(folder.path());
        assert_eq!(
            before.keys().map(|it| it.display().to_string()).collect::<Vec<_>>(),
            ["a", "a/b", "link"]
        );
        assert_eq!(hash(folder.path()), before);
        fs::write(path("a/b"), "two").expect("writable");
        assert_ne!(hash(folder.path()), before);
        fs::write(path("a/b"), "one").expect("writable");
        fs::set_permissions(path("a/b"), fs::Permissions::from_mode(0o600)).expect("ours");
        assert_ne!(hash(folder.path()), before);
        assert!(hash(&path("missing")).is_empty());
    }
}
