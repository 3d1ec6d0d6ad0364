//! The config document: JSON5 text, read with places, changed without losing a comment.

mod changes;
mod edit;
mod excerpt;
mod marks;
mod patch;
mod places;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base::file::{self, FileError};
use jsonc_parser::ParseOptions;
use serde_json::{Map, Value};

pub use changes::{Change, changes, redacted};
pub use marks::REDACTED;
use places::Places;

/// The most bytes that a config file may have.
pub(crate) const LARGEST: u64 = 2 * 1024 * 1024;
/// How the names of keys end that hold a secret, wherever they stand and whoever named them: `botToken`, `apiKey`,
/// `OPENAI_API_KEY`, `signingSecret`, `Authorization`.
const SECRET_ENDINGS: [&str; 9] = [
    "apikey",
    "_key",
    "token",
    "secret",
    "password",
    "passphrase",
    "privatekey",
    "authorization",
    "credentials",
];

/// What stands in the place of a secret where its place must be seen.
pub const MASK: &str = "***";

/// Whether a key holds a secret, by its name.
pub fn is_secret(key: &str) -> bool {
    let ends = |it: &str| {
        let at = key.len().checked_sub(it.len());
        at.and_then(|at| key.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(it))
    };
    SECRET_ENDINGS.iter().any(|it| ends(it))
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// For the person to know.
    Note,
    /// Something does not do what was meant.
    Warning,
    /// No gateway can run by this document.
    Error,
}

impl Weight {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Weight::Note => "note",
            Weight::Warning => "warning",
            Weight::Error => "error",
        }
    }
}

/// One thing wrong with a document, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// The file that it is in: the config, or one that the config includes. Empty where there is none.
    pub file: PathBuf,
    /// Keys joined with dots; empty for the document as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do, where the message does not say it already; else empty.
    pub remedy: String,
    /// From 1; 0 where the place is unknown.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself, for people: indented as it is, secrets masked.
    pub excerpt: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.is_empty(), self.line) {
            (true, 0) => write!(f, "{}", self.message),
            (false, 0) => write!(f, "{}: {}", self.path, self.message),
            (true, line) => write!(f, "line {line}, column {}: {}", self.column, self.message),
            (false, line) => {
                write!(f, "line {line}, column {}: {}: {}", self.column, self.path, self.message)
            }
        }
    }
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It does not exist.
    #[error("there is no config file {}", .0.display())]
    Missing(PathBuf),
    /// It exists and cannot be read.
    #[error("cannot read the config file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no JSON5, or no object.
    #[error("the config file {} does not parse: {finding}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        finding: Box<Finding>,
    },
}

/// A config document as text, and what it says.
#[derive(Clone)]
pub struct Document {
    path: PathBuf,
    text: String,
    value: Value,
    /// Made when something is to be said of it.
    places: OnceLock<Arc<Places>>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it says may be secret.
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Document {
    /// An empty document that is yet to be written.
    pub fn fresh(path: &Path) -> Self {
        let value = Value::Object(Map::new());
        Self { path: path.to_path_buf(), text: "{}\n".to_owned(), value, places: OnceLock::new() }
    }

    /// Reads and parses the file.
    ///
    /// # Errors
    /// Tells a missing file from one that cannot be read and one that does not parse.
    pub fn load(path: &Path) -> Result<Self, Unreadable> {
        Self::parse(path, read(path)?)
    }

    /// As [`Document::load`], of a file that a config includes: it may hold any value.
    ///
    /// # Errors
    /// As [`Document::load`].
    pub fn load_part(path: &Path) -> Result<Self, Unreadable> {
        Self::parse_part(path, read(path)?)
    }

    /// Parses a text as the document at `path`.
    ///
    /// # Errors
    /// Says where it stops being JSON5.
    pub fn parse(path: &Path, text: String) -> Result<Self, Unreadable> {
        let document = Self::parse_part(path, text)?;
        if !document.value.is_object() {
            let finding = document.finding("", "the document must be an object: { … }");
            return Err(Unreadable::Syntax { path: path.to_path_buf(), finding: Box::new(finding) });
        }
        Ok(document)
    }

    /// As [`Document::parse`], of a file that a config includes: it may hold any value.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_part(path: &Path, mut text: String) -> Result<Self, Unreadable> {
        // Some editors mark the order of the bytes, which UTF-8 does not have.
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        let syntax = |finding| Unreadable::Syntax {
            path: path.to_path_buf(),
            finding: Box::new(Finding { file: path.to_path_buf(), ..finding }),
        };
        let value = match jsonc_parser::parse_to_serde_value::<Value>(&text, &options()) {
            // An empty file says nothing, which is a document.
            Ok(Value::Null) => Value::Object(Map::new()),
            Ok(it) => it,
            Err(error) => {
                let at = error.range().start;
                return Err(syntax(Finding::at(&text, at, "", error.kind().to_string())));
            }
        };
        Ok(Self { path: path.to_path_buf(), text, value, places: OnceLock::new() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text as it is, or will be, on disk.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the document says, nothing substituted.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value at keys joined with dots.
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.value, |it, key| it.get(key))
    }

    /// `gateway.port`, where it is a port.
    pub fn port(&self) -> Option<u16> {
        self.get("gateway.port")
            .and_then(Value::as_u64)
            .and_then(|it| u16::try_from(it).ok())
            .filter(|it| *it > 0)
    }

    /// The ports of [`pinned_ports`].
    pub fn pinned_ports(&self) -> Vec<u16> {
        pinned_ports(&self.value)
    }

    /// Every text in the document, with the keys that lead to it; the places of a list count as keys.
    pub fn texts(&self) -> Vec<(Vec<String>, String)> {
        let mut found = Vec::new();
        texts(&self.value, &mut Vec::new(), &mut found);
        found
    }

    /// The texts that are secrets by their key. One that only refers to the environment (`${NAME}`) is none.
    pub fn secrets(&self) -> Vec<(Vec<String>, String)> {
        secrets(&self.value)
    }

    /// The same document for another file.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.path = path.to_path_buf();
        self
    }

    /// Writes the document to its file: whole or not at all, mode 0600.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn save(&self) -> Result<(), FileError> {
        if let Some(folder) = self.path.parent() {
            file::private_folder(folder)?;
        }
        file::replace(&self.path, self.text.as_bytes())
    }

    /// A finding at the place of a key; at its nearest ancestor that is there where the key is not.
    pub fn finding(&self, path: &str, message: impl Into<String>) -> Finding {
        let keys: Vec<&str> = path.split('.').collect();
        self.finding_at(&keys, message)
    }

    /// As [`Document::finding`], for keys that may hold dots themselves.
    pub fn finding_at<K: AsRef<str>>(&self, keys: &[K], message: impl Into<String>) -> Finding {
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let at = self.places.get_or_init(|| Arc::new(Places::of(&self.text))).find(&keys);
        Finding { file: self.path.clone(), ..Finding::at(&self.text, at, &keys.join("."), message.into()) }
    }
}

impl Finding {
    /// About the document as a whole.
    pub fn whole(message: String) -> Self {
        Self {
            weight: Weight::Error,
            file: PathBuf::new(),
            path: String::new(),
            message,
            remedy: String::new(),
            line: 0,
            column: 0,
            excerpt: String::new(),
        }
    }

    /// The same finding with another weight.
    #[must_use]
    pub fn weighs(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The same finding with what to do about it.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// For people who look at the config file `main`: another file is named.
    pub fn told(&self, main: &Path) -> String {
        let is_main = self.file == main || self.file.as_os_str().is_empty();
        let place = if is_main { String::new() } else { format!("{}, ", self.file.display()) };
        let remedy = if self.remedy.is_empty() { String::new() } else { format!("; {}", self.remedy) };
        format!("{place}{self}{remedy}")
    }

    fn at(text: &str, offset: usize, path: &str, message: String) -> Self {
        let before = base::text::head(text, offset);
        let line_start = before.rfind('\n').map_or(0, |it| it + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        // The columns are those of the file, so the line stays where it stands.
        let indent = line.chars().take_while(|it| it.is_whitespace()).count();
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            excerpt: " ".repeat(indent) + &excerpt::masked(text, line_start, &base::text::line(line, 160)),
            ..Self::whole(message)
        }
    }

    /// The line with a mark below the place, for a terminal.
    pub fn pointer(&self) -> String {
        let number = self.line.to_string();
        let indent = " ".repeat(number.len());
        // The excerpt may be cut or masked; the mark stays within it.
        let mark = " ".repeat(self.column.saturating_sub(1).min(self.excerpt.chars().count()));
        format!("{indent} |\n{number} | {}\n{indent} | {mark}^", self.excerpt)
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing(path.to_path_buf()),
        _ => Unreadable::Io { path: path.to_path_buf(), source },
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        let finding = Finding::whole(format!("it has {size} bytes, more than the {LARGEST} allowed"));
        return Err(Unreadable::Syntax { path: path.to_path_buf(), finding: Box::new(finding) });
    }
    String::from_utf8(fs::read(path).map_err(unreadable)?).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let finding = Finding::at(&text, sound, "", "this is no UTF-8 text from here on".to_owned());
        Unreadable::Syntax { path: path.to_path_buf(), finding: Box::new(finding) }
    })
}

fn options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// The texts of a config that are secrets by their key; see [`Document::secrets`].
pub fn secrets(config: &Value) -> Vec<(Vec<String>, String)> {
    let is_reference = |it: &str| it.starts_with("${") && it.ends_with('}');
    let mut found = Vec::new();
    texts(config, &mut Vec::new(), &mut found);
    found.retain(|(path, text)| {
        !text.is_empty() && !is_reference(text) && path.last().is_some_and(|it| is_secret(it))
    });
    found
}

/// Ports that a config pins: `canvasHost.port`, `browser.profiles.<name>.cdpPort`, and the port of an address on this
/// machine in `browser.cdpUrl` or `browser.profiles.<name>.cdpUrl`.
pub fn pinned_ports(config: &Value) -> Vec<u16> {
    let named = browser_profiles(config).filter_map(|it| it.get("cdpPort"));
    let named = named.chain(config.pointer("/canvasHost/port")).filter_map(Value::as_u64);
    let named = named.filter_map(|it| u16::try_from(it).ok()).filter(|it| *it > 0);
    let mut ports: Vec<u16> = named.chain(cdp_urls(config).iter().filter_map(|it| local_port(it))).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Addresses of browsers: `browser.cdpUrl` and `browser.profiles.<name>.cdpUrl`.
pub fn cdp_urls(config: &Value) -> Vec<String> {
    let own = config.pointer("/browser/cdpUrl").and_then(Value::as_str);
    let named = browser_profiles(config).filter_map(|it| it.get("cdpUrl").and_then(Value::as_str));
    own.into_iter().chain(named).map(str::to_owned).collect()
}

fn browser_profiles(config: &Value) -> impl Iterator<Item = &Value> {
    let profiles = config.pointer("/browser/profiles").and_then(Value::as_object);
    profiles.into_iter().flat_map(Map::values)
}

/// The port of an address on this machine.
fn local_port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_local = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    port.parse().ok().filter(|_| is_local)
}

fn texts(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    let mut below = |key: String, it: &Value| {
        path.push(key);
        texts(it, path, found);
        path.pop();
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, it)| below(key.clone(), it)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, it)| below(at.to_string(), it)),
        Value::String(text) => found.push((path.clone(), text.clone())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Document, Unreadable> {
        Document::parse(Path::new("/x/openclaw.json"), text.to_owned())
    }

    #[test]
    fn reads_what_people_write() {
        let it = parse("// mine\n{ gateway: { port: 0x4965, mode: 'local', }, n: [1, +2, .5], s: 'a\\\nb' }")
            .expect("JSON5");
        assert_eq!(it.port(), Some(18789));
        assert_eq!(it.get("gateway.mode"), Some(&json!("local")));
        assert_eq!(it.get("s"), Some(&json!("ab")));
        assert_eq!(parse("").expect("an empty file says nothing").value(), &json!({}));
    }

    #[test]
    fn says_where_it_is_no_text() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("openclaw.json");
        base::file::replace(&path, b"{\n  a: 1,\n  b: '\xff\xfe'\n}\n").expect("written");
        let Err(Unreadable::Syntax { finding, .. }) = Document::load(&path) else { panic!("it is no text") };
        assert_eq!((finding.line, finding.column), (3, 7), "{finding:?}");
    }

    #[test]
    fn says_where_it_does_not_parse() {
        let text = "{\n  gateway: {\n    port: 18789\n    mode: 'local'\n  }\n}\n";
        let Err(Unreadable::Syntax { finding, .. }) = parse(text) else { panic!("a comma is missing") };
        assert!((3..=4).contains(&finding.line), "{finding:?}");
        assert!(parse("[1]").is_err() && parse("{ a: }").is_err() && parse("{a: 1").is_err());
    }

    #[test]
    fn a_change_keeps_comments_order_and_what_we_do_not_know() {
        let text =
            "{\n  // the port of acme\n  gateway: { port: 1, /* why */ other: 'x' },\n  zebra: [1, 2],\n}\n";
        let mut it = parse(text).expect("JSON5");
        it.set("gateway.port", &json!(19001)).expect("set");
        it.set("gateway.auth.token", &json!("t")).expect("set");
        it.set("agents.defaults", &json!({"workspace": "/w"})).expect("set");
        for kept in ["// the port of acme", "/* why */", "other: 'x'", "zebra: [1, 2]", "port: 19001"] {
            assert!(it.text().contains(kept), "{kept} is gone from {}", it.text());
        }
        assert_eq!(it.get("gateway.auth.token"), Some(&json!("t")));
        assert_eq!(it.get("agents.defaults.workspace"), Some(&json!("/w")));
        let refused = it.set("zebra.a", &json!(1)).expect_err("an array");
        assert_eq!(refused.path, "zebra");
        assert!(refused.excerpt.starts_with("  zebra:"), "{refused:?}");
    }

    #[test]
    fn a_change_reaches_lists_and_keys_with_dots_and_takes_keys_out() {
        let text = "{\n  // who\n  list: [{ id: 'a', workspace: '/a' }, /* two */ { id: 'b' }, 'c', /* three */],\n  \"x.y\": { token: 't', \
                    ref: { apiKey: '${KEY}' } },\n}\n";
        let mut it = parse(text).expect("JSON5");
        let paths = |found: Vec<(Vec<String>, String)>| -> Vec<String> {
            found.into_iter().map(|(path, _)| path.join("/")).collect()
        };
        assert_eq!(paths(it.secrets()), ["x.y/token"]);
        assert_eq!(it.texts().len(), 6);
        it.set_at(&["list", "2"], &json!("\"d\"")).expect("set");
        it.set_at(&["list", "0", "workspace"], &json!("/b")).expect("set");
        it.set_at(&["list", "1", "workspace"], &json!("/c")).expect("set");
        it.set_at(&["x.y", "new"], &json!(1)).expect("set");
        assert!(it.remove_at(&["x.y", "token"]).expect("taken out"));
        assert!(!it.remove_at(&["x.y", "token"]).expect("looked"));
        let expected = json!({"list": [{"id": "a", "workspace": "/b"}, {"id": "b", "workspace": "/c"}, "\"d\""],
                              "x.y": {"ref": {"apiKey": "${KEY}"}, "new": 1}});
        assert_eq!(it.value(), &expected, "{}", it.text());
        for kept in ["// who", "/* two */", "/* three */"] {
            assert!(it.text().contains(kept), "{kept} is gone from {}", it.text());
        }
    }

    #[test]
    fn knows_the_browsers_that_are_pinned() {
        let it = parse(
            "{canvasHost: {port: 20500}, browser: {cdpUrl: 'http://127.0.0.1:9222/', profiles: {a: {cdpPort: 18805}, b: {cdpUrl: \
             'wss://far.example:443/?token=x'}, c: {cdpUrl: 'http://localhost:9222'}}}}",
        )
        .expect("JSON5");
        assert_eq!(it.pinned_ports(), [9222, 18805, 20500]);
        assert_eq!(cdp_urls(it.value()).len(), 3);
        assert!(parse("{browser: 5}").expect("JSON5").pinned_ports().is_empty());
    }

    #[test]
    fn a_finding_points_and_shows_no_secret() {
        let it = parse("{\n  gateway: {\n    auth: {\n      token: 'abc' } } }").expect("JSON5");
        let finding = it.finding("gateway.auth.token", "too short");
        assert_eq!((finding.line, finding.column), (4, 7));
        assert_eq!(finding.pointer(), "  |\n4 |       token: ***\n  |       ^");
        assert_eq!(it.finding("gateway.auth.mode", "missing").line, 3);
    }

    #[test]
    fn a_line_shows_no_secret_however_it_is_broken() {
        for (line, expected) in [
            ("token \"abc\"", "token: ***"),
            ("auth: { mode: 'token', token: abc }", "auth: { mode: 'token: ***"),
            ("\"botToken\" = abc", "\"botToken: ***"),
            ("password:", "password:"),
            ("port: 1", "port: 1"),
        ] {
            assert_eq!(excerpt::masked(line, 0, line), expected, "{line}");
        }
    }

    #[test]
    fn is_written_private_and_comes_back() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("new/openclaw.json");
        assert!(matches!(Document::load(&path), Err(Unreadable::Missing(_))));
        let mut it = Document::fresh(&path);
        it.set("gateway.port", &json!(20000)).expect("set");
        it.save().expect("written");
        assert_eq!(Document::load(&path).expect("there").port(), Some(20000));
    }
}
