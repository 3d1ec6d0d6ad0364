//! Places in a config as people type them: `gateway.port`, `agents.list[0].id`, `models["a/b.c"].alias`.

use crate::failure::{Failure, Kind};

/// The keys of a path. Those with dots in them stand in brackets and quotes.
pub(crate) fn keys(text: &str) -> Result<Vec<String>, Failure> {
    let bad = |why: &str| {
        Err(Failure::new(Kind::Usage, format!("`{}` is no path: {why}", base::text::line(text, 120)))
            .hint("write it like gateway.port, list[0].id or models[\"a.b\"].alias"))
    };
    let mut keys = Vec::new();
    let mut rest = text.trim();
    let mut wants_key = true;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((key, after)) = bracketed(inner) else { return bad("a bracket is not closed") };
            if key.is_empty() {
                return bad("there is nothing in the brackets");
            }
            keys.push(key);
            rest = after;
            wants_key = false;
            if let Some(after) = rest.strip_prefix('.') {
                (rest, wants_key) = (after, true);
            }
            continue;
        }
        if !wants_key {
            return bad("a dot or a bracket must follow a bracket");
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.trim().is_empty() {
            return bad("a key is empty");
        }
        keys.push(key.to_owned());
        wants_key = after.starts_with('.');
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    match (keys.is_empty(), wants_key) {
        (true, _) => bad("it names no key"),
        (false, true) => bad("it ends with a dot"),
        (false, false) => refuse_odd(keys),
    }
}

/// Names that mean something else to the programs that read the same files.
fn refuse_odd(keys: Vec<String>) -> Result<Vec<String>, Failure> {
    match keys.iter().find(|it| matches!(it.as_str(), "__proto__" | "prototype" | "constructor")) {
        Some(it) => Err(Failure::new(Kind::Usage, format!("`{it}` is no key of a config"))),
        None => Ok(keys),
    }
}

/// What stands in brackets, quoted or not, and what follows them.
fn bracketed(inner: &str) -> Option<(String, &str)> {
    match inner.chars().next().filter(|it| matches!(it, '"' | '\'')) {
        Some(quote) => {
            let (key, after) = inner[1..].split_once(quote)?;
            Some((key.to_owned(), after.strip_prefix(']')?))
        }
        None => inner.split_once(']').map(|(key, after)| (key.trim().to_owned(), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_as_people_type_them() {
        for (text, expected) in [
            ("gateway.port", &["gateway", "port"][..]),
            ("list[0].id", &["list", "0", "id"]),
            ("list.0", &["list", "0"]),
            ("models[\"a/b.c\"].alias", &["models", "a/b.c", "alias"]),
            ("a['x'][1]", &["a", "x", "1"]),
            ("[\"x.y\"]", &["x.y"]),
        ] {
            assert_eq!(keys(text).expect(text), expected, "{text}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a[", "a[]", "a[0]b", "a['x]", "a.__proto__"] {
            assert_eq!(keys(bad).expect_err(bad).kind, Kind::Usage, "{bad}");
        }
    }
}
