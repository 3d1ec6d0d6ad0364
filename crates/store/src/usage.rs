//! What answers cost: a row an answer, which outlives its conversation.

use rusqlite::{Transaction, params};

use crate::sessions::{execute, signed, unsigned};
use crate::{Record, Store, StoreError};

/// A day in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Which answers to add up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageQuery {
    /// Those since this time, in Unix milliseconds.
    pub from: u64,
    /// Those before this time, in Unix milliseconds.
    pub to: u64,
    /// Only those in this session.
    pub session_key: Option<String>,
}

/// What was spent on one day, in one session, with one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Days since 1970-01-01, in UTC.
    pub day: u64,
    /// The session; it may be gone.
    pub session_key: String,
    /// The model's provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Answers.
    pub answers: u64,
    /// When the first of them came, in Unix milliseconds.
    pub first_at: u64,
    /// When the last of them came, in Unix milliseconds.
    pub last_at: u64,
}

impl Store {
    /// What was spent, by day, session and model; the first day first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn usage(&self, query: &UsageQuery) -> Result<Vec<Spent>, StoreError> {
        let sql = "
            SELECT at / ?4, session_key, provider, model, sum(input), sum(output), count(*), min(at), max(at)
            FROM usage WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR session_key = ?3)
            GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
        let sums = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let values = params![signed(query.from), signed(query.to), query.session_key, DAY];
            let rows = statement.query_map(values, |row| {
                Ok(Spent {
                    day: unsigned(row, 0)?,
                    session_key: row.get(1)?,
                    provider: row.get(2)?,
                    model: row.get(3)?,
                    input: unsigned(row, 4)?,
                    output: unsigned(row, 5)?,
                    answers: unsigned(row, 6)?,
                    first_at: unsigned(row, 7)?,
                    last_at: unsigned(row, 8)?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        sums().map_err(self.failed("add up the usage"))
    }
}

/// Notes what an answer cost, where its provider said so.
pub(crate) fn note(transaction: &Transaction<'_>, transcript: i64, record: &Record) -> rusqlite::Result<()> {
    let message = &record.message;
    let Some(usage) = message.get("usage").filter(|it| it.is_object()) else { return Ok(()) };
    let word = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| signed(usage[name].as_u64().unwrap_or_default());
    let sql = "
        INSERT INTO usage (at, session_key, provider, model, input, output)
        SELECT ?2, session_key, ?3, ?4, ?5, ?6 FROM transcripts WHERE number = ?1";
    let values = params![
        transcript,
        signed(record.at),
        word("provider"),
        word("model"),
        number("input"),
        number("output")
    ];
    execute(transaction, sql, values).map(|_| ())
}
