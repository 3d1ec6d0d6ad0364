//! A piece of a log for who comes back for the next: `logs.tail`.

use std::io;
use std::path::{Path, PathBuf};

use super::file::{Part, real};

/// Lines of a log, and where they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The file.
    pub file: PathBuf,
    /// Where the page ends, in bytes.
    pub cursor: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Whole lines, oldest first.
    pub lines: Vec<String>,
    /// Whether lines before these were left out.
    pub is_truncated: bool,
    /// Whether the cursor was of another file.
    pub is_reset: bool,
}

/// The last lines of a log from a cursor on, at most `limit` of them out of its last `most` bytes.
///
/// # Errors
/// When the file cannot be read. One that is not there yet is an empty one.
pub fn page(path: &Path, cursor: Option<u64>, limit: u64, most: u64) -> io::Result<Page> {
    let file = real(path);
    let part = match Part::open(&file) {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_reset = cursor.is_some_and(|it| it > 0);
            let lines = Vec::new();
            return Ok(Page { file, cursor: 0, size: 0, lines, is_truncated: false, is_reset });
        }
        Err(error) => return Err(error),
    };
    let end = part.last_line_end();
    let is_reset = cursor.is_some_and(|it| it > part.size);
    let asked = cursor.filter(|_| !is_reset).unwrap_or(0).min(end);
    let from = asked.max(end.saturating_sub(most));
    let bytes = part.bytes(from, end)?;
    let text = String::from_utf8_lossy(&bytes);
    // A page that begins in the midst of a line has a part of it, which is none.
    let is_cut = from > 0 && part.bytes(from - 1, from)? != b"\n";
    let whole = if is_cut { text.split_once('\n').map_or("", |it| it.1) } else { &text };
    let lines: Vec<&str> = whole.lines().collect();
    let left_out = lines.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Page {
        file,
        cursor: end,
        size: part.size,
        lines: lines[left_out..].iter().map(|it| (*it).to_owned()).collect(),
        is_truncated: from > asked || left_out > 0,
        is_reset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_whole_lines_and_goes_on_where_the_last_one_ended() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("gateway.log");
        let write = |text: &str| base::file::replace(&path, text.as_bytes()).expect("written");
        let look = |cursor, limit, most| {
            let it = page(&path, cursor, limit, most).expect("read");
            (it.lines.join(","), it.cursor, it.is_truncated, it.is_reset)
        };
        assert_eq!(look(None, 9, 99), (String::new(), 0, false, false), "no file");
        write("one\ntwo\nthree\nfo");
        assert_eq!(look(None, 9, 99), ("one,two,three".to_owned(), 14, false, false));
        assert_eq!(look(None, 2, 99), ("two,three".to_owned(), 14, true, false));
        assert_eq!(look(None, 9, 8), ("three".to_owned(), 14, true, false));
        assert_eq!(look(Some(4), 9, 99), ("two,three".to_owned(), 14, false, false));
        assert_eq!(look(Some(5), 9, 99), ("three".to_owned(), 14, false, false));
        assert_eq!(look(Some(14), 9, 99), (String::new(), 14, false, false));
        assert_eq!(look(Some(16), 9, 99), (String::new(), 14, false, false));
        write("new\n");
        assert_eq!(look(Some(14), 9, 99), ("new".to_owned(), 4, false, true));
    }
}
