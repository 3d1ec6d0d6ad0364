//! One event as it is written: a line for people, or an object.

use std::fmt;

use base::clock;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::mask::Mask;

/// Bytes of one part of a line, as they are shown.
const PART: usize = 2000;
/// Bytes of one part of a line that are looked at: what is cut off may be a part of a secret that is shown then.
const LOOKED_AT: usize = 256 * 1024;

/// An event, its secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) level: Level,
    subsystem: &'static str,
    message: String,
    fields: Vec<(&'static str, String)>,
    /// How often it came again, and since when.
    pub(super) repeated: Option<(u64, u64)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>, mask: &Mask) -> Self {
        let about = event.metadata();
        let subsystem = about.target().split("::").next().unwrap_or_default();
        let record = Self::new(*about.level(), subsystem.strip_prefix("openclaw_").unwrap_or(subsystem), "");
        let mut words = Words { record, mask };
        event.record(&mut words);
        words.record
    }

    pub(super) fn new(level: Level, subsystem: &'static str, message: &str) -> Self {
        Self { level, subsystem, message: message.to_owned(), fields: Vec::new(), repeated: None }
    }

    /// `[gateway] warning: what happened key=value`.
    pub(super) fn line(&self) -> String {
        let level = match self.level {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            Level::INFO => "",
            Level::DEBUG => "debug: ",
            Level::TRACE => "trace: ",
        };
        let mut line = format!("[{}] {level}{}", self.subsystem, self.message);
        for (name, value) in &self.fields {
            line.push_str(&format!(" {name}={value}"));
        }
        if let Some((count, since)) = self.repeated {
            let times = if count == 1 { "time" } else { "times" };
            line.push_str(&format!(" (repeated {count} {times} since {})", clock::rfc3339(since)));
        }
        line
    }

    /// An object for programs.
    pub(super) fn json(&self, now: u64) -> Value {
        let level = match self.level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut object = Map::new();
        object.insert("time".to_owned(), clock::rfc3339(now).into());
        object.insert("level".to_owned(), level.into());
        object.insert("subsystem".to_owned(), self.subsystem.into());
        object.insert("message".to_owned(), self.message.as_str().into());
        for (name, value) in &self.fields {
            // A field of that name must not pass for what we say ourselves.
            let name = if object.contains_key(*name) { format!("field_{name}") } else { (*name).to_owned() };
            object.insert(name, value.as_str().into());
        }
        if let Some((count, since)) = self.repeated {
            object.insert("repeated".to_owned(), json!({"times": count, "since": clock::rfc3339(since)}));
        }
        Value::Object(object)
    }
}

/// Makes each part one line: what a client or a model said must not look like a line of ours.
struct Words<'a> {
    record: Record,
    mask: &'a Mask,
}

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = base::text::line(&format!("{value:?}"), LOOKED_AT);
        let shown = |it: &str| base::text::line(it, PART);
        if field.name() == "message" {
            self.record.message = shown(&self.mask.hide(&text));
            return;
        }
        // With its name, which may say that it is a secret.
        let whole = format!("{}={text}", field.name());
        let hidden = self.mask.hide(&whole);
        let value = hidden.strip_prefix(field.name()).and_then(|it| it.strip_prefix('=')).unwrap_or(&hidden);
        self.record.fields.push((field.name(), shown(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
