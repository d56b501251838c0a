//! The embedded Kafka lives as long as its owner, and keeps its records and its address.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use braid::embedded::kafka::{Broker, Runtime};
use platform::kafka::{Bound, Outgoing, Producer, Topics};
use platform::settings;

const TOPIC: &str = "views";
const DEADLINE: Duration = Duration::from_secs(30);
/// How soon Kafka answers on a machine that is not busy otherwise.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Java and Kafka's jars; nothing where they cannot be had, which with `CI=true` is a failure.
async fn runtime() -> Option<Runtime> {
    match Runtime::find().await {
        Ok(runtime) => Some(runtime),
        Err(missing) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "with CI=true Kafka is required: {missing:#}");
            // Past the test runner, which keeps the output of tests that pass to itself.
            let _ = writeln!(std::io::stderr(), "NOTICE: the embedded Kafka WAS NOT TESTED: {missing:#}");
            None
        }
    }
}

/// The broker, its settings, and how long it took to answer.
async fn start(folder: &Path, runtime: &Runtime) -> (Broker, settings::Kafka, Duration) {
    let begun = Instant::now();
    let kafka = Broker::start(folder, runtime).await.expect("starts");
    let settings = settings::Kafka { brokers: kafka.brokers(), ..settings::Kafka::default() };
    (kafka, settings, begun.elapsed())
}

async fn send_one(settings: &settings::Kafka) {
    let producer = Producer::idempotent(settings).expect("a client");
    producer.send(Outgoing { topic: TOPIC, key: None, payload: Some(b"{}"), time_us: None, position: 0 }).await;
    assert_eq!(producer.finish().await.acknowledged, 1);
}

async fn records(settings: &settings::Kafka) -> i64 {
    let topics = Topics::new(settings).expect("a client");
    let begun = Instant::now();
    loop {
        match topics.offsets(TOPIC, &[0], Bound::End).await {
            // Kafka may learn a moment after its start that it leads the partition.
            Err(error) if error.is_transient() && begun.elapsed() < DEADLINE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer.expect("answers")[&0],
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_and_address_outlive_a_stop_and_a_kill() {
    let Some(runtime) = runtime().await else { return };
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().join("kafka");
    // What a process leaves that was killed while it formatted the folder.
    std::fs::create_dir_all(folder.join("being-formatted/__cluster_metadata-0")).expect("a folder");

    let (kafka, settings, first) = start(&folder, &runtime).await;
    Topics::new(&settings).expect("a client").create(TOPIC, 1, &[]).await.expect("creates");
    send_one(&settings).await;
    kafka.stop().await;

    let (kafka, again, second) = start(&folder, &runtime).await;
    assert_eq!(again.brokers, settings.brokers);
    assert_eq!(records(&again).await, 1);
    send_one(&again).await;
    // Dropping it kills the server; the next one waits for its lock.
    drop(kafka);

    let (kafka, again, third) = start(&folder, &runtime).await;
    assert_eq!(again.brokers, settings.brokers);
    assert_eq!(records(&again).await, 2);
    kafka.stop().await;
    // Other tests may have kept the machine busy, but hardly all the time.
    let fastest = first.min(second).min(third);
    assert!(fastest < READY_WITHIN, "ready after {first:?}, {second:?} and {third:?}");
}
