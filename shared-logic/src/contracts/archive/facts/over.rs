//! Logs that are over (R6): what a settled log still costs after every view includes all of it.
//!
//! A topic that is created again and again, as by each start of a broker that forgets, leaves a log each time. The archive keeps
//! the facts of all of them, since their records are counted and their order tells which copy of an event stands. But once a
//! log is over, no process asks Redis for it any more.

use std::collections::BTreeSet;

use super::{Facts, LogFacts, PartitionFacts};
use crate::catalog::RulesHash;
use crate::log::{Offsets, PartitionId};

impl LogFacts {
    /// Whether nothing more of one of its partitions can be archived: the log has ended, or lost that partition's tail.
    pub fn is_ended(&self, partition: &PartitionFacts) -> bool {
        self.closed || partition.closed
    }

    /// Whether one of its partitions has ended and its losses are complete.
    pub fn is_settled(&self, partition: &PartitionFacts) -> bool {
        if partition.closed { partition.settled } else { self.settled }
    }

    /// The log's partitions.
    pub fn ids(&self) -> impl Iterator<Item = PartitionId> {
        self.partitions.keys().map(|partition| PartitionId::new(self.log.clone(), *partition))
    }

    /// Whether answers lack records of it: lost ones, or ones that cannot be decoded under those rules.
    fn lacks_records(&self, rules: &RulesHash) -> bool {
        self.partitions.values().any(|partition| {
            partition.lost.iter().any(|lost| !lost.accepted)
                || partition.columns_only.iter().any(|range| range.rules != *rules && !range.accepted)
        })
    }
}

impl Facts {
    /// The logs that may be over: they are settled, and each of those cuts includes all of them.
    pub fn maybe_over<'a>(&'a self, cuts: &'a [Offsets]) -> impl Iterator<Item = &'a LogFacts> {
        let settled = self.logs.iter().filter(|log| log.closed && log.settled && !log.over);
        settled.filter(move |log| {
            log.partitions.iter().all(|(partition, known)| {
                let id = PartitionId::new(log.log.clone(), *partition);
                let is_whole = |cut: &Offsets| cut.get(&id).unwrap_or(known.begin) == known.next;
                log.is_settled(known) && cuts.iter().all(is_whole)
            })
        })
    }

    /// The names of the logs that a status leaves out: those that are over and of which answers lack nothing, but for the `newest`
    /// few of them. `rules` are those of the source.
    pub fn hidden(&self, rules: &RulesHash, newest: usize) -> BTreeSet<&str> {
        let over = self.logs.iter().rev().filter(|log| log.over && !log.lacks_records(rules));
        over.skip(newest).map(|log| log.log.as_str()).collect()
    }

    /// Notes that logs are over, those of them that are settled.
    pub fn note_over(&mut self, logs: &[String]) {
        for log in self.logs.iter_mut().filter(|log| log.closed && log.settled && logs.contains(&log.log)) {
            log.over = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn id(log: &str, partition: i32) -> PartitionId {
        PartitionId::new(log, partition)
    }

    fn names<'a>(logs: impl Iterator<Item = &'a LogFacts>) -> Vec<&'a str> {
        logs.map(|log| log.log.as_str()).collect()
    }

    #[test]
    fn a_log_is_over_once_every_view_includes_all_of_it() {
        let mut facts = Facts::default();
        for log in ["older", "newer"] {
            for partition in 0..2 {
                facts.begin(&id(log, partition), 5);
                assert!(facts.advance(&id(log, partition), 5, 10));
            }
        }
        let cut = |older: i64| Offsets::from_iter([(id("older", 0), 10), (id("older", 1), older)]);
        facts.close("older");
        assert_eq!(names(facts.maybe_over(&[cut(10)])), [""; 0], "no reconcile has asked what speed had counted of it");
        facts.settle("older", &BTreeMap::new());
        assert_eq!(names(facts.maybe_over(&[cut(10), cut(9)])), [""; 0], "a view does not include all of it");
        assert_eq!(names(facts.maybe_over(&[cut(10), Offsets::default()])), [""; 0], "a cut that does not name it");
        assert_eq!(names(facts.maybe_over(&[cut(10), cut(10)])), ["older"]);

        facts.note_over(&["older".to_owned(), "newer".to_owned()]);
        let over: Vec<bool> = facts.logs.iter().map(|log| log.over).collect();
        assert_eq!(over, [true, false], "an open log can still grow");
        assert_eq!(names(facts.maybe_over(&[cut(10)])), [""; 0], "it is noted once");
        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(text.matches("over").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);

        facts.reopen("older");
        assert!(!facts.logs[0].over, "its topic is there again");
    }

    #[test]
    fn a_partition_that_lost_its_tail_is_settled_by_itself() {
        let mut facts = Facts::default();
        facts.begin(&id("log", 0), 0);
        facts.lose_tail(&id("log", 0), 0, None).expect("it goes on");
        for log in ["log", "log.1"] {
            facts.close(log);
            facts.settle(log, &BTreeMap::new());
        }
        assert_eq!(names(facts.maybe_over(&[])), ["log.1"]);
        facts.settle_truncated(&id("log", 0), None);
        assert_eq!(names(facts.maybe_over(&[])), ["log", "log.1"]);
    }

    #[test]
    fn a_status_leaves_out_older_logs_that_are_over() {
        let mut facts = Facts::default();
        let names: Vec<String> = (0..6).map(|n| format!("log-{n}")).collect();
        for log in &names {
            facts.begin(&id(log, 0), 0);
            assert!(facts.advance(&id(log, 0), 0, 10));
        }
        facts.lose(&id("log-1", 0), 13);
        facts.note_columns_only(&id("log-2", 0), &"older".into(), 3, 7);
        for log in &names[..5] {
            facts.close(log);
            facts.settle(log, &BTreeMap::new());
        }
        let rules = RulesHash::from("rules");
        assert_eq!(facts.hidden(&rules, 0), BTreeSet::new(), "they are not over");
        facts.note_over(&names[..5]);
        assert_eq!(facts.hidden(&rules, 0), BTreeSet::from(["log-0", "log-3", "log-4"]));
        assert_eq!(facts.hidden(&rules, 2), BTreeSet::from(["log-0"]));
        assert_eq!(facts.hidden(&"older".into(), 2), BTreeSet::from(["log-0", "log-2"]), "it can be decoded");
        assert_eq!(facts.accept_losses(), 1);
        assert_eq!(facts.hidden(&rules, 2), BTreeSet::from(["log-0", "log-1"]));
    }
}
