//! What a change of the config asks for, key by key.

use profile::document;
use protocol::reload::ReloadStep;
use serde_json::Value;

use crate::config::{self, Key};

/// The gateway starts again.
const GATEWAY: &str = "gateway";
/// Nobody obeys the key.
const NOTHING: &str = "nothing";
/// Sections that no type describes and that are obeyed all the same: what they name is held, so that no other instance
/// takes it.
const HELD: [&str; 2] = ["browser", "canvasHost"];

/// Every key that changed.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of the keys.
    pub(super) steps: Vec<ReloadStep>,
}

impl Plan {
    /// What lies between two configs, everything put in. Secrets are masked.
    pub(super) fn of(before: &Value, after: &Value) -> Self {
        let keys = config::keys();
        let steps = document::changes(before, after).into_iter().map(|it| {
            let path: Vec<&str> = it.path.split('.').collect();
            let kind = kind(&path, &keys);
            ReloadStep { path: it.path, before: it.before, after: it.after, kind }
        });
        Self { steps: steps.collect() }
    }

    /// Whether anything of it needs the gateway to start again.
    pub(super) fn needs_restart(&self) -> bool {
        self.steps.iter().any(|it| it.kind == GATEWAY)
    }

    /// Whether anything of it changes what the gateway does.
    pub(super) fn matters(&self) -> bool {
        self.steps.iter().any(|it| it.kind != NOTHING)
    }

    /// The keys that need the gateway to start again.
    pub(super) fn of_the_gateway(&self) -> Vec<&str> {
        self.steps.iter().filter(|it| it.kind == GATEWAY).map(|it| it.path.as_str()).collect()
    }
}

fn kind(path: &[&str], keys: &[Key]) -> String {
    match path {
        ["channels", service, "accounts", account, ..] => return format!("channel {service}/{account}"),
        ["channels", service, ..] => return format!("channel {service}"),
        ["agents", "list" | "entries", ..] => return "hot".to_owned(),
        [section, ..] if HELD.contains(section) => return "hot".to_owned(),
        _ => {}
    }
    // A section by itself says nothing of keys that it does not have.
    let is_section = |key: &Key| {
        let below = format!("{}.", key.path);
        keys.iter().any(|it| it.path.starts_with(&below))
    };
    let counts = |it: &&Key| match reach(&parts(&it.path), path) {
        Some(Reach::Whole) => true,
        Some(Reach::Above) => !is_section(it),
        None => false,
    };
    let nearest = keys.iter().filter(counts).max_by_key(|it| it.path.len());
    nearest.map_or(NOTHING, |it| it.reload.as_str()).to_owned()
}

/// How far a key leads on the way to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It is the path.
    Whole,
    /// The path is below it.
    Above,
}

fn parts(key: &str) -> Vec<String> {
    key.replace("[]", ".[]").split('.').map(str::to_owned).collect()
}

/// Where a key leads, with `*` for any name, which may hold dots itself, and `[]` for any place in a list.
fn reach(key: &[String], path: &[&str]) -> Option<Reach> {
    let Some((first, rest)) = key.split_first() else {
        return Some(if path.is_empty() { Reach::Whole } else { Reach::Above });
    };
    if first == "*" {
        let found = (1..=path.len()).filter_map(|it| reach(rest, &path[it..]));
        return found.max_by_key(|it| *it == Reach::Whole);
    }
    let (own, below) = path.split_first()?;
    let is_same = first == own || (first == "[]" && own.parse::<usize>().is_ok());
    is_same.then(|| reach(rest, below))?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: Value, after: Value, expected: &[(&str, &str)]) {
        let plan = Plan::of(&before, &after);
        let found: Vec<_> = plan.steps.iter().map(|it| (it.path.as_str(), it.kind.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_key_asks_for_what_its_type_says() {
        check(
            json!({"gateway": {"port": 1}}),
            json!({"gateway": {"port": 2}}),
            &[("gateway.port", "gateway")],
        );
        check(
            json!({"gateway": {"auth": {"token": "a"}}, "logging": {"level": "info"}}),
            json!({"gateway": {"auth": {"token": "b"}}, "logging": {"level": "warn"}}),
            &[("gateway.auth.token", "hot"), ("logging.level", "hot")],
        );
        check(
            json!({}),
            json!({"models": {"providers": {"x.y": {"models": [{"id": "a"}]}}}}),
            &[("models.providers.x.y.models", "hot")],
        );
        check(
            json!({"meta": {"a": 1}}),
            json!({"session": {"scope": "global"}}),
            &[("meta.a", "nothing"), ("session.scope", "nothing")],
        );
        check(
            json!({"channels": {"telegram": {"botToken": "a", "accounts": {"b": {"botToken": "c"}}}}}),
            json!({"channels": {"telegram": {"botToken": "d", "accounts": {"b": {"botToken": "e"}}}}}),
            &[
                ("channels.telegram.accounts.b.botToken", "channel telegram/b"),
                ("channels.telegram.botToken", "channel telegram"),
            ],
        );
    }

    #[test]
    fn a_key_that_nobody_has_asks_for_nothing() {
        check(
            json!({}),
            json!({"gateway": {"prot": 1}, "tols": {"deny": []}}),
            &[("gateway.prot", "nothing"), ("tols.deny", "nothing")],
        );
        check(
            json!({"gateway": {}}),
            json!({"gateway": {"auth": {"token": {"source": "env", "id": "X"}}}}),
            &[("gateway.auth.token.id", "hot"), ("gateway.auth.token.source", "hot")],
        );
    }

    #[test]
    fn secrets_are_masked() {
        let plan = Plan::of(
            &json!({"gateway": {"auth": {"token": "a"}}}),
            &json!({"gateway": {"auth": {"token": "b"}}}),
        );
        assert_eq!(plan.steps[0].after.as_deref(), Some("***"));
    }
}
