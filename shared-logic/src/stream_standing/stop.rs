//! What stops a stream, as a sentence that says what to do about it.

use std::fmt;

use crate::catalog::DefinitionHash;
use crate::contracts::stream::Stopped;
use crate::log::PartitionId;
use crate::time::format_rfc3339;

/// What stops a stream. Displayed, it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The brokers know no transactions.
    NoTransactions,
    /// The topic that it reads does not exist.
    NoSource {
        /// The source's name.
        source: String,
    },
    /// A topic does not exist that lanes write.
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// A topic that lanes write has fewer partitions than the source.
    TooFewPartitions {
        /// The topic's name.
        topic: String,
        /// How many it has.
        has: i32,
        /// How many the source has.
        needs: i32,
    },
    /// Lanes begin where the archive begins.
    NotArchived {
        /// The source's name.
        source: String,
    },
    /// The same, of partitions.
    NotBegun {
        /// The partitions.
        partitions: Vec<i32>,
    },
    /// T7: nothing says what was published.
    ProgressLost {
        /// The source's name.
        source: String,
    },
    /// What was published lies beyond the log's end.
    LostData {
        /// The partition.
        id: PartitionId,
        /// Up to where it was read.
        at: i64,
        /// Where it ends.
        end: i64,
    },
    /// Lanes have noted why they do not go on.
    Noted {
        /// The partitions.
        partitions: Vec<i32>,
        /// What their lanes have noted.
        stopped: Stopped,
    },
    /// What was published last was decided by another definition than the catalog's.
    AnotherDefinition {
        /// The partitions.
        partitions: Vec<i32>,
        /// The other definition.
        definition: DefinitionHash,
    },
    /// T10: there is no room for more of what lanes remember.
    Full {
        /// The partitions.
        partitions: Vec<i32>,
        /// The stream that takes the most, of all lanes of the process.
        fills: String,
    },
    /// Nothing of this log was published.
    NothingPublished {
        /// The partitions.
        partitions: Vec<i32>,
    },
}

impl Stop {
    /// Whether it stops the lane of that partition.
    pub(super) fn stops(&self, partition: i32) -> bool {
        match self {
            Stop::NoTransactions
            | Stop::NoSource { .. }
            | Stop::NoTopic { .. }
            | Stop::NotArchived { .. }
            | Stop::ProgressLost { .. } => true,
            // The lanes of the partitions that it has go on.
            Stop::TooFewPartitions { has, .. } => partition >= *has,
            Stop::LostData { id, .. } => id.partition == partition,
            Stop::NotBegun { partitions }
            | Stop::Noted { partitions, .. }
            | Stop::AnotherDefinition { partitions, .. }
            | Stop::Full { partitions, .. }
            | Stop::NothingPublished { partitions } => partitions.contains(&partition),
        }
    }

    /// Adds it to others: one that says the same of other partitions says it of these, too.
    pub(super) fn join(self, others: &mut Vec<Stop>) {
        for other in &mut *others {
            match (other, &self) {
                (Stop::NotBegun { partitions }, Stop::NotBegun { partitions: more })
                | (Stop::NothingPublished { partitions }, Stop::NothingPublished { partitions: more }) => {
                    partitions.extend(more);
                    return;
                }
                (
                    Stop::AnotherDefinition { partitions, definition },
                    Stop::AnotherDefinition { partitions: more, definition: same },
                ) if *definition == *same => {
                    partitions.extend(more);
                    return;
                }
                (Stop::Full { partitions, fills }, Stop::Full { partitions: more, fills: same }) if *fills == *same => {
                    partitions.extend(more);
                    return;
                }
                (Stop::Noted { partitions, stopped }, Stop::Noted { partitions: more, stopped: same })
                    if stopped.why == same.why =>
                {
                    partitions.extend(more);
                    stopped.since_us = stopped.since_us.min(same.since_us);
                    stopped.tried_us = stopped.tried_us.max(same.tried_us);
                    return;
                }
                _ => {}
            }
        }
        others.push(self);
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::NoTransactions => f.write_str(
                "the in-process broker knows no transactions, so nothing could be written exactly once; use a real broker",
            ),
            Stop::NoSource { source } => {
                write!(f, "the topic of {source} does not exist; `batch-layer init` creates it")
            }
            Stop::NoTopic { topic } => write!(f, "topic {topic} does not exist; `batch-layer init` creates it"),
            Stop::TooFewPartitions { topic, has, needs } => write!(
                f,
                "topic {topic} has {has} partitions, and its source has {needs}: lanes add them if they may, and `batch-layer init` does"
            ),
            Stop::NotArchived { source } => {
                write!(f, "nothing of {source} is archived yet: is `batch-layer archive` running?")
            }
            Stop::NotBegun { partitions } => {
                write!(f, "the archive has not begun {}: is `batch-layer archive` running?", Numbers(partitions))
            }
            Stop::ProgressLost { source } => write!(
                f,
                "the progress topic was lost, so nothing says what was published: see `braid streams set-published {source}`"
            ),
            Stop::LostData { id, at, end } => {
                write!(
                    f,
                    "{id} was read up to {at}, and its log ends at {end}: the broker lost data; it goes on when the data is back, or once \
                     the archive has begun another incarnation; if the data will not come back, see `braid lost give-up`"
                )
            }
            Stop::Noted { partitions, stopped } => {
                let (since, tried) = (format_rfc3339(stopped.since_us), format_rfc3339(stopped.tried_us));
                let (which, why) = (Numbers(partitions), &stopped.why);
                write!(f, "{which} cannot go on since {since}: {why} (last tried at {tried})")
            }
            Stop::AnotherDefinition { partitions, definition } => write!(
                f,
                "what was published last of {} was decided by another definition, {definition}: `speed-layer` runs with another catalog",
                Numbers(partitions)
            ),
            Stop::Full { partitions, fills } => write!(
                f,
                "stream `{fills}` fills the memory of lanes (streams.state), so nothing more of {} is read until others need less, or streams.state is raised",
                Numbers(partitions)
            ),
            Stop::NothingPublished { partitions } => write!(
                f,
                "nothing of {} is published: is `speed-layer` running, with this catalog?",
                Numbers(partitions)
            ),
        }
    }
}

/// Partitions by their numbers.
struct Numbers<'a>(&'a [i32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "partition " } else { "partitions " })?;
        for (at, partition) in self.0.iter().enumerate() {
            write!(f, "{}{partition}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
