//! Does what a turn asks for: asks the model, runs tools, saves, tells; and feeds back what happened.

mod manner;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent::context::{self, Setting};
use agent::tools::{Risk, Tool};
use agent::turn::{End, Stop};
use agent::{Effect, Entry, Event, Outcome, Turn, Workbench, workspace};
use base::clock;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use profile::ambient::TOOL_SESSION_VARIABLE;
use providers::route::{self, Retry};
use providers::{DeltaStream, ErrorKind, ModelError, ToolCall};
use store::{Record, RunEnd, RunStatus, StoreError, StoredRecord};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::approvals::{Held, Wish, guarded};
use crate::models::Choice;
use crate::rows::{SUMMARY, for_model};
use crate::runs::{Ended, How, Run};
use crate::state::Gateway;
use crate::teller::Teller;

pub(crate) use manner::ShowsTools;
use manner::{Manner, hear_more};
pub(crate) use settings::{AgentSettings, Identity, Settings};

/// What stands in the place of a result until the caller brings it.
const HANDED_OVER: &str = "(the caller runs this tool: its result follows in the next message)";

/// Runs one turn from its start to its end, and returns how it ended. Everybody was told of it then.
pub(crate) async fn drive(gateway: &Arc<Gateway>, run: &Run) -> Ended {
    let started_at = clock::now_ms();
    let mut ended = Ended {
        how: How::Answered,
        text: String::new(),
        started_at,
        ended_at: started_at,
        session_id: String::new(),
        model: String::new(),
        usage: (0, 0),
    };
    match begin(gateway, run, started_at).await {
        Ok(ready) => {
            ended.session_id = ready.session_id.clone();
            ended.model = ready.choice.name();
            finish(gateway, run, ready, &mut ended).await;
        }
        Err(words) => {
            let mut teller = Teller::new(&gateway.audience, run, "");
            teller.begins(started_at);
            teller.failed(&words, "", None);
            save_failure(gateway, run, &words).await;
            ended.how = How::Failed(words);
        }
    }
    ended.ended_at = clock::now_ms();
    log(run, &ended);
    ended
}

/// The end of a run that has become a part of another's turn: the answer to both is told there.
pub(crate) fn joined(gateway: &Gateway, run: &Run) -> Ended {
    let now = clock::now_ms();
    let mut teller = Teller::new(&gateway.audience, run, "");
    teller.begins(now);
    teller.answered("", now);
    Ended {
        how: How::Answered,
        text: String::new(),
        started_at: now,
        ended_at: now,
        session_id: String::new(),
        model: String::new(),
        usage: (0, 0),
    }
}

/// A turn with all that it needs.
struct Ready {
    turn: Turn,
    choice: Choice,
    bench: Workbench,
    tools: Vec<&'static dyn Tool>,
    session_id: String,
    started_at: u64,
    manner: Manner,
}

async fn begin(gateway: &Arc<Gateway>, run: &Run, started_at: u64) -> Result<Ready, String> {
    let (run_id, key) = (run.ask.run_id.clone(), run.ask.key.as_str().to_owned());
    let late = gateway.late.clone();
    let opened = gateway.archive.with(move |store| {
        // The end of the turn before this one stands before its message.
        late.save(store)?;
        let history = store.start_run(&run_id, started_at)?;
        Ok((history, store.session(&key)?))
    });
    let (history, session) =
        opened.await.map_err(|error| gateway.store_refusal("the turn was not started", &error).message)?;
    if let Some(said) = history.last() {
        run.tells(said.seq - 1);
        gateway.tell_said(run).await;
    }
    let manner = Manner::of(session.as_ref());
    let own = || session.as_ref().and_then(|it| it.model.clone());
    let wished = run.extras.model.clone().or_else(own);
    let force = gateway.force();
    let id = run.ask.key.agent();
    let agent = force.agents.find(id).ok_or_else(|| crate::agents::not_found(id).message)?;
    let choice = gateway.choose_model_of(agent, wished.as_deref()).await.map_err(|it| it.message)?;
    let (settings, folder) = (&force.config, &agent.workspace);
    workspace::seed(folder, settings.agents.defaults.skip_bootstrap)
        .map_err(|error| format!("the workspace cannot be used: {}", base::text::chain(&error)))?;
    let limit = Duration::from_secs(settings.tools.exec.timeout_sec);
    let mut around = gateway.ambient.child(&gateway.instance.name);
    around.push((TOOL_SESSION_VARIABLE.to_owned(), run.ask.key.as_str().to_owned()));
    let bench = Workbench::open(folder, around, limit)
        .map_err(|error| format!("the workspace {} cannot be opened: {error}", folder.display()))?;
    let tools = agent.tools(&settings.tools);
    let extra = gateway.happenings.told(run.ask.key.as_str(), run.ask.extra.as_deref());
    let setting = Setting {
        instance: &gateway.instance.name,
        workspace: &folder.display().to_string(),
        now: started_at,
        extra: extra.as_deref(),
    };
    let pages = workspace::pages(folder, settings.agents.defaults.bootstrap_max_chars);
    let system = context::system(&setting, &pages);
    let room = choice.context_tokens.unwrap_or(settings.agents.defaults.context_tokens);
    let mut entries = entries(history);
    run.extras.put_before(&mut entries);
    let messages = context::messages(entries, &system, room);
    let specs = tools.iter().map(|it| it.spec()).chain(run.extras.tools.iter().cloned()).collect();
    let turn = Turn::new(choice.provider.id(), &choice.model, system, messages, specs)
        .with_longest_answer(run.extras.longest(choice.context_tokens.map(context::longest_answer)))
        .with_effort(manner.effort(run));
    let session_id = session.map(|it| it.session_id).unwrap_or_default();
    Ok(Ready { turn, choice, bench, tools, session_id, started_at, manner })
}

fn entries(history: Vec<StoredRecord>) -> Vec<Entry> {
    let entry = |it: &StoredRecord| match it.role.as_str() {
        SUMMARY => Some(Entry::user(for_model(&it.message))),
        role => Entry::read(role, &it.message),
    };
    history.iter().filter_map(entry).collect()
}

/// What a turn waits for.
enum Waiting<'a> {
    /// Nothing: it has not begun, or it is over.
    Nothing,
    /// More of the model's answer.
    Model(DeltaStream),
    /// A tool's end.
    Tool(ToolCall, BoxFuture<'a, Outcome>),
}

async fn finish(gateway: &Arc<Gateway>, run: &Run, ready: Ready, ended: &mut Ended) {
    let Ready { mut turn, choice, bench, tools, session_id, started_at, manner } = ready;
    let mut teller = Teller::new(&gateway.audience, run, &session_id).with_tools_shown(manner.shows_tools);
    teller.begins(started_at);
    let limit =
        run.ask.limit.unwrap_or(Duration::from_secs(gateway.force().config.agents.defaults.timeout_seconds));
    let (deadline, held) = (Instant::now() + limit, Held::default());
    let mut unsaved: Vec<Record> = Vec::new();
    let mut waiting = Waiting::Nothing;
    let mut said = String::new();
    let mut effects = VecDeque::from(turn.on(Event::Begin));
    loop {
        let Some(effect) = effects.pop_front() else {
            // A stop goes first: what is ready beside it would still be done, after `/new` in the wrong transcript.
            let event = tokio::select! {
                biased;
                why = run.stopped() => Event::Stop(why),
                () = held.until(deadline) => Event::Stop(Stop::TimedOut),
                event = next(&mut waiting, &mut teller) => event,
            };
            if matches!(event, Event::Stop(_)) {
                // Dropping it ends the request, or the tool with all that it started.
                waiting = Waiting::Nothing;
            }
            effects.extend(turn.on(event));
            continue;
        };
        match effect {
            Effect::Say(text) => teller.says(&text),
            Effect::Save(entry) => {
                if let Entry::Assistant(answer) = &entry {
                    run.was_cut.store(answer.stop_reason == "length", Ordering::Relaxed);
                    said.clone_from(&answer.text);
                    teller.spent(turn.spent().output);
                }
                unsaved.push(record(&entry));
            }
            // What the caller's tools bring back comes with the caller's next message.
            Effect::AskModel(_) if run.extras.has_handed() => {
                effects.push_back(Effect::End(End::Answered(said.clone())));
            }
            Effect::RunTool(call) if run.extras.hands_over(&call.name) => {
                run.extras.hand_over(call);
                effects.extend(turn.on(Event::ToolEnded(Outcome::done(HANDED_OVER))));
            }
            Effect::AskModel(mut request) => {
                if let Err(error) = save(gateway, run, &mut unsaved).await {
                    effects = VecDeque::from(unsavable(gateway, &mut turn, &error));
                    continue;
                }
                hear_more(gateway, run, &mut turn, &mut request).await;
                teller.asks(choice.provider.id(), &choice.model);
                waiting = Waiting::Model(route::ask(choice.provider.clone(), request, Retry::default()));
            }
            Effect::RunTool(call) => {
                if let Err(error) = save(gateway, run, &mut unsaved).await {
                    effects = VecDeque::from(unsavable(gateway, &mut turn, &error));
                    continue;
                }
                teller.uses(&call);
                let outcome = start_tool(&tools, &call, Wish::of_turn(gateway, run, &bench, &held));
                waiting = Waiting::Tool(call, outcome);
            }
            Effect::End(end) => {
                let spent = turn.spent();
                ended.usage = (spent.input, spent.output);
                conclude(gateway, run, &mut teller, Conclusion { end, unsaved, started_at }, ended).await;
                return;
            }
        }
    }
}

/// An entry as it is saved, now.
fn record(entry: &Entry) -> Record {
    let at = clock::now_ms();
    Record { role: entry.role().to_owned(), message: entry.to_message(at), at }
}

/// The next thing that happens to the turn by itself.
async fn next(waiting: &mut Waiting<'_>, teller: &mut Teller<'_>) -> Event {
    match waiting {
        Waiting::Nothing => std::future::pending().await,
        Waiting::Model(stream) => match stream.next().await {
            Some(Ok(delta)) => Event::Said(delta),
            Some(Err(error)) => Event::Failed(error),
            // A provider ends with a stop or an error; one that does neither was cut off.
            None => Event::Failed(ModelError::new(ErrorKind::Cut, "the model", "the answer had no end")),
        },
        Waiting::Tool(call, running) => {
            let outcome = running.await;
            teller.used(call, &outcome);
            *waiting = Waiting::Nothing;
            Event::ToolEnded(outcome)
        }
    }
}

fn start_tool<'a>(tools: &[&'static dyn Tool], call: &ToolCall, wish: Wish<'a>) -> BoxFuture<'a, Outcome> {
    let arguments = serde_json::from_str(&call.arguments).unwrap_or_default();
    match tools.iter().find(|it| it.spec().name == call.name) {
        Some(tool) if tool.risk() == Risk::Executes => guarded(*tool, call, wish),
        Some(tool) => tool.run(arguments, wish.bench),
        None => {
            let names: Vec<_> = tools.iter().map(|it| it.spec().name).collect();
            let text = format!("there is no tool \"{}\"; there are: {}", call.name, names.join(", "));
            Box::pin(std::future::ready(Outcome::failed(text)))
        }
    }
}

/// Puts on disk what the turn has come to, before it goes on. What cannot be saved waits for the end of the turn.
async fn save(gateway: &Gateway, run: &Run, unsaved: &mut Vec<Record>) -> Result<(), StoreError> {
    if unsaved.is_empty() {
        return Ok(());
    }
    let records = unsaved.clone();
    let (run_id, key) = (run.ask.run_id.clone(), run.ask.key.as_str().to_owned());
    gateway.archive.with(move |store| store.append(&key, Some(&run_id), &records)).await?;
    unsaved.clear();
    gateway.tell_said(run).await;
    Ok(())
}

/// A turn that cannot be saved goes no further: what it did would be lost.
fn unsavable(gateway: &Gateway, turn: &mut Turn, error: &StoreError) -> Vec<Effect> {
    let words = gateway.store_refusal("the turn was not saved", error).message;
    let mut effects = turn.on(Event::Stop(Stop::Asked));
    effects.retain(|it| !matches!(it, Effect::End(_)));
    // The end carries the store's own words, and they stand in the transcript too.
    effects.push(Effect::Save(Entry::Notice { text: words.clone() }));
    effects.push(Effect::End(End::TooLong(words)));
    effects
}

/// The end of a turn, with what is not on disk yet.
struct Conclusion {
    end: End,
    unsaved: Vec<Record>,
    started_at: u64,
}

async fn conclude(gateway: &Gateway, run: &Run, teller: &mut Teller<'_>, it: Conclusion, ended: &mut Ended) {
    let Conclusion { end, unsaved, started_at } = it;
    let (status, error) = match &end {
        End::Answered(_) => (RunStatus::Ok, None),
        End::Stopped(..) => (RunStatus::Aborted, None),
        End::Failed(error, _) => (RunStatus::Error, Some(error.to_string())),
        End::TooLong(words) => (RunStatus::Error, Some(words.clone())),
    };
    let (input_tokens, output_tokens) = ended.usage;
    let stored = RunEnd { status, error, input_tokens, output_tokens, at: clock::now_ms(), records: unsaved };
    // On disk first: who was told of an answer finds it again.
    let saved = gateway.save_end(&run.ask.run_id, stored).await;
    gateway.tell_said(run).await;
    let unsaved = saved.err().map(|error| gateway.store_refusal("the answer was not saved", &error).message);
    let instance = &gateway.instance.name;
    (ended.how, ended.text) = match (end, unsaved) {
        (End::Answered(text) | End::Stopped(_, text) | End::Failed(_, text), Some(words)) => {
            teller.failed(&words, &text, None);
            (How::Failed(words), text)
        }
        (End::Answered(text), None) => {
            teller.answered(&text, started_at);
            (How::Answered, text)
        }
        (End::Stopped(why, text), None) => {
            teller.stopped(why.reason(), &text, started_at);
            (How::Stopped(why.reason()), text)
        }
        (End::Failed(error, text), None) => {
            let words = format!("{error} (instance {instance}, model {})", ended.model);
            teller.failed(&words, &text, Some(&error));
            (How::Failed(words), text)
        }
        (End::TooLong(words), _) => {
            teller.failed(&words, "", None);
            (How::Failed(words), String::new())
        }
    };
}

/// Notes in the transcript why a turn could not even begin.
async fn save_failure(gateway: &Gateway, run: &Run, words: &str) {
    let record = record(&Entry::Notice { text: words.to_owned() });
    let end = RunEnd {
        status: RunStatus::Error,
        error: Some(words.to_owned()),
        input_tokens: 0,
        output_tokens: 0,
        at: record.at,
        records: vec![record],
    };
    if let Err(error) = gateway.save_end(&run.ask.run_id, end).await {
        warn!(run = run.ask.run_id, "the end of a turn was not saved yet: {}", base::text::chain(&error));
    }
    gateway.tell_said(run).await;
}

fn log(run: &Run, ended: &Ended) {
    let took = ended.ended_at.saturating_sub(ended.started_at);
    let (run, session, model) = (&run.ask.run_id, run.ask.key.as_str(), &ended.model);
    match &ended.how {
        How::Answered => info!(run, session, model, ms = took, "turn answered"),
        How::Stopped(why) => info!(run, session, model, ms = took, why, "turn stopped"),
        How::Failed(words) => warn!(run, session, model, ms = took, "turn failed: {words}"),
    }
}
