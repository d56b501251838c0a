//! `GET /v1/metrics/{metric}/total`

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;

use super::query::{Query, TOTAL};
use crate::answer::{self, Answer};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{MetricName, as_required};

/// Merged measures and derived values over a range.
pub(crate) async fn total(
    State(app): State<Arc<App>>,
    name: MetricName,
    RawQuery(query): RawQuery,
) -> Result<Json<Answer>, Problem> {
    let now_us = clock::now_us();
    let metric = app.metric(&name.0)?;
    let query = Query::read(&Parameters::read(query.as_deref())?, &app.catalog, metric, &TOTAL, now_us)?;
    let answer = answer::total(&app, metric, &query, now_us).await?;
    as_required(answer, &query).map(Json)
}
