//! What the speed layer reads of the batch side: the archive's facts and the views' cuts.

use std::sync::Arc;

use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::cut;
use shared_logic::log::{Offsets, PartitionId, Position};
use storage::{Followed, Storage};

/// Reads the archive of one source and the views of its metrics.
#[derive(Debug)]
pub struct BatchSide {
    archive: Followed<Facts>,
    views: Vec<Followed<Note>>,
}

/// What the batch side covers, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Boundary {
    /// The archive's facts; `None` if there is no archive yet.
    pub archive: Option<Arc<Facts>>,
    /// The cuts of the newest views of the catalog's metrics over the source. The views may count other definitions.
    pub cuts: Vec<Offsets>,
}

impl BatchSide {
    /// The archive of that source, and the views of the catalog's metrics over it.
    pub fn new(storage: &Storage, catalog: &Catalog, source: &Source) -> BatchSide {
        let views = catalog.metrics_of(&source.name).map(|metric| storage.follow_batch_view(&metric.name));
        BatchSide { archive: storage.follow_archive(&source.name), views: views.collect() }
    }

    /// Reads the newest boundary.
    ///
    /// # Errors
    /// If a table cannot be read. Then nothing may be decided that depends on the boundary.
    pub async fn boundary(&mut self) -> Result<Boundary, StoreError> {
        let mut cuts = Vec::new();
        for view in &mut self.views {
            if let Some(note) = view.newest().await?.and_then(|view| view.note()) {
                cuts.push(note.cut.clone());
            }
        }
        let archive = self.facts().await?;
        Ok(Boundary { archive, cuts })
    }

    /// The archive's newest facts; `None` if there is no archive yet.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub async fn facts(&mut self) -> Result<Option<Arc<Facts>>, StoreError> {
        Ok(self.archive.newest().await?.and_then(|archive| archive.note().cloned()))
    }
}

impl Boundary {
    /// R6: where the partition's shard is opened; `None` as long as the archive does not know the partition. Of an offset below
    /// what is archived, the witness is not known. `log_start` is where the log starts now, for a deployment that keeps no archive: its
    /// logs begin there (K5).
    pub fn opening(&self, id: &PartitionId, log_start: Option<i64>) -> Option<Position> {
        if let Some(start) = log_start {
            return Some(start.into());
        }
        let archive = self.archive.as_deref()?;
        let offset = cut::opening(self.cuts.iter(), id, archive)?;
        let known = archive.partition(id).filter(|known| known.next == offset);
        Some(Position { offset, witness: known.and_then(|known| known.witness) })
    }

    /// R8: the partitions whose shards a version no longer needs, with their archived ends.
    pub fn deletable(&self, version: &str) -> Vec<(PartitionId, i64)> {
        self.archive.as_deref().map(|facts| cut::deletable(version, &self.cuts, facts)).unwrap_or_default()
    }

    /// R8: the offset below which the partition's slices may be dropped.
    pub fn droppable(&self, id: &PartitionId) -> Option<i64> {
        cut::droppable(self.cuts.iter(), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_from_the_log_begins_where_the_archive_or_without_one_the_log_does() {
        let (id, mut facts) = (PartitionId::new("log", 0), Facts::default());
        facts.begin(&id, 5);
        assert!(facts.advance(&id, 5, 90));
        let mut boundary = Boundary { archive: Some(Arc::new(facts)), cuts: Vec::new() };
        let opening = |boundary: &Boundary, start| boundary.opening(&id, start).map(|at| (at.offset, at.witness));
        assert_eq!(opening(&boundary, None), Some((5, None)), "no view counts it yet");
        let mut cut = Offsets::default();
        cut.set(id.clone(), 60);
        boundary.cuts.push(cut);
        assert_eq!(opening(&boundary, None), Some((60, None)), "the archive was counted up to there");
        assert_eq!(opening(&Boundary::default(), None), None, "the archive is waited for");
        assert_eq!(opening(&Boundary::default(), Some(7)), Some((7, None)), "unless there is to be none");
    }
}
