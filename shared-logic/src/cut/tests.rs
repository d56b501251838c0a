use super::*;

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

fn rotated(pairs: &[(i32, i64)]) -> BTreeMap<PartitionId, i64> {
    pairs.iter().map(|(partition, offset)| (id(*partition), *offset)).collect()
}

#[test]
fn a_cut_never_falls() {
    let facts = archive(&[(0, 0, 100)]);
    let previous = offsets(&[(0, 50)]);
    // Redis was emptied or is older: its rotate says less than the view already holds.
    assert_eq!(plan(Some(&previous), &rotated(&[(0, 20)]), &facts), CutPlan::Ready(offsets(&[(0, 50)])));
    assert_eq!(plan(Some(&previous), &rotated(&[(0, 80)]), &facts), CutPlan::Ready(offsets(&[(0, 80)])));
    // Named once, named for ever: a look at the archive that does not know the partition is older than the view.
    let other = offsets(&[(0, 50), (7, 3)]);
    let waiting = CutPlan::Waiting(vec![Behind { partition: id(7), wanted: 3, archived: 0 }]);
    assert_eq!(plan(Some(&other), &rotated(&[]), &facts), waiting);
}

#[test]
fn a_missing_shard_takes_the_archives_next_offset() {
    assert_eq!(plan(None, &rotated(&[]), &archive(&[(0, 5, 9)])), CutPlan::Ready(offsets(&[(0, 9)])));
}

#[test]
fn a_cut_waits_for_the_archive() {
    let plan = plan(None, &rotated(&[(0, 120), (1, 1)]), &archive(&[(0, 0, 100), (1, 0, 1)]));
    assert_eq!(plan, CutPlan::Waiting(vec![Behind { partition: id(0), wanted: 120, archived: 100 }]));
}

#[test]
fn a_closed_log_is_cut_at_its_archived_end() {
    let mut facts = archive(&[(0, 0, 100)]);
    facts.see_end(&id(0), 130);
    facts.close("log");
    assert_eq!(facts.partition(&id(0)).map(|facts| facts.lost.len()), Some(1));
    assert_eq!(plan(None, &rotated(&[(0, 500)]), &facts), CutPlan::Ready(offsets(&[(0, 130)])));
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
