//! Where hosts that speak the dialect deviate from it. Told by the host, since the same vendor may be reached
//! through a gateway of somebody's own that follows the common form.

use hyper::Uri;

/// What to do differently; the default is what nearly everybody understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quirks {
    /// Whether to ask for the usage with `stream_options`.
    pub(super) asks_for_usage: bool,
    /// The field for the longest answer.
    pub(super) max_tokens: &'static str,
    /// Whether the list of models wants the headers of Anthropic's own API.
    pub(super) lists_like_anthropic: bool,
    /// Whether how much is thought is said in tokens, and not in a word.
    pub(super) thinks_by_tokens: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            asks_for_usage: true,
            max_tokens: "max_tokens",
            lists_like_anthropic: false,
            thinks_by_tokens: false,
        }
    }
}

impl Quirks {
    pub(super) fn of(url: &Uri) -> Self {
        match url.host().unwrap_or_default() {
            // Its newer models answer 400 to the old name; its older ones know the new one.
            "api.openai.com" => Self { max_tokens: "max_completion_tokens", ..Self::default() },
            // Takes a bearer for the chat, and only its own headers for the list.
            "api.anthropic.com" => {
                Self { lists_like_anthropic: true, thinks_by_tokens: true, ..Self::default() }
            }
            // Answers 422 to the field, and sends the usage unasked.
            "api.mistral.ai" => Self { asks_for_usage: false, ..Self::default() },
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Quirks {
        Quirks::of(&url.parse().expect("a URL"))
    }

    #[test]
    fn only_the_hosts_themselves_are_special() {
        assert_eq!(of("https://api.openai.com/v1").max_tokens, "max_completion_tokens");
        let anthropic = of("https://api.anthropic.com/v1");
        assert!(anthropic.lists_like_anthropic && anthropic.thinks_by_tokens);
        assert!(!of("https://api.mistral.ai/v1").asks_for_usage);
        for url in ["https://api.openai.com.example/v1", "http://127.0.0.1:8080/api.mistral.ai"] {
            assert_eq!(of(url), Quirks::default());
        }
    }
}
