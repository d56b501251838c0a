//! Which rows stand in which day, and when they are taken.

use polars::prelude::DataFrame;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{ERROR, OFFSET};
use shared_logic::time::DAY_US;
use test_kit::{Dice, catalogs, first_seed};

use super::*;

fn source() -> Source {
    Catalog::parse(catalogs::TINY).expect("a valid catalog").sources["s"].clone()
}

/// Adds an event of that day. Its payload has 32 bytes.
fn push(rows: &mut RecordRows, decoder: &mut Decoder, day: i64, offset: i64) {
    let payload = format!(r#"{{"at": {:>14}, "k": "a"}}"#, day * DAY_US / 1_000);
    let payload = Some(payload.as_bytes());
    let record = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
    assert_eq!(rows.push(record, decoder), None);
}

fn offsets(rows: &DataFrame) -> Vec<i64> {
    rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten().collect()
}

/// Whoever counts rejects counts what is returned.
#[test]
fn a_mark_has_a_row_and_is_no_reject() {
    let catalog = "[sources.s]\nevent_time = \"at\"\nfields = { at = \"timestamp\", k = \"string\" }\n\
                   [streams.re_keyed]\nfrom = \"s\"\nkey = \"k\"\n";
    let catalog = Catalog::parse(catalog).expect("a valid catalog");
    for (source, text) in [("re_keyed", None), ("s", Some("empty"))] {
        let source = &catalog.sources[source];
        let mut rows = RecordRows::new(source, "L");
        let record =
            Incoming { partition: 0, offset: 0, timestamp_us: Some(0), key: None, payload: None, headers: None };
        let rejected = rows.push(record, &mut Decoder::new(source));
        assert_eq!(rejected.map(|(_, text)| text).as_deref(), text);
        let days = rows.into_days(None).expect("rows");
        let errors = days[0].1.column(ERROR).expect("a column").str().expect("texts").get(0);
        assert_eq!(errors, Some(text.unwrap_or("mark")));
    }
}

#[test]
fn each_row_stands_in_its_day_in_the_order_of_its_arrival() {
    let source = source();
    let (mut rows, mut decoder) = (RecordRows::new(&source, "log"), Decoder::new(&source));
    for (day, offset) in [5, 5, 7, 7, 7, 5, 6, 5, 5].into_iter().zip(0..) {
        push(&mut rows, &mut decoder, day, offset);
    }
    let days = rows.into_days(None).expect("rows").into_iter().map(|(day, rows)| (day, offsets(&rows)));
    let expected: [(i64, &[i64]); 3] = [(5, &[0, 1, 5, 7, 8]), (6, &[6]), (7, &[2, 3, 4])];
    assert_eq!(days.collect::<Vec<_>>(), expected.map(|(day, offsets)| (format_day(day), offsets.to_vec())));
}

#[test]
fn rows_are_taken_once_they_are_enough_and_none_is_lost_whatever_is_held() {
    let (source, mut dice) = (source(), Dice::new(first_seed()));
    for _ in 0..200 {
        let (mut rows, mut decoder) = (RecordRows::new(&source, "log"), Decoder::new(&source));
        let bound =
            |dice: &mut Dice| Extent { rows: dice.between(1, 20) as usize, bytes: dice.between(1, 900) as usize };
        let (group, held) = (bound(&mut dice), bound(&mut dice));
        let (mut sent, mut taken) = (BTreeMap::<i64, Vec<i64>>::new(), BTreeMap::<i64, Vec<i64>>::new());
        for offset in 0..dice.between(0, 100) {
            let day = dice.between(1, 6);
            push(&mut rows, &mut decoder, day, offset);
            sent.entry(day).or_default().push(offset);
            if let Some(rows) = rows.take_group(group, held) {
                assert!(rows.len() > 0);
                taken.entry(rows.day()).or_default().extend(offsets(&rows.into_frame(None).expect("rows")));
            }
            let of_day = &rows.days[&day];
            assert!(!group.is_reached_by(of_day.len(), of_day.bytes()), "{group:?}: {} rows", of_day.len());
            assert!(!held.is_reached_by(rows.rows, rows.bytes), "{held:?}: {} rows", rows.rows);
        }
        for rest in rows.into_rest() {
            taken.entry(rest.day()).or_default().extend(offsets(&rest.into_frame(None).expect("rows")));
        }
        assert_eq!(taken, sent);
    }
}
