//! The consumer's configuration: what may be tuned, and what may not.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::super::client_config;
use crate::settings;

/// What librdkafka adds to the payload of each record in its queue, measured with records of 140 bytes and rounded up.
const RECORD_BYTES: u64 = 512;
/// The most records that librdkafka may be told to keep ready.
const RECORDS_MAX: u64 = 10_000_000;
/// How long the broker keeps a request for records waiting while there are none.
const WAIT: Duration = Duration::from_millis(50);
/// The shortest wait, so that a topic without records is not asked for them all the time.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// The longest one: whatever else is asked of the broker waits behind it.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The most that librdkafka takes for `fetch.min.bytes`.
const GATHERED_MAX: u64 = 100_000_000;

/// Properties that make the consumer fast, which `[kafka.client]` may change, and properties that make it correct, which it
/// may not. `gathers`: how long the broker may wait for more than a few records, if the consumer has time.
pub(super) fn consumer_config(settings: &settings::Kafka, gathers: Option<Duration>) -> ClientConfig {
    let mut config = client_config(settings);
    // librdkafka bounds its queue by payload bytes alone. It stops fetching as well once it has this many records, whatever
    // that property's name says: all partitions share one queue, and it is compared with the length of that.
    let records = (settings.fetch_queue.bytes() / RECORD_BYTES).clamp(1, RECORDS_MAX);
    // Less than one fetch may bring of one partition. Where that is there, nothing is waited for.
    let enough = gathers.map_or(1, |_| (settings.fetch_bytes.bytes() / 2).clamp(1, GATHERED_MAX));
    // With its defaults, librdkafka waits a second whenever its queue was full, and so is idle half of the time.
    let fast = [
        ("queued.min.messages", records.to_string()),
        ("queued.max.messages.kbytes", settings.fetch_queue.kib().to_string()),
        ("fetch.message.max.bytes", settings.fetch_bytes.bytes().to_string()),
        ("fetch.wait.max.ms", gathers.unwrap_or(WAIT).clamp(WAIT_MIN, WAIT_MAX).as_millis().to_string()),
        ("fetch.min.bytes", enough.to_string()),
        ("fetch.queue.backoff.ms", "5".to_owned()),
    ];
    for (name, value) in fast {
        if settings.client.get(name).is_none() {
            config.set(name, value);
        }
    }
    let correct = [
        ("group.id", "braid-reads-without-a-group"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        // Only then does librdkafka tell that a connection broke.
        ("log.connection.close", "true"),
        ("log_level", "6"),
        ("log.queue", "false"),
    ];
    for (name, value) in correct {
        config.set(name, value);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Kafka, Size};

    fn fetches(settings: &Kafka, gathers: Option<Duration>) -> [Option<String>; 2] {
        let config = consumer_config(settings, gathers);
        ["fetch.wait.max.ms", "fetch.min.bytes"].map(|name| config.get(name).map(str::to_owned))
    }

    fn some(texts: [&str; 2]) -> [Option<String>; 2] {
        texts.map(|text| Some(text.to_owned()))
    }

    #[test]
    fn records_are_gathered_for_those_who_have_time_and_for_nobody_else() {
        let settings = Kafka { fetch_bytes: Size::from_bytes(64 << 10), ..Kafka::default() };
        assert_eq!(fetches(&settings, None), some(["50", "1"]));
        assert_eq!(fetches(&settings, Some(Duration::from_millis(500))), some(["500", "32768"]));
        assert_eq!(fetches(&settings, Some(Duration::from_millis(1))), some(["10", "32768"]), "not all the time");
        assert_eq!(fetches(&settings, Some(Duration::from_secs(60))), some(["500", "32768"]), "others wait behind it");
        let mut owns = settings;
        owns.client = [("fetch.min.bytes", "7")].into_iter().collect();
        assert_eq!(fetches(&owns, Some(Duration::from_millis(500))), some(["500", "7"]), "`[kafka.client]` decides");
    }
}
