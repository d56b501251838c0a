//! Partitions whose log lost its tail (R12).
//!
//! A log that lost its tail and grew again holds other records at offsets that were read before. What follows is
//! another incarnation of that partition alone: a log of its own, `<topic id>.<n>`, with this one partition. The
//! incarnation before is closed at what was archived of it. Only the archive names incarnations.

use super::{Facts, Lost, PartitionFacts};
use crate::log::{PartitionId, Witness, topic_of};

impl Facts {
    /// The incarnation of a topic's partition that goes on: the newest one that the archive has begun, else the first.
    pub fn current(&self, topic: &str, partition: i32) -> PartitionId {
        self.incarnations(topic, partition).pop().unwrap_or_else(|| PartitionId::new(topic, partition))
    }

    /// The incarnations of a topic's partition, the oldest first.
    pub fn incarnations(&self, topic: &str, partition: i32) -> Vec<PartitionId> {
        let logs =
            self.logs.iter().filter(|log| topic_of(&log.log) == topic && log.partitions.contains_key(&partition));
        let mut ids: Vec<PartitionId> = logs.map(|log| PartitionId::new(log.log.clone(), partition)).collect();
        ids.sort_by_key(PartitionId::incarnation);
        ids
    }

    /// Each incarnation of a partition up to `id`, the oldest first, with its offsets: from where it begins to where
    /// the next one does. The last one has no upper end.
    pub fn lives(&self, id: &PartitionId) -> Vec<(PartitionId, i64, i64)> {
        let ids = self.incarnations(id.topic(), id.partition).into_iter();
        let upto = ids.filter(|other| other.incarnation() <= id.incarnation());
        let mut lives: Vec<(PartitionId, i64, i64)> = Vec::new();
        for id in upto {
            let begin = self.partition(&id).map_or(0, |facts| facts.begin);
            // A newer incarnation may begin below an older one.
            lives.iter_mut().for_each(|(_, _, to)| *to = (*to).min(begin));
            lives.push((id, begin, i64::MAX));
        }
        lives.retain(|(_, from, to)| from < to);
        lives
    }

    /// Whether nothing more of the partition can be archived: its log has ended, or lost its tail.
    pub fn is_ended(&self, id: &PartitionId) -> bool {
        self.is_closed(&id.log) || self.is_truncated(id)
    }

    /// Whether the partition's log lost its tail, so that another incarnation goes on.
    pub fn is_truncated(&self, id: &PartitionId) -> bool {
        self.partition(id).is_some_and(|facts| facts.closed)
    }

    /// Whether the partition has ended and its losses are complete.
    pub fn is_settled(&self, id: &PartitionId) -> bool {
        let Some(log) = self.log(&id.log) else { return false };
        log.partitions.get(&id.partition).map_or(log.settled, |partition| log.is_settled(partition))
    }

    /// The incarnations that lost their tail, with their archived ends.
    pub fn truncated_partitions(&self) -> impl Iterator<Item = (PartitionId, &PartitionFacts)> {
        self.partitions().filter(|(_, facts)| facts.closed)
    }

    /// R12: the partition's log lost its tail. Closes that incarnation at what is archived, and begins the next one at
    /// `at`, after the record `before`. Changes nothing and returns `None` if that incarnation is not the one that goes
    /// on, or if `at` lies beyond what is archived.
    pub fn lose_tail(&mut self, id: &PartitionId, at: i64, before: Option<Witness>) -> Option<PartitionId> {
        if self.current(id.topic(), id.partition) != *id || self.is_ended(id) {
            return None;
        }
        let facts = self.log_mut(&id.log).partitions.get_mut(&id.partition).filter(|facts| at <= facts.next)?;
        facts.closed = true;
        // Offsets beyond are not known to be lost: the next incarnation may hold their records.
        facts.end = facts.next;
        let next = id.next_incarnation();
        self.begin(&next, at);
        if let Some(before) = before {
            self.note_witness(&next, before);
        }
        Some(next)
    }

    /// R12: an operator gives up what is archived beyond `end`, where the partition's log ends and will not be whole again.
    /// The next incarnation begins there, after the record `before`. Changes nothing and returns `None` if the archive does
    /// not reach beyond, or its next offset is not `expected`: the log was longer than that after all.
    pub fn give_up(
        &mut self,
        id: &PartitionId,
        expected: i64,
        end: i64,
        before: Option<Witness>,
    ) -> Option<PartitionId> {
        self.partition(id).filter(|known| known.next == expected && end < expected)?;
        self.lose_tail(id, end, before)
    }

    /// R12: notes as lost what the log holds from `start` on below all that was ever archived of the partition, if the incarnation
    /// `id`, which has just begun, begins where the first one did, or lower. The archive had left these offsets out, or the log had
    /// deleted them. But nothing that was archived fits the log any more, so the log went back to before that, and nobody knows how
    /// many of these offsets hold records that were written since. Returns whether there are any.
    pub fn lose_unread(&mut self, id: &PartitionId, start: i64) -> bool {
        let is_lowest = self.lives(id).first().is_some_and(|(lowest, ..)| lowest == id);
        let facts = self.log_mut(&id.log).partitions.get_mut(&id.partition);
        let Some(facts) = facts.filter(|facts| is_lowest && start < facts.begin) else { return false };
        facts.lost.push(Lost { from: start, to: facts.begin, accepted: false });
        true
    }

    /// R12: settles an incarnation that lost its tail. `lost` is a range of offsets of which the speed layer had
    /// counted records that neither the archive nor the log holds.
    pub fn settle_truncated(&mut self, id: &PartitionId, lost: Option<(i64, i64)>) {
        let facts = self.log_mut(&id.log).partitions.get_mut(&id.partition);
        let Some(facts) = facts.filter(|facts| facts.closed) else { return };
        facts.settled = true;
        if let Some((from, to)) = lost.filter(|(from, to)| from < to)
            && !facts.lost.iter().any(|known| known.from <= from && to <= known.to)
        {
            facts.lost.push(Lost { from, to, accepted: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Content;

    fn witness(offset: i64) -> Witness {
        Witness::of(offset, None, &Content { timestamp_us: None, key: None, payload: None, headers: None })
    }

    #[test]
    fn another_incarnation_is_of_that_partition_alone() {
        let (first, other) = (PartitionId::new("log", 0), PartitionId::new("log", 1));
        let mut facts = Facts::default();
        for id in [&first, &other] {
            facts.begin(id, 0);
            assert!(facts.advance(id, 0, 1_000));
            facts.note_witness(id, witness(999));
            facts.see_end(id, 1_200);
        }
        assert_eq!(facts.lose_tail(&first, 1_001, None), None, "the archive never reached it");
        let second = facts.lose_tail(&first, 500, Some(witness(499))).expect("it goes on");
        assert_eq!((second.log.as_str(), second.topic(), second.incarnation()), ("log.1", "log", 1));
        assert_eq!(facts.lose_tail(&first, 400, None), None, "it does not go on any more");
        assert_eq!((facts.current("log", 0), facts.current("log", 1)), (second.clone(), other.clone()));
        assert_eq!(facts.partition(&second).and_then(|facts| facts.witness), Some(witness(499)));
        assert!(facts.is_ended(&first) && !facts.is_ended(&other) && !facts.is_closed("log"));
        assert!(!facts.advance(&first, 1_000, 1_100), "nothing more is archived of it");
        assert_eq!(facts.partition(&first).map(|facts| facts.lost.len()), Some(0));

        assert!(facts.advance(&second, 500, 700));
        let third = facts.lose_tail(&second, 300, None).expect("it goes on");
        assert_eq!(facts.lives(&third), [(first.clone(), 0, 300), (third.clone(), 300, i64::MAX)]);
        assert_eq!(facts.lives(&second), [(first.clone(), 0, 500), (second.clone(), 500, i64::MAX)]);

        facts.settle_truncated(&first, Some((900, 1_100)));
        facts.settle_truncated(&first, Some((950, 1_000)));
        assert!(facts.is_settled(&first) && !facts.is_settled(&second) && !facts.is_settled(&other));
        assert_eq!(facts.partition(&first).map(|facts| facts.lost.len()), Some(1), "it is noted once");

        // The topic is created again: what had ended by itself stays as it was.
        let topics: Vec<&str> = facts.logs.iter().map(|log| topic_of(&log.log)).collect();
        assert_eq!(topics, ["log", "log", "log"]);
        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);
    }

    #[test]
    fn what_lies_below_all_that_was_archived_is_lost_if_nothing_of_that_is_left() {
        let id = PartitionId::new("log", 0);
        // As with `start = "latest"`, the archive begins at 50.
        let begun = |at: i64| {
            let mut facts = Facts::default();
            facts.begin(&id, 50);
            assert!(facts.advance(&id, 50, 60));
            let next = facts.lose_tail(&id, at, None).expect("it goes on");
            (facts, next)
        };
        for (at, start, lost) in [(50, 10, true), (50, 50, false), (55, 10, false)] {
            let (mut facts, next) = begun(at);
            assert_eq!(facts.lose_unread(&next, start), lost, "{at}, {start}");
            let ranges = facts.partition(&next).expect("begun").lost.iter().map(|lost| (lost.from, lost.to));
            assert_eq!(ranges.collect::<Vec<_>>(), if lost { vec![(10, 50)] } else { Vec::new() });
        }
        // It loses its tail again.
        let (mut facts, next) = begun(50);
        assert!(facts.advance(&next, 50, 70));
        let last = facts.lose_tail(&next, 50, None).expect("it goes on");
        assert!(facts.lose_unread(&last, 10));
        assert_eq!((facts.accept_losses(), facts.accept_losses()), (1, 0));
    }

    #[test]
    fn only_what_the_archive_holds_beyond_the_end_is_given_up() {
        let id = PartitionId::new("log", 0);
        let mut facts = Facts::default();
        facts.begin(&id, 0);
        assert!(facts.advance(&id, 0, 100));
        assert_eq!(facts.give_up(&id, 90, 60, None), None, "more was archived since the log's end was asked for");
        assert_eq!(facts.give_up(&id, 100, 100, None), None, "the log ends where the archive does");
        let next = facts.give_up(&id, 100, 60, Some(witness(59))).expect("it goes on");
        let begun = facts.partition(&next).map(|known| (known.begin, known.next, known.witness));
        assert_eq!(begun, Some((60, 60, Some(witness(59)))));
        assert!(facts.is_truncated(&id));
        assert_eq!(facts.give_up(&id, 100, 60, None), None, "it was given up before");
    }
}
