//! `GET /v1/metrics` and `/v1/metrics/{metric}`: what is counted, and how fresh its answers are.

use axum::Json;
use axum::extract::RawQuery;
use platform::clock;
use serde_json::{Map, Value, json};
use shared_logic::catalog::{Measure, Metric};
use shared_logic::contracts::batch_view::Pause;
use shared_logic::log::Offsets;
use shared_logic::time::format_rfc3339;

use crate::answer::{duration_text, freshness, lag_ms};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::status::OVER_SHOWN;
use crate::routes::{NameInPath, OfVersion, RequestedVersion, of_version};
use crate::snapshot::Snapshot;
use crate::versions::Version;

/// All metrics, in the order of their names.
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let (snapshot, now_us) = (version.snapshots.current().unwrap_or_default(), clock::now_us());
    let described = version.catalog.metrics.values().map(|metric| described(&version, &snapshot, metric, now_us));
    Ok(of_version(&version, json!({"metrics": futures::future::join_all(described).await})))
}

/// One metric.
pub(crate) async fn one(
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    let metric = version.metric(&name)?;
    Parameters::refuse_all(query.as_deref())?;
    let (snapshot, now_us) = (version.snapshots.current().unwrap_or_default(), clock::now_us());
    Ok(of_version(&version, described(&version, &snapshot, metric, now_us).await))
}

async fn described(version: &Version, snapshot: &Snapshot, metric: &Metric, now_us: i64) -> Value {
    let source = &version.catalog.sources[&metric.source];
    let by = metric.by.iter().filter_map(|name| source.field(name));
    let by: Vec<Value> =
        by.map(|field| json!({"name": field.name, "type": field.kind.name(), "optional": field.optional})).collect();
    let measures: Map<String, Value> =
        metric.measures.iter().map(|measure| (measure.name.clone(), call_text(measure).into())).collect();
    let derived: Map<String, Value> =
        metric.derived.iter().map(|derived| (derived.name.clone(), derived.of.to_string().into())).collect();
    json!({
        "name": metric.name,
        "source": metric.source,
        "where": metric.filter.as_ref().map(ToString::to_string),
        "by": by,
        "grain": duration_text(metric.grain_us),
        "measures": measures,
        "derived": derived,
        "definition": version.definition(metric).as_str(),
        "cut": cut(version, snapshot, metric, now_us),
        "freshness": freshness(version, snapshot, metric, now_us).await,
    })
}

/// Cut and age of the newest batch view; null before the first reconcile.
fn cut(version: &Version, snapshot: &Snapshot, metric: &Metric, now_us: i64) -> Value {
    let Some(view) = snapshot.view(&metric.name) else { return Value::Null };
    let on_disk = view.on_disk();
    json!({
        "version": view.version,
        "committed_at": format_rfc3339(view.note.committed_at_us),
        "age_ms": lag_ms(view.note.committed_at_us, now_us),
        "definition": view.note.definition.as_str(),
        // A view that cannot be used is replaced by the next reconcile.
        "is_current": snapshot.own_view(version.asked(metric)).is_some(),
        // A view that is paused is not.
        "pause": view.note.asked.pause.as_ref().map(pause),
        "archive_version": view.note.archive_version,
        "offsets": offsets(version, snapshot, metric, &view.note.cut),
        "segments": {"days": on_disk.days, "months": on_disk.months, "bytes": on_disk.bytes},
    })
}

/// Since when no reconcile changes a view, and which version it was rolled back to.
fn pause(pause: &Pause) -> Value {
    json!({"since": format_rfc3339(pause.since_us), "rolled_back_to": pause.rolled_back_to})
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
