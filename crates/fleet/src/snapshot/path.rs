//! Paths within an archive: read such that none leads out of the folder that it is unpacked in.

use std::path::{Component, Path};

/// The longest path of an entry, in bytes.
pub(super) const LONGEST: usize = 4096;
/// The longest name of one file or folder, in bytes: no file system of ours has longer ones.
const LONGEST_NAME: usize = 255;
/// The most folders in one another.
const DEEPEST: usize = 256;

/// The path of an entry: names joined with slashes, none of them `.` or `..`. Says what is wrong otherwise.
pub(super) fn parse(bytes: &[u8]) -> Result<&str, &'static str> {
    let path = std::str::from_utf8(bytes).map_err(|_| "its path is no UTF-8")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    match path {
        "" => return Err("it has no path"),
        it if it.len() > LONGEST => return Err("its path is too long"),
        it if it.starts_with('/') => return Err("its path is absolute"),
        _ => {}
    }
    let mut depth = 0;
    for name in path.split('/') {
        depth += 1;
        match name {
            "" | "." | ".." => return Err("its path leads elsewhere"),
            it if it.len() > LONGEST_NAME || it.contains('\0') => return Err("no file can have its name"),
            _ => {}
        }
    }
    if depth > DEEPEST { Err("its path is too deep") } else { Ok(path) }
}

/// Whether a link at `at` (within its tree) that names `place` stays in the tree, whatever the other links there
/// name: it only goes up from where it is, then only down.
pub(super) fn stays(at: &str, place: &Path) -> bool {
    let depth = at.split('/').count() - 1;
    let mut up = 0;
    let mut is_down = false;
    for part in place.components() {
        match part {
            Component::Normal(_) => is_down = true,
            Component::CurDir => {}
            Component::ParentDir if !is_down => up += 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth && !place.as_os_str().is_empty()
}

/// The tree that an entry belongs to, and its path in it: `state`, and each of `outside/N`.
pub(super) fn within(path: &str) -> Option<(&str, &str)> {
    if let Some(rest) = path.strip_prefix("outside/") {
        let (number, rest) = rest.split_once('/')?;
        return Some((&path[.."outside/".len() + number.len()], rest));
    }
    path.split_once('/').filter(|(tree, _)| *tree == super::STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_that_stay_and_no_others() {
        let (long, deep) = (format!("state/{}", "a".repeat(256)), "a/".repeat(300));
        for (path, expected) in [
            ("state/a b/ü", Some("state/a b/ü")),
            ("state/..a", Some("state/..a")),
            ("state/", Some("state")),
            ("/etc/passwd", None),
            ("state/../x", None),
            ("..", None),
            ("./state", None),
            ("state//x", None),
            ("state/x//", None),
            ("", None),
            ("/", None),
            ("state/a\0b", None),
            (&long, None),
            (&deep, None),
        ] {
            assert_eq!(parse(path.as_bytes()).ok(), expected, "{path:?}");
        }
        assert!(parse(b"state/\xff").is_err());
    }

    #[test]
    fn a_link_stays_when_it_goes_up_within_and_then_only_down() {
        for (at, place, expected) in [
            ("a", "b", true),
            ("a/b", "../c/d", true),
            ("a/b", "./c", true),
            ("a/b", "..", true),
            ("a", "..", false),
            ("a/b", "../../c", false),
            ("a/b/c", "d/../../e", false),
            ("a", "/etc", false),
            ("a", "", false),
        ] {
            assert_eq!(stays(at, Path::new(place)), expected, "{at} -> {place}");
        }
        assert_eq!(within("outside/3/a/b"), Some(("outside/3", "a/b")));
        assert_eq!(within("state/a"), Some(("state", "a")));
        assert_eq!((within("state"), within("outside/3"), within("x/a")), (None, None, None));
    }
}
