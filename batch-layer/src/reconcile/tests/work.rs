//! The work of a reconcile follows the new events, not the history that they touch, and its memory has a limit.

use platform::settings::Size;
use shared_logic::log::PartitionId;

use super::super::*;
use super::bench::{A_DAY, Bench, CATALOG, Event, Record, id, recount};

const DAYS: i64 = 60;
/// Of each day that are archived before.
const EVENTS: i64 = 40;

/// The ids of some events of that day; other events for another `from`.
fn of_day(day: i64, from: i64, count: i64) -> impl Iterator<Item = i64> {
    (from..from + count).map(move |minute| day * A_DAY + minute)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_follows_the_new_events_and_not_the_sixty_days_that_they_touch() {
    let mut bench = Bench::new().await;
    let history: Vec<i64> = (0..DAYS).flat_map(|day| of_day(day, 0, EVENTS)).collect();
    bench.archived(&history).await;
    let history = history.len() as i64;
    bench.reconcile(&mut bench.view().await, history).await.expect("it is the only one");
    let mut view = bench.view().await;
    let first = bench.reconcile(&mut view, history).await.expect("it is the only one");
    assert_eq!(first.work.rows_read, history as u64, "the index of identities is made once");

    // 1 % are new, each of another day, and a fifth of these are copies.
    let new: Vec<i64> = (0..24).map(|n| 2 * n * A_DAY + if n % 5 == 0 { 7 } else { 700 }).collect();
    bench.archived(&new).await;
    let next = history + new.len() as i64;
    let Changed { work, rows, days, .. } = bench.reconcile(&mut view, next).await.expect("it is the only one");
    assert_eq!((work.added, work.looked_up, work.recomputed), (19, 24, 0));
    // Each of them once, and of the index what it says of the copies.
    assert!(work.rows_read <= 24 + 6, "{} rows were read for 24 new ones", work.rows_read);
    assert_eq!((rows, days), (19, 19), "a row of each day is added, and nothing is written again");
    assert_eq!(bench.read().await.2, history + 19);
    let idle = bench.reconcile(&mut view, next).await.expect("it is the only one");
    assert_eq!(idle.work, Work { rows_read: 24, ..Work::default() }, "now the index names them, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recomputed_hour_is_read_without_the_rest_of_its_day() {
    let partitions = [0, 1].map(|partition| PartitionId::new("log", partition));
    let mut bench = Bench::of(CATALOG, Settings::default(), &partitions).await;
    let record = |partition: usize, offset: i64, minute: i64| {
        let event = Event { house: "h", id: minute, at_ms: minute * 60_000, k: Some("a"), n: 1 };
        Record { id: partitions[partition].clone(), offset, event: Some(event) }
    };
    // An archive commit for each hour, as time passes.
    for hour in 0..24 {
        let records: Vec<Record> = (0..60).map(|minute| record(1, hour * 60 + minute, hour * 60 + minute)).collect();
        bench.archive_these("log", &records).await;
    }
    let reconciled = async |bench: &Bench| {
        let mut view = bench.view().await;
        let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
        let changed = bench.reconciler.commit(bench.metric(), &mut view, plan, done).await.expect("committed");
        changed.expect("it is the only one").work
    };
    reconciled(&bench).await;
    reconciled(&bench).await;
    // A copy that comes before the counted one, of the eleventh hour.
    bench.archive_these("log", &[record(0, 0, 10 * 60 + 7)]).await;
    let work = reconciled(&bench).await;
    assert_eq!(work.recomputed, 1);
    assert!(work.rows_read < 120, "{} rows were read to count 61", work.rows_read);
    assert_eq!(bench.rows_of(&bench.view().await).await.values().map(|row| row.0).sum::<i64>(), 24 * 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_memory_for_a_few_rows_a_view_is_the_same() {
    let mut seen = Vec::new();
    for rows in [3, 1_000_000] {
        let memory = Size::from_bytes(rows * ROW_BYTES);
        let reconcile = settings::Reconcile { memory, ..settings::Reconcile::default() };
        let mut bench = Bench::with(Settings { reconcile, ..Settings::default() }, &[id()]).await;
        let ids: Vec<i64> = (0..3).flat_map(|day| of_day(day, 0, 100)).collect();
        let mut next = 0;
        for ids in [&ids[..], &ids[50..90], &[5, 5, 500, 501, 502, 503, 700]] {
            bench.archived(ids).await;
            next += ids.len() as i64;
            let view = &mut bench.view().await;
            bench.reconcile(view, next).await.expect("it is the only one");
            let files = view.files().await.expect("listed");
            let most = files.iter().map(|file| file.rows).max();
            assert!(rows > 3 || most <= Some(6), "at most about three rows are written at a time: {most:?}");
        }
        assert_eq!(bench.read().await.2, 305);
        seen.push(bench.rows_of(&bench.view().await).await);
    }
    assert_eq!(seen[0], seen[1]);
}
