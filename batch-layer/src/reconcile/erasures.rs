//! How far erasures have come: when answers no longer count the events, and when no file of the store holds them any more.
//!
//! An erasure takes events out of the newest version of the archive at once. Views follow with their next commits, and the files of
//! older versions are deleted once no reader can need them. The archiver and the reconciles delete such files from time to time; for
//! an erasure, a reconcile makes sure of it, so that a quiet source does not keep what it should forget. Both moments are noted in
//! the archive's facts. An erasure is not finished before the search indexes over the source have no build of before, nor the tables of the
//! rows that they follow a file. Reports are written anew by their own runs, and by `erase`: as long as a day may hold what was erased, some
//! file does.

use std::collections::BTreeSet;
use std::time::Duration;

use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::{IndexFrom, Report, Source};
use shared_logic::complete;
use shared_logic::contracts::archive::{ErasedIn, Erasure, Facts};
use shared_logic::log::PartitionId;
use storage::{Archive, BatchView, MaterialisedTable, ORPHAN_AGE};
use tracing::{info, warn};

use super::error::SourceError;
use super::{Prepared, Reconciler};
use crate::index::{Erased, LeftInIndex, subjects};

/// How much longer than needed old files are left, as clocks differ.
const MARGIN: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Notes how far the erasures of a source have come, and deletes old files where that is due. A failure is logged and nothing
    /// else: the next reconcile tries again.
    pub(super) async fn follow_erasures(&self, prepared: &mut Prepared<'_>) {
        let source = &self.catalog.sources[prepared.shards.source()];
        if let Err(error) = self.try_follow_erasures(source, &mut prepared.archive).await {
            warn!(source = source.name, error = error_text(&error), "cannot follow erasures; trying again later");
        }
    }

    pub(crate) async fn try_follow_erasures(&self, source: &Source, archive: &mut Archive) -> Result<(), SourceError> {
        // What was erased since then is in views that were counted from this version or an older one.
        if archive.facts().erasures.is_empty() {
            return Ok(());
        }
        archive.refresh().await?;
        let version = self.catalog.deployment.version.as_str();
        let erasures = archive.facts().erasures;
        for erasure in erasures.iter().filter(|erasure| erasure.completed_at_us.is_some()) {
            if erasure.left_in(version).is_some() {
                self.storage.forget_backtests(&source.name, erasure).await?;
                self.forget_rows(&source.name, erasure).await?;
            }
            let now_us = platform::clock::now_us();
            let reached = match erasure.versions.get(version).copied() {
                Some(known) if known.deleted_at_us.is_some() || now_us < self.due_us(&known) => None,
                Some(known) => {
                    let mut is_done = self.delete_old_files(erasure, known.uncounted_at_us, source, archive).await?;
                    is_done = is_done && self.is_in_no_index(source, &archive.facts()).await;
                    is_done.then_some(ErasedIn { deleted_at_us: Some(now_us), ..known })
                }
                None => {
                    let is_uncounted = self.is_uncounted(erasure, source, archive).await?;
                    is_uncounted.then_some(ErasedIn { uncounted_at_us: now_us, deleted_at_us: None })
                }
            };
            if let Some(reached) = reached {
                archive.change("ERASURE", |facts| facts.note_erased_in(erasure, version, reached)).await?;
                let done = match reached.deleted_at_us {
                    None => "no answer counts what was erased",
                    Some(_) => "no file of this store holds what was erased",
                };
                info!(source = source.name, id = erasure.id, version, "{done}");
            }
        }
        Ok(())
    }

    /// Whether no search index holds events that were erased, as far as the search server says. Without a server there is none.
    async fn is_in_no_index(&self, source: &Source, facts: &Facts) -> bool {
        let archive = self.catalog.deployment.archive_name(&source.name);
        let erased = Erased { source: &source.name, archive: &archive, erasures: facts.erased_parts() };
        let left = match self.left_in_indexes(erased).await {
            Ok(left) => left,
            Err(error) => {
                let source = source.name.as_str();
                warn!(source, error = error_text(&error), "cannot ask whether search indexes hold what was erased");
                return false;
            }
        };
        for LeftInIndex { index, builds } in &left {
            match builds {
                Ok(builds) => info!(index, ?builds, "builds of before an erasure are to be deleted"),
                Err(error) => warn!(index, error = error_text(error), "an index may hold what was erased"),
            }
        }
        left.is_empty()
    }

    /// Takes everything out of tables of rows that indexes have followed of a stream and that none follows any more: nobody materialises them anew.
    async fn forget_rows(&self, source: &str, erasure: &Erasure) -> Result<(), StoreError> {
        let (own, reconciled) = (self.whole.deployment.version.as_str(), self.versions.reconciled());
        let mut units = self.versions.indexes();
        units.retain(|unit| unit.host == own || reconciled.contains(&unit.host.as_str()));
        let followed = subjects(&units);
        for name in self.storage.indexed_tables(source).await? {
            if followed.contains_key(&name) {
                continue;
            }
            let Some(mut table) = self.storage.table(&name).await? else { continue };
            if table.forget(erasure).await? {
                info!(
                    source,
                    table = name,
                    id = erasure.id,
                    "no index follows these rows any more, and they are taken out"
                );
            }
        }
        Ok(())
    }

    /// When the files that may hold erased events are old enough to be deleted, microseconds since 1970.
    pub(crate) fn due_us(&self, known: &ErasedIn) -> i64 {
        let wait = ORPHAN_AGE.max(self.log_retention) + MARGIN;
        known.uncounted_at_us.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whether no answer of this version of the deployment counts the events: every view was counted from an archive without them,
    /// and up to where the archive reached by then, so that no slice with them is added; and no rows that its indexes follow are of before.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn is_uncounted(&self, erasure: &Erasure, source: &Source, archive: &Archive) -> Result<bool, StoreError> {
        let (facts, rules) = (archive.facts(), source.rules());
        if self.whole.tables.contains_key(&source.name) {
            let table = self.storage.table(&source.name).await?;
            let made_from = table.as_ref().and_then(MaterialisedTable::note).map(|note| note.archive_version);
            let newest = erasure.parts.iter().map(|part| part.version).max();
            if made_from < newest {
                return Ok(false);
            }
        }
        let of_stream = self.whole.indexes_of(&source.name).filter(|index| matches!(index.from, IndexFrom::Stream(_)));
        for name in of_stream.map(|index| self.whole.indexed_table(index)).collect::<BTreeSet<String>>() {
            // Where there is none yet, nothing can be in it.
            if self.storage.table(&name).await?.is_some_and(|table| table.may_name(erasure)) {
                return Ok(false);
            }
        }
        for metric in self.catalog.metrics_of(&source.name) {
            let view = self.storage.batch_view(&metric.name).await?;
            let note = view.as_ref().and_then(BatchView::note).map(AsRef::as_ref);
            let own = complete::own_view(note, &self.catalog.definition(metric), &rules, Some(&facts));
            let Some(own) = own else { return Ok(false) };
            for part in &erasure.parts {
                let upto = archive.erased(part).await?.unwrap_or_default().upto;
                let begin = |id: &PartitionId| facts.partition(id).map_or(0, |known| known.begin);
                let is_within = upto.iter().all(|(id, offset)| own.cut.get(id).unwrap_or_else(|| begin(id)) >= offset);
                if own.archive_version < part.version || !is_within {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Deletes what belongs to older versions of a source's tables, and of backtests. Returns whether all of it is gone that was written before
    /// `uncounted_at_us`: files that are not old enough by the store's clock are left to the next time, and so are those of a table of which
    /// another process has just committed a version.
    async fn delete_old_files(
        &self,
        erasure: &Erasure,
        uncounted_at_us: i64,
        source: &Source,
        archive: &mut Archive,
    ) -> Result<bool, StoreError> {
        archive.checkpoint().await?;
        // Which files were taken out stands in the log, and entries that the older version was read from may be gone by now.
        if let Some(newest) = self.storage.archive(&source.name).await? {
            *archive = newest;
        }
        archive.remove_decoded().await?;
        archive.remove_erased().await?;
        archive.remove_identities(&source.rules()).await?;
        // Only a version that is the newest one deletes files, and archivers commit all the time.
        archive.refresh().await?;
        archive.remove_orphans().await?;
        let is_done = self.is_in_no_old_file(uncounted_at_us, archive).await?;
        Ok(self.delete_old_files_beside(erasure, uncounted_at_us, source).await? && is_done)
    }

    /// Whether the store holds no file of a version of the archive that is older than an erasure. It is asked of some version that came after the
    /// erasure. Whatever is committed meanwhile does not matter: nothing that an erasure has taken out comes back into the archive, so what later
    /// versions consist of, or take out, holds nothing of it.
    pub(super) async fn is_in_no_old_file(&self, uncounted_at_us: i64, archive: &Archive) -> Result<bool, StoreError> {
        Ok(!archive.has_orphans_of_before(uncounted_at_us).await?)
    }

    /// The same of what is made of the archive.
    async fn delete_old_files_beside(
        &self,
        erasure: &Erasure,
        uncounted_at_us: i64,
        source: &Source,
    ) -> Result<bool, StoreError> {
        let newest = erasure.parts.iter().map(|part| part.version).max().unwrap_or_default();
        let mut is_done = true;
        // Whichever version follows them, and if none does.
        let mut tables = self.storage.indexed_tables(&source.name).await?;
        tables.push(source.name.clone());
        for name in tables {
            let Some(table) = self.storage.table(&name).await? else { continue };
            table.checkpoint().await?;
            let Some(mut table) = self.storage.table(&name).await? else { continue };
            table.remove_unused().await?;
            is_done &= !table.may_name(erasure);
            is_done &= !table.has_unused_of_before(uncounted_at_us).await? && !table.refresh().await?;
        }
        for metric in self.catalog.metrics_of(&source.name) {
            let Some(older) = self.storage.batch_view(&metric.name).await? else { continue };
            older.checkpoint().await?;
            let Some(mut view) = self.storage.batch_view(&metric.name).await? else { continue };
            view.forget_rebuilds_before(newest).await?;
            view.forget_versions_before(newest).await?;
            view.remove_orphans(&self.catalog.definition(metric)).await?;
            is_done &= !view.has_orphans_of_before(uncounted_at_us).await? && !view.refresh().await?;
        }
        for report in self.reports_of(&source.name) {
            let days = self.storage.erased_days(&self.whole, report).await?;
            is_done &= days.due.is_empty() && self.storage.forget_report_before(&report.name, uncounted_at_us).await?;
        }
        for backtest in self.storage.backtests().await? {
            if !backtest.is_of(&source.name).await? {
                continue;
            }
            backtest.remove_orphans().await?;
            // One that began before the erasure decides from what it has read, however much later it writes and commits that; if it is killed then,
            // nobody else takes it out or deletes its files.
            is_done &=
                !backtest.may_name(&source.name, erasure).await? && !backtest.has_orphans_of_before(i64::MAX).await?;
        }
        Ok(is_done)
    }

    /// The reports that count a source, or join the table that it is, if this version writes them.
    fn reports_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Report> {
        let writes = self.versions.reports() == self.whole.deployment.version;
        self.whole.reports_of(source).filter(move |_| writes)
    }
}
