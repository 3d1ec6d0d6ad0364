//! Read a snapshot strictly: only what ours hold, each entry once and in its folder, every sum compared.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use base::random::hex_of;
use flate2::bufread::GzDecoder;
use ring::digest::{Context, SHA256};

use super::error::failed;
use super::piece::{Long, Piece, Seen, Taken};
use super::{ABOUT, About, Entry, FORMAT, Kind, MANIFEST, Manifest, SnapshotError};

/// The most entries. A million small files are no instance.
const MOST_ENTRIES: usize = 1_000_000;
/// The largest `about.json`, in bytes.
const LARGEST_ABOUT: u64 = 4 * 1024 * 1024;
/// The largest `manifest.json`, in bytes.
const LARGEST_MANIFEST: u64 = 512 * 1024 * 1024;
/// The largest `config-secrets.json`, in bytes; a config has at most 2 MiB.
const LARGEST_SECRETS: u64 = 8 * 1024 * 1024;
/// Zeros that may follow the last entry: tar fills its last record.
const MOST_PADDING: u64 = 1024 * 1024;
const BLOCK: usize = 128 * 1024;

/// The contents of the entry in hand.
pub(super) struct Data<'a> {
    source: &'a mut dyn Read,
    file: &'a Path,
    path: &'a str,
    left: u64,
    sum: Context,
    block: &'a mut [u8],
}

/// What is done with each entry. Contents that are not taken are read all the same.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Piece, &mut Data<'_>) -> Result<(), SnapshotError>;

/// A [`Visit`] that is told how many bytes of the file are read, and of how many.
pub(super) type VisitMetered<'a> =
    &'a mut dyn FnMut(&Piece, &mut Data<'_>, (&Cell<u64>, u64)) -> Result<(), SnapshotError>;

/// What a snapshot says of itself, read from its beginning alone.
///
/// # Errors
/// When the file cannot be read, is no snapshot, or a newer version took it.
pub fn inspect(file: &Path) -> Result<About, SnapshotError> {
    let mut about = None;
    let stop = || SnapshotError::NotASnapshot { file: file.to_path_buf(), what: String::new() };
    let mut first = |piece: &Piece, data: &mut Data<'_>| {
        about = Some(read_about(piece, data)?);
        // Only to leave the archive here.
        Err(stop())
    };
    let (source, _, _) = open(file)?;
    let ended = each(GzDecoder::new(source), file, &mut Seen::default(), &mut first).map(|_| ());
    match (about, ended) {
        (Some(about), _) => Ok(about),
        (None, Err(SnapshotError::Damaged { file, what, .. })) => {
            Err(SnapshotError::NotASnapshot { file, what })
        }
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(SnapshotError::NotASnapshot { file: file.to_path_buf(), what: "empty".into() }),
    }
}

/// Reads the whole snapshot and compares it with its manifest: every entry is there once, and nothing besides;
/// sizes and sums agree.
///
/// # Errors
/// Names the entry at fault.
pub fn verify(file: &Path) -> Result<Manifest, SnapshotError> {
    inspect(file)?;
    read_through(file, &mut Seen::default(), &mut |_, _, _| Ok(())).map(|(_, manifest)| manifest)
}

/// Reads the whole snapshot as [`verify`] does, and hands on every entry but the first and the last, with how many
/// bytes of the file are read, and of how many.
pub(super) fn read_through(
    file: &Path,
    seen: &mut Seen,
    visit: VisitMetered<'_>,
) -> Result<(About, Manifest), SnapshotError> {
    let (source, read, size) = open(file)?;
    let damaged = |entry: &str, what: &str| SnapshotError::Damaged {
        file: file.to_path_buf(),
        entry: entry.to_owned(),
        what: what.to_owned(),
    };
    let (mut about, mut manifest) = (None, None);
    let mut part = |piece: &Piece, data: &mut Data<'_>| match (&about, piece.path.as_str()) {
        (None, _) => {
            about = Some(read_about(piece, data)?);
            Ok(())
        }
        (Some(_), MANIFEST) => {
            let bytes = data.all(LARGEST_MANIFEST)?;
            let read = serde_json::from_slice::<Manifest>(&bytes);
            manifest = Some(read.map_err(|it| damaged(MANIFEST, &it.to_string()))?);
            Ok(())
        }
        (Some(_), _) if manifest.is_some() => Err(damaged(&piece.path, "it comes after the manifest")),
        (Some(_), _) => visit(piece, data, (&read, size)),
    };
    let (found, rest) = each(GzDecoder::new(source), file, seen, &mut part)?;
    let Some((about, manifest)) = about.zip(manifest) else {
        return Err(damaged(MANIFEST, "the archive ends without it"));
    };
    compare(&found, &manifest).map_err(|(entry, what)| damaged(&entry, what))?;
    end(rest).map_err(|it| damaged(MANIFEST, &format!("after it: {it}")))?;
    Ok((about, manifest))
}

/// Visits every entry of a tar, and returns them with what follows the last.
pub(super) fn each<R: Read>(
    source: R,
    file: &Path,
    seen: &mut Seen,
    visit: Visit<'_>,
) -> Result<(Vec<Entry>, R), SnapshotError> {
    let mut archive = tar::Archive::new(source);
    let mut found: Vec<Entry> = Vec::new();
    let mut block = vec![0; BLOCK];
    let mut long = Long::default();
    // Raw, because the tar crate reads the names that stand in entries of their own without a bound.
    for entry in archive.entries().map_err(failed("read", file))?.raw(true) {
        let last = found.last().map_or(ABOUT, |it| it.path.as_str());
        let damaged = |what: &str| SnapshotError::Damaged {
            file: file.to_path_buf(),
            entry: last.to_owned(),
            what: what.to_owned(),
        };
        let mut entry = entry.map_err(|it| damaged(&format!("it or what follows: {it}")))?;
        match long.take(&mut entry).map_err(|it| damaged(&format!("what follows: {it}")))? {
            Taken::Name => continue,
            Taken::Entry => {}
        }
        let piece = match long.piece(&entry) {
            Ok(it) if found.len() < MOST_ENTRIES => it,
            Ok(_) => return Err(damaged("there are too many entries")),
            Err((entry, what)) => return Err(unsafe_at(file, entry, what)),
        };
        seen.admit(&piece).map_err(|what| unsafe_at(file, piece.path.clone(), what))?;
        let left = if piece.kind == Kind::File { piece.size } else { 0 };
        let sum = Context::new(&SHA256);
        let mut data = Data { source: &mut entry, file, path: &piece.path, left, sum, block: &mut block };
        visit(&piece, &mut data)?;
        while data.next()?.is_some() {}
        let mut sum = data.sum;
        if piece.kind == Kind::Link {
            sum.update(piece.place.as_bytes());
        }
        let sha256 = hex_of(sum.finish().as_ref());
        let Piece { path, kind, size, mode, .. } = piece;
        found.push(Entry { path, kind, size, mode, sha256 });
    }
    Ok((found, archive.into_inner()))
}

impl Data<'_> {
    /// The next bytes; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.block.len());
        let found = loop {
            match self.source.read(&mut self.block[..wanted]) {
                Ok(0) => return Err(self.damaged("the archive ends in it")),
                Ok(it) => break it,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        };
        self.left -= found as u64;
        self.sum.update(&self.block[..found]);
        Ok(Some(&self.block[..found]))
    }

    /// Everything, where it is no more than `most` bytes.
    fn all(&mut self, most: u64) -> Result<Vec<u8>, SnapshotError> {
        if self.left > most {
            return Err(self.damaged("it is too large"));
        }
        let mut bytes = Vec::new();
        while let Some(it) = self.next()? {
            bytes.extend_from_slice(it);
        }
        Ok(bytes)
    }

    /// The contents of `config-secrets.json`.
    pub(super) fn config_secrets(&mut self) -> Result<Vec<u8>, SnapshotError> {
        self.all(LARGEST_SECRETS)
    }

    fn damaged(&self, what: &str) -> SnapshotError {
        let (file, entry) = (self.file.to_path_buf(), self.path.to_owned());
        SnapshotError::Damaged { file, entry, what: what.to_owned() }
    }
}

fn unsafe_at(file: &Path, entry: String, what: &str) -> SnapshotError {
    SnapshotError::Unsafe {
        file: file.to_path_buf(),
        entry: base::text::line(&entry, 200),
        what: what.to_owned(),
    }
}

fn read_about(piece: &Piece, data: &mut Data<'_>) -> Result<About, SnapshotError> {
    let file: PathBuf = data.file.to_path_buf();
    let stranger = |what: String| SnapshotError::NotASnapshot { file: file.clone(), what };
    if piece.path != ABOUT {
        return Err(stranger(format!("it does not begin with {ABOUT}")));
    }
    let bytes = data.all(LARGEST_ABOUT)?;
    // A newer format may say other things; its number is always there.
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|it| stranger(format!("{ABOUT}: {it}")))?;
    match value["format"].as_u64().and_then(|it| u32::try_from(it).ok()) {
        Some(found) if found > FORMAT => Err(SnapshotError::Newer { file, found, known: FORMAT }),
        Some(_) => serde_json::from_value(value).map_err(|it| stranger(format!("{ABOUT}: {it}"))),
        None => Err(stranger(format!("{ABOUT} names no format"))),
    }
}

fn compare(found: &[Entry], manifest: &Manifest) -> Result<(), (String, &'static str)> {
    let mut listed = HashMap::new();
    for it in &manifest.entries {
        if listed.insert(it.path.as_str(), it).is_some() {
            return Err((it.path.clone(), "the manifest lists it twice"));
        }
    }
    for it in found.iter().filter(|it| it.path != MANIFEST) {
        let what = match listed.remove(it.path.as_str()) {
            None => "the manifest does not list it",
            Some(listed) if listed.size != it.size => "its size is another",
            Some(listed) if listed.sha256 != it.sha256 => "its sum is another",
            Some(listed) if listed != it => "its kind or mode is another",
            Some(_) => continue,
        };
        return Err((it.path.clone(), what));
    }
    let missing = manifest.entries.iter().find(|it| listed.contains_key(it.path.as_str()));
    missing.map_or(Ok(()), |it| Err((it.path.clone(), "it is missing")))
}

/// What follows the last entry is zeros, the sum of the whole, and nothing.
fn end(mut rest: GzDecoder<impl BufRead>) -> io::Result<()> {
    let mut padding = Vec::new();
    (&mut rest).take(MOST_PADDING + 1).read_to_end(&mut padding)?;
    let is_padding = padding.len() as u64 <= MOST_PADDING && padding.iter().all(|it| *it == 0);
    if is_padding && rest.into_inner().fill_buf()?.is_empty() {
        return Ok(());
    }
    Err(io::Error::other("there is something that does not belong to it"))
}

struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let found = self.file.read(into)?;
        self.read.set(self.read.get() + found as u64);
        Ok(found)
    }
}

type Opened = (BufReader<Counted>, Rc<Cell<u64>>, u64);

fn open(path: &Path) -> Result<Opened, SnapshotError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let found = file.metadata().map_err(failed("open", path))?;
    if !found.is_file() {
        let what = "it is no file".to_owned();
        return Err(SnapshotError::NotASnapshot { file: path.to_path_buf(), what });
    }
    let read = Rc::new(Cell::new(0));
    let counted = Counted { file, read: Rc::clone(&read) };
    Ok((BufReader::with_capacity(BLOCK, counted), read, found.len()))
}
