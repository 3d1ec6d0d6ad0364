//! A transcript of the original: a tree of entries, of which the newest branch is the conversation.
//!
//! It is gone through twice: once for the tree, of which only the links are kept, and once for what stands on the
//! branch, an entry at a time. So it may be larger than the memory.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use serde_json::Value;
use store::NewRecord;

use super::database::{self, Database};
use super::message;

/// The most bytes that an entry may have.
pub(super) const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// How many bad lines are told with their place.
pub(super) const TOLD: usize = 20;
/// Entries that are about the transcript itself.
const QUIET: [&str; 8] =
    ["session", "leaf", "reset", "custom", "label", "model_change", "thinking_level_change", "session_info"];

/// Where a transcript is.
#[derive(Clone)]
pub(super) enum Origin {
    /// In a file of lines.
    File(PathBuf),
    /// In the agent's database, by the session's id.
    Database(Rc<Database>, String),
    /// Nowhere.
    Missing,
}

/// What there is in a transcript, and what of it is left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages and notices on the newest branch.
    pub(super) kept: u64,
    /// Messages of other branches, and those before the conversation was started anew.
    pub(super) aside: u64,
    /// Entries of kinds that have no place here, by kind.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Lines that are no entry.
    pub(super) bad: u64,
    /// Where the first of them are.
    pub(super) bad_places: Vec<String>,
}

/// A transcript that has been gone through once.
pub(super) struct Outline {
    origin: Origin,
    branch: Vec<(Place, String)>,
    pub(super) tally: Tally,
}

/// The records of a transcript, in order.
pub(super) struct Records<'a> {
    outline: &'a Outline,
    file: Option<File>,
    next: usize,
    at: u64,
}

/// Where an entry is: in a file its first byte and its length, in a database its number.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    length: usize,
}

/// What the tree needs of an entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    r#type: String,
    id: Option<String>,
    // Absent in the oldest transcripts, which are no trees; null at a root.
    #[serde(default, deserialize_with = "there")]
    parent_id: Option<Option<String>>,
    target_id: Option<String>,
    first_kept_entry_id: Option<String>,
    message: Option<Role>,
    display: Option<bool>,
}

#[derive(Deserialize)]
struct Role {
    role: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    Something,
    Nothing,
    /// Everything before is put aside, but for what follows this entry.
    Anew(Option<usize>),
}

struct Node {
    parent: Option<usize>,
    place: Place,
    says: Says,
    id: String,
}

#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    by_id: HashMap<String, usize>,
}

impl Outline {
    /// Goes through a transcript. A line that is none of an entry is counted and passed over.
    pub(super) fn of(origin: &Origin) -> io::Result<Self> {
        let (mut tree, mut tally) = (Tree::default(), Tally::default());
        let mut take = |place: Place, name: &dyn Fn() -> String, bytes: Option<&[u8]>| {
            let line = bytes.and_then(|it| serde_json::from_slice::<Line>(it).ok());
            match line {
                Some(line) => tree.add(line, place, &mut tally),
                None => {
                    tally.bad += 1;
                    if tally.bad_places.len() < TOLD {
                        tally.bad_places.push(name());
                    }
                }
            }
        };
        match origin {
            Origin::File(path) => lines(path, &mut take)?,
            Origin::Database(database, session_id) => events(database, session_id, &mut take)?,
            Origin::Missing => {}
        }
        let branch = tree.branch();
        let said = tree.nodes.iter().filter(|it| it.says == Says::Something).count();
        tally.kept = branch.len() as u64;
        tally.aside = (said - branch.len()) as u64;
        Ok(Self { origin: origin.clone(), branch, tally })
    }

    /// The records, read again one by one. `created_at` is the time of those before the first that has one.
    pub(super) fn records(&self, created_at: u64) -> io::Result<Records<'_>> {
        let file = match &self.origin {
            Origin::File(path) => Some(File::open(path)?),
            _ => None,
        };
        Ok(Records { outline: self, file, next: 0, at: created_at })
    }
}

impl Iterator for Records<'_> {
    type Item = io::Result<NewRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (place, id) = self.outline.branch.get(self.next)?;
            self.next += 1;
            let entry = match self.entry(*place) {
                Ok(it) => it,
                Err(error) => return Some(Err(error)),
            };
            if let Some(record) = message::record(&entry, self.at) {
                self.at = record.at;
                return Some(Ok(NewRecord { id: id.clone(), record }));
            }
        }
    }
}

impl Records<'_> {
    fn entry(&self, place: Place) -> io::Result<Value> {
        let bytes = match (&self.file, &self.outline.origin) {
            (Some(file), _) => {
                let mut bytes = vec![0; place.length];
                file.read_exact_at(&mut bytes, place.at)?;
                bytes
            }
            (None, Origin::Database(database, session_id)) => event(database, session_id, place.at)?,
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl Tree {
    fn add(&mut self, line: Line, place: Place, tally: &mut Tally) {
        let known = |tree: &Self, id: &str| tree.by_id.get(id).copied();
        let before = self.nodes.len().checked_sub(1);
        let parent = match (line.r#type.as_str(), &line.parent_id) {
            ("session", _) => return,
            // A pointer to where the conversation goes on.
            ("leaf", _) => line.target_id.as_deref().and_then(|it| known(self, it)),
            (_, Some(None)) => None,
            // What a bad line took away leaves no hole: the entry follows what stands before it.
            (_, Some(Some(parent))) => known(self, parent).or(before),
            (_, None) => before,
        };
        let kept = line.first_kept_entry_id.as_deref().and_then(|it| known(self, it));
        let says = says(&line, kept, tally);
        let id = line.id.unwrap_or_else(|| format!("line-{}", self.nodes.len()));
        self.by_id.insert(id.clone(), self.nodes.len());
        self.nodes.push(Node { parent, place, says, id });
    }

    /// From the oldest to the newest entry of the branch that the last one is on, from where the conversation was
    /// last started anew.
    fn branch(&self) -> Vec<(Place, String)> {
        let mut way = Vec::new();
        let mut next = self.nodes.len().checked_sub(1);
        while let Some(at) = next {
            way.push(at);
            // Parents stand before their children, so that this ends.
            next = self.nodes[at].parent.filter(|it| *it < at);
        }
        way.reverse();
        let anew = way.iter().enumerate().rev().find_map(|(place, at)| match self.nodes[*at].says {
            Says::Anew(kept) => Some(kept.and_then(|it| way.binary_search(&it).ok()).unwrap_or(place)),
            _ => None,
        });
        way.split_off(anew.unwrap_or_default())
            .into_iter()
            .map(|at| &self.nodes[at])
            .filter(|it| it.says == Says::Something)
            .map(|it| (it.place, it.id.clone()))
            .collect()
    }
}

fn says(line: &Line, kept: Option<usize>, tally: &mut Tally) -> Says {
    let role = line.message.as_ref().and_then(|it| it.role.as_deref());
    let unknown = match (line.r#type.as_str(), role) {
        ("custom_message", _) if line.display == Some(false) => return Says::Nothing,
        ("message", Some("user" | "assistant" | "toolResult"))
        | ("compaction" | "branch_summary" | "custom_message", _) => return Says::Something,
        ("reset", _) => return Says::Anew(kept),
        ("message", role) => format!("message of {}", role.unwrap_or("nobody")),
        (kind, _) if QUIET.contains(&kind) => return Says::Nothing,
        (kind, _) => kind.to_owned(),
    };
    *tally.unknown.entry(base::text::line(&unknown, 60)).or_default() += 1;
    Says::Nothing
}

/// Where an entry is, what to call the place, and its text, unless it cannot be had.
type Take<'a> = dyn FnMut(Place, &dyn Fn() -> String, Option<&[u8]>) + 'a;

fn lines(path: &Path, take: &mut Take<'_>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, File::open(path)?);
    let (mut at, mut number) = (0_u64, 0_u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = LONGEST_LINE as u64 + 1;
        let length = reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        number += 1;
        let place = Place { at, length };
        let is_cut = length as u64 == limit && line.last() != Some(&b'\n');
        at += length as u64;
        if is_cut {
            at += reader.skip_until(b'\n')? as u64;
        }
        if is_cut || !line.trim_ascii().is_empty() {
            let name = || format!("{}:{number}", path.display());
            take(place, &name, (!is_cut).then_some(&line));
        }
    }
}

fn events(database: &Database, session_id: &str, take: &mut Take<'_>) -> io::Result<()> {
    let seqs = || -> rusqlite::Result<Vec<i64>> {
        let sql = "SELECT seq FROM transcript_events WHERE session_id = ?1 ORDER BY seq";
        let mut statement = database.connection.prepare_cached(sql)?;
        statement.query_map([session_id], |row| row.get(0))?.collect()
    };
    for seq in seqs().map_err(io::Error::other)? {
        let at = u64::try_from(seq).unwrap_or_default();
        let event = event(database, session_id, at).ok();
        let name = || format!("session {session_id}, event {seq}");
        let length = event.as_ref().map_or(0, Vec::len);
        take(Place { at, length }, &name, event.as_deref().filter(|it| it.len() <= LONGEST_LINE));
    }
    Ok(())
}

/// The text of an event, which the newest version may keep compressed.
fn event(database: &Database, session_id: &str, seq: u64) -> io::Result<Vec<u8>> {
    let sql = if database.packs {
        "SELECT event_json, event_zstd FROM transcript_events WHERE session_id = ?1 AND seq = ?2"
    } else {
        "SELECT event_json, NULL FROM transcript_events WHERE session_id = ?1 AND seq = ?2"
    };
    let read = || -> rusqlite::Result<Option<Stored>> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let mut statement = database.connection.prepare_cached(sql)?;
        statement.query_row(params![session_id, seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    match read().map_err(io::Error::other)? {
        Some((Some(text), _)) => Ok(text.into_bytes()),
        Some((None, Some(packed))) => database::unpack(&packed),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// An event as text, or compressed.
type Stored = (Option<String>, Option<Vec<u8>>);

/// Tells a key that is null from one that is not there.
fn there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}
