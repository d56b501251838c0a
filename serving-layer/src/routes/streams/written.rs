//! Whether a stream is written at all, how far it was, and what an operator should know of it.

use serde::Serialize;
use shared_logic::catalog::StreamKind;
use shared_logic::contracts::stream::Published;
use shared_logic::log::topic_of;
use shared_logic::stream::OutputPosition;
use shared_logic::time::format_rfc3339;

use crate::stream_read::{LanePartition, Lanes, StreamReader};
use crate::versions::Version;

/// How a stream is written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// Whether it is written at all; null if that is not known.
    pub(crate) written: Option<bool>,
    /// Why it is not, or why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
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
    #[serde(flatten)]
    written: Written,
}

/// What the status says of every stream of a version.
pub(crate) async fn of_all(version: &Version) -> Vec<StreamStatus> {
    let streams = version.streams.values().map(async |stream| {
        let lanes = version.lanes(stream).newest().await;
        let behind: Option<Vec<i64>> = partitions(stream, &lanes).iter().map(|partition| partition.behind).collect();
        let published = lanes.partitions.values().filter_map(|lane| lane.published.get(&stream.stream.name));
        let published_at = published.filter_map(|last| last.at_us);
        StreamStatus {
            name: stream.stream.name.clone(),
            from: stream.stream.from.clone(),
            behind: behind.filter(|behind| !behind.is_empty()).map(|behind| behind.iter().sum()),
            published_at: published_at.min().map(format_rfc3339),
            written: written(stream, &lanes),
        }
    });
    futures::future::join_all(streams).await
}

/// Whether a stream is written, by what is known of its lanes.
pub(super) fn written(stream: &StreamReader, lanes: &Lanes) -> Written {
    let (written, why) = match lanes {
        Lanes { knows_transactions: Some(false), .. } => {
            let why = "the in-process broker knows no transactions, so nothing could be written exactly once; use a real broker";
            (Some(false), Some(why.to_owned()))
        }
        Lanes { error: Some(error), .. } => (None, Some(error.clone())),
        Lanes { log: None, .. } => (Some(false), Some(format!("the topic of {} does not exist", stream.stream.from))),
        _ if lanes.partitions.values().all(|lane| !lane.published.contains_key(&stream.stream.name)) => {
            let why = "no lane has published anything of it; does `speed-layer` run, with this catalog?";
            (Some(false), Some(why.to_owned()))
        }
        _ => (Some(true), None),
    };
    Written { written, why, warnings: warnings(stream, lanes) }
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
    if let Some(partitions) = where_last(stream, lanes, |last| last.definition != stream.definition) {
        warnings.push(format!(
            "what was published last in partitions {partitions} was decided by another definition than the catalog's"
        ));
    }
    if let Some(partitions) = where_last(stream, lanes, |last| last.incomplete) {
        warnings.push(format!(
            "what was published last in partitions {partitions} was decided from an incomplete past (`incomplete`): the log of {} \
             does not hold all of it any more",
            stream.stream.from
        ));
    }
    if let Some(partitions) = where_last(stream, lanes, |last| last.full.is_some()) {
        let mut last = lanes.partitions.values().filter_map(|lane| lane.published.get(&stream.stream.name));
        let fills = last.find_map(|last| last.published.full.clone()).unwrap_or_default();
        warnings.push(format!(
            "the lanes of partitions {partitions} have stopped: `{fills}` fills the memory of lanes (`streams.state`); they go on when others              need less, or with more of it"
        ));
    }
    warnings
}

/// The partitions of which that is so of what was published last; `None` if there are none.
fn where_last(stream: &StreamReader, lanes: &Lanes, is_so: impl Fn(&Published) -> bool) -> Option<String> {
    let last = lanes.partitions.iter().filter_map(|(partition, lane)| {
        let last = lane.published.get(&stream.stream.name)?;
        is_so(&last.published).then(|| partition.to_string())
    });
    let partitions: Vec<String> = last.collect();
    (!partitions.is_empty()).then(|| partitions.join(", "))
}

/// How far a stream was written in each partition of its source.
pub(super) fn partitions(stream: &StreamReader, lanes: &Lanes) -> Vec<PartitionWritten> {
    let partition = |(partition, lane): (&i32, &LanePartition)| {
        let last = lane.published.get(&stream.stream.name);
        let is_current = last.is_some_and(|last| lanes.log.as_deref() == Some(topic_of(&last.published.log)));
        let read = last.filter(|_| is_current).map(|last| last.published.position.offset);
        PartitionWritten {
            partition: *partition,
            log: last.map(|last| last.published.log.clone()),
            published: last.map(|last| last.published.position),
            published_at: last.and_then(|last| last.at_us).map(format_rfc3339),
            front: last.and_then(|last| last.published.fronts.front_us()).map(format_rfc3339),
            end: lane.end,
            behind: lane.end.zip(read).map(|(end, read)| (end - read).max(0)),
        }
    };
    lanes.partitions.iter().map(partition).collect()
}
