//! Conversations from elsewhere, each time they are brought.

use serde_json::json;

use super::*;
use crate::{NewRun, RunEnd, RunStatus};

fn session(key: &str, session_id: &str) -> NewSession {
    NewSession {
        key: key.into(),
        agent_id: "main".into(),
        session_id: session_id.into(),
        label: Some("mine".into()),
        model: None,
        created_at: 10,
        updated_at: 90,
        input_tokens: 11,
        output_tokens: 7,
        aborted_last_run: false,
    }
}

fn import(store: &mut Store, session: &NewSession, ids: &[&str]) -> Result<ImportOutcome, StoreError> {
    let record = |id: &&str| {
        let message = json!({"role": "user", "content": format!("text {id}")});
        Ok(NewRecord { id: (*id).to_owned(), record: Record { role: "user".into(), message, at: 50 } })
    };
    store.import_session(session, &mut ids.iter().map(record))
}

fn ids(store: &Store, key: &str) -> Vec<String> {
    store.history(key, 100).expect("read").into_iter().map(|it| format!("{} {}", it.seq, it.id)).collect()
}

fn talk(store: &mut Store, run_id: &str, key: &str) {
    let message = json!({"role": "user", "content": "on"});
    let run = NewRun {
        run_id: run_id.into(),
        session_key: key.into(),
        message,
        accepted_at: 100,
        expected: crate::Expected::default(),
    };
    store.accept_run(&run, "main").expect("accepted");
    store.start_run(run_id, 101).expect("started");
    let end = RunEnd {
        status: RunStatus::Ok,
        error: None,
        input_tokens: 1,
        output_tokens: 1,
        at: 102,
        records: Vec::new(),
    };
    store.end_run(run_id, &end).expect("ended");
}

#[test]
fn each_time_brings_only_what_is_missing() {
    let mut store = Store::open_in_memory().expect("a store");
    let it = session("agent:main:main", "s1");
    let mut check = |given: &[&str], outcome: ImportOutcome, expected: &[&str]| {
        assert_eq!(import(&mut store, &it, given).expect("imported"), outcome, "{given:?}");
        assert_eq!(ids(&store, &it.key), expected, "{given:?}");
    };
    check(&["a", "b"], ImportOutcome::New { records: 2 }, &["1 a", "2 b"]);
    check(&["a", "b"], ImportOutcome::Same, &["1 a", "2 b"]);
    check(&["a", "b", "c"], ImportOutcome::Grown { records: 1 }, &["1 a", "2 b", "3 c"]);
    check(&["a", "x"], ImportOutcome::Replaced { records: 1 }, &["1 a", "2 x"]);
    check(&["a"], ImportOutcome::Replaced { records: 0 }, &["1 a"]);
    check(&["z"], ImportOutcome::Replaced { records: 1 }, &["1 z"]);
    let found = store.session(&it.key).expect("read").expect("there");
    assert_eq!((found.message_count, found.updated_at, found.input_tokens), (1, 90, 11));
    assert_eq!((found.label.as_deref(), found.last_message.as_deref()), (Some("mine"), Some("text z")));
}

#[test]
fn what_went_on_here_stays() {
    let mut store = Store::open_in_memory().expect("a store");
    let (a, b) = (session("agent:main:a", "s1"), session("agent:main:b", "s2"));
    import(&mut store, &a, &["a"]).expect("imported");
    talk(&mut store, "r1", &a.key);
    assert_eq!(import(&mut store, &a, &["a", "b"]).expect("looked"), ImportOutcome::Continued);
    assert_eq!(store.history_total(&a.key).expect("read"), 2);

    import(&mut store, &b, &["a"]).expect("imported");
    store.reset_session(&b.key).expect("reset");
    assert_eq!(import(&mut store, &b, &["a", "b"]).expect("looked"), ImportOutcome::Continued);
    assert_eq!(store.history_total(&b.key).expect("read"), 0);
}

#[test]
fn a_conversation_that_was_started_anew_there_takes_the_place_of_the_old_one() {
    let mut store = Store::open_in_memory().expect("a store");
    store.ensure_session("agent:main:main", "main", None).expect("made");
    let mut it = session("agent:main:main", "s1");
    assert_eq!(import(&mut store, &it, &["a"]).expect("imported"), ImportOutcome::New { records: 1 });
    it.session_id = "s2".into();
    assert_eq!(import(&mut store, &it, &["b"]).expect("imported"), ImportOutcome::Replaced { records: 1 });
    assert_eq!(ids(&store, &it.key), ["1 b"]);
    let twin = session("agent:main:twin", "s2");
    let refused = import(&mut store, &twin, &["b"]);
    assert!(matches!(refused, Err(StoreError::SessionIdTaken { .. })), "{refused:?}");
}

#[test]
fn a_source_that_breaks_leaves_nothing_behind() {
    let mut store = Store::open_in_memory().expect("a store");
    let it = session("agent:main:main", "s1");
    let good = NewRecord {
        id: "a".into(),
        record: Record { role: "user".into(), message: json!({"content": "x"}), at: 1 },
    };
    let mut records = [Ok(good), Err(io::Error::other("torn away"))].into_iter();
    let refused = store.import_session(&it, &mut records).expect_err("broken");
    assert!(matches!(&refused, StoreError::Source { .. }) && !refused.is_fault(), "{refused}");
    assert_eq!(store.session(&it.key).expect("read"), None);
}
