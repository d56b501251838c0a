//! `GET /v1/metrics/{metric}/series`

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;

use super::query::{Query, SERIES, step};
use crate::answer::{self, Answer};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{MetricName, as_required};

/// One point per step, zeros included.
pub(crate) async fn series(
    State(app): State<Arc<App>>,
    name: MetricName,
    RawQuery(query): RawQuery,
) -> Result<Json<Answer>, Problem> {
    let now_us = clock::now_us();
    let metric = app.metric(&name.0)?;
    let pairs = Parameters::read(query.as_deref())?;
    let query = Query::read(&pairs, &app.catalog, metric, &SERIES, now_us)?;
    let step_us = step(&pairs, metric)?;
    let answer = answer::series(&app, metric, &query, step_us, now_us).await?;
    as_required(answer, &query).map(Json)
}
