//! Server-sent events out of bytes that may be split anywhere. Bounded, and without any IO.

/// The longest line and the longest event, in bytes.
pub const LONGEST: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name; empty when it has none.
    pub name: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
}

/// A line or an event is longer than [`LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {LONGEST} bytes")]
pub struct TooLong;

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed that follows belongs to it.
    after_return: bool,
    begun: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The events that `bytes` complete, appended to `events`.
    ///
    /// # Errors
    /// [`TooLong`]; the events before it are in `events`, and the parser is of no further use.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|it| matches!(it, b'\n' | b'\r')) else {
                return self.extend(bytes);
            };
            self.extend(&bytes[..end])?;
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.end_line(events)?;
        }
        Ok(())
    }

    /// The event that the end of the stream completes. The standard drops it; servers that end without an empty
    /// line mean it.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), TooLong> {
        if !self.line.is_empty() {
            self.end_line(events)?;
        }
        self.dispatch(events);
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > LONGEST {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line).into_owned();
        if !std::mem::replace(&mut self.begun, true) && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        if text.is_empty() {
            self.dispatch(events);
            return Ok(());
        }
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() >= LONGEST {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // A comment has an empty field; `id` and `retry` are for reconnecting, which nobody does here.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            events.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `text` in one piece, and byte by byte, with the same result.
    fn check(text: &str, expected: &[(&str, &str)]) {
        for size in [text.len().max(1), 1, 3] {
            let mut parser = Parser::new();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                parser.push(piece, &mut events).expect("short");
            }
            parser.finish(&mut events).expect("short");
            let found: Vec<_> = events.iter().map(|it| (it.name.as_str(), it.data.as_str())).collect();
            assert_eq!(found, expected, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn events_come_out_whole_however_they_are_split() {
        check("data: a\n\ndata:b\n\n", &[("", "a"), ("", "b")]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]);
        check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
        check("data: one\ndata: two\ndata\n\n", &[("", "one\ntwo\n")]);
        check(": note\n\n:\n\ndata: a\n: in between\nid: 7\nretry: 1\n\n", &[("", "a")]);
        check("event: error\ndata: {}\n\n", &[("error", "{}")]);
        check("event: nothing\n\ndata: a\n\n", &[("", "a")]);
        check("\u{feff}data: é — ü\n\n", &[("", "é — ü")]);
        check("data:  two spaces\n\n", &[("", " two spaces")]);
        check("data: no empty line", &[("", "no empty line")]);
        check("data: no empty line\n", &[("", "no empty line")]);
        check("garbage\n\n", &[]);
        check("", &[]);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let mut events = Vec::new();
        let mut parser = Parser::new();
        let piece = vec![b'x'; LONGEST];
        assert_eq!(parser.push(&piece, &mut events), Ok(()));
        assert_eq!(parser.push(b"x", &mut events), Err(TooLong));

        let mut parser = Parser::new();
        let line = format!("data: {}\n", "y".repeat(LONGEST / 2));
        assert_eq!(parser.push(line.as_bytes(), &mut events), Ok(()));
        assert_eq!(parser.push(line.as_bytes(), &mut events), Err(TooLong));
        assert!(events.is_empty());
    }
}
