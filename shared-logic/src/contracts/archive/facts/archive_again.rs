//! Which records without bytes the log still holds, so that they can be archived again under other rules (R11).
//!
//! Either the log holds all that those rules cannot decode, and one commit replaces all of it, or nothing changes.

use std::collections::BTreeMap;

use super::{ColumnsOnly, Facts};
use crate::catalog::{DecodingRules, RulesHash};
use crate::log::{OffsetRange, PartitionId};

/// A topic's log, as Kafka describes it.
#[derive(Debug, Clone, Copy)]
pub struct TopicLog<'a> {
    /// The topic's id.
    pub log: &'a str,
    /// Per partition, the first offset that the log still holds.
    pub starts: &'a BTreeMap<i32, i64>,
    /// Whether records may vanish from the middle of the log, because its topic is compacted.
    pub has_holes: bool,
}

/// Offsets that the log does not hold as they were archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHeld {
    /// The partition.
    pub id: PartitionId,
    /// The offsets.
    pub range: ColumnsOnly,
    /// What became of them.
    pub why: WhyNotHeld,
}

/// Why a log does not hold offsets as they were archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyNotHeld {
    /// The topic has another id now, or is gone.
    #[error("the topic was deleted since then")]
    Ended,
    /// The partition goes on as another incarnation (R12).
    #[error("the log lost its tail and went on with other records")]
    Truncated,
    /// Records may have vanished from the middle of the log.
    #[error("the topic is compacted")]
    Compacted,
    /// Retention or an operator deleted the log's beginning.
    #[error("the log now starts at offset {start}")]
    Deleted {
        /// Where it starts.
        start: i64,
    },
    /// What was read again differs from what was archived, in the offsets, times or hashes of records.
    #[error("it holds other records there by now")]
    Other,
}

impl Facts {
    /// The ranges that cannot be decoded under those rules, if the log still holds every one of them; none if everything can be
    /// decoded. They can be archived again under those rules.
    ///
    /// # Errors
    /// The first range that the log does not hold.
    pub fn held_by(&self, log: TopicLog<'_>, rules: &DecodingRules) -> Result<Vec<OffsetRange>, NotHeld> {
        let held = |(id, range): (PartitionId, &ColumnsOnly)| match self.why_not_held(log, &id, range) {
            None => Ok(offsets(id, range)),
            Some(why) => Err(NotHeld { id, range: range.clone(), why }),
        };
        self.not_decodable(rules).map(held).collect()
    }

    fn why_not_held(&self, log: TopicLog<'_>, id: &PartitionId, range: &ColumnsOnly) -> Option<WhyNotHeld> {
        if id.topic() != log.log {
            return Some(WhyNotHeld::Ended);
        }
        if self.is_truncated(id) {
            return Some(WhyNotHeld::Truncated);
        }
        if log.has_holes {
            return Some(WhyNotHeld::Compacted);
        }
        match log.starts.get(&id.partition) {
            Some(start) if *start <= range.from => None,
            Some(start) => Some(WhyNotHeld::Deleted { start: *start }),
            None => Some(WhyNotHeld::Ended),
        }
    }

    /// Notes that `version` of the archive holds those ranges as they are decoded under those rules.
    ///
    /// Changes nothing and returns false if the ranges that cannot be decoded under the rules are others: another archiver has
    /// written.
    #[must_use]
    pub fn archive_again(&mut self, ranges: &[OffsetRange], rules: &DecodingRules, version: u64) -> bool {
        let decodable = self.decodable(rules);
        let wanted = self.not_decodable(rules).map(|(id, range)| offsets(id, range));
        if !wanted.eq(ranges.iter().cloned()) {
            return false;
        }
        for partition in self.partitions_mut() {
            for mut range in std::mem::take(&mut partition.columns_only) {
                if !decodable.holds(&range) && !range.accepted {
                    (range.rules, range.older_layout) = (rules.hash().clone(), false);
                    range.archived_again = Some(version);
                }
                partition.add_columns_only(range);
            }
        }
        true
    }

    /// Whether records were archived again under those rules after that version of the archive. A view that was counted from
    /// it under the same rules lacks them.
    pub fn archived_again_since(&self, version: u64, rules: &RulesHash) -> bool {
        self.entries()
            .flat_map(|(_, _, partition)| &partition.columns_only)
            .any(|range| range.rules == *rules && range.archived_again > Some(version))
    }
}

fn offsets(id: PartitionId, range: &ColumnsOnly) -> OffsetRange {
    OffsetRange { id, from: range.from, to: range.to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    /// Two partitions that begin at 3, of which the offsets up to 10 were archived under the rules `a` and without bytes.
    fn archived() -> Facts {
        let mut facts = Facts::default();
        for partition in 0..2 {
            facts.begin(&id(partition), 3);
            assert!(facts.advance(&id(partition), 3, 10));
            facts.note_columns_only(&id(partition), &"a".into(), 3, 10);
        }
        facts
    }

    fn held(facts: &Facts, log: &str, starts: [i64; 2], has_holes: bool) -> Result<Vec<OffsetRange>, NotHeld> {
        let starts = (0..).zip(starts).collect();
        facts.held_by(TopicLog { log, starts: &starts, has_holes }, &"b".into())
    }

    fn ranges() -> Vec<OffsetRange> {
        (0..2).map(|partition| OffsetRange { id: id(partition), from: 3, to: 10 }).collect()
    }

    #[test]
    fn only_what_the_log_holds_whole_is_archived_again() {
        let facts = archived();
        assert_eq!(held(&facts, "log", [3, 0], false), Ok(ranges()), "the log starts at or below it");
        let why = |log, starts, has_holes| held(&facts, log, starts, has_holes).map_err(|held| (held.id, held.why));
        assert_eq!(why("log", [3, 4], false), Err((id(1), WhyNotHeld::Deleted { start: 4 })));
        assert_eq!(why("other", [0, 0], false), Err((id(0), WhyNotHeld::Ended)));
        assert_eq!(why("log", [3, 3], true), Err((id(0), WhyNotHeld::Compacted)));
        let starts = BTreeMap::from([(0, 3)]);
        let fewer = facts.held_by(TopicLog { log: "log", starts: &starts, has_holes: false }, &"b".into());
        assert_eq!(fewer.map_err(|held| held.why), Err(WhyNotHeld::Ended), "the topic has fewer partitions");

        let same = facts.held_by(TopicLog { log: "other", starts: &starts, has_holes: true }, &"a".into());
        assert_eq!(same, Ok(Vec::new()), "everything can be decoded under its own rules");
    }

    #[test]
    fn an_incarnation_that_lost_its_tail_is_not_archived_again() {
        let mut facts = archived();
        let next = facts.lose_tail(&id(0), 8, None).expect("it goes on");
        assert!(facts.advance(&next, 8, 12));
        facts.note_columns_only(&next, &"a".into(), 8, 12);
        let not_held = held(&facts, "log", [0, 0], false).map_err(|held| (held.id, held.why));
        assert_eq!(not_held, Err((id(0), WhyNotHeld::Truncated)));

        assert_eq!(facts.accept_not_decodable(&"b".into()), 3);
        assert_eq!(held(&facts, "log", [0, 0], false), Ok(Vec::new()), "what an operator has accepted stays as it is");
        assert!(facts.advance(&next, 12, 14));
        facts.note_columns_only(&next, &"a".into(), 12, 14);
        let newest = OffsetRange { id: next, from: 12, to: 14 };
        assert_eq!(held(&facts, "log", [0, 0], false), Ok(vec![newest]));
    }

    #[test]
    fn what_is_archived_again_can_be_decoded_from_that_version_on() {
        let (mut facts, b) = (archived(), DecodingRules::from("b"));
        assert!(facts.advance(&id(0), 10, 12));
        facts.note_columns_only(&id(0), b.hash(), 10, 12);
        let before = facts.clone();
        assert!(!facts.archive_again(&ranges()[..1], &b, 7), "the other range cannot be decoded either");
        assert_eq!(facts, before);

        assert!(facts.archive_again(&ranges(), &b, 7));
        assert_eq!(facts.not_decodable(&b).count(), 0);
        let again = |partition, to| {
            let rules = b.hash().clone();
            let range =
                ColumnsOnly { rules, from: 3, to, accepted: false, archived_again: Some(7), older_layout: false };
            (id(partition), range)
        };
        let known: Vec<_> = facts.columns_only().map(|(id, range)| (id, range.clone())).collect();
        assert_eq!(known, [again(0, 12), again(1, 10)], "ranges that touch are one");
        let since = |version, rules: &str| facts.archived_again_since(version, &rules.into());
        assert_eq!((since(6, "b"), since(7, "b"), since(6, "a")), (true, false, false));

        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);
        let older = serde_json::to_string(&before).expect("written");
        assert!(!older.contains("archived_again"), "{older}");
    }
}
