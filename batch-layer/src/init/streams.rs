//! The topics that Braid writes: those of streams, their side outputs, and the progress topics (T3).
//!
//! Each is created as the topic is that the stream reads, whose own has to be there first: with as many partitions, as many replicas, and
//! as many of them in sync. Records get the broker's time, so that no producer's clock moves a front. What exists stays as it is, but
//! that it gets more partitions if the topic that it follows has more; where a map re-keys, other partitions would move keys.

use std::time::Instant;

use platform::kafka::{KafkaError, Topic, Topics};
use platform::settings::Span;
use shared_logic::catalog::{Catalog, Stream};
use shared_logic::contracts::stream::progress_topic;
use tracing::{info, warn};

use super::{ASK_AGAIN, config};

/// How many replicas have to be in sync, as a topic says it.
const IN_SYNC: &str = "min.insync.replicas";
/// Whose clock a record's timestamp is of.
const BROKERS_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");
/// A progress topic keeps the newest record of each key for ever, and is short, so that it is read quickly.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];

/// A topic that others follow.
struct Followed {
    topic: Topic,
    /// How many of its replicas have to be in sync, if the broker says it.
    in_sync: Option<String>,
}

/// Creates the topics of the catalog's streams where they are missing. Sources' topics are there.
///
/// # Errors
/// If Kafka does not answer, or refuses a topic.
pub(super) async fn create(topics: &Topics, catalog: &Catalog, timeout: Span) -> Result<(), KafkaError> {
    for stream in in_order(catalog) {
        let from = followed(topics, &catalog.sources[&stream.from].topic, timeout).await?;
        let Some(from) = from else {
            warn!(stream = stream.name, "the topic that the stream reads is not there yet; its own is not created");
            continue;
        };
        as_followed(topics, &from, &stream.topic, &[BROKERS_TIME], !stream.rekeys()).await?;
        if stream.has_side_output() {
            as_followed(topics, &from, &stream.late_topic(), &[BROKERS_TIME], true).await?;
        }
        let progress = progress_topic(&catalog.deployment, &stream.from);
        as_followed(topics, &from, &progress, &COMPACTED, true).await?;
    }
    Ok(())
}

/// The streams, each behind the one that it reads. A checked catalog has no circle.
fn in_order(catalog: &Catalog) -> Vec<&Stream> {
    let (mut ordered, mut left): (Vec<&Stream>, Vec<&Stream>) = (Vec::new(), catalog.streams.values().collect());
    while !left.is_empty() {
        let (ready, waiting): (Vec<&Stream>, Vec<&Stream>) =
            left.iter().copied().partition(|stream| left.iter().all(|other| other.name != stream.from));
        if ready.is_empty() {
            break;
        }
        ordered.extend(ready);
        left = waiting;
    }
    ordered
}

/// The topic, once the broker that is asked knows it: it may have been created a moment ago by another one.
async fn followed(topics: &Topics, topic: &str, timeout: Span) -> Result<Option<Followed>, KafkaError> {
    let asked = Instant::now();
    let described = loop {
        match topics.describe(topic).await? {
            Some(described) => break described,
            None if asked.elapsed() < timeout.get() => tokio::time::sleep(ASK_AGAIN).await,
            None => return Ok(None),
        }
    };
    let in_sync = match config(topics, topic, timeout).await {
        Ok(mut config) => config.remove(IN_SYNC),
        // The in-process broker cannot be asked.
        Err(KafkaError::Unsupported { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Followed { topic: described, in_sync }))
}

/// Creates a topic that follows another one. `grows`: whether it gets more partitions if that one has more.
async fn as_followed(
    topics: &Topics,
    from: &Followed,
    name: &str,
    config: &[(&str, &str)],
    grows: bool,
) -> Result<(), KafkaError> {
    let partitions = from.topic.partitions;
    if let Some(known) = topics.describe(name).await? {
        if grows && known.partitions < partitions {
            info!(topic = name, partitions, "the topic that it follows has more partitions; adding them");
            topics.grow(name, partitions).await?;
        }
        return Ok(());
    }
    let in_sync = from.in_sync.as_deref().map(|in_sync| (IN_SYNC, in_sync));
    let config: Vec<(&str, &str)> = config.iter().copied().chain(in_sync).collect();
    info!(topic = name, partitions, replicas = from.topic.replicas, "creating the topic");
    match topics.create_replicated(name, partitions, from.topic.replicas, &config).await {
        // The in-process broker creates no topics while it runs. It knows no transactions, so nothing is written there.
        Err(KafkaError::Unsupported { .. }) => {
            warn!(topic = name, "this broker cannot create the topic; streams are not written");
            Ok(())
        }
        created => created,
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
partitions = 1
[sources.s.fields]
id = "string"
at = "timestamp"
user = "string"
n = "int"
[streams.c]
from = "s"
where = "n > 0"
[streams.b]
from = "c"
key = "n"
[streams.b.fields]
n = "n"
user = "user"
[streams.a]
from = "b"
by = ["n"]
window = "1m"
[streams.a.measures]
events = "count()"
"#;

    #[test]
    fn each_stream_comes_behind_the_one_that_it_reads() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let names: Vec<&str> = in_order(&catalog).into_iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
    }
}
