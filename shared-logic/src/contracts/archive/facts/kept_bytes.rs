//! Of which records only the columns are archived, and not the bytes (R11).
//!
//! They can be counted under the rules that they were decoded under, and under no others.

use serde::{Deserialize, Serialize};

use super::{Facts, PartitionFacts};
use crate::catalog::RulesHash;
use crate::log::PartitionId;

/// Offsets of which only the columns are archived, `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnsOnly {
    /// The rules that the columns were decoded under.
    pub rules: RulesHash,
    /// The first offset.
    pub from: i64,
    /// The first offset after them.
    pub to: i64,
    /// Whether an operator accepted that metrics under other rules leave them out.
    #[serde(default)]
    pub accepted: bool,
    /// The version of the archive that holds them under these rules, if they were archived again, in place of columns of
    /// other rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_again: Option<u64>,
}

impl Facts {
    /// Notes that an archiver that keeps bytes has started. All that was archived before has columns only; it is taken
    /// to be decoded under the rules of that first archiver. Afterwards this changes nothing.
    pub fn keep_bytes(&mut self, rules: &RulesHash) {
        if std::mem::replace(&mut self.keeps_bytes, true) {
            return;
        }
        for partition in self.partitions_mut().filter(|partition| partition.begin < partition.next) {
            let (from, to) = (partition.begin, partition.next);
            partition.note_columns_only(rules, from, to);
        }
        if self.columns_only().next().is_some() {
            self.unnamed_rules = Some(rules.clone());
        }
    }

    /// Notes that only the columns of the offsets `[from, to)` are archived.
    pub fn note_columns_only(&mut self, id: &PartitionId, rules: &RulesHash, from: i64, to: i64) {
        if let Some(partition) = self.log_mut(&id.log).partitions.get_mut(&id.partition)
            && from < to
        {
            partition.note_columns_only(rules, from, to);
        }
    }

    /// Every range of which only the columns are archived.
    pub fn columns_only(&self) -> impl Iterator<Item = (PartitionId, &ColumnsOnly)> {
        self.partitions()
            .flat_map(|(id, partition)| partition.columns_only.iter().map(move |range| (id.clone(), range)))
    }

    /// The ranges that cannot be decoded under those rules, and that no operator has accepted.
    pub fn not_decodable<'a>(
        &'a self,
        rules: &'a RulesHash,
    ) -> impl Iterator<Item = (PartitionId, &'a ColumnsOnly)> + 'a {
        self.columns_only().filter(move |(_, range)| range.rules != *rules && !range.accepted)
    }

    /// Accepts, as an operator asked for, that what cannot be decoded under those rules is left out of metrics under
    /// them; returns how many ranges there were.
    pub fn accept_not_decodable(&mut self, rules: &RulesHash) -> usize {
        let ranges = self.partitions_mut().flat_map(|partition| &mut partition.columns_only);
        ranges.filter(|range| range.rules != *rules && !range.accepted).map(|range| range.accepted = true).count()
    }
}

impl PartitionFacts {
    fn note_columns_only(&mut self, rules: &RulesHash, from: i64, to: i64) {
        let rules = rules.clone();
        self.add_columns_only(ColumnsOnly { rules, from, to, accepted: false, archived_again: None });
    }

    /// Adds a range that follows all others. If it continues the last one, both become one.
    pub(super) fn add_columns_only(&mut self, range: ColumnsOnly) {
        match self.columns_only.last_mut() {
            Some(last) if last.rules == range.rules && last.to == range.from && last.accepted == range.accepted => {
                last.to = range.to;
                last.archived_again = last.archived_again.max(range.archived_again);
            }
            _ => self.columns_only.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(rules: &str, from: i64, to: i64) -> ColumnsOnly {
        ColumnsOnly { rules: rules.into(), from, to, accepted: false, archived_again: None }
    }

    #[test]
    fn what_was_archived_before_bytes_were_kept_counts_under_its_own_rules_only() {
        let (id, rules, other) = (PartitionId::new("log", 0), RulesHash::from("a"), RulesHash::from("b"));
        let mut facts = Facts::default();
        facts.begin(&id, 3);
        facts.begin(&PartitionId::new("log", 1), 0);
        assert!(facts.advance(&id, 3, 10));
        facts.keep_bytes(&rules);
        facts.keep_bytes(&other);
        assert_eq!(facts.unnamed_rules, Some(rules.clone()));
        assert_eq!(facts.not_decodable(&rules).count(), 0);
        assert_eq!(facts.not_decodable(&other).collect::<Vec<_>>(), [(id.clone(), &range("a", 3, 10))]);

        assert_eq!(facts.accept_not_decodable(&rules), 0);
        assert_eq!(facts.accept_not_decodable(&other), 1);
        assert_eq!(facts.not_decodable(&other).count(), 0);
    }

    #[test]
    fn a_new_archive_has_nothing_without_bytes() {
        let mut facts = Facts::default();
        facts.keep_bytes(&RulesHash::from("a"));
        assert_eq!((facts.unnamed_rules.clone(), facts.columns_only().count()), (None, 0));
    }

    #[test]
    fn ranges_of_equal_rules_that_touch_are_one() {
        let id = PartitionId::new("log", 0);
        let mut facts = Facts::default();
        facts.begin(&id, 0);
        for (rules, from, to) in [("a", 0, 2), ("a", 2, 2), ("a", 2, 5), ("b", 5, 6), ("a", 6, 7), ("a", 9, 10)] {
            facts.note_columns_only(&id, &rules.into(), from, to);
        }
        let ranges = facts.columns_only().map(|(_, range)| range.clone()).collect::<Vec<_>>();
        assert_eq!(ranges, [range("a", 0, 5), range("b", 5, 6), range("a", 6, 7), range("a", 9, 10)]);
    }
}
