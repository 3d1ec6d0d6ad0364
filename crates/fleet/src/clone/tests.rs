//! Copies, with everything that two instances must not share.

use std::os::unix::fs::PermissionsExt;

use profile::Claims;

use super::*;
use crate::places::fixture::{Home, contents};
use crate::repair::{self, Repair};

const TELEGRAM: &str = "123456789:AAE-telegram-login-of-the-source";
const CONFIG: &str = r#"{
  // the source's own
  gateway: { port: 20000, mode: 'local', auth: { mode: 'password', password: 'a-password-of-the-source', token: 'the-old-gateway-token' } },
  agents: {
    defaults: { workspace: '~/.openclaw-work/workspace-work' /* where it lives */ },
    list: [
      { id: 'main' },
      // outside of the folder
      { id: 'Léa', workspace: '${HOME}/projects/lea' },
    ],
  },
  channels: {
    // botToken: '123456789:AAE-telegram-login-of-the-source'
    telegram: { botToken: '123456789:AAE-telegram-login-of-the-source', dmPolicy: 'pairing' },
    slack: { enabled: true, accounts: { team: { appToken: '${SLACK_APP}', name: 'Team' }, key: { name: 'quiet' } } },
    signal: { enabled: true, account: '+490000' },
  },
  hooks: { token: 'the-token-of-the-hooks', path: '/hooks' },
  browser: {
    cdpUrl: 'http://127.0.0.1:9222', defaultProfile: 'pinned',
    profiles: { pinned: { cdpPort: 18805 }, tinted: { color: '#fff', userDataDir: '/data/chrome' } },
  },
  auth: { profiles: { anthropic: { mode: 'oauth' } } },
  env: { OPENAI_API_KEY: 'sk-model', TELEGRAM: '123456789:AAE-telegram-login-of-the-source' },
  skills: { load: ['~/.openclaw-work/skills', '/opt/skills'] },
  mcp: { run: 'node ~/.openclaw-work/skills/run.js', far: { token: 'the-token-of-another-service' } },
  logging: { level: 'debug' },
}
"#;

fn source(home: &Home) -> Instance {
    let work = home.with("work", CONFIG, 20000);
    for (within, text) in [
        ("workspace-work/memory/2026-01-01.md", "a day"),
        ("workspace/SOUL.md", "another workspace"),
        ("skills/run.js", "1"),
        ("credentials/telegram.json", TELEGRAM),
        ("identity/device.json", "private"),
        ("agents/main/agent/auth-profiles.json", "oauth"),
        ("gateway.sqlite", "conversations"),
        ("generations/000001-00.json5", TELEGRAM),
        ("logs/gateway.log", "a line"),
        ("browser/x", "x"),
        (".env", "# keys\nexport ANTHROPIC_API_KEY=sk-ant\nTELEGRAM_BOT_TOKEN=1:a\n"),
        (
            "keys.env",
            "OLLAMA_BASE_URL=http://127.0.0.1:11434\nBOT_API_KEY=123456789:AAE-telegram-login-of-the-source\n",
        ),
    ] {
        home.write(&format!(".openclaw-work/{within}"), text);
    }
    home.write("projects/lea/notes.md", "outside");
    work
}

fn wishes(port: Option<u16>) -> CloneWishes {
    CloneWishes { port, token: "the-fresh-token-of-the-copy".into(), version: "2".into() }
}

#[test]
fn a_copy_has_what_it_needs_and_nothing_that_two_cannot_have() {
    let home = Home::new();
    let (work, copy) = (source(&home), home.instance("copy"));
    let mut claims = Claims::new(&work.host.claims(), "work", &work.state_dir);
    claims.take_folder().expect("it runs");
    let before = (contents(&work.state_dir), contents(&home.path("projects")));
    let cloned = clone(&work, &copy, &home.ambient, &wishes(Some(21000))).expect("cloned");
    assert_eq!(
        before,
        (contents(&work.state_dir), contents(&home.path("projects"))),
        "the source is only read"
    );

    assert_eq!(cloned.port, 21000);
    assert_eq!(cloned.workspace, copy.state_dir.join("workspace-copy"));
    let names =
        [".env", "keys.env", "openclaw.json", "skills", "workspace", "workspace-copy", "workspace-copy-L-a"];
    assert_eq!(home.names(".openclaw-copy"), names);
    assert_eq!(home.names(".openclaw-copy/workspace-copy"), ["MEMORY.md", "memory"]);
    assert_eq!(home.names(".openclaw-copy/workspace-copy-L-a"), ["notes.md"]);
    assert_eq!(fs::metadata(&copy.state_dir).expect("there").permissions().mode() & 0o777, 0o700);
    let text = |within: &str| fs::read_to_string(copy.state_dir.join(within)).expect("read");
    assert_eq!(text(".env"), "export ANTHROPIC_API_KEY=sk-ant\n");
    assert_eq!(text("keys.env"), "OLLAMA_BASE_URL=http://127.0.0.1:11434\n");
    assert_eq!(fs::metadata(copy.state_dir.join(".env")).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(cloned.copied.files, 7, "{:?}", contents(&copy.state_dir).keys());
    assert_eq!(
        copy.host.read(&copy.state_dir).map(|it| (it.port, it.version)),
        Some((21000, "2".to_owned()))
    );

    let secrets = [
        TELEGRAM,
        "a-password-of-the-source",
        "the-old-gateway-token",
        "the-token-of-the-hooks",
        "SLACK_APP",
    ];
    for (path, (_, bytes)) in contents(&copy.state_dir) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = secrets.iter().find(|it| text.contains(**it));
        assert_eq!(found, None, "in {}", path.display());
    }
    let left: Vec<&str> = cloned.left_behind.iter().map(|it| it.0.as_str()).collect();
    for what in ["TELEGRAM_BOT_TOKEN of .env", "BOT_API_KEY of keys.env", "mcp.run of the config"] {
        assert!(left.contains(&what), "{what} is not in {left:?}");
    }
    for folder in ["credentials", "identity", "agents", "gateway.sqlite", "generations", "logs", "browser"] {
        let path = work.state_dir.join(folder).display().to_string();
        assert!(left.contains(&path.as_str()), "{path} is not in {left:?}");
    }
}

#[test]
fn a_copys_config_keeps_its_comments_and_names_its_own_places() {
    let home = Home::new();
    let (work, copy) = (source(&home), home.instance("copy"));
    clone(&work, &copy, &home.ambient, &wishes(None)).expect("cloned");
    let document = Document::load(&copy.config_path).expect("it parses");
    for kept in
        ["// the source's own", "/* where it lives */", "// outside of the folder", "// botToken: '***'"]
    {
        assert!(document.text().contains(kept), "{kept} is gone from {}", document.text());
    }
    let port = copy.host.read(&copy.state_dir).expect("recorded").port;
    assert!(port != 20000 && document.port() == Some(port));
    for (path, expected) in [
        ("gateway.auth", json!({"mode": "token", "token": "the-fresh-token-of-the-copy"})),
        ("agents.defaults.workspace", json!("~/.openclaw-copy/workspace-copy")),
        ("channels.telegram", json!({"dmPolicy": "pairing", "enabled": false})),
        (
            "channels.slack",
            json!({"enabled": false, "accounts": {"team": {"name": "Team", "enabled": false},
                                                                 "key": {"name": "quiet"}}}),
        ),
        ("channels.signal", json!({"enabled": true, "account": "+490000"})),
        ("browser", json!({"profiles": {"tinted": {"color": "#fff"}}})),
        ("cron", json!({"enabled": false})),
        ("env", json!({"OPENAI_API_KEY": "sk-model"})),
        ("skills.load", json!(["~/.openclaw-copy/skills", "/opt/skills"])),
        ("mcp.far.token", json!("the-token-of-another-service")),
        ("logging.level", json!("debug")),
    ] {
        assert_eq!(document.get(path), Some(&expected), "{path} in {}", document.text());
    }
    assert_eq!(document.get("auth"), None);
    let agents = document.get("agents.list").and_then(|it| it.as_array()).expect("a list");
    assert_eq!(agents[1]["workspace"], json!("${HOME}/.openclaw-copy/workspace-copy-L-a"));
    let hooks = document.get("hooks.token").and_then(|it| it.as_str()).expect("a token");
    assert!(hooks.len() == 48, "{hooks}");
}

#[test]
fn what_a_copy_cannot_be_made_of_is_refused_and_leaves_nothing() {
    let home = Home::new();
    let (work, copy) = (source(&home), home.instance("copy"));
    let refused = |to: &Instance, wishes: &CloneWishes| {
        let before = home.names("");
        let error = clone(&work, to, &home.ambient, wishes).expect_err("refused");
        assert_eq!(home.names(""), before, "{error}");
        assert!(!error.remedy().is_empty());
        error
    };
    assert!(matches!(refused(&work, &wishes(None)), CloneError::Exists(_)));
    assert!(matches!(refused(&copy, &wishes(Some(20002))), CloneError::Overlap(_)));
    assert!(matches!(refused(&copy, &wishes(Some(65500))), CloneError::Port(_)));
    file::replace(&work.config_path, b"{\n  gateway: {,\n}").expect("written");
    let error = refused(&copy, &wishes(None));
    assert!(matches!(error, CloneError::Config(_)) && error.to_string().contains("line 2"), "{error}");
    assert!(matches!(
        clone(&home.instance("nobody"), &copy, &home.ambient, &wishes(None)),
        Err(CloneError::NoFolder(_))
    ));
}

#[test]
fn a_workspace_that_holds_everything_is_not_copied() {
    let home = Home::new();
    let work = home.with("work", "{ agents: { defaults: { workspace: '~' } }, other: '~/projects' }", 20000);
    let copy = home.instance("copy");
    let cloned = clone(&work, &copy, &home.ambient, &wishes(None)).expect("cloned");
    let own = copy.state_dir.join("workspace-copy");
    assert_eq!(cloned.workspace, own);
    assert_eq!(home.names(".openclaw-copy/workspace-copy"), [""; 0]);
    let document = Document::load(&copy.config_path).expect("it parses");
    assert_eq!(document.get("agents.defaults.workspace"), Some(&json!("~/.openclaw-copy/workspace-copy")));
    assert_eq!(document.get("other"), Some(&json!("~/projects")));
    assert!(cloned.left_behind.iter().any(|(_, why)| why.contains("holds state folders")));
}

#[test]
fn where_no_workspace_is_named_the_default_one_is_copied() {
    let home = Home::new();
    let work = home.with("default", "{}", 20000);
    file::private_folder(&home.path(".openclaw-copy")).expect("an empty folder is none");
    let cloned = clone(&work, &home.instance("copy"), &home.ambient, &wishes(None)).expect("cloned");
    assert_eq!(cloned.copied.files, 1);
    assert_eq!(home.names(".openclaw-copy/workspace-copy"), ["MEMORY.md"]);
    let back = clone(&home.instance("copy"), &home.instance("third"), &home.ambient, &wishes(None));
    assert_ne!(back.expect("cloned").port, cloned.port);
}

#[test]
fn who_was_cut_off_leaves_a_staging_folder_that_a_repair_removes() {
    let home = Home::new();
    let (work, copy) = (source(&home), home.instance("copy"));
    let staging = Staging::beside(&copy.state_dir, Purpose::Making).expect("made");
    file::replace(&staging.path().join("openclaw.json"), b"{}").expect("written");
    let removed = |repairs: &[Repair]| repairs.iter().any(|it| matches!(it, Repair::Staging { .. }));
    assert!(!removed(&repair::run(&work.host, &home.ambient, "2")), "somebody works there");
    // As a kill does: the lock goes with the process, and the folder stays.
    let path = staging.path().to_path_buf();
    let beside = path.with_file_name(".openclaw-copy.making-0123456789ab");
    file::private_folder(&beside).expect("made");
    file::replace(&beside.join("openclaw.json"), b"{}").expect("written");
    assert!(removed(&repair::look(&work.host, &home.ambient)) && beside.exists());
    assert!(removed(&repair::run(&work.host, &home.ambient, "2")) && !beside.exists() && path.exists());
    drop(staging);
    assert!(!path.exists());
    assert!(copy.host.read(&copy.state_dir).is_none());
}

#[test]
fn two_that_are_made_at_once_have_ports_of_their_own() {
    let home = Home::new();
    let work = source(&home);
    let names = ["a", "b", "c", "d"];
    let ports = std::thread::scope(|scope| {
        let make = |name: &'static str| {
            let (work, home) = (&work, &home);
            scope.spawn(move || {
                clone(work, &home.instance(name), &home.ambient, &wishes(None)).expect("cloned").port
            })
        };
        let made: Vec<_> = names.map(make).into_iter().collect();
        made.into_iter().map(|it| it.join().expect("no panic")).collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(ports.len(), names.len());
    assert!(home.names("").iter().all(|it| !it.contains("making")));
}
