//! The topics that a lane writes: they have to be there, with the lane's own partition, before it opens (T3).
//!
//! A source that gains partitions gains lanes. The first of them to open adds partitions to what they write; several may do so at once, in
//! one process or in many, and whoever comes second finds them there. Whoever may not do so stands, and says it. The other lanes go on.

use platform::kafka::{KafkaError, Topic};
use shared_logic::stream_topics::{WrittenKind, WrittenTopic};
use tracing::info;

use super::source::Shared;

/// What a lane knows of the topics that it writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writable {
    /// How many partitions the topic of each stream has.
    pub outputs: Vec<i32>,
    /// The id of the progress topic.
    pub progress_log: String,
}

/// Why a lane cannot write.
#[derive(Debug, thiserror::Error)]
pub enum NotWritable {
    /// A topic does not exist.
    #[error("topic {topic} does not exist; `batch-layer init` creates it")]
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// A topic lacks the lane's partition, and does not get it.
    #[error(
        "topic {topic} has {has} partitions and lacks number {partition}; allow `Alter` on it, or run `batch-layer init` with that right"
    )]
    NotGrown {
        /// The topic's name.
        topic: String,
        /// How many partitions it has.
        has: i32,
        /// The partition that it lacks.
        partition: i32,
        /// What the broker said.
        source: KafkaError,
    },
    /// T7: the progress topic may forget how far streams were published.
    #[error("topic {topic} is not compacted, so it forgets what was published; set cleanup.policy to compact")]
    NotCompacted {
        /// The topic's name.
        topic: String,
    },
    /// A topic is getting the lane's partition.
    #[error("topic {topic} has {has} partitions so far and is getting more")]
    Growing {
        /// The topic's name.
        topic: String,
        /// How many partitions it has.
        has: i32,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// Finds out whether the lane of a partition can write, and adds partitions where its own is missing. `partitions`: how many the source has.
///
/// # Errors
/// [`NotWritable`]: wait and try again.
pub async fn writable(shared: &Shared, partition: i32, partitions: i32) -> Result<Writable, NotWritable> {
    let mut writable = Writable::default();
    for written in &shared.written {
        let mut known = described(shared, written).await?;
        if let Some(wanted) = written.grown_for(partition, partitions, known.partitions) {
            known = grown(shared, written, partition, &known, wanted).await?;
        }
        match written.kind {
            WrittenKind::Output => writable.outputs.push(known.partitions),
            WrittenKind::Late => {}
            WrittenKind::Progress => {
                if !shared.topics.is_compacted(&written.name).await? {
                    return Err(NotWritable::NotCompacted { topic: written.name.clone() });
                }
                writable.progress_log = known.log;
            }
        }
    }
    Ok(writable)
}

async fn described(shared: &Shared, written: &WrittenTopic) -> Result<Topic, NotWritable> {
    let known = shared.topics.describe(&written.name).await?;
    known.ok_or_else(|| NotWritable::NoTopic { topic: written.name.clone() })
}

async fn grown(
    shared: &Shared,
    written: &WrittenTopic,
    partition: i32,
    known: &Topic,
    wanted: i32,
) -> Result<Topic, NotWritable> {
    let (topic, has) = (written.name.clone(), known.partitions);
    info!(topic, has, wanted, "the source has more partitions; adding them to a topic that its lanes write");
    match shared.topics.grow(&topic, wanted).await {
        Ok(()) => {}
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(source) => return Err(NotWritable::NotGrown { topic, has, partition, source }),
    }
    // The broker that is asked may learn of it a moment later.
    let now = described(shared, written).await?;
    if now.partitions <= partition {
        return Err(NotWritable::Growing { topic, has: now.partitions });
    }
    Ok(now)
}
