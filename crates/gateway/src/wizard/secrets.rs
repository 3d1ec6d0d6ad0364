//! Secrets as a person names them: themselves, or `${NAME}` for a variable that holds one.

use profile::Ambient;

/// Whether a secret can be used as it was named.
pub(super) fn check(text: &str, ambient: &Ambient) -> Result<(), String> {
    match variable(text) {
        Some(name) if ambient.var(name).is_none() => Err(format!("the environment has no variable {name}")),
        Some(_) => Ok(()),
        None if text.chars().any(char::is_whitespace) => {
            Err("it holds a space, which no key does; was more copied than the key?".to_owned())
        }
        None => Ok(()),
    }
}

/// The secret itself.
pub(super) fn resolved(text: &str, ambient: &Ambient) -> String {
    let named = variable(text).and_then(|it| ambient.var(it));
    named.map_or_else(|| text.to_owned(), str::to_owned)
}

/// The name in `${NAME}`.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let sound = name.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_');
    (sound && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_reference_must_lead_to_something_and_a_key_is_one_word() {
        let ambient = Ambient::of(&[("KEY", "k-1")], Path::new("/"));
        for (text, is_good, expected) in [
            ("${KEY}", true, "k-1"),
            ("${NOPE}", false, "${NOPE}"),
            ("sk-1", true, "sk-1"),
            ("${key}", true, "${key}"),
            ("sk 1", false, "sk 1"),
        ] {
            assert_eq!(check(text, &ambient).is_ok(), is_good, "{text}");
            assert_eq!(resolved(text, &ambient), expected);
        }
    }
}
