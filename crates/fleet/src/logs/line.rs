//! A line of a log, and which lines are wanted.

use std::fmt;
use std::str::FromStr;

use base::{clock, mask};
use serde_json::{Map, Value, json};

/// How much a line matters, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may.
    Warn,
    /// What happens.
    Info,
    /// For who looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// The levels with their words: as people and programs write them, and as a line says them.
const LEVELS: [(Level, &str, &str); 5] = [
    (Level::Error, "error", "error: "),
    (Level::Warn, "warn", "warning: "),
    (Level::Info, "info", ""),
    (Level::Debug, "debug", "debug: "),
    (Level::Trace, "trace", "trace: "),
];

impl Level {
    /// The word for programs.
    pub fn word(self) -> &'static str {
        LEVELS.iter().find(|it| it.0 == self).map_or("info", |it| it.1)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        let word = match word.as_str() {
            "fatal" => "error",
            "warning" => "warn",
            other => other,
        };
        let level = LEVELS.iter().find(|it| it.1 == word).map(|it| it.0);
        level.ok_or_else(|| "use error, warn, info, debug or trace".to_owned())
    }
}

/// One line of one log, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Seconds are the finest; RFC 3339, so that texts are in the order of times. Empty where the line has none.
    pub time: String,
    /// Whose it is.
    pub instance: String,
    /// How much it matters; absent where it does not say so as our lines do.
    pub level: Option<Level>,
    /// Which part of the gateway says it.
    pub subsystem: Option<String>,
    /// What it says.
    pub message: String,
    /// All of it but the time.
    pub text: String,
}

impl Line {
    /// Takes a line of an instance's log apart.
    pub fn parse(instance: &str, line: &str) -> Self {
        // A file may hold anything; a terminal must not obey it.
        let line = base::text::line(&mask::shapes(line), usize::MAX);
        let is_time = |it: &str| it.len() >= 20 && it.ends_with('Z') && it.as_bytes()[4] == b'-';
        let (time, text) = line.split_once(' ').filter(|it| is_time(it.0)).unwrap_or(("", &line));
        let parts = text.strip_prefix('[').and_then(|it| it.split_once("] ")).filter(|_| !time.is_empty());
        let (level, message) = match parts {
            Some((_, rest)) => {
                let told = LEVELS.iter().filter(|it| !it.2.is_empty());
                let mut told = told.filter_map(|(level, _, mark)| Some((*level, rest.strip_prefix(mark)?)));
                told.next().map_or((Some(Level::Info), rest), |(level, rest)| (Some(level), rest))
            }
            None => (None, text),
        };
        Line {
            time: time.to_owned(),
            instance: instance.to_owned(),
            level,
            subsystem: parts.map(|it| it.0.to_owned()),
            message: message.to_owned(),
            text: text.to_owned(),
        }
    }

    /// An object as programs know it from the original: `type` is `log`, or `raw` for a line that is none of ours.
    pub fn json(&self) -> Value {
        let Some(level) = self.level else {
            return json!({"type": "raw", "raw": self.raw(), "instance": self.instance});
        };
        json!({
            "type": "log", "time": self.time, "level": level.word(), "subsystem": self.subsystem,
            "message": self.message, "raw": self.raw(), "instance": self.instance,
        })
    }

    /// An object as a line of the original's log; a line that is none of ours is a message.
    pub fn original(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: &str| object.insert(name.to_owned(), value.into());
        if let Some(level) = self.level {
            put("time", &self.time);
            put("level", level.word());
        }
        self.subsystem.iter().for_each(|it| drop(put("subsystem", it)));
        put("message", &self.message);
        Value::Object(object)
    }

    fn raw(&self) -> String {
        if self.time.is_empty() { self.text.clone() } else { format!("{} {}", self.time, self.text) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw())
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// These and worse ones; all when absent.
    pub level: Option<Level>,
    /// From this time on, as lines write it.
    pub since: Option<String>,
    /// How many of the last of them; all when absent.
    pub limit: Option<usize>,
}

impl Wanted {
    /// Whether a line is wanted, its place among the others aside.
    pub fn has(&self, line: &Line) -> bool {
        // A line without a level belongs to the one before it, of which it is not known whether it is wanted.
        let level = line.level.unwrap_or(Level::Error);
        self.level.is_none_or(|it| level <= it) && !self.is_before(line)
    }

    /// Whether a line is older than what is wanted; one without a time is not.
    pub fn is_before(&self, line: &Line) -> bool {
        !line.time.is_empty() && self.since.as_ref().is_some_and(|it| line.time < *it)
    }
}

/// A time as people name it: how long ago (`10m`, `2h`), or when (`2026-11-23T10:00`, UTC where no zone is named). As
/// lines write it.
///
/// # Errors
/// Says how to write one.
pub fn since(text: &str, now: u64) -> Result<String, String> {
    let ago = clock::parse_span(text).map(|it| now.saturating_sub(it));
    let when = ago.or_else(|| clock::parse(text)).map(clock::rfc3339);
    when.ok_or_else(|| "use a span as in 10m, 2h or 3d, or a time as in 2026-11-23T10:00 (UTC)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_and_shown_as_programs_know_it() {
        let time = "2026-11-22T10:00:00Z";
        for (text, expected) in [
            ("[gateway] ready a=1", Some((Level::Info, "gateway", "ready a=1"))),
            ("[gateway] warning: no", Some((Level::Warn, "gateway", "no"))),
            ("[providers] error: no] x", Some((Level::Error, "providers", "no] x"))),
            ("[a] debug: token=abcdefgh", Some((Level::Debug, "a", "token=***"))),
            ("no target", None),
        ] {
            let line = Line::parse("main", &format!("{time} {text}"));
            let found =
                line.level.map(|it| (it, line.subsystem.as_deref().unwrap_or("-"), line.message.as_str()));
            assert_eq!((line.time.as_str(), found), (time, expected), "{text}");
        }
        let line = Line::parse("main", &format!("{time} [a] warning: x"));
        let expected = json!({"type": "log", "time": time, "level": "warn", "subsystem": "a", "message": "x",
            "raw": format!("{time} [a] warning: x"), "instance": "main"});
        assert_eq!(line.json(), expected);
        let expected = json!({"time": time, "level": "warn", "subsystem": "a", "message": "x"});
        assert_eq!(line.original(), expected);
        let raw = Line::parse("main", "[a] b \u{1b}[31m");
        assert_eq!(raw.json(), json!({"type": "raw", "raw": "[a] b  [31m", "instance": "main"}));
        assert_eq!(raw.original(), json!({"message": "[a] b  [31m"}));
    }

    #[test]
    fn the_wanted_are_at_least_as_bad_and_at_most_as_old() {
        let at = |second: u32, text: &str| Line::parse("a", &format!("2026-11-22T10:00:0{second}Z {text}"));
        let since = since("2026-11-22T10:00:05+00:00", 0).expect("a time");
        let wanted = Wanted { level: "WARNING".parse().ok(), since: Some(since), limit: None };
        for (line, expected) in [
            (at(5, "[a] warning: x"), true),
            (at(6, "[a] error: x"), true),
            (at(6, "[a] x"), false),
            (at(4, "[a] error: x"), false),
            (Line::parse("a", "  and so on"), true),
        ] {
            assert_eq!(wanted.has(&line), expected, "{line}");
        }
        assert_eq!(super::since("10s", 15_000).as_deref(), Ok("1970-01-01T00:00:05Z"));
        assert!(super::since("soon", 0).is_err() && "loud".parse::<Level>().is_err());
    }
}
