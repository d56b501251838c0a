//! Whether an answer is complete, and as of when (R9).

use shared_logic::complete::{self, Verdict};

use crate::asked::Asked;
use crate::snapshot::{Shards, Snapshot};
use crate::speed_view::ShardReadings;

/// What a snapshot and the shards that were read for it say about completeness.
pub(super) struct Judgement {
    /// What is missing, and from which offsets on slices count.
    pub(super) verdict: Verdict,
    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(super) as_of_us: Option<i64>,
}

/// Judges an answer about a metric.
pub(super) fn judge(snapshot: &Snapshot, asked: Asked<'_>, read: &ShardReadings) -> Judgement {
    let positions =
        read.iter().map(|(id, reading)| (id.clone(), reading.as_ref().map(|reading| reading.shard.clone())));
    let shards: Shards = positions.collect();
    let judged = snapshot.of_metric(asked, &shards);
    Judgement { verdict: complete::judge(&judged), as_of_us: as_of(&judged, read) }
}

/// The oldest of the partitions' moments. A partition's moment is the latest at which Kafka gave an end offset that its shard
/// has reached. It is never later than the topic's last description; `None` if the moment of a partition is not known.
fn as_of(judged: &complete::Evidence<'_>, read: &ShardReadings) -> Option<i64> {
    let mut oldest = judged.topic?.at_us;
    for id in complete::needed_shards(judged) {
        let reading = read.get(&id).and_then(Option::as_ref);
        // A closed log gets no new records. If its shard has counted all that was archived, the partition holds nothing back.
        let closed = judged.archive.filter(|facts| facts.is_ended(&id)).and_then(|facts| facts.partition(&id));
        if let (Some(closed), Some(reading)) = (closed, reading)
            && reading.shard.cursor >= closed.next
        {
            continue;
        }
        oldest = oldest.min(reading?.as_of_us?);
    }
    Some(oldest)
}
