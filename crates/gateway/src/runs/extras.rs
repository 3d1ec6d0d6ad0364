//! What a turn is given that was asked for over HTTP, beside what every turn has.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use agent::Entry;
use providers::{ToolCall, ToolSpec};
use tokio::sync::mpsc;

/// Nothing of it is kept beyond the turn.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// `provider/model`, in the place of the session's own.
    pub(crate) model: Option<String>,
    /// What was said before by the caller's account; shown to the model where the session does not know it itself.
    pub(crate) before: Vec<Entry>,
    /// The most tokens of an answer.
    pub(crate) max_tokens: Option<u32>,
    /// Tools that the caller runs.
    pub(crate) tools: Vec<ToolSpec>,
    /// Who hears the answer as it comes.
    pub(crate) told: Option<mpsc::UnboundedSender<Told>>,
    /// What was called of them.
    pub(crate) handed: Mutex<Vec<ToolCall>>,
}

/// How an answer comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The model is asked again: what follows is another text.
    Anew,
    /// It said more.
    More(String),
}

impl Extras {
    /// Puts what was said before in front of the last entry, which is what is to be answered. What the session knows
    /// already, word for word, is not said twice.
    pub(crate) fn put_before(&self, entries: &mut Vec<Entry>) {
        let Some(last) = entries.pop() else { return };
        let known: HashSet<_> = entries.iter().map(essence).collect();
        let news: Vec<Entry> =
            self.before.iter().filter(|it| !known.contains(&essence(it))).cloned().collect();
        entries.extend(news);
        entries.push(last);
    }

    /// Whether the caller runs this tool.
    pub(crate) fn hands_over(&self, name: &str) -> bool {
        self.tools.iter().any(|it| it.name == name)
    }

    /// Notes a call that the caller is to run.
    pub(crate) fn hand_over(&self, call: ToolCall) {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Whether the caller is to run something.
    pub(crate) fn has_handed(&self) -> bool {
        !self.handed.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The calls that the caller is to run.
    pub(crate) fn handed(&self) -> Vec<ToolCall> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bound of an answer: the narrower of the caller's and the model's.
    pub(crate) fn longest(&self, own: Option<u32>) -> Option<u32> {
        self.max_tokens.into_iter().chain(own).min()
    }
}

/// By what two entries are the same: who says it, what, and which calls they make or answer.
fn essence(entry: &Entry) -> (&'static str, &str, Vec<&str>) {
    match entry {
        Entry::User { text, .. } | Entry::Notice { text } => (entry.role(), text, Vec::new()),
        Entry::Assistant(it) => {
            (entry.role(), &it.text, it.calls.iter().map(|call| call.id.as_str()).collect())
        }
        Entry::ToolResult { call_id, .. } => (entry.role(), "", vec![call_id]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::entry::Answer;

    fn user(text: &str) -> Entry {
        Entry::user(text)
    }

    fn said(text: &str) -> Entry {
        Entry::Assistant(Answer { text: text.to_owned(), ..Answer::default() })
    }

    #[test]
    fn what_was_said_before_stands_in_front_and_only_once() {
        let extras = Extras { before: vec![user("a"), said("b"), user("c")], ..Extras::default() };
        let mut entries = vec![user("now")];
        extras.put_before(&mut entries);
        assert_eq!(entries, [user("a"), said("b"), user("c"), user("now")]);
        let mut known = vec![user("a"), said("b"), user("now")];
        extras.put_before(&mut known);
        assert_eq!(known, [user("a"), said("b"), user("c"), user("now")]);
    }

    #[test]
    fn the_narrower_bound_holds() {
        let of = |asked, own| Extras { max_tokens: asked, ..Extras::default() }.longest(own);
        assert_eq!(
            [
                of(Some(5), Some(9)),
                of(Some(9), Some(5)),
                of(None, Some(5)),
                of(Some(5), None),
                of(None, None)
            ],
            [Some(5), Some(5), Some(5), Some(5), None]
        );
    }
}
