//! Hears of changes to files, by the kernel's word: nothing is polled.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// Some files, by their names in their folders: an editor puts another file in the place of one.
#[derive(Debug)]
pub(super) struct Watch {
    kernel: AsyncFd<OwnedFd>,
    names: Vec<OsString>,
    /// A change was heard of and not told yet: whoever waited for it went away meanwhile.
    is_pending: bool,
}

impl Watch {
    /// Watches files, whether or not they are there. A folder that is not there cannot be watched.
    ///
    /// # Errors
    /// When the system gives no more watches.
    #[expect(
        deprecated,
        reason = "the descriptor is owned, which is all that the unsafe replacement asks for"
    )]
    pub(super) fn on(paths: &[PathBuf]) -> io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let kernel = inotify::init(flags)?;
        let mut names: Vec<OsString> = Vec::new();
        let real = paths.iter().filter_map(|it| std::fs::canonicalize(it).ok());
        for path in paths.iter().cloned().chain(real) {
            let events = inotify::WatchFlags::CLOSE_WRITE
                | inotify::WatchFlags::MOVED_TO
                | inotify::WatchFlags::MOVED_FROM
                | inotify::WatchFlags::DELETE;
            match inotify::add_watch(&kernel, path.parent().unwrap_or(Path::new("/")), events) {
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            names.extend(path.file_name().map(ToOwned::to_owned));
        }
        Ok(Self { kernel: AsyncFd::with_interest(kernel, Interest::READABLE)?, names, is_pending: false })
    }

    /// Takes a change for granted that was not heard of: it is told once nothing else changes.
    pub(super) fn suspect(&mut self) {
        self.is_pending = true;
    }

    /// Waits for a change, and then until nothing has changed for `quiet`.
    ///
    /// # Errors
    /// When the kernel's word cannot be read.
    pub(super) async fn changed(&mut self, quiet: Duration) -> io::Result<()> {
        while !self.is_pending {
            self.is_pending = self.heard().await?;
        }
        while let Ok(heard) = timeout(quiet, self.heard()).await {
            heard?;
        }
        self.is_pending = false;
        Ok(())
    }

    /// Waits for events; whether one of them is about our files.
    async fn heard(&mut self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 1024];
        let mut ready = self.kernel.readable_mut().await?;
        let mut is_ours = false;
        let mut reader = inotify::Reader::new(ready.get_inner(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|it| it.to_bytes());
                    // An overflow has no name: anything may have changed.
                    is_ours |=
                        name.is_none_or(|it| self.names.iter().any(|own| own.as_encoded_bytes() == it));
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_heard_of_however_it_is_written() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("openclaw.json");
        let mut watch = Watch::on(std::slice::from_ref(&path)).expect("watched");
        let quiet = Duration::from_millis(1);
        base::file::replace(&path, b"{}").expect("replaced");
        watch.changed(quiet).await.expect("heard");
        let mut file = base::file::append(&path).expect("opened");
        io::Write::write_all(&mut file, b"\n").expect("written");
        drop(file);
        watch.changed(quiet).await.expect("heard");
        base::file::replace(&home.path().join("other"), b"{}").expect("replaced");
        assert!(timeout(Duration::from_millis(20), watch.changed(quiet)).await.is_err(), "another file");
        std::fs::remove_file(&path).expect("removed");
        watch.changed(quiet).await.expect("heard");
    }

    #[tokio::test]
    async fn what_was_heard_of_is_told_to_the_next_who_waits() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("openclaw.json");
        let mut watch = Watch::on(std::slice::from_ref(&path)).expect("watched");
        base::file::replace(&path, b"{}").expect("replaced");
        let long = Duration::from_secs(3600);
        assert!(timeout(Duration::from_millis(20), watch.changed(long)).await.is_err(), "it is still quiet");
        watch.changed(Duration::from_millis(1)).await.expect("heard before");
    }
}
