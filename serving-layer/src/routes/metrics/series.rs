//! `GET /v1/metrics/{metric}/series`

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use platform::clock;

use super::as_required;
use super::query::Query;
use crate::answer;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::{NameInPath, RequestedVersion};

/// One point per step, including steps without events.
pub(crate) async fn series(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let (query, step_us) = Query::series(query.as_deref(), &version.catalog, metric, clock::now_us())?;
    let answer = answer::series(&version, metric, &query.selection, step_us, &app.http).await?;
    as_required(&answer, &query)
}
