//! As of when a search can find everything (I6): from what was seen of the log's ends and of the lanes' cursors.
//!
//! A cursor that was read at some moment says that everything below it was written by then, so that it can be found once the server has
//! refreshed the index. An end that was asked for at some moment says what was in the log then.

use std::collections::{BTreeMap, VecDeque};

use shared_logic::log::PartitionId;

/// How many ends are remembered of a partition whose lane is far behind; beyond that, every other one.
const ENDS_MAX: usize = 1_000;

/// What was seen of the partitions of one build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The build: its number, and what the server calls its index, as numbers begin anew after the server lost its data.
    build: (u64, String),
    partitions: BTreeMap<PartitionId, OfPartition>,
}

/// What was seen of a partition, the oldest first: moments in microseconds since 1970, and offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfPartition {
    ends: VecDeque<(i64, i64)>,
    cursors: VecDeque<(i64, i64)>,
}

impl Seen {
    /// Begins anew if another build is searched.
    pub(super) fn of(&mut self, number: u64, uuid: &str) {
        if (self.build.0, self.build.1.as_str()) != (number, uuid) {
            *self = Seen { build: (number, uuid.to_owned()), partitions: BTreeMap::new() };
        }
    }

    /// Notes where a partition ended, as it was asked for at that moment.
    pub(super) fn end(&mut self, id: &PartitionId, at_us: i64, end: i64) {
        let ends = &mut self.partitions.entry(id.clone()).or_default().ends;
        match ends.back_mut() {
            // Nothing has arrived since.
            Some(last) if last.1 == end => last.0 = last.0.max(at_us),
            _ => ends.push_back((at_us, end)),
        }
        if ends.len() > ENDS_MAX {
            let mut keep = false;
            ends.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Notes the cursor of a lane, which was read before that moment.
    pub(super) fn cursor(&mut self, id: &PartitionId, at_us: i64, cursor: i64) {
        self.partitions.entry(id.clone()).or_default().cursors.push_back((at_us, cursor));
    }

    /// As of when everything can be found in these partitions, if the server refreshes every so often; `None` if that is not known yet. What
    /// no later moment needs is forgotten.
    pub(super) fn as_of(&mut self, ids: &[PartitionId], now_us: i64, refresh_us: i64) -> Option<i64> {
        self.partitions.retain(|id, _| ids.contains(id));
        let visible_us = now_us.saturating_sub(refresh_us);
        // Each of them is asked, also where one is not known: otherwise those behind it would forget nothing.
        let of_each = ids.iter().map(|id| self.partitions.get_mut(id)?.as_of(visible_us));
        let of_each: Vec<Option<i64>> = of_each.collect();
        of_each.into_iter().collect::<Option<Vec<i64>>>()?.into_iter().min()
    }
}

impl OfPartition {
    fn as_of(&mut self, visible_us: i64) -> Option<i64> {
        while self.cursors.get(1).is_some_and(|(at_us, _)| *at_us <= visible_us) {
            self.cursors.pop_front();
        }
        let (_, found_below) = self.cursors.front().copied().filter(|(at_us, _)| *at_us <= visible_us)?;
        while self.ends.get(1).is_some_and(|(_, end)| *end <= found_below) {
            self.ends.pop_front();
        }
        self.ends.front().filter(|(_, end)| *end <= found_below).map(|(at_us, _)| *at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: i64 = 10;

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    #[test]
    fn everything_is_found_as_of_the_last_end_that_a_refreshed_cursor_has_passed() {
        let mut seen = Seen::default();
        seen.of(1, "a");
        assert_eq!(seen.as_of(&[id(0)], 100, REFRESH), None, "nothing is known");
        seen.end(&id(0), 100, 5);
        seen.cursor(&id(0), 101, 5);
        assert_eq!(seen.as_of(&[id(0)], 105, REFRESH), None, "it may not be refreshed yet");
        assert_eq!(seen.as_of(&[id(0)], 111, REFRESH), Some(100));
        seen.end(&id(0), 120, 9);
        seen.cursor(&id(0), 121, 6);
        assert_eq!(seen.as_of(&[id(0)], 200, REFRESH), Some(100), "the lane is behind");
        seen.cursor(&id(0), 201, 9);
        assert_eq!(seen.as_of(&[id(0)], 205, REFRESH), Some(100));
        assert_eq!(seen.as_of(&[id(0)], 211, REFRESH), Some(120));
        seen.end(&id(0), 300, 9);
        assert_eq!(seen.as_of(&[id(0)], 301, REFRESH), Some(300), "nothing has arrived since");
    }

    #[test]
    fn the_partition_that_is_farthest_behind_decides_and_one_that_is_not_known_leaves_nothing() {
        let mut seen = Seen::default();
        seen.of(1, "a");
        for (partition, at_us) in [(0, 100), (1, 50)] {
            seen.end(&id(partition), at_us, 5);
            seen.cursor(&id(partition), at_us, 5);
        }
        assert_eq!(seen.as_of(&[id(0), id(1)], 200, REFRESH), Some(50));
        assert_eq!(seen.as_of(&[id(0), id(2)], 200, REFRESH), None);
        assert_eq!(seen.as_of(&[id(0)], 200, REFRESH), Some(100));
        seen.of(1, "b");
        assert_eq!(seen.as_of(&[id(0)], 200, REFRESH), None, "another of that number has lanes of its own");
    }

    #[test]
    fn where_one_partition_stays_unknown_the_others_remember_no_more_than_they_need() {
        let mut seen = Seen::default();
        seen.of(1, "a");
        for n in 0..1_000 {
            // A build lacks the first partition, so it has no cursor.
            seen.end(&id(0), n, n);
            seen.end(&id(1), n, n);
            seen.cursor(&id(1), n, n);
            assert_eq!(seen.as_of(&[id(0), id(1)], n, REFRESH), None);
        }
        let OfPartition { ends, cursors } = &seen.partitions[&id(1)];
        assert!(cursors.len() <= 12 && ends.len() <= 12, "{} cursors, {} ends", cursors.len(), ends.len());
    }

    #[test]
    fn of_a_lane_that_is_far_behind_not_every_end_is_remembered() {
        let mut seen = Seen::default();
        seen.of(1, "a");
        for n in 0..10_000 {
            seen.end(&id(0), n, n);
        }
        assert!(seen.partitions[&id(0)].ends.len() <= ENDS_MAX);
        seen.cursor(&id(0), 0, 0);
        assert_eq!(seen.as_of(&[id(0)], 20_000, REFRESH), Some(0), "the first one stays");
        seen.cursor(&id(0), 10_000, 9_999);
        assert!(seen.as_of(&[id(0)], 20_000, REFRESH).is_some_and(|at_us| at_us > 9_000));
    }
}
