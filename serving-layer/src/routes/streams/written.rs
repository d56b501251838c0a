//! Whether a stream is written at all, how far it was, and what an operator should know of it.

use serde::Serialize;
use shared_logic::catalog::StreamKind;
use shared_logic::contracts::stream::Published;
use shared_logic::stream::OutputPosition;
use shared_logic::stream_standing::{Standing, StandingPartition};
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use crate::stream_read::{Lanes, StreamReader};
use crate::versions::Version;

/// How a stream is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamWritten)]
pub(crate) struct Written {
    /// Whether the stream is written at all. It is not by `braid up` with the in-process broker, which knows no transactions. Null if that is
    /// not known.
    #[schema(required = true)]
    pub(crate) written: Option<bool>,
    /// Why it is not, or why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What stops it in some partition at least, as sentences.
    pub(crate) stopped: Vec<String>,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
}

/// How far a stream was written in one partition of its source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamPartition)]
pub(super) struct PartitionWritten {
    partition: i32,
    /// The log that was read up to there.
    #[schema(required = true)]
    log: Option<String>,
    /// Behind the last output that was published: the offset of the record in the source, and how many outputs of it are.
    #[schema(required = true)]
    published: Option<OutputPosition>,
    #[schema(required = true, format = DateTime)]
    published_at: Option<String>,
    /// How far the events have come in time.
    #[schema(required = true, format = DateTime)]
    front: Option<String>,
    /// The end of the source's partition.
    #[schema(required = true)]
    end: Option<i64>,
    /// How many offsets of the source are not decided. Null if nothing of the present log was published.
    #[schema(required = true)]
    behind: Option<i64>,
}

/// What the status says of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamStatus {
    pub(in crate::routes) name: String,
    from: String,
    /// How many offsets of the source are not decided, in all partitions; null if that is not known of one.
    #[schema(required = true)]
    pub(in crate::routes) behind: Option<i64>,
    /// When the partition was written to that was not written to for longest.
    #[schema(required = true, format = DateTime)]
    published_at: Option<String>,
    /// The same in microseconds since 1970.
    #[serde(skip)]
    pub(in crate::routes) published_us: Option<i64>,
    /// How many windows and sessions were open where logs of the source ended, as its topic was deleted or made anew, or lost its tail. They are
    /// never written. Null if that is not known.
    #[schema(required = true)]
    never_written: Option<u64>,
    #[serde(flatten)]
    pub(in crate::routes) written: Written,
}

/// What the status says of every stream of a version.
pub(crate) async fn of_all(version: &Version) -> Vec<StreamStatus> {
    let streams = version.streams.values().map(async |stream| {
        let lanes = version.lanes(stream).newest().await;
        let standing = standing(stream, &lanes);
        let behind: Option<Vec<i64>> = standing.partitions.iter().map(|partition| partition.behind).collect();
        let published = lanes.seen.lanes.values().filter(|lane| lane.published.contains_key(&stream.stream.name));
        let published_us = published.filter_map(|lane| lane.published_us).min();
        StreamStatus {
            name: stream.stream.name.clone(),
            from: stream.stream.from.clone(),
            behind: behind.filter(|behind| !behind.is_empty()).map(|behind| behind.iter().sum()),
            published_at: published_us.map(format_rfc3339),
            published_us,
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
