//! Records of tables are rows and deletes, of the same users as the clicks.

use std::collections::BTreeSet;

use super::*;

fn users(seed: u64, count: usize) -> Vec<Sample> {
    samples(&shipped(), "users", &mix(), seed, count)
}

#[test]
fn every_key_gets_a_row_and_some_are_deleted() {
    let catalog = shipped();
    let mut generator =
        Generator::new(&catalog, &catalog.sources["users"], &Mix { broken: 0.0, ..mix() }, 3).expect("a valid mix");
    let keys = mix().keys as usize;
    let first: BTreeSet<Vec<u8>> = (0..keys).map(|_| generator.sample(NOW_US).key).collect();
    assert_eq!(first.len(), keys, "each key comes once before one comes again");
    (0..5_000).for_each(|_| drop(generator.sample(NOW_US)));
    let tally = generator.tally();
    assert!((60..160).contains(&tally.deletes), "{tally}");
    assert_eq!((tally.late, tally.copies, tally.broken), (0, 0, 0), "{tally}");
    assert_eq!(tally.fresh + tally.deletes, 5_000 + keys as u64);
}

#[test]
fn rows_change_but_not_who_they_are_of() {
    let row = |sample: &Sample| -> Option<Value> { serde_json::from_slice(sample.payload.as_deref()?).ok() };
    let rows: Vec<Value> = users(5, 3_000).iter().filter(|sample| sample.row.is_some()).filter_map(row).collect();
    let of_first: Vec<&Value> = rows.iter().filter(|row| row["user_id"] == "user-1").collect();
    let told = |name: &str| of_first.iter().map(|row| row[name].to_string()).collect::<BTreeSet<String>>();
    assert!(of_first.len() > 100, "{of_first:?}");
    assert_eq!((told("name").len(), told("plan").len()), (1, 3), "{of_first:?}");
    assert!(rows.iter().all(|row| row.get("changed_at").is_none()), "it is the record's own timestamp");
}

#[test]
fn the_clicks_are_of_the_same_users_and_of_many_pages() {
    let (users, clicks) = (users(5, 5_000), samples(&shipped(), "clicks", &mix(), 5, 5_000));
    let keys = |samples: &[Sample]| -> BTreeSet<Vec<u8>> {
        samples.iter().filter(|sample| sample.row.is_some()).map(|sample| sample.key.clone()).collect()
    };
    assert_eq!(keys(&users), keys(&clicks));
    let pages = clicks.iter().filter(|sample| sample.key == b"user-1").filter_map(|sample| {
        let click: Value = serde_json::from_slice(sample.payload.as_deref()?).ok()?;
        click["url"].as_str().map(str::to_owned)
    });
    assert!(pages.collect::<BTreeSet<String>>().len() > 10);
}

#[test]
fn deletes_are_no_rejects() {
    let catalog = shipped();
    let mut expected = Expected::new(&catalog, &catalog.sources["users"]);
    let samples = users(7, 2_000);
    samples.iter().for_each(|sample| expected.observe(sample));
    let counted = |is: fn(Kind) -> bool| samples.iter().filter(|sample| is(sample.kind)).count() as i64;
    let (deletes, broken) = (counted(|kind| kind == Kind::Delete), counted(|kind| matches!(kind, Kind::Broken(_))));
    let expected = expected.to_json();
    assert_eq!((int(&expected, "deletes"), int(&expected, "rejected")), (deletes, broken), "{expected}");
    assert!(deletes > 0 && broken > 0);
}
