//! Searches, and all documents of a slice (I5, I6).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use shared_logic::index::{SLICES, slice_of};
use storage::{BulkItem, Pace, SearchError};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, delete, far_away, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_was_refreshed() {
    let Some(fixture) = Fixture::new("found").await else { return };
    let (client, build) = (&fixture.client, &fixture.build);
    let items = [write("a", 3, r#"{"name":"Ada Lovelace","age":36}"#), write("b", 4, r#"{"name":"Alan","age":41}"#)];
    client.bulk(build, &items).await.expect("written");
    client.refresh(build).await.expect("refreshed");
    let body = json!({"query": {"match": {"name": "ada"}}, "version": true, "track_total_hits": true});
    let found = client.search(build, &body).await.expect("found");
    let (id, version, score, document) = &found.hits[0];
    assert_eq!((found.total, found.timed_out, found.hits.len()), (1, false, 1));
    assert_eq!((id.as_str(), *version, document), ("a", 3, &json!({"name": "Ada Lovelace", "age": 36})));
    assert!(score.is_some_and(|score| score > 0.0));
    let sorted = json!({"sort": [{"age": "desc"}], "size": 1, "track_total_hits": true});
    let found = client.search(build, &sorted).await.expect("found");
    assert_eq!((found.total, found.hits[0].0.as_str(), found.hits[0].2), (2, "b", None));
    let broken = client.search(build, &json!({"query": {"nothing": {}}})).await;
    assert!(matches!(broken, Err(SearchError::Refused { status: 400, .. })), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_have_all_documents_as_of_one_moment_byte_for_byte() {
    let Some(fixture) = Fixture::new("slices").await else { return };
    let (client, build, stop) = (&fixture.client, &fixture.build, CancellationToken::new());
    let document = |number: u32, id: &str| {
        // In an order, with numbers and letters, that a reader could write in another way.
        let score = f64::from(number) / 3.0;
        format!(r#"{{"score":{score:?},"name":"ä\"{number}","age":{number},"braid_slice":{}}}"#, slice_of(id))
    };
    let texts: BTreeMap<String, String> =
        (0..2_000).map(|number| (format!("u-{number}"), document(number, &format!("u-{number}")))).collect();
    let items: Vec<BulkItem> = texts.iter().map(|(id, text)| write(id, 1, text)).collect();
    let written = client.write_all(build, &items, &mut Pace::new(64 << 10), far_away(), &stop).await;
    written.expect("written");
    client.refresh(build).await.expect("refreshed");
    let mut scrolls = Vec::new();
    for slice in 0..SLICES {
        scrolls.push(client.scroll(build, slice, 10, Duration::ZERO).await.expect("begun"));
    }
    // What comes later is not in them.
    client.bulk(build, &[delete("u-7", 2), write("late", 1, &document(1, "late"))]).await.expect("written");
    client.refresh(build).await.expect("refreshed");
    let mut read = BTreeMap::new();
    for (slice, mut scroll) in (0..SLICES).zip(scrolls) {
        while !scroll.page.is_empty() {
            assert!(scroll.page.len() <= 10);
            for (id, source) in std::mem::take(&mut scroll.page) {
                assert_eq!(slice_of(&id), slice);
                let text = serde_json::to_string(&source).expect("JSON");
                assert_eq!(read.insert(id, text), None, "each comes once");
            }
            client.next_page(&mut scroll).await.expect("read");
        }
        client.end_scroll(scroll).await.expect("ended");
    }
    assert_eq!(read, texts);
    assert_eq!(client.count(build).await.expect("counted"), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scroll_that_the_server_has_let_go_is_no_end() {
    let Some(fixture) = Fixture::new("let-go").await else { return };
    let (client, build) = (&fixture.client, &fixture.build);
    let items: Vec<_> = (0..30).map(|number| write(&format!("u-{number}"), 1, r#"{"braid_slice":5}"#)).collect();
    client.bulk(build, &items).await.expect("written");
    client.refresh(build).await.expect("refreshed");
    let mut scroll = client.scroll(build, 5, 10, Duration::from_secs(600)).await.expect("begun");
    assert_eq!(scroll.page.len(), 10);
    fixture.request(reqwest::Method::DELETE, "_search/scroll", Some(json!({"scroll_id": [scroll.id]}))).await;
    let gone = client.next_page(&mut scroll).await;
    assert!(matches!(gone, Err(SearchError::Refused { status: 404, .. })), "{gone:?}");
    client.end_scroll(scroll).await.expect("it is gone anyway");
}
