//! A micro-batch is counted in parts, each of which adds to no more counters than one script may write.
//!
//! As a rule there is one part: events that are about the same share a counter. What is looked at event by event
//! ([`Encoded`]) is looked at once, whatever the number of parts.

use std::sync::Arc;

use polars::prelude::PolarsResult;
use shared_logic::contracts::speed_view::Addition;
use shared_logic::log::Position;
use shared_logic::plan::Encoded;

use super::compiled::CompiledMetrics;
use crate::read::micro_batch::{Mark, MicroBatch};

/// A micro-batch that is being counted.
#[derive(Debug)]
pub struct Parts {
    metrics: Arc<CompiledMetrics>,
    /// Its events, if there are any.
    events: Option<Encoded>,
    marks: Vec<Mark>,
    /// The marks up to which it is counted.
    done: usize,
    /// Where the next part begins.
    next: Mark,
}

/// A part that was counted.
#[derive(Debug)]
pub struct Part {
    /// The offset of its first record: the cursor that the shard must have.
    pub from: i64,
    /// The first offset after it, and the last record before that: where the shard's cursor goes.
    pub to: Position,
    /// How many records were read, valid or not.
    pub records: usize,
    /// What is added to the shard's counters: at most one addition per definition.
    pub additions: Vec<Addition>,
}

impl Parts {
    /// Looks at each event of a micro-batch alone.
    ///
    /// # Errors
    /// None that an event can cause: expressions are typed when the catalog is checked.
    pub fn new(metrics: Arc<CompiledMetrics>, batch: MicroBatch) -> PolarsResult<Parts> {
        let MicroBatch { from, marks, events, .. } = batch;
        let events = if events.height() > 0 { Some(metrics.plan.encode(events)?) } else { None };
        let next = Mark { rows: 0, records: 0, to: from.into() };
        Ok(Parts { metrics, events, marks, done: 0, next })
    }

    /// Whether all of it is counted.
    pub fn is_done(&self) -> bool {
        self.done == self.marks.len()
    }

    /// Counts the next part: as much as adds to at most `max_counters` counters, and at least up to the next mark. Gives it
    /// beside what is left.
    pub fn count(mut self, max_counters: usize) -> (Parts, Part) {
        let mut additions = Vec::new();
        match &self.events {
            Some(events) => {
                let ends: Vec<usize> = self.marks.iter().map(|mark| mark.rows).collect();
                let counted = self.metrics.plan.count(events, self.next.rows, &ends, max_counters);
                additions = self.metrics.additions(&counted.partials);
                self.done = self.marks.partition_point(|mark| mark.rows <= counted.to);
            }
            None => self.done = self.marks.len(),
        }
        let begin = self.next;
        self.next = self.done.checked_sub(1).map_or(begin, |last| self.marks[last]);
        let (from, to, records) = (begin.to.offset, self.next.to, self.next.records - begin.records);
        (self, Part { from, to, records, additions })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use polars::prelude::df;
    use shared_logic::catalog::Catalog;
    use shared_logic::log::{ContentHash, Witness};
    use test_kit::catalogs::TINY;

    use super::*;

    fn mark(rows: usize, records: usize, offset: i64) -> Mark {
        let witness = Witness { offset: offset - 1, timestamp_us: None, epoch: None, hash: ContentHash::Whole(7) };
        Mark { rows, records, to: Position { offset, witness: Some(witness) } }
    }

    /// The parts of a micro-batch from offset 10 on, with an event of each key.
    fn parts(keys: &[&str], marks: &[Mark], max_counters: usize) -> Vec<Part> {
        let catalog = Catalog::parse(TINY).expect("a valid catalog");
        let metrics = Arc::new(CompiledMetrics::new(&catalog, &catalog.sources["s"]));
        let events = df!("at" => vec![0_i64; keys.len()], "k" => keys).expect("two columns");
        let now = Instant::now();
        let (marks, sightings) = (marks.to_vec(), Vec::new());
        let batch = MicroBatch {
            from: 10,
            marks,
            events,
            sightings,
            lane: Box::default(),
            changes: Vec::new(),
            opened: now,
            sealed: now,
        };
        let (mut left, mut parts) = (Parts::new(metrics, batch).expect("evaluated"), Vec::new());
        while !left.is_done() {
            let (rest, part) = left.count(max_counters);
            parts.push(part);
            left = rest;
        }
        parts
    }

    #[test]
    fn a_micro_batch_is_one_part_if_its_counters_fit_into_a_script() {
        let marks = [mark(2, 2, 12), mark(4, 4, 14), mark(6, 7, 19)];
        let [part] = parts(&["a", "a", "b", "a", "b", "a"], &marks, 7).try_into().expect("one part");
        assert_eq!((part.from, part.to, part.records, part.additions.len()), (10, marks[2].to, 7, 1));
    }

    #[test]
    fn a_part_ends_at_a_mark_and_the_next_one_goes_on_there() {
        // The record after the second mark is invalid.
        let marks = [mark(2, 2, 12), mark(4, 4, 14), mark(4, 5, 15), mark(6, 7, 19)];
        let parts = parts(&["a", "b", "c", "d", "e", "f"], &marks, 6);
        let shown: Vec<_> = parts.iter().map(|part| (part.from, part.to, part.records, part.additions.len())).collect();
        assert_eq!(shown, [(10, marks[0].to, 2, 1), (12, marks[2].to, 3, 1), (15, marks[3].to, 2, 1)]);
    }

    #[test]
    fn a_micro_batch_without_events_moves_the_cursor_all_the_same() {
        for (marks, records) in [(vec![mark(0, 3, 13)], 3), (vec![mark(0, 2, 12), mark(0, 3, 20)], 3)] {
            let [part] = parts(&[], &marks, 1).try_into().expect("one part");
            assert_eq!((part.from, part.to, part.records), (10, marks[marks.len() - 1].to, records));
            assert!(part.additions.is_empty());
        }
    }
}
