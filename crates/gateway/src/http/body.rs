//! Bodies that others send: read as a whole, or refused with the place of what is wrong. Nothing is done here.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{HooksSettings, hooks, openai, tools};

/// The most characters of a refusal that come from the body.
const MOST: usize = 300;

/// A body by what it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /tools/invoke`.
    Invoke,
    /// `POST /hooks/wake`.
    Wake,
    /// `POST /hooks/agent`.
    Agent,
    /// `POST /hooks/NAME`, as the config maps it.
    Mapped,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ChatCompletions, Self::Responses, Self::Invoke, Self::Wake, Self::Agent, Self::Mapped];
}

/// What a body asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be answered, or the tool that is to be run.
    pub message: String,
    /// Bytes of what was said before it.
    pub before: usize,
    /// The tools that come with it.
    pub tools: Vec<String>,
}

/// What a body asks for, without anything being done. `hooks` are the settings that [`Kind::Mapped`] goes by.
///
/// # Errors
/// In the words of the answer.
pub fn wanted(kind: Kind, body: &[u8], hooks: &HooksSettings) -> Result<Wanted, String> {
    match kind {
        Kind::ChatCompletions => openai::wanted_of_chat(body),
        Kind::Responses => openai::wanted_of_responses(body),
        Kind::Invoke => tools::wanted(body),
        Kind::Wake => hooks::wanted_of_wake(body),
        Kind::Agent => hooks::wanted_of_agent(body),
        Kind::Mapped => hooks::wanted_of_mapped(body, hooks),
    }
}

/// Reads a JSON object.
///
/// # Errors
/// In words, with the place: `at /messages/0/role: ...`.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // What is passed over would be let through otherwise.
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.valid_up_to()))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err("expected a JSON object".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string().replace(['.', '['], "/").replace(']', "");
        // Both may hold as much of the body as there is.
        let words = base::text::line(&error.inner().to_string(), MOST);
        if path == "/" { words } else { format!("at /{}: {words}", base::text::line(&path, MOST)) }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(read)
}

/// Bytes of text in a value.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(size).sum(),
        Value::Object(all) => all.iter().map(|(key, it)| key.len() + size(it)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "only whether it is read")]
        list: Vec<u8>,
    }

    #[track_caller]
    fn check(body: &[u8], words: &str) {
        let refused = read::<Body>(body).expect_err("refused");
        assert!(refused.starts_with(words) && refused.len() < 2 * MOST + 100, "{refused}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_within_bounds() {
        assert!(read::<Body>(" {\"list\": [1], \"other\": \"\u{e9}\"}\n".as_bytes()).is_ok());
        check(b"[1]", "expected a JSON object");
        check(b"", "expected a JSON object");
        check(b"{\"list\": [1, \"x\"]}", "at /list/1: invalid type: string \"x\"");
        check(b"{\"list\": []} x", "trailing characters");
        // Also in what nobody reads.
        check(b"{\"list\": [], \"other\": \"\xff\"}", "it is not UTF-8 from byte 23 on");
        let long = json!({"list": "x".repeat(100_000)}).to_string();
        check(long.as_bytes(), "at /list: invalid type: string \"xxx");
    }
}
