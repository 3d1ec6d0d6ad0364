//! The store through its own doors, as the gateway uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::migrate::{APPLICATION_ID, VERSION};
use crate::{Accepted, Expected, FILE, NewRun, Record, RunEnd, RunStatus, SessionQuery, Store, StoreError};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(folder: &Path) -> Store {
    Store::open(folder).expect("a store")
}

fn said(text: &str, at: u64) -> Record {
    let message = json!({"role": "assistant", "content": [{"type": "text", "text": text}]});
    Record { role: "assistant".into(), message, at }
}

fn asked(run_id: &str, key: &str, text: &str) -> NewRun {
    let message = json!({"role": "user", "content": text});
    NewRun {
        run_id: run_id.into(),
        session_key: key.into(),
        message,
        accepted_at: 1000,
        expected: Expected::default(),
    }
}

fn ended(status: RunStatus, records: Vec<Record>) -> RunEnd {
    RunEnd { status, error: None, input_tokens: 7, output_tokens: 3, at: 3000, records }
}

/// `seq role text` of a session's records.
fn lines(store: &Store, key: &str) -> Vec<String> {
    let text = |it: &Value| match &it["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    };
    let history = store.history(key, 100).expect("a history");
    history.iter().map(|it| format!("{} {} {}", it.seq, it.role, text(&it.message))).collect()
}

#[test]
fn a_turn_survives_reopening_at_every_step() {
    let folder = folder();
    let run = asked("r1", "main", "hello");
    assert_eq!(open(folder.path()).accept_run(&run, "a").expect("accepted"), Accepted::New);
    assert_eq!(lines(&open(folder.path()), "main"), [""; 0]);

    let history = open(folder.path()).start_run("r1", 2000).expect("started");
    assert_eq!((history.len(), history[0].seq, history[0].at), (1, 1, 2000));
    assert_eq!((history[0].role.as_str(), history[0].run_id.as_deref()), ("user", Some("r1")));
    assert_eq!(history[0].message, run.message);

    let end = ended(RunStatus::Ok, vec![said("hi", 2500), said("there", 3000)]);
    open(folder.path()).end_run("r1", &end).expect("ended");
    let mut store = open(folder.path());
    assert_eq!(lines(&store, "main"), ["1 user hello", "2 assistant hi", "3 assistant there"]);
    // A second end changes nothing.
    store.end_run("r1", &ended(RunStatus::Error, vec![said("again", 9)])).expect("no harm");
    assert_eq!(lines(&store, "main").len(), 3);

    let session = store.session("main").expect("read").expect("there");
    assert_eq!((session.input_tokens, session.output_tokens, session.message_count), (7, 3, 3));
    assert_eq!((session.created_at, session.updated_at, session.aborted_last_run), (1000, 3000, false));
    assert_eq!((session.last_message.as_deref(), session.agent_id.as_str()), (Some("there"), "a"));
    assert_eq!(store.session_by_id(&session.session_id).expect("read"), Some(session));
    let run = store.run("r1").expect("read").expect("there");
    assert_eq!(
        (run.status, run.accepted_at, run.started_at, run.ended_at),
        (RunStatus::Ok, 1000, Some(2000), Some(3000))
    );
    assert_eq!(store.history_total("main").expect("read"), 3);
    assert!(store.interrupt_unfinished(|_| said("", 0)).expect("nothing to do").is_empty());
}

#[test]
fn the_same_run_twice_is_one_run() {
    let mut store = Store::open_in_memory().expect("a store");
    assert_eq!(store.accept_run(&asked("r1", "main", "hello"), "a").expect("accepted"), Accepted::New);
    let Accepted::Known(known) = store.accept_run(&asked("r1", "other", "twice"), "b").expect("accepted")
    else {
        panic!("it is known");
    };
    assert_eq!((known.status, known.session_key.as_str()), (RunStatus::Queued, "main"));
    assert_eq!(store.count_sessions().expect("count"), 1);
    assert_eq!(store.start_run("r1", 1).expect("started").len(), 1);
    assert!(matches!(
        store.start_run("r1", 1),
        Err(StoreError::NotQueued { status: RunStatus::Running, .. })
    ));
    assert!(matches!(store.start_run("r2", 1), Err(StoreError::NoSuchRun { .. })));
    assert!(matches!(
        store.end_run("r2", &ended(RunStatus::Ok, Vec::new())),
        Err(StoreError::NoSuchRun { .. })
    ));
    assert!(matches!(
        store.end_run("r1", &ended(RunStatus::Queued, Vec::new())),
        Err(StoreError::NotAnEnd { .. })
    ));
}

#[test]
fn what_a_dead_gateway_left_is_interrupted_and_nothing_is_lost() {
    let folder = folder();
    let mut store = open(folder.path());
    for (run, text) in [("done", "one"), ("running", "two"), ("queued", "three")] {
        store.accept_run(&asked(run, "main", text), "a").expect("accepted");
    }
    store.start_run("done", 1100).expect("started");
    store.end_run("done", &ended(RunStatus::Ok, vec![said("fine", 1200)])).expect("ended");
    store.start_run("running", 1300).expect("started");
    drop(store);

    let mut store = open(folder.path());
    let runs = store
        .interrupt_unfinished(|run| Record {
            role: "notice".into(),
            message: json!({"content": format!("was {}", run.status)}),
            at: 5000,
        })
        .expect("cleaned up");
    let found: Vec<_> = runs.iter().map(|it| (it.run_id.as_str(), it.status, it.started_at)).collect();
    let expected =
        [("running", RunStatus::Interrupted, Some(1300)), ("queued", RunStatus::Interrupted, None)];
    assert_eq!(found, expected);
    let expected = [
        "1 user one",
        "2 assistant fine",
        "3 user two",
        "4 notice was running",
        "5 user three",
        "6 notice was queued",
    ];
    assert_eq!(lines(&store, "main"), expected);
    assert_eq!(store.run("queued").expect("read"), Some(runs[1].clone()));
    assert!(store.interrupt_unfinished(|_| said("", 0)).expect("nothing left").is_empty());
}

#[test]
fn a_run_aborted_before_it_started_keeps_its_message() {
    let mut store = Store::open_in_memory().expect("a store");
    store.accept_run(&asked("r1", "main", "hello"), "a").expect("accepted");
    store.end_run("r1", &ended(RunStatus::Aborted, Vec::new())).expect("ended");
    assert_eq!(lines(&store, "main"), ["1 user hello"]);
    assert!(store.session("main").expect("read").expect("there").aborted_last_run);
}

#[test]
fn a_reset_begins_anew_and_keeps_the_old_transcript() {
    let folder = folder();
    let mut store = open(folder.path());
    store.accept_run(&asked("r1", "main", "old"), "a").expect("accepted");
    store.start_run("r1", 1100).expect("started");
    store.set_session_model("main", Some("openai/x")).expect("chosen");
    let before = store.session("main").expect("read").expect("there");
    let after = store.reset_session("main").expect("reset");
    assert_ne!(after.session_id, before.session_id);
    assert_eq!((after.message_count, after.input_tokens, after.last_message.clone()), (0, 0, None));
    assert_eq!(after.model.as_deref(), Some("openai/x"));
    // The run that was under way ends where it began.
    store.end_run("r1", &ended(RunStatus::Ok, vec![said("late", 1200)])).expect("ended");
    assert_eq!(lines(&store, "main"), [""; 0]);
    assert_eq!(store.session("main").expect("read"), Some(after));
    assert_eq!(store.session_by_id(&before.session_id).expect("read"), None);
    drop(store);

    let old = Connection::open(folder.path().join(FILE)).expect("the file");
    let sql =
        "SELECT count(*) FROM records JOIN transcripts t ON t.number = transcript WHERE session_id = ?1";
    let n: i64 = old.query_row(sql, [before.session_id], |row| row.get(0)).expect("counted");
    assert_eq!(n, 2);
}

#[test]
fn sessions_are_made_once_and_their_ids_are_their_own() {
    let mut store = Store::open_in_memory().expect("a store");
    let made = store.ensure_session("main", "a", Some("id-1")).expect("made");
    assert_eq!((made.session_id.as_str(), made.agent_id.as_str()), ("id-1", "a"));
    assert_eq!(store.ensure_session("main", "b", Some("id-2")).expect("found"), made);
    assert!(matches!(
        store.ensure_session("other", "a", Some("id-1")),
        Err(StoreError::SessionIdTaken { .. })
    ));
    let random = store.ensure_session("other", "a", None).expect("made");
    assert!(uuid::Uuid::parse_str(&random.session_id).is_ok(), "{random:?}");
    store.set_session_model("main", Some("x/y")).expect("chosen");
    store.set_session_model("main", None).expect("forgotten");
    assert_eq!(store.session("main").expect("read").expect("there").model, None);
    assert!(matches!(store.set_session_model("no", None), Err(StoreError::NoSuchSession { .. })));
    assert!(matches!(store.reset_session("no"), Err(StoreError::NoSuchSession { .. })));
    assert!(matches!(store.append("no", None, &[said("x", 1)]), Err(StoreError::NoSuchSession { .. })));
    assert_eq!(store.session("no").expect("read"), None);
    assert_eq!(store.history("no", 9).expect("read"), []);
    assert_eq!(store.history_total("no").expect("read"), 0);
}

#[test]
fn lists_find_and_page() {
    let mut store = Store::open_in_memory().expect("a store");
    // Far in the future, so that the time of their making is not the last thing that happened.
    let base = base::clock::now_ms() + 1_000_000;
    for (at, (key, agent, text)) in
        [("tg:1", "a", "100% sure"), ("tg:2", "b", "Hello World"), ("web_1", "a", "bye")].iter().enumerate()
    {
        store.ensure_session(key, agent, None).expect("made");
        store.append(key, None, &[said(text, base + at as u64)]).expect("appended");
    }
    let check = |query: SessionQuery, keys: &[&str], total: u64| {
        let page = store.sessions(&query).expect("a page");
        let found: Vec<_> = page.sessions.iter().map(|it| it.key.as_str()).collect();
        assert_eq!((found.as_slice(), page.total), (keys, total), "{query:?}");
    };
    let all = SessionQuery::default;
    let search = |text: &str| SessionQuery { search: Some(text.into()), ..all() };
    check(all(), &["web_1", "tg:2", "tg:1"], 3);
    check(SessionQuery { limit: 1, offset: 1, ..all() }, &["tg:2"], 3);
    check(SessionQuery { limit: 0, ..all() }, &[], 3);
    check(SessionQuery { agent_id: Some("a".into()), ..all() }, &["web_1", "tg:1"], 2);
    check(SessionQuery { active_since: Some(base + 1), ..all() }, &["web_1", "tg:2"], 2);
    check(SessionQuery { active_since: Some(u64::MAX), ..all() }, &[], 0);
    check(search("tg:"), &["tg:2", "tg:1"], 2);
    check(search("hello w"), &["tg:2"], 1);
    check(search("0%"), &["tg:1"], 1);
    check(search("_1"), &["web_1"], 1);
    check(search("\\"), &[], 0);
    check(search(""), &["web_1", "tg:2", "tg:1"], 3);
    assert_eq!(store.count_sessions().expect("count"), 3);
}

#[test]
fn history_is_the_newest_in_order_and_previews_are_short() {
    let mut store = Store::open_in_memory().expect("a store");
    store.ensure_session("main", "a", None).expect("made");
    let records: Vec<_> = (1..=450).map(|it| said(&it.to_string(), it)).collect();
    store.append("main", Some("r"), &records).expect("appended");
    let seqs: Vec<_> = store.history("main", 3).expect("read").iter().map(|it| it.seq).collect();
    assert_eq!(seqs, [448, 449, 450]);
    store.accept_run(&asked("r1", "main", "hello"), "a").expect("accepted");
    let history = store.start_run("r1", 9).expect("started");
    assert_eq!((history.len(), history[0].seq, history[399].seq), (400, 52, 451));

    let preview = |store: &Store| store.session("main").expect("read").expect("there").last_message;
    store.append("main", None, &[said(&"é\n".repeat(400), 10)]).expect("appended");
    let long = preview(&store).expect("there is one");
    assert!(long.len() <= 200 && !long.contains('\n') && long.starts_with("é é"), "{long}");
    // What has no text leaves the last preview.
    let silent = Record { role: "toolResult".into(), message: json!({"content": []}), at: 11 };
    store.append("main", None, &[said("seen", 11), silent]).expect("appended");
    assert_eq!(preview(&store).as_deref(), Some("seen"));
}

#[test]
fn the_files_are_for_the_owner_alone() {
    let folder = folder();
    let path = folder.path().join(FILE);
    base::file::replace(&path, b"").expect("an empty file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("too open");
    let mut store = open(folder.path());
    store.ensure_session("main", "a", None).expect("made");
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("listed")
        .map(|it| {
            let it = it.expect("an entry");
            let mode = it.metadata().expect("its mode").permissions().mode() & 0o777;
            (it.file_name().into_string().expect("text"), mode)
        })
        .collect();
    names.sort();
    let expected = ["", "-shm", "-wal"].map(|it| (format!("{FILE}{it}"), 0o600));
    assert_eq!(names, expected);
}

/// Puts `bytes` where the database belongs: it must be refused in `words`, and stay as it is.
fn refused(bytes: &[u8], words: &str) {
    let folder = folder();
    let path = folder.path().join(FILE);
    base::file::replace(&path, bytes).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("another mode");
    let error = Store::open(folder.path()).expect_err("refused").to_string();
    assert!(error.contains(words) && error.contains(FILE), "{error}");
    assert_eq!(fs::read(&path).expect("read"), bytes);
    assert_eq!(fs::metadata(&path).expect("stat").permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing beside it");
}

/// The bytes of a database of ours after `sql`.
fn file_after(sql: &str) -> Vec<u8> {
    let folder = folder();
    let mut store = open(folder.path());
    let records: Vec<_> = (0..200).map(|it| said(&"x".repeat(500), it)).collect();
    store.ensure_session("main", "a", None).expect("made");
    store.append("main", None, &records).expect("appended");
    drop(store);
    let path = folder.path().join(FILE);
    Connection::open(&path).expect("the file").execute_batch(sql).expect("changed");
    fs::read(path).expect("read")
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    refused(b"hello", "does not begin like an SQLite database");
    refused(&[b'x'; 9000], "does not begin like an SQLite database");
    refused(&file_after("")[..60], "does not begin like an SQLite database");
    refused(&file_after("PRAGMA application_id = 0"), "is no database of this program");
    refused(&file_after("PRAGMA application_id = 252006674"), "0x0f055112");
    refused(&file_after("PRAGMA user_version = 99"), "newer version (schema 99, this version knows up to 2)");
}

#[test]
fn a_newer_version_is_refused_also_when_only_the_log_says_so() {
    let folder = folder();
    drop(open(folder.path()));
    let path = folder.path().join(FILE);
    let other = Connection::open(&path).expect("the file");
    other.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 3;").expect("changed");
    let before = fs::read(&path).expect("read");
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { found: 3, known: VERSION, .. })));
    assert_eq!(fs::read(&path).expect("read"), before);
}

#[test]
fn damage_is_told_as_damage() {
    let whole = file_after("");
    let folder = folder();
    let path = folder.path().join(FILE);
    let torn = &whole[..whole.len() / 2];
    let check = |bytes: &[u8]| {
        base::file::replace(&path, bytes).expect("written");
        let found = Store::open(folder.path()).and_then(|it| it.history("main", 1000).map(|it| it.len()));
        assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{found:?}");
    };
    check(torn);
    check(&[&whole[..100], &[0xa5; 8092]].concat());
    let mut garbled = whole.clone();
    garbled[4096..].fill(0xa5);
    check(&garbled);
    check(&file_after("UPDATE records SET message = '{' WHERE seq = 9"));
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    let mut store = Store::open_in_memory().expect("a store");
    store.accept_run(&asked("r1", "main", "hello"), "a").expect("accepted");
    store.start_run("r1", 1).expect("started");
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("counted");
    let limit = |store: &Store, pages: i64| {
        store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("limited");
    };
    limit(&store, pages + 2);
    let before = store.session("main").expect("read");
    let end = ended(RunStatus::Ok, vec![said("short", 1), said(&"x".repeat(100_000), 2)]);
    let error = store.end_run("r1", &end).expect_err("no room");
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(store.session("main").expect("read"), before);
    assert_eq!(store.run("r1").expect("read").expect("there").status, RunStatus::Running);
    limit(&store, pages + 1000);
    store.end_run("r1", &end).expect("there is room again");
    assert_eq!(lines(&store, "main").len(), 3);
}

#[test]
fn the_settings_that_durability_rests_on_are_in_force() {
    let folder = folder();
    let store = open(folder.path());
    let ask = |name: &str| -> String {
        store
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|it| match it {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            })
            .expect("a value")
    };
    assert_eq!(ask("journal_mode"), "Text(\"wal\")");
    assert_eq!(
        (ask("synchronous"), ask("foreign_keys"), ask("cache_size")),
        ("2".into(), "1".into(), "-512".into())
    );
    assert_eq!(ask("application_id"), APPLICATION_ID.to_string());
    assert_eq!(ask("user_version"), VERSION.to_string());
    // Every commit waits for the log, and unfinished runs are found without reading all of them.
    let plan: String = store
        .connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE status IN ('queued', 'running') ORDER BY number",
            [],
            |row| row.get(3),
        )
        .expect("a plan");
    assert!(plan.contains("runs_unfinished"), "{plan}");
}

#[test]
fn a_folder_that_is_missing_or_a_file_is_told() {
    let folder = folder();
    let missing = folder.path().join("missing");
    assert!(matches!(Store::open(&missing), Err(StoreError::Open { .. })));
    fs::create_dir_all(missing.join(FILE)).expect("a folder in its place");
    assert!(matches!(Store::open(&missing), Err(StoreError::Open { .. })));
}

#[test]
fn a_run_that_joins_another_leaves_its_message_once_and_is_over() {
    let home = folder();
    let mut store = open(home.path());
    for (run, text) in [("a", "first"), ("b", "second")] {
        store.accept_run(&asked(run, "s", text), "main").expect("accepted");
    }
    store.start_run("a", 5).expect("started");
    assert_eq!(store.join_run("b", 6).expect("joined"), 2);
    assert_eq!(store.run("b").expect("read").map(|it| it.status), Some(RunStatus::Ok));
    let twice = store.join_run("b", 7);
    assert!(matches!(twice, Err(StoreError::NotQueued { status: RunStatus::Ok, .. })), "{twice:?}");
    assert!(matches!(store.join_run("a", 7), Err(StoreError::NotQueued { .. })), "it is under way");
    store.end_run("b", &ended(RunStatus::Ok, vec![said("never", 8)])).expect("it has ended already");
    assert_eq!(lines(&store, "s").len(), 2);
}
