//! The topics that Braid writes for streams: which there are, and what each has to be like (T3).
//!
//! Each follows the topic that the stream reads: it has as many partitions, as many replicas in sync, and takes records that are as large.
//! Whoever creates, grows or looks at these topics asks here, so that all agree.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Source, StreamKind};
use crate::contracts::stream::progress_topic;

/// The configuration of a topic, by the names that Kafka has for it; with what the broker sets where the topic does not.
pub type TopicConfig = BTreeMap<String, String>;

/// The most bytes of a batch of records.
pub const MESSAGE_BYTES: &str = "max.message.bytes";
/// Whose clock a record's timestamp is of.
pub const TIMESTAMP_TYPE: &str = "message.timestamp.type";
/// That of the broker.
pub const BROKERS_TIME: &str = "LogAppendTime";
/// What becomes of old records.
pub const CLEANUP_POLICY: &str = "cleanup.policy";
/// How many replicas have to be in sync.
const IN_SYNC: &str = "min.insync.replicas";

/// A progress topic keeps the newest record of each key for ever, and is short, so that it is read quickly.
const COMPACTED: [(&str, &str); 3] =
    [(CLEANUP_POLICY, "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];
/// How much larger than what it is made of a written record may be: by headers, and by the names of fields where the source's format has
/// none.
const ROOM_BYTES: u64 = 64 << 10;
/// The largest batch that a lane's producer makes of several records (librdkafka's `batch.size`). A topic that takes less would refuse
/// records that are small by themselves.
const PRODUCERS_BATCH: u64 = 1_000_000;
/// The largest number that `max.message.bytes` can be.
const MESSAGE_BYTES_MOST: u64 = i32::MAX as u64;

/// A topic that Braid writes for the streams over a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenTopic {
    /// Its name.
    pub name: String,
    /// What is written there.
    pub kind: WrittenKind,
    /// Whether it gets more partitions if the source has more. Where a map re-keys, other partitions would move keys.
    pub grows: bool,
}

/// What is written to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenKind {
    /// The outputs of a stream.
    Output,
    /// The side output of a stream: the events that came too late for it (T9), or have no row that they must have (B5).
    Late,
    /// How far all streams over the source were published.
    Progress,
}

/// The topics that are written for the streams over a source of a checked catalog; none if no stream reads it.
pub fn written_topics(catalog: &Catalog, source: &str) -> Vec<WrittenTopic> {
    let mut topics = Vec::new();
    for stream in catalog.streams_of(source) {
        let (name, grows) = (stream.topic.clone(), !stream.rekeys());
        topics.push(WrittenTopic { name, kind: WrittenKind::Output, grows });
        if stream.has_side_output() {
            topics.push(WrittenTopic { name: stream.late_topic(), kind: WrittenKind::Late, grows: true });
        }
    }
    if !topics.is_empty() {
        let name = progress_topic(&catalog.deployment, source);
        topics.push(WrittenTopic { name, kind: WrittenKind::Progress, grows: true });
    }
    topics
}

/// Whether some stream over the source waits for events by their time: any but a map. Then a producer's clock that is ahead would make the
/// events of all others late.
pub fn keeps_time(catalog: &Catalog, source: &str) -> bool {
    catalog.streams_of(source).any(|stream| !matches!(stream.kind, StreamKind::Map(_)))
}

/// The configuration with which the topic of a source of the catalog is created; what is not named stays as the broker has it.
pub fn source_config(catalog: &Catalog, source: &Source) -> Vec<(&'static str, &'static str)> {
    let mut config = source.topic_config().to_vec();
    if keeps_time(catalog, &source.name) {
        config.push((TIMESTAMP_TYPE, BROKERS_TIME));
    }
    config
}

/// How much of the log a lane has to read again that has lost its snapshots: the most that a stream over the source remembers, with its
/// lateness and with what events may be ahead of their records. Microseconds. A session without `longest` may have begun at any time;
/// only its gap counts here.
pub fn past_us(catalog: &Catalog, source: &Source) -> i64 {
    let remembered = catalog.streams_of(&source.name).filter_map(|stream| {
        let remembers_us = match &stream.kind {
            StreamKind::Map(_) => return None,
            StreamKind::Window(window) => window.size_us,
            StreamKind::Session(session) => session.gap_us.saturating_add(session.longest_us.unwrap_or(0)),
            StreamKind::Detect(detect) => detect.history_us,
        };
        Some(remembers_us.saturating_add(stream.lateness_us).saturating_add(source.max_ahead_us))
    });
    remembered.max().unwrap_or(0)
}

/// How many bytes a batch may have in the topics that are written for the streams over `source`, whose topic has that configuration; `None`
/// if that says nothing about it.
///
/// A late record is its event's bytes with more headers. Where producers compress, an event may have more bytes than its topic takes, but
/// no event has more than `max_record`.
pub fn message_bytes(source: &Source, from: &TopicConfig) -> Option<u64> {
    let taken: u64 = from.get(MESSAGE_BYTES)?.parse().ok()?;
    // The limit of a stream is that of the catalog's language, and no stream writes what its own topic does not take.
    let largest = if source.is_stream { 0 } else { source.max_record };
    Some((taken.max(largest).max(PRODUCERS_BATCH) + ROOM_BYTES).min(MESSAGE_BYTES_MOST))
}

impl WrittenTopic {
    /// The configuration with which it is created, for the streams over `source` whose topic has the configuration `from`.
    pub fn config(&self, source: &Source, from: &TopicConfig) -> Vec<(String, String)> {
        let own: &[(&str, &str)] = match self.kind {
            WrittenKind::Output | WrittenKind::Late => &[(TIMESTAMP_TYPE, BROKERS_TIME)],
            WrittenKind::Progress => &COMPACTED,
        };
        let mut config: Vec<(String, String)> =
            own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        config.extend(from.get(IN_SYNC).map(|in_sync| (IN_SYNC.to_owned(), in_sync.clone())));
        config.extend(message_bytes(source, from).map(|bytes| (MESSAGE_BYTES.to_owned(), bytes.to_string())));
        config
    }

    /// How many partitions it has to get so that the lane of a partition can write there, where the source has `of_source` of them and it
    /// has `own`; `None` if it needs no more. A lane grows what lacks its own partition only, so that a right to do so is needed by no
    /// other.
    pub fn grown_for(&self, partition: i32, of_source: i32, own: i32) -> Option<i32> {
        (self.grows && own <= partition).then_some(of_source.max(partition + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
max_record = "2MiB"
[sources.s.fields]
id = "string"
at = "timestamp"
user = "string"
n = "int"
[streams.by_n]
from = "s"
key = "n"
[streams.by_n.fields]
n = "n"
[streams.minutes]
from = "s"
by = ["user"]
window = "1m"
[streams.minutes.measures]
events = "count()"
[streams.copied]
from = "by_n"
where = "n > 0"
[tables.users]
key = "user"
[tables.users.fields]
user = "string"
"#;

    fn catalog() -> Catalog {
        Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    fn config(pairs: &[(&str, &str)]) -> TopicConfig {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_stream_has_its_topic_and_its_side_output_and_all_of_a_source_share_their_progress() {
        let names = |source: &str| -> Vec<(String, bool)> {
            written_topics(&catalog(), source).into_iter().map(|topic| (topic.name, topic.grows)).collect()
        };
        let owned = |expected: &[(&str, bool)]| -> Vec<(String, bool)> {
            expected.iter().map(|(name, grows)| ((*name).to_owned(), *grows)).collect()
        };
        let of_source =
            owned(&[("by_n", false), ("minutes", true), ("minutes.late", true), ("braid.s.v1.progress", true)]);
        assert_eq!(names("s"), of_source);
        assert_eq!(names("by_n"), owned(&[("copied", true), ("braid.by_n.v1.progress", true)]));
        assert!(names("copied").is_empty());
        assert!(keeps_time(&catalog(), "s") && !keeps_time(&catalog(), "by_n"));
    }

    #[test]
    fn what_is_written_may_be_larger_than_what_is_read() {
        let catalog = catalog();
        let bytes = |source: &str, taken: &str| {
            message_bytes(&catalog.sources[source], &config(&[(MESSAGE_BYTES, taken)])).expect("known")
        };
        assert_eq!(bytes("s", "5000000"), 5_000_000 + ROOM_BYTES);
        assert_eq!(bytes("s", "1048588"), (2 << 20) + ROOM_BYTES, "an event that was compressed");
        assert_eq!(bytes("by_n", "1000"), PRODUCERS_BATCH + ROOM_BYTES, "a batch of several");
        assert_eq!(bytes("by_n", "2147483647"), MESSAGE_BYTES_MOST);
        assert_eq!(message_bytes(&catalog.sources["s"], &config(&[])), None);
    }

    #[test]
    fn what_is_read_again_is_the_longest_past_of_all_streams() {
        let catalog = catalog();
        let past = |source: &str| past_us(&catalog, &catalog.sources[source]);
        let ahead_us = catalog.sources["s"].max_ahead_us;
        assert_eq!(past("s"), 60_000_000 + 10_000_000 + ahead_us, "a window, and its lateness");
        assert_eq!(past("by_n"), 0, "a map remembers nothing");
    }

    #[test]
    fn topics_are_created_as_the_one_that_they_follow() {
        let catalog = catalog();
        let (source, from) =
            (&catalog.sources["by_n"], config(&[(IN_SYNC, "2"), (MESSAGE_BYTES, "3000000"), ("segment.bytes", "7")]));
        for topic in written_topics(&catalog, "s").into_iter().chain(written_topics(&catalog, "by_n")) {
            let created: TopicConfig = topic.config(source, &from).into_iter().collect();
            let is_progress = topic.kind == WrittenKind::Progress;
            assert_eq!(created.get(IN_SYNC).map(String::as_str), Some("2"));
            assert_eq!(created[MESSAGE_BYTES], (3_000_000 + ROOM_BYTES).to_string());
            assert_eq!(created.get(CLEANUP_POLICY).is_some_and(|policy| policy == "compact"), is_progress);
            assert_eq!(created.get(TIMESTAMP_TYPE).is_some_and(|kind| kind == BROKERS_TIME), !is_progress);
        }
        let created = |name: &str| source_config(&catalog, &catalog.sources[name]);
        assert_eq!(created("s"), [(TIMESTAMP_TYPE, BROKERS_TIME)]);
        assert!(created("copied").is_empty());
        assert!(created("users").contains(&(CLEANUP_POLICY, "compact")), "who reads a table later reads every row");
    }

    #[test]
    fn a_lane_grows_what_lacks_its_own_partition() {
        let topics = written_topics(&catalog(), "s");
        let [rekeyed, minutes, ..] = &topics[..] else { panic!("four topics") };
        assert_eq!(minutes.grown_for(3, 6, 3), Some(6), "all at once, for the other lanes, too");
        assert_eq!(minutes.grown_for(2, 6, 3), None, "it has the partition");
        assert_eq!(minutes.grown_for(6, 6, 3), Some(7), "the source was described before");
        assert_eq!(rekeyed.grown_for(3, 6, 3), None, "keys would move");
    }
}
