//! What may stand where the cursor is: the shells ask this program itself, see `commands::completion`.
//!
//! A question is `OPENCLAW_COMPLETE=1 openclaw -- WORD…`: the words of the line up to the cursor, the one that is begun
//! last. The answer is a line a candidate, with a tab and what it is about behind it; `:files` and `:folders` there ask
//! the shell for paths. The scripts that ask stay on people's disks over many versions: a change of any of it needs
//! another value of the variable. Nothing here fails, and nothing writes: a line that makes no sense has no candidates.

mod line;
mod values;

use std::ffi::OsString;
use std::sync::Arc;

use clap::CommandFactory;
use clap_complete::engine::{self, CompletionCandidate};
use profile::Ambient;

use crate::cli::Cli;
use crate::complete::line::Line;
use crate::complete::values::World;

/// The variable that makes a run of the program a question.
const VARIABLE: &str = "OPENCLAW_COMPLETE";
/// The questions that are understood.
const ASKED: &str = "1";

/// The candidates for a command line, a line each; `None` where this run is no question. The arguments begin with the
/// program's own name.
pub(crate) fn answer(ambient: &Ambient, arguments: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    ambient.var(VARIABLE).filter(|it| *it == ASKED)?;
    let mut words = arguments.skip(1);
    words.next().filter(|it| it == "--")?;
    Some(candidates(ambient, words.collect()))
}

fn candidates(ambient: &Ambient, words: Vec<OsString>) -> Vec<String> {
    let line = Line::of(words);
    let Some(at) = line.words.len().checked_sub(1) else { return Vec::new() };
    let begun = line.words[at].is_empty();
    let world = Arc::new(World::new(ambient.clone(), line.selection));
    let mut command = Cli::command();
    command.build();
    let mut command = values::attach(command, &[], &world);
    let mut found = engine::complete(&mut command, line.words, at, None).unwrap_or_default();
    // Who has not begun with a dash is looking for a word, where there are any.
    let is_option = |it: &CompletionCandidate| it.get_value().as_encoded_bytes().starts_with(b"-");
    if begun && !found.iter().all(is_option) {
        found.retain(|it| !is_option(it));
    }
    found.iter().map(shown).collect()
}

fn shown(candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    let about = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    match base::text::line(about.lines().next().unwrap_or_default(), 100) {
        it if it.is_empty() => value.into_owned(),
        it => format!("{value}\t{it}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn asked(variable: &str, words: &[&str]) -> Option<Vec<String>> {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().to_str().expect("Unicode");
        let ambient = Ambient::of(&[("HOME", home), (VARIABLE, variable)], Path::new("/"));
        let words = [&["openclaw"], words].concat();
        answer(&ambient, words.into_iter().map(OsString::from))
    }

    #[track_caller]
    fn check(words: &str, expected: &[&str]) {
        let words: Vec<&str> = ["--", "openclaw"].into_iter().chain(words.split(' ')).collect();
        let found = asked("1", &words).expect("a question");
        let found: Vec<&str> = found.iter().filter_map(|it| it.split('\t').next()).collect();
        assert_eq!(found, expected, "{words:?}");
    }

    #[test]
    fn commands_options_and_values_are_found_where_they_may_stand() {
        check("fleet re", &["rename", "remove", "restore", "restart", "repair"]);
        check("--profile fleet gateway st", &["status", "start", "stop"]);
        check("gateway status --ti", &["--timeout"]);
        check("completion --shell ", &["bash", "zsh", "fish", "powershell"]);
        check("completion --shell=z", &["--shell=zsh"]);
        check("--log-level wa", &["warn"]);
        check("setup --port ", &[]);
    }

    #[test]
    fn options_are_kept_back_only_where_there_are_words() {
        let all = asked("1", &["--", "openclaw", "gateway", ""]).expect("a question");
        assert!(!all.is_empty() && all.iter().all(|it| !it.starts_with('-')), "{all:?}");
        let all = asked("1", &["--", "openclaw", "health", ""]).expect("a question");
        assert!(all.iter().any(|it| it == "--json\tPrint JSON for scripts"), "{all:?}");
    }

    #[test]
    fn paths_are_left_to_the_shell() {
        for (words, expected) in [("setup --workspace ", "\t:folders"), ("fleet restore ~/", "\t:files")] {
            let words: Vec<&str> = ["--", "openclaw"].into_iter().chain(words.split(' ')).collect();
            assert_eq!(asked("1", &words), Some(vec![expected.to_owned()]), "{words:?}");
        }
    }

    #[test]
    fn only_a_question_is_one() {
        assert_eq!(asked("1", &["status"]), None);
        assert_eq!(asked("", &["--", "openclaw", ""]), None);
        assert_eq!(asked("2", &["--", "openclaw", ""]), None);
        assert_eq!(asked("1", &["--"]), Some(Vec::new()));
    }
}
