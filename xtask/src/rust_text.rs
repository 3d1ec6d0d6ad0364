//! Rust source as text: which bytes are comments and literals, and where the tests begin. No parser; enough to keep
//! a rule about code from being broken, or met, by prose.

/// The source with every comment as spaces, byte for byte. Literals stay.
pub(crate) fn without_comments(source: &str) -> String {
    blanked(source, |kind| kind == Kind::Comment)
}

/// The source with comments and the contents of literals as spaces, byte for byte.
pub(crate) fn code_only(source: &str) -> String {
    blanked(source, |_| true)
}

/// How a file declares its tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    /// Byte at which `#[cfg(test)] mod name {` opens: production ends there.
    pub(crate) from: Option<usize>,
    /// Names declared as `#[cfg(test)] mod name;`: files of tests beside this one.
    pub(crate) files: Vec<String>,
}

/// Finds the tests of a file, given its [`code_only`] text.
pub(crate) fn tests_of(code: &str) -> Tests {
    const MARK: &str = "#[cfg(test)]";
    let mut tests = Tests::default();
    for (at, _) in code.match_indices(MARK) {
        let mut rest = code[at + MARK.len()..].trim_start();
        while let Some(after) = rest.strip_prefix("#[") {
            rest = after_bracket(after).trim_start();
        }
        if let Some(after) = rest.strip_prefix("pub(").and_then(|it| it.split_once(')')) {
            rest = after.1.trim_start();
        }
        rest = rest.strip_prefix("pub ").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix("mod ") else { continue };
        let name: String = rest.chars().take_while(|it| is_word(*it)).collect();
        match rest[name.len()..].trim_start().chars().next() {
            Some(';') => tests.files.push(name),
            Some('{') => {
                tests.from = Some(at);
                break;
            }
            _ => {}
        }
    }
    tests
}

/// Whether a character may be part of a name.
pub(crate) fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

/// Every place of `word` that is not the end of a longer name. A word that ends in a name's character is not the
/// start of a longer one either.
pub(crate) fn find_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let opens = word.starts_with(is_word);
    let closes = word.ends_with(is_word);
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let joined_before = opens && text[..at].ends_with(is_word);
        let joined_after = closes && text[at + word.len()..].starts_with(is_word);
        !joined_before && !joined_after
    })
}

/// The line, counted from 1, that a byte stands on.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    Literal,
}

fn blanked(source: &str, unwanted: impl Fn(Kind) -> bool) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let Some((kind, length)) = token(&bytes[at..]) else {
            at += 1;
            continue;
        };
        let end = (at + length).min(bytes.len());
        if unwanted(kind) {
            // A literal keeps its quotes, so that `"…".len()` is still seen as code.
            let edge = usize::from(kind == Kind::Literal && length > 1);
            for byte in &mut out[at + edge..end - edge] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole tokens were blanked, so whole characters")
}

/// The comment or literal that begins here, with its length in bytes.
fn token(rest: &[u8]) -> Option<(Kind, usize)> {
    match rest {
        [b'/', b'/', ..] => {
            Some((Kind::Comment, rest.iter().position(|it| *it == b'\n').unwrap_or(rest.len())))
        }
        [b'/', b'*', ..] => Some((Kind::Comment, block_comment(rest))),
        [b'"', ..] => Some((Kind::Literal, quoted(rest))),
        // A name that touches `"` or `#"` is a reserved prefix since 2021: this `r` opens a raw literal.
        [b'r', ..] => raw(rest).map(|length| (Kind::Literal, length)),
        [b'\'', ..] => character(rest).map(|length| (Kind::Literal, length)),
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|it| **it == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    let found = rest[body..].windows(close.len()).position(|it| it == close);
    Some(found.map_or(rest.len(), |it| body + it + close.len()))
}

/// A character literal; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.get(3..)?.iter().position(|it| *it == b'\'')?;
        return Some(close + 4);
    }
    // At most four bytes make a character.
    let close = rest.iter().take(6).skip(2).position(|it| *it == b'\'')? + 2;
    let inner = std::str::from_utf8(&rest[1..close]).ok()?;
    (inner.chars().count() == 1).then_some(close + 1)
}

fn after_bracket(text: &str) -> &str {
    let mut depth = 1_usize;
    for (at, it) in text.char_indices() {
        match it {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, no_comments: &str, code: &str) {
        assert_eq!(without_comments(source), no_comments, "comments of {source}");
        assert_eq!(code_only(source), code, "literals of {source}");
        assert_eq!(code.len(), source.len());
    }

    #[test]
    fn comments_and_literals_become_spaces() {
        check("a // b\nc", "a     \nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e", "a                   e");
        check(r#"f("// no", 'x')"#, r#"f("// no", 'x')"#, r#"f("     ", ' ')"#);
        check(r##"r#"a"b"# + 1"##, r##"r#"a"b"# + 1"##, "r      # + 1");
        check(r#""\"" + '\'' + 'ä'"#, r#""\"" + '\'' + 'ä'"#, "\"  \" + '  ' + '  '");
    }

    #[test]
    fn lifetimes_and_quoted_braces_do_not_open_literals() {
        check("fn f<'a>(x: &'a str) // y", "fn f<'a>(x: &'a str)     ", "fn f<'a>(x: &'a str)     ");
        check("x('\"') // y", "x('\"')     ", "x(' ')     ");
    }

    #[test]
    fn tests_open_with_an_inline_module_only() {
        let found = |it: &str| tests_of(&code_only(it));
        assert_eq!(found("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n").from, Some(10));
        assert_eq!(found("#[cfg(test)]\n#[allow(x[0])]\npub(crate) mod t {}").from, Some(0));
        assert_eq!(found("#[cfg(test)]\nfn only_in_tests() {}"), Tests::default());
        assert_eq!(found("// #[cfg(test)]\nmod x {}"), Tests::default());
        let outside = found("#[cfg(test)]\nmod tests;\nfn a() {}");
        assert_eq!(outside, Tests { from: None, files: vec!["tests".into()] });
    }

    #[test]
    fn words_are_whole() {
        let found = |text: &str, word: &str| find_word(text, word).count();
        assert_eq!(found("eprintln!(x) println!(y)", "println!("), 1);
        assert_eq!(found("118789 18789 187890", "18789"), 1);
        assert_eq!(found("std::env::var std::environment", "std::env"), 1);
    }
}
