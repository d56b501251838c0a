//! What becomes of documents (I1, I3).

use std::time::Instant;

use shared_logic::contracts::index::writes;
use storage::{BulkOutcome, NotWritten, Pace, SearchError};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, delete, far_away, of_bytes, write};

const OLD: &str = r#"{"name":"old"}"#;
const NEW: &str = r#"{"name":"new"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_changes_nothing_after_a_delete_either() {
    let Some(fixture) = Fixture::new("versions").await else { return };
    let became = async |item| {
        let outcomes = fixture.client.bulk(&fixture.build, &[item]).await.expect("answered");
        outcomes.into_iter().next().expect("one")
    };
    let (done, newer) = (BulkOutcome::Done, BulkOutcome::Newer);
    assert_eq!(became(write("a", 0, OLD)).await, done, "a row of the begin");
    assert_eq!(became(write("a", 0, NEW)).await, newer);
    assert_eq!(became(write("a", 6, NEW)).await, done);
    for version in [6, 5, 0] {
        assert_eq!(became(write("a", version, OLD)).await, newer, "{version}");
    }
    assert_eq!(became(delete("a", 6)).await, newer);
    assert_eq!(fixture.count().await, 1);
    assert_eq!(became(delete("a", 7)).await, done);
    for item in [write("a", 7, OLD), write("a", 6, OLD), delete("a", 7)] {
        assert_eq!(became(item.clone()).await, newer, "{item:?}");
    }
    // Where nothing was there, the delete is remembered all the same.
    assert_eq!(became(delete("b", 9)).await, done);
    assert_eq!(became(write("b", 8, OLD)).await, newer);
    assert_eq!(fixture.count().await, 0);
    assert_eq!(became(write("b", 10, NEW)).await, done);
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_document_is_taken_or_refused_for_itself() {
    let Some(fixture) = Fixture::new("outcomes").await else { return };
    let items = [
        write("good", 1, NEW),
        write("no-number", 1, r#"{"age":"many"}"#),
        write("no-field", 1, r#"{"colour":"red"}"#),
        write(&"x".repeat(513), 1, NEW),
        write("", 1, NEW),
        delete("not-there", 1),
        write(&"x".repeat(512), 1, NEW),
        write("a/b ?#\"\n", 1, NEW),
    ];
    let outcomes = fixture.client.bulk(&fixture.build, &items).await.expect("answered");
    assert_eq!(outcomes.len(), items.len());
    for at in [0, 5, 6, 7] {
        assert_eq!(outcomes[at], BulkOutcome::Done, "{:?}", items[at]);
    }
    let reason = |at: usize| match &outcomes[at] {
        BulkOutcome::Refused(reason) => reason.clone(),
        other => panic!("{:?}: {other:?}", items[at]),
    };
    assert!(reason(1).contains("age") && reason(1).contains("many"), "{}", reason(1));
    assert!(reason(2).contains("colour"), "{}", reason(2));
    assert!(reason(3).contains("512 bytes"), "{}", reason(3));
    assert!(reason(4).contains("not empty"), "{}", reason(4));
    assert_eq!(fixture.count().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_written_in_requests_of_bounded_size() {
    let Some(fixture) = Fixture::new("requests").await else { return };
    let mut items: Vec<_> = (0..200).map(|number| of_bytes(&format!("u-{number}"), 1_000)).collect();
    items[17].document = Some(b"{\"age\":\"many\"}".to_vec());
    items[150].document = Some(b"{\"age\":\"more\"}".to_vec());
    let (mut pace, stop) = (Pace::new(20 << 10), CancellationToken::new());
    let mut all = async || fixture.client.write_all(&fixture.build, &items, &mut pace, far_away(), &stop).await;
    let written = all().await.expect("written");
    let places: Vec<usize> = written.refused.iter().map(|(at, _)| *at).collect();
    assert_eq!((places.as_slice(), written.newer), (&[17, 150][..], 0));
    assert_eq!(fixture.count().await, 198);
    let again = all().await.expect("written");
    assert_eq!((again.refused.len(), again.newer), (2, 198));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_an_index_that_is_gone() {
    let Some(fixture) = Fixture::new("gone").await else { return };
    let (client, build, stop) = (&fixture.client, &fixture.build, CancellationToken::new());
    client.delete_index(build).await.expect("deleted");
    let items = [write("a", 1, NEW), delete("b", 1)];
    let outcomes = client.bulk(build, &items).await.expect("answered");
    assert_eq!(outcomes, [BulkOutcome::NoIndex, BulkOutcome::NoIndex]);
    // A server by itself creates an index for a delete.
    assert_eq!(client.bulk(build, &items[1..]).await.expect("answered"), [BulkOutcome::NoIndex]);
    assert_eq!(client.index(&writes(build)).await.expect("answered"), None);
    let written = client.write_all(build, &items, &mut Pace::new(1 << 20), far_away(), &stop).await;
    assert!(matches!(written, Err(NotWritten::NoIndex { .. })), "{written:?}");
    assert_eq!(client.index(build).await.expect("answered"), None, "no write creates it");
    for answer in [client.refresh(build).await, client.count(build).await.map(drop)] {
        assert!(matches!(&answer, Err(SearchError::NoIndex { index, .. }) if index == build), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_is_too_old_or_is_to_stop() {
    let Some(fixture) = Fixture::new("too-old").await else { return };
    let (client, build, stop) = (&fixture.client, &fixture.build, CancellationToken::new());
    let items = [write("a", 1, NEW)];
    let written = client.write_all(build, &items, &mut Pace::new(1 << 20), Instant::now(), &stop).await;
    assert!(matches!(written, Err(NotWritten::TooOld { .. })), "{written:?}");
    stop.cancel();
    let written = client.write_all(build, &items, &mut Pace::new(1 << 20), far_away(), &stop).await;
    assert!(matches!(written, Err(NotWritten::Stopped)), "{written:?}");
    assert_eq!(fixture.count().await, 0);
}
