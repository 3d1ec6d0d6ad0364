//! Text for people: cut to a bound without breaking a character, and errors on one line.

/// At most `bytes` bytes from the start, cut at a character.
pub fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// One line for a log or a message: control characters become spaces, and it ends with `…` where it was cut.
pub fn line(text: &str, bytes: usize) -> String {
    let flat: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let flat = flat.trim();
    let cut = head(flat, bytes);
    if cut.len() == flat.len() { cut.to_owned() } else { format!("{cut}…") }
}

/// An error with all its causes, on one line: no error here prints its own source.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        text.push_str(": ");
        text.push_str(&it.to_string());
        source = it.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_characters() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("abc", 9), "abc");
        assert_eq!(line("a\n\u{1b}[31mb", 99), "a  [31mb");
        assert_eq!(line("abcdef", 3), "abc…");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open the door")]
        struct Door(#[source] std::io::Error);
        let error = Door(std::io::Error::other("it is locked"));
        assert_eq!(chain(&error), "cannot open the door: it is locked");
    }
}
