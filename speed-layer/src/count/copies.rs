//! Copies are left out of a micro-batch before it is counted.
//!
//! The deduplication window belongs to the counting loop, and starts empty with it. It sees every event that the reading thread
//! hands on, in the order of their offsets: first those before the shard's cursor.

use metrics::counter;
use polars::prelude::{BooleanChunked, PolarsResult};
use shared_logic::dedup::RecentIdentities;

use crate::read::micro_batch::MicroBatch;

/// Leaves out the events that are copies of earlier ones. Offsets and records stay: a mark then lies behind fewer rows.
///
/// # Errors
/// None that an event can cause.
pub fn left_out(window: &mut RecentIdentities, mut batch: MicroBatch) -> PolarsResult<MicroBatch> {
    let copies = window.judge(&batch.sightings);
    batch.sightings = Vec::new();
    // A source without an event id has no sightings.
    let copies = &copies[copies.len().saturating_sub(batch.events.height())..];
    let number = copies.iter().filter(|is_copy| **is_copy).count();
    if number == 0 {
        return Ok(batch);
    }
    counter!("braid_speed_duplicates_total").increment(number as u64);
    let (mut seen, mut kept) = (0, 0);
    for mark in &mut batch.marks {
        kept += copies[seen..mark.rows].iter().filter(|is_copy| !**is_copy).count();
        seen = mark.rows;
        mark.rows = kept;
    }
    let keeps: BooleanChunked = copies.iter().map(|is_copy| !is_copy).collect();
    batch.events = batch.events.filter(&keeps)?;
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use polars::prelude::df;
    use shared_logic::dedup::Sighting;
    use shared_logic::identity::Identity;

    use super::*;
    use crate::read::micro_batch::Mark;

    /// Events before the cursor, and those of a micro-batch: offsets, and who they are.
    type Events<'a> = &'a [(i64, u64)];

    fn sightings(events: Events<'_>) -> impl Iterator<Item = Sighting> {
        events.iter().map(|(offset, who)| Sighting { identity: Identity(7, *who), offset: *offset })
    }

    /// A micro-batch from the offset 10 on with one row for each event. Its marks lead to these offsets.
    fn batch(before: Events<'_>, events: Events<'_>, marks: &[i64]) -> MicroBatch {
        let mark = |to: &i64| {
            let rows = events.partition_point(|(offset, _)| offset < to);
            Mark { rows, records: (to - 10) as usize, to: (*to).into() }
        };
        let (now, offsets) = (Instant::now(), events.iter().map(|(offset, _)| *offset).collect::<Vec<_>>());
        MicroBatch {
            from: 10,
            marks: marks.iter().map(mark).collect(),
            events: df!("offset" => offsets).expect("a column"),
            sightings: sightings(before).chain(sightings(events)).collect(),
            lane: Box::default(),
            changes: Vec::new(),
            opened: now,
            sealed: now,
        }
    }

    /// The offsets of the rows that are left, and the rows and records before each mark.
    fn shown(batch: &MicroBatch) -> (Vec<i64>, Vec<(usize, usize)>) {
        let offsets = batch.events.column("offset").and_then(|column| Ok(column.i64()?.clone())).expect("offsets");
        let marks = batch.marks.iter().map(|mark| (mark.rows, mark.records));
        (offsets.iter().flatten().collect(), marks.collect())
    }

    #[test]
    fn copies_of_earlier_events_are_left_out_and_marks_lie_behind_what_stays() {
        let mut window = RecentIdentities::new(5);
        window.judge(&sightings(&[(4, 4), (7, 3)]).collect::<Vec<_>>());
        // The earlier copies of 4 and 8 lie beyond the window. The record at 13 is invalid.
        let events = [(10, 1), (11, 3), (12, 2), (14, 4), (15, 2), (16, 8)];
        let batch = left_out(&mut window, batch(&[(8, 8), (9, 2)], &events, &[11, 12, 14, 16, 17])).expect("filtered");
        let marks = vec![(1, 1), (1, 2), (1, 4), (2, 6), (3, 7)];
        assert_eq!(shown(&batch), (vec![10, 14, 16], marks));
        assert_eq!(batch.marks.last().map(|mark| mark.to), Some(17_i64.into()), "the cursor goes as far");
    }

    #[test]
    fn the_next_micro_batch_is_judged_by_the_last_one() {
        let mut window = RecentIdentities::new(100);
        let first = left_out(&mut window, batch(&[], &[(10, 1), (11, 2)], &[12])).expect("nothing to filter");
        assert_eq!(shown(&first), (vec![10, 11], vec![(2, 2)]));
        let next = left_out(&mut window, batch(&[], &[(12, 2), (13, 2)], &[13, 14])).expect("filtered");
        assert_eq!(shown(&next), (vec![], vec![(0, 3), (0, 4)]), "nothing is left, and the cursor moves all the same");
    }

    #[test]
    fn without_an_event_id_nothing_is_a_copy() {
        let mut window = RecentIdentities::new(100);
        let events = [(10, 1), (11, 1)];
        let batch = left_out(&mut window, MicroBatch { sightings: Vec::new(), ..batch(&[], &events, &[12]) });
        assert_eq!(shown(&batch.expect("nothing to filter")), (vec![10, 11], vec![(2, 2)]));
    }
}
