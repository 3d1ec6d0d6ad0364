//! Generations: every config that a gateway of this instance accepted, as it was, newest last; with who wrote it, when
//! and why. Who reads them needs no running gateway.
//!
//! A generation is a text, `NNNNNN-SUM.json5`, and beside it what is known about it, `NNNNNN-SUM.json`. Who writes a
//! config leaves a note for its text, which whoever accepts that text takes up; a text that nobody noted was edited
//! in the file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base::file::{self, FileError};
use base::{clock, random};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::locks;
use crate::writing::Author;

/// The folder's name within the state folder.
const FOLDER: &str = "generations";
/// How many are kept.
const KEPT: usize = 50;
/// How many notes wait for somebody to accept their texts.
const NOTES: usize = 20;
/// How the names of notes begin.
const NOTE: &str = "note-";
/// The most bytes that are kept of who, and of why.
const LONGEST: (usize, usize) = (80, 400);
/// How long to wait for another process that accepts a config at the same time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who changed a text that nobody noted.
const HAND: &str = "hand";

/// One accepted config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// From 1; the first config that was accepted.
    pub number: u64,
    /// Unix milliseconds of its first acceptance.
    pub at: u64,
    /// Where its text is.
    pub path: PathBuf,
    /// Who wrote it: a program or client, or `hand`.
    pub by: String,
    /// What for.
    pub why: String,
    /// The files that it included, as they were.
    pub includes: Vec<(PathBuf, String)>,
    sum: String,
}

/// What is known about a generation, or noted about one to come.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    at: u64,
    by: String,
    why: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    includes: Vec<Include>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Include {
    path: PathBuf,
    text: String,
}

impl Generation {
    /// Whether its text is this one.
    pub fn is(&self, text: &str) -> bool {
        self.sum == sum_of(text, &self.includes)
    }

    /// Its text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn text(&self) -> io::Result<String> {
        fs::read_to_string(&self.path)
    }
}

/// All that are kept, oldest first.
pub fn all(state_dir: &Path) -> Vec<Generation> {
    let mut found: Vec<_> = entries(state_dir).into_iter().filter_map(|it| parse(&it)).collect();
    found.sort_by_key(|it| it.number);
    found
}

/// The newest.
pub fn last(state_dir: &Path) -> Option<Generation> {
    let numbered = entries(state_dir).into_iter().filter_map(|it| Some((number_of(&it)?.0, it)));
    parse(&numbered.max_by_key(|(number, _)| *number)?.1)
}

/// Notes that a gateway runs with this text. The same text as before is the same generation.
///
/// # Errors
/// When the state folder cannot be written.
pub fn accept(state_dir: &Path, text: &str) -> Result<u64, FileError> {
    accept_with(state_dir, text, &[])
}

/// As [`accept`], for a text that includes other files: they are kept with it, and where one of them changes, that is
/// another generation.
///
/// # Errors
/// As [`accept`].
pub fn accept_with(state_dir: &Path, text: &str, includes: &[(PathBuf, String)]) -> Result<u64, FileError> {
    let sum = sum_of(text, includes);
    let is_last = |it: &Generation| it.sum == sum;
    if let Some(last) = last(state_dir).filter(is_last) {
        return Ok(last.number);
    }
    let folder = made(state_dir)?;
    let _alone = alone(&folder.join("accepting"))?;
    let before = last(state_dir);
    if let Some(last) = before.as_ref().filter(|it| is_last(it)) {
        return Ok(last.number);
    }
    let number = before.map_or(1, |it| it.number + 1);
    let note = folder.join(note_name(text));
    let about = About { includes: includes.iter().map(Include::of).collect(), ..noted(&note) };
    let about = serde_json::to_vec(&about).expect("times, words and texts always write");
    let name = format!("{number:06}-{sum}");
    // A gateway starts in milliseconds, and a text that a power cut takes is that of the config file itself.
    file::replace_advisory(&folder.join(format!("{name}.json")), &about)?;
    file::replace_advisory(&folder.join(format!("{name}.json5")), text.as_bytes())?;
    file::remove(&note)?;
    for old in all(state_dir).iter().rev().skip(KEPT) {
        file::remove(&old.path)?;
        file::remove(&old.path.with_extension("json"))?;
    }
    Ok(number)
}

/// Leaves a note about a text that is about to be written, for whoever accepts it.
///
/// # Errors
/// When the state folder cannot be written.
pub(crate) fn note(state_dir: &Path, text: &str, author: &Author) -> Result<(), FileError> {
    let folder = made(state_dir)?;
    let (by, why) = (base::text::line(&author.by, LONGEST.0), base::text::line(&author.why, LONGEST.1));
    let about = About { at: clock::now_ms(), by, why, includes: Vec::new() };
    let about = serde_json::to_vec(&about).expect("times and words always write");
    file::replace_advisory(&folder.join(note_name(text)), &about)?;
    // What was written and never accepted is told of by nobody; it must not grow for ever.
    let is_note = |it: &fs::DirEntry| it.file_name().to_str().is_some_and(|it| it.starts_with(NOTE));
    let mut notes: Vec<_> = entries(state_dir).into_iter().filter(is_note).collect();
    notes.sort_by_key(|it| it.metadata().and_then(|it| it.modified()).ok());
    let many = notes.len().saturating_sub(NOTES);
    notes.iter().take(many).try_for_each(|it| file::remove(&it.path()))
}

/// The folder of the generations, whether or not it is there.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

/// The folder of the generations, made where it is missing.
pub(crate) fn made(state_dir: &Path) -> Result<PathBuf, FileError> {
    let folder = folder(state_dir);
    file::private_folder(&folder)?;
    Ok(folder)
}

impl Include {
    fn of((path, text): &(PathBuf, String)) -> Self {
        Self { path: path.clone(), text: text.clone() }
    }
}

/// What is noted about a text; one without a note was edited in the file.
fn noted(note: &Path) -> About {
    let noted = fs::read(note).ok().and_then(|it| serde_json::from_slice::<About>(&it).ok());
    let (by, why) = noted.map_or_else(by_hand, |it| (it.by, it.why));
    About { at: clock::now_ms(), by, why, includes: Vec::new() }
}

fn by_hand() -> (String, String) {
    (HAND.to_owned(), "edited in the file".to_owned())
}

/// One process at a time gives out a number.
fn alone(path: &Path) -> Result<File, FileError> {
    let busy =
        || FileError { what: "lock", path: path.to_path_buf(), source: io::ErrorKind::TimedOut.into() };
    locks::wait(path, PATIENCE)?.ok_or_else(busy)
}

fn note_name(text: &str) -> String {
    format!("{NOTE}{}.json", sum_of(text, &[]))
}

fn sum_of(text: &str, includes: &[(PathBuf, String)]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(text.as_bytes());
    for (path, text) in includes {
        // The lengths keep two files from passing for one.
        let path = path.as_os_str().as_encoded_bytes();
        for part in [path, text.as_bytes()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
    }
    random::hex_of(&context.finish().as_ref()[..8])
}

fn entries(state_dir: &Path) -> Vec<fs::DirEntry> {
    let files = fs::read_dir(folder(state_dir)).map(|it| it.flatten().collect::<Vec<_>>());
    files.unwrap_or_default()
}

fn number_of(entry: &fs::DirEntry) -> Option<(u64, String)> {
    let name = entry.file_name().into_string().ok()?;
    let (number, sum) = name.strip_suffix(".json5")?.split_once('-')?;
    Some((number.parse().ok()?, sum.to_owned()))
}

fn parse(entry: &fs::DirEntry) -> Option<Generation> {
    let (number, sum) = number_of(entry)?;
    let path = entry.path();
    let about = fs::read(path.with_extension("json")).ok();
    let about = about.and_then(|it| serde_json::from_slice::<About>(&it).ok());
    let about = match about {
        Some(it) => it,
        None => {
            let written = entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            let (by, why) = by_hand();
            About { at: u64::try_from(written.as_millis()).ok()?, by, why, includes: Vec::new() }
        }
    };
    let includes = about.includes.into_iter().map(|it| (it.path, it.text)).collect();
    Some(Generation { number, at: about.at, path, by: about.by, why: about.why, includes, sum })
}

#[cfg(test)]
mod tests {
    use std::thread;

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
        let files = entries(home.path()).len();
        assert_eq!(files, 2 * KEPT + 1, "a text and what is known of it, each, and the lock");
    }

    #[test]
    fn who_wrote_a_text_is_known_once_it_is_accepted() {
        let home = tempfile::tempdir().expect("a folder");
        let author = |why: &str| Author { by: "cli".to_owned(), why: why.to_owned() };
        note(home.path(), "{a:1}", &author("first")).expect("noted");
        note(home.path(), "{a:2}", &author("never accepted")).expect("noted");
        for text in ["{a:1}", "{a:3}", "{a:1}"] {
            accept(home.path(), text).expect("written");
        }
        let told: Vec<_> = all(home.path()).into_iter().map(|it| (it.by, it.why)).collect();
        let told: Vec<_> = told.iter().map(|(by, why)| (by.as_str(), why.as_str())).collect();
        assert_eq!(told, [("cli", "first"), ("hand", "edited in the file"), ("hand", "edited in the file")]);
        for it in 0..2 * NOTES {
            note(home.path(), &it.to_string(), &author("")).expect("noted");
        }
        let is_note = |it: &fs::DirEntry| it.file_name().to_string_lossy().starts_with(NOTE);
        assert_eq!(entries(home.path()).iter().filter(|it| is_note(it)).count(), NOTES);
    }

    #[test]
    fn what_is_included_is_part_of_a_generation() {
        let home = tempfile::tempdir().expect("a folder");
        let include = |text: &str| vec![(PathBuf::from("/x/more.json5"), text.to_owned())];
        let accepted = |includes: &[(PathBuf, String)]| {
            accept_with(home.path(), "{$include: 'more.json5'}", includes).expect("written")
        };
        assert_eq!(
            [accepted(&include("{a:1}")), accepted(&include("{a:1}")), accepted(&include("{a:2}"))],
            [1, 1, 2]
        );
        let newest = last(home.path()).expect("there");
        assert_eq!(newest.includes, include("{a:2}"));
        assert!(newest.is("{$include: 'more.json5'}") && !newest.is("{}"));
        assert_eq!(accepted(&[]), 3);
    }

    #[test]
    fn two_at_once_give_out_no_number_twice() {
        let home = tempfile::tempdir().expect("a folder");
        let accept_one = |it: usize| accept(home.path(), &format!("{{a:{it}}}")).expect("written");
        let numbers = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|it| scope.spawn(move || accept_one(it))).collect();
            let mut numbers: Vec<_> = threads.into_iter().map(|it| it.join().expect("no panic")).collect();
            numbers.sort_unstable();
            numbers
        });
        assert_eq!(numbers, (1..=16).collect::<Vec<u64>>());
        assert_eq!(all(home.path()).len(), 16);
    }
}
