//! What is archived of a partition, its incarnations taken together as one log (R12).
//!
//! Each incarnation counts from where it begins to where the next one does. What it holds beyond was lost with its tail.

use std::collections::BTreeMap;
use std::ops::Range;

use shared_logic::contracts::archive::Facts;
use shared_logic::log::{OffsetRange, PartitionId, Witness};
use storage::Archive;

use super::witnesses::{self, Archived};
use crate::rows::RowsError;

/// In how many offsets the last record is looked for at first, and at most at once.
const LOOK: (i64, i64) = (1_000, 65_536);

/// The incarnations of a partition up to one.
#[derive(Debug)]
pub(crate) struct Lives {
    /// Each with its offsets.
    each: Vec<(PartitionId, Range<i64>)>,
    /// The ranges that each has lost of its offsets, and those of which rows may be retired. The archive does not know what lay there.
    pub(crate) lost: Vec<Range<i64>>,
}

impl Lives {
    /// The incarnations up to `id`.
    pub(crate) fn of(facts: &Facts, id: &PartitionId) -> Lives {
        let each: Vec<_> = facts.lives(id).into_iter().map(|(id, begin, end)| (id, begin..end)).collect();
        let mut lost = Vec::new();
        for (id, offsets) in &each {
            let known = facts.partition(id);
            let retired = known.and_then(|known| known.retired_below).map(|below| offsets.start..below);
            let unknown = known.into_iter().flat_map(|known| &known.lost).map(|lost| lost.from..lost.to).chain(retired);
            let within = unknown.map(|range| range.start.max(offsets.start)..range.end.min(offsets.end));
            lost.extend(within.filter(|lost| !lost.is_empty()));
        }
        Lives { each, lost }
    }

    /// The first offset.
    pub(crate) fn begin(&self) -> i64 {
        self.each.first().map_or(0, |(_, offsets)| offsets.start)
    }

    /// The records at these offsets.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(crate) async fn records(
        &self,
        archive: &Archive,
        offsets: &Range<i64>,
    ) -> Result<BTreeMap<i64, Archived>, RowsError> {
        let archived = witnesses::archived(archive, &self.ranges(offsets)).await?;
        Ok(archived.into_iter().map(|((_, _, offset), archived)| (offset, archived)).collect())
    }

    /// These offsets by incarnation.
    fn ranges(&self, offsets: &Range<i64>) -> Vec<OffsetRange> {
        let within = |(id, of_life): &(PartitionId, Range<i64>)| OffsetRange {
            id: id.clone(),
            from: offsets.start.max(of_life.start),
            to: offsets.end.min(of_life.end),
        };
        self.each.iter().map(within).filter(|range| range.from < range.to).collect()
    }

    /// The witness of the position `at`: the last archived record before it, with its short hash. There is none if an older build
    /// archived neither the record's hash nor its bytes, or if offsets between the two are lost.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(crate) async fn witness(&self, archive: &Archive, at: i64) -> Result<Option<Witness>, RowsError> {
        let (mut to, (mut size, size_max)) = (at, LOOK);
        while to > self.begin() {
            let from = (to - size).max(self.begin());
            if let Some((offset, record)) = self.records(archive, &(from..to)).await?.pop_last() {
                return Ok(record.witness().filter(|_| is_next(offset, at, &self.lost)));
            }
            (to, size) = (from, (2 * size).min(size_max));
        }
        Ok(None)
    }
}

/// Whether the archived record at `offset` is the one before the position `at`, if the archive holds none between them: not
/// if offsets between the two are `lost`, where the log may hold records.
pub(crate) fn is_next(offset: i64, at: i64, lost: &[Range<i64>]) -> bool {
    !lost.iter().any(|lost| offset < lost.end && lost.start < at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_incarnation_has_lost_ends_where_the_next_one_begins() {
        let first = PartitionId::new("log", 0);
        let mut facts = Facts::default();
        facts.begin(&first, 0);
        facts.lose(&first, 10);
        assert!(facts.advance(&first, 10, 100));
        let second = facts.lose_tail(&first, 60, None).expect("it goes on");
        facts.settle_truncated(&first, Some((50, 120)));
        assert_eq!(Lives::of(&facts, &first).lost, [0..10, 50..120]);
        assert_eq!(Lives::of(&facts, &second).lost, [0..10, 50..60], "the second one may have archived the rest");
        facts.retire(20_000, &[(first.clone(), 30)].into_iter().collect());
        assert_eq!(Lives::of(&facts, &first).lost, [0..10, 50..120, 0..30], "rows may be retired there");
    }
}
