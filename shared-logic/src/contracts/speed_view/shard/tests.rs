//! What each step keeps, beside what it changes.

use super::*;
use crate::log::Content;

fn hash(n: u8) -> DefinitionHash {
    format!("{n:016x}").parse().expect("16 digits")
}

fn shard(cursor: i64, slices: &[i64], definitions: &[(u8, i64)]) -> Shard {
    let definitions = definitions.iter().map(|(definition, since)| (hash(*definition), *since)).collect();
    let (slices, witnesses) = (slices.to_vec(), vec![None; slices.len() + 1]);
    Shard { cursor, slices, definitions, instance: Instance::new(7), witnesses, truncated: None }
}

#[test]
fn what_was_counted_goes_on_when_definitions_are_adopted() {
    let before = shard(30, &[0, 20], &[(1, 0), (2, 5)]);
    let after = Shard::adopt(Some(&before), &[hash(3), hash(2)]);
    assert_eq!(after, Ok(shard(30, &[0, 20], &[(2, 5), (3, 30)])));
    assert_eq!(
        Shard::adopt(after.as_ref().ok(), &[hash(1)]),
        Ok(shard(30, &[0, 20], &[(1, 30)])),
        "it was interrupted"
    );
    assert!(before.counts(&[hash(2), hash(1)]) && before.counts(&[hash(1), hash(2), hash(1)]));
    assert!(!before.counts(&[hash(1)]) && !before.counts(&[hash(1), hash(2), hash(3)]) && !before.counts(&[]));
}

#[test]
fn a_rotate_opens_one_slice_at_the_cursor() {
    let before = shard(30, &[0, 20], &[]);
    let after = shard(30, &[0, 20, 30], &[]);
    assert_eq!(Shard::rotate(Some(&before), 3), Ok((after.clone(), 30)));
    assert_eq!(Shard::rotate(Some(&after), 9), Ok((after, 30)), "twice is once");
    assert_eq!(Shard::rotate(Some(&before), 2), Ok((before.clone(), 20)), "too many slices: the last begin");
    assert_eq!(Shard::rotate(None, 9), Err(Refusal::Missing));
}

#[test]
fn a_drop_takes_what_ends_below_the_cut_and_never_the_last() {
    let before = shard(30, &[0, 10, 20], &[]);
    let left = |cut: i64| Shard::drop_below(Some(&before), cut).map(|(shard, dropped)| (shard.slices, dropped));
    assert_eq!(left(9), Ok((vec![0, 10, 20], vec![])));
    assert_eq!(left(10), Ok((vec![10, 20], vec![0])));
    assert_eq!(left(19), Ok((vec![10, 20], vec![0])));
    assert_eq!(left(1_000), Ok((vec![20], vec![0, 10])));
}

#[test]
fn a_shard_that_counted_beyond_the_archived_end_is_not_deleted() {
    let shard = shard(7, &[3], &[]);
    assert_eq!(Shard::delete(Some(&shard), 7), Ok(shard.clone()));
    assert_eq!(Shard::delete(Some(&shard), 6), Err(Refusal::Differs(shard)));
    assert_eq!(Shard::delete(None, 7), Err(Refusal::Missing));
}

#[test]
fn a_shard_that_was_opened_again_at_the_same_offset_is_another_one() {
    let (first, second) = (Instance::new(1), Instance::new(2));
    let opened = Shard::open(None, 5_i64, &[hash(1)], first).expect("there is none");
    assert_eq!(
        Shard::open(Some(&opened), 5_i64, &[hash(1)], first),
        Err(Refusal::Differs(opened.clone())),
        "twice is once"
    );
    let again = Shard::open(None, 5_i64, &[hash(1)], second).expect("it was deleted");
    let expected = opened.expected();
    assert_eq!(Shard::apply(Some(&again), &expected, 9_i64), Err(Refusal::Differs(again.clone())));
    let counted = Shard::apply(Some(&again), &again.expected(), 9_i64).expect("as expected");
    assert_eq!(counted.instance, second);
    let reopened = Shard::reopen(Some(&counted), 9, 20, &[hash(1)], first).expect("as expected");
    assert_eq!((reopened.instance, reopened.slices), (first, vec![20]));
}

fn position(offset: i64, payload: &[u8]) -> Position {
    let content = Content { timestamp_us: None, key: None, payload: Some(payload), headers: None };
    Position { offset, witness: Some(Witness::of(offset - 1, None, &content)) }
}

#[test]
fn each_position_keeps_the_record_before_it() {
    let opened = Shard::open(None, position(5, b"a"), &[hash(1)], Instance::new(1)).expect("there is none");
    let counted = Shard::apply(Some(&opened), &opened.expected(), position(9, b"b")).expect("as expected");
    let (rotated, _) = Shard::rotate(Some(&counted), 9).expect("a shard");
    let moved = Shard::apply(Some(&rotated), &rotated.expected(), position(12, b"c")).expect("as expected");
    let kept: Vec<Position> = moved.positions().collect();
    assert_eq!(kept, [position(5, b"a"), position(9, b"b"), position(12, b"c")]);
    let (dropped, _) = Shard::drop_below(Some(&moved), 9).expect("a shard");
    assert_eq!(dropped.positions().collect::<Vec<_>>(), kept[1..]);

    let other = Expected { witness: position(12, b"x").witness, ..moved.expected() };
    assert_eq!(Shard::apply(Some(&moved), &other, 20_i64), Err(Refusal::Differs(moved)), "another record lies there");
}

#[test]
fn a_truncated_shard_counts_nothing_more() {
    let shard = shard(30, &[0, 20], &[(1, 0)]);
    assert_eq!(Shard::mark(Some(&shard), Instance::new(8), 9), Err(Refusal::Differs(shard.clone())));
    let marked = Shard::mark(Some(&shard), shard.instance, 25).expect("its instance");
    assert_eq!(marked.truncated, Some(25));
    assert_eq!(Shard::mark(Some(&marked), shard.instance, 9), Ok(marked.clone()), "the first mark stays");
    assert_eq!(Shard::apply(Some(&marked), &marked.expected(), 31_i64), Err(Refusal::Differs(marked.clone())));
    let reopened = Shard::reopen(Some(&marked), 30, 40, &[hash(1)], Instance::new(9));
    assert_eq!(reopened, Err(Refusal::Differs(marked)));
}
