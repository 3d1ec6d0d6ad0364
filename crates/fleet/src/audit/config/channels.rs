//! Who may write to an agent, and what the agent may do for them.

use serde_json::{Map, Value};

use super::at;
use crate::audit::{Exposure, Severity};

/// A list of senders that is longer is not looked through by anybody.
const LARGE: usize = 25;

/// Each channel that is on, and each account of it: its key, and what it says.
fn sections(config: &Value) -> Vec<(String, &str, &Value)> {
    let mut found = Vec::new();
    let channels = at(config, "channels").and_then(Value::as_object);
    let is_on = |it: &Value| it.is_object() && it["enabled"].as_bool() != Some(false);
    for (name, it) in channels.into_iter().flatten().filter(|(name, it)| *name != "defaults" && is_on(it)) {
        found.push((format!("channels.{name}"), name.as_str(), it));
        let accounts = it["accounts"].as_object();
        for (account, it) in accounts.into_iter().flatten().filter(|(_, it)| is_on(it)) {
            found.push((format!("channels.{name}.accounts.{account}"), name.as_str(), it));
        }
    }
    found
}

fn has_wildcard(list: &Value) -> bool {
    list.as_array().into_iter().flatten().any(|it| it.as_str() == Some("*"))
}

/// Whether anybody may write, in private or in a group.
fn openness(section: &Value) -> (bool, bool) {
    let dm = section["dmPolicy"].as_str().or_else(|| section["dm"]["policy"].as_str());
    let listed = has_wildcard(&section["allowFrom"]) || has_wildcard(&section["dm"]["allowFrom"]);
    let groups = section["groupPolicy"].as_str() == Some("open") || has_wildcard(&section["groupAllowFrom"]);
    (dm == Some("open") || (listed && dm != Some("disabled")), groups)
}

/// Who may write to an agent.
pub(super) fn channels(config: &Value, found: &mut Vec<Exposure>) {
    for (key, name, section) in sections(config) {
        let (dm, groups) = openness(section);
        if dm {
            let title = format!("Anybody may write to the agent on {name}");
            let it = Exposure::new(&format!("channels.{name}.dm.open"), Severity::Critical, &title, &key);
            found.push(it.remedy(format!("set {key}.dmPolicy to \"pairing\", and list who may write")));
        }
        if section["dmPolicy"].as_str() == Some("open") && !has_wildcard(&section["allowFrom"]) {
            let title = format!("{name} is open and lists who may write");
            let it = Exposure::new(&format!("channels.{name}.dm.open_invalid"), Severity::Warn, &title, &key);
            found.push(it.remedy(format!("set {key}.dmPolicy to \"allowlist\"")));
        }
        if groups {
            let title = format!("Anybody in any group may write to the agent on {name}");
            let it = Exposure::new(&format!("channels.{name}.groups.open"), Severity::Warn, &title, &key);
            found.push(it.remedy(format!("set {key}.groupPolicy to \"allowlist\"")));
        }
        let count = section["allowFrom"].as_array().map_or(0, Vec::len);
        if count > LARGE {
            let title = format!("Many may write to the agent on {name}");
            let detail = format!("{key}.allowFrom has {count} entries");
            found.push(Exposure::new(
                &format!("channels.{name}.allow_from.large"),
                Severity::Info,
                &title,
                detail,
            ));
        }
    }
}

/// What an agent may do with this machine.
struct Allowed {
    exec: bool,
    files: bool,
}

impl Allowed {
    fn of(tools: &Value) -> Self {
        let named = |list: &Value, tool: &str| {
            list.as_array()
                .into_iter()
                .flatten()
                .any(|it| matches!(it.as_str(), Some(it) if it == tool || it == "*"))
        };
        let may =
            |tool| (tools["allow"].is_null() || named(&tools["allow"], tool)) && !named(&tools["deny"], tool);
        Self { exec: may("exec"), files: may("write") || may("edit") }
    }
}

/// Tools together with who may write.
pub(super) fn tools(config: &Value, found: &mut Vec<Exposure>) {
    let none = Value::Null;
    let allowed = Allowed::of(config.get("tools").unwrap_or(&none));
    let open: Vec<(String, (bool, bool))> = sections(config)
        .into_iter()
        .map(|(key, _, it)| (key, openness(it)))
        .filter(|(_, it)| it.0 || it.1)
        .collect();
    let keys = open.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ");
    if !open.is_empty() && allowed.exec {
        let id = "security.exposure.open_channels_with_exec";
        let title = "Strangers can make the agent run commands";
        let it =
            Exposure::new(id, Severity::Critical, title, format!("open: {keys}; the tool exec is allowed"));
        found.push(it.remedy("close the channels, or add \"exec\" to tools.deny"));
    } else if !open.is_empty() && allowed.files {
        let id = "security.exposure.open_groups_with_runtime_or_fs";
        let title = "Strangers can make the agent write files";
        let it =
            Exposure::new(id, Severity::Critical, title, format!("open: {keys}; write or edit is allowed"));
        found.push(it.remedy("close the channels, or add \"write\" and \"edit\" to tools.deny"));
    }
    let elevated = at(config, "tools.elevated.allowFrom").and_then(Value::as_object);
    for (provider, list) in elevated.into_iter().flatten() {
        let count = list.as_array().map_or(0, Vec::len);
        let key = format!("tools.elevated.allowFrom.{provider}");
        if has_wildcard(list) {
            let title = "Everybody may use elevated tools";
            let it = Exposure::new(
                &format!("{key}.wildcard"),
                Severity::Critical,
                title,
                format!("{key} has \"*\""),
            );
            found.push(it.remedy("list who may"));
        } else if count > LARGE {
            let title = "Many may use elevated tools";
            let it =
                Exposure::new(&format!("{key}.large"), Severity::Warn, title, format!("{count} entries"));
            found.push(it.remedy("list fewer"));
        }
    }
}

/// What there is to attack, in one line.
pub(super) fn surface(config: &Value) -> Option<Exposure> {
    let allowed = Allowed::of(config.get("tools").unwrap_or(&Value::Null));
    let channels: Map<String, Value> =
        at(config, "channels").and_then(Value::as_object).cloned().unwrap_or_default();
    let on = |it: bool| if it { "yes" } else { "no" };
    let hooks = at(config, "hooks.enabled") == Some(&Value::Bool(true));
    let detail = format!(
        "channels: {}; tools: exec {}, files {}; hooks {}; browser {}",
        channels.keys().filter(|it| *it != "defaults").count(),
        on(allowed.exec),
        on(allowed.files),
        on(hooks),
        on(config.get("browser").is_some_and(|it| it["enabled"].as_bool() != Some(false))),
    );
    Some(Exposure::new("summary.attack_surface", Severity::Info, "What there is to attack", detail))
}
