//! Words in what was said: the newest records are looked through, as many as a person would wait for.

use rusqlite::{Connection, params};

use crate::sessions::{signed, unsigned};
use crate::{Store, StoreError, transcripts};

/// How many records are looked through, the newest first.
const LOOKED_THROUGH: usize = 50_000;
/// How much of what was said is shown around the first word, in bytes to each side.
const AROUND: usize = 80;

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Words, all of which must be in one message, in any case.
    pub text: String,
    /// Only in these sessions.
    pub keys: Option<Vec<String>>,
    /// Only in those of this agent.
    pub agent_id: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// One message that has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The session.
    pub key: String,
    /// The id of its transcript.
    pub session_id: String,
    /// The message's id.
    pub id: String,
    /// `user` or `assistant`.
    pub role: String,
    /// Unix milliseconds.
    pub at: u64,
    /// What stands around the first word, in one line.
    pub snippet: String,
    /// How often the words stand in it, for its length.
    pub score: f64,
}

impl Store {
    /// The messages of persons and models that have all of the words, in what sessions say at present: the best first,
    /// and of equal ones the newest. Beside them, whether there is more that was not looked through or not told.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn search(&self, wanted: &Wanted) -> Result<(Vec<Hit>, bool), StoreError> {
        search(&self.connection, wanted, LOOKED_THROUGH).map_err(self.failed("look for words"))
    }

    /// The categories of sessions, with how many sessions each has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn categories(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "
            SELECT traits ->> '$.category', count(*) FROM sessions
            WHERE traits ->> '$.category' IS NOT NULL GROUP BY 1 ORDER BY 1";
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the categories"))
    }
}

fn search(connection: &Connection, wanted: &Wanted, most: usize) -> rusqlite::Result<(Vec<Hit>, bool)> {
    let words: Vec<String> = wanted.text.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        return Ok((Vec::new(), false));
    }
    let sql = "
        SELECT s.key, t.session_id, r.id, r.role, r.at, r.message
        FROM records r JOIN sessions s ON s.transcript = r.transcript JOIN transcripts t ON t.number = s.transcript
        WHERE r.role IN ('user', 'assistant') AND (?1 IS NULL OR s.agent_id = ?1)
        ORDER BY r.number DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![wanted.agent_id, signed(most as u64)])?;
    let (mut hits, mut looked) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        looked += 1;
        let key: String = row.get(0)?;
        if wanted.keys.as_ref().is_some_and(|keys| !keys.contains(&key)) {
            continue;
        }
        // The text of the whole message is no smaller than what is said in it: most are done with here.
        let raw: String = row.get(5)?;
        if words.iter().any(|word| is_plain(word) && !has(&raw, word)) {
            continue;
        }
        let said = said(&transcripts::json(row, 5)?);
        let low = said.to_lowercase();
        if !words.iter().all(|word| low.contains(word.as_str())) {
            continue;
        }
        let count: usize = words.iter().map(|word| low.matches(word.as_str()).count()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a measure to sort by")]
        let score = count as f64 / (said.len() as f64 + 64.0).ln();
        hits.push(Hit {
            key,
            session_id: row.get(1)?,
            id: row.get(2)?,
            role: row.get(3)?,
            at: unsigned(row, 4)?,
            snippet: snippet(&said, &words),
            score,
        });
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.at.cmp(&a.at)));
    let is_cut = looked >= most || hits.len() > wanted.limit;
    hits.truncate(wanted.limit);
    Ok((hits, is_cut))
}

/// Whether a word stands in JSON as it does in the text.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// Whether a text has a word of small ASCII letters and digits, in any case.
fn has(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

fn said(message: &serde_json::Value) -> String {
    match &message["content"] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(parts) => {
            parts.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn snippet(text: &str, words: &[String]) -> String {
    // A letter's small form may have another length: the place is looked for in the text itself.
    let starts_here = |at: usize| {
        let rest = text[at..].chars().flat_map(char::to_lowercase);
        words.iter().any(|word| rest.clone().take(word.chars().count()).eq(word.chars()))
    };
    let at = text.char_indices().map(|(at, _)| at).find(|at| starts_here(*at)).unwrap_or(0);
    let from = (at.saturating_sub(AROUND)..=at).find(|it| text.is_char_boundary(*it)).unwrap_or(at);
    let shown = base::text::line(&text[from..], 2 * AROUND);
    if from > 0 { format!("…{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, SessionPatch};
    use serde_json::json;

    fn store() -> Store {
        let mut store = Store::open_in_memory().expect("opens");
        let talk = [
            ("a", "main", "user", "Where is the Blue whale?"),
            ("a", "main", "assistant", "A blue WHALE and another whale are in the Öresund."),
            ("b", "ops", "user", "the whale of ops said \"hi\""),
            ("b", "ops", "toolResult", "whale"),
        ];
        for (at, (key, agent, role, text)) in talk.into_iter().enumerate() {
            store.ensure_session(key, agent, None).expect("made");
            let message = json!({"role": role, "content": [{"type": "text", "text": text}]});
            let record = Record { role: role.to_owned(), message, at: at as u64 };
            store.append_one(key, &record).expect("said");
        }
        store
    }

    #[track_caller]
    fn check(wanted: Wanted, expected: &[&str]) {
        let (hits, _) = store().search(&Wanted { limit: 10, ..wanted }).expect("read");
        let found: Vec<String> = hits.iter().map(|it| format!("{}/{}", it.key, it.at)).collect();
        assert_eq!(found, expected);
    }

    fn text(text: &str) -> Wanted {
        Wanted { text: text.to_owned(), ..Wanted::default() }
    }

    #[test]
    fn all_words_in_any_case_and_the_best_first() {
        check(text("whale"), &["a/1", "a/0", "b/2"]);
        check(text("BLUE whale"), &["a/1", "a/0"]);
        check(text("öresund"), &["a/1"]);
        check(text("\"HI\""), &["b/2"]);
        check(text("type"), &[]);
        check(text("  "), &[]);
        check(Wanted { agent_id: Some("ops".into()), ..text("whale") }, &["b/2"]);
        check(Wanted { keys: Some(vec!["a".into()]), ..text("whale") }, &["a/1", "a/0"]);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let it = store();
        let cut = |limit, most| {
            let wanted = Wanted { limit, ..text("whale") };
            search(&it.connection, &wanted, most).expect("read").1
        };
        assert_eq!([cut(3, 100), cut(2, 100), cut(3, 2)], [false, true, true]);
    }

    #[test]
    fn the_snippet_stands_around_the_word() {
        let long = format!("{} İstanbul Needle {}", "ä".repeat(200), "x".repeat(500));
        let shown = snippet(&long, &["needle".to_owned()]);
        assert!(shown.starts_with('…') && shown.contains("Needle x") && shown.len() < 200, "{shown}");
    }

    #[test]
    fn categories_are_counted() {
        let mut it = store();
        for key in ["a", "b"] {
            let traits = json!({"category": "Work"}).as_object().expect("a map").clone();
            let patch = SessionPatch { traits, ..SessionPatch::default() };
            it.patch_session(key, "main", &crate::Expected::default(), &patch).expect("changed");
        }
        assert_eq!(it.categories().expect("read"), [("Work".to_owned(), 2)]);
    }
}
