//! The invalid records of an archive, by the catalog's rules and by others.

use shared_logic::rejection::Reason;
use shared_logic::time::TimeRange;

use super::super::*;
use super::bench::{Bench, CATALOG, Event, Record, id};
use crate::rejected::{Filter, RecordLook, Verdict};

const ALL: Filter = Filter { reason: None, times: TimeRange::ALL, limit: 10 };

/// Two events, and invalid records before, between and after them.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    let event = |of: i64| Some(Event { house: "h", id: of, at_ms: of * 60_000, k: None, n: 5 });
    let events = [None, event(1), None, event(2), None];
    let records = (0..).zip(events).map(|(offset, event)| Record { id: id(), offset, event });
    bench.archive_these(&id().log, &records.collect::<Vec<_>>()).await;
    bench
}

fn look<'a>(bench: &'a Bench, source: &'a Source) -> RecordLook<'a> {
    RecordLook::new(&Settings::default(), &bench.reconciler.storage, &bench.archive, source)
}

/// The source with another type of a field, so that all of its events are invalid.
fn stricter() -> Source {
    let text = CATALOG.replace("n = \"int\"", "n = \"bool\"").replace("total = \"sum(n)\"", "");
    Catalog::parse(&text).expect("a valid catalog").sources["s"].clone()
}

/// The offsets and errors of the newest, and how many there are.
async fn listed(look: &RecordLook<'_>, filter: &Filter) -> (Vec<(i64, String)>, u64) {
    let found = look.rejections(filter, &crate::Progress::default()).await.expect("read");
    (found.newest.into_iter().map(|rejection| (rejection.offset, rejection.error)).collect(), found.total)
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_records_are_listed_the_newest_first() {
    let bench = bench().await;
    let look = look(&bench, bench.source());
    let not_json = |offset: i64| (offset, "not_json".to_owned());
    assert_eq!(listed(&look, &ALL).await, (vec![not_json(4), not_json(2), not_json(0)], 3));
    let two = Filter { limit: 2, reason: Some(Reason::NotJson), ..ALL };
    assert_eq!(listed(&look, &two).await, (vec![not_json(4), not_json(2)], 3));
    let other = Filter { reason: Some(Reason::WrongType), ..ALL };
    assert_eq!(listed(&look, &other).await, (Vec::new(), 0));
    let later = Filter { times: TimeRange { from_us: 1, ..TimeRange::ALL }, ..ALL };
    assert_eq!(listed(&look, &later).await, (Vec::new(), 0), "records without a timestamp lie at its zero");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_catalog_has_verdicts_of_its_own() {
    let (bench, stricter) = (bench().await, stricter());
    let (own, other) = (look(&bench, bench.source()), look(&bench, &stricter));
    let filter = Filter { reason: Some(Reason::WrongType), ..ALL };
    let expected = vec![(3, "wrong_type:n".to_owned()), (1, "wrong_type:n".to_owned())];
    assert_eq!(listed(&other, &filter).await, (expected, 2));

    let record = own.record(&id(), 3).await.expect("read").expect("archived");
    assert_eq!((record.offset, record.error.as_deref(), record.has_bytes), (3, None, true));
    assert!(record.payload.as_deref().is_some_and(|payload| payload.starts_with(b"{\"house\"")), "{record:?}");
    let Verdict::Event(fields) = own.verdict(&record).await.expect("decoded") else { panic!("it is an event") };
    let fields = serde_json::Value::Object(fields);
    let event = serde_json::json!({"house": "h", "id": 2, "at": "1970-01-01T00:02:00Z", "k": null, "n": 5});
    assert_eq!(fields, event);
    assert_eq!(other.verdict(&record).await.expect("decoded"), Verdict::Rejected("wrong_type:n".to_owned()));

    let invalid = other.record(&id(), 2).await.expect("read").expect("archived");
    assert_eq!((invalid.error.as_deref(), invalid.payload.as_deref()), (Some("not_json"), Some(&b"no event"[..])));
    assert_eq!(own.record(&id(), 5).await.expect("read"), None, "it is not archived");
}
