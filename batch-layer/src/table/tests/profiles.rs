//! Profiles as a nightly report joins them: those of the end of its day, whatever has happened to them before and since.

use super::super::*;
use super::bench::{Bench, DAY_US, Sent, sent};

/// How many of them belong to the day.
const OF_DAY: usize = 15;

/// What happens to profiles. The topic gains its second partition in the afternoon, and some users move there.
fn changes() -> [Sent; 19] {
    [
        sent(0, 0, 0, "u-1", Some(1)),
        sent(0, 1, 1, "u-2", Some(2)),
        sent(0, 2, 2, "u-3", Some(3)),
        sent(0, 3, 3, "u-4", Some(4)),
        sent(0, 4, 4, "u-5", Some(5)),
        sent(0, 5, 5, "u-6", Some(6)),
        sent(0, 6, 9, "u-1", Some(11)),
        // One is deleted, one is deleted and comes back, and one was never there.
        sent(0, 7, 10, "u-2", None),
        sent(0, 8, 11, "u-3", None),
        sent(0, 9, 12, "u-7", None),
        sent(0, 10, 13, "u-3", Some(33)),
        // Of the two that move, one is deleted where it is now.
        sent(1, 0, 14, "u-5", Some(55)),
        sent(1, 1, 15, "u-6", None),
        sent(1, 2, 16, "u-8", Some(8)),
        sent(0, 11, 20, "u-1", Some(111)),
        // The day is over.
        sent(0, 12, 25, "u-1", Some(1_111)),
        sent(0, 13, 26, "u-4", None),
        sent(1, 3, 27, "u-6", Some(66)),
        sent(1, 4, 28, "u-5", None),
    ]
}

async fn rows(bench: &Bench, at: &AsOf) -> Vec<(String, i64)> {
    bench.read(at).await.into_iter().map(|(key, n, _)| (key, n)).collect()
}

fn held(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_those_of_the_days_end_whenever_the_table_was_materialised() {
    let at_its_end = held(&[("u-1", 111), ("u-3", 33), ("u-4", 4), ("u-5", 55), ("u-8", 8)]);
    let newest = held(&[("u-1", 1_111), ("u-3", 33), ("u-6", 66), ("u-8", 8)]);
    let (changes, end) = (changes(), AsOf::Time(2 * DAY_US));
    // In the morning, before and after the topic grew, at the day's end, and later.
    for materialised_at in [6, 11, 13, OF_DAY, changes.len()] {
        let mut bench = Bench::new().await;
        bench.archived(&changes[..materialised_at]).await;
        bench.materialised().await;
        if materialised_at == OF_DAY {
            assert_eq!(rows(&bench, &AsOf::Newest).await, at_its_end);
            assert_eq!(rows(&bench, &end).await, at_its_end, "nothing has come since");
        }
        if materialised_at < changes.len() {
            bench.archived(&changes[materialised_at..]).await;
        }
        assert_eq!(rows(&bench, &end).await, at_its_end, "materialised at {materialised_at}");
        assert!(!bench.materialised().await.anew);
        assert_eq!(rows(&bench, &AsOf::Newest).await, newest, "materialised at {materialised_at}");
        assert_eq!(rows(&bench, &end).await, at_its_end, "materialised at {materialised_at} and now");
    }
}
