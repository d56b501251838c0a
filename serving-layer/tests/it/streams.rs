//! What is said of streams: what they read and write, whether they are written, and how far.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shared_logic::contracts::stream::Published;
use shared_logic::stream::{Fronts, OutputPosition};

use crate::stand_in::Written;
use crate::test_server::TestServer;

const PROGRESS: &str = "braid.payments.v1.progress";
const LIST: &str = "/v1/streams";

/// The progress of a lane: a record of the progress topic.
fn progress(offset: i64, definition: &str, incomplete: bool) -> Written {
    let published = Published {
        log: "payments-log".to_owned(),
        position: OutputPosition { offset, n: 1 },
        fronts: Fronts::new(false),
        definition: definition.parse().expect("a hash"),
        checked: None,
        incomplete,
        full: incomplete.then(|| "alerts".to_owned()),
    };
    let payload = serde_json::to_vec(&published).expect("plain data");
    Written { timestamp_ms: 1_777_021_200_000 + offset, key: Some(b"alerts".to_vec()), payload: Some(payload) }
}

/// Two partitions with ten payments each; of the first one, what lies below offset 7 was published.
async fn server() -> TestServer {
    let mut server = TestServer::of_alerts(2).await;
    let definition = server.catalog.stream_definition(&server.catalog.streams["alerts"]);
    server.topics.create("payments", "payments-log", 2);
    server.topics.create(PROGRESS, "progress-log", 2);
    for partition in 0..2 {
        for _ in 0..10 {
            server.topics.write("payments", partition, Written::default());
        }
    }
    for offset in [3, 7] {
        server.topics.write(PROGRESS, 0, progress(offset, definition.as_str(), false));
    }
    server.topics.write(
        PROGRESS,
        1,
        Written { key: Some(b"other".to_vec()), payload: Some(b"{}".to_vec()), timestamp_ms: 0 },
    );
    server.serve().await;
    server
}

#[tokio::test]
async fn a_stream_is_described_with_how_far_it_was_written() {
    let server = server().await;
    let list = server.ok(LIST).await;
    let stream = &list["streams"][0];
    for (member, expected) in [
        ("name", json!("alerts")),
        ("kind", json!("detect")),
        ("from", json!("payments")),
        ("where", Value::Null),
        ("topic", json!("alerts")),
        ("late_topic", json!("alerts.late")),
        ("key", json!("user_id")),
        ("rekeys", json!(false)),
        ("lateness", json!("5m")),
        ("written", json!(true)),
        ("warnings", json!([])),
    ] {
        assert_eq!(stream[member], expected, "{member}");
    }
    let fields = stream["fields"].as_array().expect("fields");
    assert_eq!(fields[0], json!({"name": "output_id", "type": "string", "optional": false}));
    assert_eq!(
        stream["partitions"],
        json!([
            {
                "partition": 0, "log": "payments-log", "published": {"offset": 7, "n": 1},
                "published_at": "2026-04-24T09:00:00.007Z", "front": null, "end": 10, "behind": 3,
            },
            {
                "partition": 1, "log": null, "published": null, "published_at": null, "front": null, "end": 10,
                "behind": null,
            },
        ])
    );
    assert_eq!(server.topics.followers(), 0);
}

#[tokio::test]
async fn the_status_says_it_in_short() {
    let server = server().await;
    let definition = server.catalog.stream_definition(&server.catalog.streams["alerts"]);
    let status = server.ok("/v1/status").await;
    let expected = json!([{
        "name": "alerts", "from": "payments", "behind": null, "published_at": "2026-04-24T09:00:00.007Z", "written": true,
        "warnings": [],
    }]);
    assert_eq!(status["streams"], expected);
    server.topics.write(PROGRESS, 1, progress(9, definition.as_str(), false));
    let status = server.until("/v1/status", |_, status| status["streams"][0]["behind"] == 4).await;
    assert_eq!(status["streams"][0]["published_at"], "2026-04-24T09:00:00.007Z", "the oldest of both");
}

#[tokio::test]
async fn what_an_operator_should_know_is_a_warning() {
    let server = server().await;
    server.topics.takes_timestamps.store(true, Ordering::SeqCst);
    server.topics.write(PROGRESS, 1, progress(9, "0123456789abcdef", true));
    let warned = |_: u16, list: &Value| list["streams"][0]["warnings"].as_array().is_some_and(|all| all.len() == 4);
    let list = server.until(LIST, warned).await;
    let warnings = &list["streams"][0]["warnings"];
    assert!(warnings[0].as_str().expect("text").contains("LogAppendTime"), "{warnings}");
    assert!(warnings[1].as_str().expect("text").contains("partitions 1 "), "{warnings}");
    assert!(warnings[2].as_str().expect("text").contains("incomplete past"), "{warnings}");
    assert!(warnings[3].as_str().expect("text").contains("`alerts` fills"), "{warnings}");
}

#[tokio::test]
async fn a_stream_that_is_not_written_says_why() {
    let mut server = TestServer::of_alerts(1).await;
    server.topics.create("payments", "payments-log", 1);
    server.topics.create(PROGRESS, "progress-log", 1);
    server.topics.is_in_process.store(true, Ordering::SeqCst);
    server.serve().await;
    let stream = server.ok(LIST).await["streams"][0].clone();
    assert_eq!(stream["written"], false);
    assert!(stream["why"].as_str().expect("text").contains("in-process broker"), "{stream}");

    let mut server = TestServer::of_alerts(1).await;
    server.topics.create("payments", "payments-log", 1);
    server.topics.create(PROGRESS, "progress-log", 1);
    server.serve().await;
    let stream = server.ok(LIST).await["streams"][0].clone();
    assert!(stream["why"].as_str().expect("text").contains("no lane has published"), "{stream}");
    *server.topics.ends.lock().expect("no panic") = None;
    let stream = server.until(LIST, |_, list| list["streams"][0]["written"].is_null()).await["streams"][0].clone();
    assert!(stream["why"].as_str().expect("text").contains("topic payments"), "{stream}");
    assert_eq!(server.ok("/v1/status").await["streams"][0]["written"], Value::Null);
}
