//! An agent's entry in the text of the config: in `agents.list`, or in `agents.entries` where it stands there.

use profile::{Document, Finding};
use protocol::Refusal;
use serde_json::{Map, Value, json};

use crate::agents::not_found;

/// What an entry is to say; what is absent stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) model: Option<Option<String>>,
    pub(super) emoji: Option<String>,
    pub(super) avatar: Option<String>,
    pub(super) identity_name: Option<String>,
    pub(super) theme: Option<String>,
}

/// Adds an entry. Where there was none, the agent that was always there gets one as well, and stays the default.
pub(super) fn add(document: &mut Document, id: &str, first: &str, wanted: &Wanted) -> Result<(), Refusal> {
    if keys(document, id).is_some() {
        return Err(Refusal::invalid(format!("agent \"{id}\" already exists")));
    }
    let mut entry = Map::new();
    fill(&mut entry, wanted);
    let listed = document.get("agents.list").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_by_name =
        document.get("agents.entries").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
    if listed.is_empty() && is_by_name {
        return document.set_at(&["agents", "entries", id], &Value::Object(entry)).map_err(unfit);
    }
    entry.insert("id".to_owned(), json!(id));
    let mut list = listed;
    if list.is_empty() {
        list.push(json!({"id": first, "default": true}));
    }
    list.push(Value::Object(entry));
    document.become_at(&["agents", "list"], &Value::Array(list)).map_err(unfit)
}

/// Changes an entry. The agent that is there without one gets one.
pub(super) fn update(document: &mut Document, id: &str, wanted: &Wanted) -> Result<(), Refusal> {
    let Some(keys) = keys(document, id) else {
        let mut entry = Map::from_iter([("id".to_owned(), json!(id))]);
        fill(&mut entry, wanted);
        let is_there = document.get("agents.list").and_then(Value::as_array).is_some_and(|it| !it.is_empty());
        if is_there {
            return Err(not_found(id));
        }
        return document.become_at(&["agents", "list"], &json!([entry])).map_err(unfit);
    };
    let mut entry = document.at_keys(&keys).and_then(Value::as_object).cloned().unwrap_or_default();
    fill(&mut entry, wanted);
    document.become_at(&keys, &Value::Object(entry)).map_err(unfit)
}

/// Takes an entry out, and the bindings that lead to it. How many those were.
pub(super) fn remove(document: &mut Document, id: &str) -> Result<usize, Refusal> {
    let keys = keys(document, id).ok_or_else(|| not_found(id))?;
    document.remove_at(&keys).map_err(unfit)?;
    let bindings = document.get("bindings").and_then(Value::as_array).cloned().unwrap_or_default();
    let leads = |it: &Value| it["agentId"].as_str().is_some_and(|it| it.trim().eq_ignore_ascii_case(id));
    let gone: Vec<usize> = (0..bindings.len()).filter(|at| leads(&bindings[*at])).collect();
    for at in gone.iter().rev() {
        document.remove_at(&["bindings", &at.to_string()]).map_err(unfit)?;
    }
    Ok(gone.len())
}

/// Where the entry of an agent stands.
fn keys(document: &Document, id: &str) -> Option<Vec<String>> {
    let is = |it: &str| it.trim().eq_ignore_ascii_case(id);
    let list = document.get("agents.list").and_then(Value::as_array);
    let at = list.and_then(|list| list.iter().position(|it| it["id"].as_str().is_some_and(is)));
    if let Some(at) = at {
        return Some(["agents", "list", &at.to_string()].map(str::to_owned).to_vec());
    }
    let named = document.get("agents.entries").and_then(Value::as_object)?;
    let key = named.keys().find(|it| is(it))?;
    Some(["agents", "entries", key].map(str::to_owned).to_vec())
}

fn fill(entry: &mut Map<String, Value>, wanted: &Wanted) {
    for (key, value) in [("name", &wanted.name), ("workspace", &wanted.workspace)] {
        entry.extend(value.as_ref().map(|it| (key.to_owned(), json!(it))));
    }
    match &wanted.model {
        Some(Some(model)) => {
            entry.insert("model".to_owned(), json!(model));
        }
        Some(None) => {
            entry.remove("model");
        }
        None => {}
    }
    let identity = [
        ("name", &wanted.identity_name),
        ("theme", &wanted.theme),
        ("emoji", &wanted.emoji),
        ("avatar", &wanted.avatar),
    ];
    for (key, value) in identity.into_iter().filter_map(|(key, it)| Some((key, it.as_ref()?))) {
        let section = entry.entry("identity").or_insert_with(|| json!({}));
        // Something else than an object is told of by the config's own check.
        if section.is_object() {
            section[key] = json!(value);
        }
    }
}

fn unfit(finding: Finding) -> Refusal {
    Refusal::invalid(format!("the config cannot take the change: {finding}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn document(text: &str) -> Document {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned()).expect("JSON5")
    }

    #[test]
    fn the_first_entry_brings_that_of_the_agent_that_was_there() {
        let mut it = document("{ // kept\n agents: {defaults: {model: 'a/b'}} }");
        let wanted = Wanted { name: Some("Ops".into()), ..Wanted::default() };
        add(&mut it, "ops", "main", &wanted).expect("added");
        let list = json!([{"id": "main", "default": true}, {"id": "ops", "name": "Ops"}]);
        assert_eq!(it.get("agents.list"), Some(&list));
        assert!(it.text().contains("// kept"), "{}", it.text());
        assert!(add(&mut it, "OPS", "main", &wanted).is_err(), "twice");
    }

    #[test]
    fn an_entry_is_changed_where_it_stands_and_taken_out_with_its_bindings() {
        let mut it = document(
            "{agents: {list: [{id: 'a', /* mine */ name: 'A', model: 'x/y'}, {id: 'b'}]},\n bindings: [{agentId: 'B'}, {agentId: 'a'}]}",
        );
        let wanted = Wanted { model: Some(None), emoji: Some("*".into()), ..Wanted::default() };
        update(&mut it, "a", &wanted).expect("changed");
        assert_eq!(
            it.get("agents.list").expect("there")[0],
            json!({"id": "a", "name": "A", "identity": {"emoji": "*"}})
        );
        assert!(it.text().contains("/* mine */"), "{}", it.text());
        assert_eq!(remove(&mut it, "b").expect("gone"), 1);
        assert_eq!(it.get("bindings"), Some(&json!([{"agentId": "a"}])));
        assert!(remove(&mut it, "b").is_err() && update(&mut it, "b", &wanted).is_err());
    }

    #[test]
    fn entries_by_name_stay_such() {
        let mut it = document("{agents: {entries: {Main: {}}}}");
        add(&mut it, "ops", "main", &Wanted::default()).expect("added");
        update(&mut it, "main", &Wanted { name: Some("M".into()), ..Wanted::default() }).expect("changed");
        assert_eq!(it.get("agents.entries"), Some(&json!({"Main": {"name": "M"}, "ops": {}})));
    }
}
