//! What is kept of a check, and told to telemetry: a row for each stream.

use metrics::{counter, gauge};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::reconciliation::{
    MovedRange, NotCompared, OutputDifference, PARTITIONS_MAX, Reconciliation, StreamCheck,
};
use shared_logic::stream::{LanePlan, StreamPlan};
use shared_logic::stream_check::{Found, others};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::stream::rounds::{LaneSpan, Rounds, StreamSide};
use crate::stream::written::output_id;

/// Why there is no comparison, as words.
const NOT_YET: &str = "not_yet";
const NOT_POSSIBLE: &str = "not_possible";
/// Why some offsets are not compared, besides the reasons of lanes.
const OTHER_DEFINITION: &str = "other_definition";
const INCOMPLETE: &str = "incomplete";

/// The most stretches that a row names as not compared. One that names as many may have passed over more.
pub(crate) const STRETCHES_MAX: usize = 64;

/// What all rows of a check have in common.
pub(super) struct About {
    streams: Vec<StreamPlan>,
    generation: String,
    archive_version: u64,
    began: Instant,
}

/// The rows of streams over a source whose check was not possible.
pub(crate) fn not_possible(catalog: &Catalog, source: &Source, began: Instant, why: &str) -> Vec<Reconciliation> {
    warn!(source = source.name, why, "streams cannot be checked; trying again with the next reconcile");
    About::new(catalog, source, 0, began).without(NOT_POSSIBLE, why)
}

impl About {
    pub(super) fn new(catalog: &Catalog, source: &Source, archive_version: u64, began: Instant) -> About {
        let streams = LanePlan::new(catalog, source).streams().to_vec();
        About { streams, generation: catalog.deployment.version.clone(), archive_version, began }
    }

    /// Rows that say that an archive is behind.
    pub(super) fn not_yet(&self, behind: &str) -> Vec<Reconciliation> {
        info!(behind, "streams are not checked yet");
        self.without(NOT_YET, behind)
    }

    fn without(&self, reason: &str, detail: &str) -> Vec<Reconciliation> {
        let at_us = platform::clock::now_us();
        let row = |stream: &StreamPlan| {
            count(stream, reason);
            Reconciliation {
                comparable: false,
                reason: Some(reason.to_owned()),
                detail: Some(detail.to_owned()),
                ..self.row(stream, at_us)
            }
        };
        self.streams.iter().map(row).collect()
    }

    /// Rows that say that there was nothing new.
    pub(super) fn nothing(&self) -> Vec<Reconciliation> {
        let at_us = platform::clock::now_us();
        self.streams.iter().map(|stream| self.row(stream, at_us)).collect()
    }

    /// Rows that say what was found.
    pub(super) fn rows(&self, mut rounds: Rounds<'_>, at_us: i64) -> Vec<Reconciliation> {
        let (ranges, rows_read) = (rounds.ranges(), rounds.rows_read);
        let reached: Vec<i64> = (0..rounds.lanes.len()).map(|lane| rounds.reached(lane)).collect();
        let mut rows = Vec::with_capacity(self.streams.len());
        for (at, stream) in self.streams.iter().enumerate() {
            let found = rounds.streams[at].found();
            let mut check = self.check(stream, &rounds.streams[at], found, &rounds.lanes);
            check.not_compared = not_compared(at, &rounds.streams[at], &rounds.lanes, &reached);
            if let Some(split) = rounds.split_keys(at) {
                (check.split_keys, check.split_record) = (split.count(), split.record());
            }
            record(stream, &check);
            rows.push(Reconciliation {
                offsets: ranges.iter().map(|range| range.to.abs_diff(range.from)).sum(),
                partitions: ranges.len() as u64,
                ranges: ranges.iter().take(PARTITIONS_MAX).map(MovedRange::from).collect(),
                rows_read,
                stream_check: Some(check),
                ..self.row(stream, at_us)
            });
        }
        rows
    }

    fn check(&self, stream: &StreamPlan, side: &StreamSide, found: Found, lanes: &[LaneSpan]) -> StreamCheck {
        let Found { compared, missing, extra, different, first } = found;
        let first = first.into_iter().map(|(place, kind)| {
            let id = output_id(&stream.name, &self.generation, &lanes[place.lane].id, place.position);
            OutputDifference { id, kind }
        });
        StreamCheck {
            outputs: compared,
            late: side.late,
            missing,
            extra,
            different,
            first: first.collect(),
            ..StreamCheck::default()
        }
    }

    /// A row about nothing.
    fn row(&self, stream: &StreamPlan, at_us: i64) -> Reconciliation {
        Reconciliation {
            metric: stream.name.clone(),
            definition: stream.definition.clone(),
            view_version: self.archive_version,
            reconciled_at_us: at_us,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            offsets: 0,
            partitions: 0,
            ranges: Vec::new(),
            rows_read: 0,
            rows_added: 0,
            hours_recomputed: 0,
            comparable: true,
            reason: None,
            detail: None,
            drift: None,
            stream_check: Some(StreamCheck::default()),
            index_check: None,
        }
    }
}

/// The offsets of which a stream's outputs were not compared, and why; some of them if there are many.
fn not_compared(stream: usize, side: &StreamSide, lanes: &[LaneSpan], reached: &[i64]) -> Vec<NotCompared> {
    let mut all = Vec::new();
    for (at, lane) in lanes.iter().enumerate() {
        let range = lane.from..reached[at];
        if range.is_empty() {
            continue;
        }
        let (stretches, reason) = match lane.left_out {
            Some(reason) => (vec![range], reason),
            None if side.incomplete.contains(&at) => (vec![range], INCOMPLETE),
            None => (others(&lane.compared[stream], &range), OTHER_DEFINITION),
        };
        all.extend(stretches.into_iter().map(|stretch| NotCompared {
            log: lane.id.log.clone(),
            partition: lane.id.partition,
            from: stretch.start,
            to: stretch.end,
            reason: reason.to_owned(),
        }));
    }
    all.truncate(STRETCHES_MAX);
    all
}

/// Writes what was found to telemetry and to the log.
fn record(stream: &StreamPlan, check: &StreamCheck) {
    let name = stream.name.as_str();
    count(stream, "compared");
    counter!("braid_stream_check_outputs_total", "stream" => name.to_owned()).increment(check.outputs);
    for (kind, by) in [("missing", check.missing), ("extra", check.extra), ("different", check.different)] {
        counter!("braid_stream_check_differences_total", "stream" => name.to_owned(), "kind" => kind).increment(by);
    }
    gauge!("braid_stream_check_split_keys", "stream" => name.to_owned()).set(check.split_keys as f64);
    let StreamCheck { outputs, missing, extra, different, .. } = check;
    if check.differences() > 0 {
        let first = check.first.iter().map(|output| format!("{} {}", output.kind.name(), output.id));
        let first = first.collect::<Vec<_>>().join(", ");
        error!(stream = name, outputs, missing, extra, different, first, "a stream is not what its definition decides");
    } else {
        debug!(stream = name, outputs, "a stream is what its definition decides");
    }
    if let Some(record) = &check.split_record {
        warn!(
            stream = name,
            keys = check.split_keys,
            record,
            "keys lie in several partitions, so each partition decides for itself"
        );
    }
}

fn count(stream: &StreamPlan, outcome: &str) {
    let labels = [("stream", stream.name.clone()), ("outcome", outcome.to_owned())];
    counter!("braid_stream_checks_total", &labels).increment(1);
}
