//! Sessions: a conversation by its key, and what a list of conversations shows of it.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};

use crate::{Store, StoreError, transcripts};

/// How many sessions a page has unless asked otherwise.
const PAGE: usize = 100;

/// The columns of [`Session`], in the order in which [`read`] takes them.
const SELECT: &str = "
SELECT s.key, t.session_id, s.agent_id, s.label, s.model, s.created_at, s.updated_at, s.input_tokens,
       s.output_tokens, s.message_count, s.aborted_last_run, s.last_message, s.traits, s.spawned_by,
       s.archived_at, s.pinned_at, s.unread, s.revision
FROM sessions s JOIN transcripts t ON t.number = s.transcript";

/// Which sessions a query means.
const MATCHING: &str = "
WHERE (:agent IS NULL OR s.agent_id = :agent)
  AND (:since IS NULL OR s.updated_at >= :since)
  AND (:search IS NULL OR s.key LIKE :search ESCAPE '\\' OR s.label LIKE :search ESCAPE '\\'
       OR s.last_message LIKE :search ESCAPE '\\')
  AND (:label IS NULL OR s.label = :label)
  AND (:spawned_by IS NULL OR s.spawned_by = :spawned_by)
  AND (:category IS NULL OR s.traits ->> '$.category' = :category)
  AND (:archived IS NULL OR (s.archived_at IS NOT NULL) = :archived)
  AND (:pinned IS NULL OR (s.pinned_at IS NOT NULL) = :pinned)
  AND (NOT :no_subagents OR s.key NOT LIKE 'agent:%:subagent:%')
  AND (NOT :no_cron OR s.key NOT LIKE 'agent:%:cron:%')";

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name for life, such as `agent:main:main`.
    pub key: String,
    /// The id of its transcript, a UUID; another after each reset.
    pub session_id: String,
    /// The agent that answers in it.
    pub agent_id: String,
    /// The name a person gave it.
    pub label: Option<String>,
    /// The model that was chosen for it, as `provider/model`; the agent's own when `None`.
    pub model: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_at: u64,
    /// When anything last happened in it, in Unix milliseconds.
    pub updated_at: u64,
    /// Tokens read since the last reset.
    pub input_tokens: u64,
    /// Tokens written since the last reset.
    pub output_tokens: u64,
    /// Records in the transcript.
    pub message_count: u64,
    /// Whether the last run to end was aborted.
    pub aborted_last_run: bool,
    /// The text of the last record that has any, cut to 200 bytes.
    pub last_message: Option<String>,
    /// What else was said of it, as a JSON object.
    pub traits: Option<String>,
    /// The key of the session that began it.
    pub spawned_by: Option<String>,
    /// When it was put away, in Unix milliseconds.
    pub archived_at: Option<u64>,
    /// When it was pinned, in Unix milliseconds.
    pub pinned_at: Option<u64>,
    /// Whether a person marked it as not read.
    pub unread: bool,
    /// Raised with each reset and each compaction.
    pub revision: u64,
    /// The start of the first thing a person said in it, where it was asked for.
    pub first_message: Option<String>,
}

/// Which sessions to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuery {
    /// How many at most.
    pub limit: usize,
    /// How many to skip.
    pub offset: usize,
    /// Only those of this agent.
    pub agent_id: Option<String>,
    /// Only those with this text, in any case of ASCII letters, in the key, the label or the last message.
    pub search: Option<String>,
    /// Only those in which anything happened since this time, in Unix milliseconds.
    pub active_since: Option<u64>,
    /// Only those with this label.
    pub label: Option<String>,
    /// Only those that the session of this key began.
    pub spawned_by: Option<String>,
    /// Only those of this category.
    pub category: Option<String>,
    /// Only those that are put away, or only the others.
    pub archived: Option<bool>,
    /// Only those that are pinned, or only the others.
    pub pinned: Option<bool>,
    /// Without the sub-agents' own.
    pub no_subagents: bool,
    /// Without those of scheduled jobs.
    pub no_cron: bool,
    /// In which order.
    pub order: SessionOrder,
    /// With [`Session::first_message`].
    pub first_messages: bool,
}

/// In which order sessions are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionOrder {
    /// The last updated first.
    #[default]
    Updated,
    /// The last made first.
    Created,
    /// By label, or key where there is none.
    Name,
}

/// Some of the sessions that a query means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// The last updated first.
    pub sessions: Vec<Session>,
    /// How many there are without `limit` and `offset`.
    pub total: u64,
}

impl Default for SessionQuery {
    fn default() -> Self {
        Self {
            limit: PAGE,
            offset: 0,
            agent_id: None,
            search: None,
            active_since: None,
            label: None,
            spawned_by: None,
            category: None,
            archived: None,
            pinned: None,
            no_subagents: false,
            no_cron: false,
            order: SessionOrder::default(),
            first_messages: false,
        }
    }
}

impl Store {
    /// The session of a key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session(&self, key: &str) -> Result<Option<Session>, StoreError> {
        by_key(&self.connection, key).map_err(self.failed("read a session"))
    }

    /// The session of a key, with the start of the first thing that a person said in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session_with_title(&self, key: &str) -> Result<Option<Session>, StoreError> {
        let Some(mut session) = self.session(key)? else { return Ok(None) };
        session.first_message =
            first_message(&self.connection, key).map_err(self.failed("read a session"))?;
        Ok(Some(session))
    }

    /// The session whose present transcript has this id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session_by_id(&self, session_id: &str) -> Result<Option<Session>, StoreError> {
        one(&self.connection, &format!("{SELECT} WHERE t.session_id = ?1"), session_id)
            .map_err(self.failed("read a session"))
    }

    /// The session of a key, made when there is none. `agent_id` and `session_id` matter only to a new one; without
    /// an id it gets a random one.
    ///
    /// # Errors
    /// [`StoreError::SessionIdTaken`] when a new session asks for the id of another one; or when the database
    /// cannot be written.
    pub fn ensure_session(
        &mut self,
        key: &str,
        agent_id: &str,
        session_id: Option<&str>,
    ) -> Result<Session, StoreError> {
        if let Some(found) = self.session(key)? {
            return Ok(found);
        }
        let failed = self.failed("make a session");
        if let Some(session_id) = session_id
            && is_taken(&self.connection, session_id).map_err(&failed)?
        {
            return Err(StoreError::SessionIdTaken { session_id: session_id.to_owned() });
        }
        let transaction = self.connection.transaction().map_err(&failed)?;
        let at = base::clock::now_ms();
        insert(&transaction, key, agent_id, session_id, at).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        self.known_session(key)
    }

    /// One page of the sessions, the last updated first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, StoreError> {
        self.page(query).map_err(self.failed("list the sessions"))
    }

    /// Gives a session a new id and an empty transcript, with its counts at nothing; label and model stay. The old
    /// transcript stays on disk under the old id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], or when the database cannot be written.
    pub fn reset_session(&mut self, key: &str) -> Result<Session, StoreError> {
        let failed = self.failed("reset a session");
        let at = base::clock::now_ms();
        let transaction = self.connection.transaction().map_err(&failed)?;
        let transcript = new_transcript(&transaction, key, None, at).map_err(&failed)?;
        let reset = "
            UPDATE sessions SET transcript = ?2, updated_at = max(updated_at, ?3), input_tokens = 0,
                output_tokens = 0, message_count = 0, aborted_last_run = 0, last_message = NULL,
                revision = revision + 1
            WHERE key = ?1";
        let n = execute(&transaction, reset, params![key, transcript, signed(at)]).map_err(&failed)?;
        if n == 0 {
            return Err(StoreError::NoSuchSession { key: key.to_owned() });
        }
        transaction.commit().map_err(&failed)?;
        self.known_session(key)
    }

    /// Chooses a session's model as `provider/model`, or its agent's own with `None`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSession`], or when the database cannot be written.
    pub fn set_session_model(&mut self, key: &str, model: Option<&str>) -> Result<(), StoreError> {
        let set = "UPDATE sessions SET model = ?2, updated_at = max(updated_at, ?3) WHERE key = ?1";
        let at = base::clock::now_ms();
        let n = execute(&self.connection, set, params![key, model, signed(at)])
            .map_err(self.failed("choose a session's model"))?;
        if n == 0 {
            return Err(StoreError::NoSuchSession { key: key.to_owned() });
        }
        Ok(())
    }

    /// How many sessions there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_sessions(&self) -> Result<u64, StoreError> {
        let count = || {
            self.connection
                .prepare_cached("SELECT count(*) FROM sessions")?
                .query_row([], |row| unsigned(row, 0))
        };
        count().map_err(self.failed("count the sessions"))
    }

    pub(crate) fn known_session(&self, key: &str) -> Result<Session, StoreError> {
        self.session(key)?.ok_or_else(|| StoreError::NoSuchSession { key: key.to_owned() })
    }

    fn page(&self, query: &SessionQuery) -> rusqlite::Result<SessionPage> {
        let search = query.search.as_deref().filter(|it| !it.is_empty()).map(pattern);
        let since = query.active_since.map(signed);
        let order = match query.order {
            SessionOrder::Updated => "s.updated_at DESC, s.rowid DESC",
            SessionOrder::Created => "s.created_at DESC, s.rowid DESC",
            SessionOrder::Name => "coalesce(s.label, s.key) COLLATE NOCASE, s.key",
        };
        let filter: [(&str, &dyn ToSql); 10] = [
            (":agent", &query.agent_id),
            (":since", &since),
            (":search", &search),
            (":label", &query.label),
            (":spawned_by", &query.spawned_by),
            (":category", &query.category),
            (":archived", &query.archived),
            (":pinned", &query.pinned),
            (":no_subagents", &query.no_subagents),
            (":no_cron", &query.no_cron),
        ];
        let (limit, offset) = (signed(query.limit as u64), signed(query.offset as u64));
        let mut page: Vec<(&str, &dyn ToSql)> = filter.to_vec();
        page.extend([(":limit", &limit as &dyn ToSql), (":offset", &offset)]);
        let sql = format!("{SELECT} {MATCHING} ORDER BY {order} LIMIT :limit OFFSET :offset");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(&page[..], read)?;
        let mut sessions = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        if query.first_messages {
            for it in &mut sessions {
                it.first_message = first_message(&self.connection, &it.key)?;
            }
        }
        // A page that is not full says itself where the end is.
        if sessions.len() < query.limit && (!sessions.is_empty() || query.offset == 0) {
            let total = (query.offset + sessions.len()) as u64;
            return Ok(SessionPage { sessions, total });
        }
        let total = self
            .connection
            .prepare_cached(&format!("SELECT count(*) FROM sessions s {MATCHING}"))?
            .query_row(&filter[..], |row| unsigned(row, 0))?;
        Ok(SessionPage { sessions, total })
    }
}

/// The start of the first thing that a person said in a session.
fn first_message(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "
        SELECT r.message FROM records r JOIN sessions s ON s.transcript = r.transcript
        WHERE s.key = ?1 AND r.role = 'user' ORDER BY r.seq LIMIT 1";
    let found =
        connection.prepare_cached(sql)?.query_row([key], |row| transcripts::json(row, 0)).optional()?;
    Ok(found.and_then(|it| transcripts::preview(&it)))
}

/// Makes a session and its first transcript, unless there is one.
pub(crate) fn ensure(
    transaction: &Transaction<'_>,
    key: &str,
    agent_id: &str,
    at: u64,
) -> rusqlite::Result<()> {
    if by_key(transaction, key)?.is_some() {
        return Ok(());
    }
    insert(transaction, key, agent_id, None, at)
}

/// SQLite's integers are signed; what does not fit is as good as the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that only ever holds counts and times.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|it| u64::try_from(it).unwrap_or_default())
}

/// A column that holds a time, or nothing.
pub(crate) fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    row.get::<_, Option<i64>>(column).map(|it| it.and_then(|it| u64::try_from(it).ok()))
}

/// Runs a statement that is kept prepared; the number of rows it changed.
pub(crate) fn execute(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

pub(crate) fn by_key(connection: &Connection, key: &str) -> rusqlite::Result<Option<Session>> {
    one(connection, &format!("{SELECT} WHERE s.key = ?1"), key)
}

fn one(connection: &Connection, sql: &str, value: &str) -> rusqlite::Result<Option<Session>> {
    connection.prepare_cached(sql)?.query_row([value], read).optional()
}

pub(crate) fn is_taken(connection: &Connection, session_id: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM transcripts WHERE session_id = ?1")?.exists([session_id])
}

pub(crate) fn insert(
    transaction: &Transaction<'_>,
    key: &str,
    agent_id: &str,
    session_id: Option<&str>,
    at: u64,
) -> rusqlite::Result<()> {
    let transcript = new_transcript(transaction, key, session_id, at)?;
    let sql = "
        INSERT INTO sessions (key, transcript, agent_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)";
    execute(transaction, sql, params![key, transcript, agent_id, signed(at)]).map(|_| ())
}

/// The number of a new, empty transcript.
pub(crate) fn new_transcript(
    transaction: &Transaction<'_>,
    key: &str,
    session_id: Option<&str>,
    at: u64,
) -> rusqlite::Result<i64> {
    let session_id = session_id.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let sql = "INSERT INTO transcripts (session_id, session_key, created_at) VALUES (?1, ?2, ?3)";
    execute(transaction, sql, params![session_id, key, signed(at)])?;
    Ok(transaction.last_insert_rowid())
}

/// A `LIKE` pattern that means the text itself, anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for it in text.chars() {
        if matches!(it, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(it);
    }
    pattern.push('%');
    pattern
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        key: row.get(0)?,
        session_id: row.get(1)?,
        agent_id: row.get(2)?,
        label: row.get(3)?,
        model: row.get(4)?,
        created_at: unsigned(row, 5)?,
        updated_at: unsigned(row, 6)?,
        input_tokens: unsigned(row, 7)?,
        output_tokens: unsigned(row, 8)?,
        message_count: unsigned(row, 9)?,
        aborted_last_run: row.get(10)?,
        last_message: row.get(11)?,
        traits: row.get(12)?,
        spawned_by: row.get(13)?,
        archived_at: optional(row, 14)?,
        pinned_at: optional(row, 15)?,
        unread: row.get(16)?,
        revision: unsigned(row, 17)?,
        first_message: None,
    })
}
