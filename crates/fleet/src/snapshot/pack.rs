//! Write entries into a tar, each summed up while it is read once.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use base::file::FileError;
use base::random::hex_of;
use ring::digest::{Context, SHA256, digest};
use rustix::fs::{Mode, OFlags};

use super::contents::{Contents, Item, What};
use super::error::failed;
use super::{Entry, Kind, LeftOut, Manifest, Progress, SnapshotError};

/// A file up to this size is read before its entry begins, so that its size in the archive is what was read.
const SMALL: u64 = 256 * 1024;
/// What is read at once of a larger one.
const BLOCK: usize = 128 * 1024;

/// Tells how far it is.
pub(super) struct Meter<'a> {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    pub(super) said: &'a mut dyn FnMut(Progress<'_>),
}

impl Meter<'_> {
    /// So many more bytes of this entry are done.
    pub(super) fn add(&mut self, bytes: usize, path: &str) {
        self.done += bytes as u64;
        (self.said)(Progress { done: self.done, total: self.total, path });
    }
}

/// A tar that is being written.
pub(super) struct Packer<W: Write> {
    tar: tar::Builder<W>,
    /// For messages.
    name: std::path::PathBuf,
    entries: Vec<Entry>,
}

impl<W: Write> Packer<W> {
    /// Writes to `to`, which messages call `name`.
    pub(super) fn new(to: W, name: &Path) -> Self {
        Self { tar: tar::Builder::new(to), name: name.to_path_buf(), entries: Vec::new() }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Everything in it so far.
    pub(super) fn manifest(&self) -> Manifest {
        Manifest { entries: self.entries.clone() }
    }

    /// A file out of memory.
    pub(super) fn bytes(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.put(path, &Shape { kind: Kind::File, mode, modified: 0 }, bytes)
    }

    /// A folder.
    pub(super) fn folder(&mut self, path: &str, mode: u32) -> Result<(), SnapshotError> {
        self.put(path, &Shape { kind: Kind::Folder, mode, modified: 0 }, &[])
    }

    /// One thing of an instance, below `tree`, or at the top for an empty one. What is not there any more, or may not be read, is noted.
    pub(super) fn item(
        &mut self,
        tree: &str,
        item: &Item,
        meter: &mut Meter<'_>,
        notes: &mut Contents,
    ) -> Result<(), SnapshotError> {
        let path = if tree.is_empty() { item.path.clone() } else { format!("{tree}/{}", item.path) };
        let shape = |kind| Shape { kind, mode: item.mode, modified: item.modified };
        match &item.what {
            What::Folder => self.put(&path, &shape(Kind::Folder), &[]),
            What::Link(place) => self.put(&path, &shape(Kind::Link), place.as_bytes()),
            What::File(_) => {
                let (mut file, size) = match open(&item.from) {
                    Ok(it) => it,
                    Err(error) => return notes.skipped(&item.from, &error),
                };
                if size <= SMALL {
                    let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or_default());
                    (&mut file).take(SMALL).read_to_end(&mut bytes).map_err(failed("read", &item.from))?;
                    self.put(&path, &shape(Kind::File), &bytes)?;
                    meter.add(bytes.len(), &path);
                    return Ok(());
                }
                let is_short = self.stream(&path, item, (file, size), meter)?;
                if is_short {
                    let reason = "it was cut while it was read, and ends with zeros".to_owned();
                    notes.left_out.push(LeftOut { path: item.from.clone(), reason });
                }
                Ok(())
            }
        }
    }

    /// Ends the tar.
    pub(super) fn finish(self) -> Result<W, SnapshotError> {
        self.tar.into_inner().map_err(failed("write", &self.name))
    }

    fn put(&mut self, path: &str, shape: &Shape, bytes: &[u8]) -> Result<(), SnapshotError> {
        let is_file = shape.kind == Kind::File;
        let size = if is_file { bytes.len() as u64 } else { 0 };
        let mut header = shape.header(size);
        let written = match (shape.kind, std::str::from_utf8(bytes)) {
            (Kind::Link, Ok(place)) => self.tar.append_link(&mut header, path, place),
            _ => self.tar.append_data(&mut header, path, if is_file { bytes } else { &[] }),
        };
        written.map_err(failed("write", &self.name))?;
        self.note(path, shape, size, digest(&SHA256, bytes).as_ref());
        Ok(())
    }

    /// True when the file was shorter than it said.
    fn stream(
        &mut self,
        path: &str,
        item: &Item,
        (file, size): (File, u64),
        meter: &mut Meter<'_>,
    ) -> Result<bool, SnapshotError> {
        let shape = Shape { kind: Kind::File, mode: item.mode, modified: item.modified };
        let sum = Context::new(&SHA256);
        let mut tee = Tee { file, left: size, sum, is_short: false, failed: None, path, meter };
        let buffered = BufReader::with_capacity(BLOCK, &mut tee);
        let written = self.tar.append_data(&mut shape.header(size), path, buffered);
        if let Some(error) = tee.failed.take() {
            return Err(failed("read", &item.from)(error));
        }
        let Tee { sum, is_short, .. } = tee;
        written.map_err(|source| FileError { what: "write", path: self.name.clone(), source })?;
        self.note(path, &shape, size, sum.finish().as_ref());
        Ok(is_short)
    }

    fn note(&mut self, path: &str, shape: &Shape, size: u64, sum: &[u8]) {
        let Shape { kind, mode, .. } = *shape;
        self.entries.push(Entry { path: path.to_owned(), kind, size, mode, sha256: hex_of(sum) });
    }
}

struct Shape {
    kind: Kind,
    mode: u32,
    modified: u64,
}

impl Shape {
    fn header(&self, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(match self.kind {
            Kind::File => tar::EntryType::Regular,
            Kind::Folder => tar::EntryType::Directory,
            Kind::Link => tar::EntryType::Symlink,
        });
        header.set_size(size);
        header.set_mode(self.mode);
        header.set_mtime(self.modified);
        header.set_uid(0);
        header.set_gid(0);
        header
    }
}

/// Opens a file and says its size. Something else in its place by now is as good as gone.
pub(super) fn open(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(it) => File::from(it),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
            return Err(io::ErrorKind::NotFound.into());
        }
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Reads exactly as many bytes as were announced: no more of a file that grew, and zeros where one shrank.
struct Tee<'a, 'b> {
    file: File,
    left: u64,
    sum: Context,
    is_short: bool,
    failed: Option<io::Error>,
    path: &'a str,
    meter: &'a mut Meter<'b>,
}

impl Read for Tee<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if wanted == 0 {
            return Ok(0);
        }
        let into = &mut into[..wanted];
        let mut found =
            if self.is_short { 0 } else { self.file.read(into).inspect_err(|it| self.note(it))? };
        if found == 0 {
            self.is_short = true;
            into.fill(0);
            found = wanted;
        }
        self.sum.update(&into[..found]);
        self.left -= found as u64;
        self.meter.add(found, self.path);
        Ok(found)
    }
}

impl Tee<'_, '_> {
    fn note(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        }
    }
}
