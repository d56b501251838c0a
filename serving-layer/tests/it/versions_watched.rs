//! Those who watch a stream while another version becomes the active one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use shared_logic::catalog::Changed;
use shared_logic::version::Pointer;
use storage::FollowedVersions;

use crate::stand_in::Written;
use crate::stream_fixture::{ALERTS_LOG, alert, catalog};
use crate::test_server::TestServer;
use crate::versions::{Known, change, resolved, two};

/// The id of the topic of alerts in `v2`.
const SECOND_LOG: &str = "second-log";

/// The alerts changed in `v2`, unless they are shared.
fn pointer(shared: bool) -> Pointer {
    let streams = if shared { BTreeMap::new() } else { BTreeMap::from([("alerts".to_owned(), "v2".to_owned())]) };
    two(Changed { streams, tables: BTreeMap::new() })
}

/// A server of two versions, of which `v1` is active.
async fn serving(shared: bool) -> (TestServer, Known) {
    let mut server = TestServer::of_alerts(1).await;
    server.topics.create("alerts.v2", SECOND_LOG, 1);
    server.topics.create("alerts.v2.late", "second-late-log", 1);
    let (known, followed) = FollowedVersions::given(resolved(2, pointer(shared), &server.catalog, &catalog()));
    server.versions = Some(followed);
    server.serve().await;
    (server, known)
}

fn promote(server: &TestServer, known: &Known, shared: bool) {
    let promoted = pointer(shared).promote("v2", None, Vec::new(), change("promote v2")).expect("promoted");
    known.send_replace(Arc::new(resolved(3, promoted, &server.catalog, &catalog())));
}

fn write_second(server: &TestServer, offset: i64) {
    let payload = Some(alert("a", offset, offset).into_bytes());
    server.topics.write("alerts.v2", 0, Written { timestamp_ms: 1_777_024_800_000, key: None, payload });
}

#[tokio::test]
async fn a_client_goes_over_to_the_topic_of_the_version_that_becomes_active() {
    let (server, known) = serving(false).await;
    write_second(&server, 1);
    let (mut follows, mut stays) = (server.watch_from_now("").await, server.watch_from_now("?version=v1").await);
    assert_eq!(follows.version, json!({"version": "v1", "topic": "alerts"}));
    server.write_alert(0, &alert("a", 2, 0));
    assert_eq!((follows.judged(1).await, stays.judged(1).await), (vec![2], vec![2]));
    let before = follows.id.clone();
    promote(&server, &known, false);
    let event = follows.next().await.expect("more comes");
    assert_eq!(event.kind, "version");
    assert_eq!(event.data, r#"{"version":"v2","topic":"alerts.v2"}"#);
    while !follows.id.starts_with(SECOND_LOG) {
        follows.frame().await.expect("it is told where it is");
    }
    assert_eq!(follows.id, format!("{SECOND_LOG}:1"), "from the end of the topic on");
    write_second(&server, 3);
    server.write_alert(0, &alert("a", 4, 0));
    assert_eq!((follows.judged(1).await, stays.judged(1).await), (vec![3], vec![4]));

    let mut comes_back = server.watch("", Some(&before)).await;
    assert_eq!(comes_back.version["topic"], "alerts.v2");
    while !comes_back.id.starts_with(SECOND_LOG) {
        comes_back.frame().await.expect("it is told where it is");
    }
    assert_eq!(comes_back.id, format!("{SECOND_LOG}:2"), "it does not begin with all that was ever written");
    let other = server.ok("/v1/streams/alerts?version=v2").await;
    assert_eq!((&other["version"], &other["outputs"][0]["judged_offset"]), (&json!("v2"), &json!(3)));
}

#[tokio::test]
async fn a_client_of_a_shared_stream_misses_nothing_and_is_told_nothing_twice() {
    let (server, known) = serving(true).await;
    let mut watch = server.watch_from_now("").await;
    server.write_alert(0, &alert("a", 1, 0));
    assert_eq!(watch.judged(1).await, [1]);
    promote(&server, &known, true);
    server.write_alert(0, &alert("a", 2, 0));
    // One may come before the other.
    let (mut told, mut versions) = (Vec::new(), Vec::new());
    while told.is_empty() || versions.is_empty() {
        let event = watch.next().await.expect("more comes");
        if event.kind == "version" { versions.push(event.data) } else { told.push(event.data) }
    }
    assert_eq!(versions, [r#"{"version":"v2","topic":"alerts"}"#]);
    server.write_alert(0, &alert("a", 3, 0));
    assert_eq!(watch.judged(1).await, [3]);
    assert_eq!((told.len(), watch.id), (1, format!("{ALERTS_LOG}:3")));
}

#[tokio::test]
async fn a_client_of_a_version_that_is_retired_is_told_the_end() {
    let (server, known) = serving(false).await;
    let mut watch = server.watch_from_now("?version=v2").await;
    let retired = pointer(false).retire("v2", change("retire v2")).expect("retired");
    known.send_replace(Arc::new(resolved(3, retired, &server.catalog, &catalog())));
    let end = watch.next().await.expect("a last event");
    assert_eq!((end.kind.as_str(), end.data.as_str()), ("end", r#"{"reason":"version","version":"v2"}"#));
    assert_eq!(watch.next().await, None);
}
