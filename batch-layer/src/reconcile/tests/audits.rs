//! What an audit finds: a wrong row of a view, with the records that make its number, and nothing where the view is right.

use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::measure::Value;
use shared_logic::time::TimeRange;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, Record, id, planted};
use crate::audit::{Audit, Fate, Question, Seen, audit};

/// Audits a key of the bench's metric, over all times.
pub(super) async fn audited(bench: &Bench, key: KeyPart) -> Audit {
    let Reconciler { storage, catalog, .. } = &bench.reconciler;
    let question = Question { key: vec![key], times: TimeRange::ALL };
    audit(&Settings::default(), storage, catalog, bench.metric(), &question, &Progress::default())
        .await
        .expect("audited")
}

/// The key whose `k` is that text.
pub(super) fn key(text: &str) -> KeyPart {
    KeyPart::Value(KeyValue::Text(text.to_owned()))
}

fn seen(offset: i64, fate: Fate) -> Seen {
    Seen { log: id().log, partition: id().partition, offset, fate }
}

fn copy_of(offset: i64) -> Fate {
    Fate::CopyOf { log: id().log, partition: id().partition, offset }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_found_and_the_records_that_make_the_number_are_named() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1, 70]).await;
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    let right = audited(&bench, key("a")).await;
    assert!(right.differences.is_empty(), "{right:?}");
    assert_eq!((right.version, right.buckets, right.events, right.without_bytes), (1, 2, 4, 0));

    planted(&bench, 0).await;
    for key in [key("a"), KeyPart::All] {
        let wrong = audited(&bench, key).await;
        let [difference] = wrong.differences.as_slice() else { panic!("{wrong:?}") };
        assert_eq!(difference.bucket_us, 0);
        let measures = difference.measures.iter().map(|of| (of.name.as_str(), of.view.clone(), of.records.clone()));
        let (three, two) = (Value::Int(3), Value::Int(2));
        assert_eq!(
            measures.collect::<Vec<_>>(),
            [("events", three.clone(), two.clone()), ("total", three.clone(), two.clone())]
        );
        assert_eq!(difference.seen, [seen(0, Fate::Counted), seen(1, Fate::Counted), seen(2, copy_of(0))]);
    }
    assert!(audited(&bench, key("b")).await.differences.is_empty(), "another key");
    assert!(audited(&bench, KeyPart::Missing).await.differences.is_empty(), "another key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_missing_is_found_in_a_bucket_without_rows() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 70]).await;
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    let mut view = bench.view().await;
    let files = view.files().await.expect("listed");
    view.commit(view.begin("TAKE OUT").removing(files), None).await.expect("committed");
    let wrong = audited(&bench, key("a")).await;
    let buckets: Vec<i64> = wrong.differences.iter().map(|difference| difference.bucket_us).collect();
    assert_eq!(buckets, [0, 3_600_000_000]);
    assert_eq!((wrong.differences[1].seen.as_slice(), wrong.buckets), ([seen(1, Fate::Counted)].as_slice(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_event_of_another_key_is_left_out_and_so_is_what_the_condition_does_not_accept() {
    let catalog = CATALOG.replace("by = [", "where = \"n >= 0\"\nby = [");
    let mut bench = Bench::of(&catalog, Settings::default(), &[id()]).await;
    let event = |of: i64, k: &'static str, n: i64| Event { house: "h", id: of, at_ms: 60_000, k: Some(k), n };
    let events = [event(1, "b", 1), event(1, "a", 1), event(2, "a", -1), event(3, "a", 1)];
    let records = (0..).zip(events).map(|(offset, event)| Record { id: id(), offset, event: Some(event) });
    bench.archive_these(&id().log, &records.collect::<Vec<_>>()).await;
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    let right = audited(&bench, key("a")).await;
    assert!(right.differences.is_empty(), "{right:?}");
    assert_eq!(right.events, 3);
    planted(&bench, 0).await;
    let wrong = audited(&bench, key("a")).await;
    let expected = [seen(1, copy_of(0)), seen(2, Fate::LeftOutByWhere), seen(3, Fate::Counted)];
    assert_eq!(wrong.differences[0].seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_above_the_cut_is_not_looked_at() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3, 4]).await;
    bench.reconcile(&mut bench.view().await, 2).await.expect("it is the only one");
    let right = audited(&bench, KeyPart::All).await;
    assert!(right.differences.is_empty(), "{right:?}");
    assert_eq!((right.events, right.cut.get(&id())), (2, Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_buckets_of_the_times_are_looked_at() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 70, 2 * 1_440]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    planted(&bench, 0).await;
    let Reconciler { storage, catalog, .. } = &bench.reconciler;
    let of = async |from_us: i64, to_us: i64| {
        let question = Question { key: vec![KeyPart::All], times: TimeRange { from_us, to_us } };
        let found = audit(&Settings::default(), storage, catalog, bench.metric(), &question, &Progress::default())
            .await
            .expect("audited");
        (found.events, found.differences.len())
    };
    assert_eq!(of(0, 1).await, (1, 1), "widened to a bucket");
    assert_eq!(of(1_800_000_000, 7_200_000_000).await, (1, 0));
    assert_eq!(of(7_200_000_000, i64::MAX / 4).await, (1, 0));
}
