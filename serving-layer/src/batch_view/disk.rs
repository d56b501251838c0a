//! What all views of a process share: the folder of their segments, the blocks in memory, and how much is done at the same time.
//!
//! The folder holds a cache: whatever is missing in it is built again from the store. Several processes may name the same folder.
//! Each takes the first of its places, `0`, `1` and so on, that no other process uses, and finds there what an earlier one has left.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use platform::settings::Size;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tracing::warn;

use super::segment::BlockCache;

/// The ending of a segment's name, and of the name that a file has until it is whole.
pub(super) const SEGMENT: &str = "segment";
pub(super) const UNFINISHED: &str = "part";

/// How many processes may use one folder.
const PLACES: usize = 64;
/// How many segments are built at the same time, each of another view. A build takes up to 50 MiB beside `serving.view_memory`.
const BUILDS: usize = 2;
/// How long a build waits for the store before it lends its turn to another view.
const LENT_AFTER: Duration = Duration::from_millis(250);
/// How many questions read from disk at the same time; others wait.
const QUESTIONS: usize = 64;

/// How many requests read all keys of a view at the same time; others wait.
const SWEEPS: usize = 4;

/// What all views of a process share.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    pub(super) cache: Arc<BlockCache>,
    builds: Semaphore,
    pub(super) questions: Semaphore,
    pub(super) sweeps: Semaphore,
    /// How many views were looked at or loaded for which no refresh waited any more. Every version's snapshots follow it.
    pub(crate) loaded: watch::Sender<u64>,
    /// The place is this process's own as long as this is open.
    _lock: File,
}

impl Disk {
    /// Takes a place in the folder, for the segments of one deployment. `memory` bounds the blocks that are kept in memory.
    ///
    /// # Errors
    /// If the folder cannot be written, or all its places are in use.
    pub(crate) fn open(folder: &Path, deployment: &str, memory: Size) -> io::Result<Disk> {
        for place in 0..PLACES {
            let place = folder.join(place.to_string());
            std::fs::create_dir_all(&place)?;
            let lock = File::create(place.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Disk {
                        folder: place.join(deployment),
                        cache: Arc::new(BlockCache::new(memory.as_usize())),
                        builds: Semaphore::new(BUILDS),
                        questions: Semaphore::new(QUESTIONS),
                        sweeps: Semaphore::new(SWEEPS),
                        loaded: watch::Sender::new(0),
                        _lock: lock,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{PLACES} other processes use it")))
    }

    /// The memory that blocks take, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Waits for a turn to build a segment.
    pub(super) async fn building(&self) -> Building<'_> {
        Building { builds: &self.builds, permit: self.builds.acquire().await.ok() }
    }

    /// Where the segments of a table lie; the path is the table's below the deployment's folder.
    pub(super) fn folder_of(&self, table: &str) -> PathBuf {
        self.folder.join(table)
    }

    /// Removes the segments of all other tables: of metrics that no catalog has any more, and of versions that are gone.
    pub(crate) fn keep_only<'a>(&self, tables: impl Iterator<Item = &'a str>) {
        let kept = tables.map(|table| self.folder_of(table)).collect();
        if let Err(error) = remove_others(&self.folder, &kept)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(%error, folder = %self.folder.display(), "cannot remove segments of tables that are not served");
        }
    }
}

/// A view's turn to build a segment.
pub(super) struct Building<'a> {
    builds: &'a Semaphore,
    permit: Option<SemaphorePermit<'a>>,
}

impl Building<'_> {
    /// Waits for the store. If that takes long, others may build meanwhile, so that a store which does not answer holds up no view but
    /// this. What this has collected so far stays in memory.
    pub(super) async fn lend<T>(&mut self, read: impl Future<Output = T>) -> T {
        let (builds, mut read) = (self.builds, pin!(read));
        if let Ok(done) = tokio::time::timeout(LENT_AFTER, read.as_mut()).await {
            return done;
        }
        self.permit = None;
        let done = read.await;
        self.permit = builds.acquire().await.ok();
        done
    }
}

/// Removes what this process could have written below a folder, except in the folders that are kept.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    if kept.contains(folder) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if path.extension().is_some_and(is_own) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether only this program gives files that ending here.
pub(super) fn is_own(ending: &OsStr) -> bool {
    ending == SEGMENT || ending == UNFINISHED
}
