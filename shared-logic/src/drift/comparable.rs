//! Whether what speed had said of some offsets can be compared with what batch found there.
//!
//! It can be if the slices of the shard hold exactly these offsets, counted by this definition from the first one on (as R9 asks of an
//! answer), and if the archive holds every record of them and of the window before them. None of these may be erased, and none of the
//! events may lie in a day whose rows are retired.

use std::fmt;

use crate::catalog::{DecodingRules, DefinitionHash};
use crate::complete;
use crate::contracts::archive::Facts;
use crate::contracts::speed_view::Shard;
use crate::cut;
use crate::log::{OffsetRange, Offsets, PartitionId};

/// Why speed and batch cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomparable {
    /// The view was counted anew, so what it held before is of no use.
    Rebuilt,
    /// There is no shard.
    NoShard(PartitionId),
    /// R12: the shard is marked: its log lost records that it had counted.
    LogTruncated(PartitionId),
    /// No slice begins at the old cut.
    NoSliceAtCut(PartitionId, i64),
    /// No slice ends at the new cut.
    NoEndAtCut(PartitionId, i64),
    /// The definition was not counted, or only since a later offset than the old cut.
    NotCountedSince(PartitionId, i64),
    /// The shard has not counted up to the new cut.
    Behind(PartitionId, i64),
    /// It was imported, so speed never saw it.
    Imported(PartitionId),
    /// The log has ended, so its cut is where its archive ends, whatever speed had counted.
    Closed(PartitionId),
    /// R12: the log lost its tail so short before that the speed layer's window reaches into the incarnation before.
    LostTail(PartitionId),
    /// The log lost these offsets before they were archived, `[from, to)`.
    Lost(PartitionId, i64, i64),
    /// The archive has only the columns of these offsets, decoded under other rules, `[from, to)`.
    NotDecodable(PartitionId, i64, i64),
    /// Events that speed may have counted, or known as older copies, were erased, or hours are counted again because of an erasure.
    Erased,
    /// New events lie in this day, `YYYY-MM-DD`, whose rows are retired: what is left does not tell which of their copies speed knew.
    Retired(String),
    /// Speed or batch has more buckets with events than are compared.
    TooManyBuckets(usize),
    /// What speed had counted could not be read.
    NotMeasured(String),
}

/// The offsets that a view with the cut `old` lacks and one with the cut `new` includes. None is empty.
pub fn moved(old: &Offsets, new: &Offsets, archive: &Facts) -> Vec<OffsetRange> {
    let from = |id: &PartitionId| cut::of_partition(Some(old), id, archive);
    let ranges = new.iter().filter_map(|(id, to)| Some(OffsetRange { id: id.clone(), from: from(id)?, to }));
    ranges.filter(|range| range.from < range.to).collect()
}

/// Whether the archive knows every record of a range that speed knew: `window` is how many offsets back it looks for copies, and
/// `rules` are the source's.
///
/// # Errors
/// If it does not.
pub fn archived(range: &OffsetRange, window: u64, rules: &DecodingRules, archive: &Facts) -> Result<(), Incomparable> {
    let id = &range.id;
    if archive.log(&id.log).is_some_and(|log| log.import.is_some()) {
        return Err(Incomparable::Imported(id.clone()));
    }
    if archive.is_ended(id) {
        return Err(Incomparable::Closed(id.clone()));
    }
    whole(range, window, rules, archive)
}

/// Whether the archive holds every record of a range, and of the window before it, as it arrived, whether the log goes on or has ended.
///
/// # Errors
/// If it does not.
pub fn whole(range: &OffsetRange, window: u64, rules: &DecodingRules, archive: &Facts) -> Result<(), Incomparable> {
    let OffsetRange { id, from, to } = range;
    let from = from.saturating_sub(i64::try_from(window).unwrap_or(i64::MAX));
    let Some(known) = archive.partition(id) else { return Err(Incomparable::Closed(id.clone())) };
    if id.incarnation() > 0 && from < known.begin {
        return Err(Incomparable::LostTail(id.clone()));
    }
    let overlaps = |low: i64, high: i64| low < *to && from < high;
    if let Some(lost) = known.lost.iter().find(|lost| overlaps(lost.from, lost.to)) {
        return Err(Incomparable::Lost(id.clone(), lost.from, lost.to));
    }
    if known.erased_below.is_some_and(|below| from < below) {
        return Err(Incomparable::Erased);
    }
    let decodable = archive.decodable(rules);
    match known.columns_only.iter().find(|only| !decodable.holds(only) && overlaps(only.from, only.to)) {
        Some(only) => Err(Incomparable::NotDecodable(id.clone(), only.from, only.to)),
        None => Ok(()),
    }
}

/// The begins of the slices that hold exactly the offsets of a range, in order.
///
/// # Errors
/// If there are none such, or they count something else.
pub fn slices(
    shard: Option<&Shard>,
    definition: &DefinitionHash,
    range: &OffsetRange,
) -> Result<Vec<i64>, Incomparable> {
    let OffsetRange { id, from, to } = range;
    let shard = shard.ok_or_else(|| Incomparable::NoShard(id.clone()))?;
    if !complete::counts(shard) {
        return Err(Incomparable::LogTruncated(id.clone()));
    }
    if shard.cursor < *to {
        return Err(Incomparable::Behind(id.clone(), *to));
    }
    if !shard.slices.contains(from) {
        return Err(Incomparable::NoSliceAtCut(id.clone(), *from));
    }
    if !shard.slices.contains(to) && shard.cursor != *to {
        return Err(Incomparable::NoEndAtCut(id.clone(), *to));
    }
    match shard.definitions.get(definition) {
        Some(since) if since <= from => {
            Ok(shard.slices.iter().copied().filter(|begin| (*from..*to).contains(begin)).collect())
        }
        _ => Err(Incomparable::NotCountedSince(id.clone(), *from)),
    }
}

impl Incomparable {
    /// The reason as a word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Incomparable::Rebuilt => "rebuilt",
            Incomparable::NoShard(_) => "no_shard",
            Incomparable::LogTruncated(_) => "log_truncated",
            Incomparable::NoSliceAtCut(..) => "no_slice_at_cut",
            Incomparable::NoEndAtCut(..) => "no_end_at_cut",
            Incomparable::NotCountedSince(..) => "not_counted_since",
            Incomparable::Behind(..) => "behind",
            Incomparable::Imported(_) => "imported",
            Incomparable::Closed(_) => "closed",
            Incomparable::LostTail(_) => "lost_tail",
            Incomparable::Lost(..) => "lost",
            Incomparable::NotDecodable(..) => "not_decodable",
            Incomparable::Erased => "erased",
            Incomparable::Retired(_) => "retired",
            Incomparable::TooManyBuckets(_) => "too_many_buckets",
            Incomparable::NotMeasured(_) => "not_measured",
        }
    }
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incomparable::Rebuilt => f.write_str("the view was counted anew"),
            Incomparable::NoShard(id) => write!(f, "the speed layer had no counters of {id}"),
            Incomparable::LogTruncated(id) => write!(f, "the log of {id} lost records that speed had counted"),
            Incomparable::NoSliceAtCut(id, cut) => write!(f, "no slice of {id} began at the old cut {cut}"),
            Incomparable::NoEndAtCut(id, cut) => write!(f, "no slice of {id} ended at the new cut {cut}"),
            Incomparable::NotCountedSince(id, cut) => {
                write!(f, "speed did not count this definition in {id} from the old cut {cut} on")
            }
            Incomparable::Behind(id, cut) => write!(f, "speed had not counted {id} up to the new cut {cut}"),
            Incomparable::Imported(id) => write!(f, "{id} was imported, and speed never saw it"),
            Incomparable::Closed(id) => write!(f, "the log of {id} has ended"),
            Incomparable::LostTail(id) => {
                write!(f, "{id} began less than dedup_window offsets before, where its log lost its newest records")
            }
            Incomparable::Lost(id, from, to) => {
                write!(f, "the log of {id} lost offsets {from} to {to} before they were archived")
            }
            Incomparable::NotDecodable(id, from, to) => {
                write!(f, "offsets {from} to {to} of {id} were archived without their bytes, under other rules")
            }
            Incomparable::Erased => f.write_str("events that speed may have counted were erased"),
            Incomparable::Retired(day) => write!(f, "new events lie in {day}, whose rows are retired"),
            Incomparable::TooManyBuckets(most) => write!(f, "events lie in more than {most} buckets"),
            Incomparable::NotMeasured(why) => write!(f, "what speed had counted could not be read: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::archive::{ErasedPart, ImportedRecords, import_log};
    use crate::contracts::speed_view::Instance;

    fn id() -> PartitionId {
        PartitionId::new("log", 0)
    }

    fn hash(n: u8) -> DefinitionHash {
        format!("{n:016x}").parse().expect("16 digits")
    }

    /// The offsets from 50 to 80.
    fn range() -> OffsetRange {
        OffsetRange { id: id(), from: 50, to: 80 }
    }

    fn shard() -> Shard {
        Shard {
            cursor: 100,
            slices: vec![20, 50, 60, 80],
            definitions: [(hash(1), 50)].into(),
            instance: Instance::new(1),
            witnesses: vec![None; 5],
            truncated: None,
        }
    }

    /// Begun at 0, and archived to 100.
    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.begin(&id(), 0);
        assert!(facts.advance(&id(), 0, 100));
        facts
    }

    #[test]
    fn slices_hold_exactly_the_offsets_between_two_cuts() {
        assert_eq!(slices(Some(&shard()), &hash(1), &range()), Ok(vec![50, 60]));
        let up_to_its_cursor = Shard { cursor: 80, slices: vec![50], ..shard() };
        assert_eq!(slices(Some(&up_to_its_cursor), &hash(1), &range()), Ok(vec![50]));
        let refused =
            |shard: Option<Shard>, definition| slices(shard.as_ref(), &definition, &range()).unwrap_err().name();
        assert_eq!(refused(None, hash(1)), "no_shard");
        assert_eq!(refused(Some(Shard { truncated: Some(90), ..shard() }), hash(1)), "log_truncated");
        assert_eq!(refused(Some(Shard { cursor: 79, ..shard() }), hash(1)), "behind");
        assert_eq!(refused(Some(Shard { slices: vec![20, 60, 80], ..shard() }), hash(1)), "no_slice_at_cut");
        assert_eq!(refused(Some(Shard { slices: vec![50, 90], ..shard() }), hash(1)), "no_end_at_cut");
        assert_eq!(refused(Some(shard()), hash(2)), "not_counted_since");
        let later = Shard { definitions: [(hash(1), 51)].into(), ..shard() };
        assert_eq!(refused(Some(later), hash(1)), "not_counted_since");
    }

    #[test]
    fn the_archive_holds_the_offsets_and_the_window_before_them() {
        let rules = DecodingRules::from("own");
        let judged = |facts: &Facts, window| archived(&range(), window, &rules, facts).map_err(|why| why.name());
        assert_eq!(judged(&facts(), 1_000), Ok(()));
        let mut closed = facts();
        closed.close("log");
        assert_eq!(judged(&closed, 0), Err("closed"));
        let mut others = facts();
        others.note_columns_only(&id(), &"other".into(), 30, 40);
        assert_eq!((judged(&others, 10), judged(&others, 11)), (Ok(()), Err("not_decodable")));
        let mut own = facts();
        own.note_columns_only(&id(), rules.hash(), 30, 90);
        assert_eq!(judged(&own, 11), Ok(()));

        let mut lost = Facts::default();
        lost.begin(&id(), 0);
        assert!(lost.advance(&id(), 0, 30));
        lost.lose(&id(), 40);
        assert!(lost.advance(&id(), 40, 100));
        assert_eq!((judged(&lost, 10), judged(&lost, 11)), (Ok(()), Err("lost")));
    }

    #[test]
    fn what_was_erased_or_lies_within_the_window_above_it_is_not_compared() {
        let (mut facts, rules) = (Facts::default(), DecodingRules::from("own"));
        facts.begin(&id(), 0);
        assert!(facts.advance(&id(), 0, 40));
        let (list, at_us) = ("_erased/a.json".to_owned(), None);
        let part = ErasedPart { version: 3, rules: rules.hash().clone(), list, events: 1, at_us };
        facts.erase("x", Some(part), Some(0));
        assert!(facts.advance(&id(), 40, 100));
        let judged = |window| archived(&range(), window, &rules, &facts);
        assert_eq!((judged(10), judged(11)), (Ok(()), Err(Incomparable::Erased)));
    }

    #[test]
    fn a_file_that_was_imported_is_nothing_that_speed_has_counted() {
        let (mut facts, rules) = (facts(), DecodingRules::from("own"));
        let records = ImportedRecords { rows: 5, ..ImportedRecords::default() };
        assert!(facts.add_import(1, "a.csv", 7, &records));
        let id = PartitionId::new(import_log(1), 0);
        let import = OffsetRange { id: id.clone(), from: 0, to: 5 };
        assert_eq!(archived(&import, 0, &rules, &facts), Err(Incomparable::Imported(id)));
        assert_eq!(archived(&range(), 0, &rules, &facts), Ok(()), "the topic beside it");
    }

    #[test]
    fn a_window_that_reaches_into_an_incarnation_without_its_tail_is_not_known() {
        let (mut facts, rules) = (facts(), DecodingRules::from("own"));
        let next = facts.lose_tail(&id(), 40, None).expect("it goes on");
        assert!(facts.advance(&next, 40, 100));
        let range = OffsetRange { id: next.clone(), ..range() };
        assert_eq!(archived(&range, 10, &rules, &facts), Ok(()));
        assert_eq!(archived(&range, 11, &rules, &facts), Err(Incomparable::LostTail(next)));
        let before = OffsetRange { id: id(), ..range };
        assert_eq!(archived(&before, 10, &rules, &facts), Err(Incomparable::Closed(id())));
    }

    #[test]
    fn what_moved_begins_at_the_old_cut_or_where_the_archive_does() {
        let offsets = |pairs: &[(i32, i64)]| -> Offsets {
            pairs.iter().map(|(partition, offset)| (PartitionId::new("log", *partition), *offset)).collect()
        };
        let mut facts = facts();
        facts.begin(&PartitionId::new("log", 2), 7);
        let ranges = moved(&offsets(&[(0, 50), (1, 5)]), &offsets(&[(0, 80), (1, 5), (2, 9)]), &facts);
        assert_eq!(ranges, [range(), OffsetRange { id: PartitionId::new("log", 2), from: 7, to: 9 }]);
    }
}
