//! Logs that are over (R6): what a settled log still costs after every view includes all of it.
//!
//! A topic that is created again and again, as by each start of a broker that forgets, leaves a log each time. The archive keeps
//! the facts of all of them, since their records are counted and their order tells which copy of an event stands. But once a
//! log is over, no process asks Redis for it any more. Each version of the deployment has views and shards of its own, so a log
//! is over in one version and not yet in another.

use std::collections::BTreeSet;

use super::{Decodable, Facts, LogFacts, PartitionFacts};
use crate::catalog::DecodingRules;
use crate::log::{Offsets, PartitionId};

impl LogFacts {
    /// Whether nothing more of one of its partitions can be archived: the log has ended, or lost that partition's tail.
    pub fn is_ended(&self, partition: &PartitionFacts) -> bool {
        self.closed || partition.closed
    }

    /// Whether the log is over in that version.
    pub fn is_over(&self, version: &str) -> bool {
        self.over_in.contains(version)
    }

    /// Whether one of its partitions has ended and its losses are complete.
    pub fn is_settled(&self, partition: &PartitionFacts) -> bool {
        if partition.closed { partition.settled } else { self.settled }
    }

    /// The log's partitions.
    pub fn ids(&self) -> impl Iterator<Item = PartitionId> {
        self.partitions.keys().map(|partition| PartitionId::new(self.log.clone(), *partition))
    }

    /// Whether answers lack records of it: lost ones, or ones that cannot be decoded.
    fn lacks_records(&self, decodable: Decodable<'_>) -> bool {
        self.partitions.values().any(|partition| {
            partition.lost.iter().any(|lost| !lost.accepted)
                || partition.columns_only.iter().any(|range| !decodable.holds(range) && !range.accepted)
        })
    }
}

impl Facts {
    /// The logs that may be over in a version: they are settled, and each of those cuts includes all of them.
    pub fn maybe_over<'a>(&'a self, version: &'a str, cuts: &'a [Offsets]) -> impl Iterator<Item = &'a LogFacts> {
        let settled = self.logs.iter().filter(move |log| log.closed && log.settled && !log.is_over(version));
        settled.filter(move |log| {
            log.partitions.iter().all(|(partition, known)| {
                let id = PartitionId::new(log.log.clone(), *partition);
                let is_whole = |cut: &Offsets| cut.get(&id).unwrap_or(known.begin) == known.next;
                log.is_settled(known) && cuts.iter().all(is_whole)
            })
        })
    }

    /// The names of the logs that the status of a version leaves out: those that are over and of which answers lack nothing, but
    /// for the `newest` few of them. `rules` are those of the source.
    pub fn hidden(&self, version: &str, rules: &DecodingRules, newest: usize) -> BTreeSet<&str> {
        let decodable = self.decodable(rules);
        let over = self.logs.iter().rev().filter(|log| log.is_over(version) && !log.lacks_records(decodable));
        over.skip(newest).map(|log| log.log.as_str()).collect()
    }

    /// Notes that logs are over in a version, those of them that are settled.
    pub fn note_over(&mut self, version: &str, logs: &[String]) {
        for log in self.logs.iter_mut().filter(|log| log.closed && log.settled && logs.contains(&log.log)) {
            log.over_in.insert(version.to_owned());
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
        assert_eq!(
            names(facts.maybe_over("v1", &[cut(10)])),
            [""; 0],
            "no reconcile has asked what speed had counted of it"
        );
        facts.settle("older", &BTreeMap::new());
        assert_eq!(names(facts.maybe_over("v1", &[cut(10), cut(9)])), [""; 0], "a view does not include all of it");
        assert_eq!(
            names(facts.maybe_over("v1", &[cut(10), Offsets::default()])),
            [""; 0],
            "a cut that does not name it"
        );
        assert_eq!(names(facts.maybe_over("v1", &[cut(10), cut(10)])), ["older"]);

        facts.note_over("v1", &["older".to_owned(), "newer".to_owned()]);
        let over: Vec<bool> = facts.logs.iter().map(|log| log.is_over("v1")).collect();
        assert_eq!(over, [true, false], "an open log can still grow");
        assert_eq!(names(facts.maybe_over("v1", &[cut(10)])), [""; 0], "it is noted once");
        assert_eq!(names(facts.maybe_over("v2", &[cut(10)])), ["older"], "another version has shards of its own");
        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(text.matches("over").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);

        facts.reopen("older");
        assert!(!facts.logs[0].is_over("v1"), "its topic is there again");
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
        assert_eq!(names(facts.maybe_over("v1", &[])), ["log.1"]);
        facts.settle_truncated(&id("log", 0), None);
        assert_eq!(names(facts.maybe_over("v1", &[])), ["log", "log.1"]);
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
        let rules = DecodingRules::from("rules");
        assert_eq!(facts.hidden("v1", &rules, 0), BTreeSet::new(), "they are not over");
        facts.note_over("v1", &names[..5]);
        assert_eq!(facts.hidden("v1", &rules, 0), BTreeSet::from(["log-0", "log-3", "log-4"]));
        assert_eq!(facts.hidden("v1", &rules, 2), BTreeSet::from(["log-0"]));
        assert_eq!(facts.hidden("v1", &"older".into(), 2), BTreeSet::from(["log-0", "log-2"]), "it can be decoded");
        assert_eq!(facts.hidden("v2", &rules, 0), BTreeSet::new(), "another version may still need their shards");
        assert_eq!(facts.accept_losses(), 1);
        assert_eq!(facts.hidden("v1", &rules, 2), BTreeSet::from(["log-0", "log-1"]));
    }
}
