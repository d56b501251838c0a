//! The archive of one source, with the facts that its newest commit carries (R6).
//!
//! - `decoded`: what its files were decoded to under other rules than their own (R11);
//! - `erased`: which hours the events lay in that were erased;
//! - `imports`: the files of imports that have not committed yet;
//! - `schemas`: the writers' schemas that its records name;
//! - `snapshots`: what lanes remember of the source (T2);
//! - `stopped`: why lanes do not go on.

mod decoded;
mod erased;
mod imports;
mod schemas;
mod snapshots;
mod stopped;

use std::time::Duration;

use platform::store::{Committed, FileBeside, StoreError};
use platform::task::Attempts;
use polars::prelude::Schema;
use shared_logic::catalog::RulesHash;
use shared_logic::contracts::archive::{self, Facts};

use crate::{Followed, NotedTable, ORPHAN_AGE, Storage, TableNote};

pub use decoded::Decoded;
pub use erased::ErasedHours;
pub use snapshots::{SUPERSEDED_AGE, Snapshot};

/// Where an archive says when it was last maintained. Delta's own tools leave folders with such a name alone.
const MAINTAINED: &str = "_maintenance/last.json";

/// How often a change of facts is tried again when the archiver committed first. All waits together take less than 5 seconds.
const ATTEMPTS: u32 = 20;
/// The wait before the second try.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The archive of one source at one version, with its facts at that version.
pub type Archive = NotedTable<Facts>;

impl TableNote for Facts {
    const DOMAIN: &'static str = archive::FACTS_DOMAIN;
    const PARTITION: &'static str = archive::DAY;
    const ENTRIES: &'static str = archive::FACTS_LOGS;
}

/// Facts that could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum FactsNotChanged {
    /// The archive could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archiver committed before every attempt.
    #[error("cannot change the facts of {table}: the archiver committed first {ATTEMPTS} times; try again")]
    Overtaken {
        /// The archive's table.
        table: String,
    },
}

impl Storage {
    /// The archive of a source at its newest version; `None` until the archiver's first commit.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn archive(&self, source: &str) -> Result<Option<Archive>, StoreError> {
        let archive = Archive::open(&self.store, &self.archive_path(source)).await?;
        Ok(archive.filter(|archive| archive.note().is_some()))
    }

    /// The archive of a source, created with those columns where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_archive(&self, source: &str, columns: &Schema) -> Result<Archive, StoreError> {
        Archive::create(&self.store, &self.archive_path(source), columns).await
    }

    /// The archive of a source, to be followed from version to version.
    pub fn follow_archive(&self, source: &str) -> Followed<Facts> {
        Followed::new(self.store.clone(), self.archive_path(source))
    }

    fn archive_path(&self, source: &str) -> String {
        archive::path(&self.deployment.archive_name(source))
    }
}

impl Archive {
    /// The facts at this version; none of them before the archiver's first commit.
    pub fn facts(&self) -> Facts {
        self.note().map(|facts| Facts::clone(facts)).unwrap_or_default()
    }

    /// Changes the newest facts in a commit of their own and returns what `change` returns. If that changes nothing,
    /// there is no commit. `operation` is a word for the table's log. If others commit first, it is tried again after a wait.
    ///
    /// # Errors
    /// If the archive cannot be read or written, or others committed first again and again.
    pub async fn change<T>(
        &mut self,
        operation: &'static str,
        change: impl Fn(&mut Facts) -> T,
    ) -> Result<T, FactsNotChanged> {
        let mut attempts = Attempts::new(ATTEMPTS, FIRST_WAIT);
        loop {
            let before = self.facts();
            let mut facts = before.clone();
            let given = change(&mut facts);
            if facts == before {
                return Ok(given);
            }
            if self.commit(self.begin(operation), Some(facts)).await? != Committed::Conflict {
                return Ok(given);
            }
            let Some(wait) = attempts.wait() else {
                return Err(FactsNotChanged::Overtaken { table: self.path().to_owned() });
            };
            tokio::time::sleep(wait).await;
            self.refresh().await?;
        }
    }

    /// When a pass of maintenance last ended, microseconds since 1970 by its clock; `None` if none did.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn maintained_us(&self) -> Result<Option<i64>, StoreError> {
        self.table().beside(MAINTAINED).await
    }

    /// Notes when a pass of maintenance has ended.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn note_maintained(&self, at_us: i64) -> Result<(), StoreError> {
        self.table().put_beside(MAINTAINED, &at_us).await
    }

    /// The files that [`Archive::remove_orphans`], [`Archive::remove_decoded`], [`Archive::remove_erased`] and
    /// [`Archive::remove_identities`] would remove now.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn unused(&self, own: &RulesHash) -> Result<Vec<FileBeside>, StoreError> {
        let (mut unused, spared) = self.imports_over().await?;
        unused.extend(self.table().orphans(ORPHAN_AGE, &spared).await?);
        unused.extend(self.decoded_over().await?);
        unused.extend(self.erased_over().await?);
        unused.extend(self.identities_over(own).await?);
        Ok(unused)
    }

    /// Removes files that do not belong to this version, nor to an import that is under way, if they were written longer than
    /// [`ORPHAN_AGE`] ago and no commit has taken them out since then; returns how many.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_orphans(&self) -> Result<usize, StoreError> {
        let spared = self.files_of_imports().await?;
        self.table().remove_orphans(ORPHAN_AGE, &spared).await
    }

    /// Whether files are left that belong neither to this version, which need not be the newest one, nor to an import under way, or were
    /// decoded of such files, and were written before that moment by the store's clock; microseconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn has_orphans_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        let spared = self.files_of_imports().await?;
        Ok(self.table().has_others_of_before(at_us, &spared).await? || self.has_decoded_of_before(at_us).await?)
    }
}
