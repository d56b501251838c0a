use proptest::prelude::*;

use super::*;
use crate::schema::FieldType;
use crate::stream::Seen;
use crate::table::LogOrder;

const KINDS: [FieldType; 5] =
    [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp];

/// A field of each type, and the one that every table has.
fn fields() -> Vec<Field> {
    let named = KINDS.iter().enumerate().map(|(at, kind)| Field::new(&format!("f{at}"), *kind, true));
    named.chain([Field::new("changed_at", FieldType::Timestamp, false)]).collect()
}

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof!["[a-c\\x00ÿ]{0,5}", Just(String::new())].prop_map(|text| RowValue::Text(text.into()));
    let float = any::<f64>().prop_filter("numbers", |x| x.is_finite()).prop_map(|x| RowValue::Float(x + 0.0));
    (
        prop::option::of(text),
        prop::option::of(any::<i64>().prop_map(RowValue::Int)),
        prop::option::of(float),
        prop::option::of(any::<bool>().prop_map(RowValue::Bool)),
        prop::option::of(any::<i64>().prop_map(RowValue::Instant)),
    )
        .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

proptest! {
    #[test]
    fn a_change_is_read_as_it_is_written(offset in any::<i64>(), timestamp_us in any::<i64>(), row in prop::option::of(row())) {
        let change = HeldChange { offset, timestamp_us, row };
        let bytes = change.to_bytes();
        prop_assert_eq!(HeldChange::parse(&bytes, &fields()), Ok(change));
        for cut in 0..bytes.len() {
            prop_assert!(HeldChange::parse(&bytes[..cut], &fields()).is_err(), "cut at {}", cut);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(HeldChange::parse(&longer, &fields()).is_err());
    }

    #[test]
    fn bytes_that_are_no_change_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        // It reads a change or says no, and never panics.
        let _ = HeldChange::parse(&bytes, &fields());
    }
}

fn last(id: &PartitionId, cursor: i64, change: Option<(i64, i64, bool)>) -> LastChange<'_> {
    let change = change.map(|(offset, timestamp_us, has_row)| HeldChange {
        offset,
        timestamp_us,
        row: has_row.then(|| vec![Some(RowValue::Int(offset))]),
    });
    LastChange { id, cursor, change }
}

#[test]
fn a_row_names_the_partition_that_holds_its_key() {
    let logs = LogOrder::new(["a"]);
    let ids = [0, 1].map(|partition| PartitionId::new("a", partition));
    let lasts = [last(&ids[0], 10, None), last(&ids[1], 20, Some((7, 100, true)))];
    assert_eq!(found("k", &lasts, "a", &logs), (Some(1), Seen(vec![(ids[1].clone(), 20)])));
}

#[test]
fn where_a_key_has_moved_the_newest_change_decides_and_all_are_named() {
    let logs = LogOrder::new(["a"]);
    let ids = [0, 1].map(|partition| PartitionId::new("a", partition));
    let lasts = [last(&ids[0], 10, Some((9, 300, true))), last(&ids[1], 20, Some((7, 200, true)))];
    let (decides, seen) = found("k", &lasts, "a", &logs);
    assert_eq!((decides, seen.to_string().as_str()), (Some(0), "a/0/10,a/1/20"));
    let deleted = [last(&ids[0], 10, Some((9, 300, true))), last(&ids[1], 20, Some((7, 400, false)))];
    assert_eq!(found("k", &deleted, "a", &logs).0, Some(1), "a delete is a change");
}

#[test]
fn a_key_that_was_never_changed_names_the_partition_that_it_would_be_in() {
    let logs = LogOrder::new(["b", "a"]);
    let ids: Vec<PartitionId> = (0..4).map(|partition| PartitionId::new("a", partition)).collect();
    let other = PartitionId::new("b", 0);
    let lasts: Vec<LastChange<'_>> =
        std::iter::once(last(&other, 5, None)).chain(ids.iter().map(|id| last(id, 10, None))).collect();
    let (decides, seen) = found("abc", &lasts, "a", &logs);
    let own = 479_470_107 % 4;
    assert_eq!((decides, seen), (None, Seen(vec![(PartitionId::new("a", own), 10)])));
}

#[test]
fn of_a_partition_that_lost_its_tail_the_incarnation_that_goes_on_is_named() {
    let ids = ["a", "a.1"].map(|log| PartitionId::new(log, 0));
    let lasts = [last(&ids[0], 10, None), last(&ids[1], 7, None)];
    assert_eq!(found("k", &lasts, "a", &LogOrder::default()).1.to_string(), "a.1/0/7");
}

#[test]
fn rows_are_replaced_only_by_who_knows_them() {
    let (one, other) = (Instance::new(1), Instance::new(2));
    let basis: Basis = "00000000000000aa.2".parse().expect("a basis");
    assert_eq!((basis.erasures, basis.to_string().as_str()), (2, "00000000000000aa.2"));
    assert!(basis.is_without_erased(0) && basis.is_without_erased(2));
    assert!(!basis.is_without_erased(3), "something was erased since");
    let held = Held { cursor: 5, instance: one, basis, witness: None };
    let rows = Slot::Rows(held.clone());
    assert_eq!(rows.begin(None, other), Err(rows.clone()));
    assert_eq!(rows.begin(Some(one), other), Ok(Slot::Filling(other)));
    assert_eq!(Slot::Filling(one).begin(None, other), Ok(Slot::Filling(other)), "the last one to begin fills");
    assert_eq!(Slot::Filling(other).fill(one, one), Err(Slot::Filling(other)));
    assert_eq!(Slot::Filling(one).fill(one, other), Ok(Slot::Filling(other)), "the next step needs this one");
    assert_eq!(Slot::Filling(other).open(held.clone()), Err(Slot::Filling(other)));
    assert_eq!(Slot::Filling(one).open(held.clone()), Ok(rows.clone()));
    let to = |offset| Position { offset, witness: None };
    let moved = Held { cursor: 9, ..held.clone() };
    assert_eq!(rows.apply(&held, to(9)), Ok(Slot::Rows(moved.clone())));
    assert_eq!(rows.apply(&moved, to(12)), Err(rows.clone()), "it is elsewhere");
    assert_eq!(rows.apply(&held, to(4)), Err(rows.clone()), "a cursor never falls");
    assert_eq!(Slot::Missing.apply(&held, to(9)), Err(Slot::Missing));
}
