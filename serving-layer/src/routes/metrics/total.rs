//! `GET /v1/metrics/{metric}/total`

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

/// Merged measures and derived values over a range.
pub(crate) async fn total(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let query = Query::total(query.as_deref(), &version.catalog, metric, clock::now_us())?;
    let answer = answer::total(&version, metric, &query.selection, &app.http).await?;
    as_required(&answer, &query)
}
