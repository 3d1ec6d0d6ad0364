//! A line of a config as it may be shown: where it is broken, nobody can say for sure what in it is a secret.

use super::{MASK, is_secret};

/// The line that begins at `start`, without what may be a secret: all that follows a word that sounds like one, also
/// where the colon between them is what is missing, or a line end stands there.
pub(super) fn masked(text: &str, start: usize, line: &str) -> String {
    if continues_a_secret(&text[..start]) {
        return MASK.to_owned();
    }
    let lower = line.to_ascii_lowercase();
    match words(&lower).find(|(_, word)| is_secret(word)) {
        Some((end, _)) if !line[end..].trim_matches(['"', '\'', ':', ' ', '\t', '\r']).is_empty() => {
            format!("{}: {MASK}", &line[..end])
        }
        _ => line.to_owned(),
    }
}

/// Whether the text ends in what a key of a secret has on the lines below it.
fn continues_a_secret(before: &str) -> bool {
    let mut lines = before.lines().rev();
    lines
        .find_map(|line| {
            let lower = line.to_ascii_lowercase();
            if let Some((end, _)) = words(&lower).find(|(_, word)| is_secret(word)) {
                // Its value is whole where a comma or a bracket ends the line.
                let rest = line[end..].trim_end();
                return Some(!rest.ends_with([',', '}', ']']));
            }
            let code = line.trim();
            // Nothing but a comment, or the middle of a text: the key stands further up.
            let is_open =
                code.is_empty() || code.starts_with("//") || code.starts_with("/*") || code.ends_with("*/");
            (!is_open && !code.ends_with('\\')).then_some(false)
        })
        .unwrap_or(false)
}

/// The words of a line, each with its end.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |it: char| it.is_alphanumeric() || matches!(it, '_' | '$');
    let mut at = 0;
    line.split(move |it: char| !is_part(it)).map(move |word| {
        let end = at + word.len();
        at = end + line[end..].chars().next().map_or(0, char::len_utf8);
        (end, word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_below_its_key_is_not_shown() {
        for (text, shown) in [
            ("{ token:\n  'abc' 5", MASK),
            ("{ token: // mine\n  'abc' 5", MASK),
            ("{ \"apiKey\"\n\n  /* why */\n 'abc'", MASK),
            ("{ password: 'ab\\\nc' 5", MASK),
            ("{ token: 'abc',\n  port: 1 2", "  port: 1 2"),
            ("{ auth: {\n  port: 1 2", "  port: 1 2"),
            ("{ Authorization: 'Bearer abc' 5", "{ Authorization: ***"),
            ("{ signingPassphrase 'abc'", "{ signingPassphrase: ***"),
            ("{ OTHER_KEY: abc", "{ OTHER_KEY: ***"),
        ] {
            let start = text.rfind('\n').map_or(0, |it| it + 1);
            assert_eq!(masked(text, start, &text[start..]), shown, "{text}");
        }
    }
}
