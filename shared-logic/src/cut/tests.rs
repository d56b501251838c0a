use super::*;
use crate::contracts::speed_view::Instance;
use crate::log::Content;

fn id(partition: i32) -> PartitionId {
    PartitionId::new("log", partition)
}

fn archive(nexts: &[(i32, i64, i64)]) -> Facts {
    let mut facts = Facts::default();
    for (partition, begin, next) in nexts {
        facts.begin(&id(*partition), *begin);
        assert!(facts.advance(&id(*partition), *begin, *next));
    }
    facts
}

fn offsets(pairs: &[(i32, i64)]) -> Offsets {
    pairs.iter().map(|(partition, offset)| (id(*partition), *offset)).collect()
}

fn rotated(slices: &[(i32, &[i64])]) -> Rotated {
    slices.iter().map(|(partition, begins)| (id(*partition), begins.to_vec())).collect()
}

/// The cut of partition 0, archived `[begin, next)`, whose shard has those slices.
fn cut(previous: Option<i64>, slices: &[i64], (begin, next): (i64, i64)) -> Option<i64> {
    let previous = previous.map(|previous| offsets(&[(0, previous)]));
    match plan(previous.as_ref(), &rotated(&[(0, slices)]), &archive(&[(0, begin, next)])) {
        CutPlan::Ready(cut) => cut.get(&id(0)),
        CutPlan::Waiting(_) => None,
    }
}

#[test]
fn a_cut_never_falls() {
    // Redis was emptied or is older: its slices begin below what the view already holds.
    assert_eq!(cut(Some(50), &[0, 20], (0, 100)), Some(50));
    assert_eq!(cut(Some(50), &[0, 20, 80], (0, 100)), Some(80));
    // Named once, named for ever: a look at the archive that does not know the partition is older than the view.
    let facts = archive(&[(0, 0, 100)]);
    let other = offsets(&[(0, 50), (7, 3)]);
    let waiting = CutPlan::Waiting(vec![Behind { partition: id(7), wanted: 3, archived: 0 }]);
    assert_eq!(plan(Some(&other), &rotated(&[]), &facts), waiting);
}

#[test]
fn facts_that_are_older_than_the_view_are_waited_for() {
    let previous = offsets(&[(0, 120)]);
    let mut facts = archive(&[(0, 0, 100)]);
    let waiting = CutPlan::Waiting(vec![Behind { partition: id(0), wanted: 120, archived: 100 }]);
    for slices in [rotated(&[]), rotated(&[(0, &[0, 90])]), rotated(&[(0, &[120, 150])])] {
        assert_eq!(plan(Some(&previous), &slices, &facts), waiting, "{slices:?}");
    }
    facts.close("log");
    assert_eq!(plan(Some(&previous), &rotated(&[]), &facts), waiting, "a closed log's cut does not fall either");
}

#[test]
fn a_missing_shard_takes_the_archives_next_offset() {
    assert_eq!(plan(None, &rotated(&[]), &archive(&[(0, 5, 9)])), CutPlan::Ready(offsets(&[(0, 9)])));
    let previous = offsets(&[(0, 7)]);
    assert_eq!(plan(Some(&previous), &rotated(&[]), &archive(&[(0, 5, 9)])), CutPlan::Ready(offsets(&[(0, 9)])));
}

#[test]
fn a_cut_is_the_last_slice_that_the_archive_covers() {
    assert_eq!(cut(Some(20), &[20, 50, 80, 120], (0, 120)), Some(120), "a slice that begins at the archived end");
    assert_eq!(cut(Some(20), &[20, 50, 80, 120], (0, 119)), Some(80), "the archive lags");
    assert_eq!(cut(None, &[20, 50, 80, 120], (0, 60)), Some(50), "there is no view yet");
}

#[test]
fn a_cut_stays_where_the_archive_covers_no_slice() {
    assert_eq!(cut(Some(20), &[20, 120], (0, 100)), Some(20), "only the slice that begins at the cut");
    assert_eq!(cut(Some(20), &[120], (0, 100)), Some(20));
    assert_eq!(cut(None, &[120], (5, 100)), Some(5), "no view yet: where the archive begins the partition");
}

#[test]
fn a_slice_below_the_previous_cut_is_not_taken() {
    assert_eq!(cut(Some(50), &[0, 49, 120], (0, 100)), Some(50));
    assert_eq!(cut(None, &[0, 4, 120], (5, 100)), Some(5), "nor one below the archive's begin");
}

#[test]
fn a_reconcile_waits_for_the_last_slice_of_each_shard() {
    let mut facts = archive(&[(0, 0, 100), (1, 0, 1), (2, 0, 7)]);
    let slices = rotated(&[(0, &[0, 50, 120]), (1, &[0, 1])]);
    assert_eq!(behind(&slices, &facts), [Behind { partition: id(0), wanted: 120, archived: 100 }]);
    assert!(facts.advance(&id(0), 100, 120));
    assert_eq!(behind(&slices, &facts), [], "and for no partition without a shard");
    let beyond = rotated(&[(0, &[0, 500])]);
    assert_eq!(behind(&beyond, &facts).len(), 1);
    facts.close("log");
    assert_eq!(behind(&beyond, &facts), [], "nothing more is archived of a closed log");
}

#[test]
fn a_closed_log_is_cut_at_its_archived_end() {
    let mut facts = archive(&[(0, 0, 100)]);
    facts.see_end(&id(0), 130);
    facts.close("log");
    assert_eq!(facts.partition(&id(0)).map(|facts| facts.lost.len()), Some(1));
    assert_eq!(plan(None, &rotated(&[(0, &[0, 90, 500])]), &facts), CutPlan::Ready(offsets(&[(0, 130)])));
}

#[test]
fn a_shard_opens_at_the_smallest_cut_else_at_the_begin_else_not() {
    let facts = archive(&[(0, 5, 100)]);
    let (a, b) = (offsets(&[(0, 40)]), offsets(&[(0, 30)]));
    assert_eq!(opening([&a, &b].into_iter(), &id(0), &facts), Some(30));
    assert_eq!(opening([].into_iter(), &id(0), &facts), Some(5));
    assert_eq!(opening([].into_iter(), &id(1), &facts), None);
}

#[test]
fn only_what_every_naming_view_holds_may_be_dropped() {
    let a = offsets(&[(0, 40)]);
    let b = offsets(&[(0, 30), (1, 2)]);
    assert_eq!(droppable([&a, &b].into_iter(), &id(0)), Some(30));
    assert_eq!(droppable([&a, &b].into_iter(), &id(1)), Some(2));
    assert_eq!(droppable([&a].into_iter(), &id(1)), None);
}

#[test]
fn an_incarnation_that_lost_its_tail_is_cut_at_its_archived_end() {
    let mut facts = archive(&[(0, 0, 100)]);
    let next = facts.lose_tail(&id(0), 60, None).expect("it goes on");
    let slices = rotated(&[(0, &[0, 50, 500])]);
    assert_eq!(behind(&slices, &facts), []);
    let mut expected = offsets(&[(0, 100)]);
    expected.set(next, 60);
    assert_eq!(plan(None, &slices, &facts), CutPlan::Ready(expected.clone()));
    assert_eq!(deletable("v1", std::slice::from_ref(&expected), &facts), []);
    facts.settle_truncated(&id(0), Some((100, 500)));
    assert_eq!(deletable("v1", &[expected], &facts), [(id(0), i64::MAX)], "however far its shard had counted");
}

#[test]
fn what_a_truncated_shard_counted_is_lost_from_its_last_archived_position_on() {
    let content = Content { timestamp_us: None, key: None, payload: None, headers: None };
    let witness = |offset| Witness::of(offset, None, &content);
    let shard = Shard {
        cursor: 90,
        slices: vec![20, 50],
        definitions: BTreeMap::new(),
        instance: Instance::new(1),
        witnesses: vec![None, Some(witness(49)), Some(witness(89))],
        truncated: Some(70),
    };
    assert_eq!(lost_with_tail(&shard, |_| true), None, "another incarnation holds it");
    assert_eq!(lost_with_tail(&shard, |witness| witness.offset < 50), Some((50, 90)));
    assert_eq!(lost_with_tail(&shard, |_| false), Some((20, 90)));
    let empty = Shard { cursor: 20, slices: vec![20], witnesses: vec![None, None], ..shard };
    assert_eq!(lost_with_tail(&empty, |_| false), None, "it counted nothing");
}
