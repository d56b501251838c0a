//! Questions about topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::kafka::{Bound, KafkaError, Topics};

use crate::cluster::Cluster;

#[tokio::test]
async fn every_topic_has_its_own_id() {
    let (one, other) = (Cluster::with_topic("views", 3), Cluster::with_topic("views", 3));
    let topics = Topics::new(&one.settings).expect("a client");
    let topic = topics.describe("views").await.expect("answers").expect("exists");
    assert_eq!(topic.partitions, 3);
    assert_eq!(topic.log.len(), 22, "{topic:?}");
    assert!(topic.log.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{topic:?}");
    assert_eq!(topics.describe("views").await.expect("answers"), Some(topic.clone()), "it stays the same");
    let elsewhere = Topics::new(&other.settings).expect("a client").describe("views").await.expect("answers");
    assert_ne!(elsewhere.expect("exists").log, topic.log);
    one.create_topic("clicks", 1);
    assert_ne!(topics.describe("clicks").await.expect("answers").expect("exists").log, topic.log);
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_not_created_by_asking() {
    let cluster = Cluster::with_topic("views", 1);
    let topics = Topics::new(&cluster.settings).expect("a client");
    assert_eq!(topics.describe("nowhere").await.expect("answers"), None);
    assert_eq!(topics.describe("nowhere").await.expect("answers"), None);
}

#[tokio::test]
async fn offsets_of_both_ends() {
    let cluster = Cluster::with_topic("views", 3);
    cluster.produce("views", 0, 0, 12);
    cluster.produce("views", 2, 0, 5);
    let topics = Topics::new(&cluster.settings).expect("a client");
    let start = topics.offsets("views", &[0, 1, 2], Bound::Start).await.expect("answers");
    assert_eq!(start, BTreeMap::from([(0, 0), (1, 0), (2, 0)]));
    let end = topics.offsets("views", &[0, 1, 2], Bound::End).await.expect("answers");
    assert_eq!(end, BTreeMap::from([(0, 12), (1, 0), (2, 5)]));
    assert_eq!(topics.offsets("views", &[], Bound::End).await.expect("answers"), BTreeMap::new());
}

#[tokio::test]
async fn the_in_process_broker_cannot_create_or_configure() {
    let cluster = Cluster::with_topic("views", 1);
    let topics = Topics::new(&cluster.settings).expect("a client");
    let error = topics.config("views").await.expect_err("it has no such operation");
    assert!(matches!(error, KafkaError::Unsupported { .. }), "{error:?}");
    let error = topics.create("clicks", 1, &[("cleanup.policy", "delete")]).await.expect_err("it has none");
    assert!(matches!(error, KafkaError::Unsupported { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_an_answer_in_time() {
    let cluster = Cluster::with_topic("views", 1);
    let mut settings = cluster.settings.clone();
    drop(cluster);
    settings.request_timeout = platform::settings::Span::from_millis(300);
    let topics = Topics::new(&settings).expect("a client");
    let begun = Instant::now();
    let error = topics.describe("views").await.expect_err("no broker answers");
    assert!(error.is_transient(), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
