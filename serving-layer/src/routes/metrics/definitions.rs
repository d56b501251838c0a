//! `GET /v1/metrics` and `/v1/metrics/{metric}`: what is defined, and how fresh its answers are.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;
use serde_json::{Map, Value, json};
use shared_logic::catalog::{Measure, Metric};
use shared_logic::complete;
use shared_logic::time::format_rfc3339;

use super::query::duration_text;
use crate::answer::{GapText, as_of, lag_ms};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::{MetricName, no_parameters};
use crate::snapshot::{Shards, Snapshot};

/// Definitions do not wait longer than this for a Redis that does not answer; their freshness says so then.
const FRESHNESS_WAIT: Duration = Duration::from_millis(500);

/// All metrics, in the order of their names.
pub(crate) async fn all(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Value>, Problem> {
    no_parameters(query.as_deref())?;
    let snapshot = app.snapshots.current().unwrap_or_default();
    let described = app.catalog.metrics.values().map(|metric| described(&app, &snapshot, metric));
    Ok(Json(json!({"metrics": futures::future::join_all(described).await})))
}

/// One metric.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    name: MetricName,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let metric = app.metric(&name.0)?;
    no_parameters(query.as_deref())?;
    let snapshot = app.snapshots.current().unwrap_or_default();
    Ok(Json(described(&app, &snapshot, metric).await))
}

async fn described(app: &App, snapshot: &Snapshot, metric: &Metric) -> Value {
    let source = &app.catalog.sources[&metric.source];
    let by: Vec<Value> = metric
        .by
        .iter()
        .map(|name| json!({"name": name, "type": source.field(name).map(|field| field.kind.name())}))
        .collect();
    let measures: Map<String, Value> =
        metric.measures.iter().map(|measure| (measure.name.clone(), text(measure).into())).collect();
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
        "definition": app.definition(metric).as_str(),
        "cut": cut(app, snapshot, metric),
        "freshness": freshness(app, snapshot, metric).await,
    })
}

/// The newest view's cut and age; null before the first reconcile.
fn cut(app: &App, snapshot: &Snapshot, metric: &Metric) -> Value {
    let Some(view) = snapshot.view(&metric.name) else { return Value::Null };
    let (in_memory, in_store) = view.days();
    json!({
        "version": view.version,
        "committed_at": format_rfc3339(view.note.committed_at_us),
        "age_ms": lag_ms(view.note.committed_at_us, clock::now_us()),
        "definition": view.note.definition.as_str(),
        // A view of another definition is no view: the next reconcile builds one.
        "is_current": view.note.definition == *app.definition(metric),
        "archive_version": view.note.archive_version,
        "offsets": view.note.cut,
        "days": {"in_memory": in_memory, "in_store": in_store},
    })
}

/// What a total would say of its completeness, without its numbers.
async fn freshness(app: &App, snapshot: &Snapshot, metric: &Metric) -> Value {
    let definition = app.definition(metric);
    let nothing_read = Shards::new();
    let needed = complete::needed_shards(&snapshot.of_metric(metric, definition, &nothing_read));
    let positions = app.speed.positions(&app.catalog, &metric.source, needed);
    let unknown = |error: String| json!({"as_of": null, "lag_ms": null, "complete": false, "error": error});
    let read = match tokio::time::timeout(FRESHNESS_WAIT, positions).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return unknown(error.to_string()),
        Err(_) => return unknown(format!("redis did not answer within {} ms", FRESHNESS_WAIT.as_millis())),
    };
    let shards: Shards =
        read.iter().map(|(id, shard)| (id.clone(), shard.as_ref().map(|shard| shard.shard.clone()))).collect();
    let judged = snapshot.of_metric(metric, definition, &shards);
    let gaps = complete::judge(&judged).gaps;
    let as_of_us = as_of(&judged, &read);
    json!({
        "as_of": as_of_us.map(format_rfc3339),
        "lag_ms": as_of_us.map(|as_of_us| lag_ms(as_of_us, clock::now_us())),
        "complete": gaps.is_empty(),
        "gaps": gaps.iter().map(|gap| GapText::new(gap, metric, &None, &None)).collect::<Vec<_>>(),
    })
}

/// A measure as a catalog could write it; columns are quoted.
fn text(measure: &Measure) -> String {
    let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}({of})", measure.kind.name())
}
