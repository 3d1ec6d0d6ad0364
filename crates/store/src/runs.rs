//! Runs: turns that were asked for. A run's message is on disk before the run is acknowledged, and moves into
//! the transcript when the run starts.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use crate::sessions::{self, execute, signed, unsigned};
use crate::transcripts::{self, append_to};
use crate::{Record, Session, Store, StoreError, StoredRecord};

/// How much of the conversation a run is given, in records.
const CONTEXT: usize = 400;

/// The columns of [`Run`], in the order in which [`read`] takes them.
const SELECT: &str = "SELECT run_id, session_key, status, accepted_at, started_at, ended_at, error FROM runs";

/// A turn that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The caller's id for it; asking twice with the same id is asking once.
    pub run_id: String,
    /// The session it belongs to; made when there is none.
    pub session_key: String,
    /// The user's message as it goes over the wire.
    pub message: Value,
    /// When it was accepted, in Unix milliseconds.
    pub accepted_at: u64,
    /// What must be so of the session, or the run is not accepted.
    pub expected: Expected,
}

/// What must be so of a session before it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// The id of its transcript.
    pub session_id: Option<String>,
    /// Its revision.
    pub revision: Option<u64>,
    /// The id of its last record.
    pub last_record: Option<String>,
}

/// What became of a request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is queued.
    New,
    /// It was asked for before, and this is where it is. Nothing was changed.
    Known(Run),
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// On disk, and not started.
    Queued,
    /// Started, and not ended.
    Running,
    /// Ended well.
    Ok,
    /// Failed.
    Error,
    /// Stopped because somebody asked for it.
    Aborted,
    /// The gateway went down before it ended.
    Interrupted,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The caller's id for it.
    pub run_id: String,
    /// The session it belongs to.
    pub session_key: String,
    /// Where it is.
    pub status: RunStatus,
    /// When it was accepted, in Unix milliseconds.
    pub accepted_at: u64,
    /// When it started, in Unix milliseconds.
    pub started_at: Option<u64>,
    /// When it ended, in Unix milliseconds.
    pub ended_at: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// Any but queued and running.
    pub status: RunStatus,
    /// Why it failed, for a person.
    pub error: Option<String>,
    /// Tokens it read, added to the session's.
    pub input_tokens: u64,
    /// Tokens it wrote, added to the session's.
    pub output_tokens: u64,
    /// When it ended, in Unix milliseconds.
    pub at: u64,
    /// What it said, appended to the transcript together with the end.
    pub records: Vec<Record>,
}

impl Store {
    /// Puts a run on disk, and its session if there is none. Once this has returned the message will be in the
    /// transcript, whatever happens.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when the session is not as expected, [`StoreError::Silenced`] when it takes no messages,
    /// or when the database cannot be written.
    pub fn accept_run(&mut self, run: &NewRun, agent_id: &str) -> Result<Accepted, StoreError> {
        if let Some(known) = self.run(&run.run_id)? {
            return Ok(Accepted::Known(known));
        }
        let session = self.session(&run.session_key)?;
        self.check_expected(&run.session_key, session.as_ref(), &run.expected)?;
        if session.as_ref().is_some_and(is_silenced) {
            return Err(StoreError::Silenced { key: run.session_key.clone() });
        }
        let failed = self.failed("accept a message");
        let at = signed(run.accepted_at);
        let transaction = self.connection.transaction().map_err(&failed)?;
        let insert = "
            INSERT INTO runs (run_id, session_key, status, accepted_at, message)
            VALUES (?1, ?2, 'queued', ?3, ?4)";
        // Who speaks in a conversation that was put away takes it out again.
        let take_out = "UPDATE sessions SET archived_at = NULL WHERE key = ?1 AND archived_at IS NOT NULL";
        sessions::ensure(&transaction, &run.session_key, agent_id, run.accepted_at)
            .and_then(|()| execute(&transaction, take_out, [&run.session_key]))
            .and_then(|_| {
                let message = run.message.to_string();
                execute(&transaction, insert, params![run.run_id, run.session_key, at, message])
            })
            .and_then(|_| transaction.commit())
            .map_err(failed)?;
        Ok(Accepted::New)
    }

    /// Starts a queued run: its message moves into the transcript. Returns the newest 400 records of the session,
    /// the oldest of them first; that message is the last.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::NotQueued`], or when the database cannot be written.
    pub fn start_run(&mut self, run_id: &str, at: u64) -> Result<Vec<StoredRecord>, StoreError> {
        let run = self.known_run(run_id)?;
        if run.status != RunStatus::Queued {
            return Err(StoreError::NotQueued { run_id: run_id.to_owned(), status: run.status });
        }
        let failed = self.failed("start a run");
        let transaction = self.connection.transaction().map_err(&failed)?;
        let start = |transaction: &Transaction<'_>| {
            let transcript = move_message(transaction, run_id, at)?;
            let update = "UPDATE runs SET status = 'running', started_at = ?2 WHERE run_id = ?1";
            execute(transaction, update, params![run_id, signed(at)])?;
            transcripts::newest(transaction, transcript, CONTEXT)
        };
        let history = start(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(history)
    }

    /// Lets a queued run become a part of the one under way in its session: its message moves to the end of the
    /// transcript, and it has ended well. Returns the message's place there.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::NotQueued`], or when the database cannot be written.
    pub fn join_run(&mut self, run_id: &str, at: u64) -> Result<u64, StoreError> {
        let run = self.known_run(run_id)?;
        if run.status != RunStatus::Queued {
            return Err(StoreError::NotQueued { run_id: run_id.to_owned(), status: run.status });
        }
        let failed = self.failed("join a run to another");
        let transaction = self.connection.transaction().map_err(&failed)?;
        let join = |transaction: &Transaction<'_>| {
            let transcript = move_message(transaction, run_id, at)?;
            let update = "UPDATE runs SET status = 'ok', started_at = ?2, ended_at = ?2 WHERE run_id = ?1";
            execute(transaction, update, params![run_id, signed(at)])?;
            let last = "SELECT max(seq) FROM records WHERE transcript = ?1";
            transaction.prepare_cached(last)?.query_row([transcript], |row| unsigned(row, 0))
        };
        let place = join(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(place)
    }

    /// Ends a run, with what it said, in one step. What it says goes into the transcript in which it started, also
    /// when the session was reset meanwhile. A run that never started gets its message into the transcript first.
    /// A run that has ended stays as it ended: a second end changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], [`StoreError::NotAnEnd`], or when the database cannot be written.
    pub fn end_run(&mut self, run_id: &str, end: &RunEnd) -> Result<(), StoreError> {
        if !end.status.is_end() {
            return Err(StoreError::NotAnEnd { run_id: run_id.to_owned(), status: end.status });
        }
        if self.known_run(run_id)?.status.is_end() {
            return Ok(());
        }
        let failed = self.failed("end a run");
        let transaction = self.connection.transaction().map_err(&failed)?;
        finish(&transaction, run_id, end).and_then(|()| transaction.commit()).map_err(failed)
    }

    /// The run of an id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn run(&self, run_id: &str) -> Result<Option<Run>, StoreError> {
        let find = || {
            self.connection
                .prepare_cached(&format!("{SELECT} WHERE run_id = ?1"))?
                .query_row([run_id], read)
                .optional()
        };
        find().map_err(self.failed("read a run"))
    }

    /// At boot: every run that had not ended becomes interrupted, and the record that `notice` makes of it (as it
    /// was found) is appended to its transcript, all in one step. Returns them as they are now, in the order in
    /// which they were accepted.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn interrupt_unfinished(&mut self, notice: impl Fn(&Run) -> Record) -> Result<Vec<Run>, StoreError> {
        let failed = self.failed("clean up unfinished runs");
        let at = base::clock::now_ms();
        let mut runs = unfinished(&self.connection).map_err(&failed)?;
        let transaction = self.connection.transaction().map_err(&failed)?;
        for run in &mut runs {
            let end = RunEnd {
                status: RunStatus::Interrupted,
                error: None,
                input_tokens: 0,
                output_tokens: 0,
                at,
                records: vec![notice(run)],
            };
            finish(&transaction, &run.run_id, &end).map_err(&failed)?;
            run.status = RunStatus::Interrupted;
            run.ended_at = Some(at);
        }
        transaction.commit().map_err(&failed)?;
        Ok(runs)
    }

    fn known_run(&self, run_id: &str) -> Result<Run, StoreError> {
        self.run(run_id)?.ok_or_else(|| StoreError::NoSuchRun { run_id: run_id.to_owned() })
    }
}

impl RunStatus {
    /// Whether nothing follows it.
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Ok | Self::Error | Self::Aborted | Self::Interrupted => true,
        }
    }

    /// The word for it in the database and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Aborted => "aborted",
            Self::Interrupted => "interrupted",
        }
    }

    fn of(word: &str) -> Option<Self> {
        let all = [Self::Queued, Self::Running, Self::Ok, Self::Error, Self::Aborted, Self::Interrupted];
        all.into_iter().find(|it| it.word() == word)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether a person has forbidden that anything is said in it.
fn is_silenced(session: &Session) -> bool {
    let traits = session.traits.as_deref().and_then(|it| serde_json::from_str::<Value>(it).ok());
    traits.is_some_and(|it| it["sendPolicy"] == "deny")
}

fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Run>> {
    let sql = format!("{SELECT} WHERE status IN ('queued', 'running') ORDER BY number");
    connection.prepare(&sql)?.query_map([], read)?.collect()
}

/// The transcript of a run. The message of a run that has none yet moves into its session's present one.
fn move_message(transaction: &Transaction<'_>, run_id: &str, at: u64) -> rusqlite::Result<i64> {
    let find = "SELECT session_key, transcript, message FROM runs WHERE run_id = ?1";
    let (session_key, transcript, message) =
        transaction.prepare_cached(find)?.query_row([run_id], |row| {
            let message = transcripts::json(row, 2);
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, message))
        })?;
    if let Some(transcript) = transcript {
        return Ok(transcript);
    }
    let transcript =
        transcripts::current(transaction, &session_key)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let record = Record { role: "user".to_owned(), message: message?, at };
    append_to(transaction, transcript, Some(run_id), &[record])?;
    let update = "UPDATE runs SET transcript = ?2, message = NULL WHERE run_id = ?1";
    execute(transaction, update, params![run_id, transcript])?;
    Ok(transcript)
}

fn finish(transaction: &Transaction<'_>, run_id: &str, end: &RunEnd) -> rusqlite::Result<()> {
    let transcript = move_message(transaction, run_id, end.at)?;
    append_to(transaction, transcript, Some(run_id), &end.records)?;
    let update = "UPDATE runs SET status = ?2, ended_at = ?3, error = ?4 WHERE run_id = ?1";
    execute(transaction, update, params![run_id, end.status.word(), signed(end.at), end.error])?;
    let count = "
        UPDATE sessions SET input_tokens = input_tokens + ?2, output_tokens = output_tokens + ?3,
            aborted_last_run = ?4, updated_at = max(updated_at, ?5)
        WHERE transcript = ?1";
    let aborted = end.status == RunStatus::Aborted;
    let (input, output) = (signed(end.input_tokens), signed(end.output_tokens));
    execute(transaction, count, params![transcript, input, output, aborted, signed(end.at)]).map(|_| ())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let optional =
        |column| row.get::<_, Option<i64>>(column).map(|it| it.and_then(|it| u64::try_from(it).ok()));
    let word: String = row.get(2)?;
    let status = RunStatus::of(&word).ok_or_else(|| {
        let what = format!("there is no status {word:?}").into();
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, what)
    })?;
    Ok(Run {
        run_id: row.get(0)?,
        session_key: row.get(1)?,
        status,
        accepted_at: unsigned(row, 3)?,
        started_at: optional(4)?,
        ended_at: optional(5)?,
        error: row.get(6)?,
    })
}
