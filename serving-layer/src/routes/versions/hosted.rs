//! What is known of a version that is served here: how fresh and complete its answers are, how far it is counted, and what it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use platform::clock;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{Freshness, freshness};
use crate::app::App;
use crate::routes::status::{Progress, SourceReader, SourceStatus};
use crate::snapshot::Snapshot;
use crate::versions::Version;

/// How long Redis may take to say how much memory the shards of a source take. Beyond, that is reported as unknown.
const MEMORY_WITHIN: Duration = Duration::from_secs(2);

/// What is known of a version that is served. Whatever is not known is null.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct HostedStatus {
    /// Whether an answer of each metric over everything would be complete. Of a version that is not served, none would.
    complete: bool,
    /// How many gaps such answers have.
    #[schema(required = true)]
    gaps: Option<usize>,
    /// Why not, for each metric that is not.
    incomplete: Vec<String>,
    /// How far the answers are behind, of the metric that is furthest behind.
    #[schema(required = true)]
    lag_ms: Option<i64>,
    /// How many offsets the speed layer has counted of the logs that go on, and how many there are besides.
    #[schema(required = true)]
    progress: Option<Progress>,
    /// What its shards take of Redis, about.
    #[schema(required = true)]
    redis_bytes: Option<u64>,
    /// What the segments of its views take on the disk of the process that answers.
    #[schema(required = true)]
    view_bytes: Option<u64>,
    metrics: Vec<String>,
    streams: Vec<StreamOf>,
    /// Why it is not served by this process, or something of it is not known.
    #[schema(required = true)]
    error: Option<String>,
}

/// Where a stream of a version is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionStream)]
struct StreamOf {
    stream: String,
    /// The version in which it changed last; its lanes write it.
    generation: String,
    topic: String,
}

impl HostedStatus {
    /// Of a version that is not served, for this reason if it lives.
    pub(super) fn none(why: Option<&str>) -> HostedStatus {
        HostedStatus { error: why.map(str::to_owned), ..HostedStatus::default() }
    }

    /// What is known of a version now.
    pub(super) async fn of(app: &App, version: &Version) -> HostedStatus {
        let (snapshot, now_us) = (version.snapshots.current().unwrap_or_default(), clock::now_us());
        let metrics = &version.catalog.metrics;
        let counted: BTreeSet<&String> = metrics.values().map(|metric| &metric.source).collect();
        let answers = metrics.values().map(|metric| freshness(version, &snapshot, metric, now_us));
        let sources = counted.into_iter().map(|source| of_source(app, version, &snapshot, source));
        let (answers, sources): (Vec<Freshness>, Vec<(SourceStatus, Option<u64>)>) =
            tokio::join!(join_all(answers), join_all(sources));
        let deployment = &version.catalog.deployment;
        let streams = version.catalog.streams.values().map(|stream| StreamOf {
            stream: stream.name.clone(),
            generation: deployment.generation(&stream.name).to_owned(),
            topic: stream.topic.clone(),
        });
        let none = Progress { done: 0, to_go: Some(0) };
        HostedStatus {
            complete: answers.iter().all(|freshness| freshness.complete),
            gaps: answers.iter().map(|freshness| Some(freshness.gaps.as_ref()?.len())).sum(),
            incomplete: metrics
                .keys()
                .zip(&answers)
                .filter_map(|(metric, answer)| incomplete(metric, answer))
                .collect(),
            lag_ms: greatest(answers.iter().map(|freshness| freshness.lag_ms)),
            progress: Some(sources.iter().map(|(status, _)| status.progress()).fold(none, Progress::and)),
            redis_bytes: sources.iter().map(|(_, bytes)| *bytes).sum(),
            view_bytes: Some(snapshot.segment_bytes()),
            metrics: metrics.keys().cloned().collect(),
            streams: streams.collect(),
            error: answers.iter().find_map(|freshness| freshness.error.clone()),
        }
    }
}

/// How far a source is counted, and how many bytes its shards take.
async fn of_source(app: &App, version: &Version, snapshot: &Snapshot, source: &str) -> (SourceStatus, Option<u64>) {
    let reader = SourceReader::new(version, snapshot, &version.catalog.sources[source]);
    let (status, _) = reader.read(app.topics()).await;
    let ids = status.ids();
    let bytes = tokio::time::timeout(MEMORY_WITHIN, version.speed.memory(source, &ids)).await;
    (status, bytes.ok().and_then(Result::ok))
}

/// Why an answer of a metric would not be complete; `None` if it would.
fn incomplete(metric: &str, freshness: &Freshness) -> Option<String> {
    if freshness.complete {
        return None;
    }
    let first = freshness.gaps.as_ref().and_then(|gaps| gaps.first()).map(|gap| gap.text());
    let why = first.or(freshness.error.as_deref()).unwrap_or("it is not known why");
    Some(format!("metric {metric}: {why}"))
}

/// The greatest of them; `None` if one is not known, and 0 of none.
fn greatest(mut all: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    all.try_fold(0, |greatest, each| Some(each?.max(greatest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_as_far_behind_as_its_metric_that_is_furthest_behind() {
        assert_eq!(greatest([Some(3), Some(7), Some(5)].into_iter()), Some(7));
        assert_eq!(greatest([Some(3), None].into_iter()), None, "one is not known");
        assert_eq!(greatest(std::iter::empty()), Some(0), "nothing is counted");
    }

    #[test]
    fn progress_is_known_of_all_or_not_at_all() {
        let (one, other) = (Progress { done: 1, to_go: Some(2) }, Progress { done: 10, to_go: Some(20) });
        assert_eq!(one.and(other), Progress { done: 11, to_go: Some(22) });
        assert_eq!(one.and(Progress { to_go: None, ..other }), Progress { done: 11, to_go: None });
    }
}
