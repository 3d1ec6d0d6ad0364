//! A text takes the place of another in one step, and somebody who saved in between is noticed and loses nothing.

use std::fs;
use std::io;
use std::path::Path;

use base::file::{self, FileError};

/// How often somebody may save between two steps before their last text is left in the draft's place.
const ROUNDS: usize = 100;

/// The bytes of a file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { what: "read", path: path.to_path_buf(), source }),
    }
}

/// Puts `text` at `path`, where `before` is expected (`None`: nothing). Where something else is there by then, that
/// stays, and is returned. `between` is run at the last moment.
pub(super) fn put(
    path: &Path,
    before: Option<&[u8]>,
    text: &[u8],
    between: impl FnOnce(),
) -> Result<Option<Vec<u8>>, FileError> {
    let Some(before) = before else {
        between();
        let is_ours = file::create_new(path, text)?;
        if is_ours {
            file::sync_folder_of(path)?;
            return Ok(None);
        }
        return Ok(Some(read(path)?.unwrap_or_default()));
    };
    let draft = file::draft(path, text)?;
    between();
    let swapped = match file::swap(&draft, path) {
        Ok(true) => settle(&draft, path, before, text),
        Ok(false) => put_over(&draft, path, before),
        Err(error) => Err(error),
    };
    // What nobody needs any more: our own text, or the one that ours was based on.
    if is_known(&draft, before, text) {
        let _ = file::remove(&draft);
    }
    match swapped? {
        Settled::Ours => Ok(None),
        Settled::Theirs(other) => Ok(Some(other)),
    }
}

/// Whose text is at the path.
enum Settled {
    Ours,
    Theirs(Vec<u8>),
}

/// What came out is either what was expected, or goes back: the last text of somebody else is what stays.
fn settle(draft: &Path, path: &Path, before: &[u8], text: &[u8]) -> Result<Settled, FileError> {
    let came = read(draft)?.unwrap_or_default();
    if came == before {
        return match file::sync_folder_of(path) {
            Ok(()) => Ok(Settled::Ours),
            Err(error) => file::swap(draft, path).and(Err(error)),
        };
    }
    let (mut put, mut other) = (text.to_vec(), came);
    for _ in 0..ROUNDS {
        file::swap(draft, path)?;
        let out = read(draft)?.unwrap_or_default();
        if out == put {
            break;
        }
        // Saved between our two steps: that is newer than what was just put back.
        (put, other) = (other, out);
    }
    file::sync_folder_of(path)?;
    Ok(Settled::Theirs(other))
}

/// For file systems that cannot exchange: a last look, then over it.
fn put_over(draft: &Path, path: &Path, before: &[u8]) -> Result<Settled, FileError> {
    let now = read(path)?.unwrap_or_default();
    if now != before {
        return Ok(Settled::Theirs(now));
    }
    file::put_over(draft, path)?;
    file::sync_folder_of(path)?;
    Ok(Settled::Ours)
}

fn is_known(draft: &Path, before: &[u8], text: &[u8]) -> bool {
    read(draft).ok().flatten().is_some_and(|it| it == before || it == text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn folder(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("openclaw.json");
        file::replace(&path, text).expect("written");
        (home, path)
    }

    #[test]
    fn an_editor_that_saves_at_the_last_moment_wins_and_is_told_of() {
        let (home, path) = folder(b"old");
        let save = || file::replace(&path, b"edited").expect("written");
        let other = put(&path, Some(b"old"), b"new", save).expect("no fault");
        assert_eq!(other.as_deref(), Some(&b"edited"[..]));
        assert_eq!(read(&path).expect("read").as_deref(), Some(&b"edited"[..]));
        assert_eq!(fs::read_dir(home.path()).expect("list").count(), 1, "a draft is left");
    }

    #[test]
    fn a_file_that_appears_or_goes_is_not_written_over() {
        let (home, path) = folder(b"old");
        fs::remove_file(&path).expect("removed");
        let save = || file::replace(&path, b"theirs").expect("written");
        assert_eq!(put(&path, None, b"ours", save).expect("no fault").as_deref(), Some(&b"theirs"[..]));
        let gone = || fs::remove_file(&path).expect("removed");
        assert!(put(&path, Some(b"theirs"), b"ours", gone).is_err());
        assert_eq!(fs::read_dir(home.path()).expect("list").count(), 0, "a draft is left");
    }

    #[test]
    fn without_an_exchange_the_last_look_decides() {
        let (_home, path) = folder(b"old");
        for (before, expected) in [(&b"other"[..], &b"old"[..]), (b"old", b"new")] {
            let draft = file::draft(&path, b"new").expect("written");
            let ours = matches!(put_over(&draft, &path, before).expect("no fault"), Settled::Ours);
            assert_eq!((ours, read(&path).expect("read")), (expected == b"new", Some(expected.to_vec())));
        }
    }
}
