//! `wizard.*`: the set-up of this instance, walked from afar.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::random;
use protocol::Refusal;
use protocol::wizard::{NextParams, Progress, SessionParams, StartParams, State, Word};
use serde_json::{Value, json};

use crate::state::Gateway;
use crate::table::Caller;
use crate::wizard::{self, At, Given, Setting, Wizard};

/// A walk that nobody goes on with for so long keeps nobody else from one.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);

/// The walk that is under way, if any, or the last one that ended.
#[derive(Default)]
pub(crate) struct Walk(Mutex<Option<Session>>);

struct Session {
    id: String,
    /// When it was last asked for.
    touched: Instant,
    /// Absent while an answer is being tried out, and after the end.
    wizard: Option<Wizard>,
    status: Word,
    error: Option<String>,
}

pub(super) async fn start(caller: Caller, params: StartParams) -> Result<Progress, Refusal> {
    let gateway = &caller.gateway;
    if let Some(mode) = params.mode.filter(|it| it != "local") {
        let mode = base::text::line(&mode, 40);
        return Err(Refusal::invalid(format!(
            "mode \"{mode}\": a gateway is set up on its own host; use \"local\""
        )));
    }
    let id = random::hex::<16>();
    // Taken before anything is looked for, so that two that come at once are not both let in.
    gateway.walk.begin(&id)?;
    let _lent = Lent { walk: &gateway.walk, id: &id };
    let begun = begin(gateway, params.workspace, params.flow).await;
    let wizard = match begun {
        Ok(it) => it,
        Err(refusal) => {
            gateway.walk.end(&id, Word::Error, Some(refusal.message.clone()));
            return Err(refusal);
        }
    };
    let progress = walk_on(gateway, &id, wizard, None).await;
    Ok(Progress { session_id: Some(id.clone()), ..progress })
}

pub(super) async fn next(caller: Caller, params: NextParams) -> Result<Progress, Refusal> {
    let gateway = &caller.gateway;
    let mut wizard = match gateway.walk.take(&params.session_id)? {
        Ok(it) => it,
        Err(ended) => return Ok(ended),
    };
    let _lent = Lent { walk: &gateway.walk, id: &params.session_id };
    let mut error = None;
    if let (Some(answer), At::Ask(step)) = (params.answer, wizard.at()) {
        if answer.step_id != step.id {
            error = Some(format!("the step that waits is {}", step.id));
        } else if answer.back {
            if !wizard.back() {
                error = Some("this is the first step".to_owned());
            }
        } else if let Err(mistake) = wizard.answer(&answer.value.unwrap_or(Value::Null)) {
            error = Some(mistake.words);
        }
    }
    Ok(walk_on(gateway, &params.session_id, wizard, error).await)
}

pub(super) async fn cancel(caller: Caller, params: SessionParams) -> Result<State, Refusal> {
    let walk = &caller.gateway.walk;
    let state = walk.state(&params.session_id)?;
    if state.status == Word::Running {
        walk.end(&params.session_id, Word::Cancelled, None);
    }
    walk.state(&params.session_id)
}

pub(super) async fn status(caller: Caller, params: SessionParams) -> Result<State, Refusal> {
    caller.gateway.walk.state(&params.session_id)
}

async fn begin(
    gateway: &Gateway,
    workspace: Option<String>,
    flow: Option<String>,
) -> Result<Wizard, Refusal> {
    let (host, ambient) = (gateway.instance.host.clone(), gateway.ambient.clone());
    let looked = tokio::task::spawn_blocking(move || wizard::look(&host, &ambient)).await;
    let found = looked.map_err(|_| Refusal::unavailable("the host could not be looked at"))?;
    let mut given = Given::new();
    given.extend(workspace.map(|it| ("workspace".to_owned(), json!(it))));
    given.extend(flow.map(|it| ("flow".to_owned(), json!(it))));
    let (instance, ambient) = (gateway.instance.clone(), gateway.ambient.clone());
    let setting =
        Setting { instance, is_open: false, ambient, found, given, only: None, live: true, installs: false };
    Wizard::new(setting).map_err(|error| Refusal::unavailable(base::text::chain(&error)))
}

/// Tries out what was answered, and puts the walk back where the next request finds it.
async fn walk_on(gateway: &Gateway, id: &str, mut wizard: Wizard, error: Option<String>) -> Progress {
    while wizard.at() == At::Try {
        let Some(probe) = wizard.probe() else { break };
        wizard.tried(probe.run().await);
    }
    let said = wizard.said();
    match wizard.at() {
        At::Ask(step) => {
            let step = wizard::on_the_wire(&step, &said, error.as_deref());
            if gateway.walk.put(id, wizard) {
                return Progress {
                    session_id: None,
                    done: false,
                    step: Some(step),
                    status: Word::Running,
                    error,
                };
            }
            ended(Word::Cancelled, None)
        }
        At::Done => {
            // Cancelled while it was tried out: nothing is written then.
            if gateway.walk.state(id).is_ok_and(|it| it.status != Word::Running) {
                return ended(Word::Cancelled, None);
            }
            // A snapshot of all that is begun anew may take long.
            let finish = move || wizard.finish().err().map(|error| base::text::chain(&error));
            let failed = tokio::task::spawn_blocking(finish).await;
            let error =
                failed.unwrap_or_else(|_| Some("a fault of the gateway; its log says more".to_owned()));
            let status = if error.is_some() { Word::Error } else { Word::Done };
            gateway.walk.end(id, status, error.clone());
            ended(status, error)
        }
        At::Refused(mistake) => {
            let words = format!("{}: {}", mistake.step, mistake.words);
            gateway.walk.end(id, Word::Error, Some(words.clone()));
            ended(Word::Error, Some(words))
        }
        At::Cancelled | At::Try => {
            gateway.walk.end(id, Word::Cancelled, None);
            ended(Word::Cancelled, None)
        }
    }
}

fn ended(status: Word, error: Option<String>) -> Progress {
    Progress { session_id: None, done: true, step: None, status, error }
}

impl Walk {
    fn begin(&self, id: &str) -> Result<(), Refusal> {
        let mut session = self.lock();
        if session.as_ref().is_some_and(|it| it.status == Word::Running && it.touched.elapsed() < FORGOTTEN) {
            return Err(Refusal::unavailable("wizard already running"));
        }
        *session = Some(Session::new(id, Word::Running, None));
        Ok(())
    }

    /// Takes the walk out for an answer; or says how it ended.
    fn take(&self, id: &str) -> Result<Result<Wizard, Progress>, Refusal> {
        let mut session = self.lock();
        let session = session.as_mut().filter(|it| it.id == id).ok_or_else(unknown)?;
        if session.status != Word::Running {
            return Ok(Err(ended(session.status, session.error.clone())));
        }
        let busy = || Refusal::unavailable("the last answer is still being tried out").retryable();
        session.wizard.take().map(Ok).ok_or_else(busy)
    }

    /// Puts it back; false where it was cancelled meanwhile.
    fn put(&self, id: &str, wizard: Wizard) -> bool {
        match self.lock().as_mut().filter(|it| it.id == id && it.status == Word::Running) {
            Some(session) => {
                session.wizard = Some(wizard);
                session.touched = Instant::now();
                true
            }
            None => false,
        }
    }

    fn end(&self, id: &str, status: Word, error: Option<String>) {
        if let Some(session) = self.lock().as_mut().filter(|it| it.id == id) {
            *session = Session::new(id, status, error);
        }
    }

    fn state(&self, id: &str) -> Result<State, Refusal> {
        let session = self.lock();
        let session = session.as_ref().filter(|it| it.id == id).ok_or_else(unknown)?;
        Ok(State { status: session.status, error: session.error.clone() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new(id: &str, status: Word, error: Option<String>) -> Self {
        Self { id: id.to_owned(), touched: Instant::now(), wizard: None, status, error }
    }
}

/// A walk that was taken out. Where whoever asked for it goes away before it is put back, it is over.
struct Lent<'a> {
    walk: &'a Walk,
    id: &'a str,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let lost = |it: &&mut Session| it.id == self.id && it.status == Word::Running && it.wizard.is_none();
        if let Some(session) = self.walk.lock().as_mut().filter(lost) {
            session.status = Word::Cancelled;
        }
    }
}

fn unknown() -> Refusal {
    Refusal::invalid("wizard not found")
}
