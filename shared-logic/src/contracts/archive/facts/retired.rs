//! Days that are retired: their rows were taken out of the archive, because they are older than the source's `retain`.
//!
//! What is retired can be counted no more. So rows are only taken out once the views have counted them, and the facts say up to which
//! offsets that was asked for: whoever has counted less knows that it lacks something.

use super::Facts;
use crate::log::{Offsets, PartitionId};
use crate::time::parse_day;

impl Facts {
    /// Notes that the rows of all days before `before`, days since 1970, are taken out as far as they lie below these offsets.
    /// Neither of both ever falls.
    pub fn retire(&mut self, before: i64, below: &Offsets) {
        self.retired_before = self.retired_before.max(Some(before));
        for (id, offset) in below.iter() {
            let log = self.logs.iter_mut().find(|facts| facts.log == id.log);
            if let Some(facts) = log.and_then(|log| log.partitions.get_mut(&id.partition))
                && facts.begin < offset
            {
                facts.retired_below = facts.retired_below.max(Some(offset));
            }
        }
    }

    /// Whether rows of that day may be missing, because they are retired.
    pub fn is_retired(&self, day: i64) -> bool {
        self.retired_before.is_some_and(|before| day < before)
    }

    /// The same of a day by its name, `YYYY-MM-DD`.
    pub fn is_retired_day(&self, day: &str) -> bool {
        parse_day(day).is_some_and(|day| self.is_retired(day))
    }

    /// Whether rows of retired days may be missing that lie at or above this cut.
    pub fn retired_beyond(&self, cut: &Offsets) -> bool {
        self.partitions().any(|(id, facts)| {
            let counted = cut.get(&id).unwrap_or(facts.begin);
            facts.retired_below.is_some_and(|below| counted < below)
        })
    }

    /// Whether the row of a record at that offset may be missing, because its day is retired.
    pub fn may_be_retired(&self, id: &PartitionId, offset: i64) -> bool {
        self.partition(id).and_then(|facts| facts.retired_below).is_some_and(|below| offset < below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    fn offsets(pairs: &[(i32, i64)]) -> Offsets {
        pairs.iter().map(|(partition, offset)| (id(*partition), *offset)).collect()
    }

    fn begun() -> Facts {
        let mut facts = Facts::default();
        facts.keep_bytes(&"rules".into(), None);
        (0..2).for_each(|partition| facts.begin(&id(partition), 3));
        facts
    }

    #[test]
    fn what_is_retired_never_comes_back() {
        let mut facts = begun();
        assert!(!facts.is_retired(0) && !facts.retired_beyond(&Offsets::default()));
        facts.retire(10, &offsets(&[(0, 50), (1, 3), (7, 9)]));
        facts.retire(8, &offsets(&[(0, 40)]));
        assert_eq!((facts.is_retired(9), facts.is_retired(10)), (true, false));
        assert_eq!(["1970-01-10", "1970-01-11", "none"].map(|day| facts.is_retired_day(day)), [true, false, false]);
        assert!(facts.may_be_retired(&id(0), 49) && !facts.may_be_retired(&id(0), 50));
        assert!(!facts.may_be_retired(&id(1), 3), "nothing below a partition's begin was ever archived");
        assert_eq!(facts.partition(&id(7)), None);
    }

    #[test]
    fn who_has_counted_less_knows_that_it_lacks_rows() {
        let mut facts = begun();
        facts.retire(10, &offsets(&[(0, 50), (1, 20)]));
        for (cut, lacks) in [(vec![(0, 50), (1, 20)], false), (vec![(0, 60), (1, 19)], true), (vec![(0, 50)], true)] {
            assert_eq!(facts.retired_beyond(&offsets(&cut)), lacks, "{cut:?}");
        }
    }
}
