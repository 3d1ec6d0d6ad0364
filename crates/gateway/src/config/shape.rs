//! From a value to its type, with everything that does not fit told at once.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Segment, Track};

/// No config has more to be said of it.
const MOST: usize = 100;

/// A value in its type.
#[derive(Debug)]
pub(super) struct Shaped<T> {
    /// What fits; the default elsewhere.
    pub(super) config: T,
    /// What does not fit: the keys that lead there, and why.
    pub(super) wrong: Vec<(Vec<String>, String)>,
    /// Keys that the type does not have; what is below them is not named.
    pub(super) ignored: Vec<Vec<String>>,
}

/// Reads a value. What does not fit is taken out and told, until the rest fits.
pub(super) fn shape<T: DeserializeOwned + Default>(whole: &Value) -> Shaped<T> {
    let mut value = whole.clone();
    let mut wrong: Vec<(Vec<String>, String)> = Vec::new();
    let mut removed: Vec<Vec<String>> = Vec::new();
    loop {
        let mut ignored = Vec::new();
        match attempt(&value, &mut ignored) {
            Ok(config) => {
                let ignored = ignored.iter().map(|it| original(it, whole, &removed)).collect();
                return Shaped { config, wrong, ignored };
            }
            Err((keys, words)) => {
                let keys = take_out(&mut value, keys);
                let place = original(&keys, whole, &removed);
                wrong.push((place.clone(), words));
                removed.push(place);
                if wrong.len() >= MOST {
                    return Shaped { config: T::default(), wrong, ignored: Vec::new() };
                }
            }
        }
    }
}

fn attempt<T: DeserializeOwned>(
    value: &Value,
    ignored: &mut Vec<Vec<String>>,
) -> Result<T, (Vec<String>, String)> {
    let mut note = |path: serde_ignored::Path<'_>| ignored.push(keys_of(&path));
    let lenient = serde_ignored::Deserializer::new(value, &mut note);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(lenient, &mut track);
    T::deserialize(tracked).map_err(|error| {
        let path = track.path();
        let keys = path.iter().filter_map(|it| match it {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        (keys.collect(), plain(&error.to_string()))
    })
}

fn keys_of(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    let (parent, key) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(index.to_string())),
        Path::Map { parent, key } => (parent, Some(key.clone())),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            (parent, None)
        }
    };
    let mut keys = keys_of(parent);
    keys.extend(key);
    keys
}

/// Takes out the value at `keys`, or that of its nearest ancestor. Returns the keys of what was taken out.
fn take_out(value: &mut Value, mut keys: Vec<String>) -> Vec<String> {
    while let Some((last, way)) = keys.split_last() {
        let parent = way.iter().try_fold(&mut *value, |it, key| match it {
            Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
            other => other.get_mut(key),
        });
        let is_gone = match parent {
            Some(Value::Object(object)) => object.shift_remove(last).is_some(),
            Some(Value::Array(items)) => match last.parse::<usize>() {
                Ok(at) if at < items.len() => {
                    items.remove(at);
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if is_gone {
            return keys;
        }
        keys.pop();
    }
    *value = Value::Object(Map::new());
    Vec::new()
}

/// The keys in the value as it was before anything was taken out of its lists. `removed` is in the keys of that one.
fn original(keys: &[String], value: &Value, removed: &[Vec<String>]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    let mut at = Some(value);
    for key in keys {
        // A name may be made of digits; only a list has places.
        let step = match at {
            Some(Value::Array(_)) => {
                key.parse().map_or(key.clone(), |it| place_before(it, &whole, removed).to_string())
            }
            _ => key.clone(),
        };
        at = at.and_then(|it| match it {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(&step),
        });
        whole.push(step);
    }
    whole
}

/// A place in the list at `list`, before those that were taken out in front of it.
fn place_before(mut at: usize, list: &[String], removed: &[Vec<String>]) -> usize {
    let mut gone: Vec<usize> = removed
        .iter()
        .filter(|it| it.len() == list.len() + 1 && it.starts_with(list))
        .filter_map(|it| it.last()?.parse().ok())
        .collect();
    gone.sort_unstable();
    for it in gone {
        if it <= at {
            at += 1;
        }
    }
    at
}

/// An error of a type in a person's words, and without a text that has the wrong type: it may be a secret in the wrong
/// place.
fn plain(words: &str) -> String {
    if words.contains("untagged enum ModelChoice") {
        return "expected \"provider/model\" or { primary: \"provider/model\" }".to_owned();
    }
    let Some((is, expected)) = words.rsplit_once(", expected ") else { return words.to_owned() };
    let expected = match expected {
        "u16" => "a number from 0 to 65535",
        "u64" | "usize" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        it if it.starts_with("struct ") => "an object",
        other => other,
    };
    let is = match is
        .strip_prefix("invalid type: ")
        .map(|it| it.split_once([' ', '`', '"']).map_or(it, |(kind, _)| kind))
    {
        Some("string") => "is a string".to_owned(),
        Some("integer" | "floating") => "is a number".to_owned(),
        Some("boolean") => "is true or false".to_owned(),
        Some("sequence") => "is a list".to_owned(),
        Some("map") => "is an object".to_owned(),
        Some("null" | "unit") => "is null".to_owned(),
        Some(other) => format!("is {other}"),
        None => number(is),
    };
    format!("{is}, expected {expected}")
}

/// A number out of its range is told; it is no secret.
fn number(words: &str) -> String {
    let told = words.strip_prefix("invalid value: integer `").and_then(|it| it.strip_suffix('`'));
    told.map_or_else(|| words.to_owned(), |it| format!("is {it}"))
}
