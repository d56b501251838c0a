//! For what a table is materialised without waiting for its schedule.

use shared_logic::catalog::Catalog;

use super::super::wanted::Wanted;
use super::bench::{Bench, CATALOG, sent};
use super::erased::erase;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_wanted_once_for_what_rows_wait_for() {
    let mut bench = Bench::new().await;
    let mut wanted = Wanted::new(&bench.storage, &bench.catalog, bench.table());
    assert!(!wanted.is_now().await.expect("read"), "nothing is archived");
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1)), sent(0, 1, 2, "u-2", Some(2))]).await;
    assert!(wanted.is_now().await.expect("read"), "it was never materialised");
    assert!(!wanted.is_now().await.expect("read"), "that was said");
    bench.materialised().await;
    assert!(!wanted.is_now().await.expect("read"));
    bench.archived(&[sent(0, 2, 3, "u-1", None)]).await;
    assert!(!wanted.is_now().await.expect("read"), "more changes wait for the schedule");
    bench.archived(&[sent(1, 0, 3, "u-3", Some(3))]).await;
    assert!(wanted.is_now().await.expect("read"), "a partition was added");
    bench.materialised().await;
    assert!(!wanted.is_now().await.expect("read"));
    erase(&mut bench, "id = 'u-2'", None).await;
    assert!(wanted.is_now().await.expect("read"), "a change was erased");
    bench.materialised().await;
    assert!(!wanted.is_now().await.expect("read"));
}

/// Otherwise two versions of a deployment would make it anew in turn, as often as it is looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_definition_waits_for_the_schedule() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1))]).await;
    bench.materialised().await;
    bench.archived(&[sent(1, 0, 3, "u-3", Some(3))]).await;
    let changed = CATALOG.replace("n = \"int?\"", "n = \"int?\"\nm = { type = \"int?\", path = \"n\" }");
    let changed = Catalog::parse(&changed).expect("a valid catalog");
    let mut wanted = Wanted::new(&bench.storage, &changed, &changed.tables["users"]);
    assert!(!wanted.is_now().await.expect("read"));
}
