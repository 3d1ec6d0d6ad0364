//! The file of a log: of bounded size, with a bounded number of those before it.
//!
//! What is on disk decides, not what this process remembers: the file may be taken away or the disk be full at any
//! time, and the process may be killed between two steps. A line is written in one piece behind a whole one.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::file::{self, FileError};

/// How many files are kept that were put aside.
pub(crate) const KEPT: usize = 5;
/// Where a file cannot be put aside, it may grow to this many times its size before lines are lost.
const PATIENCE: u64 = 2;

/// A file that is put aside when it is full.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    most: u64,
    lost: u64,
}

impl Rotating {
    /// Opens it for appending, for the owner's eyes only.
    pub(super) fn open(path: &Path, most: u64) -> Result<Self, FileError> {
        Ok(Self { file: open(path)?, path: path.to_path_buf(), most, lost: 0 })
    }

    /// From now on it is full at so many bytes.
    pub(super) fn limit(&mut self, most: u64) {
        self.most = most;
    }

    /// How many lines could not be written since the last that was.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Counts them anew.
    pub(super) fn recount(&mut self, lost: u64) {
        self.lost = lost;
    }

    /// Writes one line, its end included. True when it is on disk as far as a process can tell.
    pub(super) fn write(&mut self, line: &str) -> bool {
        let written = self.try_write(line);
        self.lost = if written.is_ok() { 0 } else { self.lost + 1 };
        written.is_ok()
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        self.stay_at_path()?;
        let mut size = self.file.metadata()?.len();
        let length = line.len() as u64;
        if size > 0 && size + length > self.most {
            if file::put_aside(&self.path, KEPT).is_ok() {
                self.file = open(&self.path).map_err(|it| it.source)?;
                size = 0;
            } else if size + length > self.most.saturating_mul(PATIENCE) {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        let written = self.file.write_all(line.as_bytes());
        if written.is_err() {
            // A part of a line would be taken for one. There is nothing to do about a disk that cannot even forget.
            let _ = self.file.set_len(size);
        }
        written
    }

    /// Somebody may have moved the file, or removed it.
    fn stay_at_path(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        let there = fs::metadata(&self.path);
        if !there.is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino())) {
            file::private_folder(self.path.parent().unwrap_or(Path::new("/"))).map_err(|it| it.source)?;
            self.file = open(&self.path).map_err(|it| it.source)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    let mut file = file::append(path)?;
    let private = file.set_permissions(Permissions::from_mode(file::PRIVATE_FILE));
    private.and_then(|()| end_line(&mut file, path)).map_err(|source| FileError {
        what: "begin the log",
        path: path.to_path_buf(),
        source,
    })?;
    Ok(file)
}

/// A process that was killed, or a power cut, may have left a part of a line.
fn end_line(file: &mut File, path: &Path) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    let mut reader = File::open(path)?;
    reader.seek(SeekFrom::End(-1))?;
    reader.read_exact(&mut last)?;
    // On a full disk it stays as it is: what comes next fails as well.
    if last != *b"\n" { file.write_all(b"\n").or(Ok(())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o777
    }

    #[test]
    fn the_whole_is_bounded_and_no_line_is_lost_at_a_rotation() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("gateway.log");
        let mut it = Rotating::open(&path, 100).expect("opened");
        let line = |at: u32| format!("line {at:04}\n");
        for at in 0..200 {
            assert!(it.write(&line(at)));
            if at % 7 == 0 {
                // As after a kill.
                it = Rotating::open(&path, 100).expect("opened again");
            }
        }
        let files = (1..=KEPT + 1).rev().map(|at| file::aside(&path, at)).chain([path.clone()]);
        let files: Vec<PathBuf> = files.filter(|it| it.exists()).collect();
        assert_eq!(files.len(), KEPT + 1);
        assert!(files.iter().all(|it| mode(it) == 0o600 && text(it).len() <= 100));
        let whole: String = files.iter().map(|it| text(it)).collect();
        let first = 200 - u32::try_from(whole.lines().count()).expect("few");
        assert_eq!(whole, (first..200).map(line).collect::<String>());
    }

    #[test]
    fn a_file_that_goes_away_or_that_others_may_read_is_no_trouble() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("logs/gateway.log");
        file::private_folder(path.parent().expect("has one")).expect("made");
        file::replace(&path, b"torn").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("opened up");
        let mut it = Rotating::open(&path, 100).expect("opened");
        assert!(it.write("one\n"));
        assert_eq!((text(&path).as_str(), mode(&path)), ("torn\none\n", 0o600));
        fs::remove_dir_all(path.parent().expect("has one")).expect("removed");
        assert!(it.write("two\n"));
        assert_eq!(text(&path), "two\n");
    }

    #[test]
    fn where_nothing_can_be_put_aside_the_file_stays_bounded_and_lost_lines_are_counted() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("gateway.log");
        // A folder stands where the file would go.
        file::private_folder(&file::aside(&path, 1).join("x")).expect("made");
        let mut it = Rotating::open(&path, 50).expect("opened");
        // Of two such folders the older is moved on until it cannot be.
        for number in 2..=KEPT {
            file::private_folder(&file::aside(&path, number).join("x")).expect("made");
        }
        for _ in 0..30 {
            it.write("0123456789\n");
        }
        assert!(text(&path).len() <= 100 && it.lost() > 0, "{} {}", text(&path).len(), it.lost());
        fs::remove_dir_all(file::aside(&path, KEPT)).expect("removed");
        let all = (1..KEPT).map(|number| file::aside(&path, number));
        all.for_each(|it| fs::remove_dir_all(it).expect("removed"));
        assert!(it.write("well\n"));
        assert_eq!((text(&path).as_str(), it.lost()), ("well\n", 0));
    }
}
