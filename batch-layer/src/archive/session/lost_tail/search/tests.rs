//! Searches in random logs, against what every offset says.

use shared_logic::log::Content;
use test_kit::{Dice, first_seed};

use super::*;

/// An archive and a log that were one up to some offset. Records are numbers; equal ones are one record.
#[derive(Debug, Default)]
struct Case {
    archived: BTreeMap<i64, u64>,
    log: BTreeMap<i64, u64>,
    lost: Vec<Range<i64>>,
    next: i64,
    end: i64,
    has_holes: bool,
}

fn witness(offset: i64, record: u64) -> Witness {
    let payload = record.to_le_bytes();
    Witness::of(offset, None, &Content { timestamp_us: None, key: None, payload: Some(&payload), headers: None })
}

impl Case {
    /// Both have stretches without records; the archive has a stretch that it lost, of which the log may hold some.
    fn random(dice: &mut Dice) -> Case {
        let next = dice.between(1, 60);
        let shared = dice.between(0, next - 1);
        let mut case = Case { next, end: dice.between(shared, 70), has_holes: dice.chance(20), ..Case::default() };
        let stretch = |dice: &mut Dice| {
            let from = dice.between(0, 60);
            from..from + dice.between(1, 25)
        };
        let (empty, lost) = (stretch(dice), stretch(dice));
        for offset in 0..next {
            if !empty.contains(&offset) && !lost.contains(&offset) && dice.chance(80) {
                case.archived.insert(offset, dice.throw());
            }
        }
        let empty = stretch(dice);
        for offset in 0..case.end {
            let record = match case.archived.get(&offset) {
                _ if offset >= shared => (!empty.contains(&offset) && dice.chance(80)).then(|| dice.throw()),
                None if lost.contains(&offset) && dice.chance(50) => Some(dice.throw()),
                // Compaction may have taken it.
                Some(_) if case.has_holes && dice.chance(30) => None,
                archived => archived.copied(),
            };
            case.log.extend(record.map(|record| (offset, record)));
        }
        case.lost.push(lost);
        case
    }

    /// Whether the log is known to hold something else at that offset.
    fn differs(&self, offset: i64) -> bool {
        match (self.archived.get(&offset), self.log.get(&offset)) {
            (Some(archived), Some(record)) => archived != record,
            (Some(_), None) => !self.has_holes,
            (None, Some(_)) => !self.lost.iter().any(|lost| lost.contains(&offset)),
            (None, None) => false,
        }
    }

    /// Searches from an offset at which they differ, in windows of that size and larger ones.
    fn found(&self, seen: i64, first: i64) -> (i64, Option<Witness>) {
        let offsets = 0..self.next.min(self.end);
        let sizes = Sizes { first, most: 4 * first };
        let mut search = Search::new(seen, offsets, self.lost.clone(), self.has_holes, sizes);
        while let Some(window) = search.window() {
            let within = |records: &BTreeMap<i64, u64>| -> BTreeMap<i64, Witness> {
                records.range(window.clone()).map(|(offset, record)| (*offset, witness(*offset, *record))).collect()
            };
            let archived = within(&self.archived).into_iter();
            let archived = archived.map(|(offset, witness)| (offset, Archived::hashed(&witness))).collect();
            search.compare(&archived, &Found { records: within(&self.log), end: window.end });
        }
        search.place()
    }

    /// The last archived record before an offset, unless something between them was lost.
    fn before(&self, at: i64) -> Option<Witness> {
        let is_there = |(offset, _): &(&i64, &u64)| !self.has_holes || self.log.contains_key(offset);
        let (offset, record) = self.archived.range(..at).rev().find(is_there)?;
        let is_next = (*offset + 1..at).all(|between| !self.lost.iter().any(|lost| lost.contains(&between)));
        is_next.then(|| witness(*offset, *record))
    }
}

#[test]
fn the_first_difference_is_found_whatever_lies_around_it() {
    let mut searches = 0;
    for seed in first_seed()..first_seed() + 5_000 {
        let mut dice = Dice::new(seed);
        let case = Case::random(&mut dice);
        let differing: Vec<i64> = (0..case.next.min(case.end)).filter(|offset| case.differs(*offset)).collect();
        let Some(first) = differing.first() else { continue };
        let (seen, size) = (*dice.pick(&differing), dice.between(1, 8));
        let expected = (*first, case.before(*first));
        assert_eq!(case.found(seen, size), expected, "BRAID_SEED={seed}, seen at {seen}, windows of {size}: {case:?}");
        searches += 1;
    }
    assert!(searches > 2_000, "only {searches} of the logs had lost their tail");
}

#[test]
fn a_search_that_meets_no_difference_stays_where_one_was_seen() {
    let record = |offset: i64| (offset, offset.unsigned_abs());
    let archived = (0..20).map(record).collect();
    let case = Case { archived, log: (0..12).map(record).collect(), next: 20, end: 12, ..Case::default() };
    assert_eq!(case.found(12, 4), (12, Some(witness(11, 11))), "the log ends there");
}

#[test]
fn the_witness_is_the_logs_own_record_also_where_the_archive_knows_only_the_time() {
    let sizes = Sizes { first: 2, most: 2 };
    let mut search = Search::new(4, 0..5, Vec::new(), false, sizes);
    while let Some(window) = search.window() {
        let records: BTreeMap<i64, Witness> =
            window.clone().map(|offset| (offset, witness(offset, u64::from(offset == 4)))).collect();
        // Of the record at 3 only the time is known, and so it is the same.
        let row = |offset| {
            let archived = Archived::hashed(&witness(offset, 0));
            (offset, if offset == 3 { Archived { hash: None, ..archived } } else { archived })
        };
        let archived = window.clone().map(row).collect();
        search.compare(&archived, &Found { records, end: window.end });
    }
    assert_eq!(search.place(), (4, Some(witness(3, 0))));
}
