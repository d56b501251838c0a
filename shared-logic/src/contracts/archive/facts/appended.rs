//! What an archiver adds to the facts with the rows of one commit (R6).
//!
//! Several archivers write to one archive, each the rows of its own partitions. What a commit adds does not depend on what others have
//! committed meanwhile, as long as they have not touched the same partitions: so it is told apart from the facts, and added to the
//! newest ones. Whether it may be added is decided by the partitions' own facts and by nothing else. Who believes to own a
//! partition does not matter.

use std::collections::BTreeMap;

use super::{Facts, Place, Rejects};
use crate::catalog::RulesHash;
use crate::log::{PartitionId, Witness};
use crate::rejection::Reason;

/// What the rows of one commit say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Appended {
    /// The partitions that were read, whether they had records or not.
    pub partitions: Vec<AppendedTo>,
    /// Per reason, how many of the records are invalid, and where the last of them is.
    pub rejects: BTreeMap<Reason, (u64, Place)>,
    /// The rules under which the records were decoded, if only their columns are archived (R11).
    pub columns_only: Option<RulesHash>,
}

/// The same of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendedTo {
    /// The incarnation that the rows belong to.
    pub id: PartitionId,
    /// The archive's next offset before these rows.
    pub from: i64,
    /// The archive's next offset after them.
    pub next: i64,
    /// R12: the last record's witness, or that it is not known; `None`: there is no record.
    pub witness: Option<Option<Witness>>,
    /// Where the log ended when Kafka was last asked.
    pub end: Option<i64>,
}

impl Facts {
    /// R6: these facts, with the rows of a commit.
    ///
    /// `None` if one of its partitions is not where it was when the rows were read: its next offset is another, so another archiver
    /// has archived it; or it has ended, or goes on as another incarnation (R12). Then none of the rows may be committed: whoever read
    /// them starts again from these facts.
    #[must_use]
    pub fn append(&self, added: &Appended) -> Option<Facts> {
        let mut facts = self.clone();
        for AppendedTo { id, from, next, witness, end } in &added.partitions {
            let goes_on = facts.current(id.topic(), id.partition) == *id && !facts.is_ended(id);
            if !goes_on || !facts.advance(id, *from, *next) {
                return None;
            }
            if let Some(rules) = &added.columns_only {
                facts.note_columns_only(id, rules, *from, *next);
            }
            if let Some(witness) = witness {
                facts.note_witness(id, *witness);
            }
            if let Some(end) = end {
                facts.see_end(id, *end);
            }
        }
        for (reason, (count, last)) in &added.rejects {
            let rejects = facts.rejects.entry(*reason).or_insert_with(|| Rejects { count: 0, last: last.clone() });
            rejects.count += count;
            rejects.last = last.clone();
        }
        Some(facts)
    }

    /// Which of these partitions others have archived since the rows were read.
    pub fn archived_by_others<'a>(&'a self, added: &'a Appended) -> impl Iterator<Item = i32> + 'a {
        let moved = move |to: &&AppendedTo| self.partition(&to.id).is_some_and(|known| known.next > to.from);
        added.partitions.iter().filter(moved).map(|to| to.id.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Content, Offsets};

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    fn begun() -> Facts {
        let mut facts = Facts::default();
        facts.keep_bytes(&"rules".into(), None);
        (0..3).for_each(|partition| facts.begin(&id(partition), 3));
        facts
    }

    fn added(partitions: &[(i32, i64, i64)]) -> Appended {
        let partitions = partitions.iter().map(|(partition, from, next)| AppendedTo {
            id: id(*partition),
            from: *from,
            next: *next,
            witness: None,
            end: Some(next + 1),
        });
        Appended { partitions: partitions.collect(), ..Appended::default() }
    }

    fn next(facts: &Facts) -> Vec<i64> {
        (0..3).map(|partition| facts.partition(&id(partition)).expect("begun").next).collect()
    }

    #[test]
    fn commits_of_other_partitions_come_in_any_order() {
        let (one, other) = (added(&[(0, 3, 9)]), added(&[(1, 3, 5), (2, 3, 3)]));
        let facts = begun();
        let of_both = facts.append(&one).expect("its turn").append(&other).expect("it touches nothing of the first");
        assert_eq!(next(&of_both), [9, 5, 3]);
        assert_eq!(facts.append(&other).and_then(|facts| facts.append(&one)), Some(of_both));
    }

    #[test]
    fn rows_of_a_partition_that_another_archiver_has_archived_are_not_added() {
        let facts = begun().append(&added(&[(0, 3, 9)])).expect("its turn");
        for late in [added(&[(0, 3, 9)]), added(&[(0, 3, 20)]), added(&[(1, 3, 7), (0, 3, 4)]), added(&[(0, 10, 12)])] {
            assert_eq!(facts.append(&late), None, "{late:?}");
        }
        let late = added(&[(0, 3, 12), (1, 3, 7)]);
        assert_eq!(facts.archived_by_others(&late).collect::<Vec<_>>(), [0]);
        assert!(facts.append(&added(&[(0, 9, 12)])).is_some(), "it goes on where the other one stopped");
    }

    #[test]
    fn one_that_found_nothing_in_a_partition_learns_of_the_other_archiver_too() {
        let facts = begun().append(&added(&[(0, 3, 9)])).expect("its turn");
        assert_eq!(facts.append(&added(&[(0, 3, 3), (1, 3, 7)])), None);
    }

    #[test]
    fn rows_of_a_log_that_has_ended_are_not_added() {
        let mut closed = begun();
        closed.close("log");
        assert_eq!(closed.append(&added(&[(0, 3, 9)])), None);

        // The next incarnation begins right where the rows do, so its next offset does not tell.
        let mut lost = begun();
        let other = lost.lose_tail(&id(0), 3, None).expect("it goes on");
        assert_eq!(lost.append(&added(&[(0, 3, 9)])), None);
        assert!(lost.append(&added(&[(1, 3, 9)])).is_some(), "the other partitions go on");
        let mut rows = added(&[(0, 3, 9)]);
        rows.partitions[0].id = other;
        assert!(lost.append(&rows).is_some());
    }

    #[test]
    fn what_others_do_besides_stays() {
        let mut facts = begun();
        facts.retire(10, &[(id(0), 5), (id(1), 5)].into_iter().collect::<Offsets>());
        facts.begin(&PartitionId::new("import-1", 0), 0);
        let mut expected = facts.clone();
        assert!(expected.advance(&id(0), 3, 9));
        expected.see_end(&id(0), 10);
        assert_eq!(facts.append(&added(&[(0, 3, 9)])), Some(expected));
    }

    #[test]
    fn invalid_records_and_witnesses_are_noted_with_the_rows() {
        let place = |offset| Place { log: "log".to_owned(), partition: 0, offset, error: "not_json".to_owned() };
        let content = Content { timestamp_us: None, key: None, payload: None, headers: None };
        let witness = Witness::of(8, None, &content);
        let mut rows = added(&[(0, 3, 9), (1, 3, 3)]);
        rows.rejects.insert(Reason::NotJson, (2, place(7)));
        rows.partitions[0].witness = Some(Some(witness));
        rows.columns_only = Some("rules".into());
        let facts = begun().append(&rows).expect("its turn");
        assert_eq!(facts.partition(&id(0)).and_then(|known| known.witness), Some(witness));
        assert_eq!(
            facts.columns_only().map(|(id, range)| (id, range.from, range.to)).collect::<Vec<_>>(),
            [(id(0), 3, 9)]
        );

        let mut more = added(&[(0, 9, 12)]);
        more.rejects.insert(Reason::NotJson, (1, place(10)));
        more.partitions[0].witness = Some(None);
        let facts = facts.append(&more).expect("its turn");
        assert_eq!(facts.rejects[&Reason::NotJson], Rejects { count: 3, last: place(10) });
        assert_eq!(facts.partition(&id(0)).and_then(|known| known.witness), None, "it is not known");
    }
}
