//! `GET /v1/metrics` and `/v1/metrics/{metric}`: what is counted, and how fresh its answers are.

use axum::Json;
use axum::extract::RawQuery;
use platform::clock;
use serde::Serialize;
use serde_json::{Map, Value};
use shared_logic::catalog::{Measure, Metric};
use shared_logic::contracts::batch_view::Pause;
use shared_logic::log::Offsets;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use crate::answer::{Freshness, duration_text, freshness, lag_ms};
use crate::openapi::{MetricName, Refusals, WhichVersion};
use crate::problem::Problem;
use crate::routes::declared::DeclaredField;
use crate::routes::parameters::Parameters;
use crate::routes::status::OVER_SHOWN;
use crate::routes::{NameInPath, OfVersion, RequestedVersion, of_version};
use crate::snapshot::Snapshot;
use crate::versions::Version;

/// The body of `/v1/metrics`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metrics {
    metrics: Vec<Described>,
}

/// What a metric counts, and how fresh its answers are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metric)]
pub(crate) struct Described {
    name: String,
    source: String,
    /// Which events count; null: all.
    #[serde(rename = "where")]
    #[schema(required = true)]
    filter: Option<String>,
    /// The columns of its group key.
    by: Vec<DeclaredField>,
    /// The width of a bucket.
    grain: String,
    /// What is kept, by name, as the catalog writes it.
    #[schema(value_type = BTreeMap<String, String>)]
    measures: Map<String, Value>,
    /// What is calculated of merged measures, by name.
    #[schema(value_type = BTreeMap<String, String>)]
    derived: Map<String, Value>,
    /// The hash of everything that can change the metric's counts.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    definition: String,
    /// The newest batch view; null before the first reconcile.
    #[schema(required = true)]
    cut: Option<Cut>,
    freshness: Freshness,
}

/// Cut and age of a batch view.
#[derive(Debug, Serialize, ToSchema)]
struct Cut {
    version: u64,
    #[schema(format = DateTime)]
    committed_at: String,
    age_ms: i64,
    definition: String,
    /// Whether it can be used: it counts the catalog's definition, and no record was archived again since it was counted. If not, the next
    /// reconcile replaces it.
    is_current: bool,
    /// Null, unless the view was rolled back and no reconcile changes it until an operator resumes it.
    #[schema(required = true)]
    pause: Option<Paused>,
    archive_version: u64,
    /// Of the logs that `/v1/status` lists: the first offset that the view does not include.
    offsets: Offsets,
    segments: Segments,
}

/// Since when no reconcile changes a view, and which version it was rolled back to.
#[derive(Debug, Serialize, ToSchema)]
struct Paused {
    #[schema(format = DateTime)]
    since: String,
    /// A version of the view.
    rolled_back_to: u64,
}

/// The files from which the serving layer answers, on its local disk.
#[derive(Debug, Serialize, ToSchema)]
struct Segments {
    days: usize,
    months: usize,
    bytes: u64,
}

/// All metrics
///
/// What each metric counts, and how fresh its answers are.
#[utoipa::path(
    get, path = "/v1/metrics", operation_id = "listMetrics", tag = "metrics",
    params(WhichVersion),
    responses((status = 200, description = "All metrics, in the order of their names.", body = OfVersion<Metrics>), Refusals),
)]
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Metrics>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let (snapshot, now_us) = (version.snapshots.current().unwrap_or_default(), clock::now_us());
    let described = version.catalog.metrics.values().map(|metric| described(&version, &snapshot, metric, now_us));
    let metrics = futures::future::join_all(described).await;
    Ok(of_version(&version, Metrics { metrics }))
}

/// One metric
///
/// What it counts, and how fresh its answers are.
#[utoipa::path(
    get, path = "/v1/metrics/{metric}", operation_id = "getMetric", tag = "metrics",
    params(MetricName, WhichVersion),
    responses((status = 200, description = "The metric.", body = OfVersion<Described>), Refusals),
)]
pub(crate) async fn one(
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Described>>, Problem> {
    let metric = version.metric(&name)?;
    Parameters::refuse_all(query.as_deref())?;
    let (snapshot, now_us) = (version.snapshots.current().unwrap_or_default(), clock::now_us());
    Ok(of_version(&version, described(&version, &snapshot, metric, now_us).await))
}

async fn described(version: &Version, snapshot: &Snapshot, metric: &Metric, now_us: i64) -> Described {
    let source = &version.catalog.sources[&metric.source];
    let by = metric.by.iter().filter_map(|name| source.field(name));
    let measures = metric.measures.iter().map(|measure| (measure.name.clone(), call_text(measure).into()));
    let derived = metric.derived.iter().map(|derived| (derived.name.clone(), derived.of.to_string().into()));
    Described {
        name: metric.name.clone(),
        source: metric.source.clone(),
        filter: metric.filter.as_ref().map(ToString::to_string),
        by: by.map(DeclaredField::new).collect(),
        grain: duration_text(metric.grain_us),
        measures: measures.collect(),
        derived: derived.collect(),
        definition: version.definition(metric).as_str().to_owned(),
        cut: cut(version, snapshot, metric, now_us),
        freshness: freshness(version, snapshot, metric, now_us).await,
    }
}

fn cut(version: &Version, snapshot: &Snapshot, metric: &Metric, now_us: i64) -> Option<Cut> {
    let view = snapshot.view(&metric.name)?;
    let on_disk = view.on_disk();
    Some(Cut {
        version: view.version,
        committed_at: format_rfc3339(view.note.committed_at_us),
        age_ms: lag_ms(view.note.committed_at_us, now_us),
        definition: view.note.definition.as_str().to_owned(),
        is_current: snapshot.own_view(version.asked(metric)).is_some(),
        pause: view.note.asked.pause.as_ref().map(Paused::new),
        archive_version: view.note.archive_version,
        offsets: offsets(version, snapshot, metric, &view.note.cut),
        segments: Segments { days: on_disk.days, months: on_disk.months, bytes: on_disk.bytes },
    })
}

impl Paused {
    fn new(pause: &Pause) -> Paused {
        Paused { since: format_rfc3339(pause.since_us), rolled_back_to: pause.rolled_back_to }
    }
}

/// The cut of the logs that a status shows.
fn offsets(version: &Version, snapshot: &Snapshot, metric: &Metric, cut: &Offsets) -> Offsets {
    let Some(archive) = snapshot.archive(&metric.source) else { return cut.clone() };
    let hidden = archive.facts.hidden(&version.catalog.deployment.version, version.asked(metric).rules, OVER_SHOWN);
    cut.iter().filter(|(id, _)| !hidden.contains(id.log.as_str())).map(|(id, at)| (id.clone(), at)).collect()
}

/// A measure as a catalog could write it, with quoted columns.
fn call_text(measure: &Measure) -> String {
    let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
    measure.kind.call(&of)
}
