//! Whether a stream is written at all, how far it was, and what an operator should know of it.

use serde::Serialize;
use shared_logic::catalog::StreamKind;
use shared_logic::contracts::stream::Published;
use shared_logic::stream::OutputPosition;
use shared_logic::stream_standing::{Standing, StandingPartition};
use shared_logic::time::format_rfc3339;

use crate::stream_read::{Lanes, StreamReader};
use crate::versions::Version;

/// How a stream is written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// Whether it is written at all; null if that is not known.
    pub(crate) written: Option<bool>,
    /// Why it is not, or why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What stops it, in some partition at least.
    pub(crate) stopped: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// How far a stream was written in one partition of its source.
#[derive(Debug, Serialize)]
pub(super) struct PartitionWritten {
    partition: i32,
    /// The log that was read up to there.
    log: Option<String>,
    /// Behind the last output that was published.
    published: Option<OutputPosition>,
    published_at: Option<String>,
    /// How far the events have come in time.
    front: Option<String>,
    /// The end of the source's partition.
    end: Option<i64>,
    /// How many offsets of it are not decided.
    behind: Option<i64>,
}

/// What the status says of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct StreamStatus {
    name: String,
    from: String,
    /// How many offsets of the source are not decided, in all partitions; null if that is not known of one.
    behind: Option<i64>,
    /// When the partition was written to that was not written to for longest.
    published_at: Option<String>,
    /// How many windows and sessions were open where logs ended, and are never written; null if that is not known.
    never_written: Option<u64>,
    #[serde(flatten)]
    written: Written,
}

/// What the status says of every stream of a version.
pub(crate) async fn of_all(version: &Version) -> Vec<StreamStatus> {
    let streams = version.streams.values().map(async |stream| {
        let lanes = version.lanes(stream).newest().await;
        let standing = standing(stream, &lanes);
        let behind: Option<Vec<i64>> = standing.partitions.iter().map(|partition| partition.behind).collect();
        let published = lanes.seen.lanes.values().filter(|lane| lane.published.contains_key(&stream.stream.name));
        StreamStatus {
            name: stream.stream.name.clone(),
            from: stream.stream.from.clone(),
            behind: behind.filter(|behind| !behind.is_empty()).map(|behind| behind.iter().sum()),
            published_at: published.filter_map(|lane| lane.published_us).min().map(format_rfc3339),
            never_written: lanes.never_written(&stream.stream.name),
            written: written(stream, &lanes, &standing),
        }
    });
    futures::future::join_all(streams).await
}

/// How a stream stands.
pub(super) fn standing(stream: &StreamReader, lanes: &Lanes) -> Standing {
    lanes.standing(&stream.stream.name, &stream.definition)
}

/// Whether a stream is written, by what is known of its lanes.
pub(super) fn written(stream: &StreamReader, lanes: &Lanes, standing: &Standing) -> Written {
    let stopped: Vec<String> = standing.stopped.iter().map(ToString::to_string).collect();
    let is_written = lanes.seen.lanes.values().any(|lane| lane.published.contains_key(&stream.stream.name));
    let (written, why) = match &lanes.error {
        _ if lanes.seen.knows_transactions == Some(false) => (Some(false), stopped.first().cloned()),
        Some(error) => (None, Some(error.clone())),
        None if is_written => (Some(true), None),
        None => (Some(false), stopped.first().cloned()),
    };
    Written { written, why, stopped, warnings: warnings(stream, lanes) }
}

fn warnings(stream: &StreamReader, lanes: &Lanes) -> Vec<String> {
    let mut warnings = Vec::new();
    let keeps_time = !matches!(stream.stream.kind, StreamKind::Map(_));
    if keeps_time && lanes.dates_records == Some(false) {
        warnings.push(format!(
            "the timestamps in the topic of {} are those of its producers (CreateTime): one whose clock is ahead makes the \
             events of all others late; set message.timestamp.type=LogAppendTime if that matters",
            stream.stream.from
        ));
    }
    if let Some(partitions) = where_last(stream, lanes, |last| last.incomplete) {
        warnings.push(format!(
            "what was published last in partitions {partitions} was decided from an incomplete past (`incomplete`): the log of {} \
             does not hold all of it any more",
            stream.stream.from
        ));
    }
    warnings
}

/// The partitions of which that is so of what was published last; `None` if there are none.
fn where_last(stream: &StreamReader, lanes: &Lanes, is_so: impl Fn(&Published) -> bool) -> Option<String> {
    let last = lanes.seen.lanes.iter().filter_map(|(partition, lane)| {
        let last = lane.published.get(&stream.stream.name)?;
        is_so(last).then(|| partition.to_string())
    });
    let partitions: Vec<String> = last.collect();
    (!partitions.is_empty()).then(|| partitions.join(", "))
}

/// How far a stream was written in each partition of its source.
pub(super) fn partitions(stream: &StreamReader, lanes: &Lanes, standing: &Standing) -> Vec<PartitionWritten> {
    let partition = |known: &StandingPartition| {
        let lane = lanes.seen.lanes.get(&known.id.partition);
        // Of whatever log: an older one is what was written last.
        let last = lane.and_then(|lane| lane.published.get(&stream.stream.name));
        let published_us = last.and(lane).and_then(|lane| lane.published_us);
        PartitionWritten {
            partition: known.id.partition,
            log: last.map(|last| last.log.clone()),
            published: last.map(|last| last.position),
            published_at: published_us.map(format_rfc3339),
            front: last.and_then(|last| last.fronts.front_us()).map(format_rfc3339),
            end: known.end,
            behind: known.behind,
        }
    };
    standing.partitions.iter().map(partition).collect()
}
