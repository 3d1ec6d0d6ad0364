//! The files of one log: the one that is written, and those that were put aside.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use base::file::aside;

/// How many files that were put aside are looked for.
const ASIDE: usize = 9;
/// Bytes that are read at once.
const PIECE: u64 = 64 * 1024;

/// An open file, and how much of it there was when it was opened.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    pub(super) inode: u64,
    pub(super) size: u64,
}

impl Part {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        Ok(Self { inode: about.ino(), size: about.len(), file })
    }

    /// The same file once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, inode: self.inode, size: self.size })
    }

    /// Its size now.
    pub(super) fn grown(&self) -> u64 {
        self.file.metadata().map_or(self.size, |it| it.len())
    }

    /// The bytes from one place to another; fewer where it ends before.
    pub(super) fn bytes(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], from + filled as u64)? {
                0 => break,
                it => filled += it,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Where its last whole line ends.
    pub(super) fn last_line_end(&self) -> u64 {
        let mut to = self.size;
        while to > 0 {
            let from = to.saturating_sub(PIECE);
            let bytes = self.bytes(from, to).unwrap_or_default();
            if let Some(at) = bytes.iter().rposition(|it| *it == b'\n') {
                return from + at as u64 + 1;
            }
            to = from;
        }
        0
    }

    /// Its lines up to a place, the last first, until there are enough.
    pub(super) fn backwards(
        &self,
        end: u64,
        each: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut to = end;
        // What stands before a line's end that is not found yet.
        let mut rest: Vec<u8> = Vec::new();
        while to > 0 {
            let from = to.saturating_sub(PIECE);
            let mut bytes = self.bytes(from, to)?;
            bytes.extend(std::mem::take(&mut rest));
            to = from;
            let mut lines = bytes.split(|it| *it == b'\n');
            let first = lines.next().unwrap_or_default();
            for line in lines.rev().filter(|it| !it.is_empty()) {
                if each(&String::from_utf8_lossy(line)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            rest = first.to_vec();
        }
        Ok(if rest.is_empty() { ControlFlow::Continue(()) } else { each(&String::from_utf8_lossy(&rest)) })
    }
}

/// Opens all files of a log, the newest first, each once however they are renamed meanwhile.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let paths = std::iter::once(path.to_path_buf()).chain((1..=ASIDE).map(|it| aside(path, it)));
    for path in paths {
        match Part::open(&path) {
            Ok(it) if parts.iter().all(|other| other.inode != it.inode) => parts.push(it),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(parts)
}

/// The file itself, where its place is a link to it.
pub(super) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
