//! What is said of streams: what they read and write, whether they are written, and how far.

use std::sync::atomic::Ordering;

use polars::prelude::Schema;
use serde_json::{Value, json};
use shared_logic::contracts::archive::{Facts, record_columns};
use shared_logic::contracts::stream::{Published, Stopped};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Fronts, OutputPosition};
use storage::{Archive, Storage};

use crate::stand_in::Written;
use crate::test_server::TestServer;

const PROGRESS: &str = "braid.payments.v1.progress";
const LIST: &str = "/v1/streams";
/// What is said of the partition of which nothing is published.
const NOTHING_PUBLISHED: &str = "nothing of partition 1 is published: is `speed-layer` running, with this catalog?";

/// The progress of a lane: a record of the progress topic.
fn progress(offset: i64, definition: &str, incomplete: bool, full: Option<&str>) -> Written {
    let published = Published {
        log: "payments-log".to_owned(),
        position: OutputPosition { offset, n: 1 },
        fronts: Fronts::new(false),
        definition: definition.parse().expect("a hash"),
        checked: None,
        incomplete,
        full: full.map(str::to_owned),
        open: 0,
        never_written: 0,
    };
    record(offset, &published)
}

/// A record of the progress topic.
fn record(offset: i64, published: &Published) -> Written {
    let payload = serde_json::to_vec(published).expect("plain data");
    Written { timestamp_ms: 1_777_021_200_000 + offset, key: Some(b"alerts".to_vec()), payload: Some(payload) }
}

/// Says that the archive of payments has begun so many partitions.
async fn begun(server: &TestServer, partitions: i32) -> Archive {
    let storage = Storage::new(&server.settings.store, &server.catalog.deployment).expect("a store");
    let fields = &server.catalog.sources["payments"].fields;
    let fields = fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
    let columns: Schema = record_columns().into_iter().chain(fields).collect();
    let mut archive = storage.create_archive("payments", &columns).await.expect("created");
    let begin = |partition| PartitionId::new("payments-log", partition);
    let begun = archive.change("ARCHIVE", |facts| (0..partitions).for_each(|n| facts.begin(&begin(n), 0)));
    begun.await.expect("nobody else writes");
    archive
}

/// Two partitions with ten payments each, which are archived; of the first one, what lies below offset 7 was published.
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
        server.topics.write(PROGRESS, 0, progress(offset, definition.as_str(), false, None));
    }
    server.topics.write(
        PROGRESS,
        1,
        Written { key: Some(b"other".to_vec()), payload: Some(b"{}".to_vec()), timestamp_ms: 0 },
    );
    begun(&server, 2).await;
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
        ("stopped", json!([NOTHING_PUBLISHED])),
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
                "behind": 10,
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
        "name": "alerts", "from": "payments", "behind": 13, "published_at": "2026-04-24T09:00:00.007Z", "written": true,
        "stopped": [NOTHING_PUBLISHED], "warnings": [], "never_written": 0,
    }]);
    assert_eq!(status["streams"], expected);
    server.topics.write(PROGRESS, 1, progress(9, definition.as_str(), false, None));
    let status = server.until("/v1/status", |_, status| status["streams"][0]["behind"] == 4).await;
    assert_eq!(status["streams"][0]["published_at"], "2026-04-24T09:00:00.007Z", "the oldest of both");
    assert_eq!(status["streams"][0]["stopped"], json!([]));
}

#[tokio::test]
async fn what_was_open_where_a_log_ended_is_counted() {
    let server = server().await;
    let counted = |expected: i64| move |_: u16, status: &Value| status["streams"][0]["never_written"] == expected;
    let definition = server.catalog.stream_definition(&server.catalog.streams["alerts"]);
    let published = |log: &str, open, never_written| Published {
        log: log.to_owned(),
        position: OutputPosition { offset: 9, n: 0 },
        fronts: Fronts::new(false),
        definition: definition.clone(),
        checked: None,
        incomplete: false,
        full: None,
        open,
        never_written,
    };
    // One of a log that the archive does not know to have ended, and one of a partition that the topic does not have any more.
    server.topics.create(PROGRESS, "progress-log", 3);
    server.topics.write(PROGRESS, 0, record(9, &published("payments-older", 4, 3)));
    server.topics.write(PROGRESS, 2, record(9, &published("payments-older", 100, 10)));
    server.until("/v1/status", counted(13)).await;
    let mut archive = begun(&server, 2).await;
    let close = |facts: &mut Facts| {
        facts.begin(&PartitionId::new("payments-older", 0), 0);
        facts.close("payments-older");
    };
    archive.change("CLOSE", close).await.expect("nobody else writes");
    server.until("/v1/status", counted(117)).await;
    // A lane has begun anew, and goes on counting what it was told.
    server.topics.write(PROGRESS, 0, record(10, &published("payments-log", 5, 7)));
    server.until("/v1/status", counted(117)).await;
    let list = server.ok(LIST).await;
    assert_eq!(list["streams"][0]["partitions"].as_array().map(Vec::len), Some(2), "{list}");
}

#[tokio::test]
async fn what_an_operator_should_know_is_a_warning() {
    let server = server().await;
    server.topics.takes_timestamps.store(true, Ordering::SeqCst);
    server.topics.write(PROGRESS, 1, progress(9, "0123456789abcdef", true, None));
    let warned = |_: u16, list: &Value| list["streams"][0]["warnings"].as_array().is_some_and(|all| all.len() == 2);
    let list = server.until(LIST, warned).await;
    let warnings = &list["streams"][0]["warnings"];
    assert!(warnings[0].as_str().expect("text").contains("LogAppendTime"), "{warnings}");
    assert!(warnings[1].as_str().expect("text").contains("incomplete past"), "{warnings}");
    let stopped = &list["streams"][0]["stopped"];
    assert!(stopped[0].as_str().expect("text").contains("partition 1 was decided by another definition"), "{stopped}");
}

#[tokio::test]
async fn a_lane_without_room_names_the_stream_that_fills_the_memory() {
    let server = server().await;
    let definition = server.catalog.stream_definition(&server.catalog.streams["alerts"]);
    let full = progress(7, definition.as_str(), false, Some("alerts"));
    server.topics.write(PROGRESS, 0, full);
    let says = |list: &Value, text: &str| list["streams"][0]["stopped"].to_string().contains(text);
    let list = server.until(LIST, |_, list| says(list, "stream `alerts` fills the memory of lanes")).await;
    assert_eq!(list["streams"][0]["warnings"], json!([]));
    server.topics.write(PROGRESS, 0, progress(8, definition.as_str(), false, None));
    server.until(LIST, |_, list| !says(list, "fills the memory")).await;
}

#[tokio::test]
async fn what_a_lane_has_noted_is_said_until_it_publishes_again() {
    let server = server().await;
    let archive = begun(&server, 2).await;
    let tried_us = 1_777_021_200_000_000 + 1_000_000;
    let stopped = Stopped { since_us: 0, tried_us, why: "the state takes 9 bytes".to_owned() };
    archive.note_stopped("v1", 0, &stopped).await.expect("noted");
    archive.note_stopped("v2", 0, &stopped).await.expect("another generation");
    let says = |status: &Value, text: &str| status["streams"][0]["stopped"].to_string().contains(text);
    let noted = "partition 0 cannot go on since 1970-01-01T00:00:00Z: the state takes 9 bytes";
    server.until("/v1/status", |_, status| says(status, noted)).await;
    let definition = server.catalog.stream_definition(&server.catalog.streams["alerts"]);
    let later = Written { timestamp_ms: tried_us / 1_000 + 1, ..progress(8, definition.as_str(), false, None) };
    server.topics.write(PROGRESS, 0, later);
    let status = server.until("/v1/status", |_, status| !says(status, "partition 0")).await;
    assert!(says(&status, "partition 1"), "{status}");
}

#[tokio::test]
async fn a_topic_that_lanes_lack_is_named() {
    let server = server().await;
    server.topics.create("alerts.late", "late-log", 1);
    let says = |list: &Value, text: &str| list["streams"][0]["stopped"].to_string().contains(text);
    server.until(LIST, |_, list| says(list, "topic alerts.late has 1 partitions, and its source has 2")).await;
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
    begun(&server, 1).await;
    server.serve().await;
    let stream = server.ok(LIST).await["streams"][0].clone();
    assert!(stream["why"].as_str().expect("text").contains("nothing of partition 0 is published"), "{stream}");
    *server.topics.ends.lock().expect("no panic") = None;
    let stream = server.until(LIST, |_, list| list["streams"][0]["written"].is_null()).await["streams"][0].clone();
    assert!(stream["why"].as_str().expect("text").contains("topic payments"), "{stream}");
    assert_eq!(server.ok("/v1/status").await["streams"][0]["written"], Value::Null);
}
