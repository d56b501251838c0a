//! Records come out of the in-process broker as they went in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use braid::commands::send::Keying;
use braid::embedded::kafka::InProcess;
use braid::source_topic;
use platform::kafka::{Consumer, Delivered, Outgoing, Polled};
use platform::settings;
use shared_logic::catalog::Catalog;

const DEADLINE: Duration = Duration::from_secs(30);
const RECORDS: usize = 500;

pub(super) fn catalog() -> Catalog {
    Catalog::parse(braid::catalog_file::SHIPPED).expect("the shipped catalog is valid")
}

/// A broker with the topics of that catalog, and the settings that name it.
pub(super) fn broker(catalog: &Catalog) -> (InProcess, settings::Kafka) {
    let kafka = InProcess::start().expect("starts");
    kafka.create_topics(catalog).expect("creates");
    let settings = settings::Kafka { brokers: kafka.brokers().to_owned(), ..settings::Kafka::default() };
    (kafka, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_arrive_keyed_and_in_order() {
    let catalog = catalog();
    let source = &catalog.sources["views"];
    let (_kafka, settings) = broker(&catalog);

    let keying = Keying::of(source);
    let mut sender = source_topic::connect(&settings, &catalog, source).await.expect("connects");
    let topic = source.topic.as_str();
    let line = |at: usize| format!("{{\"video_id\":\"video-{}\",\"n\":{at}}}", at % 7);
    for at in 0..RECORDS {
        let line = line(at);
        let key = keying.key(line.as_bytes());
        let key = key.as_deref();
        let record = Outgoing { topic, key, payload: Some(line.as_bytes()), time_us: Some(1_000_000), position: at };
        sender.send(record).await.expect("there is room");
    }
    assert_eq!(keying.key(b"not json"), None);
    let record = Outgoing { topic, key: None, payload: Some(b"not json"), time_us: None, position: RECORDS };
    sender.send(record).await.expect("there is room");
    let delivered = sender.finish().await;
    assert_eq!(delivered, Delivered { acknowledged: RECORDS as u64 + 1, ..Delivered::default() });

    let arrived = read_all(&settings, source.partitions, RECORDS + 1);
    let mut partitions_of_key: BTreeMap<Option<String>, BTreeSet<i32>> = BTreeMap::new();
    let mut last_of_key: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for (partition, key, payload) in arrived {
        partitions_of_key.entry(key.clone()).or_default().insert(partition);
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&payload) {
            let n = value["n"].as_u64().expect("a number");
            assert_eq!(key.as_deref(), value["video_id"].as_str());
            assert!(last_of_key.insert(key, n).is_none_or(|last| last < n), "order within a key");
        } else {
            assert_eq!((key, payload.as_str()), (None, "not json"));
        }
        lines.insert(payload);
    }
    let sent: BTreeSet<String> = (0..RECORDS).map(line).chain(["not json".to_owned()]).collect();
    assert_eq!(lines, sent);
    assert_eq!(partitions_of_key.len(), 8);
    assert!(partitions_of_key.values().all(|partitions| partitions.len() == 1), "{partitions_of_key:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_arrive_is_named() {
    let catalog = catalog();
    let source = &catalog.sources["views"];
    let (_kafka, settings) = broker(&catalog);
    let mut sender = source_topic::connect(&settings, &catalog, source).await.expect("connects");
    let topic = source.topic.as_str();
    let too_large = vec![b'x'; 2 << 20];
    for (position, payload) in [(17, too_large.as_slice()), (18, b"{}".as_slice())] {
        let record = Outgoing { topic, key: None, payload: Some(payload), time_us: None, position };
        sender.send(record).await.expect("there is room");
    }
    let delivered = sender.finish().await;
    assert_eq!((delivered.acknowledged, delivered.failed), (1, 1));
    let error = source_topic::check_delivery(&delivered, topic, "line").expect_err("one failed").to_string();
    assert!(error.starts_with("1 of 2 records were not acknowledged by topic views\n  line 17: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_cannot_be_reached_is_named() {
    let catalog = catalog();
    let settings = settings::Kafka {
        // Nothing listens on the discard port of this machine.
        brokers: "127.0.0.1:9".to_owned(),
        request_timeout: platform::settings::Span::from_millis(500),
        ..settings::Kafka::default()
    };
    let Err(error) = source_topic::connect(&settings, &catalog, &catalog.sources["views"]).await else {
        panic!("nothing listens there")
    };
    assert!(error.to_string().contains("127.0.0.1:9"), "{error:#}");
}

/// Partition, key and payload of every record of the topic `views`.
pub(super) fn read_all(
    settings: &settings::Kafka,
    partitions: u32,
    count: usize,
) -> Vec<(i32, Option<String>, String)> {
    let mut consumer = Consumer::new(settings, "views").expect("a consumer");
    let partitions = 0..i32::try_from(partitions).expect("few");
    consumer.assign(&partitions.map(|partition| (partition, 0)).collect()).expect("assigned");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut arrived = Vec::new();
    let began = Instant::now();
    while arrived.len() < count {
        assert!(began.elapsed() < DEADLINE, "{} of {count} records arrived", arrived.len());
        let visit = |polled: Polled<'_>| {
            if let Polled::Record(record) = polled {
                let payload = record.payload.expect("a payload");
                arrived.push((record.partition, record.key.map(text), text(payload)));
            }
        };
        consumer.poll(Duration::from_millis(200), 1_000, visit).expect("polled");
    }
    arrived
}
