//! Where lines go: the file and the console, each with its own memory of what was repeated.

use std::io::{self, IsTerminal, Write};

use base::clock;
use profile::Ambient;
use tracing::Level;

use super::fold::Fold;
use super::record::Record;
use super::rotation::Rotating;
use super::settings::Style;

/// Both places.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) file: Option<Rotating>,
    pub(super) console: Console,
    folds: (Fold, Fold),
}

/// Stderr: a terminal, a journal, or whoever started us.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) style: Style,
    colours: bool,
}

impl Sinks {
    pub(super) fn new(file: Option<Rotating>, console: Console) -> Self {
        Self { file, console, folds: Default::default() }
    }

    /// Writes a record to the file, to the console, or to both.
    pub(super) fn write(&mut self, record: Record, now: u64, (to_file, to_console): (bool, bool)) {
        // The file first: who sees a line on the console finds it there.
        if to_file && self.file.is_some() {
            for it in self.folds.0.push(record.clone(), now) {
                self.write_file(&it, now);
            }
        }
        if to_console {
            for it in self.folds.1.push(record, now) {
                self.console.write(&it, now);
            }
        }
    }

    /// Writes what is yet to be told of repeated lines.
    pub(super) fn finish(&mut self, now: u64) {
        if let Some(it) = self.folds.0.end(now) {
            self.write_file(&it, now);
        }
        if let Some(it) = self.folds.1.end(now) {
            self.console.write(&it, now);
        }
    }

    fn write_file(&mut self, record: &Record, now: u64) {
        let Some(file) = &mut self.file else { return };
        let time = clock::rfc3339(now);
        let lost = file.lost();
        if lost > 0 {
            let words = format!("{lost} lines before this one could not be written here");
            let told = Record::new(Level::WARN, "gateway", &words);
            if !file.write(&format!("{time} {}\n", told.line())) {
                // That line is not one of those that were lost.
                file.recount(lost + 1);
                return;
            }
        }
        file.write(&format!("{time} {}\n", record.line()));
    }
}

impl Console {
    pub(super) fn new(ambient: &Ambient) -> Self {
        let wanted = ambient.var("NO_COLOR").is_none() && ambient.var("TERM") != Some("dumb");
        Self { style: Style::Pretty, colours: wanted && io::stderr().is_terminal() }
    }

    fn write(&self, record: &Record, now: u64) {
        // In one piece, so that nobody else's text comes between. A closed stderr must not stop the gateway.
        let _ = io::stderr().write_all((self.text(record, now) + "\n").as_bytes());
    }

    fn text(&self, record: &Record, now: u64) -> String {
        let time = clock::rfc3339(now);
        let time = match self.style {
            Style::Json => return record.json(now).to_string(),
            Style::Compact => time.split_once('T').map_or(time.as_str(), |it| it.1.trim_end_matches('Z')),
            Style::Pretty => &time,
        };
        let line = format!("{time} {}", record.line());
        let code = match record.level {
            _ if !self.colours => return line,
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => return line,
            Level::DEBUG | Level::TRACE => "2",
        };
        format!("\u{1b}[{code}m{line}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_says_the_same_in_its_way() {
        let (warning, info) = (Record::new(Level::WARN, "a", "no"), Record::new(Level::INFO, "a", "yes"));
        for (style, colours, record, expected) in [
            (Style::Pretty, false, &warning, "1970-01-01T00:00:01Z [a] warning: no"),
            (Style::Pretty, true, &warning, "\u{1b}[33m1970-01-01T00:00:01Z [a] warning: no\u{1b}[0m"),
            (Style::Compact, true, &info, "00:00:01 [a] yes"),
            (
                Style::Json,
                true,
                &warning,
                r#"{"time":"1970-01-01T00:00:01Z","level":"warn","subsystem":"a","message":"no"}"#,
            ),
        ] {
            assert_eq!(Console { style, colours }.text(record, 1000), expected);
        }
    }
}
