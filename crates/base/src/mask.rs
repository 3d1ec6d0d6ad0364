//! Secrets that are known by their shape, taken out of a text before anybody sees it.
//!
//! A scanner by hand: one pass, no backtracking, for every line of a log. It would rather hide a harmless word behind
//! `token=` than show a key; prose about keys and tokens stays readable.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// How keys begin that say by themselves what they are, and the least that follows.
const PREFIXES: [(&str, usize); 27] = [
    ("sk-", 8),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("rk_live_", 8),
    ("whsec_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 10),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xoxe-", 10),
    ("xapp-", 10),
    ("gsk_", 10),
    ("xai-", 20),
    ("AIza", 20),
    ("pplx-", 10),
    ("npm_", 20),
    ("hf_", 20),
    ("r8_", 20),
    ("tvly-", 10),
];
/// How the name ends of what holds a secret, without its `_` and `-`.
const NAMES: [&str; 10] = [
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "privatekey",
    "accesskey",
    "authorization",
    "credentials",
];
/// How the credential of an `Authorization` begins.
const SCHEMES: [&str; 4] = ["bearer ", "basic ", "token ", "bot "];
/// A credential after `Bearer` in the midst of a text is at least this long; shorter ones are words.
const BEARER: usize = 16;
/// The digits in front of the colon of a Telegram token, and the letters after it.
const TELEGRAM: (usize, usize) = (6, 30);

/// Replaces what looks like a secret: keys with a known beginning, `Authorization` and `Bearer`, Telegram's tokens,
/// `token=…` and `"token": "…"` with all names that hold secrets, `?key=…` of a URL, the password of a URL, and
/// private keys.
pub fn shapes(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < text.len() {
        match found(text, at) {
            Found::Nothing(next) => at = next,
            Found::Secret(it) => {
                if &text[it.clone()] != MASK {
                    masked.push_str(&text[copied..it.start]);
                    masked.push_str(MASK);
                    copied = it.end;
                }
                at = it.end;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[copied..]);
    Cow::Owned(masked)
}

/// What is at a place of a text that is no middle of a word.
enum Found {
    /// A secret: never empty, begins and ends at characters.
    Secret(Range<usize>),
    /// Nothing; where to look next.
    Nothing(usize),
}

fn found(text: &str, at: usize) -> Found {
    let word_end = at + run(&text[at..], is_word);
    if word_end == at {
        if text[at..].starts_with("://")
            && let Some(it) = url_password(text, at + 3)
        {
            return Found::Secret(it);
        }
        return Found::Nothing(at + text[at..].chars().next().map_or(1, char::len_utf8));
    }
    let word = &text[at..word_end];
    let secret = private_key(text, at)
        .or_else(|| known(text, at))
        .or_else(|| telegram(text, at..word_end))
        .or_else(|| bearer(text, word, word_end))
        .or_else(|| named(text, at..word_end));
    secret.filter(|it| !it.is_empty()).map_or(Found::Nothing(word_end), Found::Secret)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// What a credential is written with.
fn is_credential(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

fn run(text: &str, is_in: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|it| is_in(*it)).count()
}

/// Whether it has the look of a secret and not of a word: long, with digits.
fn is_random(text: &str, least: usize) -> bool {
    text.len() >= least
        && text.bytes().any(|it| it.is_ascii_digit())
        && text.bytes().any(|it| it.is_ascii_alphabetic())
}

fn private_key(text: &str, at: usize) -> Option<Range<usize>> {
    const KEY: &str = "PRIVATE KEY-----";
    let rest = text[at..].strip_prefix("-----BEGIN ")?;
    let head = rest.find("-----").filter(|it| rest[..it + 5].ends_with(KEY))? + "-----BEGIN ".len() + 5;
    let body = &text[at + head..];
    Some(at + head..at + head + body.find("-----END").unwrap_or(body.len()))
}

fn known(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    if let Some(tail) = rest.strip_prefix("eyJ") {
        // A JSON web token: three parts, of which the first is an object.
        let length = run(tail, |it| is_word(it) || it == b'.');
        return (tail[..length].matches('.').count() >= 2 && length >= 20).then(|| at..at + 3 + length);
    }
    let (prefix, least) = PREFIXES.iter().find(|it| rest.starts_with(it.0))?;
    let length = run(&rest[prefix.len()..], is_word);
    (length >= *least).then(|| at + prefix.len()..at + prefix.len() + length)
}

/// `123456789:AA…`, also behind the `bot` of a URL. The digits are the bot's public name.
fn telegram(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let digits = text[word.clone()].bytes().rev().take_while(u8::is_ascii_digit).count();
    let tail = text[word.end..].strip_prefix(':')?;
    let length = run(tail, is_word);
    (digits >= TELEGRAM.0 && length >= TELEGRAM.1).then(|| word.end + 1..word.end + 1 + length)
}

fn bearer(text: &str, word: &str, word_end: usize) -> Option<Range<usize>> {
    let rest = text[word_end..].strip_prefix(' ').filter(|_| word.eq_ignore_ascii_case("bearer"))?;
    let length = run(rest, is_credential);
    (length >= BEARER).then(|| word_end + 1..word_end + 1 + length)
}

/// The value of a name that holds a secret.
fn named(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let name: String = text[word.clone()]
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let before = text[..word.start].bytes().next_back();
    let in_url = name == "key" && matches!(before, Some(b'?' | b'&'));
    let in_name = name.ends_with("key") && text[word.clone()].to_ascii_lowercase().ends_with("_key");
    let is_key = name == "key";
    if !in_url && !in_name && !is_key && !NAMES.iter().any(|it| name.ends_with(it)) {
        return None;
    }
    let rest = &text[word.end..];
    let after_quote = rest.trim_start_matches('\\').trim_start_matches(['"', '\'']);
    let was_quoted = after_quote.len() < rest.len();
    let after_space = after_quote.trim_start_matches(' ');
    let is_flag = text[word.clone()].starts_with("--");
    let (mark, value) = match after_space.split_at_checked(1) {
        Some((mark @ ("=" | ":"), value)) => (mark, value),
        _ if is_flag && !was_quoted && after_space.len() < after_quote.len() => (" ", after_space),
        _ => return None,
    };
    let value = value.trim_start_matches(' ');
    let opened = value.trim_start_matches('\\');
    let quote = opened.bytes().next().filter(|it| matches!(it, b'"' | b'\''));
    let value = if quote.is_some() { &opened[1..] } else { value };
    let from = text.len() - value.len();
    let (skipped, length) = match quote {
        Some(quote) => (0, run(value, |it| it != quote && it != b'\\')),
        None if name.ends_with("authorization") => credential(value),
        None => (0, run(value, |it| !it.is_ascii_whitespace() && !br#",;&)}]"'\"#.contains(&it))),
    };
    let secret = &value[skipped..skipped + length];
    let sure = match mark {
        // A key may be a session's, which is no secret.
        _ if is_key && !in_url => {
            quote.is_none() && mark == "=" && is_random(secret, 20) && !secret.contains(':')
        }
        "=" => true,
        _ if quote.is_some() || name.ends_with("authorization") => true,
        // Prose goes on after a colon: `gateway.auth.token: is not set`.
        _ => is_random(secret, 8),
    };
    sure.then(|| from + skipped..from + skipped + length)
}

/// Where the credential of an `Authorization` begins, behind its scheme, and how long it is.
fn credential(value: &str) -> (usize, usize) {
    let scheme =
        SCHEMES.iter().find(|it| value.get(..it.len()).is_some_and(|head| head.eq_ignore_ascii_case(it)));
    let skipped = scheme.map_or(0, |it| it.len());
    (skipped, run(&value[skipped..], |it| !it.is_ascii_whitespace() && !br#",;"'\"#.contains(&it)))
}

/// The password of `scheme://user:password@host`.
fn url_password(text: &str, at: usize) -> Option<Range<usize>> {
    let authority = run(&text[at..], |it| !it.is_ascii_whitespace() && !br#"/?#"'"#.contains(&it));
    let who = text[at..at + authority].rfind('@')?;
    let colon = text[at..at + who].find(':')?;
    Some(at + colon + 1..at + who).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shapes(text), expected, "of {text}");
        assert_eq!(shapes(expected), expected, "masked twice");
    }

    /// Put together here, so that nobody's scanner takes this file for a leak.
    fn long(prefix: &str, length: usize) -> String {
        format!("{prefix}{}", "aB3dE5fG7h".repeat(9).chars().take(length).collect::<String>())
    }

    #[test]
    fn known_keys_are_masked_wherever_they_stand() {
        for (prefix, length) in
            [("sk-", 8), ("sk-ant-", 30), ("ghp_", 36), ("github_pat_", 40), ("xoxb-", 20), ("AIza", 35)]
        {
            let key = long(prefix, length);
            let shown = if prefix == "sk-ant-" { "sk-" } else { prefix };
            for (text, expected) in [
                (key.clone(), format!("{shown}***")),
                (
                    format!("Incorrect API key provided: {key}."),
                    format!("Incorrect API key provided: {shown}***."),
                ),
                (format!("é\"{key}\"é"), format!("é\"{shown}***\"é")),
                (format!("a/{key},b"), format!("a/{shown}***,b")),
            ] {
                check(&text, &expected);
            }
        }
        check(&format!("{}.{}.{}", long("eyJ", 20), long("", 20), long("", 20)), "***");
        check(
            &format!("https://api.telegram.org/bot123456789:{}/getMe", long("", 35)),
            "https://api.telegram.org/bot123456789:***/getMe",
        );
    }

    #[test]
    fn names_that_hold_secrets_hide_what_they_hold() {
        for (text, expected) in [
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("authorization: Basic QWxhZGRpbg==, x", "authorization: Basic ***, x"),
            ("\"Authorization\": \"Bearer abc def\"", "\"Authorization\": \"***\""),
            ("was sent Bearer 0123456789abcdef0123", "was sent Bearer ***"),
            ("OPENAI_API_KEY=abc run", "OPENAI_API_KEY=*** run"),
            ("{\"botToken\":\"x y\",\"b\":1}", "{\"botToken\":\"***\",\"b\":1}"),
            ("{\\\"token\\\":\\\"xyz\\\"}", "{\\\"token\\\":\\\"***\\\"}"),
            ("password='hunter two' x", "password='***' x"),
            ("client-secret = s3cr3t&x", "client-secret = ***&x"),
            ("https://x/y?a=1&key=abc&b=2", "https://x/y?a=1&key=***&b=2"),
            ("GET /?access_token=q#x", "GET /?access_token=***"),
            ("openclaw --token abcdef12 run", "openclaw --token *** run"),
            ("postgres://ada:hunter2@db/x", "postgres://ada:***@db/x"),
            ("key=0123456789abcdef0123456789abcdef", "key=***"),
            (
                "-----BEGIN RSA PRIVATE KEY----- MII x -----END RSA PRIVATE KEY----- z",
                "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY----- z",
            ),
            ("-----BEGIN PRIVATE KEY----- MII x", "-----BEGIN PRIVATE KEY-----***"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in [
            "",
            "2026-11-22T10:00:00Z [gateway] listening on ws://127.0.0.1:12345 (PID 7)",
            "gateway.auth.token: the environment has no variable NOPE, so this is not set",
            "gateway.auth.token: invalid type: string, expected an object",
            "set a token with --token or OPENCLAW_GATEWAY_TOKEN",
            "session key=agent:main:telegram:1234567890123 session=agent:main:main",
            "the bearer of this, a task-force-of-many-people and risk-averse ones",
            "tokens=4096 max_tokens: 12 keys=3 monkey=1 key: 12",
            "http://host:80/a@b user@host:path",
            "-----BEGIN CERTIFICATE----- MII",
            "…é: \"ü\" =",
        ] {
            check(text, text);
        }
    }
}
