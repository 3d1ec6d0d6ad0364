//! Text cut to a bound without breaking a character.

/// At most `bytes` bytes from the start, cut at a character.
pub fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// At most `bytes` bytes from the end, cut at a character.
pub fn tail(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

/// One line for a log or a message: control characters become spaces, and it ends with `…` where it was cut.
pub fn line(text: &str, bytes: usize) -> String {
    let flat: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let flat = flat.trim();
    let cut = head(flat, bytes);
    if cut.len() == flat.len() { cut.to_owned() } else { format!("{cut}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_characters() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(tail("éa", 2), "a");
        assert_eq!(head("abc", 9), "abc");
        assert_eq!(line("a\n\u{1b}[31mb", 99), "a  [31mb");
        assert_eq!(line("abcdef", 3), "abc…");
    }
}
