//! Which offsets of a partition are checked, and which not, by what is published and what was checked before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::stream::{Changed, CheckedLane, ProgressNoted, Published};
use shared_logic::log::PartitionId;
use shared_logic::stream::Fronts;
use shared_logic::stream_check::{Since, decided_by};

use crate::stream::rounds::{Begin, LaneSpan};

/// The word for where nobody knows what has decided.
pub(super) const NOT_BEGUN: &str = "not_begun";

/// A partition of the source, as it is archived.
#[derive(Debug, Clone)]
pub(super) struct Archived {
    pub(super) id: PartitionId,
    /// Where the archive begins it.
    pub(super) begin: i64,
    /// The first offset that is not archived; `None`: the partition is not there, or has ended.
    pub(super) next: Option<i64>,
}

/// What is checked of a partition.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) span: LaneSpan,
    /// Where the next check begins if nothing is decided again in this one: what is published of all streams, and the fronts there.
    /// `None`: where this one did.
    pub(super) otherwise: Option<(i64, Fronts)>,
    /// The streams that are published by their definitions.
    pub(super) streams: BTreeMap<String, DefinitionHash>,
    /// T8: those of them that are decided from an incomplete past now.
    pub(super) incomplete: BTreeSet<String>,
    /// T8: whether some of what each stream has written there was decided from an incomplete past, so that nothing of it is compared.
    pub(super) left_out: Vec<bool>,
}

/// Plans the check of a partition. `streams` are those over the source, with their definitions.
pub(super) fn planned(
    archived: &Archived,
    streams: &[(String, DefinitionHash)],
    checked: Option<&CheckedLane>,
    noted: Option<&ProgressNoted>,
) -> Planned {
    let id = &archived.id;
    let current: Vec<Option<&Published>> = streams
        .iter()
        .map(|(name, definition)| {
            let published = noted.and_then(|noted| noted.published.get(name));
            published.filter(|published| published.log == id.log && published.definition == *definition)
        })
        .collect();
    let stands = || {
        // Whatever is published later is looked at by a later check.
        let at = checked.map_or(i64::MIN, |checked| checked.offset);
        Planned::of(id, (Begin::First, at..at), checked.is_some(), vec![Vec::new(); streams.len()])
    };
    let least = current.iter().flatten().min_by_key(|published| published.position);
    let (Some(least), Some(next)) = (least, archived.next) else { return stands() };
    let begun = checked.map(|checked| (checked.offset, checked.fronts.clone()));
    let begun = begun.or_else(|| first_change(id, streams, &current, noted));
    let left_out = begun.is_none().then_some(NOT_BEGUN);
    let (from, fronts) = begun.unwrap_or_else(|| (archived.begin, least.fronts.clone()));
    let to = if left_out.is_some() { least.position.offset } else { least.position.offset.min(next) };
    if from >= to {
        return stands();
    }
    let range = from..to;
    let compared = streams.iter().zip(&current).map(|((name, definition), published)| match published {
        Some(_) => decided_by(definition, &since(id, name, checked, noted), &range),
        None => Vec::new(),
    });
    let compared = compared.collect();
    let mut planned = Planned::of(id, (Begin::At(fronts), range), checked.is_some(), compared);
    (planned.span.left_out, planned.span.skip_to) = (left_out, least.position.offset);
    planned.otherwise = Some((least.position.offset, least.fronts.clone()));
    let is_current = streams.iter().zip(&current).filter(|(_, published)| published.is_some());
    planned.streams = is_current.map(|((name, definition), _)| (name.clone(), definition.clone())).collect();
    let incomplete =
        streams.iter().zip(&current).filter(|(_, published)| published.is_some_and(|known| known.incomplete));
    planned.incomplete = incomplete.map(|((name, _), _)| name.clone()).collect();
    let was_incomplete = |name: &String| checked.is_some_and(|checked| checked.incomplete.contains(name));
    planned.left_out =
        streams.iter().map(|(name, _)| planned.incomplete.contains(name) || was_incomplete(name)).collect();
    planned
}

impl Planned {
    fn of(
        id: &PartitionId,
        (begin, range): (Begin, Range<i64>),
        follows: bool,
        compared: Vec<Vec<Range<i64>>>,
    ) -> Planned {
        let (id, from, to) = (id.clone(), range.start, range.end);
        let left_out = vec![false; compared.len()];
        let span = LaneSpan { id, begin, from, to, skip_to: to, follows, compared, left_out: None };
        Planned { span, otherwise: None, streams: BTreeMap::new(), incomplete: BTreeSet::new(), left_out }
    }
}

/// Where the first of the definitions began by which streams are published now, and the fronts there.
fn first_change(
    id: &PartitionId,
    streams: &[(String, DefinitionHash)],
    current: &[Option<&Published>],
    noted: Option<&ProgressNoted>,
) -> Option<(i64, Fronts)> {
    let of_current = streams.iter().zip(current).filter(|(_, published)| published.is_some());
    let changes = of_current.flat_map(|((name, definition), _)| {
        changes(id, name, noted).filter(move |(_, changed)| changed.to.as_ref() == Some(definition))
    });
    changes.min_by_key(|(offset, _)| *offset).map(|(offset, changed)| (offset, changed.fronts.clone()))
}

/// From where on which definition has decided a stream, as far as that matters from what was checked on.
fn since(id: &PartitionId, stream: &str, checked: Option<&CheckedLane>, noted: Option<&ProgressNoted>) -> Vec<Since> {
    let before = checked.and_then(|checked| {
        let definition = checked.streams.get(stream)?.clone();
        Some(Since { offset: checked.offset, definition: Some(definition) })
    });
    let from = checked.map_or(i64::MIN, |checked| checked.offset);
    let later = changes(id, stream, noted).filter(|(offset, _)| *offset >= from);
    // Of an offset that is written in part by one definition, none has decided all.
    let later = later.flat_map(|(offset, changed)| {
        let whole = Since { offset: changed.first_whole(), definition: changed.to.clone() };
        [Since { offset, definition: None }, whole]
    });
    before.into_iter().chain(later).collect()
}

fn changes<'a>(
    id: &'a PartitionId,
    stream: &'a str,
    noted: Option<&'a ProgressNoted>,
) -> impl Iterator<Item = (i64, &'a Changed)> {
    noted.into_iter().flat_map(move |noted| noted.changes_of(stream, &id.log))
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::stream::ProgressKey;
    use shared_logic::stream::OutputPosition;

    use super::*;

    fn span(from: i64, to: i64) -> Vec<Range<i64>> {
        std::iter::once(from..to).collect()
    }

    fn hash(n: u8) -> DefinitionHash {
        format!("{n:016x}").parse().expect("16 digits")
    }

    fn archived(next: i64) -> Archived {
        Archived { id: PartitionId::new("log", 0), begin: 5, next: Some(next) }
    }

    fn streams() -> Vec<(String, DefinitionHash)> {
        vec![("a".to_owned(), hash(1)), ("b".to_owned(), hash(2))]
    }

    /// What is published: of each stream its definition and its position's offset.
    fn noted(published: &[(&str, u8, i64)], changes: &[(&str, u8, i64)]) -> ProgressNoted {
        let of = |(name, definition, offset): &(&str, u8, i64)| {
            let position = OutputPosition { offset: *offset, n: 1 };
            let published = Published {
                log: "log".to_owned(),
                position,
                fronts: Fronts::new(false),
                definition: hash(*definition),
                checked: None,
                incomplete: false,
                full: None,
                open: 0,
                never_written: 0,
            };
            ((*name).to_owned(), published)
        };
        let change = |(name, to, offset): &(&str, u8, i64)| {
            let (stream, log, offset) = ((*name).to_owned(), "log".to_owned(), *offset);
            let fronts = Fronts::new(false);
            let to = Some(hash(*to));
            let changed = Changed { log: log.clone(), offset, from: None, to, fronts, part: false, past_from: None };
            (ProgressKey::Change { stream, log, offset }, changed)
        };
        let (published, changes) = (published.iter().map(of).collect(), changes.iter().map(change).collect());
        ProgressNoted { published, changes, ..ProgressNoted::default() }
    }

    fn checked(offset: i64, streams: &[(&str, u8)]) -> CheckedLane {
        CheckedLane {
            log: "log".to_owned(),
            partition: 0,
            offset,
            fronts: Fronts::new(false),
            streams: streams.iter().map(|(name, definition)| ((*name).to_owned(), hash(*definition))).collect(),
            incomplete: BTreeSet::new(),
        }
    }

    /// The offsets that are decided again, and per stream those that are compared.
    fn spans(planned: &Planned) -> (Range<i64>, &[Vec<Range<i64>>]) {
        (planned.span.from..planned.span.to, &planned.span.compared)
    }

    #[test]
    fn a_first_check_begins_where_the_streams_did_and_ends_at_what_is_published_and_archived() {
        let noted = noted(&[("a", 1, 80), ("b", 2, 70)], &[("a", 1, 10), ("b", 2, 20)]);
        let plan = planned(&archived(100), &streams(), None, Some(&noted));
        assert_eq!(spans(&plan), (10..70, [span(10, 70), span(20, 70)].as_slice()));
        assert!(!plan.span.follows && plan.span.left_out.is_none());
        let plan = planned(&archived(60), &streams(), None, Some(&noted));
        assert_eq!(spans(&plan).0, 10..60, "what is published is not archived yet");
    }

    #[test]
    fn the_next_check_goes_on_where_the_last_one_ended() {
        let noted = noted(&[("a", 1, 80), ("b", 2, 80)], &[("a", 1, 10), ("b", 2, 20)]);
        let before = checked(50, &[("a", 1), ("b", 2)]);
        let plan = planned(&archived(100), &streams(), Some(&before), Some(&noted));
        assert_eq!(spans(&plan), (50..80, [span(50, 80), span(50, 80)].as_slice()));
        assert!(plan.span.follows);
        assert_eq!(plan.streams.len(), 2);
        let plan = planned(&archived(50), &streams(), Some(&before), Some(&noted));
        assert_eq!(spans(&plan).0, 50..50, "nothing more is archived");
        assert!(plan.otherwise.is_none());
    }

    #[test]
    fn only_what_the_definition_has_decided_is_compared() {
        let noted = noted(&[("a", 1, 80), ("b", 2, 80)], &[("a", 1, 10), ("b", 9, 10), ("b", 2, 60)]);
        let before = checked(50, &[("a", 1), ("b", 9)]);
        let plan = planned(&archived(100), &streams(), Some(&before), Some(&noted));
        assert_eq!(spans(&plan), (50..80, [span(50, 80), span(60, 80)].as_slice()));
        let first = planned(&archived(100), &streams(), None, Some(&noted));
        assert_eq!(spans(&first), (10..80, [span(10, 80), span(60, 80)].as_slice()));
    }

    #[test]
    fn a_stream_that_is_written_by_another_definition_holds_nothing_up() {
        let noted = noted(&[("a", 1, 80), ("b", 9, 30)], &[("a", 1, 10), ("b", 9, 10)]);
        let plan = planned(&archived(100), &streams(), None, Some(&noted));
        assert_eq!(spans(&plan), (10..80, [span(10, 80), Vec::new()].as_slice()));
        assert_eq!(plan.streams.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_a_stream_decided_from_an_incomplete_past_is_left_out_and_so_is_what_follows_on_it() {
        let mut noted = noted(&[("a", 1, 80), ("b", 2, 80)], &[("a", 1, 10), ("b", 2, 10)]);
        noted.published.get_mut("b").expect("there").incomplete = true;
        let before = checked(50, &[("a", 1), ("b", 2)]);
        let b = || BTreeSet::from(["b".to_owned()]);
        let plan = planned(&archived(60), &streams(), Some(&before), Some(&noted));
        assert_eq!((plan.left_out, plan.incomplete, plan.span.left_out), (vec![false, true], b(), None));
        assert_eq!((plan.span.from, plan.span.to), (50, 60), "the other stream is checked");
        noted.published.get_mut("b").expect("there").incomplete = false;
        let before = CheckedLane { incomplete: b(), ..before };
        let plan = planned(&archived(100), &streams(), Some(&before), Some(&noted));
        assert_eq!((plan.left_out, plan.incomplete), (vec![false, true], BTreeSet::new()));
    }

    /// Killed inside of an offset, and changed then: offset 60 is written in part by the definition before.
    #[test]
    fn an_offset_that_two_definitions_share_is_decided_and_not_compared() {
        let mut noted = noted(&[("a", 3, 80), ("b", 4, 80)], &[("a", 1, 10), ("b", 2, 10), ("a", 3, 60), ("b", 4, 60)]);
        for changed in noted.changes.values_mut().filter(|changed| changed.offset == 60) {
            (changed.part, changed.fronts) = (true, Fronts::at(60));
        }
        let now = [("a".to_owned(), hash(3)), ("b".to_owned(), hash(4))];
        let plan = planned(&archived(100), &now, None, Some(&noted));
        // The fronts are those before offset 60, and what its record closed is closed behind it.
        assert_eq!(spans(&plan), (60..80, [span(61, 80), span(61, 80)].as_slice()));
        let Begin::At(fronts) = &plan.span.begin else { panic!("{:?}", plan.span.begin) };
        assert_eq!(fronts.front_us(), Some(60));
        let before = checked(50, &[("a", 1), ("b", 2)]);
        let plan = planned(&archived(100), &now, Some(&before), Some(&noted));
        assert_eq!(spans(&plan), (50..80, [span(61, 80), span(61, 80)].as_slice()));
        // Changed back within the same offset.
        for changed in noted.changes.values_mut().filter(|changed| changed.offset == 60) {
            changed.to = changed.to.clone().filter(|to| *to != hash(3)).or(Some(hash(1)));
        }
        noted.published.get_mut("a").expect("there").definition = hash(1);
        let plan = planned(&archived(100), &[("a".to_owned(), hash(1))], None, Some(&noted));
        assert_eq!(spans(&plan).1, [vec![10..60, 61..80]]);
    }

    #[test]
    fn what_was_not_declared_for_a_while_is_not_compared_then() {
        let mut noted = noted(&[("a", 1, 80), ("b", 2, 80)], &[("a", 1, 10), ("b", 2, 10), ("b", 2, 40), ("b", 2, 60)]);
        noted.changes.values_mut().filter(|changed| changed.offset == 40).for_each(|changed| changed.to = None);
        let plan = planned(&archived(100), &streams(), None, Some(&noted));
        assert_eq!(spans(&plan), (10..80, [span(10, 80), vec![10..40, 60..80]].as_slice()));
    }

    #[test]
    fn where_nothing_says_what_has_begun_the_next_check_begins_at_what_is_published() {
        let unknown = noted(&[("a", 1, 80), ("b", 2, 70)], &[]);
        let plan = planned(&archived(100), &streams(), None, Some(&unknown));
        assert_eq!((plan.span.left_out, plan.span.from, plan.span.to), (Some(NOT_BEGUN), 5, 70));
        assert_eq!(plan.otherwise.map(|(offset, _)| offset), Some(70));
    }

    #[test]
    fn of_another_log_nothing_is_published() {
        let mut other = noted(&[("a", 1, 80), ("b", 2, 70)], &[("a", 1, 10)]);
        other.published.values_mut().for_each(|published| published.log = "older".to_owned());
        for noted in [Some(&other), None] {
            let plan = planned(&archived(100), &streams(), None, noted);
            assert_eq!(spans(&plan).0, i64::MIN..i64::MIN);
            let plan = planned(&archived(100), &streams(), Some(&checked(50, &[])), noted);
            assert_eq!(spans(&plan).0, 50..50);
        }
        let ended = Archived { next: None, ..archived(0) };
        let noted = noted(&[("a", 1, 80), ("b", 2, 70)], &[("a", 1, 10)]);
        assert_eq!(spans(&planned(&ended, &streams(), None, Some(&noted))).0, i64::MIN..i64::MIN);
    }
}
