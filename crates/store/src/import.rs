//! Conversations that come from another program's files: each whole or not at all, and never twice.

#[cfg(test)]
mod tests;

use std::io;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::sessions::{self, execute, signed, unsigned};
use crate::transcripts;
use crate::{Record, Session, Store, StoreError};

/// Of the newest records, how many are looked through for a text to show in lists.
const PREVIEWED: usize = 50;

/// A conversation as it was elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its name for life, such as `agent:main:main`.
    pub key: String,
    /// The agent that answers in it.
    pub agent_id: String,
    /// The id of its transcript there, which it keeps.
    pub session_id: String,
    /// The name a person gave it.
    pub label: Option<String>,
    /// The model that was chosen for it, as `provider/model`.
    pub model: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_at: u64,
    /// When anything last happened in it, in Unix milliseconds.
    pub updated_at: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Whether the last run to end was aborted.
    pub aborted_last_run: bool,
}

/// A message as it was elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// Its id there, by which it is recognised the next time; one of its own within the conversation.
    pub id: String,
    /// What it says.
    pub record: Record,
}

/// What became of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is here for the first time.
    New {
        /// How many records it has.
        records: u64,
    },
    /// It was here, and has grown there since.
    Grown {
        /// How many records were added.
        records: u64,
    },
    /// It was here, and took another turn there since: it is here as it is there.
    Replaced {
        /// How many records were written.
        records: u64,
    },
    /// It was here, as it is there.
    Same,
    /// It was left as it is, because it went on here: something was said, or it was started anew.
    Continued,
}

/// What is there of the conversation before it is written.
enum Present {
    Nothing,
    /// The key is here, with another conversation that nobody used here.
    Other(Box<Session>),
    Same(i64),
    Continued,
}

impl Store {
    /// Takes over a conversation, in one step. One that is here from an earlier time is brought to where it is
    /// there; one that went on here stays as it is.
    ///
    /// # Errors
    /// [`StoreError::SessionIdTaken`] when another conversation has its id, [`StoreError::Source`] when `records`
    /// ends in an error, or when the database cannot be written. Nothing was changed then.
    pub fn import_session(
        &mut self,
        session: &NewSession,
        records: &mut dyn Iterator<Item = io::Result<NewRecord>>,
    ) -> Result<ImportOutcome, StoreError> {
        let failed = self.failed("take over a conversation");
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(&failed)?;
        let present = present(&transaction, session).map_err(&failed)?;
        if let Present::Continued = present {
            return Ok(ImportOutcome::Continued);
        }
        let transcript = match &present {
            Present::Same(transcript) => *transcript,
            _ if sessions::is_taken(&transaction, &session.session_id).map_err(&failed)? => {
                return Err(StoreError::SessionIdTaken { session_id: session.session_id.clone() });
            }
            _ => place(&transaction, session, &present).map_err(&failed)?,
        };
        let (same, dropped, added) = write(&transaction, transcript, records, session, &failed)?;
        summarise(&transaction, transcript, session).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        let is_same = matches!(present, Present::Same(_));
        Ok(match present {
            Present::Other(it) if it.message_count > 0 => ImportOutcome::Replaced { records: added },
            _ if dropped > 0 => ImportOutcome::Replaced { records: added },
            _ if added == 0 && is_same => ImportOutcome::Same,
            _ if same > 0 => ImportOutcome::Grown { records: added },
            _ => ImportOutcome::New { records: added },
        })
    }
}

fn present(transaction: &Transaction<'_>, session: &NewSession) -> rusqlite::Result<Present> {
    let Some(found) = sessions::by_key(transaction, &session.key)? else { return Ok(Present::Nothing) };
    let Some(transcript) = transcripts::current(transaction, &session.key)? else {
        return Ok(Present::Nothing);
    };
    if is_used_here(transaction, transcript, &session.key)? {
        return Ok(Present::Continued);
    }
    if found.session_id == session.session_id {
        return Ok(Present::Same(transcript));
    }
    // An earlier transcript of this very key: it was reset here after it had come over.
    let earlier = "SELECT 1 FROM transcripts WHERE session_id = ?1 AND session_key = ?2";
    let was_reset = transaction.prepare_cached(earlier)?.exists([&session.session_id, &session.key])?;
    Ok(if was_reset { Present::Continued } else { Present::Other(Box::new(found)) })
}

/// Whether a run of this gateway has put anything into the transcript, or is about to.
fn is_used_here(connection: &Connection, transcript: i64, key: &str) -> rusqlite::Result<bool> {
    let spoken = "SELECT 1 FROM records WHERE transcript = ?1 AND run_id IS NOT NULL";
    let compacted = "SELECT 1 FROM sessions WHERE key = ?1 AND revision > 0";
    let waiting = "SELECT 1 FROM runs WHERE session_key = ?1 AND status IN ('queued', 'running')";
    Ok(connection.prepare_cached(spoken)?.exists([transcript])?
        || connection.prepare_cached(compacted)?.exists([key])?
        || connection.prepare_cached(waiting)?.exists([key])?)
}

/// The number of an empty transcript, with its session before it.
fn place(transaction: &Transaction<'_>, session: &NewSession, present: &Present) -> rusqlite::Result<i64> {
    let NewSession { key, agent_id, session_id, created_at, .. } = session;
    if let Present::Nothing = present {
        sessions::insert(transaction, key, agent_id, Some(session_id), *created_at)?;
    } else {
        let transcript = sessions::new_transcript(transaction, key, Some(session_id), *created_at)?;
        let switch = "UPDATE sessions SET transcript = ?2 WHERE key = ?1";
        execute(transaction, switch, params![key, transcript])?;
    }
    transcripts::current(transaction, key).map(|it| it.expect("the session was made or found above"))
}

/// Brings the transcript to what `records` say: what they have in common stays, what follows it goes, and the rest
/// of them is appended. How many stayed, went and came.
fn write(
    transaction: &Transaction<'_>,
    transcript: i64,
    records: &mut dyn Iterator<Item = io::Result<NewRecord>>,
    session: &NewSession,
    failed: &dyn Fn(rusqlite::Error) -> StoreError,
) -> Result<(u64, u64, u64), StoreError> {
    let broken = |source| StoreError::Source { key: session.key.clone(), source };
    let (mut same, mut dropped, mut added) = (0, None, 0);
    for record in records {
        let record = record.map_err(broken)?;
        if dropped.is_none() {
            if has(transaction, transcript, same + 1, &record.id).map_err(failed)? {
                same += 1;
                continue;
            }
            dropped = Some(cut(transaction, transcript, same).map_err(failed)?);
        }
        added += 1;
        insert(transaction, transcript, same + added, &record).map_err(failed)?;
    }
    let dropped = match dropped {
        Some(it) => it,
        None => cut(transaction, transcript, same).map_err(failed)?,
    };
    Ok((same, dropped, added))
}

/// Whether the record with this id stands at this place.
fn has(transaction: &Transaction<'_>, transcript: i64, seq: u64, id: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT id FROM records WHERE transcript = ?1 AND seq = ?2";
    let found: Option<String> = transaction
        .prepare_cached(sql)?
        .query_row(params![transcript, signed(seq)], |row| row.get(0))
        .optional()?;
    Ok(found.as_deref() == Some(id))
}

/// Takes away what follows a place; how much that was.
fn cut(transaction: &Transaction<'_>, transcript: i64, after: u64) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM records WHERE transcript = ?1 AND seq > ?2";
    execute(transaction, sql, params![transcript, signed(after)]).map(|it| it as u64)
}

fn insert(
    transaction: &Transaction<'_>,
    transcript: i64,
    seq: u64,
    NewRecord { id, record }: &NewRecord,
) -> rusqlite::Result<()> {
    let sql = "
        INSERT INTO records (transcript, seq, id, role, at, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let message = record.message.to_string();
    let values = params![transcript, signed(seq), id, record.role, signed(record.at), message];
    execute(transaction, sql, values).map(|_| ())
}

/// What a list shows of it. A label and a model that were chosen here stay.
fn summarise(transaction: &Transaction<'_>, transcript: i64, session: &NewSession) -> rusqlite::Result<()> {
    let count: u64 = transaction
        .prepare_cached("SELECT count(*) FROM records WHERE transcript = ?1")?
        .query_row([transcript], |row| unsigned(row, 0))?;
    let newest = transcripts::newest(transaction, transcript, PREVIEWED)?;
    let preview = newest.iter().rev().find_map(|it| transcripts::preview(&it.message));
    let sql = "
        UPDATE sessions SET label = coalesce(label, ?2), model = coalesce(model, ?3), updated_at = ?4,
            input_tokens = ?5, output_tokens = ?6, message_count = ?7, aborted_last_run = ?8, last_message = ?9
        WHERE transcript = ?1";
    let NewSession { label, model, updated_at, input_tokens, output_tokens, aborted_last_run, .. } = session;
    let values = params![
        transcript,
        label,
        model,
        signed(*updated_at),
        signed(*input_tokens),
        signed(*output_tokens),
        signed(count),
        aborted_last_run,
        preview
    ];
    execute(transaction, sql, values).map(|_| ())
}
