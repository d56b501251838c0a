//! What is erased of an archive leaves the table with its next version.

use platform::registry::Registry;
use platform::settings;
use storage::Schemas;

use super::super::*;
use super::bench::{Bench, sent};
use crate::erase::Condition;
use crate::erase::commits::TakingOut;

pub(super) async fn erase(bench: &mut Bench, condition: &str, invalid_with: Option<&str>) -> u64 {
    let source = bench.source().clone();
    let condition = Condition::parse(&source, condition, invalid_with).expect("a condition");
    let schemas = Schemas::new(&bench.storage, "users", &Registry::new(&settings::Registry::default()));
    TakingOut::new(&source, schemas, &condition, 9).run(&mut bench.archive).await.expect("erased").events
}

async fn rows(bench: &Bench, at: &AsOf) -> Vec<(String, i64)> {
    bench.read(at).await.into_iter().map(|(key, n, _)| (key, n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_materialised_before_an_erasure_is_made_anew() {
    let mut bench = Bench::new().await;
    bench
        .archived(&[sent(0, 0, 1, "u-1", Some(1)), sent(0, 1, 2, "u-2", Some(2)), sent(1, 0, 3, "u-1", Some(3))])
        .await;
    bench.materialised().await;
    assert_eq!(erase(&mut bench, "id = 'u-1'", None).await, 2);
    let others = [("u-2".to_owned(), 2)];
    assert_eq!(rows(&bench, &AsOf::Newest).await, others, "before it is materialised, too");
    assert!(bench.materialised().await.anew);
    assert_eq!(rows(&bench, &AsOf::Newest).await, others);
    assert!(!bench.materialised().await.anew, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_names_a_key_and_is_erased_with_the_invalid_records_that_hold_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 1, "u-1", Some(1)), sent(0, 1, 2, "u-1", None), sent(0, 2, 2, "u-2", None)]).await;
    bench.materialised().await;
    assert_eq!(bench.opened().await.note().map(|note| note.others()), Some(2));
    assert_eq!(erase(&mut bench, "id = 'u-1'", Some("u-1")).await, 2, "the row, and the delete");
    bench.materialised().await;
    assert!(rows(&bench, &AsOf::Newest).await.is_empty());
    assert_eq!(bench.opened().await.note().map(|note| note.others()), Some(1), "the delete of another key");
}
