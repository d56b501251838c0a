//! Changes of other formats and keys, through the archive.

use super::super::*;
use super::bench::{Bench, CATALOG, sent};

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_debezium_leave_the_rows_of_the_database() {
    let catalog = CATALOG
        .replace("key = \"id\"", "key = \"id\"\nformat = \"debezium\"")
        .replace("id = \"string\"", "id = \"int\"");
    let mut bench = Bench::of(&catalog).await;
    let change = |offset: i64, key: &str, payload: Option<&str>| {
        let key = format!(r#"{{"schema":{{}},"payload":{{"id":{key}}}}}"#);
        (sent(0, offset, offset, &key, None), payload.map(str::to_owned))
    };
    let changes = [
        change(0, "10", Some(r#"{"op":"r","before":null,"after":{"id":10,"name":"a","n":1}}"#)),
        change(1, "9", Some(r#"{"schema":{},"payload":{"op":"c","after":{"id":9,"n":2}}}"#)),
        change(2, "10", Some(r#"{"op":"u","before":{"id":10},"after":{"id":10,"name":"b","n":3}}"#)),
        change(3, "8", Some(r#"{"op":"c","after":{"id":8,"n":4}}"#)),
        change(4, "8", Some(r#"{"op":"d","before":{"id":8,"n":4},"after":null}"#)),
        change(5, "8", None),
        // Neither a change of a row, nor one of the row of its key.
        change(6, "9", Some(r#"{"op":"t","before":null}"#)),
        change(7, "9", Some(r#"{"op":"u","after":{"id":10,"n":5}}"#)),
    ];
    let changes: Vec<_> = changes.iter().map(|(sent, payload)| (sent, payload.clone())).collect();
    bench.archived_as(&changes).await;
    let done = bench.materialised().await;
    assert_eq!((done.rows, done.next.iter().map(|(_, next)| next).collect::<Vec<_>>()), (2, vec![8]));
    let rows = as_of(&bench.storage, &bench.catalog, bench.table(), &AsOf::Newest).await.expect("read").rows;
    let integers =
        |name: &str| rows.column(name).expect("declared").i64().expect("integers").iter().collect::<Vec<_>>();
    // By the number, and not by its digits.
    assert_eq!((integers("id"), integers("n")), (vec![Some(9), Some(10)], vec![Some(2), Some(3)]));
    let rejects = &bench.archive.facts().rejects;
    let counts: Vec<(&str, u64)> = rejects.iter().map(|(reason, rejects)| (reason.name(), rejects.count)).collect();
    assert_eq!(counts, [("not_change", 1), ("wrong_key", 1)], "deletes are no rejects");
}

/// A connector that has lost its place reads all rows again. Compaction may have left of a delete nothing but its tombstone.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_read_again_and_tombstones_alone_leave_the_rows_of_the_database() {
    let catalog = CATALOG.replace("key = \"id\"", "key = \"id\"\nformat = \"debezium\"");
    let mut bench = Bench::of(&catalog).await;
    let change = |(partition, offset): (i32, i64), hour: i64, key: &str, payload: Option<&str>| {
        let key = format!(r#"{{"id":"{key}"}}"#);
        (sent(partition, offset, hour, &key, None), payload.map(str::to_owned))
    };
    let read = |key: &str, n: i64| Some(format!(r#"{{"op":"r","before":null,"after":{{"id":"{key}","n":{n}}}}}"#));
    let first = [
        change((0, 0), 1, "a", read("a", 1).as_deref()),
        change((0, 1), 1, "b", read("b", 1).as_deref()),
        change((0, 2), 1, "c", read("c", 1).as_deref()),
        change((0, 3), 2, "b", Some(r#"{"op":"d","before":{"id":"b","n":1},"after":null}"#)),
        change((0, 4), 2, "b", None),
        // Its delete is gone.
        change((0, 6), 3, "c", None),
        // The topic has grown, and keys have moved.
        change((1, 0), 4, "a", Some(r#"{"op":"u","before":{"id":"a","n":1},"after":{"id":"a","n":2}}"#)),
    ];
    let again = [
        change((1, 1), 5, "a", read("a", 2).as_deref()),
        change((1, 2), 5, "d", read("d", 4).as_deref()),
        change((1, 3), 6, "d", Some(r#"{"op":"d","before":{"id":"d","n":4},"after":null}"#)),
        change((0, 7), 6, "c", Some(r#"{"op":"c","before":null,"after":{"id":"c","n":3}}"#)),
    ];
    for (changes, expected) in [(&first[..], vec![("a", 2)]), (&again[..], vec![("a", 2), ("c", 3)])] {
        let changes: Vec<_> = changes.iter().map(|(sent, payload)| (sent, payload.clone())).collect();
        bench.archived_as(&changes).await;
        bench.materialised().await;
        let rows = bench.read(&AsOf::Newest).await;
        let rows: Vec<(&str, i64)> = rows.iter().map(|(key, n, _)| (key.as_str(), *n)).collect();
        assert_eq!(rows, expected);
    }
    assert!(bench.archive.facts().rejects.is_empty(), "none of them is a reject");
}
