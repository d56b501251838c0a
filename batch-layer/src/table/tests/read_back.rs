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
