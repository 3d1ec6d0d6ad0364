//! An answer as a stream of events: the turn's end is the stream's, and a client that hangs up ends the turn.

use futures_util::stream;

use super::super::reply::{Answer, events};
use super::talk::{End, Next, Talk};

/// What every stream ends with.
const DONE: &str = "data: [DONE]\n\n";
/// A comment, which clients leave out: whether they are still there shows when it is written.
const ALIVE: &str = ": still here\n\n";

/// How one of the APIs tells of an answer.
pub(super) trait Dialect: Send + 'static {
    /// Before anything is said.
    fn begins(&mut self) -> String;
    /// More is said.
    fn says(&mut self, text: &str) -> String;
    /// It is over.
    fn ends(&mut self, end: &End) -> String;
}

/// Streams a turn.
pub(super) fn answer(talk: Talk, mut dialect: impl Dialect) -> Answer {
    let first = dialect.begins();
    let rest = stream::unfold(Some((talk, dialect)), |state| async {
        let (mut talk, mut dialect) = state?;
        match talk.next().await {
            Next::Text(text) => Some((dialect.says(&text), Some((talk, dialect)))),
            Next::Silence => Some((ALIVE.to_owned(), Some((talk, dialect)))),
            Next::End(end) => Some((dialect.ends(&end) + DONE, None)),
        }
    });
    events(futures_util::StreamExt::chain(stream::iter([first]), rest))
}
