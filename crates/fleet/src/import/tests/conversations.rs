//! Conversations in every shape that the original leaves them in.

use std::fs;

use base::file;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use store::{NewRun, RunEnd, RunStatus};

use super::{Home, MAIN, SECRET, answer, user, why};
use crate::import::Kind;
use crate::import::transcript::LONGEST_LINE;

#[test]
fn a_conversation_that_went_on_here_is_left_as_it_is() {
    let home = Home::new();
    home.run();
    let mut store = home.store();
    let message = json!({"role": "user", "content": [{"type": "text", "text": "on"}]});
    let run = NewRun {
        run_id: "r".into(),
        session_key: MAIN.into(),
        message,
        accepted_at: 100,
        expected: Default::default(),
    };
    store.accept_run(&run, "main").expect("accepted");
    store.start_run("r", 101).expect("started");
    let status = RunStatus::Ok;
    let end = RunEnd { status, error: None, input_tokens: 0, output_tokens: 0, at: 102, records: Vec::new() };
    store.end_run("r", &end).expect("ended");
    drop(store);
    home.transcript(
        "s1",
        &[&user("1", None, "hello"), &answer("2", "1", "hi there"), &user("3", Some("2"), "more")],
    );
    let done = home.run();
    assert_eq!((done.sessions.continued, done.sessions.messages), (vec![MAIN.to_owned()], 0));
    assert_eq!(home.lines(MAIN), ["user hello", "assistant hi there", "user on"]);
}

#[test]
fn torn_lines_unknown_kinds_and_missing_files_are_told_and_cost_nothing_else() {
    let home = Home::new();
    home.list(&json!({
        "main": {"sessionId": "s1", "updatedAt": 9},
        "agent:main:lost": {"sessionId": "gone", "updatedAt": 8, "sessionFile": "/elsewhere/gone.jsonl"},
        "agent:main:bad": {"updatedAt": 7},
        "agent:main:evil": {"sessionId": "../../../openclaw", "updatedAt": 7},
        "agent:main:cron:a": {"sessionId": "s2", "updatedAt": 6.5},
        "agent:main:cron:a:run:s2": {"sessionId": "s2", "updatedAt": 6},
    }));
    let strange = r#"{"type":"of_tomorrow","id":"x","parentId":"1","timestamp":"2026-11-22T22:07:08.838Z"}"#;
    let torn = r#"{"type":"message","id":"9","parentId":"3","mess"#;
    let lines = [&user("1", None, "hello"), "no json", strange, &user("3", Some("lost"), "on"), torn];
    home.transcript("s1", &lines);
    home.put("agents/main/sessions/old.jsonl", "");
    let found = home.look();
    assert_eq!(why(&found, Kind::Sessions, "3 conversations with 2 messages"), None);
    let bad = why(&found, Kind::Sessions, "2 bad lines").expect("told");
    let file = home.path("agents/main/sessions/s1.jsonl");
    assert!(bad.ends_with(&format!("{0}:3, {0}:6", file.display())), "{bad}");
    for (what, because) in [
        ("1 transcript entry", "kind `of_tomorrow` has no meaning here"),
        ("2 transcripts", "the file is missing"),
        ("2 conversation entries", "it names no session id"),
        ("1 session key", "it names a conversation that comes under another key"),
        ("1 older transcript", "their conversations were started anew since"),
    ] {
        let found = why(&found, Kind::Sessions, what).expect("it stays");
        assert!(found.starts_with(because), "{what}: {found}");
    }
    assert_eq!((home.run().sessions.new, home.lines(MAIN)), (3, vec!["user hello".into(), "user on".into()]));
    assert_eq!(home.lines("agent:main:cron:a"), [""; 0]);
    assert!(home.store().session("agent:main:cron:a").expect("read").is_some());
}

#[test]
fn the_newest_branch_since_the_last_new_beginning_is_the_conversation() {
    let home = Home::new();
    let reset = |kept: Value| {
        json!({"type": "reset", "id": "r", "parentId": "2", "reason": "new", "firstKeptEntryId": kept})
            .to_string()
    };
    let leaf = json!({"type": "leaf", "id": "l", "parentId": "4", "targetId": "2"}).to_string();
    let short =
        json!({"type": "compaction", "id": "c", "parentId": "2", "summary": "tea", "firstKeptEntryId": "2"});
    let (one, two) = (user("1", None, "one"), answer("2", "1", "two"));
    let check = |more: &[&str], expected: &[&str]| {
        let lines: Vec<&str> = [one.as_str(), two.as_str()].into_iter().chain(more.iter().copied()).collect();
        home.transcript("s1", &lines);
        home.run();
        assert_eq!(home.lines(MAIN), expected, "{more:?}");
    };
    check(
        &[&user("3", Some("2"), "left"), &user("4", Some("2"), "taken")],
        &["user one", "assistant two", "user taken"],
    );
    check(&[&user("3", Some("2"), "left"), &leaf], &["user one", "assistant two"]);
    check(&[&reset(Value::Null), &user("3", Some("r"), "anew")], &["user anew"]);
    check(&[&reset(json!("2")), &user("3", Some("r"), "anew")], &["assistant two", "user anew"]);
    let told = "notice The conversation was shortened here. What it was about:\ntea";
    check(&[&short.to_string()], &["user one", "assistant two", told]);
}

#[test]
fn the_newest_versions_databases_come_over_log_and_all() {
    let home = Home::new();
    fs::remove_dir_all(home.path("agents")).expect("removed");
    let long = "a long story ".repeat(200);
    let writer = database(&home, &long);
    let shared = home.path("state/openclaw.sqlite");
    file::private_folder(shared.parent().expect("a folder")).expect("made");
    let other = rusqlite::Connection::open(&shared).expect("opened");
    let profiles = json!({"version": 1, "profiles": {"openai:manual": {"type": "api_key", "provider": "openai", "key": SECRET}}});
    other
        .execute_batch("CREATE TABLE config_machine_state (state_key TEXT PRIMARY KEY, value_json TEXT)")
        .expect("made");
    let insert = "INSERT INTO config_machine_state VALUES ('authProfiles.store', ?1)";
    other.execute(insert, [profiles.to_string()]).expect("written");
    drop(other);
    assert!(home.path("agents/main/agent/openclaw-agent.sqlite-wal").exists(), "it has a log");
    let scratch = home.instance.host.claims().with_file_name("scratch");
    // No process has so high a number.
    file::private_folder(&scratch.join("import-2147483646-ab")).expect("made, as a killed process leaves it");
    let before = home.tree();
    let done = home.run();
    assert_eq!(home.tree(), before);
    assert_eq!((done.sessions.new, done.keys), (1, vec!["OPENAI_API_KEY".to_owned()]));
    let expected = ["user hello".to_owned(), format!("assistant {long}")];
    assert_eq!(home.lines(MAIN), expected);
    assert_eq!(home.run().sessions.same, 1);
    drop(writer);
    assert_eq!(home.run().sessions.same, 1, "the same without a log");
    assert!(!scratch.exists(), "no copy is left");
}

/// An agent's database in the newest shape, its writer still there, so that it all is in the log.
fn database(home: &Home, long: &str) -> rusqlite::Connection {
    let path = home.path("agents/main/agent/openclaw-agent.sqlite");
    file::private_folder(path.parent().expect("a folder")).expect("made");
    let writer = rusqlite::Connection::open(&path).expect("opened");
    let schema = "
        PRAGMA journal_mode = WAL;
        CREATE TABLE session_nodes (session_key TEXT PRIMARY KEY, current_session_id TEXT, entry_json TEXT);
        CREATE TABLE session_windows (session_id TEXT PRIMARY KEY, session_key TEXT);
        CREATE TABLE transcript_events (session_id TEXT, seq INTEGER, event_json TEXT, event_zstd BLOB,
            PRIMARY KEY (session_id, seq));
        CREATE TABLE auth_profile_store (store_key TEXT PRIMARY KEY, store_json TEXT);
        INSERT INTO session_windows VALUES ('s1', 'agent:main:main')";
    writer.execute_batch(schema).expect("made");
    let entry = json!({"sessionId": "s1", "updatedAt": 90, "createdAt": 10}).to_string();
    writer.execute("INSERT INTO session_nodes VALUES (?1, 's1', ?2)", [MAIN, &entry]).expect("written");
    let packed = compress_to_vec(answer("2", "1", long).as_bytes(), CompressionLevel::Fastest);
    let event = "INSERT INTO transcript_events VALUES ('s1', ?1, ?2, ?3)";
    let none = Option::<Vec<u8>>::None;
    writer.execute(event, rusqlite::params![1, user("1", None, "hello"), none]).expect("written");
    writer.execute(event, rusqlite::params![2, Option::<String>::None, packed]).expect("written");
    writer
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let home = Home::new();
    let long = user("2", Some("1"), &"x".repeat(LONGEST_LINE));
    home.transcript("s1", &[&user("1", None, "hello"), &long, &user("3", Some("2"), "on")]);
    assert!(why(&home.look(), Kind::Sessions, "1 bad line").is_some_and(|it| it.ends_with("s1.jsonl:3")));
    assert_eq!((home.run().sessions.new, home.lines(MAIN)), (1, vec!["user hello".into(), "user on".into()]));
}
