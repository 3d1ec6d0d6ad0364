//! Transcripts: what was said in a session, in order, as it goes over the wire.

use base::text;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use crate::sessions::{execute, signed, unsigned};
use crate::{Store, StoreError, usage};

/// The longest preview of a message, in bytes.
const PREVIEW: usize = 200;

/// A message to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `user`, `assistant`, `toolResult` or `notice`.
    pub role: String,
    /// The whole message as it goes over the wire.
    pub message: Value,
    /// When it was said, in Unix milliseconds.
    pub at: u64,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// Its place in the transcript, from 1 and without gaps.
    pub seq: u64,
    /// A UUID, or what it was called where it came from.
    pub id: String,
    /// The run it belongs to, if any.
    pub run_id: Option<String>,
    /// `user`, `assistant`, `toolResult` or `notice`.
    pub role: String,
    /// The whole message as it goes over the wire.
    pub message: Value,
    /// When it was said, in Unix milliseconds.
    pub at: u64,
}

impl Store {
    /// Appends one record to a session's transcript, and says how it is kept.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], or when the database cannot be written.
    pub fn append_one(&mut self, session_key: &str, record: &Record) -> Result<StoredRecord, StoreError> {
        self.append(session_key, None, std::slice::from_ref(record))?;
        let mut last = self.history(session_key, 1)?;
        last.pop().ok_or_else(|| StoreError::NoSuchSession { key: session_key.to_owned() })
    }

    /// Appends records to a session's transcript, all or none.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], or when the database cannot be written.
    pub fn append(
        &mut self,
        session_key: &str,
        run_id: Option<&str>,
        records: &[Record],
    ) -> Result<(), StoreError> {
        let failed = self.failed("append to a transcript");
        let transaction = self.connection.transaction().map_err(&failed)?;
        let transcript = current(&transaction, session_key)
            .map_err(&failed)?
            .ok_or_else(|| StoreError::NoSuchSession { key: session_key.to_owned() })?;
        append_to(&transaction, transcript, run_id, records).map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// The newest `limit` records of a session, the oldest of them first; none for an unknown session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn history(&self, session_key: &str, limit: usize) -> Result<Vec<StoredRecord>, StoreError> {
        let read = || match current(&self.connection, session_key)? {
            Some(transcript) => newest(&self.connection, transcript, limit),
            None => Ok(Vec::new()),
        };
        read().map_err(self.failed("read a transcript"))
    }

    /// A page of a session's records, the oldest of them first: the newest `limit` of those that come before the
    /// place `before`, or of all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn records_before(
        &self,
        session_key: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = "
            SELECT r.seq, r.id, r.run_id, r.role, r.message, r.at
            FROM records r JOIN sessions s ON s.transcript = r.transcript
            WHERE s.key = ?1 AND r.seq < ?2 ORDER BY r.seq DESC LIMIT ?3";
        let before = before.map_or(i64::MAX, signed);
        let mut records = self.records(sql, params![session_key, before, signed(limit as u64)])?;
        records.reverse();
        Ok(records)
    }

    /// The records of a session after the place `after`, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn records_after(
        &self,
        session_key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = "
            SELECT r.seq, r.id, r.run_id, r.role, r.message, r.at
            FROM records r JOIN sessions s ON s.transcript = r.transcript
            WHERE s.key = ?1 AND r.seq > ?2 ORDER BY r.seq LIMIT ?3";
        self.records(sql, params![session_key, signed(after), signed(limit as u64)])
    }

    /// One record of a session by its id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn record(&self, session_key: &str, id: &str) -> Result<Option<StoredRecord>, StoreError> {
        let sql = "
            SELECT r.seq, r.id, r.run_id, r.role, r.message, r.at
            FROM records r JOIN sessions s ON s.transcript = r.transcript
            WHERE s.key = ?1 AND r.id = ?2 LIMIT 1";
        Ok(self.records(sql, params![session_key, id])?.pop())
    }

    /// The place of the last record of a session; 0 where there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_place(&self, session_key: &str) -> Result<u64, StoreError> {
        let sql = "
            SELECT coalesce(max(r.seq), 0) FROM records r JOIN sessions s ON s.transcript = r.transcript
            WHERE s.key = ?1";
        let last = || self.connection.prepare_cached(sql)?.query_row([session_key], |row| unsigned(row, 0));
        last().map_err(self.failed("read a transcript"))
    }

    fn records(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<StoredRecord>, StoreError> {
        let rows = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, read)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        rows().map_err(self.failed("read a transcript"))
    }

    /// How many records a session has; 0 for an unknown one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn history_total(&self, session_key: &str) -> Result<u64, StoreError> {
        Ok(self.session(session_key)?.map_or(0, |it| it.message_count))
    }
}

/// The number of a session's present transcript.
pub(crate) fn current(connection: &Connection, session_key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT transcript FROM sessions WHERE key = ?1")?
        .query_row([session_key], |row| row.get(0))
        .optional()
}

/// Appends to a transcript, and to its session's counts as long as the session has not been given another one.
pub(crate) fn append_to(
    transaction: &Transaction<'_>,
    transcript: i64,
    run_id: Option<&str>,
    records: &[Record],
) -> rusqlite::Result<()> {
    let Some(last) = records.last() else { return Ok(()) };
    let insert = "
        INSERT INTO records (transcript, seq, id, run_id, role, at, message)
        VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM records WHERE transcript = ?1), ?2, ?3, ?4, ?5, ?6)";
    for record in records {
        if record.role == "assistant" {
            usage::note(transaction, transcript, record)?;
        }
        let id = uuid::Uuid::new_v4().to_string();
        let message = record.message.to_string();
        execute(
            transaction,
            insert,
            params![transcript, id, run_id, record.role, signed(record.at), message],
        )?;
    }
    let preview = records.iter().rev().find_map(|it| preview(&it.message));
    let count = "
        UPDATE sessions SET message_count = message_count + ?2, updated_at = max(updated_at, ?3),
            last_message = coalesce(?4, last_message)
        WHERE transcript = ?1";
    let n = signed(records.len() as u64);
    execute(transaction, count, params![transcript, n, signed(last.at), preview]).map(|_| ())
}

/// The newest `limit` records of a transcript, the oldest of them first.
pub(crate) fn newest(
    connection: &Connection,
    transcript: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRecord>> {
    let sql = "
        SELECT seq, id, run_id, role, message, at FROM records
        WHERE transcript = ?1 ORDER BY seq DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![transcript, signed(limit as u64)], read)?;
    let mut records = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    records.reverse();
    Ok(records)
}

/// JSON out of a column. Only this crate writes there, so that anything else means a damaged file.
pub(crate) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        seq: unsigned(row, 0)?,
        id: row.get(1)?,
        run_id: row.get(2)?,
        role: row.get(3)?,
        message: json(row, 4)?,
        at: unsigned(row, 5)?,
    })
}

/// The start of a message's text, on one line; `None` when it has none. `content` is a text, or a list of parts
/// of which some have a `text`.
pub(crate) fn preview(message: &Value) -> Option<String> {
    let parts = match message.get("content").or_else(|| message.get("text"))? {
        Value::String(text) => vec![text.as_str()],
        Value::Array(parts) => parts.iter().filter_map(|it| it.get("text")?.as_str()).collect(),
        _ => return None,
    };
    let start: Vec<_> = parts.iter().map(|it| text::head(it.trim_start(), PREVIEW)).collect();
    // The mark where it was cut has three bytes of its own.
    let line = text::line(&start.join(" "), PREVIEW - 3);
    (!line.is_empty()).then_some(line)
}
