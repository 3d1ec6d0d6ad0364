//! The lock of those who write a config: held for milliseconds, and ended by the kernel with its process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::NotWritten;
use crate::{generations, locks};

/// How long a writer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for the lock, a bounded time.
pub(super) fn take(state_dir: &Path) -> Result<File, NotWritten> {
    wait(&generations::made(state_dir)?.join("lock"), PATIENCE)
}

fn wait(path: &Path, patience: Duration) -> Result<File, NotWritten> {
    let taken = locks::wait(path, patience)?;
    let mut lock = taken.ok_or_else(|| NotWritten::Busy { pid: holder(path) })?;
    // Only for whoever waits in vain: that it cannot be written takes nothing from the lock.
    let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
    Ok(lock)
}

fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_vain_is_told_who_writes() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("lock");
        let held = wait(&path, PATIENCE).expect("free");
        let refused = wait(&path, Duration::from_millis(20)).expect_err("held");
        assert_eq!(
            refused.to_string(),
            format!("another command is writing this config (pid {})", std::process::id())
        );
        drop(held);
        wait(&path, PATIENCE).expect("free again");
    }
}
