//! The store, on a thread of its own: opened when it is first needed, one writer, never in the way of the socket.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use store::{Store, StoreError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(Result<&mut Store, StoreError>) + Send>;

/// Asks the store's thread. Dropping it ends the thread once its work is done.
#[derive(Debug)]
pub(crate) struct Archive {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    path: PathBuf,
}

impl Archive {
    /// The archive of a state folder. Nothing is opened yet.
    pub(crate) fn new(folder: &Path) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let path = folder.join(store::FILE);
        let folder = folder.to_path_buf();
        // SQLite needs little stack; the default of 2 MiB would be address space for nothing.
        let thread = thread::Builder::new().name("store".into()).stack_size(512 * 1024);
        let thread = thread.spawn(move || serve(&folder, &waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), path })
    }

    /// The database.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

fn serve(folder: &Path, waiting: &mpsc::Receiver<Job>) {
    let mut open: Option<Store> = None;
    for job in waiting {
        if open.is_none() {
            match Store::open(folder) {
                Ok(store) => open = Some(store),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        job(Ok(open.as_mut().expect("it was opened just now")));
    }
}
