//! How it went, and how it goes: ends, refusals, what a running gateway says, its database, its model.

use base::clock;
use profile::claims;
use profile::ledger::{self, How};

use super::{Effort, Finding, Scene, Severity};
use crate::look::{self, Known, State};
use crate::why;

/// So many starts in [`LOOP_SPAN`] are a crash loop.
const LOOP: usize = 5;
/// Milliseconds.
const LOOP_SPAN: u64 = 10 * 60 * 1000;
/// How much of the log's end is searched for starts, in bytes.
const TAIL: u64 = 256 * 1024;
/// What a gateway logs once it can be connected to.
const STARTED: &str = "listening on ws://";

/// What a running gateway says of itself, and whether it does.
pub(super) fn state(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(holder) = &scene.holder else { return Vec::new() };
    let known = Known { instance: scene.instance.clone(), record: None };
    let seen = look::some(&scene.instance.host, scene.ambient, &[known]).remove(0);
    let place = format!("pid {}", holder.pid);
    let log = scene.short(&scene.instance.state_dir.join("logs/gateway.log"));
    let told = seen.findings.into_iter().map(|it| match seen.state {
        State::Deaf => {
            let what = format!("the gateway runs and does not answer: {it}");
            let found = Finding::new(Severity::Error, &place, what, "nobody gets an answer from it");
            found.run(format!("openclaw fleet restart {}", scene.instance.name))
        }
        State::Ready | State::Starting | State::Degraded | State::Stopped | State::Conflict => {
            let found = Finding::new(Severity::Error, &place, it, "the running gateway says so itself");
            found.advise(format!("see its log: {log}"))
        }
    });
    told.collect()
}

/// Whether the last start was refused and nothing has run since.
pub(super) fn refused(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(refusal) = scene.instance.host.refusal(&scene.instance.state_dir) else { return Vec::new() };
    let ended = ledger::read(&scene.instance.state_dir).ended.map_or(0, |it| it.at);
    if scene.holder.is_some() || ended > refusal.at {
        return Vec::new();
    }
    let what = format!("the last start was refused at {}: {}", clock::rfc3339(refusal.at), refusal.detail);
    let found = Finding::new(Severity::Warn, &scene.instance.name, what, "it does not run because of that");
    vec![found.run(format!("openclaw fleet why {}", scene.instance.name))]
}

/// Whether it is started again and again.
pub(super) fn crash_loop(scene: &Scene<'_>) -> Vec<Finding> {
    let log = scene.instance.state_dir.join("logs/gateway.log");
    let since = clock::rfc3339(clock::now_ms().saturating_sub(LOOP_SPAN));
    let text = why::tail(&log, TAIL).unwrap_or_default();
    let starts = starts_since(&text, &since);
    let left_its_lock = scene.holder.is_none() && claims::holder_of(&scene.instance.state_dir).is_some();
    let was_cut_off = ledger::read(&scene.instance.state_dir).ended.is_some_and(|it| it.how == How::CutOff);
    if starts < LOOP || !(left_its_lock || was_cut_off) {
        return Vec::new();
    }
    let what = format!("it was started {starts} times within ten minutes, and was cut off");
    let why = "something ends it again and again";
    let found = Finding::new(Severity::Error, scene.short(&log), what, why);
    vec![found.run(format!("openclaw fleet why {}", scene.instance.name))]
}

/// Times are RFC 3339, so that texts are in their order.
fn starts_since(log: &str, since: &str) -> usize {
    let is_late =
        |it: &&str| it.split_once(' ').is_some_and(|(time, _)| time.ends_with('Z') && time >= since);
    log.lines().filter(|it| it.contains(STARTED)).filter(is_late).count()
}

/// Whether the instance that this one watches over is there.
pub(super) fn rescue(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(name) = ledger::read(&scene.instance.state_dir).rescue_for else { return Vec::new() };
    if scene.others().iter().any(|it| it.instance.name == name) {
        return Vec::new();
    }
    let place = scene.short(&ledger::path(&scene.instance.state_dir));
    let what = format!("it watches over instance {name}, which is not there");
    let found = Finding::new(Severity::Warn, place, what, "it would rescue nobody");
    vec![found.run("openclaw fleet ls")]
}

/// Whether the database is whole. Read beside its owner; nothing is written.
pub(super) fn database(scene: &Scene<'_>) -> Vec<Finding> {
    let folder = &scene.instance.state_dir;
    let place = scene.short(&folder.join(store::FILE));
    let why = "conversations are in it";
    let remedy = |found: Finding| found.run("openclaw fleet restore SNAPSHOT");
    match store::examine(folder, scene.effort >= Effort::Deep) {
        Ok(None) => Vec::new(),
        Ok(Some(complaints)) => match complaints.first() {
            None => Vec::new(),
            Some(first) => {
                let what = format!("it is damaged: {}", base::text::line(first, 200));
                vec![remedy(Finding::new(Severity::Error, place, what, why))]
            }
        },
        // Somebody writes all the time; that is no damage.
        Err(store::StoreError::Busy { .. }) => Vec::new(),
        Err(error) => vec![remedy(Finding::new(Severity::Error, place, base::text::chain(&error), why))],
    }
}

/// Whether the model answers.
pub(super) fn model(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(reached) = scene.reached() else { return Vec::new() };
    let place = format!("{} ({})", reached.model, reached.source);
    let (severity, what) = match &reached.answer {
        Some(Ok(_)) => return Vec::new(),
        Some(Err(error)) => (Severity::Error, error.clone()),
        None => (Severity::Warn, "no model is configured".to_owned()),
    };
    let found = Finding::new(severity, place, what, "without a model nobody is answered");
    vec![found.run(scene.command("configure --section model"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_late_starts_count() {
        let line = |time: &str, text: &str| format!("{time} [gateway] {text}\n");
        let log = [
            line("2026-11-22T10:00:00Z", "listening on ws://127.0.0.1:1"),
            line("2026-11-22T11:00:00Z", "listening on ws://127.0.0.1:1"),
            line("2026-11-22T11:00:00Z", "ready"),
            "listening on ws://127.0.0.1:1\n".to_owned(),
        ];
        assert_eq!(starts_since(&log.concat(), "2026-11-22T10:30:00Z"), 1);
    }
}
