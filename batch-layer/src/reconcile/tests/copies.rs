//! What becomes of new events whose copies lie in other files, partitions and logs: added, left out, or their hour recomputed.

use shared_logic::log::PartitionId;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, Record, recount};

/// In the order of copies.
const LOGS: [&str; 2] = ["z", "a"];
const HOUR_MS: i64 = 3_600_000;

fn partitions() -> [PartitionId; 4] {
    [(LOGS[0], 0), (LOGS[0], 1), (LOGS[1], 0), (LOGS[1], 1)].map(|(log, partition)| PartitionId::new(log, partition))
}

/// A copy of the event of that id, which happened in that hour, and what this copy says.
fn event(id: i64, hour: i64, n: i64) -> Option<Event> {
    Some(Event { house: "h", id, at_ms: hour * HOUR_MS, k: Some("a"), n })
}

/// Archives such a copy as the next record of the partition with that number.
async fn archived(bench: &mut Bench, partition: usize, event: Option<Event>) {
    let id = partitions()[partition].clone();
    let record = Record { offset: bench.next(&id), id, event };
    bench.archive_these(&record.id.log.clone(), &[record]).await;
}

/// Reconciles everything, and returns what that took, and the number and sum of events.
async fn reconciled(bench: &Bench) -> (Work, (i64, i128)) {
    let mut view = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    let changed = bench.reconciler.commit(bench.metric(), &mut view, plan, done).await.expect("committed");
    let rows = bench.rows_of(&view).await;
    let sum = rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    (changed.expect("it is the only one").work, sum)
}

/// A bench whose view counts one event, archived in the partition with that number.
async fn with_one(catalog: &str, partition: usize, n: i64) -> Bench {
    let mut bench = Bench::of(catalog, Settings::default(), &partitions()).await;
    archived(&mut bench, partition, event(1, 5, n)).await;
    // So that the other partitions of the day and its other hours are there.
    archived(&mut bench, 3, event(9, 7, 100)).await;
    assert_eq!(reconciled(&bench).await.1, (2, i128::from(n) + 100));
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_behind_a_counted_one_is_left_out_wherever_it_lies() {
    for (older, newer) in [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3), (2, 3)] {
        let mut bench = with_one(CATALOG, older, 1).await;
        archived(&mut bench, newer, event(1, 5, 7)).await;
        let (work, sum) = reconciled(&bench).await;
        assert_eq!(sum, (2, 101), "a copy in {newer}, behind one in {older}");
        assert_eq!((work.added, work.looked_up, work.recomputed), (0, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_before_a_counted_one_takes_its_place_and_the_hour_is_recomputed() {
    for (older, newer) in [(1, 0), (2, 0), (2, 1), (3, 0), (3, 2)] {
        let mut bench = with_one(CATALOG, older, 1).await;
        archived(&mut bench, newer, event(1, 5, 7)).await;
        // Another event of that hour, and one of another hour of the day.
        archived(&mut bench, newer, event(2, 5, 20)).await;
        archived(&mut bench, newer, event(3, 6, 30)).await;
        let (work, sum) = reconciled(&bench).await;
        assert_eq!(sum, (4, 157), "a copy in {newer}, before one in {older}");
        assert_eq!((work.looked_up, work.recomputed), (3, 1));
        // They enter the index, and nothing else happens.
        let indexed = Work { rows_read: 3, ..Work::default() };
        assert_eq!(reconciled(&bench).await, (indexed, (4, 157)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_new_copies_the_first_counts_in_whatever_file_it_lies() {
    let mut bench = with_one(CATALOG, 0, 1).await;
    for (partition, n) in [(3, 1_000), (1, 10), (2, 100), (1, 2_000)] {
        archived(&mut bench, partition, event(2, 6, n)).await;
    }
    let (work, sum) = reconciled(&bench).await;
    assert_eq!(sum, (3, 111));
    assert_eq!((work.added, work.looked_up, work.recomputed), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_first_copy_the_condition_refuses_is_not_counted_by_another_copy() {
    let catalog = CATALOG.replace("by = [", "where = \"n > 0\"\nby = [");
    let mut bench = Bench::of(&catalog, Settings::default(), &partitions()).await;
    archived(&mut bench, 1, event(1, 5, -1)).await;
    assert_eq!(reconciled(&bench).await.1, (0, 0));
    archived(&mut bench, 1, event(1, 5, 7)).await;
    assert_eq!(reconciled(&bench).await.1, (0, 0), "the first copy stands, and the condition refuses it");
    archived(&mut bench, 0, event(1, 5, 9)).await;
    let (work, sum) = reconciled(&bench).await;
    assert_eq!((sum, work.recomputed), ((1, 9), 1), "now another one is the first");
    archived(&mut bench, 0, event(2, 5, -1)).await;
    archived(&mut bench, 1, event(2, 5, 5)).await;
    assert_eq!(reconciled(&bench).await.1, (1, 9), "the same among new copies");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_an_id_are_always_added() {
    let catalog = CATALOG.replace("event_id = [\"house\", \"id\"]\n", "");
    let mut bench = with_one(&catalog, 1, 1).await;
    for partition in [1, 0, 2] {
        archived(&mut bench, partition, event(1, 5, 7)).await;
    }
    let (work, sum) = reconciled(&bench).await;
    assert_eq!(sum, (5, 122));
    assert_eq!(work, Work { rows_read: 3, added: 3, ..Work::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_left_64_bits_comes_back_with_a_later_event() {
    let mut bench = with_one(CATALOG, 0, i64::MAX - 100).await;
    archived(&mut bench, 0, event(2, 5, i64::MAX)).await;
    archived(&mut bench, 0, event(3, 5, i64::MAX)).await;
    assert_eq!(reconciled(&bench).await.1, (4, 3 * i128::from(i64::MAX)));
    for id in 4..9 {
        archived(&mut bench, 0, event(id, 5, i64::MIN)).await;
        reconciled(&bench).await;
    }
    assert_eq!(reconciled(&bench).await.1, (9, -2 * i128::from(i64::MAX) - 5));
}
