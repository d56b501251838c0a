//! When a table is made anew, what it refuses, and what of its files goes.

use super::super::*;
use super::bench::{Bench, CATALOG, sent};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_read_and_a_run_without_changes_writes_no_rows() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1)), sent(0, 1, 2, "u-2", Some(2))]).await;
    let first = bench.materialised().await;
    assert_eq!((first.rows, first.rows_read, first.written, first.anew), (2, 2, 2, true));
    bench.archived(&[sent(0, 2, 3, "u-1", None)]).await;
    let second = bench.materialised().await;
    assert_eq!((second.rows, second.rows_read, second.written, second.anew), (1, 1, 1, false));
    let third = bench.materialised().await;
    assert_eq!((third.rows, third.rows_read, third.written), (1, 0, 0));
    assert_eq!(third.version, second.version.map(|version| version + 1), "its commit says when it ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_definition_is_made_anew() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1)), sent(0, 1, 2, "u-2", None)]).await;
    bench.materialised().await;
    let changed = CATALOG.replace("n = \"int?\"", "n = \"int?\"\nm = { type = \"int?\", path = \"n\" }");
    let changed = shared_logic::catalog::Catalog::parse(&changed).expect("a valid catalog");
    let table = &changed.tables["users"];
    // Whoever asks by the new definition does not get rows of the old one.
    let rows = as_of(&bench.storage, &changed, table, &AsOf::Newest).await.expect("read").rows;
    assert_eq!(rows.column("m").expect("declared").i64().expect("integers").get(0), Some(1));
    let done = materialise(&bench.storage, &changed, table).await.expect("materialised");
    assert_eq!((done.rows, done.anew), (1, true));
    assert!(bench.opened().await.columns().expect("read").contains("m"));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_are_not_archived_are_refused() {
    let mut bench = Bench::new().await;
    let at = |partition, offset| AsOf::Offsets([(PartitionId::new("first", partition), offset)].into());
    let refused = async |bench: &Bench, at: AsOf| {
        let read = as_of(&bench.storage, &bench.catalog, bench.table(), &at).await;
        matches!(read, Err(TableError::NotArchived { .. }))
    };
    assert!(refused(&bench, at(0, 1)).await && !refused(&bench, at(0, 0)).await);
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1))]).await;
    assert!(!refused(&bench, at(0, 1)).await && refused(&bench, at(0, 2)).await && refused(&bench, at(1, 1)).await);
    assert!(bench.read(&at(0, 0)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_which_nothing_was_archived_has_no_rows() {
    let bench = Bench::new().await;
    assert!(bench.read(&AsOf::Newest).await.is_empty());
    assert_eq!(bench.materialised().await.rows, 0);
    assert!(bench.read(&AsOf::Time(0)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lay_beside_older_versions_is_kept_for_their_readers() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 1, "u-1", None)]).await;
    bench.materialised().await;
    let mut reader = bench.opened().await;
    let older = reader.note().expect("noted").clone();
    bench.archived(&[sent(0, 1, 2, "u-2", None)]).await;
    bench.materialised().await;
    tidy_up(&bench.storage, "users", 1).await.expect("tidied up");
    let newest = bench.opened().await;
    let note = newest.note().expect("noted");
    assert_eq!(note.others(), 2);
    let path = &older.others[&0].path;
    assert!(note.superseded.contains_key(path), "{note:?}");
    let columns = shape::Shape::of(bench.source()).change_columns();
    let others: Vec<_> = older.others.values().cloned().collect();
    assert!(newest.read_others(&others, &columns).await.is_ok(), "it is still there");
    // Once its readers have ended, no note names it.
    let later_us = note.committed_at_us + i64::try_from(storage::ORPHAN_AGE.as_micros()).expect("an hour") + 1;
    assert!(!newest.superseded(&note.others, later_us).contains_key(path));
    assert!(newest.has_unused_of_before(i64::MAX).await.expect("listed"), "the older version's files");
    assert!(reader.refresh().await.expect("read"));
}
