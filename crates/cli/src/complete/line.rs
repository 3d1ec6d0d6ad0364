//! The line that is completed: which instance it selects, and what is left of it.

use std::ffi::OsString;

use profile::Selection;

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without what selects the instance: a profile may be called like a command. The last is the one that is begun.
    pub(super) words: Vec<OsString>,
    /// What selects the instance.
    pub(super) selection: Chosen,
}

/// `--profile` and `--dev` as they stand on the line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    profile: Option<String>,
    dev: bool,
}

impl Line {
    /// Reads the words of a line, the program's name first.
    pub(super) fn of(mut words: Vec<OsString>) -> Self {
        let mut line = Line { words: Vec::with_capacity(words.len()), selection: Chosen::default() };
        let Some(last) = words.pop() else { return line };
        let mut all = words.into_iter();
        while let Some(word) = all.next() {
            match word.to_str() {
                // Behind it stands another program's command line.
                Some("--") => {
                    line.words.push(word);
                    line.words.extend(all.by_ref());
                }
                Some("--dev") => line.selection.dev = true,
                Some("--profile") => match all.next() {
                    Some(name) => line.selection.profile = Some(name.to_string_lossy().into_owned()),
                    None => line.words.push(word),
                },
                Some(it) if it.starts_with("--profile=") => {
                    line.selection.profile = it.strip_prefix("--profile=").map(str::to_owned);
                }
                _ => line.words.push(word),
            }
        }
        line.words.push(last);
        line
    }
}

impl From<&Chosen> for Selection {
    fn from(chosen: &Chosen) -> Self {
        Selection { profile: chosen.profile.clone(), dev: chosen.dev }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: &str, profile: Option<&str>, dev: bool) {
        let found = Line::of(line.split(' ').map(OsString::from).collect());
        let words = words.split(' ').map(OsString::from).collect();
        let selection = Chosen { profile: profile.map(str::to_owned), dev };
        assert_eq!(found, Line { words, selection }, "{line}");
    }

    #[test]
    fn what_selects_the_instance_is_taken_out_of_the_line() {
        check("openclaw --profile work agent -", "openclaw agent -", Some("work"), false);
        check("openclaw agent --profile=work -", "openclaw agent -", Some("work"), false);
        check("openclaw --dev status ", "openclaw status ", None, true);
        check("openclaw --profile ", "openclaw --profile ", None, false);
        check("openclaw --profile=wo", "openclaw --profile=wo", None, false);
        check("openclaw fleet exec -- x --profile a ", "openclaw fleet exec -- x --profile a ", None, false);
    }
}
