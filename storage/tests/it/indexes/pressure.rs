//! A server that is full, away, or takes less (I3).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared_logic::contracts::index::Refused;
use storage::{BulkItem, BulkOutcome, NotWritten, Pace, StatePut, Written};
use test_kit::Search;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, body, client, far_away, of_bytes, recovered};

/// How long a write is seen to wait.
const WAITS: Duration = Duration::from_millis(700);

fn in_background(fixture: &Fixture, items: Vec<BulkItem>) -> JoinHandle<Result<Written, NotWritten>> {
    let (client, build) = (fixture.client.clone(), fixture.build.clone());
    tokio::spawn(async move {
        let stop = CancellationToken::new();
        client.write_all(&build, &items, &mut Pace::new(1 << 20), far_away(), &stop).await
    })
}

fn some(number: usize) -> Vec<BulkItem> {
    (0..number).map(|number| of_bytes(&format!("u-{number}"), 100)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_waited_for_and_nothing_is_dropped() {
    let Some(fixture) = Fixture::new("blocked").await else { return };
    // What the server does itself when the disk is nearly full, and what an operator may do.
    for (round, block) in ["index.blocks.read_only_allow_delete", "index.blocks.write"].into_iter().enumerate() {
        fixture.put_settings(&fixture.build, json!({block: true})).await;
        let items: Vec<_> = (0..50).map(|number| of_bytes(&format!("{round}-{number}"), 100)).collect();
        let outcomes = fixture.client.bulk(&fixture.build, &items).await.expect("answered");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, BulkOutcome::Later(_))), "{outcomes:?}");
        let writing = in_background(&fixture, items);
        tokio::time::sleep(WAITS).await;
        assert!(!writing.is_finished(), "{block}");
        fixture.put_settings(&fixture.build, json!({block: null})).await;
        assert_eq!(writing.await.expect("no panic").expect("written"), Written::default());
        assert_eq!(fixture.count().await, 50 * (round as u64 + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_index_is_waited_for() {
    let Some(fixture) = Fixture::new("closed").await else { return };
    fixture.request(reqwest::Method::POST, &format!("{}/_close", fixture.build), None).await;
    let writing = in_background(&fixture, some(3));
    tokio::time::sleep(WAITS).await;
    assert!(!writing.is_finished());
    fixture.request(reqwest::Method::POST, &format!("{}/_open", fixture.build), None).await;
    assert_eq!(writing.await.expect("no panic").expect("written"), Written::default());
    assert_eq!(fixture.count().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_keeps_what_it_has_acknowledged_and_gets_the_rest() {
    let Some(mut server) = Search::start("killed").await.expect("opensearch starts") else { return };
    let client = client(&server.url(), "killed");
    let build = "braid.killed.users.1";
    client.create_index(build, &body()).await.expect("created");
    let stop = CancellationToken::new();
    let first = client.write_all(build, &some(100), &mut Pace::new(1 << 20), far_away(), &stop).await;
    assert_eq!(first.expect("written"), Written::default());
    server.kill();
    let down = client.bulk(build, &some(1)).await.expect_err("it is away");
    assert!(down.is_back_pressure(), "{down}");
    let (again, items) = (client.clone(), some(200));
    let writing = tokio::spawn(async move {
        let stop = CancellationToken::new();
        again.write_all(build, &items, &mut Pace::new(1 << 20), far_away(), &stop).await
    });
    tokio::time::sleep(WAITS).await;
    assert!(!writing.is_finished());
    server.restart().await.expect("it starts again");
    let written = writing.await.expect("no panic").expect("written");
    assert_eq!(written, Written { newer: 100, refused: Vec::new() }, "what was acknowledged is there");
    recovered(&client, build).await;
    assert_eq!(client.count(build).await.expect("counted"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_become_as_small_as_the_server_wants_them() {
    let limit = ["http.max_content_length=20kb"];
    let Some(server) = Search::start_with("too-large", &limit).await.expect("opensearch starts") else { return };
    let fixture = Fixture::on(Arc::new(server), "too-large").await;
    let (client, stop) = (&fixture.client, CancellationToken::new());
    let mut items: Vec<_> = (0..60).map(|number| of_bytes(&format!("u-{number}"), 1_000)).collect();
    items.insert(30, of_bytes("huge", 30_000));
    let written = client.write_all(&fixture.build, &items, &mut Pace::new(1 << 20), far_away(), &stop).await;
    let written = written.expect("written");
    assert!(matches!(written.refused.as_slice(), [(30, why)] if why.contains("413")), "{written:?}");
    assert_eq!((fixture.count().await, written.newer), (60, 0));

    // It cannot be kept as a whole either; that it was refused can.
    let stored = client.state("users").await.expect("read");
    assert_eq!(client.put_state("users", &stored, &stored.state).await.expect("put"), StatePut::Done);
    let refused = |id: &str, document: String| Refused {
        id: id.to_owned(),
        log: "log".to_owned(),
        partition: 0,
        offset: 6,
        version: 7,
        document,
        reason: "why".to_owned(),
        at_us: 0,
    };
    let kept = [refused("huge", "x".repeat(30_000)), refused("small", "y".repeat(15_000))];
    client.keep_refused("users", 1, &kept).await.expect("kept");
    let (found, total) = client.refused("users", 1, 10).await.expect("read");
    assert_eq!((found.len(), total), (2, 2));
    assert!(found[0].document.is_empty() && found[0].reason.contains("30000 bytes"), "{found:?}");
    assert_eq!(found[1], kept[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_waits_stops_when_it_is_to() {
    let client = client("http://127.0.0.1:9", "nowhere");
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let writing = tokio::spawn(async move {
        client.write_all("braid.nowhere.users.1", &some(1), &mut Pace::new(1 << 20), far_away(), &stopping).await
    });
    tokio::time::sleep(WAITS).await;
    assert!(!writing.is_finished());
    stop.cancel();
    let written = writing.await.expect("no panic");
    assert!(matches!(written, Err(NotWritten::Stopped)), "{written:?}");
}
