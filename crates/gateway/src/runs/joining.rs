//! Messages that become a part of another's turn: what is said while a turn goes on reaches the model that works, and
//! what has piled up is answered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Joins, Run};
use crate::state::Gateway;

/// Before any of them it is new, and not on disk.
const STORED: u8 = 1;
const JOINED: u8 = 2;
const ASKING: u8 = 3;

/// How far a run is that has no turn yet.
#[derive(Debug, Default)]
pub(crate) struct Waits(AtomicU8);

impl Waits {
    /// It is on disk.
    pub(super) fn is_stored(&self) {
        // Nobody joins what is not on disk, so that nothing else can have happened.
        self.0.store(STORED, Ordering::Release);
    }

    /// Whether it has become a part of another turn.
    pub(crate) fn has_joined(&self) -> bool {
        self.0.load(Ordering::Acquire) == JOINED
    }

    /// Notes that its model is asked. Says whether it was before.
    pub(crate) fn asks_again(&self) -> bool {
        self.0.swap(ASKING, Ordering::AcqRel) == ASKING
    }

    fn may_join(&self) -> bool {
        self.0.load(Ordering::Acquire) == STORED
    }
}

impl Gateway {
    /// Takes into a turn what waits for it, before it asks the model: on disk first. `is_first` before it has asked
    /// for the first time.
    pub(crate) async fn join(&self, run: &Run, is_first: bool) -> Vec<Arc<Run>> {
        let mut joined = Vec::new();
        for waiting in self.candidates(run, is_first) {
            let (run_id, at) = (waiting.ask.run_id.clone(), base::clock::now_ms());
            match self.archive.with(move |store| store.join_run(&run_id, at)).await {
                Ok(place) => {
                    waiting.waits.0.store(JOINED, Ordering::Release);
                    waiting.tells(place.saturating_sub(1));
                    self.tell_said(&waiting).await;
                    joined.push(waiting);
                }
                // It has its own turn then, where the store says what it has to say.
                Err(error) => {
                    tracing::warn!(run = waiting.ask.run_id, "not joined: {}", base::text::chain(&error));
                    break;
                }
            }
        }
        joined
    }

    fn candidates(&self, run: &Run, is_first: bool) -> Vec<Arc<Run>> {
        let waiting = self.runs.of_session(&run.ask.key);
        // Who was stopped before it began is told so in a turn of its own.
        let may_join = |it: &Arc<Run>| it.waits.may_join() && it.stop.borrow().is_none();
        let others = waiting.into_iter().filter(|it| it.ask.run_id != run.ask.run_id && may_join(it));
        if !is_first {
            return others.filter(|it| it.ask.joins == Joins::TheTurnUnderWay).collect();
        }
        // Those behind it, without a gap: who wants a turn alone is not passed by.
        if run.ask.joins == Joins::Nobody {
            return Vec::new();
        }
        others.take_while(|it| it.ask.joins == run.ask.joins).collect()
    }
}
