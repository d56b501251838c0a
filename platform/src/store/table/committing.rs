//! The next version of a table, unless another writer has written it.

use std::collections::HashSet;

use futures::future::try_join;
use tracing::{debug, warn};

use super::super::commit::{self, Before};
use super::super::{Commit, Committed, DataFile, StoreError};
use super::notes::Notes;
use super::{Table, each_path};

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
    /// If the log cannot be read or written. A commit that lost to another writer is not an error but [`Committed::Conflict`].
    pub async fn commit(&mut self, commit: Commit) -> Result<Committed, StoreError> {
        if !self.stands().await? {
            return Ok(Committed::Conflict);
        }
        if !self.has(commit.removed()).await? {
            debug!(
                table = self.path(),
                version = self.version,
                "a commit takes out files that are not the table's any more"
            );
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
        let (entry, stands) = try_join(self.entry(version), self.stands()).await?;
        if entry.is_none() || !stands {
            warn!(
                table = self.path(),
                version,
                "a commit does not count: its log entry, or the one that it follows on, was deleted or replaced meanwhile"
            );
            return Ok(Committed::Conflict);
        }
        self.notes = Notes::default();
        (self.version, self.files, self.entry) = (version, files, entry.and_then(|entry| entry.e_tag));
        if declares {
            self.read_back().await?;
        }
        Ok(committed)
    }

    /// Whether these files, each named once, belong to this version. A commit may have been planned on an older one: what it takes out
    /// is then replaced already, so its rows would be there twice, and the digest that it notes would fit no files.
    async fn has(&self, files: &[DataFile]) -> Result<bool, StoreError> {
        if files.is_empty() {
            return Ok(true);
        }
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let (delta, mut found) = (self.read_back().await?, 0);
        each_path(&self.location, &delta, |path| found += usize::from(paths.contains(path))).await?;
        Ok(found == files.len())
    }
}
