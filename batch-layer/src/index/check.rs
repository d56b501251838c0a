//! The index and its table at one vector of offsets (I5).
//!
//! These are the offsets T for which the materialised rows stand. Once the lanes are there, the index is read as of one moment, and the
//! log's ends E are asked for behind it. What was read was written by changes below E; so an id without a change from T to E has to be what
//! its row says.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use platform::failpoints;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::index::{Build, IndexCheck, NotChecked};
use shared_logic::index::{DocumentHash, SLICES, slice_of};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::table::RowValue;
use storage::{Scroll, SearchError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::compare::{Hashes, compare};
use super::{Basis, IndexError, Keeper};
use crate::log_ends::LogEnds;
use crate::table::{SharedRow, SharedRows, changed_keys};

/// For how long lanes, and then the archive, are waited for.
const WITHIN: Duration = Duration::from_secs(30);
/// How many documents are read at once.
const PAGE: usize = 2_000;

/// A slice of an index, as of one moment.
struct SliceRead {
    /// What was read of it.
    hashes: Hashes,
    /// How the rest is had; `None`: that was all.
    scroll: Option<Scroll>,
}

impl Keeper<'_> {
    /// Compares a build with the rows. Where that is not possible, the check says why.
    pub(super) async fn check(
        &self,
        number: u64,
        build: &Build,
        basis: &Basis,
        stop: &CancellationToken,
    ) -> Result<IndexCheck, IndexError> {
        let none = || IndexCheck { build: number, table_version: basis.table.version(), ..IndexCheck::default() };
        match self.compared(number, build, basis, stop).await {
            Ok(Ok(check)) => Ok(IndexCheck { build: number, table_version: basis.table.version(), ..check }),
            Ok(Err(why)) => Ok(IndexCheck { not_checked: Some(why), ..none() }),
            Err(IndexError::Search(error)) if is_away(&error) => {
                let index = &self.unit.index;
                warn!(index, build = number, error = error_text(&error), "the index cannot be compared now");
                Ok(IndexCheck { not_checked: Some(NotChecked::Unreachable), ..none() })
            }
            Err(error) => Err(error),
        }
    }

    async fn compared(
        &self,
        number: u64,
        build: &Build,
        basis: &Basis,
        stop: &CancellationToken,
    ) -> Result<Result<IndexCheck, NotChecked>, IndexError> {
        let reached = basis.reached(&build.base);
        if !self.have_reached(number, &reached, &basis.facts, stop).await? {
            return Ok(Err(NotChecked::Behind));
        }
        // Every document that is refused from now on is of a change behind these offsets, and so of an id that moves.
        // Lanes stop once there are too many, but not all of them at once.
        let (refused, _) = self.client.refused_ids(&self.unit.index, number, u64::MAX).await?;
        let refused: HashSet<String> = refused.into_iter().map(|(id, _)| id).collect();
        let name = self.build_name(number);
        self.client.refresh(&name).await?;
        let mut slices = VecDeque::new();
        let compared = async {
            self.begin(&name, kept_for(basis.note.rows), &mut slices).await?;
            failpoints::pass("index::while_checking");
            let ends = self.ends(&build.base, &basis.facts).await?;
            let Some(ends) = self.archived(ends, stop).await? else { return Ok(Err(NotChecked::NotArchived)) };
            let moved = changed_keys(self.storage, &self.subject, &reached, &ends).await?;
            self.compare_slices(basis, (&moved, &refused), &mut slices, stop).await
        };
        let compared = compared.await;
        for slice in slices {
            self.end(slice.scroll).await;
        }
        compared
    }

    /// Waits until the lanes of a build have come to these offsets; those of partitions that have ended, if they ever do.
    async fn have_reached(
        &self,
        number: u64,
        reached: &Offsets,
        facts: &Facts,
        stop: &CancellationToken,
    ) -> Result<bool, IndexError> {
        let wanted: Vec<(PartitionId, i64)> =
            reached.iter().filter(|(id, _)| !facts.is_ended(id)).map(|(id, next)| (id.clone(), next)).collect();
        let ids: Vec<PartitionId> = wanted.iter().map(|(id, _)| id.clone()).collect();
        let deadline = Instant::now() + WITHIN;
        loop {
            let progress = self.client.progress(&self.unit.index, number, &ids).await?;
            let mut of_each = wanted.iter().zip(&progress);
            if of_each.all(|((_, next), progress)| progress.as_ref().is_some_and(|known| known.cursor >= *next)) {
                return Ok(true);
            }
            if stop.is_cancelled() || Instant::now() >= deadline {
                return Ok(false);
            }
            self.pause(stop).await;
        }
    }

    /// Begins to read every slice: what they hold is as of now.
    async fn begin(&self, name: &str, kept: Duration, slices: &mut VecDeque<SliceRead>) -> Result<(), SearchError> {
        for slice in 0..SLICES {
            let mut scroll = self.client.scroll(name, slice, PAGE as u64, kept).await?;
            let hashes = hashes_of(&mut scroll);
            let is_whole = hashes.len() < PAGE;
            slices.push_back(SliceRead { hashes, scroll: Some(scroll) });
            // Most slices are one page. Of these, the server need not keep anything.
            if is_whole && let Some(last) = slices.back_mut() {
                self.end(last.scroll.take()).await;
            }
        }
        Ok(())
    }

    /// Where the partitions of a build end, and where those ended that have no lane any more.
    async fn ends(&self, base: &Offsets, facts: &Facts) -> Result<Offsets, IndexError> {
        let asked = self.ends.ends(&self.subject.archived.topic).await?;
        let of_archive = |id: &PartitionId| facts.partition(id).map(|known| (id.clone(), known.next));
        let mut ends: Offsets = base.iter().filter_map(|(id, _)| of_archive(id)).collect();
        if let Some(asked) = asked {
            for (partition, end) in &asked.ends {
                let id = facts.current(&asked.log, *partition);
                if let Some(known) = ends.get(&id) {
                    ends.set(id, known.max(*end));
                }
            }
        }
        Ok(ends)
    }

    /// Waits until the archive holds what lies below these ends. `None`: it did not come there in time.
    async fn archived(&self, ends: Offsets, stop: &CancellationToken) -> Result<Option<Offsets>, StoreError> {
        let deadline = Instant::now() + WITHIN;
        let Some(mut archive) = self.storage.archive(&self.subject.archived.name).await? else { return Ok(None) };
        loop {
            let facts = archive.facts();
            // What ends before that has ended for good, and nothing of it is read any more.
            let is_there = |id: &PartitionId, end: i64| {
                facts.is_ended(id) || facts.partition(id).is_some_and(|known| known.next >= end)
            };
            if ends.iter().all(|(id, end)| is_there(id, end)) {
                return Ok(Some(ends));
            }
            if stop.is_cancelled() || Instant::now() >= deadline {
                return Ok(None);
            }
            self.pause(stop).await;
            archive.refresh().await?;
        }
    }

    /// Compares slice by slice. Ids that have `moved` and those that are refused are left out on both sides.
    async fn compare_slices(
        &self,
        basis: &Basis,
        (moved, refused): (&HashSet<String>, &HashSet<String>),
        slices: &mut VecDeque<SliceRead>,
        stop: &CancellationToken,
    ) -> Result<Result<IndexCheck, NotChecked>, IndexError> {
        let mut check = IndexCheck {
            moved: moved.len() as u64,
            refused: refused.difference(moved).count() as u64,
            ..IndexCheck::default()
        };
        let is_left_out = |id: &String| moved.contains(id) || refused.contains(id);
        let make = self.hashes();
        let rows = SharedRows::of(&basis.table, &basis.note, &self.subject).await?;
        for part in 0..rows.parts {
            let mut of_part = rows.part(part).await?;
            let mut by_slice: BTreeMap<u32, Hashes> = BTreeMap::new();
            while let Some(made) = of_part.next(&make).await? {
                for (id, hash) in made.into_iter().filter(|(id, _)| !is_left_out(id)) {
                    by_slice.entry(slice_of(&id)).or_default().push((id, hash));
                }
            }
            drop(of_part);
            for slice in rows.slices(part) {
                if stop.is_cancelled() {
                    return Ok(Err(NotChecked::Unreachable));
                }
                let Some(read) = slices.front_mut() else { return Ok(Err(NotChecked::Unreachable)) };
                self.read_on(read).await?;
                let mut documents = std::mem::take(&mut read.hashes);
                slices.pop_front();
                documents.retain(|(id, _)| !is_left_out(id));
                compare(slice, by_slice.remove(&slice).unwrap_or_default(), documents, &mut check);
            }
        }
        Ok(Ok(check))
    }

    /// Reads a slice to its end.
    async fn read_on(&self, read: &mut SliceRead) -> Result<(), SearchError> {
        while let Some(scroll) = &mut read.scroll {
            self.client.next_page(scroll).await?;
            let page = hashes_of(scroll);
            if page.len() < PAGE {
                self.end(read.scroll.take()).await;
            }
            read.hashes.extend(page);
        }
        Ok(())
    }

    /// Lets the server forget a scroll. If it does not, it forgets it some minutes later.
    async fn end(&self, scroll: Option<Scroll>) {
        if let Some(scroll) = scroll
            && let Err(error) = self.client.end_scroll(scroll).await
        {
            warn!(index = self.unit.index, error = error_text(&error), "a scroll stays until the server forgets it");
        }
    }

    /// Rows → the hashes of their documents.
    fn hashes(&self) -> Arc<dyn Fn(SharedRow) -> (String, DocumentHash) + Send + Sync> {
        let documents = self.documents();
        Arc::new(move |SharedRow { id, row, timestamp_us, .. }| {
            let value = |at: usize| -> Option<&RowValue> { row.get(at)?.as_ref() };
            let hash = DocumentHash::of(&id, &documents.document(&id, &value, timestamp_us));
            (id, hash)
        })
    }

    async fn pause(&self, stop: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(self.poll) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// For how long the server is to keep a slice: it is read on only when those before it are compared, which takes long of a large table.
fn kept_for(rows: u64) -> Duration {
    // A million rows take less than half a minute.
    2 * WITHIN + Duration::from_millis(rows.saturating_mul(2) / 10)
}

/// The hashes of the documents of a page, of which it is emptied.
fn hashes_of(scroll: &mut Scroll) -> Hashes {
    let page = std::mem::take(&mut scroll.page).into_iter();
    let hashes = page.map(|(id, document)| {
        let hash = DocumentHash::of(&id, document.to_string().as_bytes());
        (id, hash)
    });
    hashes.collect()
}

/// Whether the server is away, or has let a reading go: to be tried again the next time.
fn is_away(error: &SearchError) -> bool {
    error.is_back_pressure() || matches!(error, SearchError::NoIndex { .. } | SearchError::Refused { status: 404, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_a_table_is_the_longer_its_slices_are_kept() {
        assert_eq!(kept_for(0), Duration::from_secs(60));
        assert_eq!(kept_for(20_000_000), Duration::from_secs(60 + 4_000));
    }
}
