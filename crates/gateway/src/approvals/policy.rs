//! The document of approvals: which commands may run without a person, an entry each. No entry is about the text of
//! a shell: it names a program's file and, element by element, its arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::tools::{Ask, Plan, Security};
use base::{clock, file, random};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Its name in the state folder.
const NAME: &str = "exec-approvals.json";
/// Its most bytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// How the arguments of what was always allowed are kept.
const EXACT: &str = "sha256:argv:";

/// The document.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    version: u64,
    defaults: Rules,
    agents: BTreeMap<String, AgentRules>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rules {
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Security>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<Ask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask_fallback: Option<Security>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct AgentRules {
    #[serde(flatten)]
    rules: Rules,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowlist: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// The program's file, links followed; `*` within a name, `**` across names, `~/` for the home.
    pattern: String,
    /// [`EXACT`] and a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arg_pattern: Option<String>,
    /// A pattern for each argument after the program's name; a last `**` for all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    /// Of the program's file: another file is no match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What holds for an agent: the stricter of the config and the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) security: Security,
    pub(super) ask: Ask,
    pub(super) fallback: Security,
}

/// The document as it is on disk.
pub(super) struct OnDisk {
    pub(super) path: PathBuf,
    pub(super) exists: bool,
    pub(super) hash: String,
    pub(super) document: Document,
}

/// Reads it. What cannot be read is told, and never taken for one that allows things.
pub(super) fn read(state: &Path) -> Result<OnDisk, String> {
    let path = state.join(NAME);
    let bad = |why: String| {
        format!("{} cannot be used: {why}; no command runs before it is mended", path.display())
    };
    let text = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(bad(error.to_string())),
        Ok(it) if it.len() > MOST_BYTES => return Err(bad(format!("it is longer than {MOST_BYTES} bytes"))),
        Ok(_) => Some(std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?),
    };
    let document = match &text {
        None => Document { version: 1, ..Document::default() },
        Some(text) => parse(text).map_err(bad)?,
    };
    let (exists, hash) = (text.is_some(), hash(text.as_deref().unwrap_or_default()));
    Ok(OnDisk { path, exists, hash, document })
}

fn parse(text: &str) -> Result<Document, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.version == 1 { Ok(document) } else { Err("its version is not 1".to_owned()) }
}

fn hash(text: &str) -> String {
    random::hex_of(digest(&SHA256, text.as_bytes()).as_ref())
}

/// Reads what a caller wants to put in its place; the token that callers never see stays.
pub(super) fn replaced(before: &OnDisk, file: Map<String, Value>) -> Result<Document, String> {
    let mut document = parse(&Value::Object(file).to_string())?;
    if let Some(token) = before.document.rest.get("socket").and_then(|it| it.get("token"))
        && let Some(Value::Object(socket)) = document.rest.get_mut("socket")
    {
        socket.entry("token").or_insert_with(|| token.clone());
    }
    Ok(document)
}

/// Writes it.
pub(super) fn write(path: &Path, document: &Document) -> Result<(), String> {
    let text = serde_json::to_string_pretty(document).map_err(|error| error.to_string())?;
    file::replace(path, text.as_bytes()).map_err(|error| base::text::chain(&error))
}

impl OnDisk {
    /// For people and programs, without the token.
    pub(super) fn shown(&self) -> Value {
        let mut file = serde_json::to_value(&self.document).unwrap_or_default();
        if let Some(socket) = file.get_mut("socket").and_then(Value::as_object_mut) {
            socket.remove("token");
        }
        file
    }
}

impl Document {
    /// What holds for an agent.
    pub(super) fn policy(&self, agent: &str, config: Policy) -> Policy {
        let own = [self.agents.get("*"), self.agents.get(agent)].into_iter().flatten().map(|it| &it.rules);
        let mut said = self.defaults.clone();
        for rules in own {
            said.security = rules.security.or(said.security);
            said.ask = rules.ask.or(said.ask);
            said.ask_fallback = rules.ask_fallback.or(said.ask_fallback);
        }
        Policy {
            security: said.security.map_or(config.security, |it| it.min(config.security)),
            ask: said.ask.map_or(config.ask, |it| it.max(config.ask)),
            fallback: said.ask_fallback.unwrap_or(config.fallback),
        }
    }

    /// Whether the list lets it run without a person. What a shell would read is on no list.
    pub(super) fn allows(&self, agent: &str, plan: &Plan, home: Option<&Path>) -> bool {
        let lists = [self.agents.get("*"), self.agents.get(agent)];
        lists.into_iter().flatten().flat_map(|it| &it.allowlist).any(|it| it.matches(plan, home))
    }

    /// From now on it runs without a person.
    pub(super) fn allow(&mut self, agent: &str, plan: &Plan) {
        let rest = json!({"id": uuid::Uuid::new_v4().to_string(), "source": "allow-always",
            "commandText": plan.text, "lastUsedAt": clock::now_ms()});
        let entry = Entry {
            pattern: plan.program.display().to_string(),
            arg_pattern: Some(format!("{EXACT}{}", plan.fingerprint())),
            argv: None,
            sha256: Some(plan.digest.clone()),
            rest: rest.as_object().cloned().unwrap_or_default(),
        };
        let list = &mut self.agents.entry(agent.to_owned()).or_default().allowlist;
        list.retain(|it| (&it.pattern, &it.arg_pattern) != (&entry.pattern, &entry.arg_pattern));
        list.push(entry);
    }
}

impl Entry {
    fn matches(&self, plan: &Plan, home: Option<&Path>) -> bool {
        let Some(argv) = &plan.argv else { return false };
        let Some(program) = plan.program.to_str() else { return false };
        let pattern = match (self.pattern.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => format!("{}/{rest}", home.display()),
            (Some(_), None) => return false,
            (None, _) => self.pattern.clone(),
        };
        let unchanged = self.sha256.as_ref().is_none_or(|it| *it == plan.digest);
        if !pattern.starts_with('/') || !unchanged || !fits(pattern.as_bytes(), program.as_bytes(), true) {
            return false;
        }
        match (&self.arg_pattern, &self.argv) {
            (Some(exact), argv) => {
                argv.is_none() && exact.strip_prefix(EXACT) == Some(plan.fingerprint().as_str())
            }
            (None, Some(wanted)) => {
                // A pattern says too little of a program that runs what its arguments say.
                let is_exact = wanted.iter().all(|it| !it.contains('*'));
                (is_exact || !plan.is_runner()) && all_fit(wanted, argv.get(1..).unwrap_or_default())
            }
            (None, None) => !plan.is_runner(),
        }
    }
}

fn all_fit(wanted: &[String], argv: &[String]) -> bool {
    match wanted.split_last() {
        Some((last, head)) if last == "**" => argv.len() >= head.len() && all_fit(head, &argv[..head.len()]),
        _ => {
            let fit = |(wanted, it): (&String, &String)| fits(wanted.as_bytes(), it.as_bytes(), false);
            wanted.len() == argv.len() && wanted.iter().zip(argv).all(fit)
        }
    }
}

/// `*` for anything; in a path only `**` for anything with a `/` in it. In time that grows with the product of the two.
fn fits(pattern: &[u8], text: &[u8], is_path: bool) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'*' {
            let is_deep = !is_path || rest.first() == Some(&b'*');
            if rest.first() == Some(&b'*') {
                rest = &rest[1..];
            }
            for at in 1..=text.len() {
                reached[at] |= reached[at - 1] && (is_deep || text[at - 1] != b'/');
            }
        } else {
            for at in (1..=text.len()).rev() {
                reached[at] = reached[at - 1] && text[at - 1] == *first;
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::Workbench;
    use std::time::Duration;

    fn plan(command: &str) -> Plan {
        let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let bench = Workbench::open(Path::new("/"), env, Duration::from_secs(1)).expect("opens");
        bench.plan(json!({"command": command})).expect("a plan")
    }

    fn allows(entry: Value, command: &str) -> bool {
        let document = json!({"version": 1, "agents": {"main": {"allowlist": [entry]}}});
        let document = parse(&document.to_string()).expect("a document");
        document.allows("main", &plan(command), None)
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("/usr/bin/rg", "/usr/bin/rg", true),
            ("/usr/*/rg", "/usr/bin/rg", true),
            ("/usr/*/rg", "/usr/a/b/rg", false),
            ("/usr/**/rg", "/usr/a/b/rg", true),
            ("/usr/bin/r*", "/usr/bin/rg", true),
            ("/usr/bin", "/usr/bin/rg", false),
            ("", "/usr/bin/rg", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes(), true), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_entry_is_about_a_program_and_its_arguments() {
        let echo = std::fs::canonicalize("/usr/bin/echo").expect("there").display().to_string();
        let any = json!({"pattern": echo});
        assert!(allows(any.clone(), "echo a b") && allows(any.clone(), "echo 'a;b'"));
        for trick in [
            "echo a; id",
            "echo $(id)",
            "echo `id`",
            "echo a\nid",
            "X=1 echo a",
            "env X=1 echo a",
            "sh -c 'echo a'",
            "echo a > f",
            "echo a | sh",
            "nice echo a",
            "cat a",
            "\\echo a",
            "echo a & id",
            "echo \"$(id)\"",
        ] {
            assert!(!allows(any.clone(), trick), "{trick:?}");
        }
        let some = json!({"pattern": echo, "argv": ["a*", "**"]});
        assert!(
            allows(some.clone(), "echo ab c d") && !allows(some.clone(), "echo b") && !allows(some, "echo")
        );
        // Programs that run what their arguments say, patterns of other kinds, files that were changed.
        let env = std::fs::canonicalize("/usr/bin/env").expect("there").display().to_string();
        assert!(!allows(json!({"pattern": env}), "env") && !allows(json!({"pattern": "/**"}), "env id"));
        assert!(!allows(json!({"pattern": env, "argv": ["*"]}), "env id"));
        assert!(allows(json!({"pattern": env, "argv": ["id"]}), "env id"));
        assert!(!allows(json!({"pattern": echo, "argPattern": ".*"}), "echo a"));
        assert!(!allows(json!({"pattern": "echo"}), "echo a"));
        assert!(!allows(json!({"pattern": echo, "sha256": "0"}), "echo a"));
    }

    #[test]
    fn what_was_always_allowed_is_exact() {
        let mut document = Document::default();
        document.allow("main", &plan("echo a b"));
        assert!(document.allows("main", &plan("echo a b"), None));
        assert!(document.allows("main", &plan("echo 'a'  b"), None), "the same words");
        assert!(!document.allows("main", &plan("echo a"), None));
        assert!(!document.allows("other", &plan("echo a b"), None));
    }

    #[test]
    fn the_stricter_holds() {
        let config = Policy { security: Security::Allowlist, ask: Ask::OnMiss, fallback: Security::Deny };
        let of = |text: &str| parse(text).expect("a document").policy("main", config);
        assert_eq!(of(r#"{"version": 1}"#), config);
        assert_eq!(of(r#"{"version": 1, "defaults": {"security": "full", "ask": "off"}}"#), config);
        let strict =
            of(r#"{"version": 1, "defaults": {"ask": "always"}, "agents": {"main": {"security": "deny"}}}"#);
        assert_eq!((strict.security, strict.ask), (Security::Deny, Ask::Always));
        for bad in ["", "[]", "{}", r#"{"version": 2}"#, r#"{"version": 1, "defaults": {"ask": "maybe"}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
