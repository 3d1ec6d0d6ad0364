//! `fleet import openclaw`: what the original left, taken over beside it, so that both could go on.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that the original would write")]

use std::fs;
use std::process::{Child, Command, Stdio};

use base::file;
use serde_json::{Value, json};
use testkit::gateway::token;
use testkit::{Output, tree};

use crate::fleet_world::World;
use crate::scene::{KEY, TOKEN, said, write};
use crate::support::check_advised;

/// What nobody may be shown.
const SECRETS: [&str; 5] = [TOKEN, KEY, "grant-of-a-person", "refresh-of-a-person", "123456:bot-token"];
/// The conversation that the original had.
const SAID: [&str; 4] = ["user: hello", "assistant: hi there", "user: and now?", "assistant: nothing new"];

/// A world in which the original ran as its default instance, on the port number 0.
fn world() -> World {
    let world = World::of_vendor();
    let config = format!(
        "{{\n  // mine\n  gateway: {{ mode: 'local', port: {}, auth: {{ mode: 'token', token: '{TOKEN}' }} }},\n  \
         channels: {{ telegram: {{ enabled: true, botToken: '{}' }} }},\n  cron: {{ enabled: true }},\n  agents: \
         {{ defaults: {{ model: 'openai/scripted-1' }} }},\n}}\n",
        world.port(0),
        SECRETS[4],
    );
    put(&world, "openclaw.json", &config);
    put(&world, "workspace/AGENTS.md", "be kind");
    put(&world, "skills/tea/SKILL.md", "brew");
    put(&world, "credentials/whatsapp/default/creds.json", "{}");
    put(&world, "cron/jobs.json", r#"{"version":1,"jobs":[{"id":"a"}]}"#);
    let profiles = json!({
        "openai:default": {"type": "api_key", "provider": "openai", "key": KEY},
        "anthropic:me": {"type": "oauth", "provider": "anthropic", "access": SECRETS[2], "refresh": SECRETS[3]},
    });
    let profiles = json!({"version": 1, "profiles": profiles});
    put(&world, "agents/main/agent/auth-profiles.json", &profiles.to_string());
    let sessions = json!({"agent:main:main": {"sessionId": "s1", "updatedAt": 90, "label": "Mine"}});
    put(&world, "agents/main/sessions/sessions.json", &sessions.to_string());
    transcript(&world, &SAID);
    fs::set_permissions(world.state("default"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("ours");
    world
}

fn put(world: &World, name: &str, content: &str) {
    let path = world.state("default").join(name);
    file::private_folder(path.parent().expect("it has one")).expect("the home is writable");
    write(&path, content);
}

/// Writes the original's transcript of a conversation, in the lines of [`crate::scene::line`].
fn transcript(world: &World, lines: &[&str]) {
    let at = "2026-11-22T22:07:08.838Z";
    let mut entries = vec![json!({"type": "session", "version": 3, "id": "s1", "timestamp": at})];
    for (nth, line) in lines.iter().enumerate() {
        let (role, words) = line.split_once(": ").expect("a role and words");
        let content = json!([{"type": "text", "text": words}]);
        let mut message = json!({"role": role, "content": content, "timestamp": 1000 + nth});
        if role == "assistant" {
            message["stopReason"] = "stop".into();
            (message["provider"], message["model"]) = ("openai".into(), "scripted-1".into());
        }
        let parent = (nth > 0).then(|| (nth - 1).to_string());
        entries.push(json!({
            "type": "message", "id": nth.to_string(), "parentId": parent, "timestamp": at, "message": message,
        }));
    }
    let entries: String = entries.iter().map(|it| format!("{it}\n")).collect();
    put(world, "agents/main/sessions/s1.jsonl", &entries);
}

/// Runs `fleet import openclaw` and looks for secrets in what it says.
#[track_caller]
fn import(world: &World, words: &[&str]) -> Output {
    let output = world.fleet(&[&["import", "openclaw"], words].concat());
    for secret in SECRETS {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{secret}: {output}");
    }
    output
}

/// The verdict on the row of this kind whose text contains `what`.
#[track_caller]
fn verdict(findings: &Value, kind: &str, what: &str) -> String {
    let rows = findings["rows"].as_array().expect("rows");
    let is_it = |it: &&Value| it["kind"] == kind && it["what"].as_str().is_some_and(|it| it.contains(what));
    let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} with {what} in {findings:#}"));
    match row["why"].as_str() {
        Some(why) => format!("{}: {why}", row["verdict"].as_str().unwrap_or_default()),
        None => row["verdict"].as_str().unwrap_or_default().to_owned(),
    }
}

#[test]
fn a_dry_run_tells_what_comes_and_what_stays_and_changes_nothing() {
    let world = world();
    let before = tree::hash(world.sandbox.path());
    let said = import(&world, &["--dry-run", "--json"]).success().json();
    assert_eq!(tree::hash(world.sandbox.path()), before);
    let findings = &said["findings"];
    for (kind, what) in [
        ("sessions", "1 conversation with 4 messages"),
        ("keys", "OPENAI_API_KEY"),
        ("workspace", "1 file"),
        ("config", "openclaw.json"),
    ] {
        assert_eq!(verdict(findings, kind, what), "comes", "{what}");
    }
    for (kind, what, why) in [
        ("grant", "anthropic:me", "a grant belongs to one program"),
        ("channel", "telegram", "no messaging channel"),
        ("channel", "whatsapp", "no messaging channel"),
        ("cron", "1 job", "not run here yet"),
        ("skills", "1 skill", "without effect here yet"),
    ] {
        let found = verdict(findings, kind, what);
        assert!(found.starts_with("stays: ") && found.contains(why), "{what}: {found}");
    }
    let table = import(&world, &["--dry-run"]).success().stdout;
    assert!(table.contains("comes") && table.contains("a grant belongs to one program"), "{table}");
    assert_eq!(tree::hash(world.sandbox.path()), before);
}

#[test]
fn in_place_the_conversation_goes_on_with_the_key_that_was_there() {
    let world = world();
    let theirs = tree::hash(&world.state("default"));
    let done = import(&world, &["--json"]).success().json();
    assert_eq!((&done["sessions"]["new"], &done["sessions"]["messages"]), (&1.into(), &4.into()), "{done}");
    assert_eq!(done["keys"], json!(["OPENAI_API_KEY"]), "{done}");
    let now = tree::hash(&world.state("default"));
    for (path, about) in &theirs {
        assert_eq!(now.get(path), Some(about), "{} was changed", path.display());
    }
    world.start("default");
    let mut person = world.person("default");
    assert_eq!(person.history("main"), SAID);
    // The model answers whoever has the key.
    let end = person.ask("main", "are you there?");
    assert_eq!(said(&end), "final: echo: are you there?", "{end}");
    drop(person);
    world.stop("default");

    let again = import(&world, &["--json"]).success().json();
    assert_eq!(
        (&again["sessions"]["new"], &again["sessions"]["messages"]),
        (&0.into(), &0.into()),
        "{again}"
    );
    assert_eq!(again["keys"], json!([]), "{again}");
    let all = [&SAID[..], &["user: are you there?", "assistant: echo: are you there?"]].concat();
    assert_eq!(world.history("default"), all);
}

#[test]
fn what_the_original_adds_comes_with_the_next_import() {
    let world = world();
    let _ = import(&world, &[]).success();
    let more = [&SAID[..], &["user: more"]].concat();
    transcript(&world, &more);
    let done = import(&world, &["--json"]).success().json();
    assert_eq!(
        (&done["sessions"]["updated"], &done["sessions"]["messages"]),
        (&1.into(), &1.into()),
        "{done}"
    );
    assert_eq!(world.history("default"), more);
}

#[test]
fn another_instance_gets_a_copy_with_a_port_and_a_token_of_its_own() {
    let world = world();
    let before = tree::hash(&world.state("default"));
    let port = world.port(1);
    let words = ["--as", "work", "--port", &port.to_string(), "--json"].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _ = import(&world, &[&words[..], &["--dry-run"]].concat()).success();
    assert!(!world.state("work").exists());
    let done = import(&world, &words).success().json();
    assert_eq!(done["sessions"]["new"], 1, "{done}");
    assert_eq!(tree::hash(&world.state("default")), before);
    assert_ne!(token(&world.state("work")), TOKEN);
    let row = world.row("work");
    assert_eq!((&row["port"], &row["recorded"]), (&port.into(), &true.into()), "{row}");
    let config = fs::read_to_string(world.state("work").join("openclaw.json")).expect("a config");
    assert!(config.contains("// mine") && !config.contains("botToken"), "{config}");
    let rules = world.state("work").join("workspace-work/AGENTS.md");
    assert_eq!(fs::read_to_string(rules).expect("a workspace"), "be kind");
    assert_eq!(world.history("work"), SAID);

    check_advised(import(&world, &["--as", "../x"]), 64, &["`../x` is no name"]);
    check_advised(import(&world, &["--as", "default"]), 64, &["is the folder that it comes from"]);
    let taken = world.port(1).to_string();
    check_advised(import(&world, &["--as", "next", "--port", &taken]), 69, &["overlaps instance work"]);
}

/// A process that looks like the original's gateway: killed with the value.
struct Original(Child);

impl Original {
    fn run(world: &World) -> Original {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).current_dir(world.sandbox.path());
        Original(command.spawn().expect("sleep is there"))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_imported_while_the_original_runs_or_our_gateway_does() {
    let world = world();
    let original = Original::run(&world);
    let stat = fs::read_to_string(format!("/proc/{}/stat", original.0.id())).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    let began: u64 = fields.split_whitespace().nth(19).expect("a time").parse().expect("a number");
    let uid = rustix::process::getuid().as_raw();
    let lock = json!({"pid": original.0.id(), "startTime": began, "stateDir": world.state("default")});
    put(&world, &format!("tmp/openclaw-{uid}/gateway.0123abcd.lock"), &lock.to_string());
    let before = tree::hash(&world.sandbox.home());
    let pid = format!("pid {}", original.0.id());
    check_advised(import(&world, &[]), 69, &["the original runs", &pid]);
    check_advised(import(&world, &["--as", "work"]), 69, &["the original runs", &pid]);
    let told = import(&world, &["--dry-run"]).success().stdout;
    assert!(told.contains(&pid), "{told}");
    assert_eq!(tree::hash(&world.sandbox.home()), before);
    drop(original);
    let _ = import(&world, &[]).success();

    let pid = world.start("default");
    check_advised(import(&world, &[]), 69, &["instance default", &format!("pid {pid}")]);
    world.stop("default");
    let _ = import(&world, &[]).success();
}

#[test]
fn without_a_folder_there_is_nothing_to_import() {
    let world = World::new();
    check_advised(import(&world, &["--dry-run"]), 64, &["there is no state folder"]);
    check_advised(import(&world, &["--as", "work"]), 64, &["there is no state folder"]);
    assert!(tree::hash(&world.sandbox.home()).is_empty());
}
