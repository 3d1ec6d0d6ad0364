//! Generations: every config that a gateway of this instance accepted, as it was, newest last. Who reads them needs no
//! running gateway.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base::file::{self, FileError};
use base::random;
use ring::digest;

/// The folder's name within the state folder.
const FOLDER: &str = "generations";
/// How many are kept.
const KEPT: usize = 50;

/// One accepted config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// From 1; the first config that was accepted.
    pub number: u64,
    /// Unix milliseconds of its first acceptance.
    pub at: u64,
    /// Where its text is.
    pub path: PathBuf,
    sum: String,
}

impl Generation {
    /// Whether its text is this one.
    pub fn is(&self, text: &str) -> bool {
        self.sum == sum_of(text)
    }

    /// Its text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn text(&self) -> std::io::Result<String> {
        fs::read_to_string(&self.path)
    }
}

/// All that are kept, oldest first.
pub fn all(state_dir: &Path) -> Vec<Generation> {
    let files = fs::read_dir(state_dir.join(FOLDER)).map(|it| it.flatten().collect::<Vec<_>>());
    let mut found: Vec<_> = files.unwrap_or_default().into_iter().filter_map(|it| parse(&it)).collect();
    found.sort_by_key(|it| it.number);
    found
}

/// The newest.
pub fn last(state_dir: &Path) -> Option<Generation> {
    all(state_dir).pop()
}

/// Notes that a gateway runs with this text. The same text as before is the same generation.
///
/// # Errors
/// When the state folder cannot be written.
pub fn accept(state_dir: &Path, text: &str) -> Result<u64, FileError> {
    let before = all(state_dir);
    if let Some(last) = before.last().filter(|it| it.is(text)) {
        return Ok(last.number);
    }
    let number = before.last().map_or(1, |it| it.number + 1);
    let folder = state_dir.join(FOLDER);
    file::private_folder(&folder)?;
    // A gateway starts in milliseconds, and a text that a power cut takes is that of the config file itself.
    file::replace_advisory(&folder.join(format!("{number:06}-{}.json5", sum_of(text))), text.as_bytes())?;
    for old in before.iter().rev().skip(KEPT - 1) {
        file::remove(&old.path)?;
    }
    Ok(number)
}

fn sum_of(text: &str) -> String {
    random::hex_of(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..8])
}

fn parse(entry: &fs::DirEntry) -> Option<Generation> {
    let name = entry.file_name().into_string().ok()?;
    let (number, sum) = name.strip_suffix(".json5")?.split_once('-')?;
    let written = entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Generation {
        number: number.parse().ok()?,
        at: u64::try_from(written.as_millis()).ok()?,
        path: entry.path(),
        sum: sum.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_changes_is_another_generation_and_the_last_ones_are_kept() {
        let home = tempfile::tempdir().expect("a folder");
        assert_eq!(last(home.path()), None);
        for (text, expected) in [("{a:1}", 1), ("{a:1}", 1), ("{a:2}", 2), ("{a:1}", 3), ("{a:1}", 3)] {
            assert_eq!(accept(home.path(), text).expect("written"), expected);
        }
        let newest = last(home.path()).expect("there");
        assert!(newest.is("{a:1}") && !newest.is("{a:2}"));
        assert_eq!(newest.text().expect("read"), "{a:1}");
        for it in 0..60 {
            accept(home.path(), &format!("{{b:{it}}}")).expect("written");
        }
        let kept: Vec<_> = all(home.path()).iter().map(|it| it.number).collect();
        assert_eq!((kept.len(), kept.first(), kept.last()), (KEPT, Some(&14), Some(&63)));
    }
}
