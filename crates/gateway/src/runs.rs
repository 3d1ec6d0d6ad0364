//! Turns that were asked for: accepted once they are on disk, one at a time in a session, known by their key.

mod extras;
mod joining;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::turn::Stop;
use base::clock;
use protocol::{Code, Refusal};
use providers::Image;
use store::{Accepted, Expected, NewRun, RunStatus, StoreError};
use tokio::sync::{Notify, oneshot, watch};
use tracing::debug;

use crate::driver;
use crate::keys::SessionKey;
use crate::limits::{MESSAGE_BYTES, QUEUED_RUNS, REMEMBERED_RUNS};
use crate::state::Gateway;
use crate::supervisor::Stage;
pub(crate) use extras::{Extras, Told};
pub(crate) use joining::Waits;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The caller's idempotency key.
    pub(crate) run_id: String,
    /// The conversation.
    pub(crate) key: SessionKey,
    /// What the person says.
    pub(crate) message: String,
    /// The most it may take; the config's value when absent.
    pub(crate) limit: Option<Duration>,
    /// Put after the system prompt.
    pub(crate) extra: Option<String>,
    /// What must be so of the conversation.
    pub(crate) expected: Expected,
    /// What the person shows.
    pub(crate) images: Vec<Image>,
    /// How much the model is to think; as the conversation says when absent.
    pub(crate) thinking: Option<String>,
    /// Whether it may become a part of a turn under way.
    pub(crate) joins: Joins,
}

/// Whether a message that waits may become a part of another's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Joins {
    /// It has a turn of its own.
    #[default]
    Nobody,
    /// The turn under way, before it asks the model again.
    TheTurnUnderWay,
    /// The turn of one before it that waits as well.
    ThoseThatWait,
}

impl Ask {
    /// A message, and nothing else.
    pub(crate) fn new(run_id: String, key: SessionKey, message: String) -> Self {
        Self {
            run_id,
            key,
            message,
            limit: None,
            extra: None,
            expected: Expected::default(),
            images: Vec::new(),
            thinking: None,
            joins: Joins::default(),
        }
    }
}

/// One turn under way, as those see it who did not start it.
#[derive(Debug)]
pub(crate) struct Run {
    /// What was asked for.
    pub(crate) ask: Ask,
    /// Unix milliseconds.
    pub(crate) accepted_at: u64,
    /// What it was given over HTTP.
    pub(crate) extras: Extras,
    /// Whether its answer was cut at the bound of tokens.
    pub(crate) was_cut: AtomicBool,
    stop: watch::Sender<Option<Stop>>,
    ended: watch::Sender<Option<Arc<Ended>>>,
    text: Mutex<String>,
    /// The place of the last record that was told of.
    told: AtomicU64,
    /// Whether it is on disk, and whether it has become a part of another turn.
    pub(crate) waits: Waits,
}

/// How a turn ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// In one word.
    pub(crate) how: How,
    /// What was said, or said so far.
    pub(crate) text: String,
    /// Unix milliseconds.
    pub(crate) started_at: u64,
    /// Unix milliseconds.
    pub(crate) ended_at: u64,
    /// The transcript's id.
    pub(crate) session_id: String,
    /// `provider/model`.
    pub(crate) model: String,
    /// Tokens in and out.
    pub(crate) usage: (u64, u64),
}

/// How a turn ended, in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// With an answer.
    Answered,
    /// It was stopped, for this reason on the wire.
    Stopped(&'static str),
    /// It failed; for people.
    Failed(String),
}

/// What became of a request for a command.
pub(crate) enum Claimed {
    /// It is to be answered.
    New,
    /// It was asked for before and is being answered.
    UnderWay,
    /// It was asked for before and has been answered.
    Over(Arc<Ended>),
}

/// What became of a request for a turn.
pub(crate) enum Started {
    /// It is on disk, and begins.
    New(Arc<Run>),
    /// It was asked for before and is under way.
    UnderWay(Arc<Run>),
    /// It was asked for before and has ended.
    Over(store::Run),
}

/// The turns of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    active: Mutex<HashMap<String, Arc<Run>>>,
    lanes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Commands that are being answered, by key.
    commands: Mutex<HashSet<String>>,
    over: Mutex<VecDeque<(String, Arc<Ended>)>>,
    /// Told when the last turn under way has ended.
    idle: Notify,
    /// Unix milliseconds; 0 while nothing came in.
    received_at: AtomicU64,
}

impl Ended {
    /// How a command ended, which no model answers.
    pub(crate) fn of_command(answer: Result<String, Refusal>, started_at: u64) -> Self {
        let (how, text) = match answer {
            Ok(text) => (How::Answered, text),
            Err(refusal) => (How::Failed(refusal.message), String::new()),
        };
        Self {
            how,
            text,
            started_at,
            ended_at: clock::now_ms(),
            session_id: String::new(),
            model: "gateway/command".to_owned(),
            usage: (0, 0),
        }
    }
}

impl Run {
    /// Asks it to stop. False when it has been asked already.
    pub(crate) fn stop(&self, why: Stop) -> bool {
        self.stop.send_if_modified(|it| it.is_none().then(|| *it = Some(why)).is_some())
    }

    /// Waits until somebody asks it to stop.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut watch = self.stop.subscribe();
        let why = watch.wait_for(Option::is_some).await.ok().and_then(|it| *it);
        match why {
            Some(why) => why,
            // The sender is in this run itself, so this is never reached.
            None => std::future::pending().await,
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Arc<Ended> {
        let mut watch = self.ended.subscribe();
        let ended = watch.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match ended {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// What was said so far.
    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The place of the last record of it that was told of.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Notes up to which place its records were told of.
    pub(crate) fn tells(&self, place: u64) {
        self.told.store(place, Ordering::Relaxed);
    }

    /// Adds to what was said; an empty text begins a new answer.
    pub(crate) fn says(&self, more: &str) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if more.is_empty() {
            text.clear();
        }
        text.push_str(more);
        if let Some(told) = &self.extras.told {
            // Whoever listened may have gone.
            let _ = told.send(if more.is_empty() { Told::Anew } else { Told::More(more.to_owned()) });
        }
    }
}

impl Runs {
    /// The turn with this key, while it is under way.
    pub(crate) fn active(&self, run_id: &str) -> Option<Arc<Run>> {
        lock(&self.active).get(run_id).cloned()
    }

    /// The turns of a session that are under way, the oldest first.
    pub(crate) fn of_session(&self, key: &SessionKey) -> Vec<Arc<Run>> {
        let mut runs: Vec<_> = lock(&self.active).values().filter(|it| it.ask.key == *key).cloned().collect();
        runs.sort_by_key(|it| it.accepted_at);
        runs
    }

    /// The turns under way, by the key of their session.
    pub(crate) fn by_session(&self) -> HashMap<String, Vec<String>> {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for it in lock(&self.active).values() {
            all.entry(it.ask.key.as_str().to_owned()).or_default().push(it.ask.run_id.clone());
        }
        all
    }

    /// Asks for a command by its key: the same key is the same command.
    ///
    /// # Errors
    /// When the key is none.
    pub(crate) fn claim(&self, run_id: &str) -> Result<Claimed, Refusal> {
        check_id(run_id)?;
        if let Some(ended) = self.over(run_id) {
            return Ok(Claimed::Over(ended));
        }
        let is_new = self.active(run_id).is_none() && lock(&self.commands).insert(run_id.to_owned());
        Ok(if is_new { Claimed::New } else { Claimed::UnderWay })
    }

    /// A command has been answered.
    pub(crate) fn answered(&self, run_id: &str, ended: Ended) {
        self.remember(run_id, Arc::new(ended));
        lock(&self.commands).remove(run_id);
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        lock(&self.active).len()
    }

    /// Waits until the last turn under way has ended; one that ended before it was waited for counts.
    pub(crate) async fn idle(&self) {
        self.idle.notified().await;
    }

    /// When something was last asked for since the start, in Unix milliseconds.
    pub(crate) fn received_at(&self) -> Option<u64> {
        Some(self.received_at.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }

    /// How a turn that was not long ago ended.
    pub(crate) fn over(&self, run_id: &str) -> Option<Arc<Ended>> {
        lock(&self.over).iter().find(|(id, _)| id == run_id).map(|(_, it)| it.clone())
    }

    /// Asks all of them to stop.
    pub(crate) fn stop_all(&self, why: Stop) {
        for run in lock(&self.active).values() {
            run.stop(why);
        }
    }

    /// One turn at a time in a session, in the order in which they came.
    fn lane(&self, key: &SessionKey) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.lanes).entry(key.as_str().to_owned()).or_default().clone()
    }

    /// Forgets a lane in which nobody waits: only the map and its last user know it.
    fn leave(&self, key: &SessionKey) {
        let mut lanes = lock(&self.lanes);
        if lanes.get(key.as_str()).is_some_and(|it| Arc::strong_count(it) <= 2) {
            lanes.remove(key.as_str());
        }
    }

    fn remember(&self, run_id: &str, ended: Arc<Ended>) {
        let mut over = lock(&self.over);
        over.push_back((run_id.to_owned(), ended));
        if over.len() > REMEMBERED_RUNS {
            over.pop_front();
        }
    }

    fn finish(&self, run: &Run, ended: Ended) {
        let ended = Arc::new(ended);
        self.remember(&run.ask.run_id, ended.clone());
        let is_idle = {
            let mut active = lock(&self.active);
            active.remove(&run.ask.run_id);
            active.is_empty()
        };
        if is_idle {
            self.idle.notify_one();
        }
        self.leave(&run.ask.key);
        run.ended.send_replace(Some(ended));
    }
}

impl Gateway {
    /// Takes a request for a turn: it is on disk when this returns, and will be answered or reported.
    ///
    /// # Errors
    /// When it cannot be stored, or too many wait in the session.
    pub(crate) async fn accept(self: &Arc<Self>, ask: Ask) -> Result<Started, Refusal> {
        self.accept_with(ask, Extras::default()).await
    }

    /// As [`Gateway::accept`], for a turn that is given more.
    pub(crate) async fn accept_with(self: &Arc<Self>, ask: Ask, extras: Extras) -> Result<Started, Refusal> {
        if let Some(run) = self.runs.active(&ask.run_id) {
            return Ok(Started::UnderWay(run));
        }
        self.check(&ask)?;
        let accepted_at = clock::now_ms();
        let run = Arc::new(Run {
            accepted_at,
            stop: watch::Sender::new(None),
            ended: watch::Sender::new(None),
            text: Mutex::default(),
            was_cut: AtomicBool::new(false),
            extras,
            told: AtomicU64::new(u64::MAX),
            waits: Waits::default(),
            ask,
        });
        self.runs.received_at.store(accepted_at, Ordering::Relaxed);
        // Known before it is on disk: a second request with the same key meanwhile is the same request.
        lock(&self.runs.active).insert(run.ask.run_id.clone(), run.clone());
        let (told, stored) = oneshot::channel();
        self.begin(run.clone(), told);
        let stored = stored.await.unwrap_or_else(|_| Err(Refusal::unavailable("the gateway stops")));
        Ok(match stored? {
            Accepted::New => Started::New(run),
            Accepted::Known(known) => Started::Over(known),
        })
    }

    fn check(&self, ask: &Ask) -> Result<(), Refusal> {
        check_id(&ask.run_id)?;
        if self.force().agents.find(ask.key.agent()).is_none() {
            return Err(crate::agents::not_found(ask.key.agent()));
        }
        if ask.message.trim().is_empty() && ask.images.is_empty() {
            return Err(Refusal::invalid("the message is empty"));
        }
        if ask.message.len() > MESSAGE_BYTES {
            return Err(Refusal::invalid(format!(
                "the message has {} bytes, more than the {MESSAGE_BYTES} allowed",
                ask.message.len()
            )));
        }
        if self.runs.of_session(&ask.key).len() >= QUEUED_RUNS {
            let text = format!(
                "The server is busy: {QUEUED_RUNS} messages wait in session {} already",
                ask.key.as_str()
            );
            return Err(Refusal::unavailable(text).retryable());
        }
        Ok(())
    }

    async fn store_run(&self, run: &Run) -> Result<Accepted, Refusal> {
        let Ask { run_id, key, message, images, .. } = &run.ask;
        let entry = agent::Entry::User { text: message.clone(), images: images.clone() };
        let new = NewRun {
            run_id: run_id.clone(),
            session_key: key.as_str().to_owned(),
            message: entry.to_message(run.accepted_at),
            accepted_at: run.accepted_at,
            expected: run.ask.expected.clone(),
        };
        let agent = key.agent().to_owned();
        let stored = self.archive.with(move |store| store.accept_run(&new, &agent)).await;
        stored.map_err(|error| self.store_refusal("the message was not accepted", &error))
    }

    /// Does `work` while no turn runs in a session; those that come meanwhile wait.
    pub(crate) async fn alone<T>(&self, key: &SessionKey, work: impl Future<Output = T>) -> T {
        let lane = self.runs.lane(key);
        let done = {
            let _alone = lane.lock().await;
            work.await
        };
        self.runs.leave(key);
        done
    }

    /// A failure of the store, as a caller is told of it; `health` says the same.
    pub(crate) fn store_refusal(&self, what: &str, error: &StoreError) -> Refusal {
        match error {
            StoreError::Moved { .. } | StoreError::LabelTaken { .. } | StoreError::Silenced { .. } => {
                return Refusal::invalid(error.to_string());
            }
            StoreError::InUse { .. } => return Refusal::unavailable(error.to_string()).retryable(),
            _ => {}
        }
        let text = format!("{what} by instance {}: {}", self.instance.name, base::text::chain(error));
        if error.is_fault() {
            self.note("store", Some(text.clone()));
        }
        Refusal::new(Code::Unavailable, text)
    }

    /// Stores and runs a turn, whether or not the connection that asked for it is still there.
    fn begin(self: &Arc<Self>, run: Arc<Run>, told: oneshot::Sender<Result<Accepted, Refusal>>) {
        let gateway = self.clone();
        let name = format!("turn {}", run.ask.run_id);
        self.supervisor.start(Stage::Work, &name, |stop| async move {
            let stored = gateway.store_run(&run).await;
            let is_new = matches!(stored, Ok(Accepted::New));
            if !is_new {
                lock(&gateway.runs.active).remove(&run.ask.run_id);
            }
            // Whoever asked may be gone; the message is on disk and gets its turn.
            let _ = told.send(stored);
            if !is_new {
                return;
            }
            run.waits.is_stored();
            debug!(run = run.ask.run_id, session = run.ask.key.as_str(), "accepted");
            let lane = gateway.runs.lane(&run.ask.key);
            let turn = async {
                let _alone = lane.lock().await;
                if run.waits.has_joined() {
                    return driver::joined(&gateway, &run);
                }
                gateway.tell_changed(&run.ask.key, "start", Some(&run.ask.run_id)).await;
                driver::drive(&gateway, &run).await
            };
            let ended = tokio::select! {
                biased;
                ended = turn => ended,
                ended = abandoned(&run, stop) => ended,
            };
            gateway.counters.ended(&ended.how);
            gateway.runs.finish(&run, ended);
            gateway.tell_changed(&run.ask.key, "end", Some(&run.ask.run_id)).await;
            gateway.look_at_sessions().await;
        });
    }
}

/// At shutdown a turn is asked to stop, and does so by itself; this never ends before that.
async fn abandoned(run: &Run, stop: tokio_util::sync::CancellationToken) -> Ended {
    stop.cancelled().await;
    run.stop(Stop::Shutdown);
    std::future::pending().await
}

/// Whether a run that the store knows has ended well.
pub(crate) fn word_of(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued | RunStatus::Running => "in_flight",
        _ => "ok",
    }
}

fn check_id(run_id: &str) -> Result<(), Refusal> {
    if run_id.is_empty() || run_id.len() > 256 {
        return Err(Refusal::invalid("idempotencyKey must have 1 to 256 bytes"));
    }
    Ok(())
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
