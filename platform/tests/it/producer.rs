//! The producer reports every record that it was given.

use platform::kafka::{Outgoing, Producer};

use crate::cluster::Cluster;

/// Larger than a broker takes as one record.
const TOO_LARGE: usize = 2 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_acknowledged_or_named() {
    let cluster = Cluster::with_topic("views", 2);
    cluster.create_topic("clicks", 1);
    let producer = Producer::idempotent(&cluster.settings).expect("a client");
    let too_large = vec![b'x'; TOO_LARGE];
    for position in 0..30 {
        let payload = if position < 12 { too_large.as_slice() } else { b"{}" };
        let topic = if position % 2 == 0 { "views" } else { "clicks" };
        producer.send(Outgoing { topic, key: Some(b"k"), payload: Some(payload), time_us: None, position }).await;
    }
    let delivered = producer.finish().await;
    assert_eq!((delivered.acknowledged, delivered.failed, delivered.total()), (18, 12, 30));
    let named: Vec<usize> = delivered.first_failures.iter().map(|(position, _)| *position).collect();
    assert_eq!(named, (0..10).collect::<Vec<_>>(), "the first ten failures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_no_broker_takes_are_given_up() {
    let cluster = Cluster::with_topic("views", 1);
    let mut settings = cluster.settings.clone();
    drop(cluster);
    settings.client.insert("message.timeout.ms", "300");
    let producer = Producer::idempotent(&settings).expect("a client");
    producer.send(Outgoing { topic: "views", key: None, payload: Some(b"{}"), time_us: None, position: 7 }).await;
    let delivered = producer.finish().await;
    assert_eq!((delivered.acknowledged, delivered.failed), (0, 1));
    assert_eq!(delivered.first_failures[0].0, 7);
}
