//! What can be said of a conversation beside what has a place of its own: by name, kind and scope.

use protocol::Refusal;
use protocol::sessions::ThinkingLevel;
use serde_json::{Map, Value};

/// What a value may be; null always takes it away.
enum Kind {
    /// A text of so many bytes.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// True, false or `auto`.
    FlagOrAuto,
    /// A number from 0 to this one.
    Number(u64),
}

/// One line of the table: the name, what it may be, and whether `operator.write` is enough for it.
struct Trait(&'static str, Kind, bool);

/// How much the model is to think; `off` and `adaptive` leave it to the model.
const LEVELS: Kind = Kind::Word(&ThinkingLevel::IDS);

const TRAITS: &[Trait] = &[
    Trait("autoLabel", Kind::Text(512), true),
    Trait("icon", Kind::Text(128), true),
    Trait("color", Kind::Text(32), true),
    Trait("category", Kind::Text(128), true),
    Trait("boardFace", Kind::Text(32), true),
    Trait("boardPresentation", Kind::Text(32), true),
    Trait("agentRuntime", Kind::Text(64), true),
    Trait("thinkingLevel", LEVELS, true),
    Trait("fastMode", Kind::FlagOrAuto, true),
    Trait("permissionMode", Kind::Text(32), true),
    Trait("verboseLevel", Kind::Word(&["on", "off", "full"]), false),
    Trait("traceLevel", Kind::Word(&["on", "off", "raw"]), false),
    Trait("reasoningLevel", Kind::Word(&["on", "off", "stream"]), false),
    Trait("elevatedLevel", Kind::Word(&["on", "off", "ask", "full"]), false),
    Trait("responseUsage", Kind::Word(&["off", "tokens", "full", "on"]), false),
    Trait("sendPolicy", Kind::Word(&["allow", "deny"]), false),
    Trait("groupActivation", Kind::Word(&["mention", "always"]), false),
    Trait("queueMode", Kind::Word(&["steer", "followup", "collect", "interrupt"]), false),
    Trait("execHost", Kind::Word(&["auto", "sandbox", "gateway", "node"]), false),
    Trait("execSecurity", Kind::Word(&["deny", "allowlist", "full"]), false),
    Trait("execAsk", Kind::Word(&["off", "on-miss", "always"]), false),
    Trait("execNode", Kind::Text(128), false),
    Trait("spawnDepth", Kind::Number(64), false),
    Trait("subagentRole", Kind::Word(&["orchestrator", "leaf"]), false),
];

/// Checks how much the model is to think, where it is said of one message.
pub(in crate::methods) fn check_level(method: &str, level: Option<&str>) -> Result<(), Refusal> {
    let Some(level) = level else { return Ok(()) };
    LEVELS
        .check(&Value::String(level.to_owned()))
        .map_err(|why| Refusal::invalid(format!("invalid {method} params: at /thinking: {why}")))
}

/// Reads the keys of a patch that have no place of their own. What nobody knows is left out. Whether all of it may
/// be said with `operator.write` comes beside it.
pub(super) fn read(method: &str, rest: &Map<String, Value>) -> Result<(Map<String, Value>, bool), Refusal> {
    let mut traits = Map::new();
    let mut is_plain = true;
    for Trait(name, kind, plain) in TRAITS {
        let Some(value) = rest.get(*name) else { continue };
        if !value.is_null() {
            kind.check(value)
                .map_err(|why| Refusal::invalid(format!("invalid {method} params: at /{name}: {why}")))?;
        }
        is_plain &= *plain && !(*name == "permissionMode" && value == "full");
        traits.insert((*name).to_owned(), value.clone());
    }
    Ok((traits, is_plain))
}

impl Kind {
    fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self {
            Kind::Text(most) => {
                value.as_str().is_some_and(|it| !it.is_empty() && it.len() <= *most && !it.contains('\0'))
            }
            Kind::Word(words) => value.as_str().is_some_and(|it| words.contains(&it)),
            Kind::FlagOrAuto => value.is_boolean() || value == "auto",
            Kind::Number(most) => value.as_u64().is_some_and(|it| it <= *most),
        };
        if fits { Ok(()) } else { Err(self.wish()) }
    }

    fn wish(&self) -> String {
        match self {
            Kind::Text(most) => format!("must be null or a text of 1 to {most} bytes"),
            Kind::Word(words) => format!("must be null or one of {}", words.join(", ")),
            Kind::FlagOrAuto => "must be null, true, false or auto".to_owned(),
            Kind::Number(most) => format!("must be null or a number from 0 to {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_key_is_checked_by_its_place_and_asks_for_its_scope() {
        let check = |value: Value| {
            let map = value.as_object().expect("an object").clone();
            read("sessions.patch", &map).map(|(traits, plain)| (Value::Object(traits), plain))
        };
        let taken = |value: Value, plain| assert_eq!(check(value.clone()).expect("taken"), (value, plain));
        taken(json!({"icon": "x", "thinkingLevel": null, "fastMode": "auto"}), true);
        taken(json!({"icon": "x", "verboseLevel": "on"}), false);
        taken(json!({"permissionMode": "ask"}), true);
        taken(json!({"permissionMode": "full"}), false);
        taken(json!({"spawnDepth": 2}), false);
        assert_eq!(check(json!({"nobodyKnows": 1})).expect("left out"), (json!({}), true));
        for (value, place) in [
            (json!({"verboseLevel": "loud"}), "at /verboseLevel: must be null or one of on, off, full"),
            (json!({"icon": 5}), "at /icon: must be null or a text of 1 to 128 bytes"),
            (json!({"fastMode": "x"}), "at /fastMode: must be null, true, false or auto"),
            (json!({"spawnDepth": -1}), "at /spawnDepth: must be null or a number from 0 to 64"),
        ] {
            let refusal = check(value).expect_err("refused");
            assert!(refusal.message.ends_with(place), "{}", refusal.message);
        }
    }
}
