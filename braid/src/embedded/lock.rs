//! One server per folder: two of them on the same files would destroy these.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

/// How long the server of a process that was just killed may hold the lock.
const WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Waits for the lock on a server's folder, which is created where it is missing. It lasts until every copy of the file is
/// closed, also those that child processes have inherited.
///
/// # Errors
/// If the folder cannot be written, or another process holds the lock.
pub(super) async fn lock(folder: &Path) -> Result<File> {
    lock_within(folder, WITHIN).await
}

async fn lock_within(folder: &Path, within: Duration) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let deadline = Instant::now() + within;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).context(format!("cannot lock {}", path.display())),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL_EVERY).await,
            Err(TryLockError::WouldBlock) => bail!(
                "another `braid up` uses {}: stop it, or name another folder with --data",
                folder.parent().unwrap_or(folder).display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_locked_until_every_copy_of_the_lock_is_closed() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join("kafka");
        let held = lock(&folder).await.expect("nobody holds it");
        let inherited = held.try_clone().expect("a copy");
        drop(held);
        let refused = lock_within(&folder, Duration::from_millis(50)).await.expect_err("a copy is open").to_string();
        assert!(refused.starts_with(&format!("another `braid up` uses {}:", data.path().display())), "{refused}");
        drop(inherited);
        lock(&folder).await.expect("it is free");
    }
}
