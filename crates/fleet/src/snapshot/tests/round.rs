//! Out and back: what a snapshot holds, what it does not, and what comes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base::file;
use profile::Claims;
use serde_json::json;
use store::Store;

use super::super::{Kind, SnapshotError, inspect, verify};
use super::{Scene, TELLTALE, inflated};

#[test]
fn a_snapshot_without_a_passphrase_holds_no_secret_and_says_what_it_lacks() {
    let scene = Scene::new();
    let before = scene.tree(".openclaw-work");
    let taken = scene.take("a.tar.gz", None).expect("taken");
    assert_eq!(scene.tree(".openclaw-work"), before, "the instance is as it was");

    let bytes = inflated(&scene.at("a.tar.gz"));
    assert!(!bytes.windows(TELLTALE.len()).any(|it| it == TELLTALE.as_bytes()), "a secret is in it");
    let stat = fs::metadata(scene.at("a.tar.gz")).expect("there");
    assert_eq!((stat.permissions().mode() & 0o777, stat.len()), (0o600, taken.size));
    assert_eq!(fs::read_dir(scene.home.path()).expect("list").count(), 3, "no draft is left");

    let about = inspect(&scene.at("a.tar.gz")).expect("reads");
    assert_eq!(about, taken.about);
    let expected = (("work", Some("work")), Some(19001), ("1.2.3", false));
    let (name, profile) = (about.instance.as_str(), about.profile.as_deref());
    assert_eq!(((name, profile), about.port, (about.version.as_str(), about.secrets.within)), expected);
    let keys: Vec<_> = about.secrets.config.iter().map(|it| it.join(".")).collect();
    assert_eq!(keys, ["gateway.auth.token", "channels.telegram.botToken"]);
    assert_eq!(about.secrets.files, [".env", "agents/main/agent/auth-profiles.json", "credentials/"]);
    let left: Vec<_> = taken.left_out.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(left, ["it is a link to ../outside-of-it, elsewhere"]);

    let manifest = verify(&scene.at("a.tar.gz")).expect("sound");
    assert_eq!(manifest.entries.len(), taken.entries - 1, "all but the manifest itself");
    let entry = |path: &str| {
        let found = manifest.entries.iter().find(|it| it.path == path);
        found.map(|it| (it.kind, it.size, it.mode))
    };
    assert_eq!(entry("state/skills/x/run.sh"), Some((Kind::File, 9, 0o755)));
    assert_eq!(entry("state/workspace-work/large.bin"), Some((Kind::File, 300_000, 0o600)));
    assert_eq!(entry("state/workspace-work/latest").map(|it| it.0), Some(Kind::Link));
    assert_eq!(entry("outside/0/plan.md"), Some((Kind::File, 6, 0o600)));
    assert_eq!(entry("state/logs"), None);
}

#[test]
fn with_a_passphrase_everything_comes_back_as_it_was() {
    let scene = Scene::new();
    let mut before = scene.tree(".openclaw-work");
    scene.take("a.tar.gz", Some("open sesame")).expect("taken");
    let bytes = inflated(&scene.at("a.tar.gz"));
    assert!(!bytes.windows(TELLTALE.len()).any(|it| it == TELLTALE.as_bytes()), "a secret is open");
    verify(&scene.at("a.tar.gz")).expect("sound");
    let config = scene.read(".openclaw-work/openclaw.json");
    fs::remove_dir_all(scene.at(".openclaw-work")).expect("removed");
    fs::remove_dir_all(scene.at("desk")).expect("removed");

    let restored = scene.restore("a.tar.gz", "work", Some("open sesame")).expect("restored");
    assert_eq!((restored.is_replacement, restored.has_fresh_token), (false, false));
    assert_eq!((restored.missing.len(), restored.kept.len()), (0, 0));
    assert_eq!(restored.workspaces[0].is, scene.at("desk"), "where it was");
    assert_eq!(scene.read("desk/plan.md"), "a plan");
    assert_eq!(scene.config("work")["channels"]["telegram"]["botToken"], json!("42:hunter-bot"));
    for kept in ["// the door", "/* outside */"] {
        assert!(config.contains(kept) && scene.read(".openclaw-work/openclaw.json").contains(kept));
    }
    assert_eq!(scene.sessions("work"), 1);
    let mut after = scene.tree(".openclaw-work");
    for it in ["/logs", "/logs/gateway.log", "/openclaw.json.bak", "/escaping"] {
        assert!(before.remove(it).is_some(), "{it}");
    }
    for it in ["/gateway.sqlite", "/openclaw.json"] {
        assert!(before.remove(it).is_some() && after.remove(it).is_some(), "{it}");
    }
    assert_eq!(after, before);
}

#[test]
fn a_wrong_passphrase_changes_nothing() {
    let scene = Scene::new();
    scene.take("a.tar.gz", Some("right")).expect("taken");
    let before = scene.tree("");
    let refused = scene.restore("a.tar.gz", "work", Some("wrong")).expect_err("wrong");
    assert!(matches!(refused, SnapshotError::Passphrase(_)), "{refused}");
    assert!(refused.remedy().is_some());
    assert!(scene.restore("a.tar.gz", "other", Some("wrong")).is_err());
    assert_eq!(scene.tree(""), before);
}

#[test]
fn a_restore_over_an_instance_keeps_its_secrets_and_nothing_else() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    let newer = "{ gateway: { port: 19001, auth: { token: 'later-token' } }, other: 1 }";
    scene.write(".openclaw-work/openclaw.json", newer.as_bytes());
    scene.write(".openclaw-work/credentials/a/b.json", b"later-credential");
    scene.write(".openclaw-work/skills/later/SKILL.md", b"later");
    Store::open(&scene.at(".openclaw-work"))
        .and_then(|mut it| it.ensure_session("agent:main:later", "main", None))
        .expect("made");

    let restored = scene.restore("a.tar.gz", "work", None).expect("restored");
    assert!(restored.is_replacement && restored.leftover.is_none() && !restored.has_fresh_token);
    let agent = "agents/main/agent/auth-profiles.json";
    assert_eq!(restored.kept, ["gateway.auth.token", ".env", agent, "credentials/"]);
    assert_eq!(restored.missing, ["channels.telegram.botToken"]);
    let config = scene.config("work");
    assert_eq!((&config["gateway"]["auth"]["token"], config.get("other")), (&json!("later-token"), None));
    assert_eq!(scene.read(".openclaw-work/credentials/a/b.json"), "later-credential");
    assert_eq!(scene.read(".openclaw-work/.env"), "KEY=hunter-env");
    assert!(!scene.at(".openclaw-work/skills/later").exists());
    assert_eq!(scene.sessions("work"), 1);
    assert_eq!(
        fs::read_link(scene.at(".openclaw-work/workspace-work/latest")).expect("a link").to_str(),
        Some("notes/a.md")
    );
    // The workspace outside is still there, so that the old one has no place but inside.
    assert_eq!(config["agents"]["list"][0]["workspace"], json!("~/.openclaw-work/workspace-restored-0"));
    assert_eq!(scene.read(".openclaw-work/workspace-restored-0/plan.md"), "a plan");
    assert_eq!(scene.read("desk/plan.md"), "a plan");
    assert!(!scene.at(".openclaw-work/gateway.lock").exists());
}

#[test]
fn a_gateway_that_writes_is_copied_and_never_replaced() {
    let scene = Scene::new();
    scene.take("a.tar.gz", None).expect("taken");
    let instance = scene.instance("work");
    let mut claims = Claims::new(&instance.host.claims(), "work", &instance.state_dir);
    claims.take_folder().expect("free");
    let mut store = Store::open(&instance.state_dir).expect("a store");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for it in 0..300 {
                store.ensure_session(&format!("s{it}"), "main", None).expect("made");
            }
        });
        scene.take("b.tar.gz", None).expect("taken beside it");
        writer.join().expect("wrote");
    });
    let before = scene.tree("");
    let refused = scene.restore("b.tar.gz", "work", None).expect_err("it runs");
    let SnapshotError::Running { holder: Some(holder), .. } = &refused else { panic!("{refused}") };
    assert_eq!((holder.instance.as_str(), holder.pid), ("work", std::process::id()));
    assert!(refused.to_string().contains("held by instance work (pid "), "{refused}");
    assert_eq!(scene.tree(""), before);

    scene.restore("b.tar.gz", "copy", None).expect("another name is free");
    let copied = Store::open(&scene.at(".openclaw-copy")).expect("a sound database");
    assert!((1..=301).contains(&copied.count_sessions().expect("counted")));
}

#[test]
fn a_config_that_does_not_parse_is_one_secret() {
    let scene = Scene::new();
    scene.write(".openclaw-work/openclaw.json", b"{ gateway: { auth: { token: 'hunter' } ");
    let taken = scene.take("open.tar.gz", None).expect("taken");
    assert!(taken.about.secrets.is_config_whole && taken.about.secrets.config.is_empty());
    let bytes = inflated(&scene.at("open.tar.gz"));
    assert!(!bytes.windows(TELLTALE.len()).any(|it| it == TELLTALE.as_bytes()));
    scene.take("sealed.tar.gz", Some("right")).expect("taken");

    let restored = scene.restore("sealed.tar.gz", "one", Some("right")).expect("restored");
    assert!(restored.unadapted.is_some_and(|it| it.contains("does not parse")));
    assert!(scene.read(".openclaw-one/openclaw.json").contains("hunter"));
    let restored = scene.restore("open.tar.gz", "two", None).expect("restored");
    assert_eq!(restored.missing[0], "openclaw.json");
    assert_eq!(scene.config("two"), json!({"gateway": {"auth": {"token": "fresh"}}}));
    let restored = scene.restore("open.tar.gz", "work", None).expect("restored");
    assert_eq!(restored.kept[0], "openclaw.json");
    assert!(scene.read(".openclaw-work/openclaw.json").contains("hunter"));
}

#[test]
fn a_snapshot_goes_where_nothing_is_and_not_into_what_it_holds() {
    let scene = Scene::new();
    file::replace(&scene.at("taken"), b"mine").expect("written");
    let before = scene.tree("");
    assert!(matches!(scene.take("taken", None), Err(SnapshotError::Exists(_))));
    for inside in [".openclaw-work/a", ".openclaw-work/skills/a", "desk/a"] {
        assert!(matches!(scene.take(inside, None), Err(SnapshotError::Inside { .. })), "{inside}");
    }
    assert!(matches!(scene.take("missing/a", None), Err(SnapshotError::File(_))));
    assert_eq!(scene.tree(""), before);
    fs::remove_dir_all(scene.at(".openclaw-work")).expect("removed");
    assert!(matches!(scene.take("a", None), Err(SnapshotError::NoInstance { .. })));
}
