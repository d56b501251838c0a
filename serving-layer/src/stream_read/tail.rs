//! What of a stream is in the log and not yet in the archive.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use platform::kafka::KafkaError;
use shared_logic::catalog::{DecodingRules, Source};
use shared_logic::complete::{Gap, Why};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use shared_logic::time::DAY_US;

use super::access::Access;
use super::log::{self, Reached};
use super::log_bounds::LogBounds;
use super::newest::Newest;
use super::output::OutputReader;
use super::positions::Positions;
use super::question::Question;

/// What lies behind an archive.
#[derive(Debug, PartialEq)]
pub(super) struct Tail {
    /// What the log holds of it.
    pub(super) ranges: BTreeMap<i32, Range<i64>>,
    /// Where it ends.
    pub(super) at: Positions,
    /// What neither archive nor log holds.
    pub(super) gaps: Vec<Gap>,
}

/// What lies behind an archive of those facts. It begins exactly where they end: rows and facts are one snapshot.
pub(super) fn behind(facts: &Facts, log: &LogBounds) -> Tail {
    let (mut ranges, mut gaps) = (BTreeMap::new(), Vec::new());
    let next = |id: &PartitionId| facts.partition(id).map(|known| known.next);
    for bounds in log.partitions() {
        // What the archive has not begun is all in the log.
        let from = next(&bounds.id).unwrap_or(bounds.start);
        let gap = |why| Gap { partition: Some(bounds.id.clone()), why };
        if bounds.end < from {
            gaps.push(gap(Why::LogTruncated));
        } else if from < bounds.start {
            gaps.push(gap(Why::Lost { from, to: bounds.start }));
        }
        let range = from.max(bounds.start)..bounds.end;
        if !range.is_empty() {
            ranges.insert(bounds.id.partition, range);
        }
    }
    let at = log.positions(|bounds| bounds.end.max(next(&bounds.id).unwrap_or(bounds.start)));
    Tail { ranges, at, gaps }
}

/// What an archive lacks, of a range that names `from_us` as its start if it names one.
pub(super) fn archive_gaps(facts: &Facts, rules: &DecodingRules, from_us: Option<i64>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (id, known) in facts.partitions() {
        let open = known.lost.iter().filter(|lost| !lost.accepted);
        gaps.extend(
            open.map(|lost| Gap { partition: Some(id.clone()), why: Why::Lost { from: lost.from, to: lost.to } }),
        );
    }
    let not_decodable = facts.not_decodable(rules);
    gaps.extend(
        not_decodable
            .map(|(id, range)| Gap { partition: Some(id), why: Why::NotDecodable { from: range.from, to: range.to } }),
    );
    let retired = facts.retired_before.filter(|before| from_us.is_some_and(|from_us| from_us < before * DAY_US));
    gaps.extend(retired.map(|before| Gap { partition: None, why: Why::Retired { before } }));
    gaps
}

/// The newest outputs of ranges of a topic that a question asks for.
///
/// # Errors
/// If the log cannot be read.
pub(super) async fn newest(
    access: &Access,
    source: &Source,
    ranges: BTreeMap<i32, Range<i64>>,
    question: &Question,
) -> Result<Reached<Newest>, KafkaError> {
    let (filter, times) = (question.filter.clone(), question.times);
    let mut reader = OutputReader::new(source);
    log::read(access, &source.topic, ranges, Newest::new(question.limit), move |newest, record| {
        let output = reader.output(record.payload, record.timestamp_us(), |event| {
            times.contains(event.time_us) && filter.accepts(event)
        });
        output.into_iter().for_each(|output| newest.offer(output));
        ControlFlow::Continue(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::super::output::Output;
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

    fn bounds(facts: &Facts, bounds: &[(i64, i64)]) -> LogBounds {
        let of =
            |which: fn(&(i64, i64)) -> i64| -> BTreeMap<i32, i64> { (0..).zip(bounds.iter().map(which)).collect() };
        LogBounds::new("log", &of(|bounds| bounds.0), &of(|bounds| bounds.1), facts)
    }

    #[test]
    fn the_tail_begins_where_the_archive_ends() {
        let facts = facts(3, 50);
        let tail = behind(&facts, &bounds(&facts, &[(10, 60), (7, 9)]));
        assert_eq!(tail.ranges, BTreeMap::from([(0, 50..60), (1, 7..9)]), "partition 1 is not archived yet");
        assert_eq!((tail.at.to_string().as_str(), tail.gaps), ("log:60,9", vec![]));
        let tail = behind(&facts, &bounds(&facts, &[(10, 50)]));
        assert_eq!((tail.ranges.len(), tail.at.to_string().as_str(), tail.gaps), (0, "log:50", vec![]));
    }

    #[test]
    fn what_neither_holds_is_a_gap() {
        let facts = facts(3, 50);
        let gap = |why| vec![Gap { partition: Some(id(0)), why }];
        let tail = behind(&facts, &bounds(&facts, &[(55, 60)]));
        assert_eq!((tail.ranges, tail.gaps), (BTreeMap::from([(0, 55..60)]), gap(Why::Lost { from: 50, to: 55 })));
        let tail = behind(&facts, &bounds(&facts, &[(3, 49)]));
        assert_eq!((tail.ranges.len(), tail.gaps), (0, gap(Why::LogTruncated)));
        assert_eq!(tail.at.to_string(), "log:50", "what is archived is known");
    }

    #[test]
    fn another_incarnation_goes_on_where_it_begins() {
        let mut facts = facts(0, 50);
        facts.lose_tail(&id(0), 40, None).expect("it goes on");
        let tail = behind(&facts, &bounds(&facts, &[(0, 45)]));
        assert_eq!(tail.ranges, BTreeMap::from([(0, 40..45)]));
        assert_eq!((tail.at.to_string().as_str(), tail.gaps), ("log:45@1", vec![]));
    }

    #[test]
    fn what_the_archive_lacks_is_named() {
        let mut facts = facts(3, 50);
        facts.lose(&id(0), 55);
        facts.note_columns_only(&id(0), &"older".into(), 3, 9);
        facts.retire(10, &[(id(0), 5)].into_iter().collect());
        let rules = DecodingRules::from("rules");
        let names = |facts: &Facts, from_us| -> Vec<&'static str> {
            archive_gaps(facts, &rules, from_us).iter().map(|gap| gap.why.name()).collect()
        };
        assert_eq!(names(&facts, Some(10 * DAY_US - 1)), ["lost", "not_decodable", "retired"]);
        assert_eq!(names(&facts, Some(10 * DAY_US)), ["lost", "not_decodable"]);
        assert_eq!(names(&facts, None), ["lost", "not_decodable"], "it names no earlier start");
        assert_eq!((facts.accept_losses(), facts.accept_not_decodable(&rules)), (1, 1));
        assert_eq!(names(&facts, None), [""; 0]);
    }

    #[test]
    fn wherever_an_archive_ends_each_output_is_in_one_of_both() {
        for seed in 1..100 {
            let mut dice = Dice::new(seed);
            let end = dice.between(0, 30);
            let next = dice.between(0, end);
            let facts = facts(0, next);
            let tail = behind(&facts, &bounds(&facts, &[(dice.between(0, next), end)]));
            let output = |offset: i64| Output {
                time_us: offset % 5,
                id: format!("s/v1/log/0/{offset}/0"),
                json: offset.to_string(),
            };
            let (mut archived, mut of_log) = (Newest::new(100), Newest::new(100));
            (0..next).for_each(|offset| archived.offer(output(offset)));
            tail.ranges.into_values().flatten().for_each(|offset| of_log.offer(output(offset)));
            archived.merge(of_log);
            let mut found: Vec<i64> = archived.into_outputs().0.iter().flat_map(|json| json.as_i64()).collect();
            found.sort_unstable();
            assert_eq!(found, (0..end).collect::<Vec<_>>(), "seed {seed}: archived up to {next}");
        }
    }
}
