//! References in the place of secrets: `{source, provider, id}`, resolved in memory and in no file.
//!
//! The sources are those of the original (`env`, `file`, `exec`), and `systemd`, which is a credential that the unit
//! was given. One that cannot be resolved is taken out and told: whoever needs it stays closed.

mod program;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base::Secret;
use serde_json::{Map, Value};

use crate::ambient::Ambient;
use crate::variables::is_variable;

/// The section that says where secrets come from; nothing in it is a reference.
const SECTION: &str = "secrets";
/// The most bytes of a file of secrets, where the config does not say.
const LARGEST: u64 = 1024 * 1024;
/// Where systemd puts the credentials of a unit.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A reference that could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The keys that lead to it.
    pub keys: Vec<String>,
    /// Why, and what to do. Without anything that a source of secrets said.
    pub words: String,
}

/// What became of the references of a config.
#[derive(Debug, Default)]
pub struct Resolved {
    /// What they led to.
    pub secrets: Vec<Secret>,
    /// Those that led nowhere; their values are taken out.
    pub unresolved: Vec<Unresolved>,
}

/// One reference, as it stands in a config.
#[derive(Debug, Clone)]
struct Reference {
    keys: Vec<String>,
    source: String,
    provider: Option<String>,
    id: String,
}

/// Whether a value is a reference to a secret.
pub fn is_reference(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let text = |key: &str| object.get(key).is_some_and(Value::is_string);
    text("source")
        && text("id")
        && object.keys().all(|it| matches!(it.as_str(), "source" | "provider" | "id"))
}

/// Puts the secrets in the place of their references. Programs that hand secrets out are asked once, with a time limit.
pub fn resolve(value: &mut Value, ambient: &Ambient) -> Resolved {
    let mut references = Vec::new();
    collect(value, &mut Vec::new(), &mut references);
    if references.is_empty() {
        return Resolved::default();
    }
    let section = value.get(SECTION).cloned().unwrap_or(Value::Null);
    let mut asked = BTreeMap::new();
    let mut resolved = Resolved::default();
    for reference in &references {
        let found = secret_of(reference, &section, &references, ambient, &mut asked);
        let place = reference.keys.iter().try_fold(&mut *value, |it, key| match it {
            Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
            other => other.get_mut(key),
        });
        let found = found.and_then(|it| Secret::new(it).ok_or_else(|| "the secret is empty".to_owned()));
        let new = match found {
            Ok(secret) => {
                let text = Value::String(secret.expose().to_owned());
                resolved.secrets.push(secret);
                text
            }
            Err(words) => {
                resolved.unresolved.push(Unresolved { keys: reference.keys.clone(), words });
                Value::Null
            }
        };
        if let Some(place) = place {
            *place = new;
        }
    }
    resolved
}

fn collect(value: &Value, keys: &mut Vec<String>, found: &mut Vec<Reference>) {
    if is_reference(value) {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let (source, id) = (text("source").unwrap_or_default(), text("id").unwrap_or_default());
        found.push(Reference { keys: keys.clone(), source, provider: text("provider"), id });
        return;
    }
    let mut below = |key: String, it: &Value| {
        keys.push(key);
        collect(it, keys, found);
        keys.pop();
    };
    match value {
        Value::Object(object) => {
            for (key, it) in object.iter().filter(|(key, _)| key.as_str() != SECTION) {
                below(key.clone(), it);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(at, it)| below(at.to_string(), it)),
        _ => {}
    }
}

type Answers = BTreeMap<String, Result<BTreeMap<String, Result<String, String>>, String>>;

fn secret_of(
    reference: &Reference,
    section: &Value,
    all: &[Reference],
    ambient: &Ambient,
    asked: &mut Answers,
) -> Result<String, String> {
    let Reference { source, id, .. } = reference;
    let name = provider_of(reference, section);
    let provider = section.pointer("/providers").and_then(|it| it.get(&name)).and_then(Value::as_object);
    let provider = provider.filter(|it| it.get("source").and_then(Value::as_str) == Some(source));
    let declared =
        || provider.ok_or_else(|| format!("secrets.providers has no \"{name}\" with source \"{source}\""));
    match source.as_str() {
        "env" => from_environment(id, provider, ambient),
        "systemd" => from_credentials(id, ambient),
        "file" => from_file(id, declared()?, ambient),
        "exec" => {
            let provider = declared()?;
            let answers = asked.entry(name.clone()).or_insert_with(|| {
                let of_it = |it: &&Reference| it.source == "exec" && provider_of(it, section) == name;
                let ids: Vec<&str> = all.iter().filter(of_it).map(|it| it.id.as_str()).collect();
                program::ask(&name, provider, &ids, ambient)
            });
            let answers = answers.as_ref().map_err(Clone::clone)?;
            answers.get(id).cloned().unwrap_or_else(|| Err(format!("\"{name}\" has no secret \"{id}\"")))
        }
        other => Err(format!("there is no source \"{other}\" here: use env, file, exec or systemd")),
    }
}

fn provider_of(reference: &Reference, section: &Value) -> String {
    let by_default = || section.pointer("/defaults")?.get(&reference.source)?.as_str().map(str::to_owned);
    reference.provider.clone().or_else(by_default).unwrap_or_else(|| "default".to_owned())
}

fn from_environment(
    id: &str,
    provider: Option<&Map<String, Value>>,
    ambient: &Ambient,
) -> Result<String, String> {
    if !is_variable(id) {
        return Err(format!("\"{id}\" is no name of a variable"));
    }
    let allowed = provider.and_then(|it| it.get("allowlist")).and_then(Value::as_array);
    if allowed.is_some_and(|it| !it.iter().any(|it| it == id)) {
        return Err(format!("the variable {id} is not in the provider's allowlist"));
    }
    ambient.var(id).map(str::to_owned).ok_or_else(|| format!("the environment has no variable {id}"))
}

fn from_credentials(id: &str, ambient: &Ambient) -> Result<String, String> {
    let is_name = !id.is_empty() && id != "." && id != ".." && !id.contains('/');
    if !is_name {
        return Err(format!("\"{id}\" is no name of a credential"));
    }
    let folder = ambient
        .var(CREDENTIALS)
        .ok_or("this process was given no credentials: it runs in no unit with LoadCredential=")?;
    let text = std::fs::read_to_string(Path::new(folder).join(id));
    text.map(|it| it.trim_end_matches(['\r', '\n']).to_owned())
        .map_err(|error| format!("the unit's credential {id} cannot be read: {error}"))
}

fn from_file(id: &str, provider: &Map<String, Value>, ambient: &Ambient) -> Result<String, String> {
    let path = provider.get("path").and_then(Value::as_str).ok_or("the provider names no path")?;
    let path = ambient.path(path);
    let largest = provider.get("maxBytes").and_then(Value::as_u64).unwrap_or(LARGEST);
    let text = private_text(&path, largest).map_err(|words| format!("{} {words}", path.display()))?;
    if provider.get("mode").and_then(Value::as_str) == Some("singleValue") {
        return match id {
            "value" => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            _ => Err("the id of a file with a single value is \"value\"".to_owned()),
        };
    }
    let parsed: Value = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no JSON (line {})", path.display(), error.line()))?;
    let found = id.starts_with('/').then(|| parsed.pointer(id)).flatten().and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("{} has no text at \"{id}\"", path.display()))
}

/// A file that nobody but this user can read or change under any name.
fn private_text(path: &Path, largest: u64) -> Result<String, String> {
    let plain = |error: std::io::Error| format!("cannot be read: {error}");
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(plain)?;
    let about = file.metadata().map_err(plain)?;
    if !about.is_file() || about.nlink() != 1 {
        return Err("must be a plain file with one name".to_owned());
    }
    if about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o077 != 0 {
        return Err(format!("can be read by others: chmod 600 {}", path.display()));
    }
    if about.len() > largest {
        return Err(format!("has more than {largest} bytes"));
    }
    let mut text = String::new();
    file.take(largest).read_to_string(&mut text).map_err(plain)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    pub(super) fn file(folder: &Path, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
        let path = folder.join(name);
        base::file::replace(&path, text.as_bytes()).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        path
    }

    #[track_caller]
    fn check(mut config: Value, ambient: &Ambient, expected: Result<&str, &str>) {
        let resolved = resolve(&mut config, ambient);
        let found = match config["key"].as_str() {
            Some(it) => Ok(it),
            None => Err(resolved.unresolved[0].words.as_str()),
        };
        match (found, expected) {
            (Err(words), Err(expected)) => assert!(words.contains(expected), "{words}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn variables_and_credentials_are_found_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        file(folder.path(), "telegram", "t-1\n", 0o400);
        let place = folder.path().display().to_string();
        let ambient = Ambient::of(&[("KEY", "k-1"), (CREDENTIALS, &place)], Path::new("/"));
        let of = |reference: Value| json!({"key": reference});
        check(of(json!({"source": "env", "provider": "default", "id": "KEY"})), &ambient, Ok("k-1"));
        check(of(json!({"source": "env", "id": "NO"})), &ambient, Err("no variable NO"));
        check(of(json!({"source": "systemd", "id": "telegram"})), &ambient, Ok("t-1"));
        check(of(json!({"source": "systemd", "id": "../x"})), &ambient, Err("no name of a credential"));
        check(of(json!({"source": "store", "id": "X"})), &ambient, Err("no source \"store\""));
        let listed = json!({"providers": {"default": {"source": "env", "allowlist": ["OTHER"]}}});
        check(json!({"key": {"source": "env", "id": "KEY"}, "secrets": listed}), &ambient, Err("allowlist"));
    }

    #[test]
    fn files_are_read_where_nobody_else_can_read_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let ambient = Ambient::of(&[], folder.path());
        file(folder.path(), "open.json", "{\"a\": \"1\"}", 0o644);
        file(folder.path(), "own.json", "{\"a\": {\"b/c\": \"2\"}, \"n\": 1}", 0o600);
        file(folder.path(), "one", "3\n", 0o600);
        let of = |path: &str, mode: &str, id: &str| {
            json!({"key": {"source": "file", "provider": "f", "id": id},
                   "secrets": {"providers": {"f": {"source": "file", "path": path, "mode": mode}}}})
        };
        check(of("own.json", "json", "/a/b~1c"), &ambient, Ok("2"));
        check(of("own.json", "json", "/n"), &ambient, Err("has no text at \"/n\""));
        check(of("one", "singleValue", "value"), &ambient, Ok("3"));
        check(of("open.json", "json", "/a"), &ambient, Err("chmod 600"));
        check(of("none.json", "json", "/a"), &ambient, Err("cannot be read"));
        check(
            json!({"key": {"source": "file", "id": "/a"}}),
            &ambient,
            Err("secrets.providers has no \"default\""),
        );
    }

    #[test]
    fn only_a_reference_is_one() {
        assert!(is_reference(&json!({"source": "env", "id": "X"})));
        for other in [json!({"source": "env"}), json!({"source": "env", "id": "X", "more": 1}), json!("x")] {
            assert!(!is_reference(&other), "{other}");
        }
        let mut config = json!({"secrets": {"x": {"source": "env", "id": "X"}}});
        let before = config.clone();
        assert!(resolve(&mut config, &Ambient::of(&[], Path::new("/"))).unresolved.is_empty());
        assert_eq!(config, before);
    }
}
