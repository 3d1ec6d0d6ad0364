//! Keys of model vendors: out of the original's auth profiles into `keys.env`, which the gateway reads after `.env`.

use std::fs;
use std::path::Path;

use base::Secret;
use base::file::{self, FileError};
use profile::Ambient;
use serde_json::Value;

use super::database::Database;
use super::report::{Finding, Kind};
use super::sessions::Agent;
use super::{Source, vendor_of};

/// The file of the keys, in the state folder.
pub(super) const FILE: &str = "keys.env";
/// The file of the person's own variables, which goes before it.
const OWN: &str = ".env";
/// The most bytes that a file of profiles may have.
const LARGEST: u64 = 4 * 1024 * 1024;
/// What the file begins with.
const HEADING: &str = "# Keys that were taken over by `openclaw import`. What .env says goes first.\n";

/// A key that may come over.
pub(super) struct Key {
    pub(super) variable: String,
    secret: Secret,
}

/// Finds the keys, with a row for each profile. `target` is the state folder that they come to.
pub(super) fn gather(
    source: &Source<'_>,
    agents: &[Agent],
    shared: Option<&Database>,
    target: &Path,
) -> (Vec<Key>, Vec<Finding>) {
    let there = variables(target);
    let is_elsewhere = target != source.instance.state_dir;
    let own = variables(&source.instance.state_dir);
    let (mut keys, mut rows) = (Vec::<Key>::new(), Vec::new());
    if is_elsewhere {
        for (_, variable) in source.vendors {
            if let Some(secret) = own.secret(variable).filter(|_| there.var(variable).is_none()) {
                rows.push(Finding::comes(Kind::Keys, format!("{variable} of .env")));
                keys.push(Key { variable: (*variable).to_owned(), secret });
            }
        }
    }
    for (place, profiles) in stores(agents, shared, &mut rows) {
        let list = profiles.get("profiles").unwrap_or(&profiles).as_object();
        for (id, profile) in list.into_iter().flatten().filter(|(_, it)| it.is_object()) {
            let what = format!("{} ({place})", base::text::line(id, 80));
            match judge(source, profile, &there, &keys) {
                Ok(Some(key)) => {
                    rows.push(Finding::comes(Kind::Keys, format!("{what} as {}", key.variable)));
                    keys.push(key);
                }
                Ok(None) => {}
                Err((kind, why)) => rows.push(Finding::stays(kind, what, why)),
            }
        }
    }
    (keys, rows)
}

/// Adds the keys to the file. What is in it stays; nothing is written where nothing is missing.
pub(super) fn write(keys: &[Key], target: &Path) -> Result<Vec<String>, FileError> {
    let path = target.join(FILE);
    let there = variables(target);
    let missing: Vec<&Key> = keys.iter().filter(|it| there.var(&it.variable).is_none()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let mut text = fs::read_to_string(&path).unwrap_or_else(|_| HEADING.to_owned());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in &missing {
        text.push_str(&format!("{}={}\n", key.variable, key.secret.expose()));
    }
    file::replace(&path, text.as_bytes())?;
    Ok(missing.into_iter().map(|it| it.variable.clone()).collect())
}

/// What is set in the files of a state folder.
fn variables(folder: &Path) -> Ambient {
    Ambient::of(&[], folder).with_env_file(&folder.join(OWN)).with_env_file(&folder.join(FILE))
}

/// Every store of profiles, with a name for people. An agent's own goes before the shared one.
fn stores(agents: &[Agent], shared: Option<&Database>, rows: &mut Vec<Finding>) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut add = |place: String, text: Result<Option<String>, String>| {
        let read = text.and_then(|it| match it {
            Some(it) => serde_json::from_str::<Value>(&it).map(Some).map_err(|_| "it is no JSON".to_owned()),
            None => Ok(None),
        });
        match read {
            Ok(Some(it)) => all.push((place, it)),
            Ok(None) => {}
            Err(why) => rows.push(Finding::stays(Kind::Keys, format!("logins of {place}"), why)),
        }
    };
    for agent in agents {
        if let Some(database) = agent.database.as_deref().filter(|it| it.has("auth_profile_store")) {
            let sql = "SELECT store_json FROM auth_profile_store WHERE store_key = ?1";
            add(format!("agent {}", agent.id), database.text(sql, "primary").map_err(|it| it.to_string()));
        }
        for name in ["auth-profiles.json", "auth.json"] {
            add(format!("agent {}, {name}", agent.id), small(&agent.folder.join("agent").join(name)));
        }
    }
    if let Some(database) = shared.filter(|it| it.has("config_machine_state")) {
        let sql = "SELECT value_json FROM config_machine_state WHERE state_key = ?1";
        add("all agents".to_owned(), database.text(sql, "authProfiles.store").map_err(|it| it.to_string()));
    }
    all
}

fn small(path: &Path) -> Result<Option<String>, String> {
    match fs::metadata(path) {
        Ok(it) if it.len() > LARGEST => Err("it has more than 4 MiB".to_owned()),
        Ok(_) => fs::read_to_string(path).map(Some).map_err(|it| it.to_string()),
        Err(_) => Ok(None),
    }
}

/// The key of a profile; `None` where another profile had the same one. Else why it stays.
fn judge(
    source: &Source<'_>,
    profile: &Value,
    there: &Ambient,
    keys: &[Key],
) -> Result<Option<Key>, (Kind, String)> {
    let provider = profile["provider"].as_str().unwrap_or_default();
    let kind = profile["type"].as_str().or_else(|| profile["mode"].as_str()).unwrap_or_default();
    if kind != "api_key" {
        let kind = base::text::line(kind, 40);
        let why = match kind.as_str() {
            "oauth" => "a grant belongs to one program: log in again, or use an API key".to_owned(),
            "token" => "a subscription's token belongs to one program: use an API key".to_owned(),
            other => format!("logins of type `{other}` are not known here"),
        };
        return Err((Kind::Grant, why));
    }
    let stays = |why: String| Err((Kind::Keys, why));
    let Some((_, variable)) = vendor_of(source, provider) else {
        return stays(format!("the vendor `{}` is not known here", base::text::line(provider, 40)));
    };
    let Some(secret) = profile["key"].as_str().and_then(Secret::new) else {
        return stays(format!("the profile only refers to its key: set {variable} in .env"));
    };
    if secret.expose().starts_with("${") {
        return stays(format!("the profile only refers to its key: set {variable} in .env"));
    }
    if !is_one_line(secret.expose()) {
        return stays("the key is no single line of plain characters".to_owned());
    }
    if let Some(other) = keys.iter().find(|it| it.variable == variable) {
        let is_same = other.secret.matches(secret.expose());
        return if is_same {
            Ok(None)
        } else {
            stays(format!("{variable} has a value from another profile"))
        };
    }
    match there.var(variable) {
        Some(it) if secret.matches(it) => stays(format!("{variable} has this value here already")),
        Some(_) => stays(format!("{variable} is set here already, and goes first")),
        None => Ok(Some(Key { variable: variable.to_owned(), secret })),
    }
}

/// Whether a line of the file gives it back as it is.
fn is_one_line(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_graphic()) && !text.starts_with(['"', '\''])
}
