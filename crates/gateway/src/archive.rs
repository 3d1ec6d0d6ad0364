//! The store, on a thread of its own: opened when it is first needed, one writer, never in the way of the socket.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use agent::Entry;
use base::clock;
use store::{Record, Run, RunStatus, Store, StoreError};
use tokio::sync::oneshot;
use tracing::warn;

type Job = Box<dyn FnOnce(Result<&mut Store, StoreError>) + Send>;

/// Asks the store's thread. Dropping it ends the thread once its work is done.
#[derive(Debug)]
pub(crate) struct Archive {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    path: PathBuf,
    opened: Arc<AtomicBool>,
}

impl Archive {
    /// The archive of a state folder. Nothing is opened yet.
    pub(crate) fn new(folder: &Path) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let path = folder.join(store::FILE);
        let folder = folder.to_path_buf();
        // SQLite needs little stack; the default of 2 MiB would be address space for nothing.
        let thread = thread::Builder::new().name("store".into()).stack_size(512 * 1024);
        let opened = Arc::new(AtomicBool::new(false));
        let tell = opened.clone();
        let thread = thread.spawn(move || serve(&folder, &waiting, &tell))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), path, opened })
    }

    /// Whether the database was opened since the start.
    pub(crate) fn is_open(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// The database.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last process ended without closing the database: it may have been in the middle of a turn.
    pub(crate) fn was_cut_off(&self) -> bool {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        Path::new(&log).exists()
    }

    /// Does `work` with the store, after all that was asked for before.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // Whoever asked may have gone; the work is done all the same.
            let _ = answer.send(store.and_then(work));
        });
        self.jobs
            .as_ref()
            .and_then(|it| it.send(job).ok())
            .expect("the store's thread lives as long as this");
        answered.await.expect("the store's thread answers each job")
    }

    /// Waits until all that was asked for is done and the store is closed.
    pub(crate) fn close(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told to whoever asked for that work.
            let _ = thread.join();
        }
    }
}

/// Opens the store and tells, before anything else is read or written, of the turns that the last process left
/// unfinished.
fn opened(folder: &Path) -> Result<Store, StoreError> {
    let mut store = Store::open(folder)?;
    let at = clock::now_ms();
    for run in store.interrupt_unfinished(|run| notice(run, at))? {
        warn!(run = run.run_id, session = run.session_key, "was interrupted by the end of the last process");
    }
    Ok(store)
}

fn notice(run: &Run, at: u64) -> Record {
    let what = match run.status {
        RunStatus::Queued => "before this message was answered",
        _ => "in the middle of this answer",
    };
    let text =
        format!("The gateway ended {what}. Nothing after the last line above was kept; please ask again.");
    let entry = Entry::Notice { text };
    Record { role: entry.role().to_owned(), message: entry.to_message(at), at }
}

fn serve(folder: &Path, waiting: &mpsc::Receiver<Job>, is_open: &AtomicBool) {
    let mut open: Option<Store> = None;
    for job in waiting {
        if open.is_none() {
            match opened(folder) {
                Ok(store) => {
                    open = Some(store);
                    is_open.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        job(Ok(open.as_mut().expect("it was opened just now")));
    }
}
