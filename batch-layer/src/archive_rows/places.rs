//! Which rows lie in some ranges of offsets: in one step, however many logs there are.
//!
//! A topic that is created again and again leaves a log each time. A condition for each of them would make every row as dear as
//! there are logs.

use std::collections::HashMap;

use polars::prelude::*;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION};
use shared_logic::log::OffsetRange;

/// By log and partition, ranges of offsets `[from, to)`.
#[derive(Debug)]
pub(crate) struct Ranges(HashMap<String, HashMap<i32, Vec<(i64, i64)>>>);

/// Accepts the rows whose offset lies in one of the ranges.
pub(crate) fn within(ranges: &[OffsetRange]) -> Expr {
    let ranges = Ranges::new(ranges);
    let accepted = move |columns: &mut [Column]| {
        let (log, partition, offset) = (&columns[0], &columns[1], &columns[2]);
        Ok(ranges.hold(log, partition, offset)?.with_name(log.name().clone()).into_column())
    };
    let places = [col(PARTITION), col(OFFSET)];
    col(LOG).map_many(accepted, &places, |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::Boolean)))
}

/// A log, a partition, and its ranges.
type Known<'a> = (&'a str, i32, &'a [(i64, i64)]);

impl Ranges {
    /// Those ranges.
    pub(crate) fn new(ranges: &[OffsetRange]) -> Ranges {
        let mut by_place: HashMap<String, HashMap<i32, Vec<(i64, i64)>>> = HashMap::new();
        for OffsetRange { id, from, to } in ranges {
            by_place.entry(id.log.clone()).or_default().entry(id.partition).or_default().push((*from, *to));
        }
        Ranges(by_place)
    }

    /// Whether each row lies inside, given the columns of log, partition and offset.
    ///
    /// # Errors
    /// If a column has another type.
    pub(crate) fn hold(&self, log: &Column, partition: &Column, offset: &Column) -> PolarsResult<BooleanChunked> {
        let (logs, partitions, offsets) = (log.str()?, partition.i32()?, offset.i64()?);
        // Rows of one partition lie together, so most of them need no search.
        let mut last: Option<Known<'_>> = None;
        let rows = logs.iter().zip(partitions.iter()).zip(offsets.iter()).map(|((log, partition), offset)| {
            let (Some(log), Some(partition), Some(offset)) = (log, partition, offset) else { return false };
            let known = last.filter(|(of_log, of_partition, _)| (*of_log, *of_partition) == (log, partition));
            let (_, _, within) = known.unwrap_or_else(|| {
                let found = self.0.get(log).and_then(|partitions| partitions.get(&partition));
                (log, partition, found.map(Vec::as_slice).unwrap_or_default())
            });
            last = Some((log, partition, within));
            within.iter().any(|(from, to)| (*from..*to).contains(&offset))
        });
        Ok(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::log::PartitionId;
    use test_kit::Dice;

    use super::*;

    fn range(log: &str, partition: i32, from: i64, to: i64) -> OffsetRange {
        OffsetRange { id: PartitionId::new(log, partition), from, to }
    }

    #[test]
    fn rows_lie_within_a_range_of_their_own_partition() {
        for seed in 1..50 {
            let mut dice = Dice::new(seed);
            let place = |dice: &mut Dice| (*dice.pick(&["a", "b", "b.1"]), dice.between(0, 2) as i32);
            let rows: Vec<(&str, i32, i64)> = (0..dice.below(60))
                .map(|_| {
                    let (log, partition) = place(&mut dice);
                    (log, partition, dice.between(0, 20))
                })
                .collect();
            let ranges: Vec<OffsetRange> = (0..dice.below(6))
                .map(|_| {
                    let (log, partition) = place(&mut dice);
                    let from = if dice.chance(20) { i64::MIN } else { dice.between(0, 20) };
                    range(log, partition, from, dice.between(0, 22))
                })
                .collect();
            let frame = df!(
                LOG => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
                PARTITION => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
                OFFSET => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
            )
            .expect("three columns");
            let found = frame.lazy().filter(within(&ranges)).collect().expect("filtered");
            let offsets: Vec<i64> =
                found.column(OFFSET).expect("it is there").i64().expect("integers").iter().flatten().collect();
            let is_inside = |row: &&(&str, i32, i64)| {
                ranges.iter().any(|range| {
                    (range.id.log.as_str(), range.id.partition) == (row.0, row.1)
                        && (range.from..range.to).contains(&row.2)
                })
            };
            let expected: Vec<i64> = rows.iter().filter(is_inside).map(|row| row.2).collect();
            assert_eq!(offsets, expected, "seed {seed}: {rows:?} in {ranges:?}");
        }
    }

    #[test]
    fn a_condition_is_as_large_for_many_logs_as_for_one() {
        let terms = |logs: usize| {
            let ranges: Vec<OffsetRange> = (0..logs).map(|n| range(&format!("log-{n}"), 0, i64::MIN, 100)).collect();
            within(&ranges).into_iter().count()
        };
        assert_eq!(terms(500), terms(1));
    }
}
