//! The only place that prints: data to stdout, all else to stderr, colours only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use profile::Ambient;
use serde::Serialize;
use serde_json::json;

use crate::failure::{Failure, Kind};

/// What is taken for a terminal's width where nobody tells.
const WIDTH: u16 = 100;

/// How a piece of text is shown on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    /// Stands out.
    Strong,
    /// Stands back.
    Faint,
    /// All is well.
    Good,
    /// Something is not.
    Bad,
}

/// Prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    colours: bool,
}

impl Printer {
    /// A printer for these surroundings.
    pub(crate) fn new(ambient: &Ambient, no_color: bool) -> Self {
        let wanted = !no_color && ambient.var("NO_COLOR").is_none() && ambient.var("TERM") != Some("dumb");
        Self { colours: wanted && io::stdout().is_terminal() }
    }

    /// What the command line reader has to say: help and version are answers, the rest is a mistake.
    pub(crate) fn usage(error: &clap::Error) -> ExitCode {
        // A closed pipe has nobody to tell.
        let _ = error.print();
        if error.use_stderr() { Kind::Usage.code() } else { ExitCode::SUCCESS }
    }

    /// What a shell is told when it asks for candidates.
    pub(crate) fn candidates(lines: &[String]) -> ExitCode {
        let text: String = lines.iter().map(|it| format!("{it}\n")).collect();
        let _ = io::stdout().write_all(text.as_bytes());
        ExitCode::SUCCESS
    }

    /// A line of data.
    pub(crate) fn line(self, text: &str) {
        let _ = writeln!(io::stdout(), "{text}");
    }

    /// A line of data, and whether anybody still reads.
    pub(crate) fn try_line(self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    /// Whether a person sees the lines about what is done as they come.
    pub(crate) fn notes_on_terminal(self) -> bool {
        io::stderr().is_terminal()
    }

    /// How many columns there are.
    pub(crate) fn width(self) -> u16 {
        width()
    }

    /// A piece of a line of data, at once.
    pub(crate) fn piece(self, text: &str) {
        let mut out = io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A line about what is done.
    pub(crate) fn note(self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Data for programs.
    pub(crate) fn json(self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value).expect("what we print always writes");
        self.line(&text);
    }

    /// Names and values, one pair a line.
    pub(crate) fn facts(self, facts: &[(&str, String)]) {
        let widest = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let on_terminal = io::stdout().is_terminal();
        for (name, value) in facts {
            let name = self.paint(Tone::Faint, &format!("{name:<widest$}"));
            let value = if on_terminal { hung(value, width().into(), widest + 2) } else { value.clone() };
            self.line(&format!("{name}  {value}"));
        }
    }

    /// A table that fits the terminal. Cells that are painted keep their colours.
    pub(crate) fn table(self, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width());
        table.set_header(head.to_vec());
        // The codes of colours are no columns, which whoever lays out the table does not know.
        table.add_rows(rows.iter().map(|row| row.iter().map(|it| plain(it)).collect::<Vec<_>>()));
        let text = table.to_string();
        let mut lines = text.lines();
        let names = lines.next().unwrap_or_default();
        self.line(names.trim_end());
        for line in lines {
            // Spaces at the end of a line are in the way of whoever copies it.
            self.line(&painted(line.trim_end(), names, head, &rows));
        }
    }

    /// A table that leaves columns out where the terminal is too narrow for all of them: first those in which no row
    /// says anything, then those of `dispensable`, in this order. Returns the heads of what was left out.
    pub(crate) fn fitting_table(
        self,
        head: &[&'static str],
        rows: Vec<Vec<String>>,
        dispensable: &[&str],
    ) -> Vec<&'static str> {
        let is_empty = |at: usize| rows.iter().all(|row| row[at] == "-");
        let silent = (0..head.len()).filter(|at| is_empty(*at) && dispensable.contains(&head[*at]));
        let named = dispensable.iter().filter_map(|it| head.iter().position(|head| head == it));
        let candidates: Vec<usize> = silent.chain(named).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|at| rows.iter().map(|row| columns(&row[at])).chain([head[at].len()]).max().unwrap_or(0))
            .collect();
        let mut kept: Vec<usize> = (0..head.len()).collect();
        let too_wide = |kept: &[usize]| kept.iter().map(|at| widths[*at] + 2).sum::<usize>() > width().into();
        for at in candidates {
            if too_wide(&kept) {
                kept.retain(|it| *it != at);
            }
        }
        let row = |row: Vec<String>| kept.iter().map(|at| row[*at].clone()).collect();
        let shown: Vec<&str> = kept.iter().map(|at| head[*at]).collect();
        self.table(&shown, rows.into_iter().map(row).collect());
        (0..head.len()).filter(|at| !kept.contains(at)).map(|at| head[at]).collect()
    }

    /// A sentence that may be longer than the terminal is wide: broken between words there, further lines set in. Where
    /// a program reads, it stays one line.
    pub(crate) fn folded(self, text: &str) -> String {
        if io::stdout().is_terminal() { fold(text, width().into()) } else { text.to_owned() }
    }

    /// A line of data that is set in, broken between words where it is longer than the terminal is wide.
    pub(crate) fn set_in(self, indent: usize, text: &str) {
        let on_terminal = io::stdout().is_terminal();
        let text = if on_terminal { hung(text, width().into(), indent) } else { text.to_owned() };
        self.line(&format!("{}{text}", " ".repeat(indent)));
    }

    /// A text in a tone, where there are colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A failure: one line that says what, lines that say more, lines that say what to do.
    pub(crate) fn failure(self, failure: &Failure, as_json: bool) -> ExitCode {
        let instance = failure.instance.as_deref();
        if as_json {
            self.json(&json!({"ok": false, "error": {
                "type": failure.kind.word(), "message": failure.message, "details": failure.details,
                "hints": failure.hints, "instance": instance,
            }}));
        }
        let about = instance.map(|it| format!("instance {it}: ")).unwrap_or_default();
        self.note(&format!("error: {about}{}", failure.message));
        for line in &failure.details {
            self.note(&format!("  {line}"));
        }
        for hint in &failure.hints {
            self.note(&format!("  → {hint}"));
        }
        failure.kind.code()
    }
}

/// How many columns a text takes on a terminal, its colours left out.
fn columns(text: &str) -> usize {
    plain(text).chars().count()
}

/// A text without the codes of colours.
fn plain(text: &str) -> String {
    let mut in_code = false;
    let seen = text.chars().filter(|it| {
        let is_text = !in_code && *it != '\u{1b}';
        in_code = *it == '\u{1b}' || (in_code && *it != 'm');
        is_text
    });
    seen.collect()
}

/// A line of a table with the colours of its cells: a painted cell stands below its column's name.
fn painted(line: &str, names: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut line = line.to_owned();
    // From the right: what is put in moves nothing that is still to come.
    for (at, name) in head.iter().enumerate().rev() {
        let Some(column) = names.find(&format!(" {name}")).map(|it| names[..=it].chars().count()) else {
            continue;
        };
        let here: String = line.chars().skip(column).collect();
        let is_here = |it: &&String| {
            let text = plain(it);
            text != **it && here.strip_prefix(&text).is_some_and(|it| it.is_empty() || it.starts_with(' '))
        };
        if let Some(cell) = rows.iter().map(|row| &row[at]).find(is_here) {
            let before: String = line.chars().take(column).collect();
            let after: String = line.chars().skip(column + columns(cell)).collect();
            line = format!("{before}{cell}{after}");
        }
    }
    line
}

/// Breaks a sentence between words, further lines set in. A word that is longer than the width, such as a path, stays
/// whole.
pub(crate) fn fold(text: &str, width: usize) -> String {
    let mut folded = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let wide = columns(word);
        if used > 0 && used + 1 + wide > width {
            folded.push_str("\n  ");
            used = 2;
        } else if used > 0 {
            folded.push(' ');
            used += 1;
        }
        folded.push_str(word);
        used += wide;
    }
    folded
}

/// A text that begins in the column `indent`, broken between words, further lines below its begin.
fn hung(text: &str, width: usize, indent: usize) -> String {
    let below = if indent * 2 > width { 2 } else { indent };
    let mut hung = String::new();
    let mut used = indent;
    for word in text.split(' ') {
        let wide = columns(word);
        let is_first = hung.is_empty();
        if !is_first && used + 1 + wide > width {
            hung.push('\n');
            hung.push_str(&" ".repeat(below));
            used = below;
        } else if !is_first {
            hung.push(' ');
            used += 1;
        }
        hung.push_str(word);
        used += wide;
    }
    hung
}

fn width() -> u16 {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |it| it.ws_col);
    if columns == 0 { WIDTH } else { columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_painted_cell_keeps_its_colour_below_its_column_and_moves_nothing() {
        let green = "\u{1b}[32mready\u{1b}[0m";
        let rows = vec![vec!["ready".to_owned(), green.to_owned(), "x".to_owned()]];
        let names = " NAME   STATE  X";
        for (line, expected) in [
            (" ready  ready  x", format!(" ready  {green}  x")),
            (" ready  readying", " ready  readying".to_owned()),
            (" ready", " ready".to_owned()),
        ] {
            assert_eq!(painted(line, names, &["NAME", "STATE", "X"], &rows), expected);
        }
    }

    #[test]
    fn a_fact_that_is_long_goes_on_below_its_begin() {
        for (text, width, indent, expected) in [
            ("one two", 20, 6, "one two"),
            ("one two three", 14, 6, "one two\n      three"),
            ("one two three", 14, 10, "one\n  two three"),
            ("\u{1b}[1mone\u{1b}[0m two", 13, 6, "\u{1b}[1mone\u{1b}[0m two"),
        ] {
            assert_eq!(hung(text, width, indent), expected);
        }
    }

    #[test]
    fn a_sentence_is_broken_between_words_and_a_long_word_is_not() {
        for (text, expected) in [
            ("short enough", "short enough"),
            ("one two three four", "one two\n  three\n  four"),
            ("\u{1b}[1mone\u{1b}[0m two three", "\u{1b}[1mone\u{1b}[0m two\n  three"),
            ("see /a/path/of/many/parts", "see\n  /a/path/of/many/parts"),
        ] {
            assert_eq!(fold(text, if text == "short enough" { 12 } else { 9 }), expected);
        }
    }
}
