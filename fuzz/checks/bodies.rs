//! Any bytes as a body: refused in one line of bounded length, or read as a whole, the same each time, and no longer
//! than what was sent.

use gateway::http::HooksSettings;
use gateway::http::body::{self, Kind};
use serde_json::{Value, json};

/// The most bytes of a refusal.
const LONGEST: usize = 1000;
/// The most tools of one request.
const TOOLS: usize = 128;
/// Bytes that a part of a body may cost beside its own: the mark of a result, with the name of its tool.
const MARK: usize = 100;

/// Panics where something does not hold.
pub fn check(kind: Kind, data: &[u8]) {
    let hooks = hooks();
    let found = body::wanted(kind, data, &hooks);
    assert_eq!(found, body::wanted(kind, data, &hooks), "not the same twice");
    let whole: Option<Value> = serde_json::from_slice(data).ok().filter(Value::is_object);
    match found {
        Err(words) => {
            assert!(!words.trim().is_empty() && words.len() <= LONGEST, "{words}");
            assert!(!words.chars().any(char::is_control), "{words:?}");
        }
        Ok(it) => {
            // A number without bounds is JSON, and no value.
            let is_empty = data.is_empty() && kind == Kind::Mapped;
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok();
            assert!(whole.is_some() || is_json || is_empty, "read, and no JSON");
            assert!(!it.message.trim().is_empty(), "nothing to answer");
            let parts = data.iter().filter(|it| **it == b'{').count() + 1;
            assert!(
                it.message.len() + it.before <= 2 * data.len() + parts * MARK,
                "longer than what was sent"
            );
            assert!(it.tools.len() <= TOOLS, "{} tools", it.tools.len());
            for name in &it.tools {
                let is_sound = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
                assert!((1..=64).contains(&name.len()) && name.chars().all(is_sound), "{name:?}");
                assert!(
                    !["exec", "read", "write", "edit"].contains(&name.as_str()),
                    "{name} is the agent's own"
                );
            }
        }
    }
}

/// Mappings that name what came from outside.
fn hooks() -> HooksSettings {
    let settings = json!({"mappings": [
        {"match": {"source": "wake"}, "action": "wake", "textTemplate": "{{a.b[0]}} {{payload.text}}"},
        {"match": {"path": "mapped"}, "messageTemplate": "{{message}}{{items[0].title}}{{__proto__}}",
         "name": "{{name}}", "sessionKey": "hook:{{id}}"},
    ]});
    serde_json::from_value(settings).expect("settings")
}
