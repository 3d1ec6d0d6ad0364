//! The original's conversations: which there are, in its files and in its databases, and where their transcripts
//! are.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use profile::Document;
use serde_json::Value;
use serde_json::value::RawValue;
use store::{ImportOutcome, NewSession, Store, StoreError};

use super::database::Database;
use super::message::{number, time};
use super::report::{Finding, Kind, SessionCounts, count};
use super::transcript::{Origin, Outline, Tally};
use super::{ImportError, Source, vendor_of};

/// The most bytes that the list of an agent's conversations may have.
const LARGEST_LIST: u64 = 64 * 1024 * 1024;
/// The most bytes that a session key may have.
const LONGEST_KEY: usize = 512;

/// A conversation of the original.
pub(super) struct Found {
    pub(super) session: NewSession,
    origin: Origin,
}

/// All of them, and what is to be told of the rest.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) found: Vec<Found>,
    rows: Vec<Finding>,
    bad_entries: u64,
    twins: u64,
    other_models: u64,
    older: u64,
}

/// An agent's folder, and its database where it has one.
pub(super) struct Agent {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    pub(super) database: Option<Rc<Database>>,
}

/// Finds every conversation. What the newest version has in its database goes before what an older one left in
/// files.
pub(super) fn gather(source: &Source<'_>, config: Option<&Document>, agents: &[Agent]) -> Gathered {
    let mut all = Gathered::default();
    let own = config.and_then(|it| it.get("session.store")).and_then(Value::as_str);
    for agent in agents {
        if let Some(database) = agent.database.as_ref().filter(|it| it.has("session_nodes")) {
            all.of_database(source, config, agent, database);
        }
        let list = match own {
            Some(text) => source.ambient.path(&text.replace("{agentId}", &agent.id)),
            None => agent.folder.join("sessions/sessions.json"),
        };
        all.of_file(source, config, agent, &list);
    }
    all.settle();
    all
}

impl Gathered {
    fn of_database(
        &mut self,
        source: &Source<'_>,
        config: Option<&Document>,
        agent: &Agent,
        database: &Rc<Database>,
    ) {
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let sql = "SELECT session_key, entry_json FROM session_nodes ORDER BY session_key";
            let mut statement = database.connection.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        match read() {
            Ok(rows) => {
                for (key, text) in rows {
                    let entry = serde_json::from_str(&text).unwrap_or_default();
                    let origin = |id: &str| Origin::Database(Rc::clone(database), id.to_owned());
                    self.add(source, config, (&agent.id, &key, &entry), origin);
                }
            }
            Err(error) => self.unreadable(&agent.id, &error.to_string()),
        }
        self.older += database.count("session_transcript_archives");
        if database.has("session_windows") {
            let sql = "
                SELECT count(*) FROM session_windows
                WHERE session_id NOT IN (SELECT current_session_id FROM session_nodes)";
            let found = database.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            self.older += found.ok().and_then(|it| u64::try_from(it).ok()).unwrap_or_default();
        }
        let cold = database.count("session_transcript_cold_archives");
        if cold > 0 {
            let why = "the original has put them into cold storage, which is not opened here";
            let what = format!("agent {}: {}", agent.id, count(cold, "transcript"));
            self.rows.push(Finding::stays(Kind::Sessions, what, why));
        }
    }

    fn of_file(&mut self, source: &Source<'_>, config: Option<&Document>, agent: &Agent, list: &Path) {
        let Ok(found) = fs::metadata(list) else { return };
        if found.len() > LARGEST_LIST {
            return self.unreadable(&agent.id, &format!("{} has more than 64 MiB", list.display()));
        }
        let entries = fs::read(list).map_err(|it| it.to_string()).and_then(|bytes| {
            let read = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(&bytes);
            read.map_err(|error| format!("{}: {error}", list.display()))
        });
        let entries = match entries {
            Ok(it) => it,
            Err(why) => return self.unreadable(&agent.id, &why),
        };
        let folder = list.parent().unwrap_or(&agent.folder);
        for (key, raw) in entries {
            let entry: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let named = entry["sessionFile"].as_str().map(PathBuf::from);
            let origin = |id: &str| transcript(folder, named.as_deref(), id);
            self.add(source, config, (&agent.id, &key, &entry), origin);
        }
        self.older += unlisted(folder, &self.found);
    }

    fn unreadable(&mut self, agent: &str, why: &str) {
        let what = format!("conversations of agent {agent}");
        self.rows.push(Finding::stays(
            Kind::Sessions,
            what,
            format!("the list of them cannot be read: {why}"),
        ));
    }

    fn add(
        &mut self,
        source: &Source<'_>,
        config: Option<&Document>,
        (agent, key, entry): (&str, &str, &Value),
        origin: impl Fn(&str) -> Origin,
    ) {
        let id = entry["sessionId"].as_str().filter(|it| is_name(it));
        let (Some(session_id), Some((key, agent_id))) = (id, canonical(key, agent)) else {
            self.bad_entries += 1;
            return;
        };
        let named = |key: &str| entry[key].as_str().filter(|it| !it.trim().is_empty());
        let choice = match (named("providerOverride"), named("modelOverride")) {
            (Some(provider), Some(model)) => Some((provider, model)),
            (None, Some(model)) => model.split_once('/'),
            _ => None,
        };
        let model = choice.and_then(|(provider, model)| model_of(source, config, provider, model));
        self.other_models += u64::from(choice.is_some() && model.is_none());
        let updated_at = time(&entry["updatedAt"]).unwrap_or_default();
        let created_at = ["createdAt", "sessionStartedAt"].iter().find_map(|it| time(&entry[*it]));
        let session = NewSession {
            key,
            agent_id,
            session_id: session_id.to_owned(),
            label: named("label").map(str::to_owned),
            model,
            created_at: created_at.unwrap_or(updated_at),
            updated_at,
            input_tokens: number(&entry["inputTokens"]).unwrap_or_default(),
            output_tokens: number(&entry["outputTokens"]).unwrap_or_default(),
            aborted_last_run: entry["abortedLastRun"].as_bool().unwrap_or_default(),
        };
        self.found.push(Found { session, origin: origin(session_id) });
    }

    /// One conversation a key and one key a conversation: the original lists a job's run under two keys, of which
    /// the shorter one is the job's.
    fn settle(&mut self) {
        let mut keys = HashSet::new();
        self.found.retain(|it| keys.insert(it.session.key.clone()));
        self.found.sort_by(|a, b| {
            (a.session.key.len(), &a.session.key).cmp(&(b.session.key.len(), &b.session.key))
        });
        let before = self.found.len();
        let mut ids = HashSet::new();
        self.found.retain(|it| ids.insert(it.session.session_id.clone()));
        self.twins = (before - self.found.len()) as u64;
    }

    /// The rows, for which every transcript is gone through once.
    pub(super) fn rows(&self) -> Vec<Finding> {
        let mut rows = self.rows.clone();
        let (mut all, mut missing, mut broken) = (Tally::default(), 0, Vec::new());
        for it in &self.found {
            match it.outline() {
                Ok(outline) => all.add(outline.tally),
                Err(error) => broken.push(format!("{} ({error})", it.session.key)),
            }
            missing += u64::from(matches!(it.origin, Origin::Missing));
        }
        if !self.found.is_empty() {
            let sessions = count(self.found.len() as u64, "conversation");
            let what = format!("{sessions} with {}", count(all.kept, "message"));
            rows.insert(0, Finding::comes(Kind::Sessions, what));
        }
        let mut stays = |number: u64, one: &str, why: &str| {
            if number > 0 {
                rows.push(Finding::stays(Kind::Sessions, count(number, one), why));
            }
        };
        stays(missing, "transcript", "the file is missing; the conversation comes without messages");
        stays(broken.len() as u64, "transcript", &format!("cannot be read: {}", broken.join(", ")));
        let aside = "of branches that were left, or from before the conversation was started anew with /new";
        stays(all.aside, "message", aside);
        let places = all.bad_places.join(", ");
        stays(
            all.bad,
            "bad line",
            &format!("torn, longer than 16 MiB, or no entry of a transcript: {places}"),
        );
        for (kind, number) in &all.unknown {
            stays(*number, "transcript entry", &format!("kind `{kind}` has no meaning here"));
        }
        stays(
            self.older,
            "older transcript",
            "their conversations were started anew since, under the same keys",
        );
        stays(self.bad_entries, "conversation entry", "it names no session id, or its key is none");
        stays(self.twins, "session key", "it names a conversation that comes under another key");
        stays(
            self.other_models,
            "chosen model",
            "its provider is not known here; the conversation comes with the default",
        );
        rows
    }
}

impl Found {
    fn outline(&self) -> std::io::Result<Outline> {
        Outline::of(&self.origin)
    }

    /// Takes the conversation over, in one step.
    pub(super) fn import(&self, store: &mut Store, counts: &mut SessionCounts) -> Result<(), ImportError> {
        let key = &self.session.key;
        let outline = self.outline();
        let records = outline
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|outline| outline.records(self.session.created_at).map_err(|error| error.to_string()));
        let mut records = match records {
            Ok(it) => it,
            Err(why) => {
                counts.failed.push(format!("{key}: {why}"));
                return Ok(());
            }
        };
        match store.import_session(&self.session, &mut records) {
            Ok(ImportOutcome::New { records }) => {
                counts.new += 1;
                counts.messages += records;
            }
            Ok(ImportOutcome::Grown { records } | ImportOutcome::Replaced { records }) => {
                counts.updated += 1;
                counts.messages += records;
            }
            Ok(ImportOutcome::Same) => counts.same += 1,
            Ok(ImportOutcome::Continued) => counts.continued.push(key.clone()),
            Err(error @ (StoreError::SessionIdTaken { .. } | StoreError::Source { .. })) => {
                counts.failed.push(format!("{key}: {}", base::text::chain(&error)));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.kept += other.kept;
        self.aside += other.aside;
        self.bad += other.bad;
        self.bad_places.extend(other.bad_places);
        self.bad_places.truncate(super::transcript::TOLD);
        for (kind, number) in other.unknown {
            *self.unknown.entry(kind).or_default() += number;
        }
    }
}

/// Where a file's transcript is. A path that leads out of the folder counts by its last part, as it may be that of
/// another machine.
fn transcript(folder: &Path, named: Option<&Path>, session_id: &str) -> Origin {
    let named = named.and_then(Path::file_name).map(|it| folder.join(it));
    let plain = folder.join(format!("{session_id}.jsonl"));
    named.into_iter().chain([plain]).find(|it| it.is_file()).map_or(Origin::Missing, Origin::File)
}

/// How many transcripts of a folder no conversation names.
fn unlisted(folder: &Path, found: &[Found]) -> u64 {
    let named: HashSet<&Path> = found
        .iter()
        .filter_map(|it| if let Origin::File(path) = &it.origin { Some(path.as_path()) } else { None })
        .collect();
    let entries = fs::read_dir(folder).map(|it| it.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let is_transcript = |it: &Path| {
        let name = it.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        name.contains(".jsonl") && !name.ends_with(".lock")
    };
    let files = entries.into_iter().map(|it| it.path());
    files.filter(|it| is_transcript(it) && !named.contains(it.as_path())).count() as u64
}

/// A session key in the gateway's form, with its agent. What does not begin with `agent:` belongs to the agent in
/// whose list it is.
fn canonical(key: &str, agent: &str) -> Option<(String, String)> {
    let key = key.trim();
    let (agent, rest) = match key.strip_prefix("agent:") {
        Some(it) => it.split_once(':')?,
        None => (agent, key),
    };
    let whole = format!("agent:{agent}:{rest}");
    let is_good = !agent.is_empty() && !rest.is_empty() && whole.len() <= LONGEST_KEY;
    (is_good && !whole.chars().any(char::is_control)).then(|| (whole, agent.to_owned()))
}

/// Whether it is one name within a folder.
fn is_name(text: &str) -> bool {
    let is_good = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_' | '.' | ':');
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(is_good)
}

/// `provider/model`, where the gateway will know the provider.
fn model_of(source: &Source<'_>, config: Option<&Document>, provider: &str, model: &str) -> Option<String> {
    let configured = config.and_then(|it| it.get("models.providers")?.get(provider));
    if configured.is_some_and(|it| it["baseUrl"].is_string()) {
        return Some(format!("{provider}/{model}"));
    }
    vendor_of(source, provider).map(|(vendor, _)| format!("{vendor}/{model}"))
}
