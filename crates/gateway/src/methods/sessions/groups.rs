//! `sessions.groups.*`: which groups there are, in which order. What is in a group says so itself, by its category, so
//! that no list can be at odds with the conversations.

use std::io;
use std::path::Path;

use protocol::Refusal;
use protocol::approvals::NoParams;
use protocol::sessions::{Group, GroupsDeleteParams, GroupsPutParams, GroupsRenameParams, GroupsReply};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{Expected, SessionPatch, SessionQuery, Store, StoreError};

use crate::state::Gateway;
use crate::table::Caller;

/// Its name in the state folder.
const FILE: &str = "session-groups.json";
/// The most groups, and the most sections of a page.
const MOST: usize = 200;
/// The longest name, in bytes: that of a category.
const LONGEST: usize = 128;
/// Conversations of one group that are changed with it.
const MEMBERS: usize = 100_000;

/// The order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Order {
    version: u32,
    names: Vec<String>,
    section_order: Vec<String>,
}

type Done = Result<GroupsReply, Refusal>;

pub(crate) async fn list(caller: Caller, _: NoParams) -> Done {
    with(&caller.gateway, |store, order| {
        let names = all(store, order)?;
        Ok(Ok(reply(order, names)))
    })
    .await
}

pub(crate) async fn put(caller: Caller, params: GroupsPutParams) -> Done {
    let names = params.names.iter().map(|it| named("names", it)).collect::<Result<Vec<_>, _>>()?;
    let sections = params.section_order;
    let is_long = |it: &Vec<String>| it.len() > MOST || it.iter().any(|it| it.len() > LONGEST);
    if names.len() > MOST || sections.as_ref().is_some_and(is_long) {
        let text = format!("at most {MOST} groups and sections are kept, with names of {LONGEST} bytes");
        return Err(Refusal::invalid(text));
    }
    let done = with(&caller.gateway, move |store, order| {
        let left: Vec<String> = store
            .categories()?
            .into_iter()
            .filter(|(name, _)| !names.contains(name))
            .map(|(name, count)| format!("\"{name}\" ({count})"))
            .collect();
        if !left.is_empty() {
            return Ok(Err(Refusal::invalid(format!(
                "sessions.groups.put leaves out groups with conversations in them: {}; name them too, or take \
                 them away with sessions.groups.delete",
                left.join(", ")
            ))));
        }
        order.names.clear();
        for name in names {
            if !order.names.contains(&name) {
                order.names.push(name);
            }
        }
        if let Some(sections) = sections {
            order.section_order = sections;
        }
        let names = order.names.clone();
        Ok(Ok(GroupsReply { ok: Some(true), ..reply(order, names) }))
    });
    told(&caller, done.await).await
}

pub(crate) async fn rename(caller: Caller, params: GroupsRenameParams) -> Done {
    let (from, to) = (named("name", &params.name)?, named("to", &params.to)?);
    let done = with(&caller.gateway, move |store, order| {
        let mut names = all(store, order)?;
        let Some(at) = names.iter().position(|it| *it == from) else {
            return Ok(Err(Refusal::invalid(format!("unknown session group: {from}"))));
        };
        let moved = move_all(store, &from, &json!(to))?;
        if from != to && names.contains(&to) {
            names.remove(at);
        } else {
            names[at] = to;
        }
        order.names.clone_from(&names);
        Ok(Ok(GroupsReply { ok: Some(true), updated_sessions: Some(moved), ..reply(order, names) }))
    });
    told(&caller, done.await).await
}

pub(crate) async fn delete(caller: Caller, params: GroupsDeleteParams) -> Done {
    let name = named("name", &params.name)?;
    let done = with(&caller.gateway, move |store, order| {
        let moved = move_all(store, &name, &Value::Null)?;
        order.names.retain(|it| *it != name);
        let names = all(store, order)?;
        Ok(Ok(GroupsReply { ok: Some(true), updated_sessions: Some(moved), ..reply(order, names) }))
    });
    told(&caller, done.await).await
}

/// Those who follow the list are told that it has changed.
async fn told(caller: &Caller, done: Done) -> Done {
    if done.is_ok() {
        let key = crate::keys::SessionKey::main(&caller.gateway.force().agents.default().id);
        caller.gateway.tell_changed(&key, "groups", None).await;
    }
    done
}

/// Reads or changes the order, on the store's thread: one at a time, and with the conversations as they are.
async fn with(
    gateway: &Gateway,
    act: impl FnOnce(&mut Store, &mut Order) -> Result<Done, StoreError> + Send + 'static,
) -> Done {
    let state = gateway.instance.state_dir.clone();
    let done = gateway.archive.with(move |store| {
        let before = match read(&state) {
            Ok(it) => it,
            Err(why) => return Ok(Err(Refusal::unavailable(why))),
        };
        let mut order = before.clone();
        let done = act(store, &mut order)?;
        if done.is_ok() && order != before {
            order.version = 1;
            if let Err(why) = write(&state, &order) {
                return Ok(Err(Refusal::unavailable(why)));
            }
        }
        Ok(done)
    });
    done.await.map_err(|error| gateway.store_refusal("the groups were not read or changed", &error))?
}

/// Those of the order, and behind them those that conversations name without it.
fn all(store: &Store, order: &Order) -> Result<Vec<String>, StoreError> {
    let mut names = order.names.clone();
    for (name, _) in store.categories()? {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn move_all(store: &mut Store, from: &str, to: &Value) -> Result<usize, StoreError> {
    let query = SessionQuery { category: Some(from.to_owned()), limit: MEMBERS, ..SessionQuery::default() };
    let members = store.sessions(&query)?.sessions;
    for it in &members {
        let traits = Map::from_iter([("category".to_owned(), to.clone())]);
        let patch = SessionPatch { traits, ..SessionPatch::default() };
        store.patch_session(&it.key, &it.agent_id, &Expected::default(), &patch)?;
    }
    Ok(members.len())
}

fn reply(order: &Order, names: Vec<String>) -> GroupsReply {
    let groups = names.into_iter().enumerate().map(|(position, name)| Group { name, position }).collect();
    GroupsReply { ok: None, groups, section_order: order.section_order.clone(), updated_sessions: None }
}

fn named(place: &str, name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!("{place}: a group's name is one line of 1 to {LONGEST} bytes")));
    }
    Ok(name.to_owned())
}

fn read(state: &Path) -> Result<Order, String> {
    let path = state.join(FILE);
    let bad = |why: String| format!("{} cannot be used: {why}", path.display());
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Order::default()),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn write(state: &Path, order: &Order) -> Result<(), String> {
    let text = serde_json::to_string_pretty(order).map_err(|error| error.to_string())?;
    base::file::replace(&state.join(FILE), text.as_bytes()).map_err(|error| base::text::chain(&error))
}
