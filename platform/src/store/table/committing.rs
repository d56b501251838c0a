//! The next version of a table, unless another writer has written it.

use tracing::warn;

use super::super::commit::{self, Before};
use super::super::{Commit, Committed, StoreError};
use super::Table;

impl Table {
    /// Commits on top of this version. On success, this value is at the new version, whatever others have committed since. What the
    /// commit wrote is not read back, unless it declares other columns or properties.
    ///
    /// A commit is a put-if-absent of the next number, which another writer may have used long ago, so long that the entry was
    /// deleted since. Entries are deleted one after the other, from the oldest on: as long as the entry of this version is there
    /// after the put, the number was free because nobody had used it. If it is gone, the commit does not count. It may be left
    /// behind in the log, below the newest checkpoint, where no reader looks.
    ///
    /// # Errors
    /// If the log cannot be written. A commit that lost to another writer is not an error but [`Committed::Conflict`].
    pub async fn commit(&mut self, commit: Commit) -> Result<Committed, StoreError> {
        if !self.stands().await? {
            return Ok(Committed::Conflict);
        }
        let delta = self.delta.so_far();
        let before = Before {
            version: self.version,
            files: self.files,
            metadata: self.snapshot(&delta)?.metadata(),
            retention: self.location.retention(),
        };
        let (files, declares) = (commit.files_after(self.files), commit.declares(&before));
        let committed = commit::write(delta.log_store(), self.path(), before, commit).await?;
        let Committed::At(version) = committed else {
            // A torn entry, too, is in the way, and some of them go unnoticed by a refresh.
            self.location.set_torn_entry_aside().await?;
            return Ok(Committed::Conflict);
        };
        let entry = self.entry(version).await?;
        if entry.is_none() || !self.stands().await? {
            warn!(
                table = self.path(),
                version,
                "a commit does not count: its log entry, or the one that it follows on, was deleted or replaced meanwhile"
            );
            return Ok(Committed::Conflict);
        }
        (self.version, self.files, self.entry) = (version, files, entry.and_then(|entry| entry.e_tag));
        if declares {
            self.read_back().await?;
        }
        Ok(committed)
    }
}
