//! An in-process broker for one test, and a way to put records into it.

use std::time::{Duration, Instant};

use platform::settings::Kafka;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

/// How long a test waits for a condition.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    pub(crate) settings: Kafka,
}

impl Cluster {
    /// A broker with one topic.
    pub(crate) fn with_topic(topic: &str, partitions: i32) -> Cluster {
        let mock = MockCluster::new(1).expect("an in-process broker");
        mock.create_topic(topic, partitions, 1).expect("a topic");
        let settings = Kafka { brokers: mock.bootstrap_servers(), ..Kafka::default() };
        Cluster { mock, settings }
    }

    /// Stops the broker, and starts it again: every connection breaks.
    pub(crate) fn restart(&self) {
        self.stop();
        self.start();
    }

    pub(crate) fn stop(&self) {
        self.mock.broker_down(1).expect("down");
    }

    pub(crate) fn start(&self) {
        self.mock.broker_up(1).expect("up");
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.mock.create_topic(topic, partitions, 1).expect("a topic");
    }

    /// Appends `count` records with payloads `p<partition>-<n>`, numbered from `from`; every tenth has headers.
    pub(crate) fn produce(&self, topic: &str, partition: i32, from: i64, count: i64) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.mock.bootstrap_servers()).set("linger.ms", "1");
        let producer: BaseProducer = config.create().expect("a producer");
        for number in from..from + count {
            let (key, payload) = (format!("k{number}"), format!("p{partition}-{number}"));
            let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(&payload);
            record = record.timestamp(1_700_000_000_000 + number);
            if number % 10 == 0 {
                let empty: Option<&str> = None;
                let headers = OwnedHeaders::new()
                    .insert(Header { key: "trace", value: Some("abc") })
                    .insert(Header { key: "none", value: empty });
                record = record.headers(headers);
            }
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
        producer.flush(DEADLINE).expect("delivered");
    }
}

/// Calls `done` until it returns true, and fails with `what` after the deadline.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
    }
}
