//! What becomes of a session as a whole: made, described, put away, cut, taken away. Each in one step.

use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use crate::runs::Expected;
use crate::sessions::{self, execute, signed};
use crate::transcripts::{self, append_to};
use crate::{Record, Session, Store, StoreError};

/// What is to be said of a session. What is absent stays; `Some(None)` takes it away.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SessionPatch {
    /// The name a person gives it; no two sessions have the same.
    pub label: Option<Option<String>>,
    /// The model, as `provider/model`.
    pub model: Option<Option<String>>,
    /// The key of the session that began it.
    pub spawned_by: Option<Option<String>>,
    /// Whether it is put away.
    pub archived: Option<bool>,
    /// Whether it is pinned.
    pub pinned: Option<bool>,
    /// Whether it is marked as not read.
    pub unread: Option<bool>,
    /// Anything else, by name; null takes it away.
    pub traits: Map<String, Value>,
}

/// Which records a compaction takes out of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The place of the last record that goes.
    pub through: u64,
    /// The place of the last record there was when this was decided; nothing is cut where there is another.
    pub last: u64,
    /// What stands for those that went.
    pub summary: Option<Record>,
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// The id under which the records that went are kept.
    pub archived: String,
    /// How many went.
    pub gone: u64,
    /// How many stayed.
    pub kept: u64,
}

impl Store {
    /// Says something of a session, which is made where there is none.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when it is not as expected, [`StoreError::LabelTaken`], or when the database cannot be
    /// written. Nothing was changed then.
    pub fn patch_session(
        &mut self,
        key: &str,
        agent_id: &str,
        expected: &Expected,
        patch: &SessionPatch,
    ) -> Result<Session, StoreError> {
        let found = self.session(key)?;
        self.check_expected(key, found.as_ref(), expected)?;
        let failed = self.failed("change a session");
        if let Some(Some(label)) = &patch.label
            && let Some(other) = labelled(&self.connection, label, key).map_err(&failed)?
        {
            return Err(StoreError::LabelTaken { label: label.clone(), key: other });
        }
        let at = base::clock::now_ms();
        let transaction = self.connection.transaction().map_err(&failed)?;
        sessions::ensure(&transaction, key, agent_id, at)
            .and_then(|()| write(&transaction, key, patch, at))
            .and_then(|()| transaction.commit())
            .map_err(&failed)?;
        self.known_session(key)
    }

    /// Takes a session away, with its runs; with its transcripts too where `transcripts` says so, else they stay
    /// under their ids. False where there was none.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when it is not as expected, [`StoreError::InUse`] while a run of it has not ended, or
    /// when the database cannot be written.
    pub fn delete_session(
        &mut self,
        key: &str,
        expected: &Expected,
        transcripts: bool,
    ) -> Result<bool, StoreError> {
        let Some(found) = self.session(key)? else { return Ok(false) };
        self.check_expected(key, Some(&found), expected)?;
        self.check_unused(key)?;
        let failed = self.failed("delete a session");
        let transaction = self.connection.transaction().map_err(&failed)?;
        let delete = || {
            execute(&transaction, "DELETE FROM runs WHERE session_key = ?1", [key])?;
            execute(&transaction, "DELETE FROM sessions WHERE key = ?1", [key])?;
            if transcripts {
                let records = "
                    DELETE FROM records WHERE transcript IN
                        (SELECT number FROM transcripts WHERE session_key = ?1)";
                execute(&transaction, records, [key])?;
                execute(&transaction, "DELETE FROM transcripts WHERE session_key = ?1", [key])?;
            }
            Ok(())
        };
        delete().map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(true)
    }

    /// Takes the oldest records out of a session's transcript, and puts a summary in their place. They are kept under
    /// an id of their own.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], [`StoreError::Moved`] when something was said meanwhile, [`StoreError::InUse`]
    /// while a run of it is under way, or when the database cannot be written.
    pub fn compact_session(&mut self, key: &str, cut: &Cut) -> Result<Compacted, StoreError> {
        let session = self.known_session(key)?;
        if self.last_place(key)? != cut.last {
            return Err(StoreError::Moved { key: key.to_owned(), what: "the last message", found: None });
        }
        let failed = self.failed("compact a session");
        if is_running(&self.connection, key).map_err(&failed)? {
            return Err(StoreError::InUse { key: key.to_owned() });
        }
        let at = base::clock::now_ms();
        let transaction = self.connection.transaction().map_err(&failed)?;
        let (archived, gone) = take_out(&transaction, key, cut, at).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(Compacted { archived, gone, kept: session.message_count.saturating_sub(gone) })
    }

    /// Whether a session is as expected.
    pub(crate) fn check_expected(
        &self,
        key: &str,
        session: Option<&Session>,
        expected: &Expected,
    ) -> Result<(), StoreError> {
        let moved = |what, found: Option<String>| Err(StoreError::Moved { key: key.to_owned(), what, found });
        let id = session.map(|it| it.session_id.as_str());
        if expected.session_id.as_deref().is_some_and(|it| id != Some(it)) {
            return moved("the session id", id.map(str::to_owned));
        }
        let revision = session.map(|it| it.revision);
        if expected.revision.is_some_and(|it| revision != Some(it)) {
            return moved("the revision", revision.map(|it| it.to_string()));
        }
        if let Some(wanted) = &expected.last_record {
            let last = self.history(key, 1)?.pop().map(|it| it.id);
            if last.as_ref() != Some(wanted) {
                return moved("the last message", last);
            }
        }
        Ok(())
    }

    fn check_unused(&self, key: &str) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM runs WHERE session_key = ?1 AND status IN ('queued', 'running')";
        let used = || self.connection.prepare_cached(sql)?.exists([key]);
        match used().map_err(self.failed("look for the runs of a session"))? {
            true => Err(StoreError::InUse { key: key.to_owned() }),
            false => Ok(()),
        }
    }
}

/// Another session with this label.
fn labelled(connection: &Connection, label: &str, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT key FROM sessions WHERE label = ?1 AND key <> ?2 LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([label, key])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

fn is_running(connection: &Connection, key: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM runs WHERE session_key = ?1 AND status = 'running'";
    connection.prepare_cached(sql)?.exists([key])
}

fn write(transaction: &Transaction<'_>, key: &str, patch: &SessionPatch, at: u64) -> rusqlite::Result<()> {
    let set = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!("UPDATE sessions SET {column} = ?2 WHERE key = ?1");
        execute(transaction, &sql, params![key, value]).map(|_| ())
    };
    for (column, value) in
        [("label", &patch.label), ("model", &patch.model), ("spawned_by", &patch.spawned_by)]
    {
        if let Some(value) = value {
            set(column, value)?;
        }
    }
    // The first time counts: saying it again changes nothing.
    for (column, value) in [("archived_at", patch.archived), ("pinned_at", patch.pinned)] {
        match value {
            Some(true) => {
                let sql = format!("UPDATE sessions SET {column} = coalesce({column}, ?2) WHERE key = ?1");
                execute(transaction, &sql, params![key, signed(at)])?;
            }
            Some(false) => set(column, &None::<i64>)?,
            None => {}
        }
    }
    if let Some(unread) = patch.unread {
        set("unread", &unread)?;
    }
    if !patch.traits.is_empty() {
        let before = sessions::by_key(transaction, key)?.and_then(|it| it.traits);
        set("traits", &merged(before.as_deref(), &patch.traits))?;
    }
    Ok(())
}

fn merged(before: Option<&str>, changes: &Map<String, Value>) -> Option<String> {
    let mut traits: Map<String, Value> =
        before.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    for (name, value) in changes {
        if value.is_null() {
            traits.remove(name);
        } else {
            traits.insert(name.clone(), value.clone());
        }
    }
    (!traits.is_empty()).then(|| Value::Object(traits).to_string())
}

fn take_out(transaction: &Transaction<'_>, key: &str, cut: &Cut, at: u64) -> rusqlite::Result<(String, u64)> {
    let transcript = transcripts::current(transaction, key)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let archive = sessions::new_transcript(transaction, key, None, at)?;
    let take = "UPDATE records SET transcript = ?2 WHERE transcript = ?1 AND seq <= ?3";
    let gone = execute(transaction, take, params![transcript, archive, signed(cut.through)])? as u64;
    let count = "
        UPDATE sessions SET message_count = message_count - ?2, revision = revision + 1,
            updated_at = max(updated_at, ?3)
        WHERE key = ?1";
    execute(transaction, count, params![key, signed(gone), signed(at)])?;
    if let Some(summary) = &cut.summary {
        let last_message = sessions::by_key(transaction, key)?.and_then(|it| it.last_message);
        append_to(transaction, transcript, None, std::slice::from_ref(summary))?;
        // It was appended, and stands where the last of those stood that went.
        let place = "
            UPDATE records SET seq = ?2 WHERE transcript = ?1
                AND seq = (SELECT max(seq) FROM records WHERE transcript = ?1)";
        execute(transaction, place, params![transcript, signed(cut.through)])?;
        let preview = "UPDATE sessions SET last_message = coalesce(?2, last_message) WHERE key = ?1";
        execute(transaction, preview, params![key, last_message])?;
    }
    let find = "SELECT session_id FROM transcripts WHERE number = ?1";
    let id = transaction.prepare_cached(find)?.query_row([archive], |row| row.get(0))?;
    Ok((id, gone))
}
