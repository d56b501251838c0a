//! `GET /v1/status`: how far every layer has come in every partition, what was rejected, lost or is still to be erased, and which
//! services cannot be reached. What cannot be read is null, with the reason under `dependencies`.
//!
//! - `gather`: reads what is known about one source;
//! - `erasures`: of which erasures something is outstanding;
//! - `tables`: how far tables are materialised;
//! - `indexes`: how far search indexes are;
//! - `body`: the JSON;
//! - `telemetry`: the same as gauges, for who watches all the time.

mod body;
mod erasures;
mod gather;
mod indexes;
mod tables;
mod telemetry;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use futures::future::join_all;
use shared_logic::alert::{AlertState, StateWord};
use shared_logic::time::{format_day, format_rfc3339};

use super::parameters::Parameters;
use super::streams::written;
use super::{OfVersion, RequestedVersion, of_version};
use crate::app::App;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::versions::Version;
use body::{AlertCounts, Dependencies, Dependency, Deployment, Status};
pub(super) use body::{Progress, SourceStatus};
pub(super) use gather::SourceReader;
pub(crate) use telemetry::follow;

/// How many logs that are over are shown, the newest ones. Of the others, only their number is.
pub(crate) const OVER_SHOWN: usize = 3;

/// Everything about every source
///
/// How far every layer has come in every partition, what was rejected or lost, versions, and dependencies. What cannot be read is null, with the
/// reason under `dependencies`.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "status", tag = "status",
    params(WhichVersion),
    responses((status = 200, description = "The status.", body = OfVersion<Status>), Refusals),
)]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Status>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let status = of(&app, &version).await;
    Ok(of_version(&version, status))
}

/// The status of a version now.
async fn of(app: &App, version: &Version) -> Status {
    let current = version.snapshots.current();
    let is_starting = current.is_none();
    let snapshot = current.unwrap_or_default();
    let sources = version
        .catalog
        .sources
        .values()
        .map(async |source| SourceReader::new(version, &snapshot, source).read(app.topics()).await);
    let (sources, streams, (tables, unread), indexes) = tokio::join!(
        join_all(sources),
        written::of_all(version),
        tables::of_all(version, &snapshot),
        indexes::of_all(version)
    );
    let (sources, kafka): (Vec<SourceStatus>, Vec<Option<String>>) = sources.into_iter().unzip();
    let redis = app.redis().ping().await.err().map(|error| error.to_string());
    let mut store: BTreeSet<String> = snapshot.store_errors().map(str::to_owned).collect();
    store.extend(is_starting.then(|| "the batch views are still being loaded".to_owned()));
    store.extend(unread);
    store.extend(snapshot.loading().map(|metric| format!("the batch view of {metric} is still being loaded")));
    let metrics = version.catalog.metrics.keys();
    let pause = |metric: &String| snapshot.view(metric)?.note.asked.pause.clone();
    let paused = metrics.clone().filter_map(|metric| Some((metric.clone(), format_rfc3339(pause(metric)?.since_us))));
    let deployment = &version.catalog.deployment;
    Status {
        deployment: Deployment { name: deployment.name.clone(), version: deployment.version.clone() },
        braid: env!("CARGO_PKG_VERSION"),
        recounted: deployment.keeps_archive,
        sources,
        streams,
        tables,
        indexes,
        paused: paused.collect(),
        views: metrics.clone().map(|metric| (metric.clone(), snapshot.view(metric).map(|view| view.version))).collect(),
        retired_before: metrics
            .filter_map(|metric| Some((metric.clone(), format_day(snapshot.view(metric)?.note.retired_before?))))
            .collect(),
        alerts: alerts(app),
        dependencies: Dependencies {
            redis: Dependency::new(redis),
            kafka: Dependency::new(kafka.into_iter().flatten()),
            store: Dependency::new(store),
        },
    }
}

/// How many alerts of the active version have which state.
fn alerts(app: &App) -> AlertCounts {
    let (hosted, standing) = (app.versions.hosted(), app.alerts.now());
    let mut counts = AlertCounts { undelivered: standing.undelivered, ..AlertCounts::default() };
    let catalog = &hosted.active().catalog;
    for alert in catalog.alerts.values() {
        let known = standing.alerts.get(&alert.name);
        let known = known.filter(|known| known.definition == catalog.alert_definition(alert));
        match known.map_or(StateWord::Unknown, AlertState::word) {
            StateWord::Ok => counts.ok += 1,
            StateWord::Pending => counts.pending += 1,
            StateWord::Firing => counts.firing += 1,
            StateWord::Unknown => counts.unknown += 1,
        }
    }
    counts
}
