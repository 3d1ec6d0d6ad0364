//! What happened outside of a conversation and is told to it with its next turn, once. In memory: who tells of it is
//! not promised more than that it was taken.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use base::clock;

use crate::limits::{HAPPENING_BYTES, HAPPENINGS, TOLD_SESSIONS};

/// What waits for each conversation, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Happenings(Mutex<HashMap<String, VecDeque<Happening>>>);

#[derive(Debug)]
struct Happening {
    /// Unix milliseconds.
    at: u64,
    text: String,
}

impl Happenings {
    /// Takes one for a conversation. What was told last is not taken a second time. False where there is no room.
    pub(crate) fn add(&self, session: &str, text: &str) -> bool {
        let mut all = self.lock();
        if !all.contains_key(session) && all.len() >= TOLD_SESSIONS {
            return false;
        }
        let text = base::text::line(text.trim(), HAPPENING_BYTES);
        let waiting = all.entry(session.to_owned()).or_default();
        if waiting.back().is_none_or(|it| it.text != text) {
            waiting.push_back(Happening { at: clock::now_ms(), text });
        }
        if waiting.len() > HAPPENINGS {
            waiting.pop_front();
        }
        true
    }

    /// What waits for a conversation, to look at.
    pub(crate) fn waiting(&self, session: &str) -> Vec<String> {
        self.lock().get(session).into_iter().flatten().map(|it| it.text.clone()).collect()
    }

    /// What a turn is told beside its prompt: `extra`, and all that waits, which is then told.
    pub(crate) fn told(&self, session: &str, extra: Option<&str>) -> Option<String> {
        let waiting = self.lock().remove(session).unwrap_or_default();
        if waiting.is_empty() {
            return extra.map(str::to_owned);
        }
        let mut text = String::from("Since the last message, this has happened on the person's devices:");
        for it in waiting {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n- [{}] {}", clock::rfc3339(it.at), it.text);
        }
        if let Some(extra) = extra {
            let _ = write!(text, "\n\n{extra}");
        }
        Some(text)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, VecDeque<Happening>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_in_order_and_not_twice_in_a_row() {
        let it = Happenings::default();
        assert!(
            it.add("a", "one") && it.add("a", " one ") && it.add("a", "two\nlines") && it.add("b", "other")
        );
        assert_eq!(it.waiting("a").len(), 2);
        let told = it.told("a", Some("Be short.")).expect("something waits");
        let places =
            ["] one", "] two", "Be short."].map(|part| told.find(part).unwrap_or_else(|| panic!("{told}")));
        assert!(places.is_sorted() && !told.contains("other"), "{told}");
        assert_eq!(it.told("a", None), None);
        assert_eq!(it.told("a", Some("x")).as_deref(), Some("x"));
    }

    #[test]
    fn there_are_never_too_many() {
        let it = Happenings::default();
        for at in 0..HAPPENINGS + 2 {
            assert!(it.add("a", &at.to_string()));
        }
        assert_eq!((it.waiting("a").len(), it.waiting("a")[0].as_str()), (HAPPENINGS, "2"));
        (1..TOLD_SESSIONS).for_each(|at| assert!(it.add(&at.to_string(), "x")));
        assert!(!it.add("one-more", "x"));
        assert!(it.add("a", "still"));
    }
}
