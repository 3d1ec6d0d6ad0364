//! What the scripted model is told to answer.

use std::time::Duration;

use serde_json::Value;

/// One answer, and what follows it in later requests. Without steps it is an empty message.
#[derive(Debug, Clone)]
#[must_use = "give it to the model"]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) pace: Duration,
    pub(super) times: usize,
    pub(super) cut_after: Option<usize>,
    pub(super) finish: Option<String>,
    pub(super) failure: Option<Failure>,
    pub(super) following: Vec<Script>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Text { text: String, pieces: usize },
    Call { name: String, arguments: String },
    Wait(String),
    Garbage,
    Hang,
    Reset,
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            steps: Vec::new(),
            pace: Duration::ZERO,
            times: 1,
            cut_after: None,
            finish: None,
            failure: None,
            following: Vec::new(),
        }
    }
}

impl Script {
    /// An empty answer, to be filled.
    pub fn new() -> Script {
        Script::default()
    }

    /// Says `text`, in four pieces unless [`Script::pieces`] follows.
    pub fn text(self, text: impl Into<String>) -> Script {
        self.step(Step::Text { text: text.into(), pieces: 4 })
    }

    /// Says the last text in `n` pieces, split between characters; at most one a character.
    pub fn pieces(mut self, n: usize) -> Script {
        let last = self.steps.iter_mut().rev().find_map(|it| match it {
            Step::Text { pieces, .. } => Some(pieces),
            Step::Call { .. } | Step::Wait(_) | Step::Garbage | Step::Hang | Step::Reset => None,
        });
        *last.expect("pieces() follows a text()") = n.max(1);
        self
    }

    /// Pauses before each piece but the first: a slow model.
    pub fn pace(mut self, pause: Duration) -> Script {
        self.pace = pause;
        self
    }

    /// Calls a tool; the arguments are streamed in fragments.
    pub fn call(self, name: &str, arguments: Value) -> Script {
        self.call_raw(name, &arguments.to_string())
    }

    /// Calls a tool with arguments as they are, which need not be JSON.
    pub fn call_raw(self, name: &str, arguments: &str) -> Script {
        self.step(Step::Call { name: name.to_owned(), arguments: arguments.to_owned() })
    }

    /// Waits here until the test opens the gate.
    pub fn wait(self, gate: &str) -> Script {
        self.step(Step::Wait(gate.to_owned()))
    }

    /// Says a `data:` line that is no JSON.
    pub fn garbage(self) -> Script {
        self.step(Step::Garbage)
    }

    /// Says nothing more, and keeps the connection open until the client goes away. At the beginning only the
    /// head of the response is sent.
    pub fn hang(self) -> Script {
        self.step(Step::Hang)
    }

    /// Resets the connection. At the beginning not even the head of the response is sent.
    pub fn reset(self) -> Script {
        self.step(Step::Reset)
    }

    /// Closes the connection after `n` pieces, of text or of a call, without the end of the answer.
    pub fn cut_after(mut self, n: usize) -> Script {
        self.cut_after = Some(n);
        self
    }

    /// Ends with this `finish_reason`, instead of `stop` or `tool_calls`.
    pub fn finish(mut self, reason: &str) -> Script {
        self.finish = Some(reason.to_owned());
        self
    }

    /// Answers with this HTTP status and an error of OpenAI's shape. Gates before it are waited for.
    pub fn status(mut self, status: u16) -> Script {
        self.failing().status = status;
        self
    }

    /// Adds a `Retry-After` header, in seconds or as a date, to an answer with a status.
    pub fn retry_after(mut self, value: &str) -> Script {
        self.failing().retry_after = Some(value.to_owned());
        self
    }

    /// Sets code and message of the error in an answer with a status.
    pub fn error(mut self, code: &str, message: &str) -> Script {
        let failure = self.failing();
        failure.code = Some(code.to_owned());
        failure.message = Some(message.to_owned());
        self
    }

    /// Answers `n` requests with this one before the sequence goes on; once without it.
    pub fn times(mut self, n: usize) -> Script {
        assert!(n > 0, "a script answers at least one request");
        self.times = n;
        self
    }

    /// Answers later requests with `next`. The last of a sequence answers all that follow.
    pub fn then(mut self, next: Script) -> Script {
        self.following.push(next);
        self
    }

    /// This script and all that follow it, in order.
    pub(super) fn sequence(mut self) -> Vec<Script> {
        let following = std::mem::take(&mut self.following);
        std::iter::once(self).chain(following.into_iter().flat_map(Script::sequence)).collect()
    }

    fn step(mut self, step: Step) -> Script {
        self.steps.push(step);
        self
    }

    fn failing(&mut self) -> &mut Failure {
        self.failure.get_or_insert(Failure { status: 500, retry_after: None, code: None, message: None })
    }
}

/// Cuts a text into at most `n` pieces of about the same number of characters; one, empty, for the empty text.
pub(super) fn pieces(text: &str, n: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let n = n.clamp(1, characters.len().max(1));
    let bound = |piece: usize| characters.len() * piece / n;
    (0..n).map(|it| characters[bound(it)..bound(it + 1)].iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_and_never_split_a_character() {
        for (text, n, wanted) in [
            ("añb€", 2, vec!["añ", "b€"]),
            ("ab", 9, vec!["a", "b"]),
            ("", 3, vec![""]),
            ("abcde", 3, vec!["a", "bc", "de"]),
        ] {
            assert_eq!(pieces(text, n), wanted);
        }
    }

    #[test]
    fn a_sequence_is_flat() {
        let script =
            Script::new().text("a").then(Script::new().text("b").then(Script::new())).then(Script::new());
        assert_eq!(script.sequence().len(), 4);
    }
}
