//! Why a lane of an index does not write.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use platform::kafka::KafkaError;
use platform::store::StoreError;
use platform::telemetry::error_text;
use polars::prelude::PolarsError;
use shared_logic::contracts::index::REFUSED_MAX;
use shared_logic::log::PartitionId;
use storage::{NotWritten, SearchError};
use tracing::{debug, error, info, warn};

use crate::log::opening::LogNotOpen;

/// How often the same is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(60);
/// How often a lane looks whether its topic is there, or its build is given up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a lane looks whether its build has the partition after all. Builds gain none, so it is another build that will.
const IN_BUILD_EVERY: Duration = Duration::from_secs(5);
/// How often a lane looks whether fewer documents are refused.
const REFUSED_EVERY: Duration = Duration::from_secs(10);

/// Why a build is given up. The batch layer deletes it, and builds the index again where it is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    /// Its index is gone, or another has its name.
    #[error("the search server has lost its index, or has another of that name")]
    Index,
    /// The server does not know how far a lane has written.
    #[error("the search server has no progress of {id} for it")]
    Progress {
        /// The lane's partition.
        id: PartitionId,
    },
    /// The log no longer holds what a lane has to read next.
    #[error("the log of {id} begins at {start} and no longer holds {cursor}, which it has not read yet")]
    Log {
        /// The partition.
        id: PartitionId,
        /// Where the lane stands.
        cursor: i64,
        /// Where the log begins.
        start: i64,
    },
    /// It may hold what was erased.
    #[error("it may hold what was erased from the archive since it was begun")]
    Erased,
}

/// Why a lane cannot begin yet. It waits and tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpen {
    /// The log cannot be gone on with.
    #[error(transparent)]
    Log(#[from] LogNotOpen),
    /// The build began before the archive knew the partition. Another will have it.
    #[error("build {number} does not have {id}: it waits for a build that does, which the next reconcile begins")]
    NotInBuild {
        /// The build.
        number: u64,
        /// The partition.
        id: PartitionId,
    },
    /// The build is given up.
    #[error("the build is given up: {0}")]
    Lost(Lost),
    /// I3: then not documents are wrong, but the index is.
    #[error(
        "the search server has refused {count} documents of build {number}, and nothing more is written above {REFUSED_MAX}: mend the \
         mapping or the data and run `braid index retry`, or build the index again with `braid index rebuild`"
    )]
    TooManyRefused {
        /// How many.
        count: u64,
        /// The build.
        number: u64,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The search server did not do what was asked.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// Why a lane stopped writing. It begins again from its progress.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    /// It was to stop.
    #[error("the lane is to stop")]
    Stopped,
    /// Reading ended.
    #[error("the partition is no longer read")]
    NotRead,
    /// R12: the log lost its tail.
    #[error(
        "{id} holds another record at {at} or before than what was read; waiting until the archive has begun another incarnation"
    )]
    Truncated {
        /// The partition.
        id: PartitionId,
        /// Where another record was found.
        at: i64,
    },
    /// R7: what was read may belong to another topic of the same name.
    #[error("the topic of {id} was deleted or created again; what was read may not be of this log")]
    AnotherTopic {
        /// The partition.
        id: PartitionId,
    },
    /// The archive has begun another incarnation of the partition.
    #[error("the archive has begun another incarnation of {id}")]
    Elsewhere {
        /// The partition.
        id: PartitionId,
    },
    /// A micro-batch does not begin at the cursor.
    #[error("a micro-batch of {id} begins at {from} and the cursor is {cursor}")]
    OutOfOrder {
        /// The partition.
        id: PartitionId,
        /// Where it begins.
        from: i64,
        /// Where the lane stands.
        cursor: i64,
    },
    /// I1: another worker has put a later progress.
    #[error("another worker is ahead with {id}")]
    Overtaken {
        /// The partition.
        id: PartitionId,
    },
    /// The build is given up.
    #[error("the build is given up: {0}")]
    Lost(Lost),
    /// I3: the server has refused too much.
    #[error("the search server has refused {count} documents")]
    TooManyRefused {
        /// How many.
        count: u64,
    },
    /// Documents were not all written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// The search server did not do what was asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// What was read has other columns than it should.
    #[error("cannot make documents of what was read")]
    Columns(#[from] PolarsError),
}

/// What was logged when, so that the same is not logged all the time.
#[derive(Debug, Default)]
pub(super) struct Logged(HashMap<&'static str, Instant>);

impl Logged {
    /// Whether something of that kind is to be logged now: the first time, and then once a minute.
    pub(super) fn is_due(&mut self, kind: &'static str, now: Instant) -> bool {
        let is_due = self.0.get(kind).is_none_or(|logged| now.duration_since(*logged) >= LOGGED_EVERY);
        if is_due {
            self.0.insert(kind, now);
        }
        is_due
    }

    /// Whatever happens next is logged.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl NotOpen {
    /// How long to wait before the next try, if that is not by the number of failures.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            NotOpen::Lost(_) | NotOpen::Log(LogNotOpen::NoTopic { .. }) => Some(LOOK_EVERY),
            NotOpen::NotInBuild { .. } => Some(IN_BUILD_EVERY),
            NotOpen::TooManyRefused { .. } => Some(REFUSED_EVERY),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            NotOpen::Log(LogNotOpen::NoTopic { .. } | LogNotOpen::NotArchived { .. }) => "no log",
            NotOpen::Log(LogNotOpen::BeyondTheEnd { .. }) => "beyond the end",
            NotOpen::NotInBuild { .. } => "not in the build",
            NotOpen::Lost(_) => "lost",
            NotOpen::TooManyRefused { .. } => "refused",
            NotOpen::Kafka(_) => "kafka",
            NotOpen::Store(_) => "store",
            NotOpen::Search(_) => "search",
        }
    }

    /// Logs it, unless the same was logged within a minute: as an error what an operator has to mend, otherwise as a warning or a notice.
    pub(super) fn report(&self, index: &str, partition: i32, logged: &mut Logged, now: Instant) {
        if !logged.is_due(self.kind(), now) {
            return;
        }
        let text = error_text(self);
        match self {
            NotOpen::Log(LogNotOpen::BeyondTheEnd { .. })
            | NotOpen::TooManyRefused { .. }
            | NotOpen::Search(SearchError::NotAllowed { .. }) => error!(index, partition, "{text}"),
            NotOpen::Log(_) | NotOpen::NotInBuild { .. } => info!(index, partition, "{text}; waiting for it"),
            // Who gives it up logs that.
            NotOpen::Lost(_) => debug!(index, partition, "{text}"),
            _ => warn!(index, partition, "{text}; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_logged_once_a_minute() {
        let (mut logged, begin) = (Logged::default(), Instant::now());
        assert!(logged.is_due("a", begin) && logged.is_due("b", begin));
        assert!(!logged.is_due("a", begin + LOGGED_EVERY - Duration::from_millis(1)));
        assert!(logged.is_due("a", begin + LOGGED_EVERY) && !logged.is_due("a", begin + LOGGED_EVERY));
        logged.forget();
        assert!(logged.is_due("b", begin));
    }

    #[test]
    fn too_many_refused_documents_name_the_fix_and_are_looked_at_rarely() {
        let refused = NotOpen::TooManyRefused { count: 10_001, number: 3 };
        let text = refused.to_string();
        assert!(text.contains("10001") && text.contains("braid index retry") && text.contains("braid index rebuild"));
        let other = NotOpen::NotInBuild { number: 3, id: PartitionId::new("log", 7) };
        assert!(other.wait() < refused.wait() && NotOpen::Search(SearchError::NotNamed).wait().is_none());
    }
}
