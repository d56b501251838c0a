//! What the status says of the active version, as gauges, for who watches all the time: how old answers are, how far the layers are behind, and
//! what is missing. What is not known has no number (NaN), so that no old one is taken for a new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use platform::clock;

use super::body::{SourceStatus, Status};
use crate::answer::freshness;
use crate::app::App;
use crate::search_read::{Known, SearchReader};
use crate::versions::Version;

/// A gauge and its labels.
type Gauge = (&'static str, Vec<(&'static str, String)>);

/// The gauges that were told, each once.
#[derive(Default)]
struct Told(BTreeSet<Gauge>);

/// Tells gauges every `telemetry.gauges_every`, for ever.
pub(crate) async fn follow(app: &App) {
    let mut before = Told::default();
    loop {
        tokio::time::sleep(app.telemetry.gauges_every.get()).await;
        let version = Arc::clone(app.versions.hosted().active());
        let now = told(app, &version).await;
        before.0.iter().filter(|gauge| !now.0.contains(gauge)).for_each(|(name, labels)| set(name, labels, f64::NAN));
        before = now;
    }
}

async fn told(app: &App, version: &Version) -> Told {
    let mut told = Told::default();
    let status = super::of(app, version).await;
    told.tell("braid_serving_snapshot_age_seconds", &[], version.snapshots.age().map(|age| age.as_secs_f64()));
    told.dependencies(&status);
    status.sources.iter().for_each(|source| told.source(source));
    let now_us = clock::now_us();
    for stream in &status.streams {
        let labels = [("stream", stream.name.as_str())];
        told.tell("braid_serving_stream_behind_records", &labels, stream.behind.map(|behind| behind as f64));
        let age = stream.published_us.map(|at_us| (now_us - at_us).max(0) as f64 / 1e6);
        told.tell("braid_serving_stream_published_age_seconds", &labels, age);
        told.tell(
            "braid_serving_stream_stopped",
            &labels,
            Some(f64::from(u8::from(!stream.written.stopped.is_empty()))),
        );
    }
    for table in &status.tables {
        let behind = table.behind.map(|behind| behind as f64);
        told.tell("braid_serving_table_behind_records", &[("table", table.name.as_str())], behind);
    }
    version.searches.values().for_each(|reader| told.index(reader, now_us));
    let snapshot = version.snapshots.current().unwrap_or_default();
    let metrics = version.catalog.metrics.values();
    let fresh =
        join_all(metrics.map(async |metric| (metric, freshness(version, &snapshot, metric, now_us).await))).await;
    for (metric, fresh) in fresh {
        let labels = [("metric", metric.name.as_str())];
        told.tell("braid_serving_answer_age_seconds", &labels, fresh.lag_ms.map(|lag| lag as f64 / 1e3));
        told.tell("braid_serving_gaps", &labels, fresh.gaps.map(|gaps| gaps.len() as f64));
        let committed_us = snapshot.view(&metric.name).map(|view| view.note.committed_at_us);
        let age = committed_us.map(|at_us| (now_us - at_us).max(0) as f64 / 1e6);
        told.tell("braid_serving_cut_age_seconds", &labels, age);
    }
    told
}

impl Told {
    /// Tells a gauge, unless its value is not known.
    fn tell(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        let labels: Vec<_> = labels.iter().map(|(label, of)| (*label, (*of).to_owned())).collect();
        set(name, &labels, value);
        self.0.insert((name, labels));
    }

    fn dependencies(&mut self, Status { dependencies, .. }: &Status) {
        for (name, dependency) in
            [("kafka", &dependencies.kafka), ("redis", &dependencies.redis), ("store", &dependencies.store)]
        {
            let up = Some(f64::from(u8::from(dependency.ok)));
            self.tell("braid_serving_dependency_up", &[("dependency", name)], up);
        }
    }

    /// Without a search server nothing is told of an index.
    fn index(&mut self, reader: &SearchReader, now_us: i64) {
        let Some(Known { state, build, behind, refused, .. }) = reader.known() else { return };
        let labels = [("index", reader.index.name.as_str())];
        self.tell("braid_serving_index_behind_records", &labels, behind.records.map(|records| records as f64));
        self.tell("braid_serving_index_refused_documents", &labels, refused.map(|(count, _)| count as f64));
        // Of the build that is searched. Each check that finds it equal notes that.
        let equal_at_us = state.zip(build).and_then(|(state, number)| state.builds.get(&number)?.equal_at_us);
        let age = equal_at_us.map(|at_us| (now_us - at_us).max(0) as f64 / 1e6);
        self.tell("braid_serving_index_equal_age_seconds", &labels, age);
    }

    fn source(&mut self, source: &SourceStatus) {
        let labels = [("source", source.name.as_str())];
        let open = || source.partitions.iter().filter(|partition| !partition.closed);
        // Of a partition that nobody has begun, all is still to be done; of one whose end is not known, nothing is.
        let lag = |each: Vec<Option<i64>>| each.into_iter().sum::<Option<i64>>().map(|lag| lag as f64);
        let counted = open().map(|partition| Some(partition.end? - partition.cursor.or(partition.begin).unwrap_or(0)));
        self.tell("braid_serving_speed_lag_records", &labels, lag(counted.collect()));
        let archived = open().map(|partition| Some(partition.end? - partition.next.or(partition.begin).unwrap_or(0)));
        self.tell("braid_serving_archive_lag_records", &labels, lag(archived.collect()));
        let lost = source.partitions.iter().flat_map(|partition| &partition.lost).filter(|lost| !lost.accepted);
        self.tell("braid_serving_lost_records", &labels, Some(lost.map(|lost| (lost.to - lost.from) as f64).sum()));
        let all: u64 = source.rejects.iter().map(|rejects| rejects.count).sum();
        self.tell("braid_serving_rejected_records", &labels, Some(all as f64));
    }
}

fn set(name: &'static str, labels: &[(&'static str, String)], value: f64) {
    metrics::gauge!(name, labels).set(value);
}
