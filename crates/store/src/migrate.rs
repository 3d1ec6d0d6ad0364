//! The schema, forward only. Its version is the `user_version` of the file.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Marks the file as ours: "OCgw".
pub(crate) const APPLICATION_ID: u32 = 0x4f43_6777;

/// The schema version that this code reads and writes.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// Step `n` leads from version `n` to version `n + 1`. A step that was released never changes.
const STEPS: &[&str] = &[FIRST, SECOND];

/// A session keeps its key for life, and gets a new transcript with every reset. A run's message leaves `runs`
/// for the transcript when the run starts.
const FIRST: &str = "
CREATE TABLE transcripts (
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    session_key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    key TEXT PRIMARY KEY NOT NULL,
    transcript INTEGER NOT NULL UNIQUE REFERENCES transcripts (number),
    agent_id TEXT NOT NULL,
    label TEXT,
    model TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    message_count INTEGER NOT NULL DEFAULT 0,
    aborted_last_run INTEGER NOT NULL DEFAULT 0,
    last_message TEXT
) STRICT;
CREATE INDEX sessions_by_update ON sessions (updated_at);

CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    transcript INTEGER NOT NULL REFERENCES transcripts (number),
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT,
    role TEXT NOT NULL,
    at INTEGER NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (transcript, seq)
) STRICT;

CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    session_key TEXT NOT NULL REFERENCES sessions (key),
    transcript INTEGER REFERENCES transcripts (number),
    status TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    error TEXT,
    message TEXT
) STRICT;
CREATE INDEX runs_unfinished ON runs (number) WHERE status IN ('queued', 'running');
";

/// What a person says of a session, what each answer cost, and what finds the runs and transcripts of a session.
const SECOND: &str = "
ALTER TABLE sessions ADD COLUMN traits TEXT;
ALTER TABLE sessions ADD COLUMN spawned_by TEXT;
ALTER TABLE sessions ADD COLUMN archived_at INTEGER;
ALTER TABLE sessions ADD COLUMN pinned_at INTEGER;
ALTER TABLE sessions ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_by_label ON sessions (label) WHERE label IS NOT NULL;
CREATE INDEX transcripts_by_session ON transcripts (session_key);
CREATE INDEX runs_by_session ON runs (session_key);

CREATE TABLE usage (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    session_key TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage (at);
INSERT INTO usage (at, session_key, provider, model, input, output)
SELECT r.at, t.session_key, coalesce(r.message ->> '$.provider', ''), coalesce(r.message ->> '$.model', ''),
       cast(coalesce(r.message ->> '$.usage.input', 0) AS INTEGER),
       cast(coalesce(r.message ->> '$.usage.output', 0) AS INTEGER)
FROM records r JOIN transcripts t ON t.number = r.transcript
WHERE r.role = 'assistant' AND r.run_id IS NOT NULL AND json_valid(r.message)
  AND json_type(r.message, '$.usage') = 'object'
ORDER BY r.number;
";

/// Brings the schema to [`VERSION`], all steps in one transaction. True when there was anything to do.
pub(crate) fn to_newest(connection: &mut Connection, version: u32) -> rusqlite::Result<bool> {
    let missing = STEPS.get(version as usize..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(false);
    }
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    // The first commit of a file names its owner, so that no file of ours is ever without a name.
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(true)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes an empty file one of the schema before.
    pub(crate) fn first(connection: &Connection) {
        connection.execute_batch(FIRST).expect("made");
        connection.pragma_update(None, "application_id", APPLICATION_ID).expect("named");
        connection.pragma_update(None, "user_version", 1).expect("numbered");
    }

    /// What the last step does, without its end.
    pub(crate) fn half(connection: &Connection) {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        connection.execute_batch(SECOND).expect("done");
    }
}
