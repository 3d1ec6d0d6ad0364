//! The import through its own door, on state folders as the original leaves them.

mod conversations;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::file;
use profile::{Ambient, Document, Instance, ProfileName};
use serde_json::{Value, json};
use store::Store;

use super::*;

const VENDORS: &[(&str, &str)] = &[("openai", "OPENAI_API_KEY"), ("gemini", "GEMINI_API_KEY")];
const SECRET: &str = "sk-very-secret-0123456789";
const MAIN: &str = "agent:main:main";

/// A home with the original's default instance in it.
struct Home {
    folder: tempfile::TempDir,
    ambient: Ambient,
    instance: Instance,
}

impl Home {
    /// One conversation, one key, one channel, one job.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("plain").to_owned();
        let ambient = Ambient::of(&[("HOME", &home), ("TMPDIR", &format!("{home}/tmp"))], folder.path());
        let instance = Instance::of_profile(&ambient, None).expect("resolves");
        let it = Self { folder, ambient, instance };
        let config = "{\n  // mine\n  gateway: { port: 1, auth: { mode: 'password', password: 'geheim' } },\n  \
                      channels: { telegram: { botToken: 'bot-secret' } }, cron: { enabled: true },\n  \
                      models: { providers: { own: { baseUrl: 'http://127.0.0.1:1/v1', models: [] } } },\n  \
                      tools: { exec: { safe: '~/.openclaw/bin' } },\n}\n";
        it.put("openclaw.json", config);
        it.put("workspace/AGENTS.md", "be kind");
        it.put("skills/tea/SKILL.md", "brew");
        it.put("credentials/whatsapp/default/creds.json", "{}");
        it.put("cron/jobs.json", r#"{"version":1,"jobs":[{"id":"a"}]}"#);
        it.put("notes.txt", "?");
        it.profiles(&json!({
            "openai:default": {"type": "api_key", "provider": "openai", "key": SECRET},
            "google:default": {"type": "api_key", "provider": "google", "key": "g-key"},
            "anthropic:claude": {"type": "oauth", "provider": "anthropic", "access": "grant-secret", "refresh": "r"},
        }));
        it.list(&json!({MAIN: {"sessionId": "s1", "updatedAt": 90, "label": "Mine", "inputTokens": 11,
            "outputTokens": 7, "providerOverride": "google", "modelOverride": "gemini-2.5-flash"}}));
        it.transcript("s1", &[&user("1", None, "hello"), &answer("2", "1", "hi there")]);
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.instance.state_dir.join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        file::private_folder(path.parent().expect("a folder")).expect("made");
        file::replace(&path, text.as_bytes()).expect("written");
    }

    fn profiles(&self, profiles: &Value) {
        let text = json!({"version": 1, "profiles": profiles}).to_string();
        self.put("agents/main/agent/auth-profiles.json", &text);
    }

    fn list(&self, sessions: &Value) {
        self.put("agents/main/sessions/sessions.json", &sessions.to_string());
    }

    fn transcript(&self, id: &str, lines: &[&str]) {
        let head =
            json!({"type": "session", "version": 3, "id": id, "timestamp": "2026-11-22T22:07:08.197Z"});
        let text = format!("{head}\n{}\n", lines.join("\n"));
        self.put(&format!("agents/main/sessions/{id}.jsonl"), &text);
    }

    fn source(&self) -> Source<'_> {
        Source { instance: &self.instance, ambient: &self.ambient, vendors: VENDORS }
    }

    fn look(&self) -> Findings {
        look(&self.source(), &Target::InPlace).expect("looked")
    }

    fn run(&self) -> Imported {
        run(&self.source(), &Target::InPlace).expect("imported")
    }

    /// Every path below the home, with what its file says and when it was changed. Folders of ours are left out,
    /// and the times of folders that files of ours are put in.
    fn tree(&self) -> BTreeMap<PathBuf, (i64, i64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        tree(self.folder.path(), &mut found);
        let ours = ["gateway.sqlite", "keys.env"];
        found.retain(|path, _| {
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            !ours.contains(&name) && !path.starts_with(self.folder.path().join(".local"))
        });
        found
    }

    fn store(&self) -> Store {
        Store::open(&self.instance.state_dir).expect("a store")
    }

    /// `role text` of a conversation.
    fn lines(&self, key: &str) -> Vec<String> {
        let text = |it: &Value| {
            let parts = it["content"].as_array().cloned().unwrap_or_default();
            parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("|")
        };
        let history = self.store().history(key, 100).expect("read");
        history.iter().map(|it| format!("{} {}", it.role, text(&it.message))).collect()
    }
}

fn tree(folder: &Path, found: &mut BTreeMap<PathBuf, (i64, i64, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let about = entry.metadata().expect("there");
        if about.is_dir() {
            tree(&path, found);
            let is_shared = path.file_name().is_some_and(|it| it == ".openclaw" || it == ".local");
            let changed = if is_shared { 0 } else { about.mtime_nsec() };
            found.insert(path, (changed, i64::from(about.mode()), Vec::new()));
        } else {
            let bytes = fs::read(&path).expect("readable");
            found.insert(path, (about.mtime_nsec(), about.mtime(), bytes));
        }
    }
}

fn entry(id: &str, parent: Option<&str>, message: &Value) -> String {
    let at = "2026-11-22T22:07:08.838Z";
    json!({"type": "message", "id": id, "parentId": parent, "timestamp": at, "message": message}).to_string()
}

fn user(id: &str, parent: Option<&str>, text: &str) -> String {
    entry(id, parent, &json!({"role": "user", "content": text, "timestamp": 1000}))
}

fn answer(id: &str, parent: &str, text: &str) -> String {
    let content = json!([{"type": "text", "text": text}]);
    let message =
        json!({"role": "assistant", "content": content, "provider": "p", "model": "m", "stopReason": "stop"});
    entry(id, Some(parent), &message)
}

/// The reason of the row of this kind whose text begins so; `None` when it comes.
#[track_caller]
fn why(findings: &Findings, kind: Kind, what: &str) -> Option<String> {
    let row = findings.rows.iter().find(|it| it.kind == kind && it.what.starts_with(what));
    match &row.unwrap_or_else(|| panic!("no row `{what}` in {:#?}", findings.rows)).verdict {
        Verdict::Comes => None,
        Verdict::Stays { why } => Some(why.clone()),
    }
}

#[test]
fn looking_tells_everything_and_changes_nothing() {
    let home = Home::new();
    let before = home.tree();
    let found = home.look();
    assert_eq!(home.tree(), before);
    assert!(!home.path("gateway.sqlite").exists() && !home.path("keys.env").exists());
    for (kind, what) in [
        (Kind::Sessions, "1 conversation with 2 messages"),
        (Kind::Keys, "openai:default (agent main, auth-profiles.json) as OPENAI_API_KEY"),
        (Kind::Keys, "google:default (agent main, auth-profiles.json) as GEMINI_API_KEY"),
        (Kind::Workspace, "1 file in ~/.openclaw/workspace"),
        (Kind::Config, home.path("openclaw.json").to_str().expect("plain")),
    ] {
        assert_eq!(why(&found, kind, what), None, "{what}");
    }
    for (kind, what, because) in [
        (Kind::Grant, "anthropic:claude", "a grant belongs to one program: log in again, or use an API key"),
        (Kind::Channel, "telegram (settings)", "this version has no messaging channel but the built-in chat"),
        (Kind::Channel, "whatsapp (logins)", "this version has no messaging channel but the built-in chat"),
        (Kind::Config, "section `cron`", "kept in the file, and without effect here yet"),
        (Kind::Cron, "1 job", "jobs by the clock are not run here yet"),
        (Kind::Skills, "1 skill", "kept, and without effect here yet"),
        (Kind::Other, "1 other name: notes.txt", "nothing here knows it"),
    ] {
        let found = why(&found, kind, what).expect("it stays");
        assert!(found.starts_with(because), "{what}: {found}");
    }
}

#[test]
fn an_import_adds_files_of_ours_and_touches_nothing_else() {
    let home = Home::new();
    let before = home.tree();
    let done = home.run();
    assert_eq!(home.tree(), before);
    assert_eq!((done.sessions.new, done.sessions.messages, done.files), (1, 2, 0));
    assert_eq!(home.lines(MAIN), ["user hello", "assistant hi there"]);
    let session = home.store().session(MAIN).expect("read").expect("there");
    assert_eq!((session.session_id.as_str(), session.label.as_deref()), ("s1", Some("Mine")));
    assert_eq!(session.model.as_deref(), Some("gemini/gemini-2.5-flash"));
    assert_eq!((session.updated_at, session.input_tokens, session.output_tokens), (90, 11, 7));

    assert_eq!(done.keys, ["OPENAI_API_KEY", "GEMINI_API_KEY"]);
    let keys = fs::read_to_string(home.path("keys.env")).expect("written");
    assert!(keys.ends_with(&format!("OPENAI_API_KEY={SECRET}\nGEMINI_API_KEY=g-key\n")), "{keys}");
    let mode = fs::metadata(home.path("keys.env")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_second_time_brings_what_is_new_and_nothing_twice() {
    let home = Home::new();
    home.run();
    let keys = fs::metadata(home.path("keys.env")).expect("there").ino();
    let again = home.run();
    assert_eq!((again.sessions.same, again.sessions.messages), (1, 0));
    assert_eq!((again.keys.len(), fs::metadata(home.path("keys.env")).expect("there").ino()), (0, keys));

    home.transcript(
        "s1",
        &[&user("1", None, "hello"), &answer("2", "1", "hi there"), &user("3", Some("2"), "more")],
    );
    let grown = home.run();
    assert_eq!((grown.sessions.updated, grown.sessions.messages), (1, 1));
    assert_eq!(home.lines(MAIN), ["user hello", "assistant hi there", "user more"]);
}

#[test]
fn what_is_set_here_is_never_overridden() {
    let home = Home::new();
    home.put(".env", "OPENAI_API_KEY=mine\n");
    home.put("keys.env", "GEMINI_API_KEY=older");
    let found = home.look();
    let set = "is set here already, and goes first";
    assert_eq!(why(&found, Kind::Keys, "openai:default"), Some(format!("OPENAI_API_KEY {set}")));
    assert_eq!(why(&found, Kind::Keys, "google:default"), Some(format!("GEMINI_API_KEY {set}")));
    assert_eq!(home.run().keys, [""; 0]);
    assert_eq!(fs::read_to_string(home.path("keys.env")).expect("read"), "GEMINI_API_KEY=older");

    home.put("keys.env", "GEMINI_API_KEY=older");
    home.put(".env", "");
    home.profiles(&json!({
        "openai:a": {"type": "api_key", "provider": "openai", "key": "two\nlines"},
        "openai:b": {"type": "api_key", "provider": "openai", "key": "${OTHER}"},
        "openai:c": {"type": "api_key", "provider": "openai", "key": SECRET},
        "openai:d": {"type": "api_key", "provider": "openai", "key": "another"},
        "nobody:e": {"type": "api_key", "provider": "nobody", "key": "x"},
    }));
    let found = home.look();
    for (what, because) in [
        ("openai:a", "the key is no single line of plain characters"),
        ("openai:b", "the profile only refers to its key: set OPENAI_API_KEY in .env"),
        ("openai:d", "OPENAI_API_KEY has a value from another profile"),
        ("nobody:e", "the vendor `nobody` is not known here"),
    ] {
        assert_eq!(why(&found, Kind::Keys, what).as_deref(), Some(because), "{what}");
    }
    assert_eq!(home.run().keys, ["OPENAI_API_KEY"]);
    let keys = fs::read_to_string(home.path("keys.env")).expect("read");
    assert_eq!(keys, format!("GEMINI_API_KEY=older\nOPENAI_API_KEY={SECRET}\n"));
}

#[test]
fn no_secret_is_ever_shown() {
    let home = Home::new();
    let done = home.run();
    let shown = format!("{done:?} {}", serde_json::to_string(&done).expect("writes"));
    for secret in [SECRET, "g-key", "grant-secret", "bot-secret", "geheim"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    let row = serde_json::to_value(&done.findings.rows[0]).expect("writes");
    assert_eq!((&row["kind"], &row["verdict"]), (&json!("config"), &json!("comes")));
}

#[test]
fn another_instance_gets_a_copy_with_a_port_and_a_token_of_its_own() {
    let home = Home::new();
    home.put(".env", "GEMINI_API_KEY=from-env\nTELEGRAM_BOT_TOKEN=t\n");
    let profile = ProfileName::parse("work").expect("a name");
    let work = Instance::of_profile(&home.ambient, profile).expect("resolves");
    let before = home.tree();
    let target = Target::Other { instance: &work, port: 19021 };
    look(&home.source(), &target).expect("looked");
    assert_eq!(home.tree(), before);
    let done = run(&home.source(), &target).expect("imported");
    assert_eq!((done.files, done.sessions.new), (3, 1));
    let now = home.tree();
    assert!(before.iter().all(|(path, it)| now.get(path) == Some(it) || path.ends_with("claims")));
    let config = Document::load(&work.config_path).expect("there");
    assert!(config.text().contains("// mine"), "{}", config.text());
    assert_eq!((config.port(), config.get("channels.telegram")), (Some(19021), None));
    assert_eq!(config.get("gateway.auth.password"), None);
    let token = config.get("gateway.auth.token").and_then(Value::as_str).map(str::len);
    assert_eq!(token, Some(48));
    assert_eq!(config.get("tools.exec.safe"), Some(&json!(work.state_dir.join("bin"))));
    assert_eq!(fs::read(work.workspace.join("AGENTS.md")).expect("copied"), b"be kind");
    let keys = fs::read_to_string(work.state_dir.join("keys.env")).expect("written");
    assert!(keys.contains("GEMINI_API_KEY=from-env\n") && !keys.contains("TELEGRAM"), "{keys}");
    assert_eq!(Store::open(&work.state_dir).expect("a store").history_total(MAIN).expect("read"), 2);

    let again = run(&home.source(), &target).expect("imported");
    assert_eq!((again.files, again.sessions.same, again.keys.len()), (0, 1, 0));
    let same = Target::Other { instance: &home.instance, port: 1 };
    assert!(matches!(run(&home.source(), &same), Err(ImportError::SameFolder(_))));
}
