//! How a client that was away comes up with those that are there: pure decisions.
//!
//! What it has not been told lies in the log, or, where the log has forgotten it, in the archive. What is in neither is a gap, which
//! it is told.

use std::collections::BTreeMap;
use std::ops::Range;

use shared_logic::complete::{Gap, Why};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::OffsetRange;

use super::super::log_bounds::{LogBounds, PartitionBounds};
use super::super::positions::{Position, Positions};

/// How many offsets of a partition are read of the archive at a time, and of how many partitions.
const ARCHIVED_OFFSETS: i64 = 4_096;
const ARCHIVED_PARTITIONS: usize = 8;

/// What keeps a client from going on where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Break {
    /// The topic was created again.
    Replaced,
    /// Records that it was told, or that were lost after it, are not those of the log any more.
    Missing(Gap),
}

/// What a client that is behind does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It is told that these offsets are lost.
    Lost(Vec<OffsetRange>),
    /// It is told what the archive holds of these offsets.
    Archive(Vec<OffsetRange>),
    /// It is told what the log holds of these offsets.
    Log(BTreeMap<i32, Range<i64>>),
}

/// Moves a client's positions to the log that there is now, and returns what it has to be told of that.
pub(super) fn align(at: &mut Positions, log: &LogBounds) -> Vec<Break> {
    let now = log.positions(|bounds| bounds.start);
    if at.topic != now.topic || at.partitions.len() > now.partitions.len() {
        *at = now;
        return vec![Break::Replaced];
    }
    // Partitions that were added: all that they ever held is new.
    at.partitions.extend(now.partitions.iter().skip(at.partitions.len()).map(|new| Position { offset: 0, ..*new }));
    let pairs = at.partitions.iter_mut().zip(log.partitions());
    pairs.filter_map(|(position, bounds)| moved(position, bounds)).collect()
}

/// R12: the records behind a position may be others by now.
fn moved(position: &mut Position, bounds: &PartitionBounds) -> Option<Break> {
    let is_older = position.incarnation < bounds.id.incarnation();
    let known = if is_older { bounds.begin.min(bounds.end) } else { bounds.end };
    position.incarnation = position.incarnation.max(bounds.id.incarnation());
    if position.offset <= known {
        return None;
    }
    position.offset = known;
    Some(Break::Missing(Gap { partition: Some(bounds.id.clone()), why: Why::LogTruncated }))
}

/// What comes next on the way to `until`; `None` if the client is there. All are positions of the same log.
pub(super) fn next_step(at: &Positions, until: &Positions, log: &LogBounds, facts: &Facts) -> Option<Step> {
    let (mut lost, mut archived, mut in_log) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (partition, range) in at.until(until) {
        let Some(bounds) = log.partition(partition) else { continue };
        if bounds.start <= range.start {
            in_log.insert(partition, range);
            continue;
        }
        match held(bounds, range.start, facts) {
            Some(held) => archived.push(OffsetRange { to: held.to.min(range.end), ..held }),
            None => {
                let to = begins_again(bounds, range.start, facts).min(range.end);
                lost.push(OffsetRange { id: bounds.id.clone(), from: range.start, to });
            }
        }
    }
    if !lost.is_empty() {
        return Some(Step::Lost(lost));
    }
    if !archived.is_empty() {
        archived.truncate(ARCHIVED_PARTITIONS);
        return Some(Step::Archive(archived));
    }
    (!in_log.is_empty()).then_some(Step::Log(in_log))
}

/// What the archive holds from that offset on, in one piece that is not too large.
fn held(bounds: &PartitionBounds, from: i64, facts: &Facts) -> Option<OffsetRange> {
    let (id, _, ends) = facts.lives(&bounds.id).into_iter().find(|(_, begin, end)| (*begin..*end).contains(&from))?;
    let to = facts.partition(&id)?.next.min(ends).min(from.saturating_add(ARCHIVED_OFFSETS));
    (from < to).then_some(OffsetRange { id, from, to })
}

/// The first offset from that one on that the archive or the log holds.
fn begins_again(bounds: &PartitionBounds, from: i64, facts: &Facts) -> i64 {
    let begins = facts.lives(&bounds.id).into_iter().map(|(_, begin, _)| begin).filter(|begin| *begin > from);
    begins.min().map_or(bounds.start, |begin| begin.min(bounds.start))
}

#[cfg(test)]
mod tests {
    use shared_logic::log::PartitionId;
    use test_kit::Dice;

    use super::*;

    fn id(partition: i32) -> PartitionId {
        PartitionId::new("log", partition)
    }

    fn facts(begin: i64, next: i64) -> Facts {
        let mut facts = Facts::default();
        facts.begin(&id(0), begin);
        assert!(facts.advance(&id(0), begin, next));
        facts
    }

    fn log(facts: &Facts, bounds: &[(i64, i64)]) -> LogBounds {
        let of =
            |which: fn(&(i64, i64)) -> i64| -> BTreeMap<i32, i64> { (0..).zip(bounds.iter().map(which)).collect() };
        LogBounds::new("log", &of(|bounds| bounds.0), &of(|bounds| bounds.1), facts)
    }

    fn positions(text: &str) -> Positions {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    fn aligned(at: &str, log: &LogBounds) -> (String, Vec<Break>) {
        let mut at = positions(at);
        let breaks = align(&mut at, log);
        (at.to_string(), breaks)
    }

    #[test]
    fn positions_of_the_same_log_stay() {
        let facts = facts(0, 50);
        assert_eq!(aligned("log:30,7", &log(&facts, &[(40, 60), (0, 9)])), ("log:30,7".to_owned(), vec![]));
        assert_eq!(
            aligned("log:30", &log(&facts, &[(40, 60), (3, 9)])),
            ("log:30,0".to_owned(), vec![]),
            "of a partition that was added, everything is new"
        );
    }

    #[test]
    fn a_topic_that_was_created_again_is_read_from_its_start() {
        let facts = facts(0, 50);
        let now = log(&facts, &[(5, 60)]);
        for before in ["older:90", "log:1,2"] {
            assert_eq!(aligned(before, &now), ("log:5".to_owned(), vec![Break::Replaced]), "{before}");
        }
    }

    #[test]
    fn what_was_told_and_then_lost_is_told_as_a_gap() {
        let mut facts = facts(0, 50);
        let missing = |id: PartitionId| vec![Break::Missing(Gap { partition: Some(id), why: Why::LogTruncated })];
        assert_eq!(aligned("log:61", &log(&facts, &[(0, 60)])), ("log:60".to_owned(), missing(id(0))));
        facts.lose_tail(&id(0), 40, None).expect("it goes on");
        let now = log(&facts, &[(0, 60)]);
        assert_eq!(aligned("log:45", &now), ("log:40@1".to_owned(), missing(PartitionId::new("log.1", 0))));
        assert_eq!(aligned("log:40", &now), ("log:40@1".to_owned(), vec![]), "it was told nothing that differs");
        assert_eq!(aligned("log:45@1", &now), ("log:45@1".to_owned(), vec![]));
        assert_eq!(aligned("log:45@2", &now), ("log:45@2".to_owned(), vec![]), "another process knows a newer one");
    }

    #[test]
    fn what_the_log_has_forgotten_is_read_of_the_archive() {
        let facts = facts(10, 50);
        let bounds = log(&facts, &[(30, 60)]);
        let step = |at: &str, until: &str| next_step(&positions(at), &positions(until), &bounds, &facts);
        let range = |from, to| vec![OffsetRange { id: id(0), from, to }];
        assert_eq!(step("log:60", "log:60"), None);
        assert_eq!(step("log:30", "log:60"), Some(Step::Log(BTreeMap::from([(0, 30..60)]))));
        assert_eq!(step("log:29", "log:60"), Some(Step::Archive(range(29, 50))));
        assert_eq!(step("log:29", "log:40"), Some(Step::Archive(range(29, 40))));
        assert_eq!(step("log:3", "log:60"), Some(Step::Lost(range(3, 10))), "the archive begins later");
        let forgotten = log(&facts, &[(55, 60)]);
        let step = next_step(&positions("log:50"), &positions("log:60"), &forgotten, &facts);
        assert_eq!(step, Some(Step::Lost(range(50, 55))));
    }

    #[test]
    fn whatever_archive_and_log_hold_each_offset_is_told_once_or_is_lost() {
        for seed in 1..300 {
            let mut dice = Dice::new(seed);
            let begin = dice.between(0, 20);
            let next = begin + dice.between(0, 40);
            let mut facts = facts(begin, next);
            if dice.chance(30) {
                facts.lose_tail(&id(0), dice.between(begin, next), None).expect("it goes on");
            }
            let start = dice.between(0, 60);
            let end = start + dice.between(0, 40);
            let bounds = log(&facts, &[(start, end)]);
            let mut at = positions(&format!("log:{}", dice.between(0, end)));
            align(&mut at, &bounds);
            let (mut expected, until) = (at.offset(0).expect("one"), bounds.positions(|bounds| bounds.end));
            for _ in 0..100 {
                let ranges: Vec<(i64, i64, bool)> = match next_step(&at, &until, &bounds, &facts) {
                    None => break,
                    Some(Step::Log(ranges)) => {
                        ranges.into_values().map(|range| (range.start, range.end, true)).collect()
                    }
                    Some(Step::Archive(ranges)) => ranges.iter().map(|range| (range.from, range.to, true)).collect(),
                    Some(Step::Lost(ranges)) => ranges.iter().map(|range| (range.from, range.to, false)).collect(),
                };
                for (from, to, is_told) in ranges {
                    assert_eq!(from, expected, "seed {seed}: without a hole and without a repetition");
                    assert!(from < to, "seed {seed}: it comes further");
                    let in_log = start <= from;
                    let in_archive =
                        facts.lives(&bounds.partition(0).expect("one").id).iter().any(|(id, begin, end)| {
                            let next = facts.partition(id).expect("begun").next;
                            *begin < to && from < (*end).min(next)
                        });
                    assert!(is_told || !(in_log || in_archive), "seed {seed}: {from} to {to} is held");
                    expected = to;
                    at.advance(0, to);
                }
            }
            assert_eq!(expected, end.max(expected), "seed {seed}");
            assert!(at.until(&until).is_empty(), "seed {seed}: {at} is not at {until}");
        }
    }
}
