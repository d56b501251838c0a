//! What a lookup makes of the last changes of a key (B1, B4).

use super::HeldChange;
use crate::contracts::archive::Facts;
use crate::log::{PartitionId, partition_of};
use crate::stream::Seen;
use crate::table::{ChangeAt, LogOrder, decides};

/// The last change of a key in one partition, below a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct LastChange<'a> {
    /// The partition.
    pub id: &'a PartitionId,
    /// The first offset whose change is not regarded.
    pub cursor: i64,
    /// The change; `None`: there is none below the cursor.
    pub change: Option<HeldChange>,
}

/// The partitions of a table that may hold a key: those of the topic's log as it is now, of which there are so many, and all others that
/// are archived. A key that was not changed since has its row there.
pub fn partitions(facts: &Facts, log: &str, number: i32) -> Vec<PartitionId> {
    let mut ids: Vec<PartitionId> = (0..number).map(|partition| facts.current(log, partition)).collect();
    let others = facts.partitions().map(|(id, _)| id).filter(|id| !ids.contains(id));
    let others: Vec<PartitionId> = others.collect();
    ids.extend(others);
    ids
}

/// B1: the change that decides among those of all partitions, if there is one, by its position; and what an output says it has seen
/// ([`Seen`]). A delete decides like any other change. `log` is the topic's log, where a key that was never changed is looked for.
pub fn found(key: &str, lasts: &[LastChange<'_>], log: &str, logs: &LogOrder) -> (Option<usize>, Seen) {
    let changed: Vec<usize> = (0..lasts.len()).filter(|at| lasts[*at].change.is_some()).collect();
    let places = changed.iter().map(|at| {
        let LastChange { id, change, .. } = &lasts[*at];
        let (offset, timestamp_us) = change.as_ref().map_or((0, 0), |change| (change.offset, change.timestamp_us));
        ChangeAt { log: id.log.as_str().into(), partition: id.partition, offset, timestamp_us }
    });
    let places: Vec<ChangeAt> = places.collect();
    let decides = decides(&places, logs).map(|at| changed[at]);
    let place = |last: &LastChange<'_>| (last.id.clone(), last.cursor);
    let seen = if changed.is_empty() {
        own(key, lasts, log).map(place).into_iter().collect()
    } else {
        changed.iter().map(|at| place(&lasts[*at])).collect()
    };
    (decides, Seen(seen))
}

/// Where a key lies that was never changed, as far as its producer divides keys as Kafka's own partitioner does.
fn own<'a, 'b>(key: &str, lasts: &'a [LastChange<'b>], log: &str) -> Option<&'a LastChange<'b>> {
    let of_log = || lasts.iter().filter(move |last| last.id.topic() == log);
    let partitions = of_log().map(|last| last.id.partition).max()? + 1;
    let own = partition_of(key.as_bytes(), partitions);
    // The last incarnation of a partition is the one that goes on.
    of_log().filter(|last| last.id.partition == own).max_by_key(|last| last.id.incarnation()).or_else(|| lasts.last())
}
