//! Session keys: `main`, or `agent:<agent>:<rest>`.

use protocol::Refusal;

/// What `main` stands for within an agent.
pub(crate) const MAIN: &str = "main";
/// The most bytes that a key may have.
const LONGEST: usize = 512;

/// A session key in its one canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    text: String,
    agent: String,
}

impl SessionKey {
    /// Reads a key as clients send it. What does not begin with `agent:` belongs to the default agent.
    pub(crate) fn parse(text: &str, default_agent: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let bad = |why: &str| Refusal::invalid(format!("bad sessionKey: {why}"));
        if text.is_empty() {
            return Err(bad("it is empty; use \"main\" for the main session"));
        }
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(bad("at most 512 bytes and no control characters are allowed"));
        }
        match text.strip_prefix("agent:").map(|it| it.split_once(':')) {
            Some(Some((agent, rest))) if !agent.is_empty() && !rest.is_empty() => Ok(Self::of(agent, rest)),
            Some(_) => Err(bad("after \"agent:\" come the agent's id, a colon and a name")),
            None => Ok(Self::of(default_agent, text)),
        }
    }

    /// The main session of an agent.
    pub(crate) fn main(agent: &str) -> Self {
        Self::of(agent, MAIN)
    }

    /// A session that was asked for by its id, before it had a key.
    pub(crate) fn explicit(agent: &str, session_id: &str) -> Self {
        Self::of(agent, &format!("explicit:{session_id}"))
    }

    fn of(agent: &str, rest: &str) -> Self {
        // An id is the same whatever its case.
        let agent = agent.to_ascii_lowercase();
        Self { text: format!("agent:{agent}:{rest}"), agent }
    }

    /// The canonical form.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The agent that answers in it.
    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_one_canonical_one() {
        let canonical = |text| SessionKey::parse(text, "main").map(|it| it.text).map_err(|it| it.message);
        assert_eq!(canonical("main").as_deref(), Ok("agent:main:main"));
        assert_eq!(canonical(" work ").as_deref(), Ok("agent:main:work"));
        assert_eq!(canonical("agent:ops:telegram:group:1").as_deref(), Ok("agent:ops:telegram:group:1"));
        for bad in ["", "agent:", "agent::x", "agent:a:", "a\nb", &"a".repeat(600)] {
            assert!(canonical(bad).is_err(), "{bad:?}");
        }
    }
}
