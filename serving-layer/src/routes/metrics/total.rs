//! `GET /v1/metrics/{metric}/total`

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;

use super::as_required;
use super::query::Query;
use crate::answer::{self, Answer};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::{NameInPath, RequestedVersion};

/// Merged measures and derived values over a range.
pub(crate) async fn total(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<Answer>, Problem> {
    let now_us = clock::now_us();
    let metric = version.metric(&name)?;
    let query = Query::total(query.as_deref(), &version.catalog, metric, now_us)?;
    let answer = answer::total(&version, metric, &query.selection, &app.http, now_us).await?;
    as_required(answer, &query).map(Json)
}
