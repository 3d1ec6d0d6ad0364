//! Owns every task: starts it, hears of its panic, and stops all of them in order within a budget.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

/// What stops first: no new work, then the work in hand, then those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Listeners.
    Intake,
    /// Turns.
    Work,
    /// Connections: they hear how the work ended.
    Clients,
}

const STAGES: [Stage; 3] = [Stage::Intake, Stage::Work, Stage::Clients];

/// Starts and stops tasks.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    stages: [Crew; 3],
}

#[derive(Debug, Default)]
struct Crew {
    stop: CancellationToken,
    tasks: TaskTracker,
    names: Arc<Mutex<HashMap<u64, String>>>,
}

impl Supervisor {
    /// Starts a task. It is given a token, and ends soon after that is cancelled. A panic in it is its own
    /// failure, never the gateway's.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    pub(crate) fn start<F, T>(&self, stage: Stage, name: &str, unit: F)
    where
        F: FnOnce(CancellationToken) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let crew = self.crew(stage);
        let id = next_id();
        lock(&crew.names).insert(id, name.to_owned());
        let unit = AssertUnwindSafe(unit(crew.stop.clone())).catch_unwind();
        let names = crew.names.clone();
        // An async block would hold the unit twice: as what it was given, and as what it waits for.
        let task = unit.map(move |ended| {
            let name = lock(&names).remove(&id).unwrap_or_default();
            if ended.is_err() {
                error!(task = name, "a task panicked; the gateway goes on without it");
            }
        });
        tokio::spawn(crew.tasks.track_future(task));
    }

    /// Stops everything, stage by stage, each within `budget`. Returns the names of those that overran.
    pub(crate) async fn stop(&self, budget: Duration) -> Vec<String> {
        let mut overran = Vec::new();
        for stage in STAGES {
            let crew = self.crew(stage);
            crew.stop.cancel();
            crew.tasks.close();
            if tokio::time::timeout(budget, crew.tasks.wait()).await.is_err() {
                overran.extend(lock(&crew.names).values().cloned());
            }
        }
        overran
    }

    fn crew(&self, stage: Stage) -> &Crew {
        &self.stages[stage as usize]
    }
}

fn next_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stops_in_order_and_a_deaf_one_starves_nobody() {
        let supervisor = Supervisor::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for (stage, name) in [(Stage::Clients, "client"), (Stage::Work, "turn"), (Stage::Intake, "listener")]
        {
            let order = order.clone();
            supervisor.start(stage, name, |stop| async move {
                stop.cancelled().await;
                lock(&order).push(name);
            });
        }
        supervisor.start(Stage::Intake, "deaf", |_| std::future::pending());
        supervisor.start(Stage::Work, "broken", |_| async { panic!("on purpose") });
        assert_eq!(supervisor.stop(Duration::from_secs(5)).await, ["deaf"]);
        assert_eq!(*lock(&order), ["listener", "turn", "client"]);
    }
}
