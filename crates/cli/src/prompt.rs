//! Asks the person at the terminal. Without one, nobody is asked and the answer must be on the command line.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use base::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::failure::{Failure, Kind};

/// A line that a person types. `None` where nobody sits at a terminal.
pub(crate) fn line(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let mut err = io::stderr();
    let _ = write!(err, "{question} ").and_then(|()| err.flush());
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// A passphrase: out of a file (`-` is standard input), else typed unseen, `twice` to be sure.
pub(crate) fn passphrase(file: Option<&Path>, twice: bool) -> Result<Secret, Failure> {
    let text = match file {
        Some(path) => from_file(path)?,
        None => typed(twice)?,
    };
    Secret::new(text.trim_end_matches(['\r', '\n']))
        .ok_or_else(|| Failure::new(Kind::Usage, "the passphrase is empty"))
}

fn from_file(path: &Path) -> Result<String, Failure> {
    let text =
        if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|error| Failure::new(Kind::Usage, format!("cannot read {}: {error}", path.display())))
}

fn typed(twice: bool) -> Result<String, Failure> {
    let first = unseen("passphrase:").ok_or_else(|| {
        Failure::new(Kind::Usage, "a passphrase is needed, and nobody sits at a terminal")
            .hint("name a file that holds it: --passphrase-file FILE")
    })?;
    if twice && unseen("once more:").as_deref() != Some(first.as_str()) {
        return Err(Failure::new(Kind::Usage, "the two are not the same"));
    }
    Ok(first)
}

/// A line that is not shown while it is typed.
pub(crate) fn unseen(question: &str) -> Option<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).ok()?;
    let text = line(question);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
    let _ = writeln!(io::stderr());
    text
}
