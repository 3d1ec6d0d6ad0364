//! What can go wrong between a question and the end of its answer, in words for a person.

use std::fmt;
use std::time::Duration;

use base::text;

/// The longest `words` of a [`ModelError`], in bytes.
const LONGEST_WORDS: usize = 300;

/// Why a model did not answer, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError {
    /// What sort of failure it is, for whoever decides what to do next.
    pub kind: ErrorKind,
    /// The [`Provider::id`](crate::Provider::id) that failed.
    pub provider: String,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The provider's own words, or the system's: one line of at most 300 bytes, without secrets.
    pub words: String,
}

/// The sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The key is missing, wrong, or may not do this.
    Auth,
    /// Too many requests for now.
    RateLimited,
    /// The conversation is longer than the model can read.
    ContextLength,
    /// Any other refusal of the request as it is.
    Refused,
    /// The provider's own fault.
    Server,
    /// No connection came about.
    Unreachable,
    /// The answer ended before its end.
    Cut,
    /// The answer makes no sense.
    Garbage,
    /// Nothing came for too long.
    TimedOut,
    /// The answer, or the request, is larger than allowed.
    TooLarge,
}

impl ModelError {
    /// An error without a status. `words` are brought to one line of at most 300 bytes.
    pub fn new(kind: ErrorKind, provider: &str, words: &str) -> Self {
        Self { kind, provider: provider.to_owned(), status: None, retry_after: None, words: one_line(words) }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.provider)?;
        match self.kind {
            ErrorKind::Auth => f.write_str(" did not accept the key")?,
            ErrorKind::RateLimited => f.write_str(" wants fewer requests")?,
            ErrorKind::ContextLength => {
                f.write_str(" says that the conversation is too long for the model")?
            }
            ErrorKind::Refused => f.write_str(" refused the request")?,
            ErrorKind::Server => f.write_str(" failed on its own side")?,
            ErrorKind::Unreachable => f.write_str(" cannot be reached")?,
            ErrorKind::Cut => f.write_str(" broke off before the end of the answer")?,
            ErrorKind::Garbage => f.write_str(" sent an answer that cannot be read")?,
            ErrorKind::TimedOut => f.write_str(" took too long to answer")?,
            ErrorKind::TooLarge => f.write_str(": the request or its answer is too large")?,
        }
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if !self.words.is_empty() {
            write!(f, ": {}", self.words)?;
        }
        f.write_str("; ")?;
        match (self.kind, self.retry_after) {
            (ErrorKind::RateLimited, Some(pause)) => {
                let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1000);
                write!(f, "try again in {}", base::clock::span(ms))
            }
            (kind, _) => f.write_str(advice(kind)),
        }
    }
}

impl std::error::Error for ModelError {}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "check the API key of this provider, and what it is allowed to do",
        ErrorKind::RateLimited => "wait a little and try again, or choose another model",
        ErrorKind::ContextLength => "start a new session with /new, or choose a model with a larger context",
        ErrorKind::Refused => "check the model's name and the account at the provider",
        ErrorKind::Server => "try again later, or choose another model",
        ErrorKind::Unreachable => "check the network and the base URL, and that the server runs",
        ErrorKind::Cut => "ask again",
        ErrorKind::Garbage => "check that the base URL belongs to an OpenAI-compatible API",
        ErrorKind::TimedOut => "try again, or choose a faster model",
        ErrorKind::TooLarge => "ask for less at once",
    }
}

/// One line, and short: the cut mark of three bytes counts too.
fn one_line(words: &str) -> String {
    let line = text::line(words, LONGEST_WORDS);
    if line.len() <= LONGEST_WORDS { line } else { text::line(words, LONGEST_WORDS - '…'.len_utf8()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_what_and_what_to_do_in_one_line() {
        let mut error = ModelError::new(ErrorKind::Auth, "openai", "Incorrect\nkey");
        error.status = Some(401);
        assert_eq!(
            error.to_string(),
            "openai did not accept the key (HTTP 401): Incorrect key; check the API key of this provider, and \
             what it is allowed to do"
        );
        let mut error = ModelError::new(ErrorKind::RateLimited, "groq", "");
        error.retry_after = Some(Duration::from_secs(90));
        assert_eq!(error.to_string(), "groq wants fewer requests; try again in 1m");
    }

    #[test]
    fn words_are_bounded_with_their_cut_mark() {
        for length in [299, 300, 301, 5000] {
            let error = ModelError::new(ErrorKind::Server, "x", &"a".repeat(length));
            assert_eq!(error.words.len(), length.min(300));
        }
    }
}
