//! What is hidden in a line: the instance's own secrets, what looks like one, and what the config names.

use std::borrow::Cow;

use base::Secret;
use base::mask::{self, MASK};
use regex_lite::Regex;

/// What is shorter than this is a word, and hiding it would make the log unreadable.
const LEAST: usize = 8;

/// Hides secrets.
#[derive(Debug)]
pub(super) struct Mask {
    /// Longest first, so that one that holds another goes whole.
    own: Vec<Hidden>,
    shapes: bool,
    patterns: Vec<Regex>,
}

/// A text that is shown nowhere.
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

impl Mask {
    pub(super) fn new(secrets: &[Secret], shapes: bool, patterns: Vec<Regex>) -> Self {
        let mut own: Vec<String> = Vec::new();
        for it in secrets.iter().map(|it| it.expose().trim()).filter(|it| it.len() >= LEAST) {
            // As it stands in a line, in a quoted text, and in a URL.
            own.extend([base::text::line(it, usize::MAX), it.escape_debug().to_string(), in_url(it)]);
        }
        own.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        own.dedup();
        Self { own: own.into_iter().map(Hidden).collect(), shapes, patterns }
    }

    /// A text without its secrets.
    pub(super) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for Hidden(it) in &self.own {
            if text.contains(it) {
                text = Cow::Owned(text.replace(it, MASK));
            }
        }
        if self.shapes
            && let Cow::Owned(it) = mask::shapes(&text)
        {
            text = Cow::Owned(it);
        }
        for pattern in &self.patterns {
            if let Cow::Owned(it) = pattern.replace_all(&text, regex_lite::NoExpand(MASK)) {
                text = Cow::Owned(it);
            }
        }
        text
    }
}

/// With what a URL cannot hold written as `%XX`.
fn in_url(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str], shapes: bool, pattern: &str) -> Mask {
        let secrets: Vec<Secret> = secrets.iter().filter_map(|it| Secret::new(*it)).collect();
        let patterns =
            if pattern.is_empty() { Vec::new() } else { vec![Regex::new(pattern).expect("compiles")] };
        Mask::new(&secrets, shapes, patterns)
    }

    #[test]
    fn own_secrets_go_in_every_writing_and_short_ones_stay() {
        let it = mask(&["hunter2-and-more", "hunter2-and", "a \"b\"/c d", "short"], false, "");
        for (text, expected) in [
            ("x hunter2-and-more y", "x *** y"),
            ("xhunter2-andy", "x***y"),
            ("q=a%20%22b%22%2Fc%20d", "q=***"),
            (r#"{"p":"a \"b\"/c d"}"#, r#"{"p":"***"}"#),
            ("short token=abcdefgh", "short token=abcdefgh"),
        ] {
            assert_eq!(it.hide(text), expected, "{text}");
        }
        assert!(!format!("{it:?}").contains("hunter"), "{it:?}");
    }

    #[test]
    fn shapes_and_patterns_go_by_their_switches() {
        assert_eq!(mask(&[], true, "").hide("token=abcdefgh"), "token=***");
        assert_eq!(mask(&[], false, "case-[0-9]+").hide("see case-1234, token=x"), "see ***, token=x");
    }
}
