//! The topics that Braid writes: those of streams, their side outputs, and the progress topics (T3).
//!
//! Each is created as the topic is that the stream reads, whose own has to be there first: with as many partitions, as many replicas, as
//! many of them in sync, and for records that are as large. Records get the broker's time, so that no producer's clock moves a front. What
//! exists stays as it is, but that it gets more partitions if the topic that it follows has more; where a map re-keys, other partitions
//! would move keys. What is not as it should be is said, with what mends it.

use std::time::Instant;

use platform::kafka::{KafkaError, Topic, Topics};
use platform::settings::Span;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Source, Stream};
use shared_logic::stream_topics::{TopicConfig, WrittenTopic, written_topics};
use tracing::{info, warn};

use super::{ASK_AGAIN, config};
use crate::topics::judged;

/// A topic that others follow.
struct Followed<'a> {
    source: &'a Source,
    topic: Topic,
    /// Nothing if the broker does not say it.
    config: TopicConfig,
}

/// Creates the topics of the catalog's streams where they are missing. Sources' topics are there.
///
/// # Errors
/// If Kafka does not answer, or refuses a topic.
pub(super) async fn create(topics: &Topics, catalog: &Catalog, timeout: Span) -> Result<(), KafkaError> {
    for source in in_order(catalog) {
        let Some(from) = followed(topics, &catalog.sources[source], timeout).await? else {
            warn!(source, "the topic that streams read is not there yet; theirs are not created");
            continue;
        };
        for written in written_topics(catalog, source) {
            as_followed(topics, &from, &written, timeout).await?;
        }
    }
    Ok(())
}

/// The sources that streams read, each behind the stream that it is. A checked catalog has no circle.
fn in_order(catalog: &Catalog) -> Vec<&str> {
    let mut sources: Vec<&str> = Vec::new();
    for stream in streams_in_order(catalog) {
        if !sources.contains(&stream.from.as_str()) {
            sources.push(&stream.from);
        }
    }
    sources
}

/// The streams, each behind the one that it reads. A checked catalog has no circle.
fn streams_in_order(catalog: &Catalog) -> Vec<&Stream> {
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

/// The source's topic, once the broker that is asked knows it: it may have been created a moment ago by another one.
async fn followed<'a>(topics: &Topics, source: &'a Source, timeout: Span) -> Result<Option<Followed<'a>>, KafkaError> {
    let asked = Instant::now();
    let topic = loop {
        match topics.describe(&source.topic).await? {
            Some(described) => break described,
            None if asked.elapsed() < timeout.get() => tokio::time::sleep(ASK_AGAIN).await,
            None => return Ok(None),
        }
    };
    Ok(Some(Followed { source, topic, config: known_config(topics, &source.topic, timeout).await? }))
}

/// The topic's configuration, as far as the broker says it.
async fn known_config(topics: &Topics, topic: &str, timeout: Span) -> Result<TopicConfig, KafkaError> {
    match config(topics, topic, timeout).await {
        // The in-process broker cannot be asked.
        Err(KafkaError::Unsupported { .. }) => Ok(TopicConfig::new()),
        answered => answered,
    }
}

/// Creates a topic that follows another one.
async fn as_followed(
    topics: &Topics,
    from: &Followed<'_>,
    written: &WrittenTopic,
    timeout: Span,
) -> Result<(), KafkaError> {
    let (name, partitions) = (written.name.as_str(), from.topic.partitions);
    if let Some(known) = topics.describe(name).await? {
        if written.grows && known.partitions < partitions {
            info!(topic = name, partitions, "the topic that it follows has more partitions; adding them");
            topics.grow(name, partitions).await?;
        }
        match known_config(topics, name, timeout).await {
            Ok(own) => {
                judged::written(written, &own, from.source, &from.config).iter().for_each(|found| warn!("{found}"))
            }
            Err(error) if error.is_transient() => return Err(error),
            // Lanes do without.
            Err(error) => warn!("{}", judged::not_configured(name, &error_text(&error))),
        }
        return Ok(());
    }
    let config = written.config(from.source, &from.config);
    let config: Vec<(&str, &str)> = config.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
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
        let names: Vec<&str> = streams_in_order(&catalog).into_iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(in_order(&catalog), ["s", "c", "b"], "what is read was written before");
    }
}
