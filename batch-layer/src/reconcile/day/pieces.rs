//! A day's event time, divided into pieces with few enough events.
//!
//! A piece consists of whole units, so a unit that has to be recomputed lies in one piece. Where a single unit has too many events,
//! these are divided by their identities: all copies of an event are in one part.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use shared_logic::log::OffsetRange;
use shared_logic::time::bucket_start;

use super::Day;
use crate::archive_rows::scan::{Scan, Times, Wanted};
use crate::reconcile::error::DayError;

/// Some units of a day.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    /// The units; `None`: all of the day.
    times: Option<Times>,
    /// How many parts it has. More than one only if it is one unit.
    pub(super) count: u64,
    /// About how many events it has, at most.
    rows: u64,
}

/// A part of the events of a piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) times: Option<&'a Times>,
    /// Its number among so many.
    pub(super) number: u64,
    pub(super) of: u64,
    /// About how many events it has, at most.
    pub(super) rows: u64,
}

impl Piece {
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let rows = self.rows.div_ceil(self.count.max(1));
        (0..self.count).map(move |number| Part { times: self.times.as_ref(), number, of: self.count, rows })
    }

    /// Whether it consists of some of these units.
    pub(super) fn is_within(&self, units: &BTreeSet<i64>) -> bool {
        self.times.as_ref().is_some_and(|times| times.starts.is_subset(units))
    }
}

impl Day<'_> {
    /// The pieces of those units, or of the whole day, for the events whose records lie in those ranges; and how many rows were read
    /// to find them.
    pub(super) async fn pieces(
        &self,
        ranges: &[OffsetRange],
        units: Option<&BTreeSet<i64>>,
    ) -> Result<(Vec<Piece>, u64), DayError> {
        let times = units.and_then(|units| self.times_of_part(units));
        let rows = self.task.rows_in(ranges);
        if rows <= self.rows_max as u64 {
            return Ok((vec![Piece { times, count: 1, rows }], 0));
        }
        // What is read ahead of it takes about as much as of a part.
        let _room = self.room.of_part(rows).await;
        let (rows, rows_read) = self.rows_of_units(ranges, times.as_ref()).await?;
        let pieces = divided(&rows, self.rows_max as u64).into_iter();
        let pieces = pieces.map(|(units, count, rows)| Piece { times: Some(self.times(&units)), count, rows });
        Ok((pieces.collect(), rows_read))
    }

    /// How many events each unit has, and how many rows were read. Only their times are.
    async fn rows_of_units(
        &self,
        ranges: &[OffsetRange],
        times: Option<&Times>,
    ) -> Result<(BTreeMap<i64, u64>, u64), DayError> {
        let (unit_us, event_time) = (self.task.unit_us, self.source.event_time.clone());
        let wanted = Wanted { fields: self.source.field(&event_time).into_iter().collect(), ranges, times };
        let of_group = move |events: DataFrame| {
            let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
            for time in events.column(&event_time)?.i64()?.iter().flatten() {
                *counts.entry(bucket_start(time, unit_us)).or_default() += 1;
            }
            Ok(counts)
        };
        let mut scan = Scan::new(self.archive, self.source, &self.task.events, wanted, of_group)?;
        let mut counts = BTreeMap::new();
        while let Some(of_group) = scan.next().await? {
            for (unit, count) in of_group {
                *counts.entry(unit).or_default() += count;
            }
        }
        Ok((counts, scan.rows_read))
    }
}

/// Divides units with so many events each into pieces, each with at most `rows_max` events, or one unit in so many parts; and with so
/// many events.
fn divided(rows: &BTreeMap<i64, u64>, rows_max: u64) -> Vec<(BTreeSet<i64>, u64, u64)> {
    let mut pieces: Vec<(BTreeSet<i64>, u64, u64)> = Vec::new();
    for (unit, rows) in rows {
        let fits = |in_piece: u64| in_piece.saturating_add(*rows) <= rows_max;
        match pieces.last_mut().filter(|(.., in_last)| fits(*in_last)) {
            Some((units, _, in_last)) => {
                units.insert(*unit);
                *in_last += rows;
            }
            None => pieces.push((BTreeSet::from([*unit]), rows.div_ceil(rows_max.max(1)).max(1), *rows)),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_put_together_as_long_as_they_fit_and_one_that_does_not_is_divided() {
        let rows = BTreeMap::from([(0, 3), (1, 5), (2, 3), (3, 25), (4, 1), (7, 9), (8, 10), (9, 0)]);
        let pieces = divided(&rows, 10);
        let expected: [(&[i64], u64, u64); 5] =
            [(&[0, 1], 1, 8), (&[2], 1, 3), (&[3], 3, 25), (&[4, 7], 1, 10), (&[8, 9], 1, 10)];
        let expected =
            expected.map(|(units, count, rows)| (units.iter().copied().collect::<BTreeSet<i64>>(), count, rows));
        assert_eq!(pieces, expected);
    }
}
