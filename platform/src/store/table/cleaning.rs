//! What is deleted of a table, and when: log entries and checkpoints that newer checkpoints make superfluous, and files that no
//! reader can need any more.

use std::collections::HashSet;
use std::time::Duration;

use deltalake::Path;
use futures::TryStreamExt;
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use super::super::retention::{LogFile, before};
use super::super::{FileBeside, StoreError, durable};
use super::Table;

/// What lies in a table's folder, seen when the version that looked was the newest one.
pub(in crate::store) struct Look {
    /// Everything that lies there.
    listed: Vec<ObjectMeta>,
    /// What was written before that moment may be deleted if nothing was committed since the look began.
    before_us: i64,
    /// What was written before that moment is in no commit that came after the look began.
    whoever_commits_us: i64,
}

impl Table {
    /// Writes a checkpoint of this version, so that readers need not read the log from its start, and deletes the log entries
    /// and checkpoints that are superfluous and old.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        deltalake::checkpoints::create_checkpoint(&self.read_back().await?, None)
            .await
            .map_err(|source| self.location.failed("write a checkpoint", source))?;
        let log = self.listed(Some("_delta_log")).await?;
        let log = log.iter().filter_map(LogFile::of).collect();
        for file in self.location.retention().over(log, self.location.now_us()) {
            self.delete(&file).await?;
        }
        Ok(())
    }

    /// Whether the log holds entries or checkpoints that were written before that moment by the store's clock; microseconds since 1970.
    ///
    /// # Errors
    /// If the log cannot be listed.
    pub async fn has_log_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        let log = self.listed(Some("_delta_log")).await?;
        let is_of_before = |file: &&ObjectMeta| file.last_modified.timestamp_micros() < at_us;
        Ok(log.iter().filter(is_of_before).any(|file| LogFile::of(file).is_some()))
    }

    /// Deletes files that no reader can need: they do not belong to this version, no commit took them out within `age`, and
    /// they were last written longer than `age` ago. Files whose paths are `spared` are kept. Returns the number of those deleted.
    ///
    /// A version that is not the newest one removes nothing: it does not know which files newer ones refer to. The process may have
    /// slept since it read this version, and others may have gone on for hours. What is committed while it looks is another matter: it does
    /// not refer to files that were written longer than `age` before this version was committed.
    ///
    /// Checkpoints forget after [`TOMBSTONE_AGE`](crate::store::TOMBSTONE_AGE) which files were taken out, so `age` is less, by
    /// as much as clocks may differ. A clock that is further ahead than that makes no file older: by the store's clock, it is at
    /// least as late as when the newest file was written, and that is late enough.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_orphans(&self, age: Duration, spared: &HashSet<String>) -> Result<usize, StoreError> {
        let unused = self.unused(age, spared).await?;
        for file in &unused {
            self.delete(&file.location).await?;
        }
        Ok(unused.len())
    }

    /// The files that [`Table::remove_orphans`] would delete now. None if this version is not the newest one.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn orphans(&self, age: Duration, spared: &HashSet<String>) -> Result<Vec<FileBeside>, StoreError> {
        Ok(self.unused(age, spared).await?.into_iter().map(FileBeside::from).collect())
    }

    /// Whether files lie in the table's folder that do not belong to this version, are not `spared`, and were written before that moment by
    /// the store's clock; microseconds since 1970.
    ///
    /// Unlike [`Table::orphans`], this need not be the newest version: where others commit all the time, it hardly ever is. A file that one of
    /// them has added counts as left if it was written so long ago. If the log was replaced, something may be left.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn has_others_of_before(&self, at_us: i64, spared: &HashSet<String>) -> Result<bool, StoreError> {
        let own: HashSet<String> = self.files().await?.into_iter().map(|file| file.path).collect();
        let is_left = |file: &ObjectMeta| {
            file.last_modified.timestamp_micros() < at_us
                && is_over(file, |path| own.contains(path) || spared.contains(path))
        };
        Ok(self.listed(None).await?.iter().any(is_left) || !self.stands().await?)
    }

    async fn unused(&self, age: Duration, spared: &HashSet<String>) -> Result<Vec<ObjectMeta>, StoreError> {
        match self.look(age).await? {
            Some(look) => self.unused_of(look, spared).await,
            None => Ok(Vec::new()),
        }
    }

    /// Looks what lies in the table's folder. Nothing if this version is not the newest one.
    pub(in crate::store) async fn look(&self, age: Duration) -> Result<Option<Look>, StoreError> {
        // Before it is asked whether this version is the newest one. If its entry is gone by then, it is not.
        let whoever_commits_us = self.ago_in_store(age).await?;
        // Who has slept may not even be able to look: the entries of its version may be gone.
        if !self.is_newest().await? {
            return Ok(None);
        }
        let (ago_us, listed) = (self.ago(age), self.listed(None).await?);
        let newest_us = listed.iter().map(|file| file.last_modified.timestamp_micros()).max();
        let before_us = newest_us.map_or(ago_us, |newest_us| ago_us.min(before(newest_us, age)));
        Ok(Some(Look { listed, before_us, whoever_commits_us }))
    }

    /// The files of a look that no reader can need, and that are not `spared`.
    pub(in crate::store) async fn unused_of(
        &self,
        look: Look,
        spared: &HashSet<String>,
    ) -> Result<Vec<ObjectMeta>, StoreError> {
        let Look { listed: mut unused, before_us, whoever_commits_us } = look;
        // Again: where several processes commit, one often has by now.
        let is_newest = self.is_newest().await?;
        if !is_newest && !self.stands().await? {
            // The log was replaced, or goes on far beyond this version.
            return Ok(Vec::new());
        }
        let before_us = if is_newest { before_us } else { before_us.min(whoever_commits_us) };
        let keep = self.files_in_use_since(before_us).await?;
        unused.retain(|file| {
            let is_unused = is_over(file, |path| keep.contains(path) || spared.contains(path));
            is_unused && file.last_modified.timestamp_micros() < before_us
        });
        Ok(unused)
    }

    /// The paths of the files that belong to this version, or that a commit took out within `age`, so that readers of older
    /// versions may still need them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn files_in_use(&self, age: Duration) -> Result<HashSet<String>, StoreError> {
        self.files_in_use_since(self.ago(age)).await
    }

    async fn files_in_use_since(&self, at_us: i64) -> Result<HashSet<String>, StoreError> {
        let mut paths = self.removed_since(at_us).await?;
        paths.extend(self.files().await?.into_iter().map(|file| file.path));
        Ok(paths)
    }

    /// The moment that long ago, in microseconds since 1970.
    pub(in crate::store) fn ago(&self, age: Duration) -> i64 {
        before(self.location.now_us(), age)
    }

    /// The moment that long ago, as [`Table::ago`] says, but not later than that long before this version was committed by the
    /// store's clock. This process's may be ahead of it, and would take files that were just written for old ones.
    pub(in crate::store) async fn ago_in_store(&self, age: Duration) -> Result<i64, StoreError> {
        let (ago_us, entry) = (self.ago(age), self.entry(self.version()).await?);
        let committed_us = entry.map(|entry| entry.last_modified.timestamp_micros());
        Ok(committed_us.map_or(ago_us, |committed_us| ago_us.min(before(committed_us, age))))
    }

    /// The moment that long ago, as [`Table::ago_in_store`] says, for what lies beside the table. If this version is the newest one, it is not
    /// later than that long before something was last written to its log, be it a checkpoint: where nobody commits any more, files grow old, too.
    pub(in crate::store) async fn ago_beside(&self, age: Duration) -> Result<i64, StoreError> {
        let ago_us = self.ago_in_store(age).await?;
        if !self.is_newest().await? {
            return Ok(ago_us);
        }
        let log = self.listed(Some("_delta_log")).await?;
        let newest_us = log.iter().map(|file| file.last_modified.timestamp_micros()).max();
        Ok(newest_us.map_or(ago_us, |newest_us| self.ago(age).min(before(newest_us, age))))
    }

    /// The files that commits have taken out of the table from that moment on, by the clocks of the writers.
    async fn removed_since(&self, at_us: i64) -> Result<HashSet<String>, StoreError> {
        let delta = self.read_back().await?;
        let log_store = delta.log_store();
        let mut tombstones = self.snapshot(&delta)?.all_tombstones(log_store.as_ref());
        let mut removed = HashSet::new();
        let failed = |source| self.location.failed("list the removed files", source);
        while let Some(tombstone) = tombstones.try_next().await.map_err(failed)? {
            if tombstone.deletion_timestamp().unwrap_or_default().saturating_mul(1_000) >= at_us {
                removed.insert(tombstone.path().into_owned());
            }
        }
        Ok(removed)
    }

    /// The files below a folder, or all of them.
    async fn listed(&self, folder: Option<&str>) -> Result<Vec<ObjectMeta>, StoreError> {
        let listed = self.objects().list(folder.map(Path::from).as_ref()).try_collect::<Vec<_>>().await;
        listed.map_err(|error| self.failed("list", folder.unwrap_or("all files"), error))
    }

    /// Deletes a file, unless another process has done so.
    pub(in crate::store) async fn delete(&self, file: &Path) -> Result<(), StoreError> {
        match self.objects().delete(file).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", file.as_ref(), error)),
        }
    }
}

/// Whether a file in the table's folder is one of rows that is not kept, or was never finished.
fn is_over(file: &ObjectMeta, is_kept: impl Fn(&str) -> bool) -> bool {
    let path: &str = file.location.as_ref();
    // Folders that begin with `_` hold the log and what is kept beside the table.
    let is_data = path.ends_with(".parquet") && !path.starts_with('_');
    is_data && !is_kept(path) || file.location.filename().is_some_and(durable::is_staged)
}
