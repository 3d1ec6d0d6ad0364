//! Ends of turns that the store did not take when they came, on a full disk most of all: kept, and saved before
//! anything else as soon as the store takes them. There are never more of them than turns that were accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{RunEnd, Store, StoreError};

use crate::state::Gateway;

/// The ends that wait, by run, the oldest first.
#[derive(Debug, Default, Clone)]
pub(crate) struct Late(Arc<Mutex<VecDeque<(String, RunEnd)>>>);

impl Late {
    /// Saves what waits, on the store's thread.
    ///
    /// # Errors
    /// When the store takes no more; the rest goes on waiting.
    pub(crate) fn save(&self, store: &mut Store) -> Result<(), StoreError> {
        while let Some((run_id, end)) = self.first() {
            match store.end_run(&run_id, &end) {
                // One that the store will never take must not be in the way of the others.
                Err(error) if error.is_fault() => return Err(error),
                _ => drop(self.lock().pop_front()),
            }
        }
        Ok(())
    }

    fn first(&self) -> Option<(String, RunEnd)> {
        self.lock().front().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, RunEnd)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Ends a run on disk. Its end is kept until that can be done.
    ///
    /// # Errors
    /// When it could not be done now.
    pub(crate) async fn save_end(&self, run_id: &str, end: RunEnd) -> Result<(), StoreError> {
        let late = self.late.clone();
        late.lock().push_back((run_id.to_owned(), end));
        self.archive.with(move |store| late.save(store)).await
    }
}
