//! One entry of a snapshot: read out of a tar header, and let in only where it can do no harm.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use tar::EntryType;

use super::{ABOUT, CONFIG_SECRETS, Kind, MANIFEST, OUTSIDE, SEALED, STATE, path};

/// An entry before its contents.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) modified: u64,
    /// What a link names.
    pub(super) place: String,
}

/// What was met so far: an entry is there once, and only in a folder that came before it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    paths: HashSet<String>,
    folders: HashSet<String>,
}

/// Names too long for a header stand in entries of their own before it.
#[derive(Default)]
pub(super) struct Long {
    path: Option<Vec<u8>>,
    place: Option<Vec<u8>>,
}

/// What an entry of the tar was.
pub(super) enum Taken {
    /// The name of the next.
    Name,
    /// An entry of the snapshot.
    Entry,
}

impl Seen {
    /// Lets an entry in, or says why not.
    pub(super) fn admit(&mut self, piece: &Piece) -> Result<(), &'static str> {
        let (path, is_folder) = (piece.path.as_str(), piece.kind == Kind::Folder);
        let is_top = match path {
            ABOUT | MANIFEST | SEALED | CONFIG_SECRETS => piece.kind == Kind::File,
            STATE | OUTSIDE => is_folder,
            _ => false,
        };
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        match parent {
            None if is_top => {}
            Some(OUTSIDE) if !is_folder => return Err("it is no workspace"),
            Some(parent) if self.folders.contains(parent) => {}
            _ => return Err("no folder of a snapshot holds it"),
        }
        if piece.kind == Kind::Link {
            let (_, at) = path::within(path).ok_or("it is a link in no folder")?;
            if !path::stays(at, Path::new(&piece.place)) {
                return Err("it is a link that leads elsewhere");
            }
        }
        if !self.paths.insert(path.to_owned()) {
            return Err("it is there twice");
        }
        if is_folder {
            self.folders.insert(path.to_owned());
        }
        Ok(())
    }
}

impl Long {
    /// Takes an entry that is only the name of the next.
    pub(super) fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<Taken> {
        let slot = match entry.header().entry_type() {
            EntryType::GNULongName => &mut self.path,
            EntryType::GNULongLink => &mut self.place,
            _ => return Ok(Taken::Entry),
        };
        if slot.is_some() || entry.size() > path::LONGEST as u64 + 1 {
            return Err(io::Error::other("a name is too long, or there twice"));
        }
        let mut name = Vec::new();
        entry.read_to_end(&mut name)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        *slot = Some(name);
        Ok(Taken::Name)
    }

    /// The entry, with the name that came before it; otherwise its path, and what is wrong with it.
    pub(super) fn piece<R: Read>(
        &mut self,
        entry: &tar::Entry<'_, R>,
    ) -> Result<Piece, (String, &'static str)> {
        let header = entry.header();
        let bytes = self.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let named = String::from_utf8_lossy(&bytes).into_owned();
        let path = path::parse(&bytes).map_err(|what| (named.clone(), what))?.to_owned();
        let fault = |what| (named.clone(), what);
        let kind = match header.entry_type() {
            EntryType::Regular => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Link,
            _ => return Err(fault("it is no file, folder or symbolic link")),
        };
        let place = self.place.take().or_else(|| header.link_name_bytes().map(|it| it.into_owned()));
        let place = String::from_utf8(place.unwrap_or_default()).map_err(|_| fault("it is no UTF-8"))?;
        if kind != Kind::File && entry.size() > 0 {
            return Err(fault("only a file has contents"));
        }
        let mode = header.mode().map_err(|_| fault("its mode is none"))? & 0o777;
        Ok(Piece {
            path,
            kind,
            size: entry.size(),
            mode,
            modified: header.mtime().unwrap_or_default(),
            place: if kind == Kind::Link { place } else { String::new() },
        })
    }
}
